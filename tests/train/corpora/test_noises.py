# SPDX-License-Identifier: Apache-2.0
"""Noise that is synthesised: every family sounds, is reproducible, and no two are alike."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
from pynna.train.corpora import noises


@pytest.mark.parametrize("family", dict.fromkeys(noises.FAMILIES), ids=lambda family: family.__name__)
def test_a_family_sounds_and_is_the_same_for_the_same_seed(family) -> None:
    first, again, other = (family(np.random.default_rng(seed), 24000) for seed in (1, 1, 2))
    assert first.shape == (24000,) and first.dtype == np.float64
    assert np.isfinite(first).all() and first.std() > 0
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_noise_is_of_unit_power_within_the_band() -> None:
    for seed in range(12):
        x = noises.noise(np.random.default_rng(seed), 24000)
        assert np.isfinite(x).all() and x.std() == pytest.approx(1.0, abs=1e-6)


def test_made_noises_are_pcm_at_their_level_each_unlike_the_others() -> None:
    made = [noises.made(3, i, 1.5) for i in range(8)]
    for pcm in made:
        assert pcm.dtype == np.int16 and len(pcm) == 24000
        assert 200 < pcm.astype(float).std() < 1400  # -28 dB of full scale, less what was clipped
    assert np.abs(np.corrcoef(np.stack(made).astype(float)) - np.eye(8)).max() < 0.3
    assert np.array_equal(made[5], noises.made(3, 5, 1.5))
