# SPDX-License-Identifier: Apache-2.0
"""Hours of audio that a core takes in an hour: an archive of files of mixed length, by this project and by others.

    python -m bench archive                                   # the model that ships, and one 2048 wide
    python -m bench archive --client ds093 --client-model output_graph.pbmm --vosk vosk-model-small-en-us-0.15 \\
        --whisper tiny.en                                     # and others, those that are there

The former command takes one file after the other on one core; then the same files with --jobs 1 and 2, and with Ray's
actors (`pip install 'pynna[ray]'`), once its cluster is up; its start is told apart. Each is a process of its own that
loads its model; runs are visited in turn, `--rounds` times, and the least of their times counts; what each took is told
on standard error at once. Exit code 1 if a text of an archive's run is not the former command's.

Others: DeepSpeech's real client (an unpacked wheel, see `python -m bench clients --help`), vosk and faster-whisper
(packages of these names, with a model's folder each), one thread, a file after the other.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import ROOT, recordings
from bench.core import Core, default_cache
from bench.endurance import environment
from bench.models import mapped_random
from bench.report import Table, emit, machine_line

TWO_CORES, FORMER, RAY_OVERHEAD = 1.9, 3.0, 0.10
"""The bars: two processes to one; two processes to the former command, 2048 wide; Ray's time above that of --jobs."""

OPTIONS = ["--beam", "0", "--passes", "1"]
"""Of all runs of this project: random weights leave every search in doubt, and what is measured is not the search."""


@dataclass
class Run:
    """A way to transcribe the files; `call` gives its seconds."""

    name: str
    cores: int
    call: Callable[[], float]
    seconds: float = field(default=float("inf"))

    def rate(self, audio: float) -> float:
        """Hours of audio a core-hour."""
        return audio / (self.seconds * self.cores)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--files", type=int, default=64, help="how many (64)")
    add("--minutes", type=float, default=60.0, help="of audio in all (60)")
    add("--width", type=int, nargs="*", default=[2048], help="networks of random weights beside the small one (2048)")
    add("--jobs", type=int, nargs="+", default=[1, 2], help="processes, and Ray's actors (1 2)")
    add("--rounds", type=int, default=1, help="times that each run is visited (1)")
    add("--no-ray", action="store_true", help="without Ray, though it is installed")
    add("--ray-all", action="store_true", help="Ray for all networks and numbers, not for the small one and the last")
    add("--client", type=Path, metavar="FOLDER", help="an unpacked wheel of DeepSpeech 0.9.3")
    add("--client-model", type=Path, metavar="PBMM", help="its model")
    add("--vosk", type=Path, metavar="FOLDER", help="a model of vosk's")
    add("--whisper", metavar="MODEL", help="a model of faster-whisper's")


