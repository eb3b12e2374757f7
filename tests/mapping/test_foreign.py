# SPDX-License-Identifier: Apache-2.0
"""Networks that were not trained for their mapping: features are not clipped, and rounding costs them less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.float_networks import random_weights

from pynna.mapping.calibration import Calibration, Clip, calibrate, feature_ranges
from pynna.mapping.feature_steps import balanced_steps, unclipped_ranges
from pynna.mapping.front_end import MfccConfig, windows
from pynna.mapping.quantisation import choose_ranges, quantise
from pynna.mapping.speeds import at_other_speeds
from pynna.mapping.splitting import choose_copies, split_sample, split_units
from pynna.mapping.weights import Weights

RNG = np.random.default_rng(34)
NOISE = (RNG.normal(0, 1, 32000) * np.geomspace(30, 8000, 32000)).astype(np.int16)
CLIPS = [Clip(NOISE), Clip(NOISE[::-1].copy())]


@pytest.fixture(scope="module")
def foreign() -> Weights:
    return random_weights(48, seed=3)


@pytest.fixture(scope="module")
def sample(foreign: Weights) -> Calibration:
    return calibrate(foreign, CLIPS)


def test_no_feature_of_the_calibration_nor_silence_is_clipped(foreign: Weights, sample: Calibration) -> None:
    config = foreign.features
    heard = np.concatenate([windows(clip.pcm, config)[:, 9] for clip in CLIPS])
    silent = windows(np.zeros(4000, np.int16), config)[:3, 9]
    limit = 127 * choose_ranges(foreign, sample).feature_step
    assert (np.abs(heard) < limit * 1.0001).all() and (np.abs(silent) < limit * 1.0001).all()
    assert (unclipped_ranges(heard, config) >= feature_ranges(heard)).all()
    assert (unclipped_ranges(heard[:0], MfccConfig()) > 0).all()


def test_steps_are_widened_until_rows_are_full_and_never_narrowed() -> None:
    weights = RNG.normal(0, 1, (19, 4, 60)) * np.array([1.0, 0.1, 0.01, 0.0])[:, None]
    least, power = np.array([1.0, 1.0, 1.0, 2.0]), np.ones(4)
    steps = balanced_steps(weights.reshape(76, 60), power, least)
    assert (steps >= least).all() and steps[0] < 1.5 and 3 < steps[1] < steps[2]

    def error(chosen: np.ndarray) -> float:
        scale = np.abs(weights * chosen[:, None]).max(axis=(0, 1))
        return float(np.square(scale).mean() * (power / chosen**2).sum())

    assert error(steps) < error(least) / 2
    np.testing.assert_array_equal(balanced_steps(np.zeros((76, 60)), power, least), least)


def test_the_largest_weights_are_shared_by_two() -> None:
    weights = np.full((10, 3), 0.1)
    weights[4, 0], weights[7, 1], weights[7, 2] = 8.0, 1.0, -1.0
    assert choose_copies(weights, 1)[4] == 2
    copies = choose_copies(weights, 12)
    assert copies.sum() == 22 and copies[4] > copies[7] >= 2 and copies[0] == 1
    assert choose_copies(np.zeros((4, 2)), 3).sum() == 7


def test_a_split_network_is_the_same_and_its_mapping_nearer_to_it(foreign: Weights, sample: Calibration) -> None:
    arrays = dict(foreign.arrays)
    arrays["layer_6/weights"] = np.array(arrays["layer_6/weights"])
    arrays["layer_6/weights"][5] *= 12  # a unit that counts far more than the others
    loud = replace(foreign, arrays=arrays)
    wide, order = split_units(loud)
    seen = split_sample(sample, order)
    assert len(wide.arrays["layer_5/bias"]) == 64 and seen.layers["layer_5"].shape[1] == 64
    x = windows(NOISE)
    expected = loud.network().run(x)
    np.testing.assert_allclose(wide.network().run(x), expected, atol=1e-4)

    def lost(weights: Weights, seen: Calibration) -> float:
        layer = quantise(weights, seen).layers[-1]
        assert layer.logit_scale is not None
        rounded = layer.weights * (layer.logit_scale / layer.input_scale)[:, None]
        error = seen.layers["layer_5"] @ (weights.outputs()[0] - rounded.T)
        return float(np.square(error - error.mean(axis=0)).mean())

    assert lost(wide, seen) < 0.5 * lost(loud, sample)


def test_weights_that_were_int8_before_are_not_split(foreign: Weights) -> None:
    arrays = dict(foreign.arrays)
    step = np.abs(arrays["layer_6/weights"]).max(axis=0) / 127
    arrays["layer_6/weights"] = (np.rint(arrays["layer_6/weights"] / step) * step).astype(np.float32)
    rounded = replace(foreign, arrays=arrays)
    assert split_units(rounded)[0] is rounded


def test_little_audio_is_heard_at_other_speeds_too() -> None:
    clips = [Clip(NOISE[:16000], "a"), Clip(NOISE[:8000])]
    more = at_other_speeds(clips, 4.0, 16000)
    assert [len(clip.pcm) for clip in more] == [16000, 8000, 18823, 9411, 6779]
    assert at_other_speeds(clips, 1.0, 16000) == clips
    slow = more[2].pcm.astype(float)
    np.testing.assert_allclose(slow[::18822], NOISE[:16000:15999], atol=1)
    assert abs(slow[9411] - NOISE[7999:8002].mean()) < np.abs(NOISE[7999:8002]).max()


def test_networks_trained_for_their_mapping_stay_as_they_are(foreign: Weights, sample: Calibration) -> None:
    ranges = np.full(26, 30.0, np.float32)
    own = replace(foreign, feature_range=ranges)
    assert foreign.is_foreign and not own.is_foreign
    assert split_units(own)[0] is own
    chosen = choose_ranges(own, calibrate(own, CLIPS))
    np.testing.assert_allclose(chosen.feature_step, ranges / 127)
