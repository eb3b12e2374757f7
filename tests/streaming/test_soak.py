# SPDX-License-Identifier: Apache-2.0
"""Days of audio: counters are set forward past 2^31 and 2^32 samples, and what is heard is the same at other times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.audio.files import read
from pynna.events import Final
from pynna.streaming.endpointer import Endpointer, EndpointRules
from pynna.streaming.history import AudioHistory
from pynna.streaming.listener import Listener

STEP = 320
# a little before 2^31 and 2^32 samples, so that both are passed while something is said; 2^31 frames; three years
STARTS = [(1 << 31) // STEP - 60, (1 << 32) // STEP - 60, (1 << 31) - 60, 3 * 365 * 86400 * 50]


def set_forward(listener: Listener, n: int) -> None:
    """As if n frames had been heard already."""
    point, history = listener._endpointer, listener._history
    for name in ("frame", "start", "last", "_quiet_since", "_ended", "_loud_last", "_sound_last"):
        setattr(point, name, getattr(point, name) + n)
    listener._first += n
    history._first += n * STEP
    history._end += n * STEP
    listener.channel.n_samples += n * STEP


def heard(model: pynna.Model, grammar: pynna.Grammar, pcm: np.ndarray, n: int) -> list[object]:
    listener = model.listen(grammar=grammar)
    set_forward(listener, n)
    events = [event for at in range(0, len(pcm), 1600) for event in listener.feed(pcm[at : at + 1600])]
    return [*events, *listener.finish()]


@pytest.mark.parametrize("n", STARTS)
def test_a_listener_hears_the_same_after_days(model: pynna.Model, car: pynna.Grammar, n: int) -> None:
    path = Path(pynna.__file__).parent / "recordings" / "increase_the_volume.flac"
    pcm = np.concatenate([np.zeros(8000, np.int16), read(path).pcm, np.zeros(16000, np.int16)])
    fresh, late = heard(model, car, pcm, 0), heard(model, car, pcm, n)
    assert [type(event) for event in late] == [type(event) for event in fresh]
    finals = [(a, b) for a, b in zip(fresh, late, strict=True) if isinstance(a, Final)]
    assert finals
    for a, b in finals:
        assert (b.result.text, b.result.confidence) == (a.result.text, a.result.confidence)
        for name in ("start", "end"):
            assert getattr(b, name) - n * 0.02 == pytest.approx(getattr(a, name), abs=1e-5)
        for old, new in zip(a.result.words, b.result.words, strict=True):
            assert new.start - n * 0.02 == pytest.approx(old.start, abs=1e-5)
            assert new.end - n * 0.02 == pytest.approx(old.end, abs=1e-5)


def test_history_counts_past_two_to_the_thirty_second() -> None:
    history = AudioHistory(1000)
    history._first = history._end = (1 << 32) - 700
    for i in range(10):
        history.feed(np.full(200, i, np.int16))
    end = (1 << 32) - 700 + 2000
    assert (history.audio(end - 600, end) == np.repeat([7, 8, 9], 200)).all()
    assert history.audio(end - 1500, end) is None


def test_an_endpointers_floor_does_not_drift_in_days_of_silence() -> None:
    """An hour of quiet noise, then speech: what decides is where it was after a second."""
    rules = EndpointRules()
    rng = np.random.default_rng(0)
    powers = rng.uniform(80, 120, 180_000)
    point = Endpointer(rules, 0.02)
    for power in powers:
        assert point.process(0.0, float(power)) in ("", "timeout")
    assert 50 < point._floor < 130
    assert point.process(0.9, 10_000.0) == "start"


def test_a_stream_counts_its_samples_exactly(model: pynna.Model) -> None:
    stream = model.stream()
    stream.channel.n_samples = (1 << 53) - 1600  # a float would lose samples from here on
    stream.feed(np.zeros(1600, np.int16))
    stream.feed(np.zeros(1, np.int16))
    assert stream.channel.n_samples == (1 << 53) + 1
