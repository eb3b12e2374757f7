# SPDX-License-Identifier: Apache-2.0
"""Two networks in one, against the two."""

from __future__ import annotations

import numpy as np
import pytest
from support.float_networks import random_arrays, random_weights, speechlike

from pynna.mapping.front_end import windows
from pynna.mapping.weights import Weights
from pynna.train.network.widen import narrow, widen

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
