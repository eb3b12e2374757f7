# SPDX-License-Identifier: Apache-2.0
"""What `/metrics` tells."""

from __future__ import annotations

import functools
from collections import deque
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.latency = Histogram(
            "pynna_latency_seconds", "From the end of a command to its action", buckets=_BUCKETS, **make
        )
        self._recent: deque[float] = deque(maxlen=1000)
        quantiles = Gauge(
            "pynna_latency_recent_seconds", "The same: quantiles of the last thousand commands", ["quantile"], **make
        )
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
