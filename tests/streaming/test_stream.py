# SPDX-License-Identifier: Apache-2.0
"""Streams: audio in any chunks, partial results, the end; and audio that is none."""

from __future__ import annotations

import array
import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nna_models import load_random, noise

import pynna
from pynna import errors
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions

Array = npt.NDArray[Any]
WINDOW, STEP, CONTEXT = 512, 320, 9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pynna.Model:
    return load_random(tmp_path_factory.mktemp("stream"), 40)


@cache
def pcm() -> Array:
    samples = noise(1.7, 3)[:-17]  # an odd number of samples
    samples.setflags(write=False)
    return samples


def n_windows(n_samples: int) -> int:
    """csrc/doc/front-end.md: as many as full frames, and one more."""
    return max(0, (n_samples - WINDOW) // STEP + 1) + 1


def n_frames(stream: pynna.Stream) -> int:
    return int(stream.decoder.core.stats["n_frames"])


def label_probabilities(model: pynna.Model, samples: Array) -> Array:
    """All windows of a whole recording, one step at a time: log-probabilities [n, labels], without a stream."""
    n = n_windows(len(samples))
    padded = np.zeros((n - 1) * STEP + WINDOW, np.int16)
    padded[: len(samples)] = samples[: len(padded)]
    frames = model.core.features(padded)
    rows = np.pad(frames, ((CONTEXT, CONTEXT), (0, 0)))
    c = h = None
    out = []
    for t in range(n):
        p, c, h = model.step(rows[None, t : t + 2 * CONTEXT + 1], c, h)
        out.append(p[0])
    return np.array(out)


def decoded(model: pynna.Model, log_probs: Array, *, finish: bool, **options: Any) -> dict[str, Any]:
    decoder = Decoder(model.labels, label_priors=model.label_priors, options=DecoderOptions(**options))
    decoder.feed(log_probs)
    return (decoder.finish() if finish else decoder.result()).as_dict()


# ---- the end of it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_width": 0},
        {"beam_width": 8, "alternatives": 5},
        {"prior_scale": 0.3, "cutoff_top_n": 10, "cutoff_prob": 0.9},
    ],
)
def test_a_stream_is_the_front_end_the_steps_and_the_decoder_one_after_the_other(
    model: pynna.Model, options: dict[str, Any]
) -> None:
    got = model.transcribe(pcm(), **options).as_dict()
    assert got == decoded(model, label_probabilities(model, pcm()), finish=True, **options)
    assert len(got["text"]) > 5


@pytest.mark.parametrize("n", [0, 1, 2, 319, 320, 511, 512, 513, 831, 832, 833, 1151, 1152, 16000, 20011])
def test_n_samples_give_as_many_windows_as_deepspeech_makes_of_them(model: pynna.Model, n: int) -> None:
    stream = model.stream()
    stream.feed(noise(1.3)[:n])
    full_frames = n_windows(n) - 1
    assert n_frames(stream) == max(0, full_frames - CONTEXT)  # the others wait for their context
    stream.finish()
    assert n_frames(stream) == n_windows(n)
    assert stream.duration == n / 16000


def test_an_empty_stream_is_one_window_of_silence(model: pynna.Model) -> None:
    silence = model.transcribe(np.zeros(511, np.int16)).as_dict()
    assert model.stream().finish().as_dict() == silence
    stream = model.stream()
    for nothing in (b"", [], np.zeros(0, np.int16), np.zeros(0, np.float64), bytearray()):
        stream.feed(nothing)
    assert stream.partial().as_dict()["text"] == ""
    assert stream.finish().as_dict() == silence


def test_finishing_again_gives_the_same_result(model: pynna.Model) -> None:
    stream = model.stream(alternatives=3)
    stream.feed(pcm())
    assert not stream.finished
    first = stream.finish().as_dict()
    assert stream.finished
    assert stream.finish().as_dict() == first == stream.partial().as_dict()


@pytest.mark.parametrize("more", [b"", b"\0\0", b"\0", np.zeros(3, np.int16), np.full(3, np.nan)])
def test_after_finish_nothing_is_taken(model: pynna.Model, more: Any) -> None:
    stream = model.stream()
    stream.feed(pcm())
    first = stream.finish().as_dict()
    with pytest.raises(errors.FinishedError, match="start a new one"):
        stream.feed(more)
    assert stream.finish().as_dict() == first
    assert stream.duration == len(pcm()) / 16000


# ---- chunks --------------------------------------------------------------------------------------


