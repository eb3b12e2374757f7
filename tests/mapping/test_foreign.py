# SPDX-License-Identifier: Apache-2.0
"""Networks that were not trained for their mapping: features are not clipped, and rounding costs them less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.float_networks import random_weights

import pynna
from pynna.mapping.calibration import Calibration, Clip, calibrate, feature_ranges
from pynna.mapping.feature_steps import balanced_steps, unclipped_ranges
from pynna.mapping.front_end import MfccConfig, windows
from pynna.mapping.integer_network import IntegerNetwork
from pynna.mapping.mapper import map_model
from pynna.mapping.nna import read_nna
from pynna.mapping.nna_model import LAYER_NAMES, RELU_LAYERS, Layer
from pynna.mapping.quantisation import Quantiser, choose_ranges, quantise
from pynna.mapping.report import measure
from pynna.mapping.rounding import whole_steps
from pynna.mapping.speeds import at_other_speeds
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


def test_layers_1_and_6_get_16_bits_and_lose_next_to_nothing(foreign: Weights, sample: Calibration) -> None:
    own = replace(foreign, feature_range=sample.feature_range)
    fine, plain = (quantise(weights, sample).layers for weights in (foreign, own))
    assert [layer.weight_bits for layer in fine] == [16, 8, 8, 8, 8, 8, 16]
    assert [layer.weight_bits for layer in plain] == [8] * 7
    want = foreign.arrays["layer_6/weights"].T

    def lost(layer: Layer) -> float:
        assert layer.logit_scale is not None
        return float(np.abs(layer.real_weights * (layer.logit_scale / layer.input_scale)[:, None] - want).max())

    assert lost(fine[-1]) < lost(plain[-1]) / 100


def rounded(weights: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Weights [in, rows] on whole steps, of which a row's largest is `most`."""
    step = np.abs(weights).max(axis=0) / most
    return (np.rint(weights / step) * step).astype(np.float32)


@pytest.mark.parametrize("bits16", [(), LAYER_NAMES])
def test_weights_that_were_int8_before_are_taken_over_as_they_were(
    foreign: Weights, sample: Calibration, bits16: tuple[str, ...]
) -> None:
    arrays = dict(foreign.arrays)
    for name in ("layer_2/weights", "layer_5/weights", "layer_6/weights"):
        arrays[name] = rounded(arrays[name], RNG.integers(60, 128, arrays[name].shape[1]))
    arrays["layer_5/weights"][:, 3] = 0
    halves = np.split(arrays["lstm_fused_cell/kernel"], [48])
    arrays["lstm_fused_cell/kernel"] = np.concatenate([rounded(half, np.full(192, 127)) for half in halves])
    layers = {layer.name: layer for layer in quantise(replace(foreign, arrays=arrays), sample, bits16=bits16).layers}
    assert [layer.weight_bits for layer in layers.values()] == [16, 8, 16 if bits16 else 8, 8, 8, 8, 8]
    for name in ("layer_2", "layer_5", "layer_6"):
        want = arrays[f"{name}/weights"].T
        scale = np.abs(want).max(axis=1) / np.maximum(np.abs(layers[name].weights).max(axis=1), 1)
        np.testing.assert_allclose(layers[name].weights * scale[:, None], want, atol=1e-5 * np.abs(want).max())
    q = np.rint(halves[1] / np.abs(halves[1]).max(axis=0) * 127)
    np.testing.assert_array_equal(layers["lstm_h"].weights, q.T)


def test_activations_of_16_bits_bring_the_integers_nearer(foreign: Weights, sample: Calibration) -> None:
    def ratios(activation_bits: int) -> dict[str, float]:
        model = Quantiser(foreign, sample, None, LAYER_NAMES, activation_bits).model()
        for layer in model.layers:
            assert layer.output_residual_bits == (activation_bits - 8) * (layer.name in RELU_LAYERS)
        return {layer.name: layer.sqnr_db for layer in measure(foreign, model, CLIPS).layers}

    coarse, fine = ratios(8), ratios(16)
    assert all(fine[name] > coarse[name] + 10 for name in ("layer_1", "layer_2", "layer_3"))
    assert all(fine[name] > coarse[name] + 0.3 for name in ("gates", "hidden", "layer_5", "logits"))


def test_16_bits_run_to_the_bits_of_the_numpy_model(foreign: Weights, tmp_path: Path) -> None:
    map_model(foreign, tmp_path / "a.nna", calibration=[NOISE], bits=16, report=False)
    model = read_nna(tmp_path / "a.nna")
    assert [layer.output_residual_bits for layer in model.layers] == [8, 8, 8, 0, 0, 8, 0]
    assert [layer.weight_bits for layer in model.layers] == [16] * 7
    got = pynna.load(tmp_path / "a.nna").log_probs(NOISE)
    want = IntegerNetwork(model).run(windows(NOISE, foreign.features))
    np.testing.assert_allclose(got, want, rtol=3e-7, atol=1e-6)


def test_steps_are_found_where_there_are_some() -> None:
    q = RNG.integers(-100, 101, (7, 50))
    q[2], q[4, 0] = 0, 101
    scale = RNG.uniform(1e-3, 2, 7)
    found = whole_steps((q * scale[:, None]).astype(np.float32))
    assert found is not None
    np.testing.assert_allclose(found.values * found.scale[:, None], q * scale[:, None], atol=1e-4)
    moved = (q * scale[:, None]).astype(np.float32)
    moved[6, 49] += 0.3 * scale[6]
    assert whole_steps(moved) is None and whole_steps(RNG.normal(0, 1, (7, 50))) is None


def test_little_audio_is_heard_at_other_speeds_too() -> None:
    clips = [Clip(NOISE[:16000], "a"), Clip(NOISE[:8000])]
    more = at_other_speeds(clips, 4.0, 16000)
    assert [len(clip.pcm) for clip in more] == [16000, 8000, 18824, 9412, 6780]
    assert at_other_speeds(clips, 1.0, 16000) == clips
    tone = Clip(np.rint(9000 * np.sin(np.arange(16000) * np.pi / 8)).astype(np.int16))  # 1 kHz
    for clip, pitch in zip(at_other_speeds([tone, Clip(NOISE[:0])], 9.0, 16000)[2::2], (850, 1180), strict=True):
        spectrum = np.abs(np.fft.rfft(clip.pcm * np.hanning(len(clip.pcm))))
        assert abs(spectrum.argmax() * 16000 / len(clip.pcm) - pitch) < 2


def test_networks_trained_for_their_mapping_stay_as_they_are(foreign: Weights, sample: Calibration) -> None:
    ranges = np.full(26, 30.0, np.float32)
    own = replace(foreign, feature_range=ranges)
    assert foreign.is_foreign and not own.is_foreign
    chosen = choose_ranges(own, calibrate(own, CLIPS))
    np.testing.assert_allclose(chosen.feature_step, ranges / 127)
