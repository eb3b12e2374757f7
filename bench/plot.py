# SPDX-License-Identifier: Apache-2.0
"""Pictures: rooflines of what was measured, PNG by matplotlib (pip install '.[bench]')."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import ACCELERATOR_MS, DEEPSPEECH_WEIGHTS, Comparison, Figure, KernelFigure, Row
from bench.measure import Limits
from bench.peers import PEERS

INK, SOFT, FAINT = "#1d2433", "#667085", "#e4e7ec"
# Told apart by people who see colours differently, too (after Okabe and Ito).
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a3324f", "#7b5ea7"
MAX_TIMES_OURS = 6.0  # times as long as ours: a longer bar is cut
ISA_COLOURS = {
    "amx": RED,
    "avx512vnni": BLUE,
    "avxvnni": PURPLE,
    "avx2": ORANGE,
    "neon": ORANGE,
    "neondot": PURPLE,
    "neoni8mm": BLUE,
}


def add_argument(parser: argparse.ArgumentParser) -> None:
    """--plot of a command."""
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="a picture of it, too")


@dataclass(frozen=True)
class Series:
    """Points that belong together: MACs a byte of weights, GMAC/s, and what stands beside each."""

    name: str
    colour: str
    marker: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = ()
    filled: bool = True
    line: str = ""


@dataclass(frozen=True)
class Roof:
    """A limit: bandwidth up to where the MACs end."""

    name: str
    colour: str
    gb_s: float
    gmac_s: float
    width: float = 2.0


@dataclass(frozen=True)
class Chart:
    """A roofline's contents."""

    roofs: Sequence[Roof]
    series: Sequence[Series] = field(default_factory=tuple)


def _figure(columns: Sequence[float], title: str, lines: Sequence[str]) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "axes.edgecolor": SOFT,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
        }
    )
    figure, axes = pyplot.subplots(1, len(columns), figsize=(sum(columns), 6.6), width_ratios=columns, squeeze=False)
    figure.subplots_adjust(left=0.8 / sum(columns), right=1 - 0.3 / sum(columns), top=0.83, bottom=0.11, wspace=0.28)
    left = 0.8 / sum(columns)
    figure.text(left, 0.945, title, fontsize=15, fontweight="bold")
    figure.text(left, 0.87, "\n".join(lines), fontsize=9, color=SOFT, linespacing=1.5)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def _roofline(axis: Any, chart: Chart) -> None:
    """Both axes logarithmic; what is bound by bandwidth lies along the slope, what is bound by MACs under the roof."""
    xs = [x for s in chart.series for x, _ in s.points]
    ys = [y for s in chart.series for _, y in s.points] + [roof.gmac_s for roof in chart.roofs]
    left, right = min(xs) / 1.6, max(xs) * 2.2
    axis.set(
        xscale="log",
        yscale="log",
        xlim=(left, right),
        ylim=(min(ys) / 1.7, max(ys) * 1.9),
        xlabel="MACs for each byte of weights that is read",
        ylabel="GMAC a second",
    )
    axis.grid(which="major", color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(which="minor", length=0)
    ticks = [t for t in (1, 2, 4, 8, 16, 32, 64, 128, 256) if left <= t <= right]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    bottom, top = axis.get_ylim()
    marks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if bottom <= t <= top]
    axis.set_yticks(marks, [str(t) for t in marks])
    for roof in chart.roofs:
        ridge = roof.gmac_s / roof.gb_s
        axis.plot(
            [left, ridge, right],
            [left * roof.gb_s, roof.gmac_s, roof.gmac_s],
            color=roof.colour,
            linewidth=roof.width,
            solid_joinstyle="miter",
            zorder=2,
        )
        axis.annotate(
            f"{roof.name}: {roof.gmac_s:.0f} GMAC/s",
            (right, roof.gmac_s),
            (-4, 4),
            ha="right",
            va="bottom",
            textcoords="offset points",
            color=roof.colour,
            fontsize=8.5,
            zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    for roof in chart.roofs:
        at = left * 1.12
        axis.annotate(
            f"{roof.gb_s:.0f} GB/s",
            (at, at * roof.gb_s),
            (0, 4),
            textcoords="offset points",
            rotation=_slope(axis),
            rotation_mode="anchor",
            color=roof.colour,
            fontsize=8.5,
            va="bottom",
        )
    for series in chart.series:
        _draw(axis, series)
    axis.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.6)


