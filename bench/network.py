# SPDX-License-Identifier: Apache-2.0
"""Whole steps of a network: every instruction set, 1 to 16 channels, 1 and 16 steps a call, 1 and more threads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import compare, peers, plot
from bench.core import LAYERS, Core, CoreError, MappedModel, Pools
from bench.figures import ACCELERATOR_MS, Figure, Setting, percent
from bench.measure import Case, LimitCases, Limits, interleave
from bench.models import mapped_random, random_arrays, speech_features
from bench.peers import Peer
from bench.report import Table, emit, machine_line
from pynna.mapping.front_end import MfccConfig

Array = NDArray[Any]

MAX_COLUMNS = 256
REST = 0.003  # seconds before each case where there are peers: their idle threads spin for a while


class StepCall:
    """pynna_step in one setting, its memory and its channels; called with the number of repeats."""

    def __init__(self, model: MappedModel, pools: Pools, setting: Setting, features: Array) -> None:
        self.core, self.setting = model.core, setting
        core, g = model.core, model.geometry
        columns = min(MAX_COLUMNS, max(16, setting.channels * setting.steps))
        size = core.lib.pynna_workspace_size(model.pointer, columns)
        name = core.ffi.new("char[]", setting.isa.encode())
        self._memory, self.workspace = core.built("workspace", size, model.pointer, columns, name)
        self.pool = pools[setting.threads]
        self.arrays = [
            features,
            np.zeros((setting.channels, g.n_cell), np.int16),
            np.zeros((setting.channels, g.n_cell), np.int8),
            np.zeros((setting.channels, setting.steps, g.n_labels), np.float32),
        ]
        self.channels = core.ffi.new("pynna_channel[]", [self._channel(i) for i in range(setting.channels)])

    def _channel(self, i: int) -> dict[str, Any]:
        """Windows overlap, as a stream's do; channels are at different places of the speech."""
        features, c, h, p = self.arrays

        def at(kind: str, array: Array) -> Any:
            return self.core.ffi.from_buffer(kind, array, require_writable=True)

        return {
            "x": at("float[]", features[32 * i :]),
            "x_stride": features.shape[1],
            "c_in": at("int16_t[]", c[i]),
            "h_in": at("int8_t[]", h[i]),
            "c_out": at("int16_t[]", c[i]),
            "h_out": at("int8_t[]", h[i]),
            "log_probs": at("float[]", p[i]),
        }

    def __call__(self, repeats: int) -> Array:
        return self.core.timed(
            self.core.driver.bench_step,
            self.workspace,
            self.pool,
            self.setting.channels,
            self.setting.steps,
            self.channels,
            repeats=repeats,
        )


def figures(models: Mapping[int, MappedModel], cases: dict[Setting, Case], limits: Limits) -> list[Figure]:
    """Steps' times as figures."""
    out = []
    for s, case in cases.items():
        model = models[s.bits]
        recurrent, all_bytes = model.sizes["lstm_h"], sum(model.sizes.values())
        seconds = case.best
        macs = model.n_macs * s.channels / seconds
        read = (recurrent + (all_bytes - recurrent) / s.steps) / seconds
        peak = limits.macs.get((s.isa, s.threads))
        out.append(
            Figure(
                s,
                1e3 * seconds,
                1e3 * case.median,
                macs / 1e9,
                read / 1e9,
                macs / peak if peak else None,
                read / limits.bytes[s.threads],
            )
        )
    return out


def measure(
    model: MappedModel,
    isas: Sequence[str],
    threads: Sequence[int],
    channels: Sequence[int],
    steps: Sequence[int],
    seconds: float,
    others: Mapping[Peer, Sequence[Case]] | None = None,
    four: MappedModel | None = None,
) -> tuple[list[Figure], Limits, int]:
    """Everything in one run, interleaved, the limits and `others` too; figures, limits, rounds.

    `four` is the same network with weights of 4 bits in some layers.
    """
    models = {8: model, **({4: four} if four else {})}
    core, g = model.core, model.geometry
    config = MfccConfig(g.sample_rate, g.window, g.step, g.n_coefficients, g.n_mel, g.mel_lower_hz, g.mel_upper_hz)
    features = speech_features(32 * max(channels) + max(steps) + 2 * g.n_context + 1, config)
    pools = Pools(core)
    settings = [
        Setting(isa, n, c, s, bits) for bits in models for isa in isas for n in threads for c in channels for s in steps
    ]
    cases = {s: Case((s,), StepCall(models[s.bits], pools, s, features), s.steps) for s in settings}
    limits = LimitCases(core, isas, threads, model.data, len(model.bytes))
    try:
        theirs = [case for forms in (others or {}).values() for case in forms]
        rounds = interleave([*limits.cases, *cases.values(), *theirs], seconds=seconds, rest=REST if theirs else 0.0)
    finally:
        pools.stop()
    measured = limits.result()
    return figures(models, cases, measured), measured, rounds


