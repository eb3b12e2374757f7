# SPDX-License-Identifier: Apache-2.0
"""Sixteen channels of one core, filled with whatever waits: many steps of all of them in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.pcm import Pcm
from pynna.errors import PynnaError
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel

SAMPLES = 8192
"""That wait in a channel at most, before more are asked for."""

Done: TypeAlias = Callable[["Run"], None]


class Run:
    """One stretch of audio on its way through a channel.

    Attributes
    ----------
    error : PynnaError or OSError, optional
        What its source raised; then it is over.
    """

    def __init__(self, source: Iterator[Pcm], channel: Channel, done: Done, wants_speech: bool) -> None:
        self._source, self.channel, self._done = source, channel, done
        self.error: PynnaError | OSError | None = None
        self._speech: list[npt.NDArray[np.float32]] | None = [] if wants_speech else None

    def supply(self) -> None:
        """Audio, where the channel is about to run dry."""
        while not self.channel.finished and self.channel.n_waiting < SAMPLES:
            try:
                piece = next(self._source, None)
            except (PynnaError, OSError) as error:
                self.error = error
                piece = None
            if piece is None:
                self.channel.finished = True
            elif len(piece):
                self.channel.feed(piece)

    def note_speech(self) -> None:
        """Keeps what the network has told of speech in the last call."""
        if self._speech is not None:
            self._speech.append(self.channel.core.speech)

    @property
    def speech(self) -> npt.NDArray[np.float32] | None:
        """Probability of speech, frame by frame; None where the network does not tell."""
        return None if self._speech is None else np.concatenate([np.zeros(0, np.float32), *self._speech])

    def end(self) -> None:
        """Tells that it is through."""
        self._done(self)


class Pool:
    """Runs up to 16 stretches of audio at once; each gets the bits that it would get alone.

    A call takes as many steps as all channels have windows for, up to 16: the weights are read once for all of them,
    and so is whatever Python does around a call.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._batch = Batch(network)
        self._runs: dict[Channel, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def n_free(self) -> int:
        """Channels that nothing runs in."""
        return _core.MAX_CHANNELS - len(self._runs)

    def start(self, source: Iterable[Pcm], sink: _core.Decoder, done: Done, *, speech: bool = False) -> None:
        """Gives a stretch of audio a channel; `done` is told when the sink has all of it.

        Raises
        ------
        CapacityError
            All channels are taken.
        """
        channel = Channel(self.network, sink, self._batch)
        self._runs[channel] = Run(iter(source), channel, done, speech and self.network.tells_speech)

    def step(self) -> None:
        """A call of the network for all that is under way; then tells what is through."""
        for run in self._runs.values():
            run.supply()
        for channel in self._batch.advance(_core.QUEUE):
            self._runs[channel].note_speech()
        for channel, run in tuple(self._runs.items()):
            if run.error is not None or (channel.finished and not channel.fill()):
                del self._runs[channel]
                self._batch.remove(channel)
                run.end()
