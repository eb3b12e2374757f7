# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms."""

from __future__ import annotations

import numpy as np
import pytest

from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.rooms_test import far, response

pytest.importorskip("pyroomacoustics", reason="of the extra train")


def test_the_farther_the_more_of_the_room_is_heard() -> None:
    shares = []
    for distance in (0.5, 1.0, 3.0):
        found = [response(distance, seed) for seed in range(4)]
        assert all(np.abs(each).max() == 1.0 == np.abs(each[40]) for each in found)  # the direct sound
        shares.append(np.mean([(each[120:] ** 2).sum() / (each**2).sum() for each in found]))  # 5 ms after it
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.5


def test_a_clip_across_a_room_is_as_loud_and_another_in_every_room() -> None:
    pcm = (3000 * np.sin(np.arange(8000) * 0.2)).astype(np.int16)
    clips = [far(Clip("voice", "call home", pcm), 3.0, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(clips[0].pcm, clips[1].pcm)
    assert clips[0].text == "call home" and len(clips[2].pcm) != len(clips[1].pcm)
    for clip in clips:
        assert (clip.pcm.astype(float) ** 2).mean() == pytest.approx((pcm.astype(float) ** 2).mean(), rel=0.01)
