# SPDX-License-Identifier: Apache-2.0
"""What `/metrics` tells, for Prometheus and for load balancers."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily

from pynna.decoding.results import Result
from pynna.model import Model
from pynna.network import build_info
from pynna.streaming.worker import RescoringWorker

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0)
_STEP_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
REASONS = ("full", "overloaded", "draining", "sessions", "token", "host", "origin", "message", "slow")


class Metrics:
    """What `/metrics` tells. Made by a `Scheduler`, or handed to it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self.registry}
        self.steps = Counter("pynna_steps", "Network steps of a group", **make)
        self.late = Counter("pynna_late_steps", "Turns that began or ended more than 20 ms late", **make)
        self.channels = Gauge("pynna_channels", "Microphones that are open", **make)
        self.sessions = Gauge("pynna_sessions", "Pages and other clients that are connected", **make)
        self.step = Histogram("pynna_step_seconds", "Work of a group's step", buckets=_STEP_BUCKETS, **make)
        self.turn = Histogram("pynna_turn_seconds", "Work of a 20 ms turn", buckets=_BUCKETS, **make)
        self.latency = Histogram(
            "pynna_latency_seconds", "From the end of a command to its action", buckets=_BUCKETS, **make
        )
        self._recent: deque[float] = deque(maxlen=1000)
        quantiles = Gauge(
            "pynna_latency_recent_seconds", "The same: quantiles of the last thousand commands", ["quantile"], **make
        )
        for q in (0.5, 0.95, 0.99):
            quantiles.labels(q).set_function(functools.partial(self._quantile, q))
        self.commands = Counter("pynna_commands", "Utterances that the car heard", ["understood"], **make)
        self.utterances = Counter("pynna_utterances", "Utterances by what became of them", ["accepted"], **make)
        self.refused = Counter("pynna_refused", "Connections and messages that were refused", ["reason"], **make)
        for reason in REASONS:  # so that all are told from the start, as 0
            self.refused.labels(reason)
        for accepted in ("true", "false"):
            self.utterances.labels(accepted)
        build = build_info()
        Info("pynna_build", "What serves", **make).info(
            {name: str(build[name]) for name in ("version", "isa", "python")}
        )
        ProcessCollector(registry=self.registry)

    def watch(
        self, model: Model, worker: RescoringWorker, gauges: Mapping[str, tuple[str, Callable[[], float]]]
    ) -> None:
        """What is asked for when it is told: gauges by name, what each is, and a function; and about the model."""
        known = {"name": model.name, "sha256": model.fingerprint, "isa": model.isa}
        Info("pynna_model", "The model", registry=self.registry).info(known)
        for name, (text, function) in gauges.items():
            Gauge(name, text, registry=self.registry).set_function(function)
        self.registry.register(_Rescored(worker))

    def observe_latency(self, seconds: float) -> None:
        """Notes how long a command took from its end to its action."""
        self.latency.observe(seconds)
        self._recent.append(seconds)

    def observe_result(self, result: Result) -> None:
        """Notes an utterance: accepted, or without a grammar some text."""
        accepted = bool(getattr(result, "accepted", bool(result.text)))
        self.utterances.labels(str(accepted).lower()).inc()

    def _quantile(self, q: float) -> float:
        return sorted(self._recent)[int(q * len(self._recent))] if self._recent else 0.0


class _Rescored:
    """What a worker counts."""

    def __init__(self, worker: RescoringWorker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily("pynna_rescored", "Utterances handed in to be rescored", self._worker.n_rescored)
        yield CounterMetricFamily(
            "pynna_rescoring_skipped", "Utterances that there was no room to rescore", self._worker.n_skipped
        )
