# SPDX-License-Identifier: Apache-2.0
"""Timing: cases visited in turn, again and again, so that a slow second of the machine meets all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import Core

Array = NDArray[Any]

MAX_CALLS = 200  # of a case on one visit
PEAK_ROUNDS = 100_000  # of the register loop, under a millisecond


@dataclass
class Case:
    """Something to be timed.

    Attributes
    ----------
    name : tuple
        What tells it from the others.
    call : callable (repeats) -> float64 [repeats]
        Runs it; seconds of each run, measured in C.
    units : float
        What a run consists of: frames, bytes, MACs; times are given for one.
    seconds : list of float64 arrays
        What was measured, an array a visit.
    """

    name: tuple[Any, ...]
    call: Callable[[int], Array]
    units: float = 1.0
    seconds: list[Array] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least, in seconds a unit: what the machine can do when nothing disturbs."""
        return float(min(part.min() for part in self.seconds)) / self.units

    @property
    def median(self) -> float:
        return float(np.median(np.concatenate(self.seconds))) / self.units


def interleave(cases: Sequence[Case], *, seconds: float, visit: float = 0.01, rest: float = 0.0) -> int:
    """Visits all cases in turn until `seconds` have passed, once at least; the number of rounds.

    A visit repeats a case for about `visit` seconds, twice at least: the first run finds the caches as the case before
    left them. It begins with a `rest`, in which the threads of the case before fall asleep.
    """
    repeats: dict[tuple[Any, ...], int] = {}
    for case in cases:  # a look at each, not counted
        took = float(case.call(2).min())
        repeats[case.name] = min(max(math.ceil(visit / max(took, 1e-9)), 2), MAX_CALLS)
    end = time.perf_counter() + seconds
    rounds = 0
    while not rounds or time.perf_counter() < end:
        for case in cases:
            time.sleep(rest)
            case.seconds.append(case.call(repeats[case.name]))
        rounds += 1
    return rounds


@dataclass(frozen=True)
class Limits:
    """What the machine can do, measured in the same run: MACs a second by (isa, threads), bytes a second by threads."""

    macs: dict[tuple[str, int], float]
    bytes: dict[int, float]

    def as_dict(self) -> dict[str, Any]:
        return {
            "gmac_s": {f"{isa}, {n} threads": value / 1e9 for (isa, n), value in self.macs.items()},
            "gb_s": {f"{n} threads": value / 1e9 for n, value in self.bytes.items()},
        }

    def lines(self) -> list[str]:
        """For people."""
        reading = ", ".join(f"{value / 1e9:.1f} GB/s with {n}" for n, value in self.bytes.items())
        macs = ", ".join(f"{isa} {value / 1e9:.0f} GMAC/s with {n}" for (isa, n), value in self.macs.items())
        return [f"limits measured in this run (threads): reading the weights {reading}; registers alone {macs or '-'}"]


class LimitCases:
    """The machine's limits as cases, to be interleaved with what is held against them."""

    def __init__(self, core: Core, isas: Sequence[str], threads: Sequence[int], data: Any, size: int) -> None:
        self.core = core
        self.reading = {n: Case(("read", n), self._reader(data, size, n), size) for n in threads}
        macs = {isa: core.driver.bench_peak_macs(isa.encode()) * PEAK_ROUNDS for isa in isas}
        self.macs = {
            (isa, n): Case(("macs", isa, n), self._peak(isa, n), macs[isa] * n)
            for isa in isas
            for n in threads
            if macs[isa]
        }

    @property
    def cases(self) -> list[Case]:
        return [*self.reading.values(), *self.macs.values()]

    def _reader(self, data: Any, size: int, n_threads: int) -> Callable[[int], Array]:
        return lambda repeats: self.core.timed(self.core.driver.bench_read, data, size, n_threads, repeats=repeats)

    def _peak(self, isa: str, n_threads: int) -> Callable[[int], Array]:
        peak = self.core.driver.bench_peak
        return lambda repeats: self.core.timed(peak, isa.encode(), n_threads, PEAK_ROUNDS, repeats=repeats)

    def result(self) -> Limits:
        return Limits(
            {key: 1 / case.best for key, case in self.macs.items()},
            {n: 1 / case.best for n, case in self.reading.items()},
        )
