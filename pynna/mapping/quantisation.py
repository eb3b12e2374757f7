# SPDX-License-Identifier: Apache-2.0
"""A float network and its calibration to the integers of csrc/doc/network.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.calibration import Calibration, Progress, best_clip
from pynna.mapping.feature_steps import balanced_steps
from pynna.mapping.nna_model import (
    LAYER_NAMES,
    MAX_BIAS,
    MAX_MULTIPLIER,
    MAX_VALUE,
    SIGNED_INPUT,
    Geometry,
    Layer,
    NnaModel,
)
from pynna.mapping.spans import of_columns, row_units, span_scales
from pynna.mapping.weights import KERNEL, LSTM_BIAS, QuantisedMatrix, Weights

Array = NDArray[Any]

MAX_SUM = 1 << 30  # what no sum may reach after its shift, see csrc/doc/network.md
CLIP_CANDIDATES = np.linspace(1.0, 0.55, 10)
# By the bits of a weight:
DAMPING = {8: 0.03, 4: 0.3}  # of the mean square of the inputs, added to each column's
ENOUGH_FRAMES = {8: 3, 4: 0.75}  # times the columns: from then on the inputs' correlations can be believed
# The same for 8 bits of a network that was not trained for its mapping, whose weights lie between the steps; with fewer
# frames than MANY times the columns they are believed less.
FOREIGN_ENOUGH_FRAMES, FOREIGN_MANY_FRAMES, FOREIGN_DAMPING = 0.75, 8, 0.3
COLUMN_BLOCK = 64
GATE_ONE = 4096  # 1.0 of a gate, Q3.12
CELL_TOLERANCE = 1.1  # of the error of h: within it, the wider range of the cell is the better choice


@dataclass(frozen=True)
class Ranges:
    """Real values of one step of every quantised array.

    Attributes
    ----------
    feature_step : float64 [n_coefficients]
    layer_1, layer_2, layer_3, layer_5, hidden : float
    cell_fraction_bits : int
    """

    feature_step: Array
    layer_1: float
    layer_2: float
    layer_3: float
    layer_5: float
    hidden: float
    cell_fraction_bits: int


def choose_ranges(weights: Weights, calibration: Calibration) -> Ranges:
    """Ranges that lose least on the calibration's sample."""
    relu = {
        name: best_clip(calibration.layers[name], 255, weights.relu_clip) / 255
        for name in ("layer_1", "layer_2", "layer_3", "layer_5")
    }
    hidden = best_clip(calibration.layers["hidden"], 127, 1.0) / 127
    bits = choose_cell_bits(calibration.cell_errors, hidden)
    steps = calibration.feature_range / 127
    if "layer_1/weights" in weights.quantised:  # one step for all, so that the weights stay as they are
        steps = np.full_like(steps, steps.max())
    elif weights.is_foreign:
        power = np.square(calibration.inputs.reshape(-1, len(steps)), dtype=np.float64).mean(axis=0)
        steps = balanced_steps(weights.arrays["layer_1/weights"], power, steps)
    return Ranges(steps, hidden=hidden, cell_fraction_bits=bits, **relu)


def choose_cell_bits(errors: Array, hidden_step: float) -> int:
    """Fraction bits of the cell: the fewest with which h, once rounded to its own steps, is as good as it can be."""
    total = errors + hidden_step**2 / 12
    return int(np.flatnonzero(total <= CELL_TOLERANCE * total.min())[0]) + 1


# ---- rows ----------------------------------------------------------------------------------------


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


def _fit_scales(scales: Array, bias: Array, input_scale: float) -> Array:
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


def _integer_bias(name: str, bias: Array, q: Array, unit: Array) -> Array:
    """Bias in steps of the accumulator, the zero point's correction folded in."""
    steps = np.rint(bias / unit)
    if name in SIGNED_INPUT:
        steps = steps - 128 * q.sum(axis=1, dtype=np.int64)
    if np.abs(steps).max() > MAX_BIAS:
        raise MappingError(f"{name}: a bias is too large for its weights to be mapped")
    return steps.astype(np.int32)


