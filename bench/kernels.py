# SPDX-License-Identifier: Apache-2.0
"""pynna_mac alone: every shape of a network, every instruction set, weights warm in the caches and streamed."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import plot
from bench.core import LAYERS, Core
from bench.figures import KernelFigure, Shape, percent
from bench.measure import Case, LimitCases, Limits, interleave
from bench.report import Table, emit, machine_line
from pynna.mapping.nna import PLAIN, SCALED, packed_lines

Array = NDArray[Any]

STREAMED = 64 << 20  # bytes of weights gone over before any is read again: more than the caches hold


def shapes(width: int, n_inputs: int = 494, n_labels: int = 29) -> list[Shape]:
    """Those of a network of DeepSpeech's topology, each once."""

    def pad(n: int, to: int) -> int:
        return -(-n // to) * to

    found: dict[tuple[int, int], list[str]] = {}
    for layer in LAYERS:
        rows = pad(n_labels, 16) if layer == "layer_6" else pad(width, 16) * (4 if layer.startswith("lstm") else 1)
        found.setdefault((rows, pad(n_inputs if layer == "layer_1" else width, 4)), []).append(layer)
    return [Shape(*key, " ".join(names)) for key, names in found.items()]


@dataclass(frozen=True)
class Setting:
    """A kernel, a shape, a number of channels; streamed or warm."""

    isa: str
    shape: Shape
    channels: int
    streamed: bool
    bits: int  # of a weight

    @property
    def size(self) -> int:
        """Bytes of weights, and scales."""
        return self.shape.rows * 4 * packed_lines(self.shape.columns, self.bits, self.layout)

    @property
    def layout(self) -> int:
        """Weights of 4 bits have scales."""
        return SCALED if self.bits == 4 else PLAIN


class MacCall:
    """pynna_mac in one setting; called with the number of repeats."""

    def __init__(self, core: Core, setting: Setting, weights: Array, u: Array, row_sum: Array) -> None:
        self.core, self.setting = core, setting
        s = setting.shape
        self.copies = max(1, min(STREAMED, weights.size) // setting.size) if setting.streamed else 1
        self.acc = np.zeros(s.rows * setting.channels, np.int32)
        ffi = core.ffi
        self.arguments = (
            setting.isa.encode(),
            ffi.from_buffer("int8_t[]", weights),
            setting.bits,
            setting.layout,
            ffi.from_buffer("int32_t[]", row_sum),
            self.copies,
            s.rows // 16,
            -(-s.columns * setting.bits // 32) * 8 // setting.bits,
            ffi.from_buffer("uint8_t[]", u),
            u.shape[1],
            setting.channels,
            ffi.from_buffer("int32_t[]", self.acc, require_writable=True),
        )

    def __call__(self, repeats: int) -> Array:
        return self.core.timed(self.core.driver.bench_mac, *self.arguments, repeats=repeats)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--width", type=int, default=2048, help="of the network whose shapes are taken (2048)")
    parser.add_argument("--isa", nargs="+", help="instruction sets; all that this processor runs but ref")
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4, 8, 16], help="1 to 16 (1 4 8 16)")
    parser.add_argument("--bits", type=int, nargs="+", choices=[8, 4], default=[8], help="of a weight (8)")
    parser.add_argument("--seconds", type=float, default=20.0, help="to measure for (20)")
    plot.add_argument(parser)


def _figure(setting: Setting, case: Case, limits: Limits) -> KernelFigure:
    s, seconds = setting, case.best
    macs, read, peak = s.shape.size * s.channels / seconds, s.size / seconds, limits.macs.get((s.isa, 1))
    return KernelFigure(
        s.isa,
        s.shape,
        s.channels,
        s.streamed,
        s.bits,
        seconds,
        case.median,
        macs / 1e9,
        read / 1e9,
        macs / peak if peak else None,
        read / limits.bytes[1],
    )


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    core = Core(arguments.cache)
    available = core.instruction_sets()
    isas = arguments.isa or [isa for isa in available if isa != "ref"] or available
    cases, limits = _cases(core, isas, shapes(arguments.width), arguments.channels, arguments.bits)
    rounds = interleave([*limits.cases, *cases.values()], seconds=arguments.seconds, visit=0.004)
    measured = limits.result()
    found = [_figure(setting, case, measured) for setting, case in cases.items()]
    table = Table(
        "isa", "rows", "columns", "weights", "bits", "channels", "microseconds", "GMAC/s", "of MACs", "GB/s", "of bytes"
    )
    for f in found:
        table.add(
            f.isa,
            str(f.shape.rows),
            str(f.shape.columns),
            "streamed" if f.streamed else "warm",
            str(f.bits),
            str(f.channels),
            f"{1e6 * f.seconds:.1f}",
            f"{f.gmac_s:.0f}",
            percent(f.of_macs),
            f"{f.gb_s:.1f}",
            percent(f.of_bytes) if f.streamed else "-",
        )
    emit(
        arguments,
        {"rounds": rounds, "limits": measured.as_dict(), "figures": [asdict(f) for f in found]},
        machine_line(),
        f"one thread; {rounds} rounds, interleaved, minima",
        *measured.lines(),
        table,
        *(f"{s.rows} x {s.columns}: {s.layers}" for s in shapes(arguments.width)),
    )
    if arguments.plot:
        plot.kernels(arguments.plot, found, measured, machine_line())
    return 0


def _cases(
    core: Core, isas: list[str], all_shapes: list[Shape], channels: list[int], bits: list[int]
) -> tuple[dict[Setting, Case], LimitCases]:
    rng = np.random.default_rng(0)
    weights = _aligned(rng.integers(-127, 128, STREAMED, np.int8))
    widest = max(shape.columns for shape in all_shapes)
    # An odd number of cache lines a row, as in the network: rows must not meet in the same cache sets.
    u = _aligned(rng.integers(0, 256, (16, 64 * (-(-widest // 64) | 1)), np.uint8))
    row_sum = np.zeros(max(shape.rows for shape in all_shapes), np.int32)
    settings = [
        Setting(isa, shape, n, streamed, b)
        for b in bits
        for isa in isas
        for shape in all_shapes
        for streamed in (False, True)
        for n in channels
    ]
    calls = [MacCall(core, s, weights, u, row_sum) for s in settings]
    cases = {call.setting: Case((call.setting,), call, call.copies) for call in calls}
    return cases, LimitCases(core, isas, [1], core.ffi.from_buffer("uint8_t[]", weights), weights.size)


def _aligned(array: Array) -> Array:
    """A copy at a multiple of 64 bytes."""
    block = np.empty(array.nbytes + 64, np.uint8)
    out = block[-block.ctypes.data % 64 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out
