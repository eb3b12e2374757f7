# SPDX-License-Identifier: Apache-2.0
"""Small mapped models made of random integers, for tests that need a model and no speech."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

import pynna
from pynna.mapping.nna import encode_nna
from pynna.mapping.nna_model import Geometry, Layer, NnaModel

ENGLISH = [" ", *"abcdefghijklmnopqrstuvwxyz", "'"]


def _layer(rng: np.random.Generator, name: str, rows: int, columns: int, spread: float, extreme: bool) -> Layer:
    """A layer whose outputs fill their range: `spread` is what an output may vary by, in steps."""
    shape = rows, columns
    weights = rng.choice([-127, 127], shape) if extreme else rng.normal(0, 40, shape).clip(-127, 127)
    typical = 255.0 / 3 * (127.0 if extreme else 40.0) * np.sqrt(columns)
    multiplier = spread / typical * rng.uniform(0.5, 1.5, rows) * 2**34
    middle = 128 if name in ("layer_1", "lstm_h", "layer_5") else 80  # what inputs are about, taken out by the bias
    bias = rng.normal(0, typical / 4, rows) - middle * weights.sum(1)
    bias = bias.clip(-(2**30) + 1, 2**30 - 1).astype(np.int32)
    last = name == "layer_6"
    return Layer(
        name=name,
        weights=weights.astype(np.int8),
        bias=bias,
        shift=1 if last else 34,
        input_scale=1.0,
        output_scale=1.0,
        multiplier=None if last else multiplier.clip(0, 2**31 - 1).astype(np.int32),
        logit_scale=(9.0 / typical * np.ones(rows)).astype(np.float32) if last else None,
    )


def with_scales(rng: np.random.Generator, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights as multiples of random scales, one for each 64 columns of a row; and the scales."""
    rows, columns = weights.shape
    scales = rng.integers(1, 17, (rows, -(-columns // 64)), np.int8)
    of_each = np.repeat(scales, 64, axis=1)[:, :columns]
    return (weights / of_each).clip(-7, 7).astype(np.int8) * of_each, scales


def random_model(
    width: int = 32,
    *,
    seed: int = 0,
    extreme: bool = False,
    cell_fraction_bits: int = 11,
    n_context: int = 9,
    n_coefficients: int = 26,
    upper_hz: float = 4000.0,
    alphabet: list[str] | None = None,
    cell: int | None = None,
    bits4: Collection[str] = (),
    scaled: bool = True,
    bits16: Collection[str] = (),
    feature_residual_bits: int = 8,
    speech_rows: int = 0,
    output_residuals: Collection[str] = (),
) -> NnaModel:
    """A network of random weights: nothing it says makes sense, all of it is reproducible. Layers of 4 bits have scales
    unless told otherwise."""
    rng = np.random.default_rng(seed)
    labels = ENGLISH if alphabet is None else alphabet
    cell = width if cell is None else cell
    inputs = (2 * n_context + 1) * n_coefficients
    shapes = [
        ("layer_1", width, inputs, 250.0),
        ("layer_2", width, width, 250.0),
        ("layer_3", width, width, 250.0),
        ("lstm_x", 4 * cell, width, 8000.0),
        ("lstm_h", 4 * cell, cell, 8000.0),
        ("layer_5", width, cell, 250.0),
        ("layer_6", len(labels) + 1 + speech_rows, width, 0.0),
    ]
    layers = [_layer(rng, *shape, extreme) for shape in shapes]
    for layer in layers:
        if layer.name in bits4:
            layer.weight_bits = 4
            if scaled:
                layer.weights, layer.scales = with_scales(rng, layer.weights)
            else:
                layer.weights = (layer.weights / 16).astype(np.int8) * np.int8(16)
        layer.output_residual_bits = 8 * (layer.name in output_residuals)
        if layer.name in bits16:
            layer.fine, layer.weight_bits = rng.integers(-127, 128, layer.weights.shape, np.int8), 16
    return NnaModel(
        geometry=Geometry(
            sample_rate=16000,
            window=512,
            step=320,
            n_coefficients=n_coefficients,
            n_mel=40,
            n_context=n_context,
            n_labels=len(labels) + 1,
            blank=len(labels),
            n_cell=cell,
            cell_fraction_bits=cell_fraction_bits,
            h_multiplier=127 * 128,
            h_shift=22,
            mel_lower_hz=20.0,
            mel_upper_hz=upper_hz,
            h_scale=1 / 127,
            feature_residual_bits=feature_residual_bits,
            speech_rows=speech_rows,
        ),
        layers=layers,
        alphabet=labels,
        label_priors=np.full(len(labels) + 1, 1 / (len(labels) + 1), np.float32),
        feature_gain=rng.uniform(1.0, 4.0, n_coefficients).astype(np.float32),
        metadata={"name": "random"},
    )


def random_file(width: int = 32, **options: object) -> bytes:
    """The bytes of `random_model`'s file."""
    return encode_nna(random_model(width, **options))  # type: ignore[arg-type]


def load_random(folder: Path, width: int = 32, *, threads: int | None = None, **options: object) -> pynna.Model:
    """`random_model`, written into a folder and loaded."""
    path = folder / f"random_{width}.nna"
    path.write_bytes(random_file(width, **options))
    return pynna.load(path, threads=threads)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """int16 [n], loud and soft by turns: enough for a random network to say something."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 16000)
    loudness = np.repeat(rng.uniform(1.0, 4.5, n // 1000 + 1), 1000)[:n]
    return (rng.normal(0, 1, n) * 10**loudness).clip(-32768, 32767).astype(np.int16)
