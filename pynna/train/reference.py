"""The exported network in plain NumPy: MFCC in, log-probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .features import F32, windows

Array = npt.NDArray[Any]


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp overflows to infinity, which gives the right 0
        return np.asarray(1.0 / (1.0 + np.exp(-x)))


def forward(weights: Mapping[str, Array], features: Array, dtype: npt.DTypeLike = np.float32) -> F32:
    """Log-probabilities [frames, 29] of raw MFCC [frames, 26], from a zero state."""
    return forward_batch(weights, [features], dtype)[0]


def forward_batch(weights: Mapping[str, Array], clips: list[Array], dtype: npt.DTypeLike = np.float32) -> list[F32]:
    """The same for several clips at once, which is faster."""
    w = {name: np.asarray(weights[name]).astype(dtype) for name in weights if "/" in name}
    clip, forget_bias, context = float(weights["relu_clip"]), float(weights["forget_bias"]), int(weights["n_context"])
    longest = max(map(len, clips))
    x = np.zeros((longest, len(clips), clips[0].shape[1] * (2 * context + 1)), dtype)
    for i, features in enumerate(clips):
        x[: len(features), i] = windows(np.asarray(features, np.float32), context)

    def dense(value: Array, layer: int) -> Array:
        value = value @ w[f"layer_{layer}/weights"] + w[f"layer_{layer}/bias"]
        return value if layer == 6 else np.clip(value, 0.0, clip)

    for layer in (1, 2, 3):
        x = dense(x, layer)
    x = dense(dense(_lstm(x, w["lstm_fused_cell/kernel"], w["lstm_fused_cell/bias"], forget_bias), 5), 6)
    x = x - x.max(axis=2, keepdims=True)
    x = x - np.log(np.exp(x).sum(axis=2, keepdims=True))
    return [x[: len(features), i].astype(np.float32) for i, features in enumerate(clips)]


def _lstm(x: Array, kernel: Array, bias: Array, forget_bias: float) -> Array:
    steps, batch, width = x.shape
    gates = x.reshape(-1, width) @ kernel[:width] + bias
    gates = gates.reshape(steps, batch, 4 * width)
    c = np.zeros((batch, width), x.dtype)
    h = np.zeros((batch, width), x.dtype)
    out = np.empty_like(x)
    for t in range(steps):
        i, candidate, f, o = np.split(gates[t] + h @ kernel[width:], 4, axis=1)
        c = np.tanh(candidate) * _sigmoid(i) + c * _sigmoid(f + forget_bias)
        h = np.tanh(c) * _sigmoid(o)
        out[t] = h
    return out


def greedy(log_p: Array, alphabet: str) -> str:
    """The text of the best label of each frame: repeats merged, blanks dropped."""
    best = log_p.argmax(axis=1)
    kept = best[np.flatnonzero(np.diff(best, prepend=-1))]
    return " ".join("".join(alphabet[k] for k in kept if k < len(alphabet)).split())
