# SPDX-License-Identifier: Apache-2.0
"""The time that clients may take between two turns of the steps: who speaks first, then the others one by one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Iterator

CLIENT_SECONDS = 0.006
"""Of the event loop's time in a turn of 20 ms, for all clients but microphones."""

DEBT = 4
"""Turns' time that may be taken from the next turns at most: of a piece that was long, or waited after all."""


class Turnstile:
    """Lets the work of clients through in pieces: none while a turn of the steps is due, and no more of it in a turn
    than its time, so that whatever clients send the steps are in time.

    Who speaks (`audio`) waits for the steps alone. What was more than the time is taken from the next turns'. One piece
    is let through after every turn, even where the steps themselves are late, and every other one is not of who speaks:
    an overloaded server still answers.

    Attributes
    ----------
    due : float
        When the next turn is due, by `time.monotonic`; infinite where there are none.
    """

    def __init__(self, seconds: float = CLIENT_SECONDS) -> None:
        self.due = float("inf")
        self._seconds = self._left = seconds
        self._speaking: deque[Callable[[], object]] = deque()
        self._waiting: deque[Callable[[], object]] = deque()
        self._next: asyncio.Handle | None = None
        self._one = False  # piece is let through, come what may
        self._n_turns = 0

    def is_open(self, *, audio: bool = False) -> bool:
        """Whether a piece may be done at once."""
        if time.monotonic() >= self.due:
            return False
        return not self._speaking if audio else self._left > 0 and not self._waiting and not self._speaking

    def call(self, work: Callable[[], object], *, audio: bool = False) -> None:
        """Calls `work` when its turn comes: later, never at once."""
        (self._speaking if audio else self._waiting).append(work)
        if self._next is None and time.monotonic() < self.due:
            self._next = asyncio.get_running_loop().call_soon(self._let_through)

    async def enter(self, *, audio: bool = False) -> None:
        """Waits until a piece may be done."""
        if not self.is_open(audio=audio):
            come = asyncio.get_running_loop().create_future()
            self.call(functools.partial(_set, come), audio=audio)
            await come

    @contextlib.contextmanager
    def piece(self, *, audio: bool = False) -> Iterator[None]:
        """Counts what is done inside, which waits for nothing."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            if not audio:
                self._left = max(self._left - (time.perf_counter() - begun), -DEBT * self._seconds)

    def turned(self) -> None:
        """A turn of the steps is over: clients may go on."""
        self._left, self._one = min(self._seconds, self._left + self._seconds), True
        self._n_turns += 1
        if self._next is None and (self._speaking or self._waiting):
            self._next = asyncio.get_running_loop().call_soon(self._let_through)

    def _let_through(self) -> None:
        """One piece; the next follows when the loop has looked at its clock."""
        self._next = None
        is_one, self._one = self._one, False
        is_late = time.monotonic() >= self.due
        if is_late and not is_one:
            return
        if self._speaking and not (is_late and self._waiting and self._n_turns % 2 == 0):
            self._speaking.popleft()()
        elif self._waiting and (self._left > 0 or is_one):
            self._waiting.popleft()()
        else:
            return
        if self._speaking or self._waiting:
            self._next = asyncio.get_running_loop().call_soon(self._let_through)


def _set(come: asyncio.Future[None]) -> None:
    if not come.done():  # else its client has gone
        come.set_result(None)
