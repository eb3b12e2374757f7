# SPDX-License-Identifier: Apache-2.0
"""A microphone that stays open: hours of sound through one listener, faster than real time.

The recordings that ship are heard again and again in another order, at another level and over noise, pauses of one to
six seconds between them. At intervals it tells the process's memory, the processor time that a 20 ms step took since
the last one (network, search and events), and how many utterances came out. Exit code 1 if memory grew by more than
`--growth` MB between the first interval and the last.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pynna
from bench.report import Table, emit, machine_line
from pynna.events import Final

Array = NDArray[Any]
CHUNK = 320  # samples: 20 ms, as a microphone gives them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=1.0, help="of sound (1)")
    parser.add_argument("--intervals", type=int, default=6, help="how often to tell (6)")
    parser.add_argument("--growth", type=float, default=2.0, help="MB that memory may grow by (2)")
    parser.add_argument("--model", type=Path, metavar="NNA", help="a mapped model; the one that ships unless given")
    parser.add_argument("--grammar", type=Path, metavar="YAML", help="a sentence file; the car's unless given")
    parser.add_argument("--no-grammar", action="store_true", help="beam search instead")


def sound(rate: int) -> Iterator[Array]:
    """Clips with a pause behind each, int16, without end."""
    clips = [
        pynna.audio.read(path, sample_rate=rate).pcm
        for path in sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
    ]
    rng = np.random.default_rng(0)
    while True:
        for i in rng.permutation(len(clips)):
            pause = np.zeros(int(rng.integers(rate, 6 * rate)))
            whole = np.concatenate([clips[i] * rng.uniform(0.2, 1.0), pause])
            whole += rng.normal(0, rng.uniform(1, 60), len(whole))
            yield np.clip(whole, -32768, 32767).astype(np.int16)


def memory() -> float:
    """MB resident now, or where the system does not tell, at most so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model = pynna.load(arguments.model)
    options = (
        {} if arguments.no_grammar else {"grammar": pynna.Grammar.from_yaml(arguments.grammar or pynna.CAR_GRAMMAR)}
    )
    listener = model.listen(**options)
    pieces = sound(model.sample_rate)
    n_samples = round(3600 * arguments.hours * model.sample_rate / arguments.intervals)
    table = Table("heard, minutes", "memory, MB", "us a step", "% of a core, live", "utterances", "accepted")
    values: list[dict[str, float]] = []
    for i in range(arguments.intervals):
        fed, spent, finals = 0, 0.0, []
        while fed < n_samples:
            piece = next(pieces)
            start = time.process_time()
            for at in range(0, len(piece), CHUNK):
                finals += [event for event in listener.feed(piece[at : at + CHUNK]) if isinstance(event, Final)]
            spent += time.process_time() - start
            fed += len(piece)
        step = spent * model.geometry["step"] / fed
        accepted = sum(getattr(event.result, "accepted", False) for event in finals)
        values.append(
            {
                "hours": arguments.hours * (i + 1) / arguments.intervals,
                "megabytes": memory(),
                "seconds_a_step": step,
                "utterances": len(finals),
                "accepted": accepted,
            }
        )
        table.add(
            f"{60 * values[-1]['hours']:.0f}",
            f"{values[-1]['megabytes']:.1f}",
            f"{1e6 * step:.0f}",
            f"{100 * step / model.seconds_per_step:.2f}",
            f"{len(finals)}",
            f"{accepted}",
        )
    growth = values[-1]["megabytes"] - values[0]["megabytes"]
    emit(
        arguments,
        {"intervals": values, "growth_megabytes": growth},
        machine_line(),
        table,
        f"memory grew by {growth:.1f} MB between the first interval and the last",
    )
    return int(growth > arguments.growth)
