# SPDX-License-Identifier: Apache-2.0
"""Streams of days and years: samples past 2^31 and 2^32, and times that lose nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pynna
from pynna.assistant.run import demo_recordings
from pynna.audio.files import read
from pynna.events import Event, Final
from pynna.streaming.listener import Listener

DAY = 24 * 3600 * 16000  # samples
CHUNK = 1600


def move(listener: Listener[Any], samples: int) -> None:
    """Sets a listener's counters as if so many more samples had gone by, all of silence."""
    step = listener.network.geometry["step"]
    assert samples % step == 0
    listener.channel.n_samples += samples
    listener._history._first += samples
    listener._history._end += samples
    for name in ("frame", "start", "last", "_quiet_since", "_ended", "_loud_last", "_sound_last"):
        setattr(listener._endpointer, name, getattr(listener._endpointer, name) + samples // step)


def times(event: Event[Any]) -> list[float]:
    """All the times that an event tells."""
    told = [getattr(event, name) for name in ("time", "start", "end") if hasattr(event, name)]
    if isinstance(event, Final):
        told += [time for word in event.result.words for time in (word.start, word.end)]
    return told


@pytest.fixture(scope="module")
def pcm() -> Any:
    clips = {path.stem: read(path).pcm for path in demo_recordings()}
    silence = np.zeros(16000, np.int16)
    return np.concatenate([silence, clips["increase_the_volume"], silence, clips["call_home"], silence])


def heard(model: pynna.Model, pcm: Any, samples: int, **options: Any) -> tuple[list[Event[Any]], Listener[Any]]:
    listener = model.listen(**options)
    move(listener, samples)
    events = [event for at in range(0, len(pcm), CHUNK) for event in listener.feed(pcm[at : at + CHUNK])]
    return events + listener.finish(), listener


@pytest.mark.parametrize("grammar", [False, True])
def test_nothing_depends_on_how_long_a_stream_goes_on(model: pynna.Model, pcm: Any, grammar: bool) -> None:
    options: dict[str, Any] = {"grammar": pynna.Grammar.from_sentences(["increase the volume", "call home"])}
    options = options if grammar else {"passes": 1}
    want, _ = heard(model, pcm, 0, **options)
    assert sum(isinstance(event, Final) for event in want) == 2
    for around in (2**31, 2**32, 10 * DAY, 3650 * DAY):
        begin = (around - len(pcm) // 2) // 320 * 320  # the counter goes past it in the middle
        got, listener = heard(model, pcm, begin, **options)
        assert listener.channel.n_samples == begin + len(pcm) and abs(listener.lag) < 0.1
        assert [type(event) for event in got] == [type(event) for event in want]
        for one, other in zip(got, want, strict=True):
            assert getattr(one, "result", None) is None or one.result.text == other.result.text  # type: ignore
            assert len(times(one)) == len(times(other)) > 0
            for late, early in zip(times(one), times(other), strict=True):
                assert abs(late - early - begin / 16000) < 0.5 / 16000, (late, early)  # exact to a sample
