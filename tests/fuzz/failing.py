# SPDX-License-Identifier: Apache-2.0
"""Lets each system call of a command fail once: `python -m tests.fuzz.failing [JOB...] [--every N]`.

The command's n-th call of open, read, write, mmap, fstat, rename, fsync and the like fails, for every n, once with each
kind of failure: an error of the disk, no room, too many files, an interruption, half of what was to be read or written,
the process's end. Then the command gives the right answer, or names an error; no file is half written, and nothing
crashes or hangs."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pynna
from pynna.saving import whole_file
from tests.fuzz import kill
from tests.fuzz.kill import BEFORE, JOBS, Job, written

SOURCE = Path(__file__).parents[1] / "support" / "failing.c"
KINDS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EMFILE": errno.EMFILE, "EINTR": errno.EINTR, "half": 0, "kill": -1}
SECONDS = 120.0  # of one run


def built(folder: Path) -> Path:
    """The library to be preloaded."""
    library = folder / "failing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", str(SOURCE), "-o", str(library), "-ldl"], check=True)
    return library


def shim() -> ctypes.CDLL:
    """The library, which is preloaded."""
    here = ctypes.CDLL(None)
    here.fail_over.restype = ctypes.c_char_p
    here.fail_call.argtypes = [ctypes.c_long, ctypes.c_int]
    return here


def _small_model(folder: Path) -> Path:
    """A network so small that a run is a matter of milliseconds, beside a folder; made when it is first wanted."""
    sys.path.insert(0, str(SOURCE.parents[1]))
    from support.nna_models import random_file

    path = folder.with_name("small.nna")
    if not path.exists():
        path.write_bytes(random_file(16))
    return path


def _small(to: Path) -> None:
    kill._command("transcribe", "-m", _small_model(to), "--beam", 0, *kill._clips(1))


def _state(to: Path) -> None:
    """A stream that is saved into a file and taken up again."""
    model = pynna.load(_small_model(to), threads=1)
    stream = model.stream(beam_width=0)
    stream.feed(bytes(range(256)) * 100)
    with whole_file(to / "a.state", "wb") as out:
        out.write(stream.save())
    print(model.restore_stream((to / "a.state").read_bytes(), beam_width=0).finish().text)


def _written(*options: object, n: int = 2, to: str = "") -> Callable[[Path], None]:
    """A command over n recordings that writes into the folder."""

    def run(folder: Path) -> None:
        command, *more = options
        kill._command(command, "-m", _small_model(folder), *kill._clips(n), *more, folder / to)

    return run


_GREEDY = ("--beam", 0, "--passes", 1)
OWN_JOBS = (
    Job("small", _small),
    Job("state", kill.function(_state)),
    Job("transcribe", _written("transcribe", *_GREEDY, "--format", "json", "-o")),
    Job("archive", _written("transcribe", *_GREEDY, "--format", "jsonl", "--resume", "-o"), again=True),
    Job("why", _written("why", "--grammar", "car", "--histogram", n=1, to="a.html")),
)
"""By a network of next to nothing: each call of them fails within minutes, not hours."""

ALL_JOBS = {job.name: job for job in (*JOBS, *OWN_JOBS)}


class Run:
    """A job's run in a process of its own, whose n-th call fails."""

    def __init__(self, job: Job, room: Path, what: int = 0, n: int = -1) -> None:
        self.folder = kill._fresh(room)
        told = [room / name for name in ("stdout", "stderr", "failed")]
        child = os.fork()
        if not child:
            _in_child(job, self.folder, told, what, n)
        self.code = _ended(child)
        self.out, self.err, self.failed = (path.read_text(errors="replace") for path in told)
        self.out = re.sub(r"\d+(\.\d+)? m?s\b", "", self.out)  # how long it took
        self.files = written(self.folder)

    def wrong(self, whole: Run, what: int) -> str:
        """What must not be, compared with the run in which nothing failed; "" for nothing."""
        half = [name for name, data in self.files.items() if data not in (BEFORE, whole.files.get(name))]
        if half:
            return f"{', '.join(half)} half written"
        if self.code is None:
            return "it hangs"
        if what < 0 and self.code == -signal.SIGKILL:
            return ""
        if self.code not in (0, 1):
            return f"it ends with {self.code}: {self.err[-2000:]}"
        if "Traceback" in self.err:
            return self.err[-2000:]
        if self.code == 0 and (self.out, self.files) != (whole.out, whole.files):
            return f"another answer: {self.out[:300]!r}; {self.err[-300:]}"
        if self.code == 1 and not self.err and self.failed != "write":
            return "no error is named"
        return ""


def _in_child(job: Job, folder: Path, told: Sequence[Path], what: int, n: int) -> None:
    code, here = 70, shim()
    try:
        for path, number in zip(told, (1, 2, 3), strict=True):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        if n >= 0:
            here.fail_call(n, what)
        job.run(folder)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    except BaseException:
        import traceback

        here.fail_over()
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            name = here.fail_over()
            os.write(3, name or b"")
            sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> int | None:
    late = time.monotonic() + SECONDS
    while time.monotonic() < late:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def torture(job: Job, every: int, tell: Callable[[str], object] = print) -> tuple[int, int]:
    """How many calls failed, and how many times that went wrong; every so many of the calls, kinds in turn."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        with open(os.devnull, "w") as none, contextlib.redirect_stdout(none), contextlib.redirect_stderr(none):
            job.run(kill._fresh(room))  # here, so that all its modules are loaded
        whole, n_failed, n_wrong = Run(job, room), 0, 0
        if whole.code:
            raise RuntimeError(f"{job.name} ends with {whole.code}: {whole.err}")
        for n, kind in _cases(every):
            run = Run(job, room, KINDS[kind], n)
            if not run.failed and run.code == 0:
                break
            n_failed += 1
            if wrong := run.wrong(whole, KINDS[kind]):
                n_wrong += 1
                tell(f"{job.name}: {kind} of call {n}, {run.failed}: {wrong}")
        return n_failed, n_wrong


def _cases(every: int) -> Iterator[tuple[int, str]]:
    """Calls and kinds: all kinds of all calls for 1, else one kind of a call, the next of the next."""
    kinds = itertools.cycle(KINDS)
    for n in itertools.count():
        if every == 1:
            yield from ((n, kind) for kind in KINDS)
        else:
            yield n * every // len(KINDS), next(kinds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.failing", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only one in so many of the cases")
    parser.add_argument("jobs", nargs="*", help=", ".join(ALL_JOBS))
    told = parser.parse_args()
    if not hasattr(ctypes.CDLL(None), "fail_call"):
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "LD_PRELOAD": str(built(Path(folder)))}
            return subprocess.run([sys.executable, "-m", "tests.fuzz.failing", *sys.argv[1:]], env=env).returncode
    found = 0
    for job in ALL_JOBS.values():
        if not told.jobs or job.name in told.jobs:
            n_failed, n_wrong = torture(job, told.every)
            print(f"{job.name:12} {n_failed} calls failed, {n_wrong} went wrong", flush=True)
            found += n_wrong
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
