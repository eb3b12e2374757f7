# SPDX-License-Identifier: Apache-2.0
"""Sessions: microphones and requests that share network steps."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from pynna.assistant.metrics import Metrics
from pynna.decoding.results import GrammarResult, Result
from pynna.events import Event, Final
from pynna.streaming.group import Group, Member
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

BACKLOG = 1.0
"""Seconds of audio that may wait; who sends more has to wait, too."""

_STEPS_BEHIND = 0.1  # seconds of audio that wait where steps are in time, at most

_REMEMBERED = 500  # chunks of a microphone whose times are known: 10 s of 20 ms each


class Session(ABC):
    """A channel of a scheduler: audio in, no faster than the steps go on."""

    def __init__(self, name: str, group: Group, member: Member, metrics: Metrics) -> None:
        self.name, self.group, self._metrics = name, group, metrics
        self.channel = member.channel
        self._member = member
        self._room = asyncio.Event()

    async def feed(self, pcm: bytes) -> None:
        """Takes int16 samples, little-endian, at the model's rate; waits while too much audio does.

        Raises
        ------
        AudioError
            Half a sample.
        """
        self.take(pcm)
        while self.channel.lag > BACKLOG:
            self._room.clear()
            await self._room.wait()

    @abstractmethod
    def take(self, pcm: bytes) -> None:
        """Gives the samples to the channel."""

    @property
    @abstractmethod
    def is_quiet(self) -> bool:
        """Whether nobody waits for what was said: it may end without a loss."""

    def turn(self) -> None:
        """What is to be done after the steps of a turn."""
        if self.channel.lag <= BACKLOG:
            self._room.set()

    def close(self) -> None:
        """Leaves the group; nobody waits any more."""
        if self._member in self.group.streams:
            self.group.remove(self._member)
        self._room.set()


class MicrophoneSession(Session):
    """A microphone that stays open, whose events `heard` is told."""

    def __init__(
        self,
        name: str,
        group: Group,
        listener: Listener[GrammarResult],
        heard: Callable[[MicrophoneSession, Event[GrammarResult]], None],
        metrics: Metrics,
    ) -> None:
        super().__init__(name, group, listener, metrics)
        self.listener, self._heard = listener, heard
        self._came: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # seconds of audio so far, and when

    def take(self, pcm: bytes) -> None:
        self.listener.take(pcm)
        self._came.append((self.channel.duration, time.monotonic()))

    def since(self, at: float) -> float:
        """Seconds that have gone by since the audio of a time, in seconds of the stream, came in."""
        now = time.monotonic()
        return now - next((when for duration, when in self._came if duration >= at), now)

    @property
    def is_quiet(self) -> bool:
        return not (self.listener.speaking or self.listener.n_pending or self.channel.lag > _STEPS_BEHIND)

    def turn(self) -> None:
        for event in self.listener.poll():
            if isinstance(event, Final):
                self._metrics.observe_result(event.result)
            self._heard(self, event)
        super().turn()


class RequestSession(Session):
    """An utterance that a client sends from its beginning to its end."""

    def __init__(
        self, name: str, group: Group, stream: Stream[Result], worker: RescoringWorker, metrics: Metrics
    ) -> None:
        super().__init__(name, group, stream, metrics)
        self.stream, self._worker = stream, worker

    @property
    def is_quiet(self) -> bool:
        return False  # its client waits for the answer

    def take(self, pcm: bytes) -> None:
        self.stream.feed(pcm)

    async def finish(self) -> Result:
        """The result; a doubtful one is rescored while others' steps go on."""
        result = await asyncio.wrap_future(self.stream.finish_in(self._worker))
        self._metrics.observe_result(result)
        return result