def multipliers(factors: list[Array]) -> tuple[list[Array], int]:
    """Real factors of rows as int32 multipliers, and the one shift that they share.

    The shift is the largest with which the largest multiplier fits in 31 bits.
    """
    largest = max(float(f.max()) for f in factors)
    shift = int(np.clip(np.floor(np.log2(MAX_MULTIPLIER / max(largest, 1e-30))), 1, 62))
    return [np.rint(f * 2.0**shift).clip(0, MAX_MULTIPLIER).astype(np.int32) for f in factors], shift


def largest_factors(columns: int, bias: Array) -> Array:
    """Of each row, what a factor may be so that no sum leaves its bound after the shift: float64 [rows]."""
    return np.asarray(0.999 * MAX_SUM / (columns * (255 * 127 + 64) + np.abs(bias.astype(np.float64))))


# ---- layers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """A layer's inputs on the calibration: the float network's, and the same rounded to steps."""

    step: float
    values: Array  # float32 [m, columns]
    rounded: Array  # float32 [m, columns], real units

    @property
    def importance(self) -> Array:
        """Mean square of each column, never quite zero."""
        square = np.mean(np.square(self.values, dtype=np.float32), axis=0, dtype=np.float64)
        return np.asarray(square + 1e-4 * square.mean() + 1e-30)


def _relu_input(values: Array, step: float) -> _Input:
    return _Input(step, values, np.clip(np.rint(values / np.float32(step)), 0, 255) * np.float32(step))


def _signed_input(values: Array, step: float) -> _Input:
    return _Input(step, values, np.clip(np.rint(values / np.float32(step)), -127, 127) * np.float32(step))


def _feature_input(steps: Array) -> _Input:
    """Features in steps, of which a 256th counts."""
    return _Input(1.0, steps, np.rint(np.clip(steps, -127, 127) * np.float32(256)) / np.float32(256))


@dataclass(frozen=True)
class _Rows:
    """Quantised rows: real weight = q * scale."""

    q: Array
    scale: Array
    scales: Array | None = None  # of 4 bits

    def mean_error(self, real: Array, x: _Input) -> Array:
        """By how much, on average, the quantised product falls short of the real one: float64 [rows]."""
        quantised = (self.q.astype(np.float32) @ x.rounded.mean(axis=0)) * self.scale
        return np.asarray(real @ x.values.mean(axis=0) - quantised, np.float64)


def _taken_over(
    matrix: QuantisedMatrix | None, columns: slice, bias: Array, x: _Input, bits: int, column_scale: float = 1.0
) -> _Rows | None:
    """Rows that were int8 before, as they are; None where there are none, or a bias is too large for their scale."""
    if matrix is None or bits != 8:
        return None
    scale = matrix.scale * column_scale
    if (_fit_scales(scale, bias, x.step) > scale).any():
        return None
    return _Rows(np.ascontiguousarray(matrix.values[:, columns]), scale)


def _rows(real: Array, bias: Array, x: _Input, bits: int, is_foreign: bool) -> _Rows:
    scales = steps = None
    if bits == 4:
        scale = _fit_scales(row_units(real, x.importance), bias, x.step)
        scales = span_scales(real, x.importance, scale)
        steps = of_columns(scales, real.shape[1])
    else:
        scale = _fit_scales(row_scales(real, x.importance), bias, x.step)
    enough, damping = ENOUGH_FRAMES[bits], DAMPING[bits]
    if is_foreign and bits == 8:
        enough = FOREIGN_ENOUGH_FRAMES
        damping = FOREIGN_DAMPING if len(x.rounded) < FOREIGN_MANY_FRAMES * real.shape[1] else damping
    if len(x.rounded) >= enough * real.shape[1]:
        q = compensated_rows(real, scale, x.rounded, damping, steps)
    else:
        q = quantise_rows(real, scale, steps)
    return _Rows(q, scale, scales)


