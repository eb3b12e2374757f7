"""Our time beside the peers' in each way of use, and the bars that pynna holds itself to."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.measure import Case
from bench.network import Figure, percent
from bench.peers import PEERS, Peer
from bench.report import Table


@dataclass(frozen=True)
class Bar:
    """What a way of use has to reach, on a machine with AVX-512 VNNI and with the network that is 2048 wide."""

    one_thread: float               # times faster than the best peer
    more_threads: float
    limit: str = ""                 # "MACs" or "bytes", as measured in the same run
    share: float = 0.0              # of it

    def faster(self, threads: int) -> float:
        return self.one_thread if threads == 1 else self.more_threads


BARS = {(16, 1): Bar(1.25, 1.35, "MACs", 0.85), (16, 16): Bar(1.15, 1.15, "MACs", 0.88),
        (1, 1): Bar(1.1, 1.4, "bytes", 0.85), (1, 16): Bar(1.4, 1.4)}
"""By channels and steps a call."""


@dataclass(frozen=True)
class Comparison:
    """A way of use: our fastest instruction set, every peer's best form; milliseconds a step."""

    threads: int
    channels: int
    steps: int
    ours: Figure
    peers: dict[str, float]

    @property
    def best_peer(self) -> str | None:
        return min(self.peers, key=lambda name: self.peers[name]) if self.peers else None

    @property
    def faster(self) -> float | None:
        """How many times faster than the best peer."""
        return min(self.peers.values()) / self.ours.ms if self.peers else None

    @property
    def bar(self) -> Bar | None:
        return BARS.get((self.channels, self.steps))

    @property
    def share(self) -> float | None:
        """Of the limit that the bar names."""
        if not self.bar or not self.bar.limit:
            return None
        return self.ours.of_macs if self.bar.limit == "MACs" else self.ours.of_bytes

    def as_dict(self) -> dict[str, Any]:
        bar = None if not self.bar else {"faster": self.bar.faster(self.threads), "limit": self.bar.limit,
                                         "share": self.bar.share}
        return {"threads": self.threads, "channels": self.channels, "steps": self.steps, "isa": self.ours.setting.isa,
                "ms": self.ours.ms, "peers": self.peers, "best_peer": self.best_peer, "faster": self.faster,
                "share": self.share, "bar": bar}


def compare(figures: Sequence[Figure], others: Mapping[Peer, Sequence[Case]]) -> list[Comparison]:
    """A comparison for each way of use."""
    ways: dict[tuple[int, int, int], list[Figure]] = {}
    for f in figures:
        ways.setdefault((f.setting.threads, f.setting.channels, f.setting.steps), []).append(f)
    best = {peer: min(1e3 * case.best for case in cases) for peer, cases in others.items()}
    return [Comparison(*way, min(found, key=lambda f: f.ms),
                       {p.name: ms for p, ms in best.items() if (p.threads, p.channels, p.steps) == way})
            for way, found in ways.items()]


def table(comparisons: Sequence[Comparison]) -> Table:
    """For people: a row a way of use, and whether it reaches its bars."""
    names = [name for name in PEERS if any(name in c.peers for c in comparisons)]
    made = Table("threads", "channels", "steps", "pynna", *names, "faster", "bar", "of the limit", "bar")
    for c in comparisons:
        bar = c.bar
        shown = "-" if c.faster is None else f"{c.faster:.2f} x"
        wanted = "-" if not bar or c.faster is None else _verdict(f"{bar.faster(c.threads):.2f}", c.faster,
                                                                  bar.faster(c.threads))
        share = "-" if c.share is None or not bar else f"{percent(c.share)} of {bar.limit}"
        made.add(str(c.threads), str(c.channels), str(c.steps), f"{c.ours.ms:.3f}",
                 *(f"{c.peers[name]:.3f}" if name in c.peers else "-" for name in names), shown, wanted, share,
                 "-" if c.share is None or not bar else _verdict(percent(bar.share), c.share, bar.share))
    return made


def _verdict(text: str, value: float, wanted: float) -> str:
    return f"{text} {'met' if value >= wanted else 'missed'}"


def forms(others: Mapping[Peer, Sequence[Case]]) -> list[dict[str, Any]]:
    """Every form of every peer, for JSON."""
    return [{**asdict(peer), "form": case.name[1], "ms": 1e3 * case.best, "median_ms": 1e3 * case.median}
            for peer, cases in others.items() for case in cases]
