# SPDX-License-Identifier: Apache-2.0
"""The steps of all sessions: up to 16 in a group, stepped together every 20 ms; and who may come in."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pynna.assistant.metrics import Metrics
from pynna.assistant.session import MicrophoneSession, RequestSession, Session
from pynna.assistant.turnstile import Turnstile
from pynna.decoding.options import GrammarSearchOptions
from pynna.decoding.results import GrammarResult, Result
from pynna.errors import CapacityError
from pynna.events import Event
from pynna.grammar import Grammar
from pynna.model import Model
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.group import Group
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

if TYPE_CHECKING:
    from typing_extensions import Unpack

CATCH_UP = 4
"""Steps at most in a turn, as far as its time reaches: audio that comes in bursts is caught up with, and the turn stays
short."""

WITHIN = 0.75
"""The share of a turn's time in which another step must end, or it is left to the next."""

RETRY_AFTER = 5
"""Seconds after which who was refused may try again."""

OVERLOAD, LATE = 0.85, 0.5
"""Seconds of work for a second of audio, and share of late turns, from which nobody else is taken in."""

_WATCHED = 100  # turns that these are taken from: 2 s
_FEW = 10  # steps, with less of which nothing is known

SWITCH_SECONDS = 0.0005
"""After which another thread, that rescores or compiles, hands the interpreter back: a tenth of Python's own."""

AnySession = TypeVar("AnySession", bound=Session)


def put_steps_first() -> None:
    """For a process that serves, when all that it needs is loaded: the garbage collector goes through none of that
    again, which takes 50 ms in which no step is taken, and other threads keep the interpreter for less time."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)


class BusyError(CapacityError):
    """A server takes nobody in now.

    Attributes
    ----------
    reason : str
        "full": all places are taken; "overloaded": the steps are not in time; "draining": the server is being stopped.
    retry_after : int
        Seconds after which to try again.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason, self.retry_after = reason, RETRY_AFTER


