# SPDX-License-Identifier: Apache-2.0
"""Fuzzes what Python reads: `python -m tests.fuzz [TARGET...] [--seconds N]`; all targets unless some are named.

With `--state FOLDER` cases add up over runs, each with inputs of its own, until a target has `--cases` of them. With
atheris installed (`--atheris`, one target) the inputs are guided by coverage; without it they are mutations of the
targets' own seeds. A finding is written to `--found` and ends the run with 1."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz import connections, structures, targets, writers  # noqa: F401 (they register what is fuzzed)
from tests.fuzz.mutation import mutated
from tests.fuzz.registry import TARGETS, Finding, Target

SECONDS_A_CASE = 5.0


def once(target: Target, data: bytes) -> None:
    """One case. Raises Finding for anything but an answer or a PynnaError within its time."""
    start = time.process_time()
    target.run(data)
    if (took := time.process_time() - start) > SECONDS_A_CASE:
        raise Finding(f"took {took:.1f} s; at most {SECONDS_A_CASE} are right")


@dataclass
class Tally:
    """What a target's runs add up to."""

    target: str
    runs: int = 0
    cases: int = 0
    cpu: float = 0.0  # seconds
    findings: int = 0

    @classmethod
    def read(cls, name: str, folder: Path | None) -> Tally:
        path = folder / f"{name}.json" if folder else None
        return cls(**json.loads(path.read_text())) if path and path.exists() else cls(name)

    def write(self, folder: Path | None) -> None:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            new = folder / f"{self.target}.new"
            new.write_text(json.dumps(asdict(self)))
            new.replace(folder / f"{self.target}.json")


def fuzz(target: Target, seconds: float, seed: int, found: Path, tally: Tally) -> int:
    """Cases that ran; raises the first finding, its input kept."""
    rng = random.Random(f"{target.name}{seed}.{tally.runs}")
    pool = list(target.seeds())
    n, end, start = 0, time.monotonic() + seconds, time.process_time()
    try:
        while time.monotonic() < end or n == 0:
            data = pool[n] if n < len(pool) and tally.runs == 0 else mutated(rng, pool, target.words)
            n += 1
            once(target, data)
    except BaseException as error:
        tally.findings += not isinstance(error, KeyboardInterrupt)
        found.mkdir(parents=True, exist_ok=True)
        path = found / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        print(f"== finding: {path}", file=sys.stderr)
        raise
    finally:
        tally.runs, tally.cases, tally.cpu = tally.runs + 1, tally.cases + n, tally.cpu + time.process_time() - start
    return n


def guided(target: Target) -> None:
    """Hands the target to atheris; what follows `--` is libFuzzer's."""
    import atheris

    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(target.seeds()):
            (Path(folder) / f"{i}").write_bytes(data)
        arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
        atheris.Setup([sys.argv[0], *arguments, folder], lambda data: once(target, data))
        atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--state", type=Path, help="a folder where cases are added up")
    parser.add_argument(
        "--cases", type=int, default=1_000_000, help="with --state: a target that has as many is left out"
    )
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--input", type=Path, help="run this input alone")
    told = parser.parse_args(sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else None)
    wrong = [name for name in told.targets if name not in TARGETS]
    if wrong:
        parser.error(f"no target {', '.join(wrong)}; there are {', '.join(TARGETS)}")
    tempfile.tempdir = str(targets.in_memory())  # what importers unpack
    for name in told.targets or TARGETS:
        target = TARGETS[name]
        if told.input:
            once(target, told.input.read_bytes())
            continue
        if told.atheris:
            guided(target)
        tally = Tally.read(name, told.state)
        if told.state and tally.cases >= told.cases:
            continue
        try:
            n = fuzz(target, told.seconds, told.seed, told.found, tally)
        except Exception:
            traceback.print_exc()
            return 1
        finally:
            tally.write(told.state)
        print(f"{name:12} {n:8,} cases", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
