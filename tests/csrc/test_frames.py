# SPDX-License-Identifier: Apache-2.0
"""Audio to context windows: the count, the padding, and that chunks and saved states leave no trace."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.frontend import Frames, Mfcc

Allocate = Callable[[int], Any]


@pytest.fixture(scope="module")
def mfcc(lib: Any, ffi: FFI, allocate: Allocate) -> Mfcc:
    return Mfcc(lib, ffi, allocate)


def noise(n_samples: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-3000, 3000, n_samples).astype(np.int16)


def n_windows(n_samples: int) -> int:
    return max(0, (n_samples - 512) // 320 + 1) + 1


@pytest.mark.parametrize("n", [0, 1, 319, 320, 511, 512, 513, 831, 832, 833, 1152, 16000, 16001])
def test_count_and_content_are_those_of_the_deepspeech_client(n: int, mfcc: Mfcc, allocate: Allocate) -> None:
    pcm = noise(n)
    count = n_windows(n)
    padded = np.zeros((count - 1) * 320 + 512, np.int16)
    padded[:n] = pcm
    rows = np.vstack([np.zeros((9, 26)), mfcc(padded), np.zeros((9, 26))]).astype(np.float32)
    windows = Frames(mfcc, allocate).run(pcm)
    assert windows.shape == (count, 19, 26)
    expected = np.stack([rows[i : i + 19] for i in range(count)])
    assert windows.tobytes() == expected.tobytes()


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(0, 20000),
    chunks=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 700), st.integers(0, 20000)), max_size=60),
    n_context=st.integers(0, 12),
    n_queue=st.integers(1, 40),
)
def test_any_chunking_and_any_queue_give_the_same_bits(
    n_samples: int, chunks: list[int], n_context: int, n_queue: int, mfcc: Mfcc, allocate: Allocate
) -> None:
    pcm = noise(n_samples, seed=n_samples)
    whole = Frames(mfcc, allocate, n_context, 100).run(pcm)
    assert len(whole) == n_windows(n_samples)
    assert Frames(mfcc, allocate, n_context, n_queue).run(pcm, chunks).tobytes() == whole.tobytes()


@settings(max_examples=40, deadline=None)
@given(fed=st.integers(0, 9000), more=st.integers(0, 6000), n_read=st.integers(0, 30), n_queue=st.integers(1, 40))
def test_a_copied_stream_goes_on_like_the_original(
    fed: int, more: int, n_read: int, n_queue: int, mfcc: Mfcc, allocate: Allocate
) -> None:
    pcm = noise(fed + more)
    original = Frames(mfcc, allocate, n_queue=n_queue)
    _, consumed = original.feed(pcm[:fed])
    original.lib.pynna_frames_advance(original.pointer, min(n_read, original.ready()))
    saved = bytes(original.ffi.buffer(original.memory))
    other = Frames(mfcc, allocate, n_queue=n_queue)
    other.feed(noise(5000, seed=1))
    assert other.lib.pynna_frames_restore(other.pointer, saved, len(saved)) == other.lib.PYNNA_OK
    rest = [(s, s.read(), s.run(pcm[consumed:])) for s in (original, other)]
    assert np.array_equal(rest[0][1], rest[1][1])
    assert rest[0][2].tobytes() == rest[1][2].tobytes()


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 47), value=st.integers(0, 255), length=st.integers(-3, 3))
def test_a_damaged_saved_state_is_refused_or_harmless(
    position: int, value: int, length: int, mfcc: Mfcc, allocate: Allocate
) -> None:
    frames = Frames(mfcc, allocate, n_queue=4)
    frames.feed(noise(4000))
    saved = bytearray(frames.ffi.buffer(frames.memory)) + b"\0\0\0"
    saved[position] = value
    size = frames.size + min(length, 0) if length else frames.size
    status = frames.lib.pynna_frames_restore(frames.pointer, bytes(saved), size)
    assert status in (frames.lib.PYNNA_OK, frames.lib.PYNNA_ERR_ARGUMENT)
    assert status != frames.lib.PYNNA_OK or size == frames.size
    frames.read()
    if frames.feed(noise(700))[0] == frames.lib.PYNNA_OK:
        frames.finish()
    assert len(frames.read()) <= 4 + 10


def test_the_queue_is_bounded_and_reading_makes_room(mfcc: Mfcc, allocate: Allocate) -> None:
    frames = Frames(mfcc, allocate, n_queue=3)
    pcm = noise(16000)
    status, consumed = frames.feed(pcm)
    assert (status, frames.ready()) == (frames.lib.PYNNA_OK, 3)
    assert consumed == 512 + 320 * (9 + 3 - 1)
    assert frames.feed(pcm[consumed:])[0] == frames.lib.PYNNA_ERR_FULL
    assert frames.feed(pcm[:0])[0] == frames.lib.PYNNA_OK
    assert frames.lib.pynna_frames_advance(frames.pointer, 4) == frames.lib.PYNNA_ERR_ARGUMENT
    assert frames.lib.pynna_frames_advance(frames.pointer, 1) == frames.lib.PYNNA_OK
    assert frames.feed(pcm[consumed:]) == (frames.lib.PYNNA_OK, 320)
    assert frames.finish() == frames.lib.PYNNA_OK
    assert frames.ready() == 3 + 10


def test_peek_shows_all_ready_windows_in_place(mfcc: Mfcc, allocate: Allocate) -> None:
    frames = Frames(mfcc, allocate)
    assert frames.lib.pynna_frames_peek(frames.pointer) == frames.ffi.NULL
    frames.feed(noise(5000))
    n = frames.ready()
    rows = frames.ffi.buffer(frames.lib.pynna_frames_peek(frames.pointer), (n + 18) * 26 * 4)
    seen = np.frombuffer(bytes(rows), np.float32).reshape(-1, 26)
    assert n > 1 and all(np.array_equal(x, seen[i : i + 19]) for i, x in enumerate(frames.read()))


def test_feeding_after_finish_is_an_error_until_reset(mfcc: Mfcc, allocate: Allocate) -> None:
    frames = Frames(mfcc, allocate)
    first = frames.run(noise(3000))
    assert frames.feed(noise(10))[0] == frames.lib.PYNNA_ERR_FINISHED
    assert frames.finish() == frames.lib.PYNNA_ERR_FINISHED
    frames.lib.pynna_frames_reset(frames.pointer)
    assert frames.run(noise(3000)).tobytes() == first.tobytes()


def test_an_mfcc_of_another_geometry_is_refused(mfcc: Mfcc, lib: Any, ffi: FFI, allocate: Allocate) -> None:
    frames = Frames(mfcc, allocate)
    frames.mfcc = Mfcc(lib, ffi, allocate, n_coefficients=13)
    assert frames.feed(noise(10))[0] == lib.PYNNA_ERR_ARGUMENT
    assert frames.finish() == lib.PYNNA_ERR_ARGUMENT


@pytest.mark.parametrize("n_context, n_queue", [(-1, 1), (65, 1), (9, 0), (9, -1), (9, 65537)])
def test_counts_out_of_range_are_refused(
    n_context: int, n_queue: int, mfcc: Mfcc, lib: Any, ffi: FFI, allocate: Allocate
) -> None:
    assert lib.pynna_frames_size(mfcc.pointer, n_context, n_queue) == 0
    out = ffi.new("pynna_frames **")
    status = lib.pynna_frames_init(allocate(4096), 4096, mfcc.pointer, n_context, n_queue, out)
    assert status == lib.PYNNA_ERR_ARGUMENT