def _slope(axis: Any) -> float:
    """Degrees on the page of a line on which GMAC/s grow as MACs a byte do."""
    import numpy as np

    box = axis.get_window_extent()
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    return float(np.degrees(np.arctan2(box.height / np.log(top / bottom), box.width / np.log(right / left))))


def _draw(axis: Any, series: Series) -> None:
    xs, ys = zip(*series.points, strict=True)
    axis.plot(
        xs,
        ys,
        series.marker,
        color=series.colour,
        markersize=7,
        linestyle=series.line or "none",
        linewidth=1,
        markerfacecolor=series.colour if series.filled else "white",
        markeredgewidth=1.5,
        label=series.name,
        zorder=4,
    )
    for (x, y), label in zip(series.points, series.labels, strict=False):
        axis.annotate(label, (x, y), (7, -11), textcoords="offset points", fontsize=8, color=series.colour, zorder=5)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160, facecolor="white")
    pyplot.close(figure)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _accelerators() -> list[Series]:
    """By their published times of a step of DeepSpeech's network, the same for one channel and for sixteen."""
    made = []
    for (name, ms), colour in zip(ACCELERATOR_MS.items(), (RED, GREEN), strict=True):
        rate = DEEPSPEECH_WEIGHTS / ms / 1e6
        made.append(
            Series(
                f"accelerator of {name}, published",
                colour,
                "s",
                [(n, n * rate) for n in (1, 4, 8, 16)],
                ["1", "4", "8", "16"],
                filled=False,
                line=":",
            )
        )
    return made


def _roofs(limits: Limits, isas: Sequence[str], threads: int) -> list[Roof]:
    """Of one number of threads, an instruction set each."""
    return [
        Roof(
            f"{isa}, {_count(threads, 'thread')}",
            ISA_COLOURS.get(isa, BLUE),
            limits.bytes[threads] / 1e9,
            limits.macs[isa, threads] / 1e9,
        )
        for isa in isas
        if (isa, threads) in limits.macs
    ]


def _network_chart(figures: Sequence[Figure], limits: Limits) -> Chart:
    """The fastest instruction set at the most threads."""
    threads = max(f.setting.threads for f in figures)
    figures = [f for f in figures if f.setting.threads == threads]
    best = max(figures, key=lambda f: f.gmac_s).setting.isa
    chosen = [f for f in figures if f.setting.isa == best]
    series = []
    for steps, marker in ((1, "o"), (16, "D")):
        found = sorted((f for f in chosen if f.setting.steps == steps), key=lambda f: f.setting.channels)
        if found:
            how = "a step a call" if steps == 1 else f"{steps} steps a call"
            series.append(
                Series(
                    f"pynna, {_count(threads, 'thread')}, {how}",
                    BLUE if steps == 1 else PURPLE,
                    marker,
                    [(f.intensity, f.gmac_s) for f in found],
                    [str(f.setting.channels) for f in found],
                )
            )
    return Chart(_roofs(limits, [best], threads), [*series, *_accelerators()])


def network(
    path: Path, figures: Sequence[Figure], limits: Limits, comparisons: Sequence[Comparison], machine: str, line: str
) -> None:
    """A roofline; beside it our time and the peers' where there are any."""
    compared = [c for c in comparisons if c.peers]
    figure, axes = _figure(
        (8.2, 5.0) if compared else (9.6,),
        "How near a step comes to the machine's limit",
        [f"{line}; {machine}", "numbers: channels, up to 16 at once; higher is faster"],
    )
    _roofline(axes[0], _network_chart(figures, limits))
    if compared:
        _peers(axes[1], compared)
    _save(figure, path)


