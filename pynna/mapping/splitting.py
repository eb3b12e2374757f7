# SPDX-License-Identifier: Apache-2.0
"""Units of layer 5 in two places, so that layer 6's rows need no wide steps for the few large weights in them.

A row of weights shares one scale, its largest weight's. In layer 6, whose sums are the labels' logits, that is by far
the largest error of a mapping. A unit that stands twice in layer 5 has half the weight in each place (outlier channel
splitting, R. Zhao et al., ICML 2019, arXiv 1901.09504). The network is the same; layer 5 has a few rows more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.calibration import Calibration
from pynna.mapping.weights import SPEECH, Weights

Array = NDArray[Any]

SHARE = 8  # one unit more for each so many
STEP = 16  # rows of a kernel's block: a wider layer 5 fills them
ON_STEPS = 1e-3  # of a step: how near to one a weight is that was rounded before


def choose_copies(weights: Array, extra: int) -> Array:
    """How often each unit should stand: int [units], their sum is the units and `extra`.

    The unit that lowers the sum of the rows' squared scales most, one after the other.

    Parameters
    ----------
    weights : float [units, rows]
        Of layer 6.
    extra : int
    """
    magnitude = np.abs(weights.astype(np.float64))
    copies = np.ones(len(weights), np.int64)
    for _ in range(extra):
        shared = magnitude / copies[:, None]
        largest = shared.argmax(axis=0)
        gains = np.zeros(len(weights))
        for unit in np.unique(largest):
            tried = shared.copy()
            tried[unit] = magnitude[unit] / (copies[unit] + 1)
            gains[unit] = (np.square(shared.max(axis=0)) - np.square(tried.max(axis=0))).sum()
        if not gains.any():  # two units share the largest weight: the one after this
            gains[largest[0]] = 1.0
        copies[gains.argmax()] += 1
    return copies


def split_units(weights: Weights) -> tuple[Weights, Array]:
    """The same network with some units of layer 5 in several places, and which unit stands where: int [places].

    Networks that were trained for their mapping (`Weights.is_foreign` is False), or came with int8 weights in layer 6,
    as such or made float again, stay as they are.
    """
    units = len(weights.arrays["layer_5/bias"])
    if not weights.is_foreign or weights.quantised or _are_on_steps(weights.outputs()[0]):
        return weights, np.arange(units)
    extra = -(-(units + units // SHARE) // STEP) * STEP - units
    copies = choose_copies(weights.outputs()[0], extra)
    order = np.repeat(np.arange(units), copies)
    shares = (1 / copies[order]).astype(np.float32)
    arrays = dict(weights.arrays)
    arrays["layer_5/weights"] = arrays["layer_5/weights"][:, order]
    arrays["layer_5/bias"] = arrays["layer_5/bias"][order]
    for name in ("layer_6/weights", *(SPEECH[:1] if SPEECH[0] in arrays else ())):
        arrays[name] = arrays[name][order] * shares[:, None]
    return replace(weights, arrays=arrays), order


def _are_on_steps(weights: Array) -> bool:
    """Whether the weights [units, rows] are whole steps of 127 to the largest of their row."""
    steps = weights / np.maximum(np.abs(weights).max(axis=0), 1e-30) * 127.0
    return bool((np.abs(steps - np.rint(steps)) < ON_STEPS).all())


def split_sample(calibration: Calibration, order: Array) -> Calibration:
    """What the calibration saw, as the split network's."""
    layers = {**calibration.layers, "layer_5": calibration.layers["layer_5"][:, order]}
    return replace(calibration, layers=layers)
