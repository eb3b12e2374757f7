# SPDX-License-Identifier: Apache-2.0
"""How loud speech is, and what is between it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynna.audio.levels import SILENCE, levels


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_that_sounds_a_part_of_the_time(rate):
    tone = 16384 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    noise = np.random.default_rng(0).normal(0, 32.768, 4 * rate)  # 60 dB below full scale
    noise[rate : 2 * rate] += tone
    speech, between = levels(noise.round().astype(np.int16), rate)
    assert speech == pytest.approx(-9.0, abs=0.1)  # 6 dB of the amplitude, 3 of the sine
    assert between == pytest.approx(-60.0, abs=1.0)


def test_nothing_is_silence():
    for n in (0, 1, 319):
        assert levels(np.full(n, 9999, np.int16), 16000) == (SILENCE, SILENCE)
    assert levels(np.zeros(5000, np.int16), 16000) == (SILENCE, SILENCE)


@given(st.lists(st.integers(-32768, 32767), min_size=320, max_size=2000), st.integers(1, 3))
def test_speech_is_no_quieter_than_what_is_between(samples, n):
    pcm = np.tile(np.array(samples, np.int16), n)
    speech, between = levels(pcm, 16000)
    assert SILENCE <= between <= speech <= 0.0
