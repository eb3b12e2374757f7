# SPDX-License-Identifier: Apache-2.0
"""What is measured and shown: settings, figures, comparisons, the accelerator's published times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ACCELERATOR_MS = {"8 TOPS": 1.22, "0.8 TOPS": 4.90}  # published, a step of 1 to 16 channels
DEEPSPEECH_WEIGHTS = 47_200_000  # of the network that they are published for


@dataclass(frozen=True)
class Setting:
    """One way of use."""

    isa: str
    threads: int
    channels: int
    steps: int  # a call
    bits: int = 8  # 4: of the network in which some layers' weights have 4 bits


@dataclass(frozen=True)
class Figure:
    """What was measured in a setting.

    Attributes
    ----------
    setting : Setting
    ms, median_ms : float
        A step of all channels; the least, and the median.
    gmac_s : float
    gb_s : float
        Weights that have to be read, over the time: all of them a call, the recurrent ones again each step.
    of_macs, of_bytes : float or None
        Shares of the limits measured in the same run, with the same threads.
    """

    setting: Setting
    ms: float
    median_ms: float
    gmac_s: float
    gb_s: float
    of_macs: float | None
    of_bytes: float

    @property
    def intensity(self) -> float:
        """MACs for each byte of weights that has to be read."""
        return self.gmac_s / self.gb_s

    @property
    def of_limit(self) -> float:
        """The share of whichever limit is nearer."""
        return max(self.of_macs or 0.0, self.of_bytes)


@dataclass(frozen=True)
class Shape:
    """A layer as the kernel sees it, padded."""

    rows: int
    columns: int
    layers: str

    @property
    def size(self) -> int:
        """Weights."""
        return self.rows * self.columns


@dataclass(frozen=True)
class KernelFigure:
    """What was measured in a setting; shares are of the limits measured in the same run."""

    isa: str
    shape: Shape
    channels: int
    streamed: bool
    bits: int
    seconds: float
    median_seconds: float
    gmac_s: float
    gb_s: float
    of_macs: float | None
    of_bytes: float


@dataclass(frozen=True)
class Bar:
    """What a way of use has to reach, on a machine with AVX-512 VNNI and with the network that is 2048 wide."""

    one_thread: float  # times faster than the best peer
    more_threads: float
    limit: str = ""  # "MACs" or "bytes", as measured in the same run
    share: float = 0.0  # of it

    def faster(self, threads: int) -> float:
        return self.one_thread if threads == 1 else self.more_threads


BARS = {
    (16, 1): Bar(1.25, 1.35, "MACs", 0.85),
    (16, 16): Bar(1.15, 1.15, "MACs", 0.88),
    (1, 1): Bar(1.1, 1.4, "bytes", 0.85),
    (1, 16): Bar(1.4, 1.4),
}
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
        bar = (
            None
            if not self.bar
            else {"faster": self.bar.faster(self.threads), "limit": self.bar.limit, "share": self.bar.share}
        )
        return {
            "threads": self.threads,
            "channels": self.channels,
            "steps": self.steps,
            "isa": self.ours.setting.isa,
            "ms": self.ours.ms,
            "peers": self.peers,
            "best_peer": self.best_peer,
            "faster": self.faster,
            "share": self.share,
            "bar": bar,
        }


@dataclass(frozen=True)
class Row:
    """A machine in the terms of the published table."""

    name: str
    ms: float  # a step of 16 channels
    inferences: float  # such steps a second
    one_channel: float  # share of the machine that one live channel takes
    channels: float  # live ones at full load


def percent(share: float | None) -> str:
    """A share for a table."""
    return "-" if share is None else f"{100 * share:.0f}%"