def timed(command: list[str]) -> float:
    """Seconds of a command that must end well."""
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} ... ended with exit code {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


class Archive:
    """The files, and a network's runs over them."""

    def __init__(self, files: list[Path], model: Path | None, work: Path) -> None:
        self.files, self.model, self.work = files, model, work
        self.ray_start = 0.0

    def _fresh(self, name: str) -> Path:
        shutil.rmtree(self.work / name, ignore_errors=True)
        return self.work / name

    def pynna(self, name: str, *options: str) -> Callable[[], float]:
        """The command with options."""
        model = [] if self.model is None else ["--model", str(self.model)]
        command = [sys.executable, "-m", "pynna", "transcribe", *map(str, self.files), *model, *OPTIONS, *options]
        return lambda: timed([*command, "-o", str(self._fresh(name))])

    def ray(self, name: str, actors: int) -> Callable[[], float]:
        """Ray's actors; the time without its start, which is noted."""
        arguments = [str(self.model or ""), str(actors), *map(str, self.files)]

        def call() -> float:
            told = self.work / "ray.json"
            program = [sys.executable, "-m", "bench.archive_ray", str(told), str(self._fresh(name)), *arguments]
            whole = timed(program)
            seconds = float(json.loads(told.read_text())["seconds"])
            self.ray_start = whole - seconds
            return seconds

        return call

    def texts(self, name: str, ending: str) -> dict[str, str]:
        """What a run has written, file by file."""
        return {path.stem: path.read_text("utf-8") for path in sorted((self.work / name).glob(f"*.{ending}"))}

    def ray_texts(self, name: str) -> dict[str, list[tuple[float, str]]]:
        """Segments of Ray's rows, file by file."""
        from pyarrow import parquet

        found: dict[str, list[tuple[float, str]]] = {}
        for path in (self.work / name).glob("*.parquet"):
            for row in parquet.read_table(path).to_pylist():
                found.setdefault(Path(row["path"]).stem, []).append((row["start"], row["text"]))
        return {stem: sorted(segments) for stem, segments in found.items()}


def own_runs(archive: Archive, jobs: list[int], actors: list[int]) -> list[Run]:
    """This project's; Ray's with those numbers of actors."""
    one = ["--threads", "1"]
    runs = [Run("one file after the other", 1, archive.pynna("former", *one, "--format", "text"))]
    runs += [Run(f"--jobs {n}", n, archive.pynna(f"jobs{n}", "--jobs", str(n), "--format", "text")) for n in jobs]
    cut = ("--utterances", "--format", "jsonl")
    runs += [Run(f"cut at pauses, --jobs {n}", n, archive.pynna(f"cut{n}", "--jobs", str(n), *cut)) for n in jobs]
    return runs + [Run(f"cut at pauses, {n} Ray actors", n, archive.ray(f"ray{n}", n)) for n in actors]


def differences(archive: Archive, jobs: list[int], actors: list[int]) -> list[str]:
    """Texts that are not those of the file alone: of the former command, and cut at pauses of --jobs 1."""
    former = archive.texts("former", "txt")
    found = [f"--jobs {n}: {s}" for n in jobs for s, t in archive.texts(f"jobs{n}", "txt").items() if t != former[s]]
    cut = archive.texts(f"cut{jobs[0]}", "jsonl")
    for n in jobs[1:]:
        found += [f"cut, --jobs {n}: {s}" for s, text in archive.texts(f"cut{n}", "jsonl").items() if text != cut[s]]
    want = {
        stem: sorted((row["start"], row["text"]) for row in map(json.loads, text.splitlines()))
        for stem, text in cut.items()
    }
    for n in actors:
        heard = archive.ray_texts(f"ray{n}")
        found += [f"{n} Ray actors: {s}" for s in want if want[s] and heard.get(s) != want[s]]
    return found


def other_runs(arguments: argparse.Namespace, files: list[Path]) -> list[Run]:
    """Other recognisers', each in a process of its own with one thread."""
    asked = {
        "DeepSpeech 0.9.3": ("deepspeech", [arguments.client, arguments.client_model]),
        "vosk": ("vosk", [arguments.vosk]),
        "faster-whisper": ("whisper", [arguments.whisper]),
    }
    runs = []
    for name, (kind, values) in asked.items():
        if all(value is not None for value in values):
            command = [sys.executable, "-m", "bench.archive_peers", kind, *map(str, [*values, *files])]
            runs.append(Run(name, 1, lambda command=command: timed(command)))  # type: ignore[misc]
    return runs


def has_ray() -> bool:
    try:
        import ray.data  # noqa: F401
    except ImportError:
        return False
    return True


def bars(runs: dict[str, Run], name: str, jobs: list[int]) -> list[tuple[str, float, float, bool]]:
    """What is asked, measured, the bar, and whether it is met."""
    found = []
    if {1, 2} <= set(jobs):
        for way in ("", "cut at pauses, "):
            ratio = runs[f"{way}--jobs 1"].seconds / runs[f"{way}--jobs 2"].seconds
            found.append((f"{name}: {way}two processes to one", ratio, TWO_CORES, ratio >= TWO_CORES))
        if name != "small":
            ratio = runs["one file after the other"].seconds / runs["--jobs 2"].seconds
            found.append((f"{name}: two processes to one file after the other", ratio, FORMER, ratio >= FORMER))
    for n in jobs:
        if (ray := runs.get(f"cut at pauses, {n} Ray actors")) is not None:
            above = ray.seconds / runs[f"cut at pauses, --jobs {n}"].seconds - 1
            found.append((f"{name}: {n} Ray actors above --jobs {n}", above, RAY_OVERHEAD, above <= RAY_OVERHEAD))
    return found


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    cache = (arguments.cache or default_cache()).expanduser()
    compileall.compile_dir(ROOT / "pynna", quiet=1)  # as in an installed package
    seconds = recordings.lengths(arguments.files, 60 * arguments.minutes)
    audio = sum(seconds)
    folder = cache / f"archive-{arguments.files}-{arguments.minutes:g}"
    files = [recordings.write(folder / f"{i:03}.wav", each, i) for i, each in enumerate(seconds)]
    models: dict[str, Path | None] = {"small": None}
    core = Core(arguments.cache) if arguments.width else None
    for width in arguments.width:
        assert core is not None
        models[str(width)] = mapped_random(core, width, arguments.cache)[0].path
    with_ray = has_ray() and not arguments.no_ray
    archives = {name: Archive(files, path, cache / "archive-out" / name) for name, path in models.items()}
    some = arguments.jobs if arguments.ray_all else arguments.jobs[-1:]
    actors = {name: some if with_ray and (name == "small" or arguments.ray_all) else [] for name in archives}
    runs = {name: own_runs(archive, arguments.jobs, actors[name]) for name, archive in archives.items()}
    runs["others"] = other_runs(arguments, files)
    for _ in range(arguments.rounds):
        for each in [each for group in runs.values() for each in group]:
            each.seconds = min(each.seconds, took := each.call())
            print(f"{each.name}: {took:.1f} s", file=sys.stderr, flush=True)
    table = Table("network", "run", "cores", "seconds", "hours of audio a core-hour")
    for name, group in runs.items():
        for each in group:
            table.add(name, each.name, str(each.cores), f"{each.seconds:.1f}", f"{each.rate(audio):.0f}")
    wrong = [
        f"{name}, {text}" for name, each in archives.items() for text in differences(each, arguments.jobs, actors[name])
    ]
    asked = [bar for name in archives for bar in bars({each.name: each for each in runs[name]}, name, arguments.jobs)]
    met = Table("bar", "measured", "asked", "")
    for text, value, bar, is_met in asked:
        met.add(text, f"{value:.2f}", f"{bar:.2f}", "met" if is_met else "missed")
    emit(
        arguments,
        {
            "files": len(files), "audio_seconds": audio,
            "runs": [
                {"network": name, "run": r.name, "cores": r.cores, "seconds": r.seconds, "rate": r.rate(audio)}
                for name, group in runs.items() for r in group
            ],
            "ray_start_seconds": {name: each.ray_start for name, each in archives.items()} if with_ray else None,
            "bars": [dict(zip(("bar", "measured", "asked", "met"), bar, strict=True)) for bar in asked],
            "different": wrong,
        },
        machine_line(),
        f"{len(files)} files of {min(seconds):.0f} to {max(seconds):.0f} s, {audio / 3600:.2f} hours; options of this "
        f"project: {' '.join(OPTIONS)}; least of {arguments.rounds} visits",
        table,
        met,
        f"Ray's start takes {archives['small'].ray_start:.1f} s besides" if with_ray else "without Ray",
        f"texts: {'; '.join(wrong) or 'each that of the file alone'}",
    )  # fmt: skip
    return 1 if wrong else 0
