# SPDX-License-Identifier: Apache-2.0
"""Arrays of the kinds that people bring: right results or clear errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pynna.audio.pcm import chunk_as_pcm, from_array
from pynna.errors import AudioError

PCM = (np.arange(-500, 500) * 30).astype(np.int16)


@pytest.mark.parametrize(
    "x",
    [PCM, PCM.astype(">i2"), np.repeat(PCM, 2)[::2], PCM[:, None], PCM / 32768.0, (PCM / 32768.0).astype(">f4"),
     np.asfortranarray(np.stack([PCM, PCM], 1))[:, 1]],
)  # fmt: skip
def test_right_ones(x: Any) -> None:
    assert np.array_equal(from_array(x).pcm, PCM) and np.array_equal(chunk_as_pcm(x), PCM)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (PCM.astype(np.float32), r"must be in \[-1, 1\], got 15000"),
        (PCM.astype(np.float64), "x / 32768"),
        (PCM.astype(np.int32), "samples are int32"),
        (PCM.astype(np.uint8), "samples are uint8"),
        (PCM.astype(np.int64), "samples are int64"),
        (np.stack([PCM, PCM]), "mix down first"),
        (np.stack([PCM, PCM], 1), "mix down first"),
        (PCM.astype(complex), "samples are complex128"),
    ],
)
def test_wrong_ones(x: Any, message: str) -> None:
    for take in (from_array, chunk_as_pcm):
        with pytest.raises(AudioError, match=message):
            take(x)


def test_a_little_too_loud_is_saturated_and_told() -> None:
    audio = from_array(np.array([0.5, 1.5, -3.0], np.float32))
    assert audio.pcm.tolist() == [16384, 32767, -32768] and "2 samples" in audio.notes[0]


def test_one_channel_may_stand_in_a_row_or_a_column():
    x = np.sin(np.arange(1600) / 10).astype(np.float32)
    plain = from_array(x, 16000).pcm
    for shaped in (x[None], x[:, None]):
        assert np.array_equal(from_array(shaped, 16000).pcm, plain)


@pytest.mark.parametrize(("shape", "axis"), [((2, 1600), 0), ((1600, 2), 1)])
def test_two_channels_are_told_how_to_be_mixed(shape, axis):
    with pytest.raises(AudioError, match=rf"x\.mean\(axis={axis}\)") as told:
        from_array(np.zeros(shape), 16000)
    assert np.zeros(shape).mean(axis=axis).shape == (1600,) and "one channel" in str(told.value)


def test_what_numpy_cannot_take_is_told():
    class Tensor:
        def __array__(self, *_, **__):
            raise RuntimeError("call detach()")

    with pytest.raises(AudioError, match=r"samples are no array: call detach\(\)"):
        from_array(Tensor(), 16000)
