"""Microphones that share network steps: up to 16 in a group, stepped together every 20 ms."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pynna.errors import StateError
from pynna.model import Model
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.events import Event
from pynna.streaming.group import Group

CATCH_UP = 4
"""Steps at most in a turn: audio that comes in bursts is caught up with, and the turn stays short."""

BACKLOG = 1.0
"""Seconds of audio that may wait; who sends more has to wait, too."""

_REMEMBERED = 500  # chunks of a microphone whose times are known: 10 s of 20 ms each

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0)


class Metrics:
    """What `/metrics` tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self.registry}
        self.steps = Counter("pynna_steps", "Network steps of a group", **make)
        self.late = Counter("pynna_late_steps", "Turns that began or ended more than 20 ms late", **make)
        self.channels = Gauge("pynna_channels", "Microphones that are open", **make)
        self.sessions = Gauge("pynna_sessions", "Pages and other clients that are connected", **make)
        self.turn = Histogram("pynna_turn_seconds", "Work of a 20 ms turn", buckets=_BUCKETS, **make)
        self.latency = Histogram("pynna_latency_seconds", "From the end of a command to its action",
                                 buckets=_BUCKETS, **make)
        self._recent: deque[float] = deque(maxlen=1000)
        quantiles = Gauge("pynna_latency_recent_seconds", "The same: quantiles of the last thousand commands",
                          ["quantile"], **make)
        for q in (0.5, 0.95, 0.99):
            quantiles.labels(q).set_function(functools.partial(self._quantile, q))
        self.commands = Counter("pynna_commands", "Utterances", ["understood"], **make)
        self.refused = Counter("pynna_refused", "Connections and messages that were refused", ["reason"], **make)

    def observe_latency(self, seconds: float) -> None:
        """Notes how long a command took from its end to its action."""
        self.latency.observe(seconds)
        self._recent.append(seconds)

    def _quantile(self, q: float) -> float:
        return sorted(self._recent)[int(q * len(self._recent))] if self._recent else 0.0


class Microphone:
    """A channel of an engine; made by `Engine.join`, given back with `Engine.leave`."""

    def __init__(self, name: str, group: Group, heard: Callable[[Microphone, Event], None],
                 rules: EndpointRules | None, options: dict[str, Any]) -> None:
        self.name, self.group, self.heard = name, group, heard
        self.listener = group.listen(rules, **options)
        self._room = asyncio.Event()
        self._came: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # seconds of audio so far, and when

    async def feed(self, pcm: bytes) -> None:
        """Takes int16 samples, little-endian, at the model's rate; waits while too much audio does.

        Raises
        ------
        AudioError
            Half a sample.
        """
        self.listener.take(pcm)
        self._came.append((self.listener.channel.duration, time.monotonic()))
        while self.listener.lag > BACKLOG:
            self._room.clear()
            await self._room.wait()

    def since(self, at: float) -> float:
        """Seconds that have gone by since the audio of a time, in seconds of the stream, came in."""
        now = time.monotonic()
        return now - next((when for duration, when in self._came if duration >= at), now)

    def turn(self) -> None:
        """Tells what was heard."""
        for event in self.listener.poll():
            self.heard(self, event)
        if self.listener.lag <= BACKLOG:
            self._room.set()

    def close(self) -> None:
        """Nobody waits any more."""
        self._room.set()


class Engine:
    """Groups of microphones, stepped in the event loop."""

    def __init__(self, model: Model, *, channels: int = 16, metrics: Metrics | None = None) -> None:
        self.model, self.channels, self.metrics = model, channels, metrics or Metrics()
        self.groups: list[Group] = []
        self.microphones: list[Microphone] = []

    def join(self, name: str, heard: Callable[[Microphone, Event], None], rules: EndpointRules | None = None,
             **options: Any) -> Microphone:
        """A new microphone, whose events `heard` is told.

        Raises
        ------
        StateError
            All channels are taken.
        """
        if len(self.microphones) >= self.channels:
            raise StateError(f"all {self.channels} microphones are taken; close one or start with more --channels")
        group = next((g for g in self.groups if len(g) < 16), None)
        if group is None:
            group = self.model.group()
            self.groups.append(group)
        microphone = Microphone(name, group, heard, rules, options)
        self.microphones.append(microphone)
        self.metrics.channels.set(len(self.microphones))
        return microphone

    def leave(self, microphone: Microphone) -> None:
        """Frees a microphone's channel; again does nothing."""
        if microphone not in self.microphones:
            return
        self.microphones.remove(microphone)
        microphone.group.remove(microphone.listener)
        microphone.close()
        self.groups = [group for group in self.groups if len(group)]
        self.metrics.channels.set(len(self.microphones))

    def turn(self) -> None:
        """What is due: steps, and what came of them."""
        for group in self.groups:
            for _ in range(CATCH_UP):
                if not group.step():
                    break
                self.metrics.steps.inc()
        for microphone in tuple(self.microphones):
            microphone.turn()

    async def run(self) -> None:
        """Takes turns until cancelled."""
        period = self.model.seconds_per_step
        due = time.monotonic()
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
