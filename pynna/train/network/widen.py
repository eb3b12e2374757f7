# SPDX-License-Identifier: Apache-2.0
"""Trained networks of another width: one with its least needed units taken out, or two of these in one, side by side,
their answers averaged.

What each layer of a network is given afterwards is fitted by least squares to what it was given before, on speech. The
result is a start for training: the connections between the two halves are there, and zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pynna.mapping import load_weights
from pynna.mapping.dequantise import dequantise
from pynna.mapping.front_end import windows
from pynna.mapping.npz import export_npz
from pynna.mapping.weights import Weights
from pynna.train.config import Config
from pynna.train.corpora.corpora import load_clips
from pynna.train.corpora.testsets import noisy
from pynna.train.voices.base import RATE, read

F64 = npt.NDArray[np.float64]
Pcm = npt.NDArray[np.int16]


def _sigmoid(x: F64) -> F64:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -50, 50))))


def _lstm(x: F64, ends: Sequence[int], recurrent: F64, forget_bias: float) -> F64:
    """Hidden states [n, cells] of inputs to the gates i, c, f, o [n, 4 * cells]; the states begin anew at each end."""
    cells = recurrent.shape[0]
    out = np.empty((len(x), cells))
    begins = set(ends)
    c = h = np.zeros(cells)
    for t, row in enumerate(x):
        if t in begins:
            c = h = np.zeros(cells)
        i, j, f, o = np.split(row + h @ recurrent, 4)
        c = c * _sigmoid(f + forget_bias) + _sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * _sigmoid(o)
        out[t] = h
    return out


def _needed(activations: F64, weights: F64, n: int) -> npt.NDArray[np.intp]:
    """The units that give most to what comes next."""
    return np.sort(np.argsort(-activations.var(axis=0) * (weights**2).sum(axis=1))[:n])


def _fit(inputs: F64, outputs: F64) -> tuple[F64, F64]:
    """Weights and bias from inputs to outputs; nearly none for inputs that tell nothing."""
    mean = inputs.mean(axis=0)
    x = inputs - mean
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, x.T @ (outputs - outputs.mean(axis=0)))
    return weights, np.asarray(outputs.mean(axis=0) - mean @ weights)


def narrow(weights: Weights, n: int, speech: Sequence[Pcm]) -> dict[str, F64]:
    """A network's variables with `n` units a layer instead of its own number.

    Parameters
    ----------
    weights : Weights
    n : int
    speech : sequence of int16 [n_samples]
        What the layers are fitted on.
    """
    a = {name: array.astype(np.float64) for name, array in weights.arrays.items()}
    parts = [windows(pcm, weights.features) for pcm in speech]
    ends = np.cumsum([0] + [len(part) for part in parts]).tolist()
    x = np.concatenate(parts).reshape(ends[-1], -1).astype(np.float64)
    clip, cells = weights.relu_clip, weights.n_cell
    out: dict[str, F64] = {}
    old = new = x
    for layer in (1, 2, 3):
        z = old @ a[f"layer_{layer}/weights"] + a[f"layer_{layer}/bias"]
        w, b = (a["layer_1/weights"], a["layer_1/bias"]) if layer == 1 else _fit(new, z)
        old = np.clip(z, 0, clip)
        following = a["lstm_fused_cell/kernel"][:cells] if layer == 3 else a[f"layer_{layer + 1}/weights"]
        kept = _needed(old, following, n)
        out[f"layer_{layer}/weights"], out[f"layer_{layer}/bias"] = w[:, kept], b[kept]
        new = np.clip(new @ w[:, kept] + b[kept], 0, clip)
    given = old @ a["lstm_fused_cell/kernel"][:cells] + a["lstm_fused_cell/bias"]
    recurrent = a["lstm_fused_cell/kernel"][cells:]
    h = _lstm(given, ends, recurrent, weights.forget_bias)
    before = np.concatenate([np.zeros((1, cells)), h[:-1]])
    before[ends[:-1]] = 0.0
    kept = _needed(h, np.concatenate([recurrent, a["layer_5/weights"]], axis=1), n)
    gates = np.concatenate([gate * cells + kept for gate in range(4)])
    w, b = _fit(np.concatenate([new, before[:, kept]], axis=1), (given + before @ recurrent)[:, gates])
    out["lstm_fused_cell/kernel"], out["lstm_fused_cell/bias"] = w, b
    new = _lstm(new @ w[:n] + b, ends, w[n:], weights.forget_bias)
    z = h @ a["layer_5/weights"] + a["layer_5/bias"]
    w, b = _fit(new, z)
    old = np.clip(z, 0, clip)
    kept = _needed(old, a["layer_6/weights"], n)
    out["layer_5/weights"], out["layer_5/bias"] = w[:, kept], b[kept]
    new = np.clip(new @ w[:, kept] + b[kept], 0, clip)
    for name in ("layer_6", "speech"):
        if f"{name}/weights" in a:
            out[f"{name}/weights"], out[f"{name}/bias"] = _fit(new, old @ a[f"{name}/weights"] + a[f"{name}/bias"])
    return out


def widen(one: Weights, other: Weights, width: int, speech: Sequence[Pcm]) -> Weights:
    """One network of both, its logits the mean of theirs.

    Raises
    ------
    ValueError
        Networks with other features, alphabets or clips, or an odd width.
    """
    same = [(w.alphabet, w.features, round(w.relu_clip, 4), w.n_context) for w in (one, other)]
    if same[0] != same[1] or width % 2:
        raise ValueError("two networks of the same features and alphabet, and an even width, are right")
    n = width // 2
    halves = [narrow(w, n, speech) for w in (one, other)]
    for half, w in zip(halves, (one, other), strict=True):
        half["lstm_fused_cell/bias"][2 * n : 3 * n] += w.forget_bias  # the merged network has one for all
    a, b = halves
    arrays = {
        name: np.concatenate([a[name], b[name]])
        for name in ("layer_1/bias", "layer_2/bias", "layer_3/bias", "layer_5/bias")
    }
    arrays["layer_1/weights"] = np.concatenate([a["layer_1/weights"], b["layer_1/weights"]], axis=1)
    for name in ("layer_2/weights", "layer_3/weights", "layer_5/weights"):
        arrays[name] = np.block([[a[name], np.zeros((n, n))], [np.zeros((n, n)), b[name]]])
    arrays["layer_6/weights"] = 0.5 * np.concatenate([a["layer_6/weights"], b["layer_6/weights"]])
    arrays["layer_6/bias"] = 0.5 * (a["layer_6/bias"] + b["layer_6/bias"])
    kernel = np.zeros((2, 2, n, 4, 2, n))  # x or h, of which half; gate, of which half
    for k, half in enumerate(halves):
        kernel[:, k, :, :, k] = half["lstm_fused_cell/kernel"].reshape(2, n, 4, n)
    arrays["lstm_fused_cell/kernel"] = kernel.reshape(2 * width, 4 * width)
    arrays["lstm_fused_cell/bias"] = np.stack(
        [half["lstm_fused_cell/bias"].reshape(4, n) for half in halves], axis=1
    ).reshape(-1)
    priors = None
    if one.label_priors is not None and other.label_priors is not None:
        priors = np.asarray((one.label_priors + other.label_priors) / 2, np.float32)
    return replace(
        other,
        arrays={name: array.astype(np.float32) for name, array in arrays.items()},
        forget_bias=0.0,
        label_priors=priors,
    )


def speech_to_fit_on(config: Config, noise: Sequence[Path], n: int = 360) -> list[Pcm]:
    """Training clips, every other one in noise."""
    rng = np.random.default_rng(config["seed"])
    noises = [read(path) for folder in noise for path in sorted(folder.glob("*.flac"))]
    shards = sorted(config.folder("clips").glob("*.npz"))
    found: list[Pcm] = []
    while len(found) < n:
        clips = load_clips(shards[int(rng.integers(len(shards)))])
        for i in rng.choice(len(clips), 30).tolist():
            pcm = clips[i][0]
            if len(pcm) < 6 * RATE:
                found.append(pcm if i % 2 else noisy(pcm, float(rng.uniform(3, 25)), i, noises))
    return found


def narrow_file(config: Config, source: Path, noise: Sequence[Path], output: Path) -> None:
    """Write a network of the configured width out of a wider one.

    Raises
    ------
    ValueError
        It is not wider.
    """
    weights, n = dequantise(source) if source.suffix == ".nna" else load_weights(source), config["network"]["width"]
    if weights.n_cell <= n:
        raise ValueError(f"a network of more than the {n} units of the configuration is right, got {weights.n_cell}")
    arrays = narrow(weights, n, speech_to_fit_on(config, noise))
    export_npz(replace(weights, arrays={name: a.astype(np.float32) for name, a in arrays.items()}), output)


def widen_files(config: Config, sources: Sequence[Path], noise: Sequence[Path], output: Path) -> None:
    """Write the merged network, of the configured width."""
    one, other = (dequantise(path) if path.suffix == ".nna" else load_weights(path) for path in sources)
    export_npz(widen(one, other, config["network"]["width"], speech_to_fit_on(config, noise)), output)
