# SPDX-License-Identifier: Apache-2.0
"""From PCM to greedy text beside the network alone, and the network beside its products of weights alone."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import LAYERS, CoreError, MappedModel, Pools
from bench.figures import Setting, percent
from bench.measure import Case, interleave
from bench.models import speech_features
from bench.network import StepCall, add_model_arguments, model_of
from bench.report import Table, emit, machine_line
from pynna.mapping import load_clips
from pynna.mapping.front_end import MfccConfig

Array = NDArray[Any]

MOST_ABOVE, MOST_BESIDE = 0.10, 0.08  # the bars: of the network, and of a step


class PipelineCall:
    """A step of every channel from 20 ms of PCM to text; called with the number of repeats."""

    def __init__(self, model: MappedModel, step: StepCall) -> None:
        core, g = model.core, model.geometry
        self.model, self.step = model, step
        self._mfcc_memory, self.mfcc = model.mfcc()
        self.scratch = core.allocate(core.lib.pynna_mfcc_scratch_size(self.mfcc))
        clips = np.concatenate([clip.pcm for clip in load_clips(None, g.sample_rate)])
        self.pcm = np.ascontiguousarray(clips[: len(clips) // g.step * g.step])
        n = step.setting.channels
        self.streams = core.ffi.new("bench_stream[]", n)
        self._kept: list[Any] = []
        for i in range(n):
            size = core.lib.pynna_frames_size(self.mfcc, g.n_context, 2)
            memory, self.streams[i].frames = core.built("frames", size, self.mfcc, g.n_context, 2)
            self._kept.append(memory)
            greedy = core.ffi.addressof(self.streams[i], "greedy")
            core.check(core.lib.pynna_ctc_greedy_init(g.n_labels, g.blank, greedy))
            self.streams[i].pcm = core.ffi.from_buffer("int16_t[]", self.pcm)
            self.streams[i].n_samples = len(self.pcm)
            self.streams[i].at = 97 * i * g.step % len(self.pcm)  # channels are at different places

    def __call__(self, repeats: int) -> Array:
        s = self.step
        return s.core.timed(
            s.core.driver.bench_pipeline,
            self.model.pointer,
            self.mfcc,
            self.scratch,
            s.workspace,
            s.pool,
            s.setting.channels,
            self.streams,
            s.channels,
            repeats=repeats,
        )

    def text(self, channel: int) -> str:
        """What has been read."""
        return str(self.model.core.text(self.streams[channel].text))


class ProductsCall:
    """pynna_mac over all layers of the file, one after the other, as a step of one thread does; nothing around it."""

    def __init__(self, model: MappedModel, isa: str, channels: int) -> None:
        ffi = model.core.ffi
        self.core = model.core
        rng = np.random.default_rng(0)
        widest = max(columns for _, columns in model.shapes.values()) + 4
        self.u = rng.integers(0, 256, (channels, 64 * (-(-widest // 64) | 1)), np.uint8)
        rows = max(rows for rows, _ in model.shapes.values())
        self.row_sum, self.acc = np.zeros(rows, np.int32), np.zeros(rows * channels, np.int32)
        self.layers = []
        infos = {name: model.core.lib.pynna_model_layer(model.pointer, i) for i, name in enumerate(LAYERS)}
        fine = [name for name in LAYERS if infos[name].weight_bits == 16]  # read twice
        for name in (*LAYERS, *model.passed_twice, *fine):
            bits = min(infos[name].weight_bits, 8)
            n_rows, n_columns = model.shapes[name]
            groups = -(-n_columns // (32 // bits)) * 8 // bits
            self.layers.append(
                (
                    isa.encode(),
                    model.weights(name),
                    bits,
                    infos[name].layout,
                    ffi.from_buffer("int32_t[]", self.row_sum),
                    1,
                    n_rows // 16,
                    groups,
                    ffi.from_buffer("uint8_t[]", self.u),
                    self.u.shape[1],
                    channels,
                    ffi.from_buffer("int32_t[]", self.acc, require_writable=True),
                )
            )

    def __call__(self, repeats: int) -> Array:
        return np.array(
            [
                sum(float(self.core.timed(self.core.driver.bench_mac, *layer, repeats=1)[0]) for layer in self.layers)
                for _ in range(repeats)
            ]
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--channels", type=int, default=16, help="1 to 16 (16)")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model, line = model_of(arguments)
    g, core, n = model.geometry, model.core, arguments.channels
    if not 1 <= n <= 16:
        raise CoreError(f"{n} channels; 1 to 16 are right")
    isa = core.text(core.lib.pynna_isa_default())
    config = MfccConfig(g.sample_rate, g.window, g.step, g.n_coefficients, g.n_mel, g.mel_lower_hz, g.mel_upper_hz)
    features = speech_features(32 * n + 2 * g.n_context + 2, config)
    pools = Pools(core)
    threads = sorted(set(arguments.threads))
    alone = {t: Case(("network", t), StepCall(model, pools, Setting(isa, t, n, 1), features)) for t in threads}
    whole = {
        t: Case(("pipeline", t), PipelineCall(model, StepCall(model, pools, Setting(isa, t, n, 1), features)))
        for t in threads
    }
    products = Case(("products",), ProductsCall(model, isa, n))
    try:
        rounds = interleave([*alone.values(), *whole.values(), products], seconds=arguments.seconds)
    finally:
        pools.stop()
    table = Table(
        "threads", "PCM to text, ms", "network alone, ms", "above it", "bar", "products alone, ms", "beside them", "bar"
    )
    rows = []
    for t in threads:
        above = whole[t].best / alone[t].best - 1
        beside = 1 - products.best / alone[t].best if t == 1 else None
        rows.append(
            {
                "threads": t,
                "pipeline_ms": 1e3 * whole[t].best,
                "network_ms": 1e3 * alone[t].best,
                "above": above,
                "products_ms": 1e3 * products.best if t == 1 else None,
                "beside": beside,
            }
        )
        table.add(
            str(t),
            f"{1e3 * whole[t].best:.3f}",
            f"{1e3 * alone[t].best:.3f}",
            percent(above),
            f"{percent(MOST_ABOVE)} {'met' if above <= MOST_ABOVE else 'missed'}",
            "-" if beside is None else f"{1e3 * products.best:.3f}",
            percent(beside),
            "-" if beside is None else f"{percent(MOST_BESIDE)} {'met' if beside <= MOST_BESIDE else 'missed'}",
        )
    texts = [whole[threads[0]].call.text(i) for i in range(n)]  # type: ignore[attr-defined]
    emit(
        arguments,
        {"network": line, "isa": isa, "channels": n, "rounds": rounds, "rows": rows, "texts": texts},
        machine_line(),
        f"{line}; {isa}; {n} channels, a step of 20 ms of each; {rounds} rounds, interleaved, minima",
        table,
        "beside them: what a step takes besides its products of weights, of one thread: activations, requantisation, "
        "softmax",
    )
    return 0
