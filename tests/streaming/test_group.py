# SPDX-License-Identifier: Apache-2.0
"""Groups: up to 16 streams through one step call, each with the very result that it has alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nna_models import load_random, noise

import pynna
from pynna import errors

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pynna.Model:
    return load_random(tmp_path_factory.mktemp("group"), 40)


LENGTHS = [0, 1, 511, 512, 3000, 4001, 5600, 7777, 8000, 9001, 12345, 16000]


@cache
def recording(i: int) -> Array:
    samples = noise(1.0, i)[: LENGTHS[i % len(LENGTHS)]]
    samples.setflags(write=False)
    return samples


@cache
def alone(model: pynna.Model, i: int, width: int = 8) -> tuple[dict[str, Any], list[bytes]]:
    stream = model.stream(beam_width=width)
    stream.feed(recording(i))
    return outcome(stream)


def outcome(stream: pynna.Stream) -> tuple[dict[str, Any], list[bytes]]:
    """The result and the states, to the bit."""
    return stream.finish().as_dict(), [state.tobytes() for state in stream.state]


def n_frames(stream: pynna.Stream) -> int:
    return int(stream.decoder.core.stats["n_frames"])


def test_sixteen_streams_of_unequal_length_give_what_each_gives_alone(model: pynna.Model) -> None:
    group = model.group()
    streams = [group.stream(beam_width=8) for _ in range(16)]
    for i, stream in enumerate(streams):
        stream.feed(recording(i))
    group.run()
    for i, stream in enumerate(streams):
        assert outcome(stream) == alone(model, i)
    assert len(group) == 0


def test_chunks_of_unequal_size_and_phase_give_what_each_gives_alone(model: pynna.Model) -> None:
    group, rng = model.group(), np.random.default_rng(0)
    streams = {i: group.stream(beam_width=8) for i in range(4, 12)}
    at = dict.fromkeys(streams, 0)
    while streams:
        for i, stream in list(streams.items()):
            size = int(rng.integers(0, 1500))
            stream.feed(recording(i)[at[i] : at[i] + size])
            at[i] += size
            if at[i] >= len(recording(i)):
                assert outcome(streams.pop(i)) == alone(model, i)
        group.step()


# what may happen next: what, to which of those that are there, with how many samples
WHAT = st.sampled_from(["join", "feed", "feed", "feed", "step", "step", "run", "finish", "remove"])
EVENTS = st.lists(st.tuples(WHAT, st.integers(0, 15), st.integers(0, 5000)), max_size=70)


@settings(max_examples=60)
@given(events=EVENTS)
def test_streams_that_join_and_leave_at_any_step_give_what_each_gives_alone(
    model: pynna.Model, events: list[tuple[str, int, int]]
) -> None:
    group, there, n_joined = model.group(), [], 0

    def finish(entry: list[Any]) -> None:
        stream, i, at = entry
        stream.feed(recording(i)[at:])
        assert outcome(stream) == alone(model, i)

    for what, which, size in events:
        if what == "join" and len(group) < 16:
            there.append([group.stream(beam_width=8), n_joined, 0])
            n_joined += 1
        elif what == "step":
            group.step()
        elif what == "run":
            group.run()
        elif there:
            entry = there[which % len(there)]
            if what == "feed":
                entry[0].feed(recording(entry[1])[entry[2] : entry[2] + size])
                entry[2] += size
            else:
                there.remove(entry)
                if what == "finish":
                    finish(entry)
                else:
                    group.remove(entry[0])
        assert [entry[0] for entry in there] == list(group.streams)
    for entry in there:
        finish(entry)
    assert len(group) == 0


def test_a_step_is_one_window_of_each_stream_that_has_one(model: pynna.Model) -> None:
    group = model.group()
    short, long, idle = (group.stream() for _ in range(3))
    short.feed(noise(1.0)[: 512 + 10 * 320])  # 11 frames, of which 2 have their context
    long.feed(noise(1.0)[: 512 + 14 * 320])
    assert [n_frames(s) for s in (short, long, idle)] == [0, 0, 0]  # nothing runs before a step
    assert [group.step() for _ in range(8)] == [2, 2, 1, 1, 1, 1, 0, 0]
    assert [n_frames(s) for s in (short, long, idle)] == [2, 6, 0]


def test_run_goes_on_until_no_stream_has_a_window_and_tells_its_steps(model: pynna.Model) -> None:
    group = model.group()
    assert (group.step(), group.run()) == (0, 0)
    for frames in (3, 9, 10, 30):
        group.stream().feed(noise(1.0)[: 512 + (frames - 1) * 320])
    assert group.run() == 30 - 9
    assert (group.step(), group.run()) == (0, 0)


def test_a_seventeenth_stream_is_refused_until_one_has_left(model: pynna.Model) -> None:
    group = model.group()
    streams = [group.stream() for _ in range(16)]
    with pytest.raises(errors.StateError, match="full with 16 streams"):
        group.stream()
    assert (len(group), group.streams) == (16, tuple(streams))
    streams[5].finish()
    group.stream()
    with pytest.raises(errors.StateError):
        group.stream()
    group.remove(streams[7])
    assert len(group) == 15
    group.stream()


def test_a_refused_option_takes_no_place(model: pynna.Model) -> None:
    group = model.group()
    with pytest.raises(errors.ArgumentError):
        group.stream(beam_width=-1)
    assert len(group) == 0


def test_a_finished_stream_has_left_and_takes_nothing_more(model: pynna.Model) -> None:
    group = model.group()
    stream, other = group.stream(beam_width=8), group.stream(beam_width=8)
    stream.feed(recording(11))
    other.feed(recording(10))
    first = stream.finish().as_dict()
    assert group.streams == (other,)
    assert stream.finish().as_dict() == first == alone(model, 11)[0]
    with pytest.raises(errors.FinishedError):
        stream.feed(recording(4))
    with pytest.raises(errors.ArgumentError, match="not in this group"):
        group.remove(stream)
    assert outcome(other) == alone(model, 10)


def test_others_go_on_while_one_finishes(model: pynna.Model) -> None:
    group = model.group()
    first, second = group.stream(beam_width=8), group.stream(beam_width=8)
    first.feed(recording(8))
    second.feed(recording(11)[:7000])
    first.finish()
    assert n_frames(second) > 5  # it came along
    second.feed(recording(11)[7000:])
    assert outcome(second) == alone(model, 11)


def test_what_waits_for_a_step_is_not_changed_by_filling_the_callers_buffer_again(model: pynna.Model) -> None:
    """A microphone's buffer, handed over 20 ms after 20 ms."""
    for kind in (np.int16, np.float32):
        group, buffer = model.group(), np.zeros(1600, kind)
        view = memoryview(buffer)
        stream, viewed = group.stream(beam_width=8), group.stream(beam_width=8)
        scale = 1 if kind is np.int16 else 32768
        for at in range(0, 16000, 1600):
            buffer[:] = recording(11)[at : at + 1600].astype(kind) / scale
            stream.feed(buffer)
            viewed.feed(view)
        group.run()
        assert outcome(stream) == outcome(viewed) == alone(model, 11)


