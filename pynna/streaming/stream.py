# SPDX-License-Identifier: Apache-2.0
"""Streams: audio in, text out, a channel of the network in between."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Generic, cast

import numpy as np
import numpy.typing as npt

from pynna.audio.pcm import Pcm, chunk_as_pcm
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import GrammarResult, Result, ResultT
from pynna.errors import FinishedError, StateError
from pynna.events import Final
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.history import AudioHistory
from pynna.streaming.listener import Listener
from pynna.streaming.rescoring import history_samples, needs_rescoring, rescore_audio
from pynna.streaming.state import (
    SavedState,
    history_values,
    hot_words_as_json,
    hot_words_of,
    replay,
    restore_history,
)
from pynna.streaming.worker import RescoringWorker

SAVED_SECONDS = 600.0
"""Of a stream, up to which it can be saved: its log-probabilities are kept for that, 6 kB a second of 29 labels."""


class Stream(Generic[ResultT]):
    """One utterance, or one microphone: made by ``Model.stream`` or ``Group.stream``.

    Audio may come in chunks of any size; the result is the same to the bit. A stream belongs to one thread at a time.
    """

    def __init__(self, network: Network, options: DecoderOptions, batch: Batch | None = None) -> None:
        self.network, self._batch = network, batch
        self._begin(options)

    def _begin(self, options: DecoderOptions) -> None:
        network = self.network
        self.decoder = Decoder(
            network.labels,
            label_priors=network.label_priors,
            options=options,
            seconds_per_frame=network.seconds_per_step,
        )
        self._max_log = round(SAVED_SECONDS / network.seconds_per_step)
        self.channel = Channel(network, self.decoder.core, self._batch, max_log=self._max_log)
        self._history = AudioHistory(history_samples(options, network.sample_rate))
        self._result: ResultT | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        raise StateError("a stream cannot be pickled or copied: save it, or pickle its options and begin a new one")

    # ---- saved, and taken up again -----------------------------------------------------------------------------------

    def save(self) -> bytes:
        """The stream as it is now, to be taken up by ``Model.restore_stream`` or ``Group.restore_stream``, in another
        process or on another machine, without a lost sample: from there on both give the same bits.

        Returns
        -------
        bytes
            With a version, a checksum, and the fingerprints of model and options. It holds audio and what was said.

        Raises
        ------
        FinishedError
            After ``finish``.
        StateError
            The stream is longer than ten minutes (`SAVED_SECONDS`); a `Listener` has no such limit.
        """
        if self.finished:
            raise FinishedError("the stream is finished; there is nothing to go on with")
        log = self.channel.core.log
        if log is None:
            raise StateError(
                f"a stream must be of {SAVED_SECONDS:.0f} s at most to be saved, got {self.duration:.0f} s"
            )
        state = SavedState.of("stream", self.channel, self.decoder.options)
        values, audio = history_values(self._history)
        state.values.update(values, hot_words=hot_words_as_json(self.decoder.hot_word_changes))
        state.arrays.update(log=log, history=audio)
        return state.to_bytes()

    @classmethod
    def restored(
        cls, network: Network, data: bytes, options: DecoderOptions, batch: Batch | None = None
    ) -> Stream[ResultT]:
        """A stream that goes on where a saved one left off; see ``Model.restore_stream``."""
        state = SavedState.from_bytes(data, "stream")
        state.check(network, options)
        stream: Stream[ResultT] = cls(network, replace(options, hot_words=None), batch)
        try:
            log = state.array("log", np.float32, -1, len(network.labels))
            stream.channel.core.log = log
            replay(stream.decoder, log, hot_words_of(state, len(log)))
            restore_history(stream._history, state)
            state.put_into(stream.channel)
        except BaseException:
            stream.channel.leave()
            raise
        return stream

    def reset(self) -> None:
        """Begins anew, as if nothing had been fed: another utterance with the same options, in the same group.

        Raises
        ------
        CapacityError
            The stream had finished, and its place in the group is taken.
        """
        self.channel.leave()
        self._begin(self.decoder.options)

    @property
    def duration(self) -> float:
        """Seconds of audio fed so far."""
        return self.channel.duration

    @property
    def finished(self) -> bool:
        """Whether ``finish`` was called."""
        return self.channel.finished

    @property
    def state(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """The network's states as they are now: c int16 [n_cell], h int8 [n_cell], copies."""
        return self.channel.state

    @property
    def hot_words(self) -> Mapping[str, float]:
        """Words or phrases that are expected, and the nats that each adds; set a new mapping at any time.

        Raises
        ------
        ArgumentError
            When set: no beam search, a phrase that the labels cannot spell, a boost that is no number up to 1000.
        """
        return self.decoder.hot_words

    @hot_words.setter
    def hot_words(self, boosts: Mapping[str, float]) -> None:
        self.decoder.hot_words = boosts
        changes = self.decoder.hot_word_changes
        if changes and changes[-1][0] > self._max_log:
            changes.clear()  # too long to be saved: nobody asks for them any more

    def reset_state(self) -> None:
        """The network's states as at the start of a stream; what is to be decoded stays."""
        self.channel.reset_state()

    def feed(self, pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> None:
        """Takes audio at the model's sample rate.

        Parameters
        ----------
        pcm : int16 [n], float32 or float64 [n] in [-1, 1], or bytes of little-endian int16
            A stream of its own is run at once; one of a group at the group's next step.

        Raises
        ------
        AudioError
            A wrong dtype or shape, a NaN or an infinity; nothing of the chunk was taken.
        FinishedError
            After ``finish``.
        """
        if self.finished:
            raise FinishedError("the stream is finished and takes no more audio; start a new one")
        chunk = chunk_as_pcm(pcm)
        self._history.feed(chunk)
        self.channel.feed(chunk)

    def partial(self) -> ResultT:
        """What has been understood so far; it costs the same at any length of the stream."""
        return cast(ResultT, self.decoder.result())

    def finish(self) -> ResultT:
        """Ends the stream as DeepSpeech does, runs what is left, and gives the transcript; again, the same one.

        A doubtful result is rescored before (`DecoderOptions.passes`). With a grammar, what is not accepted then is cut
        into utterances as by a `Listener`, and the surest of these and the whole is the result.
        """
        if self._result is None:
            self._result = self._rescored(self._end())
        return self._result

    def finish_in(self, worker: RescoringWorker) -> Future[ResultT]:
        """As ``finish``, but a doubtful result is rescored by the worker: no step waits for it."""
        first = self._end()
        in_doubt = needs_rescoring(first) or _is_refused(first)
        if self._result is None and in_doubt and self.decoder.options.n_passes > 1:
            future = worker.submit(lambda: self._rescored(first))
            if future is not None:
                return future
        done: Future[ResultT] = Future()
        done.set_result(self._result or cast(ResultT, first))
        return done

    def _end(self) -> Result:
        """The first pass."""
        if not self.finished:
            self.channel.finish()
        return self.decoder.finish()

    def _rescored(self, first: Result) -> ResultT:
        pcm = self._history.audio(0, self.channel.n_samples)
        if pcm is None:
            return cast(ResultT, first)
        options = self.decoder.options
        result = rescore_audio(self.network, pcm, first, options)
        return cast(ResultT, _surest(self.network, pcm, result, options) if _is_refused(result) else result)


def _is_refused(result: Result) -> bool:
    """Whether it is no sentence that a grammar's user would act on."""
    return isinstance(result, GrammarResult) and not result.accepted


def _surest(network: Network, pcm: Pcm, whole: Result, options: DecoderOptions) -> Result:
    """Of the whole and the utterances that a listener finds in it the complete sentence of most confidence: the noise
    before and after a command, which costs it confidence, is in no utterance."""
    listener: Listener[Result] = Listener(network, options, EndpointRules())
    events = [*listener.feed(pcm), *listener.finish()]
    results = [whole, *(event.result for event in events if isinstance(event, Final))]
    return max(results, key=lambda result: (isinstance(result, GrammarResult) and result.complete, result.confidence))
