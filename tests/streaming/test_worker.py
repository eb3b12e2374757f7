# SPDX-License-Identifier: Apache-2.0
"""Rescoring by a worker: no step waits for it, events keep their order, and the results are the same to the bit."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.errors import ArgumentError
from pynna.streaming import listener as listening
from pynna.streaming import stream as streams

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RATE = 16000


def doubtful(name: str, seed: int = 0) -> np.ndarray:
    """A recording in so much noise that it leaves doubt, silence around it."""
    pcm = pynna.audio.load_audio(RECORDINGS / f"{name}.flac", sample_rate=RATE).pcm.astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, 0.5 * pcm.std(), len(pcm))
    quiet = np.zeros(RATE)
    return np.concatenate([quiet, pcm + noise, quiet]).clip(-32768, 32767).astype(np.int16)


class Gate:
    """In `rescore_audio`'s place: counts, and waits until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.begun, self.threads = threading.Event(), threading.Semaphore(0), set[str]()
        self.real = listening.rescore_audio
        monkeypatch.setattr(listening, "rescore_audio", self)
        monkeypatch.setattr(streams, "rescore_audio", self)

    def __call__(self, *arguments: object) -> pynna.Result:
        self.threads.add(threading.current_thread().name)
        self.begun.release()
        assert self.open.wait(60)
        return self.real(*arguments)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def kinds(events: list) -> list[str]:
    return [type(event).__name__ for event in events if type(event).__name__ != "Partial"]


def test_a_worker_gives_the_same_events(model, car):
    audio = np.concatenate([doubtful(name) for name in ("call_home", "navigate_home", "lock_the_doors")])
    alone = model.listen(grammar=car)
    with pynna.RescoringWorker() as worker:
        listener = model.listen(grammar=car, worker=worker)
        want, got = (
            [
                e.as_dict()
                for e in each.listen([audio[i : i + 320] for i in range(0, len(audio), 320)])
                if not isinstance(e, pynna.events.Partial)
            ]
            for each in (alone, listener)
        )
        assert worker.n_rescored >= 1 and worker.n_pending == worker.n_skipped == 0
    assert got == want


def test_no_step_waits_for_the_worker_and_events_keep_their_order(model, car, gate):
    with pynna.RescoringWorker() as worker:
        group = model.group()
        slow, quick = group.listen(grammar=car, worker=worker), group.listen(grammar=car, worker=worker)
        slow.feed(np.concatenate([doubtful("call_home"), doubtful("navigate_home")]))
        clear = pynna.audio.load_audio(RECORDINGS / "increase_the_volume.flac", sample_rate=RATE).pcm
        quick.feed(np.concatenate([clear, np.zeros(RATE, np.int16)]))
        group.run()  # to the end, while the gate is closed
        assert gate.begun.acquire(timeout=60) and worker.n_pending >= 1
        assert slow.channel.lag == 0
        assert kinds(slow.poll()) == ["SpeechStart"]  # the second utterance's start waits behind the first's end
        assert kinds(quick.poll()) == ["SpeechStart", "Final"]  # another microphone does not
        gate.open.set()
        events = slow.finish()
    assert kinds(events) == ["Final", "SpeechStart", "Final"]
    assert gate.threads == {"pynna-rescoring_0"}


def test_what_waits_is_bounded(model, car, gate):
    audio = doubtful("call_home")
    with pynna.RescoringWorker(max_pending=1) as worker:
        listeners = [model.listen(grammar=car, worker=worker) for _ in range(3)]
        told = [listener.feed(audio) for listener in listeners]
        assert [kinds(events)[-1] for events in told] == ["SpeechStart", "Final", "Final"]
        assert (worker.n_pending, worker.n_skipped) == (1, 2)
        once = next(iter(model.listen(grammar=car, passes=1).listen([audio])), None)
        first = [e for e in model.listen(grammar=car, passes=1).listen([audio]) if isinstance(e, pynna.events.Final)]
        assert once is not None and told[1][-1].as_dict() == first[0].as_dict()
        gate.open.set()


def test_a_stream_leaves_its_passes_to_the_worker(model, car, gate):
    audio = doubtful("call_home")[RATE:-RATE]
    gate.open.set()
    want = model.transcribe(audio, grammar=car)
    gate.open.clear()
    with pynna.RescoringWorker() as worker:
        stream = model.stream(grammar=car)
        stream.feed(audio)
        future: Future[pynna.Result] = stream.finish_in(worker)
        assert not future.done()
        gate.open.set()
        assert future.result(60).as_dict() == want.as_dict() and stream.finished
        sure = model.stream(grammar=car)
        sure.feed(pynna.audio.load_audio(RECORDINGS / "increase_the_volume.flac", sample_rate=RATE).pcm)
        assert sure.finish_in(worker).done()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_wrong_bounds_are_told(wrong):
    with pytest.raises(ArgumentError, match="max_pending must be an integer of 1 or more, got"):
        pynna.RescoringWorker(wrong)
