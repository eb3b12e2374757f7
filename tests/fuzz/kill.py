# SPDX-License-Identifier: Apache-2.0
"""Kills what writes files at random moments: `python -m tests.fuzz.kill [--times 1000]`.

Each job runs in a process of its own that ends by SIGKILL, at a moment between its start and its end. Then a file that
it writes is not there, is what was there before, or is whole."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pynna.assistant.run import demo_recordings
from pynna.assistant.supervised import write_addon
from pynna.cli.main import main as pynna
from pynna.errors import PynnaError
from tests.fuzz import seeds

BEFORE = b"what was there before\n"


@dataclass(frozen=True)
class Job:
    """What writes into a folder; `again` where it must go on from what a killed one left."""

    name: str
    run: Callable[[Path], object]
    again: bool = False


def _text(folder: Path) -> Path:
    """Words for a language model, larger than a buffer."""
    path = folder.with_name("text")
    rng = random.Random(1)
    if not path.exists():
        path.write_text("\n".join(" ".join(rng.choices([f"w{i}" for i in range(300)], k=8)) for _ in range(600)))
    return path


def _cache(folder: Path) -> None:
    from pynna.deepspeech.cache import mapped_model

    os.environ["PYNNA_CACHE"] = str(folder)
    source = folder.with_name("read_only") / "a.pb"
    source.parent.mkdir(exist_ok=True)
    if not source.exists():
        shutil.copyfile(seeds.GOLDEN / "tiny_graph.pb", source)
        os.utime(source, (1, 1))
    mapped_model(source)


def _scorer(folder: Path) -> None:
    from pynna.deepspeech.scorers import write_scorer

    words = [a + b + c for a in "abcdefghij" for b in "aeiou" for c in "klmnopqrst"]
    labels = [bytes([c]) for c in b" abcdefghijklmnopqrstuvwxyz'"]
    write_scorer(seeds.GOLDEN / "three.trie.binary", words, labels, folder / "a.scorer", alpha=0.75, beta=1.85)


def _clips(n: int) -> list[str]:
    return [str(path) for path in demo_recordings()[:n]]


def _command(*words: object) -> None:
    if code := pynna([str(word) for word in words]):
        sys.exit(code)


def function(run: Callable[[Path], object]) -> Callable[[Path], None]:
    """A job that is no command: what its page says it raises, OSError and PynnaError, is an error that is named."""

    def named(folder: Path) -> None:
        try:
            run(folder)
        except (OSError, PynnaError) as error:
            print(error, file=sys.stderr)
            sys.exit(1)

    return named


_GRAPH = seeds.GOLDEN / "tiny_graph.pb"
_EACH = ("transcribe", *_clips(2))
JOBS = (
    Job("map", lambda to: _command("map", _GRAPH, "-o", to / "a.nna", "--calibrate", *_clips(1))),
    Job("lm", lambda to: _command("lm", _text(to), "-o", to / "a.arpa")),
    Job("picture", lambda to: _command("grammar", "car", "--graph", to / "a.svg")),
    Job("transcribe", lambda to: _command(*_EACH, "--passes", 1, "--format", "json", "-o", to)),
    Job("archive", lambda to: _command(*_EACH, "--format", "jsonl", "--resume", "-o", to), again=True),
    Job("why", lambda to: _command("why", *_clips(1), "--grammar", "car", "--histogram", to / "a.html")),
    Job("cache", function(_cache)),
    Job("scorer", function(_scorer)),
    Job("add-on", function(lambda to: write_addon(to / "addon"))),
)  # fmt: skip


def started(job: Job, folder: Path) -> int:
    """The number of a process that works in the folder."""
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(BaseException):
        silent = os.open(os.devnull, os.O_RDWR)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        job.run(folder)
        code = 0
    os._exit(code)


def ended(child: int) -> int:
    """Its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def written(folder: Path) -> dict[str, bytes]:
    """The files that are there for a user: none that begins with a dot, and none that a job keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


@dataclass
class Tried:
    """A job, what it writes when it is left alone, and how long that takes."""

    job: Job
    whole: dict[str, bytes]
    seconds: float

    @classmethod
    def of(cls, job: Job, room: Path) -> Tried:
        """Runs the job once, to its end."""
        folder = _fresh(room)
        begun = time.monotonic()
        if code := ended(started(job, folder)):
            raise RuntimeError(f"{job.name} ends with {code}")
        return cls(job, written(folder), time.monotonic() - begun)

    def kill(self, rng: random.Random, room: Path) -> tuple[bool, list[str]]:
        """Kills it once: whether it was still at work, and the files that are neither whole nor as before."""
        folder = _fresh(room)
        if not self.job.again and self.job.name != "add-on" and rng.random() < 0.5:
            for name in self.whole:
                (folder / name).write_bytes(BEFORE)
        child = started(self.job, folder)
        time.sleep(rng.uniform(0, self.seconds))
        os.kill(child, signal.SIGKILL)
        at_work = ended(child) == -signal.SIGKILL
        self.seconds *= 1.02 if at_work else 0.9  # the first run loads what later ones find loaded
        half = [name for name, data in written(folder).items() if data not in (BEFORE, self.whole.get(name))]
        if self.job.again and (ended(started(self.job, folder)) or written(folder) != self.whole):
            half.append("what it should have gone on with")
        return at_work, half


def _fresh(room: Path) -> Path:
    folder = room / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def kill(times: int, jobs: Sequence[Job] = JOBS, seed: int = 0, tell: Callable[[str], object] = print) -> int:
    """Kills the jobs in turn; returns the number of files that were found half written."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        tried = [Tried.of(job, Path(name)) for job in jobs]
        n_half, killed, left = 0, {each.job.name: 0 for each in tried}, {each.job.name: 0 for each in tried}
        for i in range(times):
            each = tried[i % len(tried)]
            at_work, half = each.kill(rng, Path(name))
            killed[each.job.name] += at_work
            left[each.job.name] += any(path.suffix == ".part" for path in (Path(name) / "out").rglob(".*"))
            n_half += len(half)
            for path in half:
                tell(f"{each.job.name}: {path} is half written")
        for each in tried:
            n = each.job.name
            tell(
                f"{n:12} {each.seconds:6.2f} s, killed {killed[n]} times, with a file beside its place {left[n]} times"
            )
    tell(f"{times} times, {n_half} files half written")
    return n_half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kill", description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("jobs", nargs="*", help=", ".join(job.name for job in JOBS))
    told = parser.parse_args()
    jobs = [job for job in JOBS if not told.jobs or job.name in told.jobs]
    return int(kill(told.times, jobs, told.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
