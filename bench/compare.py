# SPDX-License-Identifier: Apache-2.0
"""Our time beside the peers' in each way of use, and the bars that pynna holds itself to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.figures import Comparison, Figure, percent
from bench.measure import Case
from bench.peers import PEERS, Peer
from bench.report import Table


def compare(figures: Sequence[Figure], others: Mapping[Peer, Sequence[Case]]) -> list[Comparison]:
    """A comparison for each way of use."""
    ways: dict[tuple[int, int, int], list[Figure]] = {}
    for f in figures:
        ways.setdefault((f.setting.threads, f.setting.channels, f.setting.steps), []).append(f)
    best = {peer: min(1e3 * case.best for case in cases) for peer, cases in others.items()}
    return [
        Comparison(
            *way,
            min(found, key=lambda f: f.ms),
            {p.name: ms for p, ms in best.items() if (p.threads, p.channels, p.steps) == way},
        )
        for way, found in ways.items()
    ]


def table(comparisons: Sequence[Comparison]) -> Table:
    """For people: a row a way of use, and whether it reaches its bars."""
    names = [name for name in PEERS if any(name in c.peers for c in comparisons)]
    made = Table("threads", "channels", "steps", "pynna", *names, "faster", "bar", "of the limit", "bar")
    for c in comparisons:
        bar = c.bar
        shown = "-" if c.faster is None else f"{c.faster:.2f} x"
        wanted = (
            "-"
            if not bar or c.faster is None
            else _verdict(f"{bar.faster(c.threads):.2f}", c.faster, bar.faster(c.threads))
        )
        share = "-" if c.share is None or not bar else f"{percent(c.share)} of {bar.limit}"
        made.add(
            str(c.threads),
            str(c.channels),
            str(c.steps),
            f"{c.ours.ms:.3f}",
            *(f"{c.peers[name]:.3f}" if name in c.peers else "-" for name in names),
            shown,
            wanted,
            share,
            "-" if c.share is None or not bar else _verdict(percent(bar.share), c.share, bar.share),
        )
    return made


def _verdict(text: str, value: float, wanted: float) -> str:
    return f"{text} {'met' if value >= wanted else 'missed'}"


def forms(others: Mapping[Peer, Sequence[Case]]) -> list[dict[str, Any]]:
    """Every form of every peer, for JSON."""
    return [
        {**asdict(peer), "form": case.name[1], "ms": 1e3 * case.best, "median_ms": 1e3 * case.median}
        for peer, cases in others.items()
        for case in cases
    ]