def as_kind(chunk: Array, kind: str) -> Any:
    """The same samples in another type."""
    return {
        "int16": lambda: chunk,
        "float32": lambda: chunk.astype(np.float32) / np.float32(32768),
        "float64": lambda: chunk / 32768,
        "bytes": lambda: chunk.astype("<i2").tobytes(),
        "bytearray": lambda: bytearray(chunk.astype("<i2").tobytes()),
        "memoryview": lambda: memoryview(np.ascontiguousarray(chunk)),
        "bytes view": lambda: memoryview(chunk.astype("<i2").tobytes()),
        "array": lambda: array.array("h", chunk.tolist()),
        "column": lambda: chunk[:, None],
        "big-endian": lambda: chunk.astype(">i2"),
        "float view": lambda: memoryview(chunk.astype(np.float32) / np.float32(32768)),
        "strided": lambda: np.repeat(chunk, 2)[::2],
    }[kind]()


KINDS = [
    "int16",
    "float32",
    "float64",
    "bytes",
    "bytearray",
    "memoryview",
    "bytes view",
    "array",
    "column",
    "big-endian",
    "float view",
    "strided",
]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_every_type_are_the_same_samples(model: pynna.Model, kind: str) -> None:
    stream = model.stream()
    for at in range(0, len(pcm()), 1601):
        stream.feed(as_kind(pcm()[at : at + 1601], kind))
    assert stream.finish().as_dict() == model.transcribe(pcm()).as_dict()


@settings(max_examples=80)
@given(
    cuts=st.lists(
        st.sampled_from([0, 1, 2, 3, 7, 160, 319, 320, 321, 511, 512, 513, 4801, 27000]) | st.integers(0, 3000),
        min_size=1,
        max_size=12,
    ),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    width=st.sampled_from([0, 8]),
    looks=st.booleans(),
)
def test_any_chunking_gives_the_same_result_to_the_bit(
    model: pynna.Model, cuts: list[int], kinds: list[str], width: int, looks: bool
) -> None:
    want = whole(model, width)
    stream, at = model.stream(beam_width=width), 0
    for i, (size, kind) in enumerate(zip(itertools.cycle(cuts), itertools.cycle(kinds), strict=False)):
        size = max(size, 50) if i > 200 else size  # zeros alone would never end
        stream.feed(as_kind(pcm()[at : at + size], kind))
        at += size
        if looks:
            stream.partial()
        if at >= len(pcm()):
            break
    result = stream.finish()
    assert (result.as_dict(), [state.tobytes() for state in stream.state]) == want


@cache
def whole(model: pynna.Model, width: int) -> tuple[dict[str, Any], list[bytes]]:
    stream = model.stream(beam_width=width)
    stream.feed(pcm())
    return stream.finish().as_dict(), [state.tobytes() for state in stream.state]


def test_single_samples_give_the_same_result(model: pynna.Model) -> None:
    stream = model.stream(beam_width=0)
    for sample in pcm()[:3001]:
        stream.feed(np.array([sample]))
    assert stream.finish().as_dict() == model.transcribe(pcm()[:3001], beam_width=0).as_dict()


def test_a_buffer_that_is_filled_again_may_be_fed_again(model: pynna.Model) -> None:
    stream, buffer = model.stream(), np.zeros(1600, np.int16)
    for at in range(0, len(pcm()) - 1600, 1600):
        buffer[:] = pcm()[at : at + 1600]
        stream.feed(buffer)
    n = (len(pcm()) - 1) // 1600 * 1600
    assert stream.finish().as_dict() == model.transcribe(pcm()[:n]).as_dict()


# ---- partial results -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"beam_width": 0}, {"beam_width": 8, "alternatives": 4}])
def test_a_partial_result_is_what_has_been_heard_so_far(model: pynna.Model, options: dict[str, Any]) -> None:
    log_probs, stream, seen = label_probabilities(model, pcm()), model.stream(**options), 0
    for at in range(0, len(pcm()), 2777):
        stream.feed(pcm()[at : at + 2777])
        seen = min(at + 2777, len(pcm()))
        heard = max(0, n_windows(seen) - 1 - CONTEXT)
        assert stream.partial().as_dict() == decoded(model, log_probs[:heard], finish=False, **options)
    assert seen == len(pcm())


def test_partial_results_are_no_longer_lists_as_time_goes_on(model: pynna.Model) -> None:
    """What a partial result holds is the stream's own list of labels and the hypotheses' tails behind it."""
    stream = model.stream(beam_width=8)
    tails = []
    for _ in range(30):
        stream.feed(pcm())
        result = stream.partial()
        assert result._committed is stream.decoder.core.committed
        tails.append(sum(len(tail) for _, tail in result._tails))
    assert len(stream.decoder.core.committed) > 300
    assert max(tails[15:]) <= max(tails[:15]) + 40


def test_an_early_partial_result_stays_what_it_was(model: pynna.Model) -> None:
    stream = model.stream()
    stream.feed(pcm()[:15000])
    early, same = stream.partial(), stream.partial().as_dict()
    stream.feed(pcm())
    stream.finish()
    assert early.as_dict() == same


# ---- states --------------------------------------------------------------------------------------


