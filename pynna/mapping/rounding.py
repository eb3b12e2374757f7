# SPDX-License-Identifier: Apache-2.0
"""Rows of float weights as int8 numbers and a scale each: to the nearest step, compensated, or as they were before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.nna_model import MAX_BIAS, MAX_VALUE
from pynna.mapping.weights import QuantisedMatrix

Array = NDArray[Any]

CLIP_CANDIDATES = np.linspace(1.0, 0.55, 10)
DAMPING = {8: 0.03, 4: 0.3}  # by a weight's bits: of the mean square of the inputs, added to each column's
COLUMN_BLOCK = 64
ON_STEPS = 1e-3  # of a step: how near to one a weight is that was rounded before


def row_scales(weights: Array, importance: Array) -> Array:
    """Real weight of one step of 8 bits for each row: the clipping of least error among a few.

    Parameters
    ----------
    weights : float [rows, columns]
    importance : float [columns]
        Mean square of each column's input: errors of a weight count as much as its input is large.

    Returns
    -------
    float64 [rows]
        0 for a row of zeros.
    """
    out = np.zeros(len(weights))
    most = 127
    size = max(1, (1 << 18) // weights.shape[1])  # rows at a time, so that they stay in the cache
    for start in range(0, len(weights), size):
        rows = weights[start : start + size].astype(np.float32)
        largest = np.abs(rows).max(axis=1)
        best = np.full(len(rows), np.inf, np.float32)
        chosen = np.zeros(len(rows), np.float32)
        for clip in CLIP_CANDIDATES:
            scale = largest * np.float32(clip / most)
            inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
            q = rows * inverse[:, None]
            np.rint(q, out=q)
            np.clip(q, -most, most, out=q)
            q *= scale[:, None]
            q -= rows
            np.square(q, out=q)
            error = q @ importance.astype(np.float32)
            better = error < best
            best[better], chosen[better] = error[better], scale[better]
        out[start : start + size] = chosen
    return out


def fit_scales(scales: Array, bias: Array, input_scale: float) -> Array:
    """Scales widened where a bias would leave 2^30 steps (with room for the zero point's correction)."""
    typical = float(np.median(scales[scales > 0])) if (scales > 0).any() else 1.0
    scales = np.where(scales > 0, scales, typical)
    return np.maximum(scales, np.abs(bias) / (input_scale * (MAX_BIAS - (1 << 28))))


def quantise_rows(weights: Array, scales: Array, steps: Array | None = None) -> Array:
    """int8 [rows, columns] in units of `scales`, to the nearest within +-127; or of 4 bits, in `steps` of so many."""
    out = np.empty(weights.shape, np.int8)
    size = max(1, (1 << 18) // weights.shape[1])
    for start in range(0, len(weights), size):
        some = slice(start, start + size)
        rows = weights[some] / scales[some, None]
        out[some] = np.clip(np.rint(rows), -127, 127) if steps is None else _to_steps(rows, steps[some])
    return out


def _to_steps(values: Array, steps: Array) -> Array:
    return np.asarray(np.clip(np.rint(values / steps), -MAX_VALUE, MAX_VALUE) * steps)


def compensated_rows(
    weights: Array, scales: Array, inputs: Array, damping: float = DAMPING[8], steps: Array | None = None
) -> Array:
    """int8 [rows, columns], each column rounded so as to make good the errors of those before it.

    What a rounded weight adds to a row's product is, as far as inputs are correlated (a frame's neighbours are), taken
    back by the weights not yet rounded: the second-order rounding of Optimal Brain Surgeon, as in E. Frantar et al.,
    "GPTQ", ICLR 2023 (arXiv 2210.17323), columns of the largest inputs first.

    Parameters
    ----------
    weights : float [rows, columns]
    scales : float [rows]
        Positive.
    inputs : float [m, columns]
        Calibration; see ENOUGH_FRAMES.
    damping : float
        See DAMPING.
    steps : int8 [rows, columns], optional
        Of 4 bits: what each weight is a multiple of.
    """
    hessian = (inputs.T @ inputs).astype(np.float64) / len(inputs)
    diagonal = np.diag(hessian)
    hessian += np.eye(len(hessian)) * (damping * diagonal.mean() + 1e-30)
    order = np.argsort(-diagonal, kind="stable")
    # Row i of the factor tells what an error in column i is worth in the columns behind it.
    factor = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T.astype(np.float32)
    rest = (weights[:, order] / scales[:, None]).astype(np.float32)
    out = np.empty(weights.shape, np.int8)
    for start in range(0, len(order), COLUMN_BLOCK):
        end = min(start + COLUMN_BLOCK, len(order))
        errors = np.empty((len(weights), end - start), np.float32)
        for i in range(start, end):
            column = rest[:, i]
            q = np.clip(np.rint(column), -127, 127) if steps is None else _to_steps(column, steps[:, order[i]])
            out[:, order[i]] = q
            errors[:, i - start] = (rest[:, i] - q) / factor[i, i]
            rest[:, i + 1 : end] -= errors[:, i - start, None] * factor[i, i + 1 : end]
        rest[:, end:] -= errors @ factor[start:end, end:]
    return out


def whole_steps(weights: Array) -> QuantisedMatrix | None:
    """Weights [rows, columns] as the int8 numbers that they were before they were made float; None where they were not.

    A row's step is its largest weight's 127th, or 126th, and so on, of which all others are multiples.
    """
    largest = np.abs(weights).max(axis=1).astype(np.float64)
    largest[largest == 0] = 1.0
    scale, left = np.zeros(len(weights)), np.arange(len(weights))
    for most in range(127, 0, -1):
        few = weights[left, :32] * (most / largest[left])[:, None]
        good = (np.abs(few - np.rint(few)) < ON_STEPS).all(axis=1)
        rows = left[good]
        steps = weights[rows] * (most / largest[rows])[:, None]
        rows = rows[(np.abs(steps - np.rint(steps)) < ON_STEPS).all(axis=1)]
        scale[rows] = largest[rows] / most
        left = np.setdiff1d(left, rows, assume_unique=True)
        if not len(left):
            return QuantisedMatrix(quantise_rows(weights, scale), scale)
    return None
