"""Calibration: weights that tell right from wrong, and the threshold's rule."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("soundfile")
pytest.importorskip("tqdm")

from pynna.train.calibrate import confidence, fit, lowest_threshold  # noqa: E402


@pytest.mark.parametrize(
    ("n_sure", "n", "expected"),
    [(0, 100, 0.05), (2, 100, 0.05), (3, 100, 0.75), (3, 150, 0.05), (100, 100, 0.75)],
)
def test_threshold_lets_no_more_than_its_share_in(n_sure: int, n: int, expected: float) -> None:
    false = np.concatenate([np.full(n_sure, 0.72), np.full(n - n_sure, 0.01)])
    assert lowest_threshold(false, n, most=0.02) == pytest.approx(expected)
    assert lowest_threshold(false[:n_sure], n, most=0.02) == pytest.approx(expected)  # the others: nothing was heard


def test_threshold_where_all_is_wrong_and_sure() -> None:
    assert lowest_threshold(np.ones(50), 50) == 1.0


def test_weights_tell_right_from_wrong() -> None:
    rng = np.random.default_rng(3)
    right, wrong = rng.normal([-0.2, -1.0], 0.3, (300, 2)), rng.normal([-2.0, -1.0], 0.3, (60, 2))
    weights = fit([(x, True) for x in right] + [(x, False) for x in wrong])
    assert min(confidence(weights, x) for x in right) > 0.5 > max(confidence(weights, x) for x in wrong)
    assert weights[1] > 10 * abs(weights[2])  # the second feature tells nothing