def test_a_streams_state_is_that_of_its_last_step(model: pynna.Model) -> None:
    stream = model.stream()
    assert not any(state.any() for state in stream.state)
    stream.feed(pcm())
    stream.finish()
    c, h = stream.state
    assert (c.dtype, c.shape, h.dtype, h.shape) == (np.int16, (40,), np.int8, (40,))
    padded = np.zeros((n_windows(len(pcm())) - 1) * STEP + WINDOW, np.int16)
    padded[: len(pcm())] = pcm()
    rows, want = np.pad(model.core.features(padded), ((CONTEXT, CONTEXT), (0, 0))), (None, None)
    for t in range(n_windows(len(pcm()))):
        want = model.step(rows[None, t : t + 19], *want)[1:]
    assert [c.tobytes(), h.tobytes()] == [state.tobytes() for state in want]
    c[:] = 0  # a copy
    assert stream.state[0].any()


def test_streams_of_one_model_do_not_meet(model: pynna.Model) -> None:
    streams = [model.stream() for _ in range(3)]
    audio = [noise(0.8, seed) for seed in range(3)]
    for at in range(0, 12800, 999):
        for stream, samples in zip(streams, audio, strict=True):
            stream.feed(samples[at : at + 999])
    for stream, samples in zip(streams, audio, strict=True):
        assert stream.finish().as_dict() == model.transcribe(samples).as_dict()


def test_a_long_chunk_and_a_long_stream_are_run_through(model: pynna.Model) -> None:
    samples = np.tile(pcm(), 40)
    stream = model.stream(beam_width=4)
    stream.feed(samples)
    stream.finish()
    assert n_frames(stream) == n_windows(len(samples))


# ---- what is no audio ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunk, what",
    [
        (b"\0", "half a sample"),
        (b"\0" * 641, "half a sample"),
        (bytearray(3), "half a sample"),
        (memoryview(bytes(5)), "half a sample"),
        (np.zeros(8, np.int32), "int32"),
        (np.zeros(8, np.int64), "int64"),
        (np.zeros(8, np.uint8), "uint8"),
        (np.zeros(8, np.float16), "float16"),
        (np.zeros(8, np.complex128), "complex"),
        (np.zeros(8, bool), "bool"),
        (np.zeros((8, 2), np.int16), "shape"),
        (np.zeros((2, 8), np.float32), "shape"),
        (np.zeros((1, 2, 3), np.int16), "shape"),
        (np.int16(5), "shape"),
        (np.array([0.0, np.nan]), "index 1"),
        (np.array([np.inf], np.float32), "index 0"),
        (np.array([0, 0, -np.inf]), "index 2"),
        ([1, 2, 3], "int64"),
        (["a"], "str"),
        (None, "object"),
        ({}, "object"),
        ([[1.0], [1.0, 2.0]], "no array"),
        (memoryview(np.zeros(4, np.int32)), "int32"),
    ],
)
def test_what_is_no_audio_is_refused_and_the_stream_goes_on_as_if_nothing_had_been(
    model: pynna.Model, chunk: Any, what: str
) -> None:
    stream = model.stream()
    stream.feed(pcm()[:9000])
    with pytest.raises(errors.AudioError, match=what):
        stream.feed(chunk)
    stream.feed(pcm()[9000:])
    assert stream.finish().as_dict() == model.transcribe(pcm()).as_dict()
    assert stream.duration == len(pcm()) / 16000


def test_floats_beyond_full_scale_are_saturated(model: pynna.Model) -> None:
    loud = (pcm().astype(np.float64) / 32768) * 50
    clipped = np.clip(np.rint(loud * 32768), -32768, 32767).astype(np.int16)
    stream = model.stream()
    stream.feed(loud)
    assert stream.finish().as_dict() == model.transcribe(clipped).as_dict()


@pytest.mark.parametrize(
    "samples",
    [
        np.full(9000, 32767, np.int16),
        np.full(9000, -32768, np.int16),
        np.tile([32767, -32768], 4500).astype(np.int16),
        np.zeros(9000, np.int16),
        np.eye(1, 9000, 4500, dtype=np.int16)[0] * 32767,
    ],
)
def test_extreme_audio_gives_some_result(model: pynna.Model, samples: Array) -> None:
    result = model.transcribe(samples)
    assert 0.0 <= result.confidence <= 1.0
    assert np.isfinite(result.score)


def test_audio_at_another_rate_than_declared_is_still_heard_as_declared(model: pynna.Model) -> None:
    half = np.ascontiguousarray(pcm()[::2])
    assert model.transcribe(half, sample_rate=16000).as_dict() == model.transcribe(half).as_dict()
    assert n_windows(len(half)) < n_windows(len(pcm()))


def test_a_stream_survives_its_model_being_let_go(tmp_path: Path) -> None:
    stream = load_random(tmp_path, 40).stream()
    stream.feed(pcm())
    assert len(stream.finish().text) > 5
