# SPDX-License-Identifier: Apache-2.0
"""Two networks in one, against the two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.float_networks import random_arrays, random_weights, speechlike

from pynna.mapping.front_end import windows
from pynna.mapping.npz import export_npz, import_npz
from pynna.mapping.weights import Weights
from pynna.train import config as configuration
from pynna.train.network.widen import narrow, narrow_file, widen

SPEECH = [speechlike(3.0, seed) for seed in range(4)]
SEEN, UNSEEN = windows(SPEECH[0], random_weights().features), windows(speechlike(2.0, 9), random_weights().features)


def logits(arrays: dict[str, np.ndarray], forget_bias: float, x: np.ndarray) -> np.ndarray:
    """Logits but for a constant a frame."""
    log_probs = Weights(arrays, forget_bias=forget_bias).network().run(x)
    return np.asarray(log_probs - log_probs.mean(axis=1, keepdims=True))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_what_is_taken_out_is_made_up_for_by_the_rest() -> None:
    weights = random_weights(32, seed=1)
    whole = logits(dict(weights.arrays), weights.forget_bias, SEEN)
    same, less, little = (
        logits({k: v.astype(np.float32) for k, v in narrow(weights, n, SPEECH).items()}, weights.forget_bias, SEEN)
        for n in (32, 24, 8)
    )
    assert agreement(whole, same) > 0.995
    assert agreement(whole, same) > agreement(whole, less) > agreement(whole, little)
    assert agreement(whole, less) > 0.9


@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_the_answer_is_the_mean_of_both(forget_bias: float) -> None:
    one, other = random_weights(16, seed=1), random_weights(16, seed=2, forget_bias=forget_bias)
    both = widen(one, other, 32, SPEECH)
    assert both.n_cell == 32
    expected = (
        logits(dict(one.arrays), one.forget_bias, UNSEEN) + logits(dict(other.arrays), other.forget_bias, UNSEEN)
    ) / 2
    assert agreement(expected, logits(dict(both.arrays), both.forget_bias, UNSEEN)) > 0.99


def test_networks_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="even width"):
        widen(random_weights(16), random_weights(16), 31, SPEECH)
    with pytest.raises(ValueError, match="same features"):
        widen(random_weights(16), Weights(random_arrays(16), relu_clip=6.0), 32, SPEECH)


def test_the_speech_probability_is_kept_where_units_are_taken_out() -> None:
    rng = np.random.default_rng(3)
    arrays = dict(random_weights(32, seed=1).arrays)
    arrays["speech/weights"] = rng.normal(size=(32, 1)).astype(np.float32)
    arrays["speech/bias"] = np.zeros(1, np.float32)
    found = narrow(Weights(arrays), 8, SPEECH)
    assert found["speech/weights"].shape == (8, 1) and np.abs(found["speech/weights"]).max() > 0


def test_a_network_is_narrowed_to_the_width_of_the_configuration(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pynna.train.network.widen.speech_to_fit_on", lambda config, noise: SPEECH)
    config = configuration.load(None, tmp_path)
    config["network"]["width"] = 16
    export_npz(random_weights(32, seed=1), tmp_path / "wide.npz")
    narrow_file(config, tmp_path / "wide.npz", [], tmp_path / "narrow.npz")
    assert import_npz(tmp_path / "narrow.npz").n_cell == 16
    with pytest.raises(ValueError, match="more than the 16 units of the configuration is right, got 16"):
        narrow_file(config, tmp_path / "narrow.npz", [], tmp_path / "again.npz")
