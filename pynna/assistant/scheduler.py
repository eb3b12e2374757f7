# SPDX-License-Identifier: Apache-2.0
"""The steps of all sessions: up to 16 in a group, stepped together every 20 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pynna.assistant.metrics import Metrics
from pynna.assistant.session import MicrophoneSession, RequestSession, Session
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
"""Steps at most in a turn: audio that comes in bursts is caught up with, and the turn stays short."""


AnySession = TypeVar("AnySession", bound=Session)


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
    """

    def __init__(
        self, model: Model, *, channels: int = 16, catch_up: int = CATCH_UP, metrics: Metrics | None = None
    ) -> None:
        self.model, self.channels, self.metrics = model, channels, metrics or Metrics()
        self.worker = RescoringWorker()
        self.groups: list[Group] = []
        self.sessions: list[Session] = []
        self._catch_up = catch_up

    @property
    def microphones(self) -> list[MicrophoneSession]:
        """The sessions that are microphones."""
        return [session for session in self.sessions if isinstance(session, MicrophoneSession)]

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
        CapacityError
            All channels are taken.
        """
        group = self._group()
        listener = group.listen(rules, self.worker, grammar=grammar, **options)
        return self._join(MicrophoneSession(name, group, listener, heard))

    def open_request(self, name: str, grammar: Grammar | None = None) -> RequestSession:
        """A new utterance, to be sent from its beginning to its end. Raises CapacityError as ``open_microphone``."""
        group = self._group()
        stream: Stream[Result] = group.stream() if grammar is None else group.stream(grammar=grammar)
        return self._join(RequestSession(name, group, stream, self.worker))

    def _group(self) -> Group:
        if len(self.sessions) >= self.channels:
            raise CapacityError(f"all {self.channels} microphones are taken; close one or start with more --channels")
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

    def turn(self) -> None:
        """What is due: steps, and what came of them."""
        for group in self.groups:
            for _ in range(self._catch_up):
                if not group.step():
                    break
                self.metrics.steps.inc()
        for session in tuple(self.sessions):
            session.turn()

    async def run(self) -> None:
        """Takes turns until cancelled."""
        period = self.model.seconds_per_step
        due = time.monotonic()
        try:
            while True:
                due += period
                begun = time.monotonic()
                self.turn()
                done = time.monotonic()
                self.metrics.turn.observe(done - begun)
                if done > due + period:
                    self.metrics.late.inc()
                    due = done
                await asyncio.sleep(max(0.0, due - done))
        finally:
            self.worker.close()
