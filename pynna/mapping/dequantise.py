# SPDX-License-Identifier: Apache-2.0
"""A mapped model back in float: to go on training where only the .nna is left, or to hold it beside other engines."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.front_end import MfccConfig
from pynna.mapping.nna import read_nna
from pynna.mapping.nna_model import Geometry, Layer, NnaModel
from pynna.mapping.weights import Weights

Array = NDArray[Any]


def dequantise(path: str | os.PathLike[str]) -> Weights:
    """The float network whose rounding a .nna file is; what rounding took away stays lost.

    Raises
    ------
    ModelFileError
        A file that is no good .nna file.
    """
    model = read_nna(path)
    g = model.geometry
    layers = {layer.name: layer for layer in model.layers}
    arrays: dict[str, Array] = {}
    columns = np.tile(model.feature_gain.astype(np.float64), 2 * g.n_context + 1)
    for name in ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6"):
        layer = layers[name]
        per_column = columns if name == "layer_1" else np.full(layer.weights.shape[1], 1.0 / layer.input_scale)
        weights, bias = _real(layer, _row_scale(layer), per_column)
        arrays[f"{name}/weights"], arrays[f"{name}/bias"] = weights.T[:, : _rows(g, layer)], bias[: _rows(g, layer)]
        if name == "layer_6" and g.speech_rows:
            arrays["speech/weights"], arrays["speech/bias"] = weights.T[:, -1:], bias[-1:]
    halves = [
        _real(layers[name], _row_scale(layers[name]), np.full(g.n_cell, 1.0 / scale))
        for name, scale in (("lstm_x", layers["lstm_x"].input_scale), ("lstm_h", g.h_scale))
    ]
    arrays["lstm_fused_cell/kernel"] = np.concatenate([weights.T for weights, _ in halves])
    arrays["lstm_fused_cell/bias"] = halves[0][1] + halves[1][1]
    features = MfccConfig(
        sample_rate=g.sample_rate,
        window=g.window,
        step=g.step,
        n_coefficients=g.n_coefficients,
        n_mel=g.n_mel,
        lower_hz=g.mel_lower_hz,
        upper_hz=g.mel_upper_hz,
    )
    return Weights(
        {name: array.astype(np.float32) for name, array in arrays.items()},
        tuple(model.alphabet),
        features,
        forget_bias=0.0,
        relu_clip=_clip(model),
        label_priors=model.label_priors,
        feature_range=None if layers["layer_1"].fine is not None else 127 / model.feature_gain,
        source=os.fspath(path),
        **_metadata(model),
    )


def _rows(g: Geometry, layer: Layer) -> int:
    """Rows of a layer but the speech's."""
    return g.n_labels if layer.name == "layer_6" else len(layer.weights)


def _row_scale(layer: Layer) -> Array:
    """Real units a step of a row's accumulator, float64 [rows]."""
    if layer.multiplier is None:
        return np.asarray(layer.logit_scale, np.float64)
    unit = 2.0**-12 if layer.is_lstm else layer.output_scale  # gates are Q3.12
    return layer.multiplier * (2.0**-layer.shift * unit)


def _real(layer: Layer, row_scale: Array, per_column: Array) -> tuple[Array, Array]:
    """Weights [rows, columns] and bias [rows] in real units."""
    zero_point = 128 * layer.row_sum.astype(np.int64) if layer.input_signed else 0
    weights = layer.real_weights * row_scale[:, None]
    return weights * per_column, (layer.bias + zero_point) * row_scale


def _clip(model: NnaModel) -> float:
    """The highest activation that the file can hold."""
    return 255.0 * max(
        layer.output_scale for layer in model.layers if layer.name in ("layer_1", "layer_2", "layer_3", "layer_5")
    )


def _metadata(model: NnaModel) -> dict[str, Any]:
    fields: dict[str, Any] = {key: str(model.metadata[key]) for key in ("name", "licence") if key in model.metadata}
    fields["metadata"] = {key: model.metadata[key] for key in ("passes",) if key in model.metadata}
    return fields
