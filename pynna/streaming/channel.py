# SPDX-License-Identifier: Apache-2.0
"""A channel of the network: PCM in, log-probabilities out to a sink; alone, or up to 16 through one step in a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.pcm import Pcm
from pynna.errors import ArgumentError, CapacityError
from pynna.network import Network


class Channel:
    """Audio on its way through the network.

    Parameters
    ----------
    network : Network
    sink : _core.Decoder
        What takes the log-probabilities: a decoder of the core, or its Collector.
    batch : Batch, optional
        The batch that runs it; without one its windows are run as they come in.
    after_step : callable, optional
        What is done after each step; a call then runs one step at a time.
    max_log : int
        Frames of log-probabilities that are kept, see `_core.Channel.log`.

    Raises
    ------
    CapacityError
        The batch is full.
    """

    def __init__(
        self,
        network: Network,
        sink: _core.Decoder,
        batch: Batch | None = None,
        after_step: Callable[[], None] | None = None,
        max_log: int = 0,
    ) -> None:
        self.network = network
        self.after_step = after_step
        self.core = _core.Channel(network.core, sink, max_log)
        self.n_samples = 0
        self.finished = False
        self._waiting: deque[Pcm] = deque()  # audio until there is room for its frames
        self._flushed = False
        self._batch = batch
        if batch is not None:
            batch.join(self)

    @property
    def duration(self) -> float:
        """Seconds of audio fed so far."""
        return self.n_samples / self.network.sample_rate

    @property
    def lag(self) -> float:
        """Seconds of audio that have not been through a step yet, but for the network's look-ahead."""
        n = self.n_waiting + self.core.ready * int(self.network.geometry["step"])
        return n / self.network.sample_rate

    @property
    def n_waiting(self) -> int:
        """Samples that wait for room."""
        return sum(map(len, self._waiting))

    @property
    def waiting(self) -> Pcm:
        """The samples that wait for room, a copy."""
        return np.concatenate([np.zeros(0, np.int16), *self._waiting])

    def take_up(self, n_samples: int, waiting: Pcm) -> None:
        """Goes on where another channel left off after so many samples, of which these wait."""
        self.n_samples = n_samples
        self._waiting = deque([waiting] if len(waiting) else [])

    @property
    def state(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """The network's states as they are now: c int16 [n_cell], h int8 [n_cell], copies."""
        return self.core.state

    def reset_state(self) -> None:
        """The network's states as at the start of a stream; what is to be decoded stays."""
        c, h = self.core.state
        self.core.state = np.zeros_like(c), np.zeros_like(h)

    def feed(self, pcm: Pcm) -> None:
        """Takes samples at the network's rate; alone they are run at once, in a batch at its next step."""
        self.n_samples += len(pcm)
        # a batch's audio waits, and the caller may fill the same array again meanwhile
        self._waiting.append(pcm if self._batch is None else pcm.copy())
        if self._batch is None:
            self._run()

    def finish(self) -> None:
        """Ends the audio as DeepSpeech does, and runs what is left; in a batch the others go on with it."""
        self.finished = True
        if self._batch is None:
            self._run()
        else:
            self._batch.drain(self)

    def leave(self) -> None:
        """Leaves its batch; it may go on alone."""
        if self._batch is not None and self in self._batch:
            self._batch.remove(self)
        self._batch = None

    def fill(self) -> int:
        """Makes frames of the audio that waits, as far as there is room; returns how many windows are ready."""
        while self._waiting:
            chunk = self._waiting[0]
            taken = self.core.feed(chunk)
            if taken < len(chunk):
                self._waiting[0] = chunk[taken:]
                return self.core.ready
            self._waiting.popleft()
        if self.finished and not self._flushed:
            self.core.finish()
            self._flushed = True
        return self.core.ready

    def _run(self) -> None:
        """Steps until no window is left."""
        while ready := self.fill():
            self.network.advance([self.core], 1 if self.after_step else min(ready, _core.QUEUE))
            if self.after_step:
                self.after_step()


class Batch:
    """Up to 16 channels through one step call, joining and leaving at any step; each gets the bits that it would get
    alone."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._channels: list[Channel] = []

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._channels

    def check_room(self) -> None:
        """Raises CapacityError when 16 channels have joined."""
        if len(self._channels) == _core.MAX_CHANNELS:
            raise CapacityError(
                f"the group is full with {_core.MAX_CHANNELS} streams; finish one or open another group"
            )

    def join(self, channel: Channel) -> None:
        """Takes a channel in. Raises CapacityError as `check_room`."""
        self.check_room()
        self._channels.append(channel)

    def check_member(self, channel: Channel) -> None:
        """Raises ArgumentError for a channel that has not joined."""
        if channel not in self._channels:
            raise ArgumentError("the stream is not in this group")

    def remove(self, channel: Channel) -> None:
        """Lets a channel go. Raises ArgumentError as `check_member`."""
        self.check_member(channel)
        self._channels.remove(channel)

    def step(self) -> int:
        """One step of every channel that has a window ready; returns how many had."""
        ready = self.advance(1)
        for channel in ready:
            if channel.after_step:
                channel.after_step()
        return len(ready)

    def advance(self, max_steps: int) -> list[Channel]:
        """As many steps, up to `max_steps`, as all channels with a window ready have; returns these channels. What is
        to be done after a step is left to the caller."""
        ready = [channel for channel in self._channels if channel.fill()]
        if ready:
            cores = [channel.core for channel in ready]
            self.network.advance(cores, min(max_steps, *(core.ready for core in cores)))
        return ready

    def run(self) -> int:
        """Steps until no channel has a window ready; returns the number of steps."""
        steps = 0
        while self.step():
            steps += 1
        return steps

    def drain(self, channel: Channel) -> None:
        """Runs the batch until a finished channel is through; then it leaves."""
        if channel not in self._channels:
            return
        while channel.fill():
            self.step()
        self._channels.remove(channel)
