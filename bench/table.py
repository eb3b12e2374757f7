# SPDX-License-Identifier: Apache-2.0
"""The accelerator's published table, and this machine beside it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from bench import plot
from bench.figures import ACCELERATOR_MS, Row
from bench.network import add_model_arguments, measure, model_of
from bench.report import Table, emit, machine_line

STEPS_A_SECOND = 50  # of a live channel, 20 ms each
CHANNELS = 16  # at once, at most


def published() -> list[Row]:
    """A step takes the accelerator as long for one channel as for sixteen."""
    return [_row(f"accelerator, {name}", ms, ms) for name, ms in ACCELERATOR_MS.items()]


def _row(name: str, sixteen_ms: float, one_ms: float) -> Row:
    """From a step of 16 channels and one of a single channel."""
    return Row(
        name,
        sixteen_ms,
        1000 / sixteen_ms,
        STEPS_A_SECOND * one_ms / 1000,
        CHANNELS * 1000 / sixteen_ms / STEPS_A_SECOND,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    plot.add_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model, line = model_of(arguments)
    isa = model.core.text(model.core.lib.pynna_isa_default())
    threads = sorted(set(arguments.threads))
    found, limits, rounds = measure(model, [isa], threads, [1, 4, 8, CHANNELS], [1, 16], arguments.seconds)
    by = {(f.setting.threads, f.setting.channels, f.setting.steps): f for f in found}
    rows = published()
    for n in threads:
        for steps, how in ((1, "a step a call"), (16, "16 steps a call")):
            name = f"here, {n} thread{'s' * (n > 1)}, {how}"
            rows.append(_row(name, by[n, CHANNELS, steps].ms, by[n, 1, steps].ms))
    table = Table("", "ms a step", "steps a second", "one live channel takes", "channels at full load")
    for r in rows:
        table.add(r.name, f"{r.ms:.2f}", f"{r.inferences:.0f}", f"{100 * r.one_channel:.1f}%", f"{r.channels:.0f}")
    values = {
        "network": line,
        "isa": isa,
        "rounds": rounds,
        "limits": limits.as_dict(),
        "rows": [asdict(r) for r in rows],
    }
    emit(
        arguments,
        values,
        machine_line(),
        f"{line}; {isa}; {rounds} rounds, interleaved, minima",
        *limits.lines(),
        table,
        "A step is of 16 channels; one live channel needs 50 a second, here steps of it alone.",
    )
    if arguments.plot:
        plot.table(arguments.plot, found, limits, rows, machine_line(), line)
    return 0
