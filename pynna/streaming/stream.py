"""Streams: audio in, text out, a channel of the network in between."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pynna.audio.pcm import chunk_as_pcm
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Result
from pynna.errors import FinishedError
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel
from pynna.streaming.rescoring import Tape, hear_again


class Stream:
    """One utterance, or one microphone: made by ``Model.stream`` or ``Group.stream``.

    Audio may come in chunks of any size; the result is the same to the bit. A stream belongs to one thread at a time.
    """

    def __init__(self, network: Network, options: DecoderOptions, batch: Batch | None = None) -> None:
        self.network = network
        self.decoder = Decoder(network.labels, label_priors=network.label_priors, options=options,
                               seconds_per_frame=network.seconds_per_step)
        self.channel = Channel(network, self.decoder.core, batch)
        self._tape = Tape(network.sample_rate, options)
        self._result: Result | None = None

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
        self._tape.feed(chunk)
        self.channel.feed(chunk)

    def partial(self) -> Result:
        """What has been understood so far; it costs the same at any length of the stream."""
        return self.decoder.result()

    def finish(self) -> Result:
        """Ends the stream as DeepSpeech does, runs what is left, and gives the transcript; again, the same one.

        What leaves doubt is heard again before (`DecoderOptions.hearings`).
        """
        if not self.finished:
            self.channel.finish()
        if self._result is None:
            self._result = self.decoder.finish()
            if (pcm := self._tape.audio(0, self.channel.n_samples)) is not None:
                self._result = hear_again(self.network, pcm, self._result, self.decoder.options)
        return self._result
