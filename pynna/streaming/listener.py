# SPDX-License-Identifier: Apache-2.0
"""Listening for as long as a microphone is open: audio in, events out, an utterance at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, cast

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.pcm import chunk_as_pcm
from pynna.decoding.decoder import Decoder
from pynna.decoding.fingerprint import fingerprint
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Result, ResultT
from pynna.errors import ArgumentError, FinishedError, StateError
from pynna.events import Event, Final, Partial, SpeechStart, Timeout
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel
from pynna.streaming.endpointer import Endpointer, EndpointRules
from pynna.streaming.history import AudioHistory
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

F32 = npt.NDArray[np.float32]

MAX_CARRIED_SECONDS = 60.0
"""Seconds of utterances, cut off one after the other, through which the network's state is carried."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """An utterance that is being rescored; what is told after it has to wait."""

    result: Future[Result]
    final: Callable[[Result], Final[Any]]


class Listener(Generic[ResultT]):
    """A microphone's stream, cut into utterances: made by ``Model.listen`` or ``Group.listen``.

    It may run for days: only the utterance under way and a fraction of a second before it are kept. The network's state
    starts afresh after each utterance, as it was trained, unless that was cut off at the rules' longest: it is
    carried on through a minute of such utterances at most.

    Attributes
    ----------
    rules : EndpointRules
    """

    def __init__(
        self,
        network: Network,
        options: DecoderOptions,
        rules: EndpointRules,
        batch: Batch | None = None,
        worker: RescoringWorker | None = None,
    ) -> None:
        if not isinstance(rules, EndpointRules):
            raise ArgumentError(f"rules must be a pynna.EndpointRules, got {rules!r}")
        self.network, self.rules, self._batch, self._worker = network, rules, batch, worker
        self._seconds = network.seconds_per_step
        self._silent_labels = [len(network.labels) - 1, *(i for i, t in enumerate(network.labels) if t == " ")]
        self._start(options)

    def _start(self, options: DecoderOptions) -> None:
        network, rules = self.network, self.rules
        self._history = AudioHistory(0)
        self.options = options
        self._collector = _core.Collector(len(network.labels))
        # after each step: an end is acted on before the next, whatever the chunks
        self.channel = Channel(network, self._collector, self._batch, self._after_step)
        self._events: deque[Event[ResultT] | _Pending] = deque()
        self._endpointer = Endpointer(rules, self._seconds)
        self._recent: deque[F32] = deque(maxlen=self._endpointer.n_before)
        self._decoder: Decoder | None = None
        self._fed: list[F32] = []  # rows of the utterance under way: what its decoder can be made of again
        self._first = 0  # frame of the utterance under way
        self._said = ""
        self._carried = 0  # frames of utterances cut off, one after the other
        self._powers: deque[float] = deque()
        self._left = np.zeros(0, np.int16)

    def __reduce__(self) -> tuple[Any, ...]:
        raise StateError("a listener cannot be pickled or copied: save it, or pickle its options and begin a new one")

    # ---- saved, and taken up again -----------------------------------------------------------------------------------

    @property
    def n_pending(self) -> int:
        """Utterances that are being rescored, and events that wait for them: `poll` tells them."""
        return len(self._events)

    def save(self) -> bytes:
        """The listener as it is now, to be taken up by ``Model.restore_listener`` or ``Group.restore_listener``, in
        another process or on another machine, without a lost sample: from there on both tell the same events, to the
        bit. What has happened before stays this listener's to tell: `poll` it first, and until `n_pending` is 0.

        Returns
        -------
        bytes
            With a version, a checksum, and the fingerprints of model and options. It holds audio and what was said.

        Raises
        ------
        FinishedError
            After ``finish``.
        StateError
            `options` have changed while an utterance goes on with those of before; save when it is over.
        """
        if self.channel.finished:
            raise FinishedError("the listener is finished; there is nothing to go on with")
        labels, options = self.network.labels, self._options
        under_way = self._decoder
        if under_way is not None and fingerprint(under_way.options, labels) != fingerprint(options, labels):
            raise StateError("the utterance under way must have the listener's options, and has those of before")
        state = SavedState.of("listener", self.channel, options)
        values, audio = history_values(self._history)
        rows = self._fed if under_way is not None else list(self._recent)
        changes = [] if under_way is None else under_way.hot_word_changes
        state.values.update(
            values,
            rules=asdict(self.rules),
            endpointer=self._endpointer.state(),
            first=self._first,
            said=self._said,
            carried=self._carried,
            hot_words=hot_words_as_json(changes),
            expected=None if options.hot_words is None else list(map(list, options.hot_words.items())),
        )
        state.arrays.update(
            rows=np.stack(rows) if rows else np.zeros((0, len(labels)), np.float32),
            powers=np.array(self._powers, np.float64),
            left=self._left,
            history=audio,
        )
        return state.to_bytes()

    @classmethod
    def restored(
        cls,
        network: Network,
        data: bytes,
        options: DecoderOptions,
        batch: Batch | None = None,
        worker: RescoringWorker | None = None,
    ) -> Listener[ResultT]:
        """A listener that goes on where a saved one left off; see ``Model.restore_listener``."""
        state = SavedState.from_bytes(data, "listener")
        state.check(network, options)
        try:
            rules = EndpointRules(**state.values["rules"])
            words = state.values["expected"]
            expected = None if words is None else {str(word): float(boost) for word, boost in words}
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # an ArgumentError is a ValueError
            raise StateError(f"the saved state's rules and hot words must be a listener's: {error}") from None
        options = replace(options, hot_words=expected)
        try:
            listener: Listener[ResultT] = cls(network, options, rules, batch, worker)
        except ArgumentError as error:
            raise StateError(f"the saved state's hot words must be the model's: {error}") from None
        try:
            listener._take_up(state)
        except BaseException:
            listener.channel.leave()
            raise
        return listener

    def _take_up(self, state: SavedState) -> None:
        point, labels = self._endpointer, self.network.labels
        numbers = state.values.get("endpointer")
        point.take_up(SavedState(numbers if isinstance(numbers, dict) else {}, {}))
        rows = state.array("rows", np.float32, -1, len(labels))
        self._first, self._carried = state.integer("first", 0, point.frame), state.integer("carried")
        self._said = state.text("said")
        if len(rows) != (point.frame - self._first if point.speaking else min(len(rows), point.n_before)):
            raise StateError(f"the saved state's rows must be those of its utterance, got {len(rows)}")
        if point.speaking:
            self._decoder = self._new_decoder(replace(self._options, hot_words=None), self._first)
            replay(self._decoder, rows, hot_words_of(state, len(rows)))
            self._fed = list(rows)
        else:
            self._recent.extend(rows)
        self._powers = deque(state.array("powers", np.float64, -1).tolist())
        self._left = state.array("left", np.int16, -1)
        restore_history(self._history, state)
        state.put_into(self.channel)

    def reset(self) -> None:
        """Begins anew, as if nothing had been fed: times count from 0 again, and what was not told yet is dropped."""
        self.channel.leave()
        self._start(self._options)

    @property
    def options(self) -> DecoderOptions:
        """How the utterances to come are decoded: set it to listen with another grammar, or with other values of its
        lists. The utterance under way keeps its own. Raises ArgumentError or GrammarError as `Decoder` when set."""
        return self._options

    @options.setter
    def options(self, options: DecoderOptions) -> None:
        self._new_decoder(options)  # complains now if at all
        self._options = options
        self._history.max_samples = history_samples(options, self.network.sample_rate)

    def _new_decoder(self, options: DecoderOptions, first_frame: int = 0) -> Decoder:
        return Decoder(
            self.network.labels,
            label_priors=self.network.label_priors,
            options=options,
            seconds_per_frame=self._seconds,
            first_frame=first_frame,
        )

    @property
    def hot_words(self) -> Mapping[str, float]:
        """Words or phrases that are expected, and the nats that each adds; set a new mapping at any time, for the
        utterance under way, too. Raises ArgumentError as `Stream.hot_words` when set."""
        return self.options.hot_words or {}

    @hot_words.setter
    def hot_words(self, boosts: Mapping[str, float]) -> None:
        options = replace(self.options, hot_words=dict(boosts) if isinstance(boosts, Mapping) else boosts)
        self._new_decoder(options)  # complains before the utterance under way is touched
        if self._decoder is not None:
            self._decoder.hot_words = boosts
        self._options = options

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return self._endpointer.speaking

    @property
    def lag(self) -> float:
        """Seconds of audio that were fed and are not heard yet: they wait for the group's step."""
        return self.channel.duration - self._time(self._endpointer.frame)

    def feed(self, pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> list[Event[ResultT]]:
        """Takes audio as `Stream.feed` does, and tells what has happened.

        In a group nothing happens before the group's step; `poll` tells it then.
        """
        self.take(pcm)
        return self.poll()

    def take(self, pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> None:
        """Takes audio as `feed` does, and leaves it to `poll` to tell what has happened."""
        if self.channel.finished:
            raise FinishedError("the stream is finished and takes no more audio; start a new one")
        chunk = chunk_as_pcm(pcm)
        self._measure(chunk)
        self._history.feed(chunk)
        self.channel.feed(chunk)

    def listen(self, chunks: Iterable[npt.ArrayLike | bytes]) -> Iterator[Event[ResultT]]:
        """Events of a whole stream of chunks, the end included."""
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.finish()

    async def listen_async(self, chunks: AsyncIterable[npt.ArrayLike | bytes]) -> AsyncIterator[Event[ResultT]]:
        """As ``listen``, for chunks that come asynchronously: steps run in a thread, and the event loop goes on."""
        import asyncio  # here: it takes megabytes, and whoever comes with chunks like these has it

        async for chunk in chunks:
            for event in await asyncio.to_thread(self.feed, chunk):
                yield event
        for event in await asyncio.to_thread(self.finish):
            yield event

    def finish(self) -> list[Event[ResultT]]:
        """The end of the stream: what is left is run, and an utterance under way ends."""
        self.channel.finish()
        events = self.poll()
        if self._decoder is not None:
            self._end_utterance(self._endpointer.frame)
        while self._events:
            event = self._events.popleft()
            events.append(event.final(event.result.result()) if isinstance(event, _Pending) else event)
        return events

    def poll(self) -> list[Event[ResultT]]:
        """What has happened since it was last asked, in order: while an utterance is being rescored by a worker, what
        came after it waits."""
        events: list[Event[ResultT]] = []
        while self._events:
            event = self._events[0]
            if isinstance(event, _Pending):
                if not event.result.done():
                    return events
                event = event.final(event.result.result())
            events.append(event)
            self._events.popleft()
        if self._decoder is not None:
            result = cast(ResultT, self._decoder.result())
            if result.text != self._said:
                self._said = result.text
                events.append(Partial(self._time(self._endpointer.frame), result))
        return events

    def _after_step(self) -> None:
        rows = np.concatenate(self._collector.take())
        speech = self.channel.core.speech if self.network.tells_speech else (None,) * len(rows)
        for row, probability in zip(rows, speech, strict=True):
            self._frame(row, probability)

    def _frame(self, row: F32, speech: float | None) -> None:
        frame = self._endpointer.frame
        letter = 1.0 - float(np.exp(row[self._silent_labels]).sum())
        power = self._powers.popleft() if self._powers else 0.0
        if self._decoder is None:
            self._recent.append(row)
            self._history.forget((frame + 1 - len(self._recent)) * self.network.geometry["step"])
        else:
            self._decoder.feed(row[None])
            self._fed.append(row)
        complete = self._decoder is not None and self._decoder.complete
        happened = self._endpointer.process(letter, power, complete, speech)
        if happened == "start":
            self._begin(frame)
            self._events.append(SpeechStart(self._time(self._endpointer.start)))
        elif happened in ("end", "cut"):
            self._end_utterance(frame + 1)
            # where speech goes on the state does, or its next words would not be heard; but not for ever
            self._carried += frame + 1 - self._endpointer.start
            if happened == "end" or self._time(self._carried) > MAX_CARRIED_SECONDS:
                self.channel.reset_state()
                self._carried = 0
        elif happened == "timeout":
            self._events.append(Timeout(self._time(frame)))

    def _begin(self, frame: int) -> None:
        """A decoder for the utterance, fed with what was just before."""
        self._first = max(self._endpointer.start, frame + 1 - len(self._recent))
        self._decoder = self._new_decoder(self._options, self._first)
        self._fed = list(self._recent)[self._first - frame - 1 :]
        self._decoder.feed(np.stack(self._fed))
        self._recent.clear()
        self._said = ""

    def _end_utterance(self, end: int) -> None:
        """Tells the utterance under way, which ends before a frame: at once, or when the worker is through with it."""
        assert self._decoder is not None
        result, options, first = self._decoder.finish(), self._decoder.options, self._first
        self._decoder, self._fed = None, []
        point, time = self._endpointer, self._time(end)
        began, ended = self._time(point.start), self._time(min(end, point.last + 1))

        def final(result: Result) -> Final[ResultT]:
            words = result.words
            start = max(began, round(words[0].start - self.rules.pre_roll, 6)) if words else began
            return Final(time, start, ended, cast(ResultT, result))

        step, window = self.network.geometry["step"], self.network.geometry["window"]
        pcm = self._history.audio(first * step, (end - 1) * step + window)
        if pcm is not None and options.n_passes > 1 and needs_rescoring(result):
            once = result

            def rescored() -> Result:
                return rescore_audio(self.network, pcm, once, options, first)

            if self._worker is None:
                result = rescored()
            elif (future := self._worker.submit(rescored)) is not None:
                self._events.append(_Pending(future, final))
                return
        self._events.append(final(result))

    def _time(self, frame: int) -> float:
        return round(frame * self._seconds, 6)

    def _measure(self, pcm: npt.NDArray[np.int16]) -> None:
        """Powers of whole steps."""
        step = self.network.geometry["step"]
        whole = np.concatenate([self._left, pcm])
        n = len(whole) // step
        self._powers.extend((whole[: n * step].reshape(n, step).astype(np.float64) ** 2).mean(axis=1).tolist())
        self._left = whole[n * step :]
