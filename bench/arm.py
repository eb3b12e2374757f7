# SPDX-License-Identifier: Apache-2.0
"""The ARM kernels' inner loops by llvm-mca, and what that makes of boards: an estimate, made without any of them.

The kernels are cross-compiled as they are shipped; a loop that multiplies and ends in a branch back to its start, the
only one in it, is an inner loop. llvm-mca counts its cycles from the core's published pipeline, everything in the first
cache. What stands around the products and waits for the caches are not counted, so a board will do less.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core import CSRC, LAYERS, Core, CoreError, MappedModel
from bench.report import Table, emit

SHIPPED = Path(__file__).resolve().parents[1] / "pynna/models/pynna-en-car.nna"
KERNELS = {"neon": "mac_array_neon.c", "neondot": "mac_array_neon_dot.c"}
COMPILE = ("-std=c11", "-O3", "-ffp-contract=off", "-S", "-o", "-")
STEPS_A_SECOND, CHANNELS, STEPS = 50, 16, 16
PRODUCTS = {"sdot": 16, "smlal": 8, "smull": 8, "smlal2": 8, "smull2": 8}  # MACs an instruction


@dataclass(frozen=True)
class CoreKind:
    """A core: its best kernel here, and whose pipeline llvm-mca takes for it (LLVM has no model of all of them)."""

    name: str
    kernel: str
    model: str
    note: str = ""


CORES = (
    CoreKind("Cortex-A53", "neon", "cortex-a53"),
    CoreKind("Cortex-A55", "neondot", "cortex-a55"),
    CoreKind("Cortex-A72", "neon", "cortex-a72", "the A57's pipeline"),
    CoreKind("Cortex-A76", "neondot", "neoverse-n1", "the Neoverse N1's, its sister for servers"),
)


@dataclass(frozen=True)
class Board:
    """A board as its maker describes it: four cores, memory in 32 bits' width."""

    name: str
    core: str
    ghz: float
    memory: str
    megatransfers: int

    @property
    def gb_s(self) -> float:
        """The memory's published bandwidth."""
        return self.megatransfers * 4 / 1000


BOARDS = (
    Board("Raspberry Pi Zero 2 W", "Cortex-A53", 1.0, "LPDDR2", 900),
    Board("Raspberry Pi 3 B+", "Cortex-A53", 1.4, "LPDDR2", 900),
    Board("Raspberry Pi 4", "Cortex-A72", 1.8, "LPDDR4", 3200),
    Board("Raspberry Pi 5", "Cortex-A76", 2.4, "LPDDR4X", 4267),
)
N_CORES = 4
SUSTAINED = 0.45
"""Of the published bandwidth: a Pi 4 reaches 5.56 of 12.8 GB/s in STREAM (www.sci-pi.org.uk/bench/stream.html)."""


@dataclass(frozen=True)
class Loop:
    """An inner loop of a kernel: columns (channels) that it does at once, its weights and MACs an iteration."""

    kernel: str
    columns: int
    weights: int
    macs: int
    code: str


@dataclass(frozen=True)
class Cycles:
    """A loop on a core."""

    core: str
    kernel: str
    columns: int
    cycles: float
    macs: int
    weights: int

    @property
    def macs_a_cycle(self) -> float:
        return self.macs / self.cycles


# ---- loops ---------------------------------------------------------------------------------------


def loops(kernel: str) -> list[Loop]:
    """Of a kernel's file, the most columns first; one for each number of columns."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if not compiler:
        raise CoreError("aarch64-linux-gnu-gcc is needed (Debian: gcc-aarch64-linux-gnu)")
    command = [compiler, *COMPILE, str(CSRC / KERNELS[kernel])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CoreError(done.stderr)
    found: dict[int, Loop] = {}
    for body in _inner_loops(done.stdout.splitlines()):
        if any(line.split()[0] == "shl" for line in body):  # weights of 4 bits
            continue
        macs = sum(PRODUCTS.get(line.split()[0], 0) for line in body)
        weights = _weights(body)
        if macs and weights and macs % weights == 0:
            loop = Loop(kernel, macs // weights, weights, macs, "\n".join(body))
            kept = found.get(loop.columns)
            if kept is None or loop.weights > kept.weights:  # the remainder's loop takes fewer
                found[loop.columns] = loop
    if not found:
        raise CoreError(f"no inner loop was found in {KERNELS[kernel]}")
    return [found[columns] for columns in sorted(found, reverse=True)]


def _inner_loops(lines: Sequence[str]) -> Iterator[list[str]]:
    """Instructions between a label and a branch back to it that have no other label among them."""
    start, label = 0, ""
    for i, line in enumerate(lines):
        if made := re.match(r"(\.L\w+):", line):
            start, label = i + 1, made[1]
        elif label and re.match(rf"\s+(b[.\w]*|cbn?z|tbn?z)\s.*{re.escape(label)}$", line):
            body = (text.strip() for text in lines[start : i + 1])
            yield [text for text in body if text and not text.startswith((".", "//"))]


def _weights(body: Sequence[str]) -> int:
    """Bytes loaded from the pointer from which most are loaded in whole registers."""
    read: dict[str, int] = {}
    for line in body:
        if made := re.match(r"(ldr|ldp|ld1)\s+(.*)\[(\w+)", line):
            read[made[3]] = read.get(made[3], 0) + 16 * len(re.findall(r"\bq\d+|v\d+\.16b", made[2]))
    return max(read.values(), default=0)


def _mca() -> str:
    """The newest llvm-mca. Before version 16 it has no pipeline of the A76's kind."""
    for n in range(30, 15, -1):
        if path := shutil.which(f"llvm-mca-{n}"):
            return path
    if path := shutil.which("llvm-mca"):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if (made := re.search(r"version (\d+)", told)) and int(made[1]) >= 16:
            return path
    raise CoreError("llvm-mca of version 16 or later is needed (Debian: llvm-19)")


