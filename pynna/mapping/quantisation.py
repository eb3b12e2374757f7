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
    INPUT_OF,
    LAYER_NAMES,
    MAX_BIAS,
    MAX_MULTIPLIER,
    RELU_LAYERS,
    SIGNED_INPUT,
    Geometry,
    Layer,
    NnaModel,
)
from pynna.mapping.rounding import DAMPING, compensated_rows, fit_scales, quantise_rows, row_scales, whole_steps
from pynna.mapping.spans import of_columns, row_units, span_scales
from pynna.mapping.weights import KERNEL, LSTM_BIAS, QuantisedMatrix, Weights

Array = NDArray[Any]

MAX_SUM = 1 << 30  # what no sum may reach after its shift, see csrc/doc/network.md
# By the bits of a weight:
ENOUGH_FRAMES = {8: 3, 4: 0.75}  # times the columns: from then on the inputs' correlations can be believed
# The same for 8 bits of a network that was not trained for its mapping, whose weights lie between the steps; with fewer
# frames than MANY times the columns they are believed less.
FOREIGN_ENOUGH_FRAMES, FOREIGN_MANY_FRAMES, FOREIGN_DAMPING = 0.75, 8, 0.3
# Layers of such a network whose weights get 16 bits: a twentieth of the products, and most of what 8 bits would lose.
FINE_LAYERS = ("layer_1", "layer_6")
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


def choose_ranges(weights: Weights, calibration: Calibration, activation_bits: int = 8) -> Ranges:
    """Ranges that lose least on the calibration; activations of 16 bits are clipped as in the float network."""
    relu = dict.fromkeys(RELU_LAYERS, weights.relu_clip / 255)
    if activation_bits == 8:
        relu = {name: best_clip(calibration.layers[name], 255, weights.relu_clip) / 255 for name in RELU_LAYERS}
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
    return np.asarray(0.999 * MAX_SUM / (columns * (255 * 127 + 64 + 127) + np.abs(bias.astype(np.float64))))


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


def _relu_input(values: Array, step: float, bits: int) -> _Input:
    part = np.float32(step if bits == 8 else step / 256)
    return _Input(step, values, np.clip(np.rint(values / part), 0, 255 if bits == 8 else 255 * 256) * part)


def _signed_input(values: Array, step: float) -> _Input:
    return _Input(step, values, np.clip(np.rint(values / np.float32(step)), -127, 127) * np.float32(step))


def _feature_input(steps: Array) -> _Input:
    """Features in steps, of which a 256th counts."""
    return _Input(1.0, steps, np.rint(np.clip(steps, -127, 127) * np.float32(256)) / np.float32(256))


@dataclass(frozen=True)
class _Rows:
    """Quantised rows: real weight = (q + fine / 256) * scale."""

    q: Array
    scale: Array
    bits: int
    scales: Array | None = None  # of 4 bits
    fine: Array | None = None  # of 16 bits

    def mean_error(self, real: Array, x: _Input) -> Array:
        """By how much, on average, the quantised product falls short of the real one: float64 [rows]."""
        mean = x.rounded.mean(axis=0)
        steps = self.q.astype(np.float32) @ mean
        if self.fine is not None:
            steps += self.fine.astype(np.float32) @ mean / 256
        return np.asarray(real @ x.values.mean(axis=0) - steps * self.scale, np.float64)


def _taken_over(
    matrix: QuantisedMatrix | None, real: Array, columns: slice, bias: Array, x: _Input, bits: int, gain: float = 1.0
) -> _Rows | None:
    """Rows that are int8 as they are, or were once; None where they are not, or a bias is too large for their scale."""
    if bits == 4:
        return None
    if matrix is None:
        matrix, columns, gain = whole_steps(real), slice(None), 1.0
    if matrix is None or (fit_scales(scale := matrix.scale * gain, bias, x.step) > scale).any():
        return None
    return _Rows(np.ascontiguousarray(matrix.values[:, columns]), scale, 8)