def _dense(
    name: str,
    weights: Weights,
    x: _Input,
    output_step: float,
    bits: Mapping[str, int],
    column_scale: Array | None = None,
) -> Layer:
    """A dense layer; `column_scale` is folded into the weights (layer_1's features)."""
    named = weights.arrays
    arrays = weights.outputs() if name == "layer_6" else (named[f"{name}/weights"], named[f"{name}/bias"])
    real = arrays[0].T
    if column_scale is not None:
        real = real * column_scale.astype(np.float32)
    real = np.ascontiguousarray(real)
    bias = arrays[1].astype(np.float64)
    factor = 1.0 if column_scale is None else float(column_scale[0])
    whole = weights.quantised.get(f"{name}/weights") if len(real) == len(weights.arrays[f"{name}/bias"]) else None
    rows = _taken_over(whole, slice(None), bias, x, bits[name], factor) or _rows(
        real, bias, x, bits[name], weights.is_foreign
    )
    unit = x.step * rows.scale
    steps = _integer_bias(name, bias + rows.mean_error(real, x), rows.q, unit)
    if name == "layer_6":
        last = _logit_scale(unit)
        return Layer(name, rows.q, steps, 1, x.step, 0.0, None, last, weight_bits=bits[name], scales=rows.scales)
    # A row beyond its bound clips at a few steps of its sum already: bounded, it does so a little later.
    (m,), shift = multipliers([np.minimum(unit / output_step, largest_factors(real.shape[1], steps))])
    return Layer(name, rows.q, steps, shift, x.step, output_step, m, weight_bits=bits[name], scales=rows.scales)


def _logit_scale(unit: Array) -> Array:
    scale = unit.astype(np.float32)
    return np.asarray(np.maximum(scale, np.finfo(np.float32).tiny))


def _lstm(weights: Weights, x: _Input, h: _Input, bits: Mapping[str, int]) -> list[Layer]:
    """lstm_x and lstm_h; the bias, the forget gate's constant and the means' corrections go with lstm_x."""
    n_cell = weights.n_cell
    kernel = weights.arrays[KERNEL].T
    n_inputs = kernel.shape[1] - n_cell
    real_x, real_h = np.ascontiguousarray(kernel[:, :n_inputs]), np.ascontiguousarray(kernel[:, n_inputs:])
    bias = weights.arrays[LSTM_BIAS].astype(np.float64)
    bias[2 * n_cell : 3 * n_cell] += weights.forget_bias
    whole, zeros = weights.quantised.get(KERNEL), np.zeros_like(bias)
    rows_x = _taken_over(whole, slice(n_inputs), bias, x, bits["lstm_x"]) or _rows(
        real_x, bias, x, bits["lstm_x"], weights.is_foreign
    )
    rows_h = _taken_over(whole, slice(n_inputs, None), zeros, h, bits["lstm_h"]) or _rows(
        real_h, zeros, h, bits["lstm_h"], weights.is_foreign
    )
    bias = bias + rows_x.mean_error(real_x, x) + rows_h.mean_error(real_h, h)
    unit_x, unit_h = x.step * rows_x.scale, h.step * rows_h.scale
    steps_x = _integer_bias("lstm_x", bias, rows_x.q, unit_x)
    steps_h = _integer_bias("lstm_h", zeros, rows_h.q, unit_h)
    factors = [unit_x * GATE_ONE, unit_h * GATE_ONE]
    bounds = [largest_factors(n_inputs, steps_x), largest_factors(n_cell, steps_h)]
    if any((factor >= bound).any() for factor, bound in zip(factors, bounds, strict=True)):
        raise MappingError(f"{KERNEL} or {LSTM_BIAS} is so large that a gate could reach {MAX_SUM // GATE_ONE}")
    (mx, mh), shift = multipliers(factors)
    return [
        Layer(name, rows.q, bias_steps, shift, step, 1 / GATE_ONE, m, weight_bits=bits[name], scales=rows.scales)
        for name, rows, bias_steps, step, m in (
            ("lstm_x", rows_x, steps_x, x.step, mx),
            ("lstm_h", rows_h, steps_h, h.step, mh),
        )
    ]


def hidden_multiplier(h_scale: float) -> tuple[int, int]:
    """(hm, hs) with hm / 2^hs = 1 / (32768 * h_scale), hm below 2^15."""
    factor = 1 / (32768 * h_scale)
    shift = int(np.clip(np.floor(np.log2(32767 / factor)), 1, 30))
    return min(int(np.rint(factor * 2.0**shift)), 32767), shift


def quantise(
    weights: Weights,
    calibration: Calibration,
    ranges: Ranges | None = None,
    progress: Progress | None = None,
    bits4: Collection[str] = (),
) -> NnaModel:
    """The integer network; weights of the layers in `bits4` have 4 bits, all others 8.

    Every row of weights has a scale of its own, clipped where that loses less; with enough calibration, errors of the
    rounding are compensated within the row; what is left of them in a row's mean is taken out by its bias.

    Raises
    ------
    MappingError
        Weights or biases so large that the arithmetic cannot hold them; a layer that there is not.
    """
    return Quantiser(weights, calibration, ranges).model(bits4, progress)