def _peers(axis: Any, comparisons: Sequence[Comparison]) -> None:
    """How many times as long each peer takes, at the most threads; bars in groups of a way of use."""
    threads = max(c.threads for c in comparisons)
    ways = sorted(
        (c for c in comparisons if c.threads == threads and c.channels in (1, 16)),
        key=lambda c: (c.channels, c.steps),
        reverse=True,
    )
    present = [name for name in PEERS if any(name in c.peers for c in ways)]
    colours = dict(zip(PEERS, ("#7d8597", "#a5adbb", "#5c677d", "#c3c9d3"), strict=True))
    height = 0.8 / (len(present) + 1)
    for row, c in enumerate(ways):
        bars = [("pynna", c.ours.ms, BLUE)] + [(n, c.peers[n], colours[n]) for n in present if n in c.peers]
        for k, (name, ms, colour) in enumerate(bars):
            at = row + 0.4 - (k + 0.5) * height
            long = min(ms / c.ours.ms, MAX_TIMES_OURS)
            axis.barh(at, long, height * 0.86, color=colour, zorder=3)
            axis.text(
                long, at, f" {name} {ms:.3g} ms", va="center", fontsize=7.5, color=colour if name == "pynna" else SOFT
            )
    names = [f"{_count(c.channels, 'channel')}\n{_count(c.steps, 'step')} a call" for c in ways]
    axis.set_yticks(range(len(ways)), names, color=INK)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    longest = max(max(c.peers.values()) / c.ours.ms for c in ways)
    axis.set(
        xlabel=f"a step, pynna's being 1; {_count(threads, 'thread')}; shorter is faster",
        xlim=(0, 1.35 * min(max(longest, 1), MAX_TIMES_OURS)),
    )
    axis.spines["left"].set_visible(False)


def table(path: Path, figures: Sequence[Figure], limits: Limits, rows: Sequence[Row], machine: str, line: str) -> None:
    """A roofline, and the live channels that each machine of the table carries."""
    figure, axes = _figure(
        (8.2, 5.0),
        "This machine and the accelerator",
        [f"{line}; {machine}", "numbers: channels, up to 16 at once; higher is faster"],
    )
    _roofline(axes[0], _network_chart(figures, limits))
    axis, shown = axes[1], list(reversed(rows))
    colours = [BLUE if r.name.startswith("here") else (GREEN if "0.8" in r.name else RED) for r in shown]
    axis.barh(range(len(shown)), [r.channels for r in shown], 0.6, color=colours, zorder=3)
    for k, r in enumerate(shown):
        axis.text(r.channels, k, f" {r.channels:.0f}", va="center", fontsize=9)
    axis.set_yticks(range(len(shown)), [r.name.replace(", ", "\n") for r in shown], fontsize=8.5, color=INK)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines["left"].set_visible(False)
    axis.set(xlabel="live channels at full load", xlim=(0, 1.15 * max(r.channels for r in shown)))
    _save(figure, path)


def kernels(path: Path, figures: Sequence[KernelFigure], limits: Limits, machine: str) -> None:
    """A roofline of the MAC array alone, one thread: where weights come from memory, and from the caches."""
    isas = list(dict.fromkeys(f.isa for f in figures))
    figure, (axis,) = _figure(
        (9.6,),
        "The MAC array alone, by instruction set",
        [
            machine,
            "one thread; every shape of the network; filled: weights warm in the caches, hollow: streamed from memory",
        ],
    )
    series = []
    for k, isa in enumerate(isas):
        aside = 1.07 ** (2 * k - len(isas) + 1)  # beside each other
        for streamed in (False, True):
            points = [(f.channels * aside, f.gmac_s) for f in figures if f.isa == isa and f.streamed is streamed]
            if points:
                series.append(
                    Series(
                        f"{isa}, {'streamed' if streamed else 'warm'}",
                        ISA_COLOURS.get(isa, RED),
                        "os^Dv"[k % 5],
                        points,
                        filled=not streamed,
                    )
                )
    _roofline(axis, Chart(_roofs(limits, isas, 1), series))
    axis.set_xlabel("channels: MACs for each byte of weights that is read")
    _save(figure, path)