def test_a_removed_stream_leaves_the_others_alone_and_may_go_on_by_itself(model: pynna.Model) -> None:
    group = model.group()
    lost, kept = group.stream(beam_width=8), group.stream(beam_width=8)
    for stream in (lost, kept):
        stream.feed(recording(11)[:9000])
    group.step()
    group.remove(lost)
    assert group.streams == (kept,)
    kept.feed(recording(11)[9000:])
    group.run()
    assert outcome(kept) == alone(model, 11)
    lost.feed(recording(11)[9000:])
    assert outcome(lost) == alone(model, 11)
    with pytest.raises(errors.ArgumentError, match="not in this group"):
        group.remove(lost)


def test_a_stream_of_no_group_or_of_another_cannot_be_removed(model: pynna.Model) -> None:
    group = model.group()
    for stream in (model.stream(), model.group().stream()):
        with pytest.raises(errors.ArgumentError, match="not in this group"):
            group.remove(stream)


def test_streams_of_one_group_may_be_decoded_in_different_ways(model: pynna.Model) -> None:
    group = model.group()
    streams = {width: group.stream(beam_width=width) for width in (0, 1, 8, 64)}
    for stream in streams.values():
        stream.feed(recording(11))
    group.run()
    for width, stream in streams.items():
        assert stream.finish().as_dict() == model.transcribe(recording(11), beam_width=width).as_dict()


def test_partial_results_in_a_group_are_those_of_a_stream_alone(model: pynna.Model) -> None:
    group = model.group()
    one, many, others = model.stream(), group.stream(), [group.stream() for _ in range(3)]
    for at in range(0, 16000, 1777):
        one.feed(recording(11)[at : at + 1777])
        many.feed(recording(11)[at : at + 1777])
        others[at % 3].feed(recording(10)[:900])
        group.run()
        assert many.partial().as_dict() == one.partial().as_dict()


def test_hostile_audio_in_one_stream_does_not_reach_the_others(model: pynna.Model) -> None:
    group = model.group()
    bad, good = group.stream(beam_width=8), group.stream(beam_width=8)
    good.feed(recording(11))
    for chunk in (np.array([np.nan]), b"\0", np.zeros(4, np.int32), np.zeros((2, 2), np.int16)):
        with pytest.raises(errors.AudioError):
            bad.feed(chunk)
        group.step()
    assert outcome(good) == alone(model, 11)
    bad.feed(recording(9))
    assert outcome(bad) == alone(model, 9)
