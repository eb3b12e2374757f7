# SPDX-License-Identifier: Apache-2.0
"""The training's MFCC against the real TensorFlow ops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pynna.train.corpora.features import mel_matrix, mfcc, n_frames, spectrum, windows

GOLDEN = Path(__file__).parents[2] / "golden" / "mfcc.npz"


@pytest.mark.parametrize("upper", [4000, 8000])
@pytest.mark.parametrize(
    "name", ["silence", "sine", "sine_on_bin", "impulse", "clipped_noise", "quiet_dither", "constant"]
)
def test_mfcc_agrees_with_tensorflow(name: str, upper: int) -> None:
    with np.load(GOLDEN) as golden:
        pcm, expected = golden[f"{name}_pcm"], golden[f"{name}_{upper}"]
    # The ops give whole windows only; the stream one more frame.
    got = mfcc(spectrum(pcm), float(upper))[: len(expected)]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-3)


def test_a_stream_always_has_one_frame_more_for_the_left_over() -> None:
    assert [n_frames(n) for n in (0, 1, 511, 512, 831, 832)] == [1, 1, 1, 2, 2, 3]
    assert all(len(spectrum(np.ones(n, np.int16))) == n_frames(n) for n in (0, 1, 512, 832, 1000))


def test_windows_are_padded_with_literal_zeros() -> None:
    features = np.arange(1, 5, dtype=np.float32).reshape(4, 1)
    assert windows(features, 2).tolist() == [[0, 0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 0], [2, 3, 4, 0, 0]]


def test_mel_matrix_splits_each_bin_between_two_channels() -> None:
    matrix = mel_matrix(upper=4000.0)
    assert matrix[:2].sum() == 0
    assert matrix[129:].sum() == 0
    assert ((matrix > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(matrix[5:100].sum(axis=1), 1.0, rtol=1e-5)