def cycles(loop: Loop, core: CoreKind, iterations: int = 200) -> Cycles:
    """By llvm-mca, an iteration in a long run of them."""
    command = [_mca(), "-mtriple=aarch64", f"-mcpu={core.model}", "-mattr=+dotprod", f"-iterations={iterations}"]
    done = subprocess.run(command, input=loop.code, capture_output=True, text=True, check=False)
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode or not total:
        raise CoreError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Cycles(core.name, loop.kernel, loop.columns, int(total[1]) / iterations, loop.macs, loop.weights)


# ---- boards --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """Weights of a network: those that are read again each step, and the others; of these, those that features of 16
    bits pass twice."""

    name: str
    recurrent: int
    others: int
    twice: int


def network(name: str, model: MappedModel) -> Network:
    sizes = {layer: rows * columns for layer, (rows, columns) in model.shapes.items()}
    return Network(
        name,
        sizes["lstm_h"],
        sum(sizes[layer] for layer in LAYERS if layer != "lstm_h"),
        sizes["layer_1"] * (model.geometry.feature_residual_bits > 0),
    )


def deepspeech(width: int = 2048, inputs: int = 496, labels: int = 32) -> Network:
    """The public network, padded."""
    return Network(
        f"{width} wide", 4 * width * width, inputs * width + 7 * width * width + labels * width, inputs * width
    )


def seconds(board: Board, found: Sequence[Cycles], net: Network, channels: int, steps: int) -> float:
    """A step of all channels on all cores: by cycles or by memory, whichever takes longer."""
    rate = {c.columns: c.cycles / c.weights for c in found}

    def cycles_a_weight(columns: int) -> float:
        total = 0.0
        for n in sorted(rate, reverse=True):
            total += columns // n * rate[n]
            columns %= n
        return total

    batched = net.others + net.twice
    work = net.recurrent * cycles_a_weight(channels) + batched * cycles_a_weight(channels * steps) / steps
    read = net.recurrent + net.others / steps
    return max(work / (N_CORES * board.ghz * 1e9), read / (SUSTAINED * board.gb_s * 1e9))


@dataclass(frozen=True)
class Estimate:
    """A board with a network: milliseconds a step of one channel and of sixteen, live channels at full load."""

    board: str
    network: str
    one_ms: float
    sixteen_ms: float
    one_share: float
    channels: int
    channels_batched: int


def estimate(board: Board, found: Sequence[Cycles], net: Network) -> Estimate:
    one, sixteen = (seconds(board, found, net, n, 1) for n in (1, CHANNELS))
    batched = seconds(board, found, net, CHANNELS, STEPS)
    return Estimate(
        board.name,
        net.name,
        1e3 * one,
        1e3 * sixteen,
        one * STEPS_A_SECOND,
        int(CHANNELS / sixteen / STEPS_A_SECOND),
        int(CHANNELS / batched / STEPS_A_SECOND),
    )


# ---- the command ---------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nna", type=Path, default=SHIPPED, help="the small network; the one that ships")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    by_kernel = {kernel: loops(kernel) for kernel in KERNELS}
    found = {core.name: [cycles(loop, core) for loop in by_kernel[core.kernel]] for core in CORES}
    small = network(arguments.nna.stem, MappedModel(Core(arguments.cache), arguments.nna))
    estimates = [estimate(b, found[b.core], net) for net in (deepspeech(), small) for b in BOARDS]
    inner = Table("core", "kernel", "columns", "cycles", "MACs", "MACs a cycle")
    for c in (c for core in CORES for c in found[core.name]):
        inner.add(c.core, c.kernel, str(c.columns), f"{c.cycles:.1f}", str(c.macs), f"{c.macs_a_cycle:.1f}")
    boards = Table(
        "board",
        "network",
        "ms, 1 channel",
        "ms, 16 channels",
        "one live channel takes",
        "channels at full load",
        "16 steps a call",
    )
    for e in estimates:
        boards.add(
            e.board,
            e.network,
            f"{e.one_ms:.2f}",
            f"{e.sixteen_ms:.2f}",
            f"{100 * e.one_share:.1f}%",
            str(e.channels),
            str(e.channels_batched),
        )
    values = {
        "loops": [asdict(c) | {"macs_a_cycle": c.macs_a_cycle} for core in CORES for c in found[core.name]],
        "boards": [asdict(b) | {"gb_s": b.gb_s} for b in BOARDS],
        "sustained": SUSTAINED,
        "estimates": [asdict(e) for e in estimates],
    }
    emit(
        arguments,
        values,
        "An iteration of the inner loops, by llvm-mca "
        f"({', '.join(f'{core.name}: {core.note}' for core in CORES if core.note)}):",
        inner,
        "ESTIMATE, not a measurement: four cores at these cycles, or memory at "
        f"{100 * SUSTAINED:.0f}% of what is published for it, whichever takes longer. Less is to be expected.",
        boards,
        *(
            f"{b.name}: {N_CORES} x {b.core} at {b.ghz} GHz, 32 bits of {b.memory}-{b.megatransfers}, {b.gb_s:.1f} GB/s"
            for b in BOARDS
        ),
    )
    return 0
