# SPDX-License-Identifier: Apache-2.0
"""Recordings to segments on several cores: a process each, which asks for more whenever it has channels free.

Processes and not threads: decoders, cutting and endpointing hold the interpreter's lock, which is half of the work of a
small model; and a recording that ends its process takes no other one with it.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from pynna.archive.processes import FORKS, Crew, Forks, Process, Program, Programs, send
from pynna.archive.recogniser import Failed, Message, PartDone, Recogniser, Settings, Unit
from pynna.archive.worker import Recipe, serve
from pynna.errors import ArgumentError, PynnaError
from pynna.model import Model


def run_here(model: Model, settings: Settings, units: Iterable[Unit]) -> Iterator[Message]:
    """What becomes of the units, in this process."""
    told: deque[Message] = deque()
    recogniser = Recogniser(model, settings, told.append)
    left = deque(units)
    while left or recogniser.busy:
        while left and recogniser.wants:
            recogniser.add(left.popleft())
        recogniser.turn()
        while told:
            yield told.popleft()


_EARLY: list[tuple[int, Crew]] = []
"""Processes that nobody has yet, and how many they are; they wait for a recipe, and end with this one."""


def start_early(jobs: int, model: Model) -> None:
    """Starts the processes of the next `run_jobs`, of a program that has no threads: they have what it has loaded."""
    if jobs > 1:
        end_early()
        alone = FORKS and threading.active_count() == 1 and model.threads == 1
        child = functools.partial(serve, model=model)
        _EARLY.append((jobs, Forks(jobs, child) if alone else _crew(jobs)))


def end_early() -> None:
    """Ends those that nobody has taken."""
    while _EARLY:
        _EARLY.pop()[1].end()


def _crew(jobs: int) -> Crew:
    return Forks(jobs) if FORKS else Programs(jobs)


def _taken(jobs: int) -> Crew:
    """The crew that was started early, if it is as large, or a new one."""
    crew = next((crew for n, crew in _EARLY if n == jobs), None)
    _EARLY[:] = [each for each in _EARLY if each[1] is not crew]
    end_early()
    return crew or _crew(jobs)


class _Worker:
    """A process and what it has under way."""

    def __init__(self, process: Process, number: int, told: queue.Queue[tuple[_Worker, Any]]) -> None:
        self._process, self.number = process, number
        self.under_way, self.starved = dict[tuple[int, int], Unit](), False
        self._told = told
        self._missing: dict[tuple[int, int], list[Any]] = {}  # parts that are there, all of them
        threading.Thread(target=self._read, daemon=True, name=f"pynna-worker-{number}").start()

    def give(self, unit: Unit) -> None:
        """Hands a recording in."""
        self.starved = False
        self.under_way[unit.number, unit.share] = unit
        send(self._process.stdin, pickle.dumps(unit))

    def note(self, message: Message) -> None:
        """Keeps count of the parts of a recording, to know when it is through."""
        unit = message.unit
        key = unit.number, unit.share
        if isinstance(message, Failed):
            self.under_way.pop(key, None)
            return
        missing = self._missing.setdefault(key, [set(unit.done), None])
        if isinstance(message, PartDone):
            missing[0].add(message.number)
        else:
            missing[1] = set(range(unit.share, message.n_parts, unit.n_shares))
        if missing[1] is not None and missing[1] <= missing[0]:
            self.under_way.pop(key, None)
            del self._missing[key]

    def _read(self) -> None:
        with self._process.stdout as file:
            try:
                while True:
                    self._told.put((self, pickle.load(file)))
            except (EOFError, OSError, pickle.UnpicklingError):
                self._told.put((self, None))

    def end(self, *, kill: bool = False) -> int:
        """Ends it, and gives its exit code."""
        if kill:
            self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return self._process.wait()


def run_jobs(model: Model, settings: Settings, units: Iterable[Unit], jobs: int) -> Iterator[Message]:
    """What becomes of the units, by `jobs` processes.

    A process that ends is started again. What it had under way is tried once more, each recording alone; one that ends
    its process again is told as failed.
    """
    try:
        recipe = pickle.dumps(Recipe(str(model.path.resolve()), model.isa, settings))
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise ArgumentError(f"options must be such that other processes can have them: {error}") from error
    told: queue.Queue[tuple[_Worker, Any]] = queue.Queue()
    crew = _taken(jobs)
    crew.begin(recipe)
    workers = [_Worker(process, i, told) for i, process in enumerate(crew.processes)]
    left, suspects = deque(units), deque[Unit]()
    tried: set[tuple[int, int]] = set()
    try:
        while left or suspects or any(worker.under_way for worker in workers):
            for worker in workers:
                while worker.starved and (left or suspects) and not _is_tested(worker, tried):
                    if suspects and not worker.under_way:
                        worker.give(suspects.popleft())
                    elif left:
                        worker.give(left.popleft())
                    else:
                        break
            worker, message = told.get()
            if message is None:
                yield from _ended(worker, suspects, tried)
                workers[worker.number] = _Worker(Program(recipe), worker.number, told)
            elif message == "wants":
                worker.starved = True
            elif isinstance(message, PynnaError):
                raise message
            else:
                worker.note(message)
                yield message
    finally:
        for worker in workers:
            worker.end(kill=True)


def _is_tested(worker: _Worker, tried: set[tuple[int, int]]) -> bool:
    """Whether it has a recording that ended a process, and nothing else is to be put at risk."""
    return any(key in tried for key in worker.under_way)


def _ended(worker: _Worker, suspects: deque[Unit], tried: set[tuple[int, int]]) -> Iterator[Message]:
    code = worker.end()
    for key, unit in worker.under_way.items():
        if key in tried:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            yield Failed(unit, f"the process that worked on it ended with {how}")
        else:
            tried.add(key)
            suspects.append(unit)
    if not worker.under_way:
        raise PynnaError(f"a worker cannot be started: it ended with exit code {code}")