def _fine_rows(real: Array, bias: Array, x: _Input) -> _Rows:
    """Rows of 16 bits."""
    scale = fit_scales(np.abs(real).max(axis=1) / 127, bias, x.step)
    q, fine = np.empty(real.shape, np.int8), np.empty(real.shape, np.int8)
    size = max(1, (1 << 18) // real.shape[1])
    for start in range(0, len(real), size):
        rows = slice(start, start + size)
        steps = np.rint(real[rows] / scale[rows, None] * 256).astype(np.int32)
        q[rows] = (steps + 127) >> 8  # so that no residual is -128
        fine[rows] = np.minimum(steps - 256 * q[rows].astype(np.int32), 127)
    return _Rows(q, scale, 16, fine=fine)


def _rows(real: Array, bias: Array, x: _Input, bits: int, is_foreign: bool) -> _Rows:
    if bits == 16:
        return _fine_rows(real, bias, x)
    scales = steps = None
    if bits == 4:
        scale = fit_scales(row_units(real, x.importance), bias, x.step)
        scales = span_scales(real, x.importance, scale)
        steps = of_columns(scales, real.shape[1])
    else:
        scale = fit_scales(row_scales(real, x.importance), bias, x.step)
    enough, damping = ENOUGH_FRAMES[bits], DAMPING[bits]
    if is_foreign and bits == 8:
        enough = FOREIGN_ENOUGH_FRAMES
        damping = FOREIGN_DAMPING if len(x.rounded) < FOREIGN_MANY_FRAMES * real.shape[1] else damping
    if len(x.rounded) >= enough * real.shape[1]:
        q = compensated_rows(real, scale, x.rounded, damping, steps)
    else:
        q = quantise_rows(real, scale, steps)
    return _Rows(q, scale, bits, scales)


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
    rows = _taken_over(whole, real, slice(None), bias, x, bits[name], factor) or _rows(
        real, bias, x, bits[name], weights.is_foreign
    )
    unit = x.step * rows.scale
    steps = _integer_bias(name, bias + rows.mean_error(real, x), rows.q, unit)
    if name == "layer_6":
        last = _logit_scale(unit)
        return Layer(name, rows.q, steps, 1, x.step, 0.0, None, last, rows.bits, rows.scales, rows.fine)
    # A row beyond its bound clips at a few steps of its sum already: bounded, it does so a little later.
    (m,), shift = multipliers([np.minimum(unit / output_step, largest_factors(real.shape[1], steps))])
    return Layer(name, rows.q, steps, shift, x.step, output_step, m, None, rows.bits, rows.scales, rows.fine)


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
    rows_x = _taken_over(whole, real_x, slice(n_inputs), bias, x, bits["lstm_x"]) or _rows(
        real_x, bias, x, bits["lstm_x"], weights.is_foreign
    )
    rows_h = _taken_over(whole, real_h, slice(n_inputs, None), zeros, h, bits["lstm_h"]) or _rows(
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
        Layer(name, rows.q, bias_steps, shift, step, 1 / GATE_ONE, m, None, rows.bits, rows.scales, rows.fine)
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
    bits16: Collection[str] = (),
) -> NnaModel:
    """The integer network; weights of the layers in `bits4` have 4 bits, those in `bits16` 16, all others those of a
    `Quantiser`.

    Every row of weights has a scale of its own, clipped where that loses less; with enough calibration, errors of the
    rounding are compensated within the row; what is left of them in a row's mean is taken out by its bias.

    Raises
    ------
    MappingError
        Weights or biases so large that the arithmetic cannot hold them; a layer that there is not.
    """
    return Quantiser(weights, calibration, ranges, bits16).model(bits4, progress)


class Quantiser:
    """The integer networks of one float network: each of its layers is made once for 4 bits, and once for 8 or 16.

    Parameters
    ----------
    weights : Weights
    calibration : Calibration
    ranges : Ranges, optional
        Those that lose least on the calibration, unless given.
    bits16 : collection of str
        Layers whose weights get 16 bits; FINE_LAYERS besides, where the network was not trained for its mapping.
        Weights that lie on steps of 8 bits keep them.
    activation_bits : 8 or 16
        Of what the clipped ReLUs give.
    """

    def __init__(
        self,
        weights: Weights,
        calibration: Calibration,
        ranges: Ranges | None = None,
        bits16: Collection[str] = (),
        activation_bits: int = 8,
    ) -> None:
        self.weights, self.calibration, self.activation_bits = weights, calibration, activation_bits
        self.bits16 = {*bits16, *(FINE_LAYERS if weights.is_foreign else ())}
        self.ranges = ranges or choose_ranges(weights, calibration, activation_bits)
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
        bits = {name: 4 if name in bits4 else 16 if name in self.bits16 else 8 for name in LAYER_NAMES}
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
        weights, r = self.weights, self.ranges
        if stage == "lstm":
            h = _signed_input(self.calibration.previous_hidden, r.hidden)
            return _lstm(weights, self._relu_input("layer_3"), h, bits)
        if stage == "layer_6":
            return [_dense(stage, weights, self._relu_input("layer_5"), 0.0, bits)]
        columns = None
        if stage == "layer_1":
            columns = np.tile(r.feature_step, 2 * weights.n_context + 1)
            x = _feature_input(self.calibration.inputs / columns.astype(np.float32))
        elif stage == "layer_5":
            x = _signed_input(self.calibration.layers["hidden"], r.hidden)
        else:
            x = self._relu_input(INPUT_OF[stage])
        layer = _dense(stage, weights, x, getattr(r, stage), bits, columns)
        layer.output_residual_bits = self.activation_bits - 8
        return [layer]

    def _relu_input(self, name: str) -> _Input:
        return _relu_input(self.calibration.layers[name], getattr(self.ranges, name), self.activation_bits)


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