# ---- the command ---------------------------------------------------------------------------------


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """What `table` asks for too."""
    parser.add_argument("--nna", type=Path, help="a mapped network; one of random weights unless given")
    parser.add_argument("--width", type=int, default=2048, help="of the random network (2048)")
    parser.add_argument("--seconds", type=float, default=30.0, help="to measure for (30)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", type=int, nargs="+", default=[1, min(2, cores)], help="thread counts (1 2)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument(
        "--isa",
        nargs="+",
        help="instruction sets; unless given all that this processor runs but ref, which is there to define the bits",
    )
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4, 8, 16], help="1 to 16 (1 4 8 16)")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 16], help="a call, 1 to 16 (1 16)")
    parser.add_argument(
        "--bits4",
        type=lambda names: names.split(","),
        default=[],
        metavar="LAYER[,LAYER]",
        help="measure the random network with weights of 4 bits in these layers beside it; all: in all",
    )
    parser.add_argument("--peers", nargs="+", choices=list(peers.PEERS), help="other runtimes; all that are installed")
    parser.add_argument("--no-peers", action="store_true", help="this engine alone")
    plot.add_argument(parser)


def model_of(arguments: argparse.Namespace) -> tuple[MappedModel, str]:
    """The network asked for, and a line about it."""
    core = Core(arguments.cache)
    took = None
    if arguments.nna:
        model = MappedModel(core, arguments.nna)
    else:
        model, took = mapped_random(core, arguments.width, arguments.cache)
    line = f"{model.path.name}: {model.geometry.n_cell} wide, {model.n_weights / 1e6:.1f} M weights"
    return model, line + (f", mapped in {took:.1f} s" if took else "")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model, line = model_of(arguments)
    four = None
    if arguments.bits4:
        if arguments.nna:
            raise CoreError("--bits4 is for the random network; --nna names one that is mapped already")
        names4 = LAYERS if arguments.bits4 == ["all"] else arguments.bits4
        four, _ = mapped_random(model.core, arguments.width, arguments.cache, names4)
        line += f"; beside it weights of 4 bits in {', '.join(names4)}"
    available = model.core.instruction_sets()
    isas = arguments.isa or [isa for isa in available if isa != "ref"] or available
    threads = sorted(set(arguments.threads))
    names, left_out = _peers(arguments)
    others = peers.cases(peer_arrays(model), names, threads, arguments.channels, arguments.steps)
    found, limits, rounds = measure(
        model, isas, threads, arguments.channels, arguments.steps, arguments.seconds, others, four
    )
    plain = [f for f in found if f.setting.bits == 8]
    compared = compare.compare(plain, others)
    published = ", ".join(f"{name} {ms} ms" for name, ms in ACCELERATOR_MS.items())
    values = {
        "network": line,
        "rounds": rounds,
        "limits": limits.as_dict(),
        "accelerator_ms": ACCELERATOR_MS,
        "figures": [asdict(f) | {"of_limit": f.of_limit} for f in found],
        "left_out": left_out,
        "peers": {name: peers.version(name) for name in names},
        "peer_figures": compare.forms(others),
        "comparisons": [c.as_dict() for c in compared],
    }
    emit(
        arguments,
        values,
        machine_line(),
        f"{line}; {rounds} rounds, interleaved, minima",
        *limits.lines(),
        f"the accelerator's published step of 1 to 16 channels: {published}",
        figures_table(found),
        NOTE,
        "",
        *left_out,
        *(f"{name}: {peers.version(name)}" for name in names),
        "milliseconds a step of all channels, each engine's fastest form; bars hold for AVX-512 VNNI, 2048 wide",
        compare.table(compared),
    )
    if arguments.plot:
        plot.network(arguments.plot, plain, limits, compared, machine_line(), line)
    return 0


def _peers(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Those to measure, and lines about those that are left out."""
    if arguments.no_peers:
        return [], ["no peers"]
    installed, left_out = peers.installed()
    return [name for name in installed if name in (arguments.peers or installed)], left_out


def peer_arrays(model: MappedModel) -> dict[str, Array]:
    """Float weights of the model's shapes for the peers: random ones, for their time does not depend on them."""
    g = model.geometry
    return random_arrays(g.n_cell, (2 * g.n_context + 1) * g.n_coefficients, g.n_labels)


def figures_table(found: Sequence[Figure]) -> Table:
    """For people."""
    table = Table(
        "isa",
        "bits",
        "threads",
        "channels",
        "steps",
        "ms a step",
        "median",
        "GMAC/s",
        "of MACs",
        "GB/s",
        "of bytes",
        "of limit",
    )
    for f in found:
        s = f.setting
        table.add(
            s.isa,
            str(s.bits),
            str(s.threads),
            str(s.channels),
            str(s.steps),
            f"{f.ms:.3f}",
            f"{f.median_ms:.3f}",
            f"{f.gmac_s:.0f}",
            percent(f.of_macs),
            f"{f.gb_s:.1f}",
            percent(f.of_bytes),
            percent(f.of_limit),
        )
    return table


NOTE = """GB/s: weights that have to be read over the time. The recurrent ones are read again each step and may fit in a
cache: with 16 steps a call the share can exceed 100 %."""
