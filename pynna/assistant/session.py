# SPDX-License-Identifier: Apache-2.0
"""Sessions: microphones and requests that share network steps."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from pynna.decoding.results import GrammarResult, Result
from pynna.events import Event
from pynna.streaming.group import Group, Member
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

BACKLOG = 1.0
"""Seconds of audio that may wait; who sends more has to wait, too."""

_REMEMBERED = 500  # chunks of a microphone whose times are known: 10 s of 20 ms each


class Session(ABC):
    """A channel of a scheduler: audio in, no faster than the steps go on."""

    def __init__(self, name: str, group: Group, member: Member) -> None:
        self.name, self.group = name, group
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
        self._take(pcm)
        while self.channel.lag > BACKLOG:
            self._room.clear()
            await self._room.wait()

    @abstractmethod
    def _take(self, pcm: bytes) -> None:
        """Gives the samples to the channel."""

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
    ) -> None:
        super().__init__(name, group, listener)
        self.listener, self._heard = listener, heard
        self._came: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # seconds of audio so far, and when

    def _take(self, pcm: bytes) -> None:
        self.listener.take(pcm)
        self._came.append((self.channel.duration, time.monotonic()))

    def since(self, at: float) -> float:
        """Seconds that have gone by since the audio of a time, in seconds of the stream, came in."""
        now = time.monotonic()
        return now - next((when for duration, when in self._came if duration >= at), now)

    def turn(self) -> None:
        for event in self.listener.poll():
            self._heard(self, event)
        super().turn()


class RequestSession(Session):
    """An utterance that a client sends from its beginning to its end."""

    def __init__(self, name: str, group: Group, stream: Stream[Result], worker: RescoringWorker) -> None:
        super().__init__(name, group, stream)
        self.stream, self._worker = stream, worker

    def _take(self, pcm: bytes) -> None:
        self.stream.feed(pcm)

    async def finish(self) -> Result:
        """The result; a doubtful one is rescored while others' steps go on."""
        return await asyncio.wrap_future(self.stream.finish_in(self._worker))