class Scheduler:
    """Groups of sessions, stepped in the event loop; doubtful utterances are rescored by a worker beside it.

    Parameters
    ----------
    model : Model
    channels : int
        Sessions at once.
    catch_up : int
        Steps at most in a turn.
    metrics : Metrics, optional

    Attributes
    ----------
    draining : bool
        Nobody else is taken in: the server is being stopped.
    turnstile : Turnstile
        Where clients' other work waits while steps are due.
    """

    def __init__(
        self, model: Model, *, channels: int = 16, catch_up: int = CATCH_UP, metrics: Metrics | None = None
    ) -> None:
        self.model, self.channels, self.metrics = model, channels, metrics or Metrics()
        self.worker = RescoringWorker()
        self.groups: list[Group] = []
        self.sessions: list[Session] = []
        self.draining = False
        self.turnstile = Turnstile()
        self._catch_up = catch_up
        self._is_behind = False
        self._turns: deque[tuple[float, int]] = deque(maxlen=_WATCHED)  # seconds of work, steps
        self._late: deque[bool] = deque(maxlen=_WATCHED)
        self.metrics.watch(
            model,
            self.worker,
            {
                "pynna_channels_limit": ("Microphones at once, at most", lambda: self.channels),
                "pynna_load": ("Seconds of work for a second of audio, in the last 2 s", lambda: self.load),
                "pynna_late_share": ("Share of the last turns that were late", lambda: self.late_share),
                "pynna_ready": ("1 where another microphone is taken in", lambda: self.refusal() is None),
                "pynna_draining": ("1 where the server is being stopped", lambda: self.draining),
                "pynna_rescoring_pending": ("Utterances that wait to be rescored", lambda: self.worker.n_pending),
            },
        )

    @property
    def microphones(self) -> list[MicrophoneSession]:
        """The sessions that are microphones."""
        return [session for session in self.sessions if isinstance(session, MicrophoneSession)]

    # ---- who may come in -------------------------------------------------------------------------------------------

    @property
    def load(self) -> float:
        """Seconds of work for a second of audio, of the last 2 s; 0 where next to nothing was to be done."""
        steps = sum(n for _, n in self._turns)
        return (
            sum(work for work, n in self._turns if n) / (steps * self.model.seconds_per_step) if steps > _FEW else 0.0
        )

    @property
    def late_share(self) -> float:
        """The share of the last hundred turns with something to do that were late."""
        return sum(self._late) / _WATCHED

    def refusal(self) -> BusyError | None:
        """Why nobody is taken in now; None where somebody is."""
        if self.draining:
            return BusyError("draining", "the server is being stopped; try another one")
        if len(self.sessions) >= self.channels:
            return BusyError(
                "full", f"all {self.channels} microphones are taken; close one or start with more --channels"
            )
        if (load := self.load) > OVERLOAD or (late := self.late_share) > LATE:
            told = f"a second of audio takes {load:.2f} s" if load > OVERLOAD else f"{late:.0%} of the turns are late"
            return BusyError("overloaded", f"the machine does not keep up: {told}; try again later")
        return None

    def open_microphone(
        self,
        name: str,
        heard: Callable[[MicrophoneSession, Event[GrammarResult]], None],
        grammar: Grammar,
        rules: EndpointRules | None = None,
        **options: Unpack[GrammarSearchOptions],
    ) -> MicrophoneSession:
        """A new microphone, whose events `heard` is told.

        Raises
        ------
        BusyError
            All channels are taken, the machine does not keep up, or it is being stopped.
        """
        group = self._group()
        listener = group.listen(rules, self.worker, grammar=grammar, **options)
        return self._join(MicrophoneSession(name, group, listener, heard, self.metrics))

    def open_request(self, name: str, grammar: Grammar | None = None) -> RequestSession:
        """A new utterance, to be sent from its beginning to its end. Raises BusyError as ``open_microphone``."""
        group = self._group()
        stream: Stream[Result] = group.stream() if grammar is None else group.stream(grammar=grammar)
        return self._join(RequestSession(name, group, stream, self.worker, self.metrics))

    def _group(self) -> Group:
        if (refused := self.refusal()) is not None:
            self.metrics.refused.labels(refused.reason).inc()
            raise refused
        group = next((g for g in self.groups if len(g) < 16), None)
        if group is None:
            group = self.model.group()
            self.groups.append(group)
        return group

    def _join(self, session: AnySession) -> AnySession:
        self.sessions.append(session)
        self.metrics.channels.set(len(self.sessions))
        return session

    def leave(self, session: Session) -> None:
        """Frees a session's channel; again does nothing."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        session.close()
        self.groups = [group for group in self.groups if len(group)]
        self.metrics.channels.set(len(self.sessions))

    async def drain(self, seconds: float, quiet: Callable[[], bool]) -> None:
        """Takes nobody in any more, and waits until it is `quiet`, but so many seconds at most."""
        self.draining = True
        end = time.monotonic() + seconds
        while not quiet() and time.monotonic() < end:
            await asyncio.sleep(self.model.seconds_per_step)

    # ---- steps -----------------------------------------------------------------------------------------------------

    def turn(self) -> int:
        """What is due: steps, and what came of them; returns the most steps that a group took."""
        end = time.perf_counter() + WITHIN * self.model.seconds_per_step
        stepping, n, longest = list(self.groups), 0, 0.0
        while stepping and n < self._catch_up and (n == 0 or time.perf_counter() + longest < end):
            begun = time.perf_counter()
            stepping = [group for group in stepping if self._step(group)]
            longest = max(longest, time.perf_counter() - begun)
            n += bool(stepping)
        self._is_behind = bool(stepping) and n < self._catch_up
        for session in tuple(self.sessions):
            session.turn()
        self.turnstile.turned()
        return n

    def _step(self, group: Group) -> int:
        begun = time.perf_counter()
        if n_streams := group.step():
            self.metrics.step.observe(time.perf_counter() - begun)
            self.metrics.steps.inc()
        return n_streams

    async def run(self) -> None:
        """Takes turns until cancelled."""
        period = self.model.seconds_per_step
        due = time.monotonic()
        try:
            while True:
                due += period
                self.turnstile.due = due
                begun = time.monotonic()
                n_steps = self.turn()
                done = time.monotonic()
                self.metrics.turn.observe(done - begun)
                self._turns.append((done - begun, n_steps))
                if n_steps:  # who does nothing is not overloaded
                    self._late.append(done > due + period)
                if done > due + period:
                    self.metrics.late.inc()
                    due = done
                if self._is_behind:  # the steps that this turn had no time for
                    due = min(due, done + period / 10)
                self.turnstile.due = due
                await asyncio.sleep(max(0.0, due - done))
        finally:
            self.worker.close()
