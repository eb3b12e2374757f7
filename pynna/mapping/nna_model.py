# SPDX-License-Identifier: Apache-2.0
"""What a mapped model holds, unpacked, and the values that its file, .nna, allows (csrc/doc/formats.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pynna.errors import FileValueError, ModelFileError

Array = NDArray[Any]

LAYER_NAMES = ("layer_1", "layer_2", "layer_3", "lstm_x", "lstm_h", "layer_5", "layer_6")
RELU_LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5")
INPUT_OF = {"layer_2": "layer_1", "layer_3": "layer_2", "lstm_x": "layer_3", "layer_6": "layer_5"}  # of ReLUs
SIGNED_INPUT = frozenset({"layer_1", "lstm_h", "layer_5"})
WEIGHT_BITS = (16, 8, 4)
BLOCK = 16  # rows that a kernel computes together
SPAN = 64  # columns of 4 bits that share their row's scale
MAX_SCALE, MAX_VALUE = 16, 7  # of a span; of what it multiplies
MAX_COLUMNS = 32768
MAX_BIAS = (1 << 30) - 1
MAX_MULTIPLIER = (1 << 31) - 1


def round_up(n: int, multiple: int) -> int:
    """The least multiple of `multiple` that is not below `n`."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True)
class Geometry:
    """The section `geometry`, in its order; lengths in samples, limits in Hz."""

    sample_rate: int
    window: int
    step: int
    n_coefficients: int
    n_mel: int
    n_context: int
    n_labels: int
    blank: int
    n_cell: int
    cell_fraction_bits: int
    h_multiplier: int
    h_shift: int
    mel_lower_hz: float
    mel_upper_hz: float
    h_scale: float
    feature_residual_bits: int = 0
    speech_rows: int = 0

    _ranges: ClassVar[dict[str, tuple[int, int]]] = {
        "sample_rate": (1000, 384000),
        "window": (64, 4096),
        "step": (1, 4096),
        "n_coefficients": (1, 128),
        "n_mel": (1, 128),
        "n_context": (0, 64),
        "n_labels": (2, 8192),
        "n_cell": (1, MAX_COLUMNS // 4),
        "cell_fraction_bits": (1, 15),
        "h_multiplier": (0, 32767),
        "h_shift": (1, 30),
    }

    def check(self) -> None:
        """Raises FileValueError for a value out of its range."""
        for name, (low, high) in self._ranges.items():
            value = getattr(self, name)
            require(low <= value <= high, f"geometry: {name} is {value}, not from {low} to {high}")
        require(self.window & (self.window - 1) == 0, f"geometry: window is {self.window}, not a power of two")
        require(self.step <= self.window, f"geometry: step {self.step} is longer than the window, {self.window}")
        require(self.n_coefficients <= self.n_mel, "geometry: more coefficients than mel bands")
        require(
            self.blank == self.n_labels - 1, f"geometry: blank is {self.blank}, not the last label, {self.n_labels - 1}"
        )
        require(
            0 <= self.mel_lower_hz < self.mel_upper_hz <= self.sample_rate / 2,
            f"geometry: the mel band {self.mel_lower_hz} to {self.mel_upper_hz} Hz is not within 0 to half the "
            f"sample rate",
        )
        require(0 < self.h_scale < np.inf, f"geometry: h_scale is {self.h_scale}, not positive")
        require(self.speech_rows in (0, 1), f"geometry: speech_rows is {self.speech_rows}, not 0 or 1")
        require(
            self.feature_residual_bits in (0, 8),
            f"geometry: feature_residual_bits is {self.feature_residual_bits}, not 0 or 8",
        )


@dataclass
class Layer:
    """One matrix of the network, unpacked: rows in the network's own order, no padding.

    The LSTM's rows are [gate (i, g, f, o)][cell]; the file's order and padding are this module's affair.

    Attributes
    ----------
    weights : int8 [rows, columns]
        Within +-127; of 4 bits multiples of 16 within +-112, whose upper halves are what the file holds, or, with
        scales, of their span's.
    bias : int32 [rows]
        The zero point's correction folded in.
    multiplier : int32 [rows] or None
        None for layer_6.
    logit_scale : float32 [rows] or None
        layer_6 alone.
    shift : int
        1 to 62; 1 for layer_6, which has none.
    input_scale, output_scale : float
        Real units a step; 0 where it means nothing.
    weight_bits : int
        16, 8 or 4.
    scales : int8 [rows, spans] or None
        Of 4 bits: what each 64 columns are multiples of, 1 to 16, within seven times that.
    fine : int8 [rows, columns] or None
        Of 16 bits: what a weight is above `weights`, in 256ths, within +-127.
    output_residual_bits : int
        8 where the next layer counts the residual of an output's steps, too; or 0. Of clipped ReLUs alone.
    """

    name: str
    weights: Array
    bias: Array
    shift: int
    input_scale: float
    output_scale: float
    multiplier: Array | None = None
    logit_scale: Array | None = None
    weight_bits: int = 8
    scales: Array | None = None
    fine: Array | None = None
    output_residual_bits: int = 0

    @property
    def real_weights(self) -> Array:
        """float32 [rows, columns], in steps."""
        weights = self.weights.astype(np.float32)
        return weights if self.fine is None else weights + self.fine * np.float32(1 / 256)

    @property
    def input_signed(self) -> bool:
        """Whether inputs enter as value + 128."""
        return self.name in SIGNED_INPUT

    @property
    def is_lstm(self) -> bool:
        """Whether rows are four gates of cells."""
        return self.name.startswith("lstm")

    @property
    def n_rows(self) -> int:
        """Rows as the file counts them: the LSTM's gates are padded to whole blocks of cells."""
        return 4 * round_up(len(self.weights) // 4, BLOCK) if self.is_lstm else len(self.weights)

    @property
    def row_sum(self) -> Array:
        """int32 [rows]."""
        return np.asarray(self.weights.sum(axis=1, dtype=np.int32))


@dataclass
class NnaModel:
    """All that a .nna file holds.

    Attributes
    ----------
    alphabet : list of str
        The labels but the blank.
    label_priors : float32 [n_labels]
    feature_gain : float32 [n_coefficients]
        Steps a unit.
    metadata : dict
        JSON.
    layers : list of Layer
        The seven, in the order of `LAYER_NAMES`.
    """

    geometry: Geometry
    layers: list[Layer]
    alphabet: list[str]
    label_priors: Array
    feature_gain: Array
    metadata: dict[str, Any] = field(default_factory=dict)

    def has_residual(self, name: str) -> bool:
        """Whether the residual of a layer's inputs counts."""
        if name == "layer_1":
            return self.geometry.feature_residual_bits > 0
        return any(layer.name == INPUT_OF.get(name) and layer.output_residual_bits > 0 for layer in self.layers)


def require(condition: bool, message: str, error: type[ModelFileError] = FileValueError) -> None:
    """Raises `error` where a condition does not hold."""
    if not condition:
        raise error(message)


def check_model(model: NnaModel) -> None:
    """Everything that csrc/doc/formats.md demands of the values, before writing and after reading.

    Raises
    ------
    FileValueError
    """
    model.geometry.check()
    require([layer.name for layer in model.layers] == list(LAYER_NAMES), f"layers are not {', '.join(LAYER_NAMES)}")
    _check_shapes(model)
    for layer in model.layers:
        _check_layer(layer, model.has_residual(layer.name))
    require(model.layers[3].shift == model.layers[4].shift, "lstm_x and lstm_h have different shifts")
    priors, gain, labels = model.label_priors, model.feature_gain, model.alphabet
    g = model.geometry
    require(len(labels) == g.n_labels - 1, f"{len(labels)} labels in the alphabet, not {g.n_labels - 1}")
    require(all(label and "\0" not in label for label in labels), "an empty label, or one with a zero byte")
    require(len(set(labels)) == len(labels), "the same label twice in the alphabet")
    require(
        priors.shape == (g.n_labels,) and bool(((priors > 0) & (priors <= 1)).all()),
        f"label_priors are not {g.n_labels} numbers above 0 and up to 1",
    )
    require(
        gain.shape == (g.n_coefficients,) and bool((np.isfinite(gain) & (gain > 0)).all()),
        f"feature_gain is not {g.n_coefficients} finite positive numbers",
    )


def _check_shapes(model: NnaModel) -> None:
    g = model.geometry
    shape = {layer.name: layer.weights.shape for layer in model.layers}
    chain: list[tuple[str, int]] = [
        ("layer_1", (2 * g.n_context + 1) * g.n_coefficients),
        ("layer_2", shape["layer_1"][0]),
        ("layer_3", shape["layer_2"][0]),
        ("lstm_x", shape["layer_3"][0]),
        ("lstm_h", g.n_cell),
        ("layer_5", g.n_cell),
        ("layer_6", shape["layer_5"][0]),
    ]
    for name, columns in chain:
        require(shape[name][1] == columns, f"{name} has {shape[name][1]} columns, not {columns}")
        require(columns <= MAX_COLUMNS, f"{name} has {columns} columns; {MAX_COLUMNS} is the limit")
    for name in ("lstm_x", "lstm_h"):
        require(shape[name][0] == 4 * g.n_cell, f"{name} has {shape[name][0]} rows, not {4 * g.n_cell}")
    require(
        shape["layer_6"][0] == g.n_labels + g.speech_rows,
        f"layer_6 has {shape['layer_6'][0]} rows, not {g.n_labels} labels and {g.speech_rows} for speech",
    )


def _within(values: Array, low: int, high: int) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _check_scales(layer: Layer, scales: Array) -> None:
    rows, columns = layer.weights.shape
    require(layer.weight_bits == 4, f"{layer.name}: weights of {layer.weight_bits} bits have no scales")
    good = scales.shape == (rows, round_up(columns, SPAN) // SPAN) and _within(scales, 1, MAX_SCALE)
    require(good, f"{layer.name}: a scale is not from 1 to {MAX_SCALE}")
    of_each = np.repeat(scales, SPAN, axis=1)[:, :columns].astype(np.int16)
    good = not (layer.weights % of_each).any() and bool((np.abs(layer.weights) <= MAX_VALUE * of_each).all())
    require(good, f"{layer.name}: a weight is not {MAX_VALUE} or fewer times its scale")


def _check_layer(layer: Layer, has_residual: bool) -> None:
    rows = len(layer.weights)
    good = layer.weights.dtype == np.int8 and _within(layer.weights, -127, 127)
    require(good, f"{layer.name}: a weight is not within +-127")
    require(layer.weight_bits in WEIGHT_BITS, f"{layer.name}: weights of {layer.weight_bits} bits; 16, 8 or 4 is right")
    fine = layer.fine
    good = (fine is not None) == (layer.weight_bits == 16)
    require(good, f"{layer.name}: residuals of weights go with 16 bits, and only with them")
    good = fine is None or fine.dtype == np.int8 and fine.shape == layer.weights.shape and _within(fine, -127, 127)
    require(good, f"{layer.name}: the residual of a weight is not within +-127")
    if layer.scales is not None:
        _check_scales(layer, layer.scales)
    elif layer.weight_bits == 4:
        require(not (layer.weights & 15).any(), f"{layer.name}: a weight of 4 bits is not a multiple of 16")
    good = layer.bias.shape == (rows,) and _within(layer.bias, -MAX_BIAS, MAX_BIAS)
    require(good, f"{layer.name}: a bias reaches 2^30")
    good = 0 < layer.input_scale < np.inf and 0 <= layer.output_scale < np.inf
    require(good, f"{layer.name}: a scale is not positive")
    require(1 <= layer.shift <= 62, f"{layer.name}: shift {layer.shift} is not from 1 to 62")
    residual = layer.output_residual_bits
    good = residual == 0 or (residual == 8 and layer.name in RELU_LAYERS and layer.shift > 8)
    require(
        good, f"{layer.name}: output_residual_bits is {residual}; 0, or with a ReLU and a shift above 8 8, is right"
    )
    if layer.name == "layer_6":
        scale = layer.logit_scale
        require(
            scale is not None and scale.shape == (rows,) and bool((np.isfinite(scale) & (scale > 0)).all()),
            "layer_6: a logit_scale is not finite and positive",
        )
        return
    m = layer.multiplier
    good = m is not None and m.shape == (rows,) and _within(m, 0, MAX_MULTIPLIER)
    require(good, f"{layer.name}: a multiplier is negative")
    assert m is not None
    steps = 255 * 127 + 64 * has_residual + 127 * (fine is not None)
    sums = layer.weights.shape[1] * steps + np.abs(layer.bias.astype(np.int64))
    largest, half = int((sums * m).max()), 1 << layer.shift - 1
    good = (largest + half) >> layer.shift < 1 << 30 and 2 * largest + half < 1 << 63
    require(good, f"{layer.name}: a sum could leave 32 bits after its shift, or 64 before it")
