# SPDX-License-Identifier: Apache-2.0
"""Small float networks of random weights and a kind of speech for them, for tests of the mapping."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynna.mapping import Weights


def random_arrays(
    width: int = 24, *, seed: int = 0, cell: int | None = None, labels: int = 29, inputs: int = 494
) -> dict[str, np.ndarray]:
    """Arrays under DeepSpeech's names, scaled so that activations stay alive through all layers."""
    rng = np.random.default_rng(seed)
    cell = width if cell is None else cell
    out = {}
    for name, n_in, n_out, gain in [
        ("layer_1", inputs, width, 0.05),
        ("layer_2", width, width, 1.0),
        ("layer_3", width, width, 1.0),
        ("layer_5", cell, width, 1.5),
        ("layer_6", width, labels, 6.0),
    ]:
        out[f"{name}/weights"] = rng.normal(0, gain * np.sqrt(2 / n_in), (n_in, n_out)).astype(np.float32)
        out[f"{name}/bias"] = rng.normal(0, 0.1, n_out).astype(np.float32)
    kernel = rng.normal(0, 1 / np.sqrt(width + cell), (width + cell, 4 * cell))
    out["lstm_fused_cell/kernel"] = kernel.astype(np.float32)
    out["lstm_fused_cell/bias"] = rng.normal(0, 0.1, 4 * cell).astype(np.float32)
    return out


def random_weights(width: int = 24, *, seed: int = 0, cell: int | None = None, **options: Any) -> Weights:
    """A whole network; `options` are those of Weights."""
    return Weights(random_arrays(width, seed=seed, cell=cell), **options)


def speechlike(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    """int16 at 16 kHz: coloured noise and tones in bursts, with quiet between them."""
    rng = np.random.default_rng(seed)
    n = int(seconds * 16000)
    t = np.arange(n) / 16000
    tone = sum(
        np.sin(2 * np.pi * f * (1 + 0.1 * np.sin(2 * np.pi * 2 * t)) * t) / k
        for k, f in enumerate((150, 600, 1800, 2900), 1)
    )
    noise = np.convolve(rng.normal(0, 1, n), np.ones(5) / 5, "same")
    loud = np.clip(np.sin(2 * np.pi * rng.uniform(1, 3) * t), 0.003, 1)
    return (2500 * loud * (tone + noise)).astype(np.int16)
