# SPDX-License-Identifier: Apache-2.0
"""What stands around the network: the MFCC of a frame, and the beam search of a frame."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import Core, MappedModel
from bench.hearing import BeamSearch, Network, Windows
from bench.measure import Case, interleave
from bench.models import mapped_random
from bench.report import Table, emit, machine_line
from pynna.mapping import load_clips
from pynna.model import DEFAULT_MODEL

Array = NDArray[Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="speech; that which ships with the package")
    parser.add_argument("--nna", type=Path, help="a mapped network; the package's, or one of random weights")
    parser.add_argument("--beams", type=int, nargs="+", default=[64, 500], help="hypotheses kept (64 500)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure for (10)")


def _mfcc_case(model: MappedModel, pcm: Array) -> Case:
    core = model.core
    memory, mfcc = model.mfcc()
    scratch = core.allocate(core.lib.pynna_mfcc_scratch_size(mfcc))
    out = core.ffi.new("float[]", model.geometry.n_coefficients)
    n_frames = (len(pcm) - model.geometry.window) // model.geometry.step + 1
    samples = core.ffi.from_buffer("int16_t[]", pcm)

    def call(repeats: int, keep: Any = memory) -> Array:
        return core.timed(core.driver.bench_mfcc, mfcc, samples, n_frames, out, scratch, repeats=repeats)

    return Case(("MFCC",), call, n_frames)


def _search_case(core: Core, alphabet: Sequence[str], beam: int, log_probs: Array) -> Case:
    search = BeamSearch(core, alphabet, beam)
    rows = core.ffi.from_buffer("float[]", log_probs)

    def call(repeats: int) -> Array:
        return core.timed(
            core.driver.bench_ctc,
            search.pointer,
            rows,
            log_probs.shape[0],
            log_probs.shape[1],
            search.tokens,
            len(search.tokens),
            repeats=repeats,
        )

    return Case((f"beam search, {beam}",), call, len(log_probs))


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    core = Core(arguments.cache)
    path = arguments.nna or (DEFAULT_MODEL if DEFAULT_MODEL.exists() else None)
    model = MappedModel(core, path) if path else mapped_random(core, 256, arguments.cache)[0]
    rate = model.geometry.sample_rate
    clips = [clip.pcm for clip in load_clips(arguments.clips or None, rate, "the benchmark's")]
    windows, network = Windows(model), Network(model)
    log_probs = np.concatenate([network(windows(pcm)) for pcm in clips])
    alphabet = [core.text(core.lib.pynna_model_label(model.pointer, i)) for i in range(model.geometry.n_labels - 1)]
    cases = [_mfcc_case(model, np.concatenate(clips))]
    cases += [_search_case(core, alphabet, beam, log_probs) for beam in arguments.beams]
    rounds = interleave(cases, seconds=arguments.seconds)
    table = Table("stage", "microseconds a frame", "median", "of 20 ms")
    for case in cases:
        table.add(case.name[0], f"{1e6 * case.best:.2f}", f"{1e6 * case.median:.2f}", f"{100 * case.best / 0.02:.2f}%")
    stages = [{"name": case.name[0], "microseconds": 1e6 * case.best, "median": 1e6 * case.median} for case in cases]
    line = f"{len(log_probs)} frames of {len(clips)} recordings through {model.path.name}; one thread; {rounds} rounds"
    emit(
        arguments,
        {"network": model.path.name, "frames": len(log_probs), "rounds": rounds, "stages": stages},
        machine_line(),
        line,
        table,
    )
    return 0
