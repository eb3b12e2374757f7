# SPDX-License-Identifier: Apache-2.0
"""How many microphones a machine serves: more and more of them are listened to, until steps are not in time any more.

Each server is a process with the scheduler that serves; its microphones speak the recordings that ship, in frames of
20 ms as they come from a browser, each at another moment, with pauses. Audio over sockets is not measured.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pynna.assistant.scheduler import Scheduler
from pynna.assistant.session import MicrophoneSession
from pynna.audio.files import read
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load

IN_TIME = 0.999
"""The share of the turns that must be in time: their steps over before the next ones are due."""

PAUSE, WARM_UP = 1.5, 2.0  # seconds between two commands; at first, that do not count
FIRST, MOST = 16, 1024  # microphones of a server
HEAD = "microphones   in time, %   turn: median, ms   99 %, ms   most, ms   processor, %"


@dataclass(frozen=True, slots=True)
class Measured:
    """What so many microphones took.

    Attributes
    ----------
    microphones : int
    in_time : float
        Share of the turns that were over before the next was due, of the worst server.
    turns : tuple of float
        Seconds of work of a turn: median, 99 %, the most; of all servers.
    processor : float
        Processor time of a server for the time of the audio: the share of a core that it needs, the mean of them.
    """

    microphones: int
    in_time: float
    turns: tuple[float, float, float]
    processor: float

    def __str__(self) -> str:
        median, late, most = (1000 * seconds for seconds in self.turns)
        return (
            f"{self.microphones:11d}   {100 * self.in_time:10.2f}   {median:16.2f}   {late:8.2f}   {most:8.2f}   "
            f"{100 * self.processor:12.1f}"
        )


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def listen(model: Model, grammar: Grammar, n: int, seconds: float) -> tuple[list[float], int, float]:
    """Listens to `n` microphones in real time.

    Returns each turn's seconds of work, how many turns were late, and the share of a core that it took."""
    scheduler = Scheduler(model, channels=n)
    scheduler.refusal = lambda: None  # type: ignore[method-assign]  # it is to be overloaded
    microphones = [scheduler.open_microphone(str(i), lambda *_: None, grammar) for i in range(n)]
    speech = _speech(model)
    size = round(model.sample_rate * model.seconds_per_step)
    work: list[float] = []
    late, frame = 0, 0
    due, cpu = time.monotonic(), 0.0
    n_warm = round(WARM_UP / model.seconds_per_step)
    n_turns = n_warm + round(seconds / model.seconds_per_step)
    for frame in range(n_turns):
        if frame == n_warm:
            cpu = time.process_time()
        due += model.seconds_per_step
        started = time.monotonic()
        for i, microphone in enumerate(microphones):
            _speak(microphone, speech, (frame + 37 * i) * size, size)
        scheduler.turn()
        done = time.monotonic()
        if frame >= n_warm:
            work.append(done - started)
            late += done > due + model.seconds_per_step
        due = max(due, done - model.seconds_per_step)
        await asyncio.sleep(max(0.0, due - done))
    share = (time.process_time() - cpu) / seconds
    scheduler.worker.close()
    return work, late, share


def _speech(model: Model) -> np.ndarray[Any, Any]:
    """The recordings that ship, with pauses."""
    folder = Path(__file__).parents[1] / "recordings"
    pause = np.zeros(round(PAUSE * model.sample_rate), np.int16)
    clips = [read(path, sample_rate=model.sample_rate).pcm for path in sorted(folder.glob("*.flac"))]
    return np.concatenate([part for clip in clips for part in (clip, pause)])


def _speak(microphone: MicrophoneSession, speech: np.ndarray[Any, Any], at: int, size: int) -> None:
    at %= len(speech) - size
    microphone.take(speech[at : at + size].tobytes())


def _serve(pipe: Connection, model_path: str | None, grammar_file: str) -> None:
    """A server's process: is sent numbers of microphones, and tells what they took."""
    model = load(model_path, threads=1)
    grammar = Grammar.from_file(CAR_GRAMMAR if grammar_file == "car" else grammar_file)
    grammar.graph(model.labels)
    pipe.send("ready")
    while (asked := pipe.recv()) is not None:
        n, seconds = asked
        pipe.send(asyncio.run(listen(model, grammar, n, seconds)))


class Servers:
    """Processes that listen at the same time."""

    def __init__(self, processes: int, model: str | None, grammar: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, model, grammar), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()

    def measure(self, microphones: int, seconds: float) -> Measured:
        """Microphones in all, spread over the servers."""
        each = -(-microphones // len(self._pipes))
        for pipe in self._pipes:
            pipe.send((each, seconds))
        found = [pipe.recv() for pipe in self._pipes]
        work = np.concatenate([turns for turns, _, _ in found])
        in_time = min(1 - late / len(turns) for turns, late, _ in found)
        turns = (float(np.quantile(work, 0.5)), float(np.quantile(work, 0.99)), float(work.max()))
        return Measured(each * len(self._pipes), in_time, turns, float(np.mean([share for *_, share in found])))

    def close(self) -> None:
        """Ends them."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join(10)


def search(
    model: str | None = None,
    grammar: str = "car",
    *,
    seconds: float = 20.0,
    processes: int = 1,
    told: Callable[[Measured], None] | None = None,
) -> int:
    """The most microphones of which 99.9 % of the turns are in time, to a sixteenth; 0 where not even 16 a server are.

    Parameters
    ----------
    model : str, optional
        A model's file, that which ships unless given.
    grammar : str
        A sentence file, or "car".
    seconds : float
        For each number of microphones that is tried.
    processes : int
        Servers beside each other.
    told : callable, optional
        Is told each number and what it took.
    """
    servers = Servers(processes, model, grammar)

    def is_in_time(each: int) -> bool:
        measured = servers.measure(each * processes, seconds)
        if told is not None:
            told(measured)
        return measured.in_time >= IN_TIME

    try:
        good, bad = 0, FIRST
        while bad <= MOST and is_in_time(bad):
            good, bad = bad, 2 * bad
        while bad - good > max(4, good // 16) and good:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if is_in_time(middle) else (good, middle)
    finally:
        servers.close()
    return good * processes
