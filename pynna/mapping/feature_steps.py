# SPDX-License-Identifier: Apache-2.0
"""Features of networks that were not trained for their mapping: none is clipped, and layer 1 loses least by rounding.

A feature is counted in 256ths of a step, so its steps may be far wider than its range asks for. They are folded into
layer 1's weights, of which a row shares one scale: a coefficient whose weights are small in its row is given wider
steps, until its weights take up as many of the row's own steps as the others' do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.front_end import MfccConfig, windows

Array = NDArray[Any]

HEADROOM = 1.25  # times the largest magnitude that the calibration holds
FACTORS = (0.8, 0.93, 0.98, 1.02, 1.08, 1.25)  # tried on each coefficient's step in turn
ROUNDS = 40
ENOUGH = 0.999  # of the error before a round: then it is done


def unclipped_ranges(frames: Array, features: MfccConfig) -> Array:
    """Magnitudes that features hardly pass: float64 [n_coefficients].

    Parameters
    ----------
    frames : float32 [n, n_coefficients]
        Of speech. Digital silence counts in any case: no frame is quieter, and its first coefficient is the largest.
    features : MfccConfig
    """
    silent = np.abs(windows(np.zeros(features.window, np.int16), features, 0)[0, 0]).astype(np.float64)
    heard = np.abs(frames).max(axis=0, initial=0.0).astype(np.float64)
    ranges = np.where(heard <= silent, silent, HEADROOM * heard)
    return np.where(ranges > 0, ranges, 1.0)


def balanced_steps(weights: Array, mean_square: Array, least: Array) -> Array:
    """Steps with which rounding layer 1's weights to int8 adds least to its sums: float64 [n_coefficients].

    Parameters
    ----------
    weights : float32 [frames * n_coefficients, rows]
        Of layer 1, a frame of the window after the other.
    mean_square : float64 [n_coefficients]
        Of the features.
    least : float64 [n_coefficients]
        The narrowest steps that hold the features.
    """
    n = len(least)
    largest = np.abs(weights.reshape(-1, n, weights.shape[1])).max(axis=0).astype(np.float64)  # [n, rows]
    power = mean_square + 1e-6 * mean_square.mean() + 1e-30
    if not largest.any():
        return least

    def error(steps: Array) -> float:
        scales = (largest * steps[:, None]).max(axis=0)
        return float(np.square(scales).mean() * (power / np.square(steps)).sum())

    steps = np.array(least, np.float64)
    best = error(steps)
    for _ in range(ROUNDS):
        before = best
        for k in range(n):
            for factor in FACTORS:
                tried = steps.copy()
                tried[k] = max(least[k], tried[k] * factor)
                if (now := error(tried)) < best:
                    steps, best = tried, now
        if best > ENOUGH * before:
            break
    return steps