class Quantiser:
    """The integer networks of one float network: each of its layers is made once for 8 bits, and once for 4.

    Parameters
    ----------
    weights : Weights
    calibration : Calibration
    ranges : Ranges, optional
        Those that lose least on the calibration, unless given.
    """

    def __init__(self, weights: Weights, calibration: Calibration, ranges: Ranges | None = None) -> None:
        self.weights, self.calibration = weights, calibration
        self.ranges = ranges or choose_ranges(weights, calibration)
        self._made: dict[tuple[str, int, int], list[Layer]] = {}

    def model(self, bits4: Collection[str] = (), progress: Progress | None = None) -> NnaModel:
        """The integer network with weights of 4 bits in the layers named.

        Raises
        ------
        MappingError
            Weights or biases so large that the arithmetic cannot hold them; a layer that there is not.
        """
        if unknown := [name for name in bits4 if name not in LAYER_NAMES]:
            raise MappingError(f"there is no layer {unknown[0]!r}: {', '.join(LAYER_NAMES)}")
        bits = {name: 4 if name in bits4 else 8 for name in LAYER_NAMES}
        stages = ("layer_1", "layer_2", "layer_3", "lstm", "layer_5", "layer_6")
        layers: list[Layer] = []
        for done, stage in enumerate(stages, 1):
            key = (stage, bits["lstm_x"], bits["lstm_h"]) if stage == "lstm" else (stage, bits[stage], bits[stage])
            if key not in self._made:
                self._made[key] = self._layers(stage, bits)
            layers += self._made[key]
            if progress:
                progress("quantise", done / len(stages))
        weights = self.weights
        priors = weights.label_priors
        if priors is None:
            priors = np.full(weights.n_labels, 1 / weights.n_labels, np.float32)
        return NnaModel(
            _geometry(weights, self.ranges),
            layers,
            list(weights.alphabet),
            np.asarray(priors, np.float32),
            (1 / self.ranges.feature_step).astype(np.float32),
        )

    def _layers(self, stage: str, bits: Mapping[str, int]) -> list[Layer]:
        weights, r, seen = self.weights, self.ranges, self.calibration.layers
        if stage == "layer_1":
            columns = np.tile(r.feature_step, 2 * weights.n_context + 1)
            x = _feature_input(self.calibration.inputs / columns.astype(np.float32))
            return [_dense(stage, weights, x, r.layer_1, bits, columns)]
        if stage == "layer_2":
            return [_dense(stage, weights, _relu_input(seen["layer_1"], r.layer_1), r.layer_2, bits)]
        if stage == "layer_3":
            return [_dense(stage, weights, _relu_input(seen["layer_2"], r.layer_2), r.layer_3, bits)]
        if stage == "layer_5":
            return [_dense(stage, weights, _signed_input(seen["hidden"], r.hidden), r.layer_5, bits)]
        if stage == "layer_6":
            return [_dense(stage, weights, _relu_input(seen["layer_5"], r.layer_5), 0.0, bits)]
        h = _signed_input(self.calibration.previous_hidden, r.hidden)
        return _lstm(weights, _relu_input(seen["layer_3"], r.layer_3), h, bits)


def _geometry(weights: Weights, r: Ranges) -> Geometry:
    f = weights.features
    multiplier, shift = hidden_multiplier(r.hidden)
    return Geometry(
        sample_rate=f.sample_rate,
        window=f.window,
        step=f.step,
        n_coefficients=f.n_coefficients,
        n_mel=f.n_mel,
        n_context=weights.n_context,
        n_labels=weights.n_labels,
        blank=weights.n_labels - 1,
        n_cell=weights.n_cell,
        cell_fraction_bits=r.cell_fraction_bits,
        h_multiplier=multiplier,
        h_shift=shift,
        mel_lower_hz=f.lower_hz,
        mel_upper_hz=f.upper_hz,
        h_scale=r.hidden,
        feature_residual_bits=8,
        speech_rows=int(weights.tells_speech),
    )
