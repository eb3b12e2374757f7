# SPDX-License-Identifier: Apache-2.0
"""Worker processes: a program each, or on Linux forks of one program that has loaded the model before.

A fork costs nothing and shares the model's memory, so that two workers are ready as soon as one would be, and read the
same weights through the same cache. That program is a new one, for a caller may have threads, or itself a fork of one
that is known to have none, the command. It waits for its children, and tells with what code each has ended.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

FORKS = sys.platform == "linux"
"""Elsewhere a fork is not sure to work after NumPy's libraries are loaded, or there is none."""

_START = "import sys; sys.path[:] = filter(None, sys.path); from pynna.archive.worker import main; main()"
# the current folder, which is looked into first otherwise, may hold a folder of the package's name


class Process(Protocol):
    """What a worker is to the one who gives it work."""

    stdin: BinaryIO
    stdout: BinaryIO

    def kill(self) -> None:
        """Ends it now."""

    def wait(self) -> int:
        """Its exit code, once it has ended; negative: a signal's number."""


class Crew(Protocol):
    """Processes that are started together."""

    @property
    def processes(self) -> Sequence[Process]:
        """One for each worker."""

    def begin(self, recipe: bytes) -> None:
        """Tells them what to make their model of."""

    def end(self) -> None:
        """Kills those that are left, and waits."""


def _popen(arguments: Sequence[str] = (), fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])  # this very package, installed or not
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **os.environ}  # a worker has one core
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True, pass_fds=fds,
    )  # fmt: skip


def send(file: BinaryIO, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it has ended, which its reader tells
        file.write(data)
        file.flush()


class Program:
    """A worker that is a program of its own."""

    def __init__(self, recipe: bytes = b"") -> None:
        self._popen = _popen()
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self.stdin: BinaryIO = self._popen.stdin  # type: ignore[assignment]
        self.stdout: BinaryIO = self._popen.stdout  # type: ignore[assignment]
        send(self.stdin, recipe)

    def kill(self) -> None:
        """Ends it now."""
        self._popen.kill()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._popen.wait()


class Programs:
    """A program for each of `n` workers."""

    def __init__(self, n: int) -> None:
        self.processes = [Program() for _ in range(n)]

    def begin(self, recipe: bytes) -> None:
        """Sends the recipe to all."""
        for process in self.processes:
            send(process.stdin, recipe)

    def end(self) -> None:
        """Kills them, and waits."""
        for process in self.processes:
            process.kill()
            _close(process)
            process.wait()


class _Fork:
    """A worker that is a child of the program that forks."""

    def __init__(self, forks: Forks, index: int, stdin: int, stdout: int) -> None:
        self._forks, self._index = forks, index
        self.stdin: BinaryIO = os.fdopen(stdin, "wb")
        self.stdout: BinaryIO = os.fdopen(stdout, "rb")

    def kill(self) -> None:
        """Ends it, and with it the others: it is done at the end of all work only."""
        self._forks.kill()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._forks.code(self._index)


Child: TypeAlias = Callable[[int, int, Sequence[int]], None]
"""What the program that forks does: with its source, its output, and two files for each worker."""


class _Forked:
    """A fork of this very process, as a Popen is."""

    def __init__(self, child: Child, theirs: Sequence[int], ours: Sequence[int]) -> None:
        source, stdin = os.pipe()
        stdout, out = os.pipe()
        if not (pid := os.fork()):
            try:
                os.setsid()  # the terminal's interrupt is the parent's to tell
                for file in (stdin, stdout, *ours):
                    os.close(file)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(2, 1)  # what a library prints is no message
                child(source, out, theirs)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(source)
        os.close(out)
        self.pid, self.returncode = pid, None
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")

    returncode: int | None

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


class Forks:
    """One program, whose children the workers are.

    Parameters
    ----------
    n : int
    child : callable, optional
        The program is a fork of this process, which does that; this process has no threads.
    """

    def __init__(self, n: int, child: Child | None = None) -> None:
        pipes = [(*os.pipe(), *os.pipe()) for _ in range(n)]
        theirs = [fd for each in pipes for fd in (each[0], each[3])]
        ours = [fd for each in pipes for fd in (each[1], each[2])]
        self._program: subprocess.Popen[bytes] | _Forked
        try:
            self._program = _popen([*map(str, theirs)], theirs) if child is None else _Forked(child, theirs, ours)
        finally:
            for fd in theirs:
                os.close(fd)
        self.processes = [_Fork(self, i, each[1], each[2]) for i, each in enumerate(pipes)]
        self._codes: dict[int, int] = {}
        self._told = threading.Condition()
        assert self._program.stdin is not None
        self._stdin: BinaryIO = self._program.stdin  # type: ignore[assignment]
        threading.Thread(target=self._read, daemon=True, name="pynna-worker-codes").start()

    def begin(self, recipe: bytes) -> None:
        """Sends the recipe to the program, which then forks."""
        send(self._stdin, recipe)

    def _read(self) -> None:
        assert self._program.stdout is not None
        with self._program.stdout as file, contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                index, code = pickle.load(file)
                with self._told:
                    self._codes[index] = code
                    self._told.notify_all()
        code = self._program.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()
        with self._told:
            for index in range(len(self.processes)):
                self._codes.setdefault(index, code)
            self._told.notify_all()

    def code(self, index: int) -> int:
        """A child's exit code, or the program's own where that has ended before."""
        with self._told:
            self._told.wait_for(lambda: index in self._codes)
            return self._codes[index]

    def kill(self) -> None:
        """Ends all of them: they are a group of processes."""
        if self._program.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                try:
                    os.killpg(self._program.pid, signal.SIGKILL)
                except ProcessLookupError:  # a fork that is so young that it leads no group yet, and has no children
                    os.kill(self._program.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills them, and waits."""
        self.kill()
        for i, process in enumerate(self.processes):
            _close(process)
            self.code(i)


def _close(process: Program | _Fork) -> None:
    for file in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            file.close()
