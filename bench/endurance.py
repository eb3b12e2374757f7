# SPDX-License-Identifier: Apache-2.0
"""A recording of hours: memory as it goes, and what is left of the output when the command is killed at random moments.

One undisturbed run, in which the memory of its processes is looked at; then a run that is killed with signal 9, again
again, and resumed. Exit code 1 if the outputs differ, or if memory is more than 150 MB above an interpreter's own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pynna
from bench import recordings
from bench.core import default_cache
from bench.report import Table, emit, machine_line
from pynna.audio.files import seconds_of

MOST_MB = 150.0
LOOK = 0.25  # seconds between two looks at the memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=1.0, help="of sound (1)")
    parser.add_argument("--file", type=Path, help="a recording of one's own instead, such as of real rooms and people")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--kills", type=int, default=10, help="how often it is killed (10)")
    parser.add_argument("--greedy", action="store_true", help="no search and no second pass: the fastest")
    parser.add_argument("--model", type=Path, metavar="NNA", help="a mapped model; the one that ships unless given")


def resident(pid: int) -> float:
    """MB of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def family(pid: int) -> Iterator[int]:
    """A process and its children."""
    yield pid
    try:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from family(int(child))
    except OSError:
        return


def interpreter() -> float:
    """MB of an interpreter that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as idle:
        time.sleep(1)
        return resident(idle.pid)


def command(arguments: argparse.Namespace, source: Path, output: Path) -> list[str]:
    """Resumed where there is something to resume."""
    model = [] if arguments.model is None else ["--model", str(arguments.model)]
    model += ["--beam", "0", "--passes", "1"] if arguments.greedy else []
    return [
        sys.executable, "-m", "pynna", "transcribe", str(source), *model, "--jobs", str(arguments.jobs),
        "--format", "jsonl", "--resume", "-o", str(output),
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """In which this very package is found."""
    root = str(Path(pynna.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def calm(arguments: argparse.Namespace, source: Path, output: Path) -> tuple[float, list[float]]:
    """Seconds of a run, and the largest process's MB at each look."""
    start, seen = time.perf_counter(), []
    with subprocess.Popen(command(arguments, source, output), env=environment()) as running:
        while running.poll() is None:
            seen.append(max(map(resident, family(running.pid))))
            time.sleep(LOOK)
    if running.returncode:
        raise SystemExit(f"the undisturbed run ended with exit code {running.returncode}")
    return time.perf_counter() - start, seen


def killed(arguments: argparse.Namespace, source: Path, output: Path, seconds: float, n_parts: int) -> list[int]:
    """Kills runs at random moments, then lets one end; how many parts were there each time."""
    rng, parts = random.Random(1), [0]
    for left in range(arguments.kills, 0, -1):
        share = max(0.02, 1 - parts[-1] / n_parts)  # of the work, that the kills to come are spread over
        with subprocess.Popen(command(arguments, source, output), env=environment()) as running:
            time.sleep(rng.uniform(0.3, 2 * share * seconds / (left + 1)))
            running.send_signal(signal.SIGKILL)
        files = list((output / ".pynna").glob("*.parts"))
        parts.append(sum(file.read_bytes().count(b"\n") - 1 for file in files))
        if (output / f"{source.stem}.jsonl").exists():
            break  # it was through before
    subprocess.run(command(arguments, source, output), env=environment(), check=True)
    return parts[1:]


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    folder = (arguments.cache or default_cache()).expanduser() / "endurance"
    source = arguments.file or recordings.write(folder / f"{arguments.hours:g}-hours.wav", 3600 * arguments.hours, 1)
    hours = (seconds_of(str(source)) or 0.0) / 3600
    work = folder / f"run-{os.getpid()}"
    base = interpreter()
    seconds, seen = calm(arguments, source, work / "calm")
    name = f"{source.stem}.jsonl"
    text = (work / "calm" / name).read_bytes()
    n_segments = text.count(b"\n")
    parts = killed(arguments, source, work / "killed", seconds, n_segments) if arguments.kills else []
    same = not parts or (work / "killed" / name).read_bytes() == text
    n = len(seen)
    quarters = [max(seen[i * n // 4 : (i + 1) * n // 4 or 1], default=0.0) - base for i in range(4)]
    most = max(seen) - base
    table = Table("of the recording", "MB above an interpreter's, at most")
    for i, value in enumerate(quarters):
        table.add(f"{25 * i} to {25 * (i + 1)} %", f"{value:.0f}")
    emit(
        arguments,
        {
            "hours": hours, "jobs": arguments.jobs, "seconds": seconds, "interpreter_mb": base,
            "quarters_mb": quarters, "most_mb": most, "segments": n_segments, "parts_at_kills": parts,
            "same": same,
        },
        machine_line(),
        f"{hours:g} hours, {arguments.jobs} jobs, {seconds:.0f} s undisturbed, {n_segments} segments; "
        f"an interpreter alone: {base:.0f} MB",
        table,
        f"at most {most:.0f} MB above it, the bar is {MOST_MB:.0f}: {'met' if most <= MOST_MB else 'missed'}",
        f"killed {len(parts)} times, parts that were there each time: {parts}; output "
        f"{'equal' if same else 'DIFFERENT'}",
    )  # fmt: skip
    return 0 if same and most <= MOST_MB else 1
