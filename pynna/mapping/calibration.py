# SPDX-License-Identifier: Apache-2.0
"""What a network's activations look like on speech: runs the float reference over recordings and keeps a sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.audio.files import load_audio
from pynna.errors import AudioError, MappingError
from pynna.mapping.feature_steps import unclipped_ranges
from pynna.mapping.front_end import windows
from pynna.mapping.reference import Packed, Trace, sigmoid
from pynna.mapping.weights import Weights

Array = NDArray[Any]
Progress = Callable[[str, float], None]

MAX_FRAMES = 6000  # sampled; two minutes of speech
FEATURE_COMMON, FEATURE_REACH = 0.98, 1.5  # a feature's range ends at 1.5 times what holds 98 % of its values
BATCH_FRAMES = 3000  # run at a time: bounds the memory
KEPT = ("layer_1", "layer_2", "layer_3", "hidden", "layer_5")
DEFAULT_RECORDINGS = Path(__file__).resolve().parent.parent / "recordings" / "calibration"


@dataclass(frozen=True)
class Clip:
    """One recording, and its text where it is known."""

    pcm: Array
    text: str | None = None


@dataclass(frozen=True)
class Calibration:
    """A sample of what flows through the float network, evenly spaced over the recordings' frames.

    Attributes
    ----------
    feature_range : float64 [n_coefficients]
        Magnitude at which each coefficient is clipped, here as in the mapped network.
    inputs : float32 [m, (2 * n_context + 1) * n_coefficients]
        Context windows, clipped; the rest goes with them, row by row.
    layers : dict of str to float32 [m, width]
        layer_1, layer_2, layer_3, hidden, layer_5.
    previous_hidden : float32 [m, n_cell]
        The LSTM's state h before each row's step.
    cell_errors : float64 [15]
        Of cells kept in int16 with 1 to 15 fraction bits: the mean square of what that alone does to h.
    posteriors : float64 [labels]
        Mean probability of each label.
    n_clips : int
    seconds : float
        Of audio.
    """

    feature_range: Array
    inputs: Array
    layers: dict[str, Array]
    previous_hidden: Array
    cell_errors: Array
    posteriors: Array
    n_clips: int
    seconds: float


def load_clips(sources: Iterable[Any] | None, sample_rate: int, what: str = "calibration") -> list[Clip]:
    """Recordings to clips at `sample_rate`.

    Parameters
    ----------
    sources : iterable or None
        Each a path, an array of PCM (int16, or float in [-1, 1]), or a pair of either and its text. None stands for
        the recordings that ship with the package.
    sample_rate : int
        Hz; files of another rate are resampled.
    what : str
        For the messages.

    Raises
    ------
    MappingError
        No recording at all, or one that is no audio.
    """
    if sources is None:
        sources = shipped_recordings()
    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    clips = []
    for source in sources:
        audio, text = source if isinstance(source, tuple) else (source, None)
        try:
            clips.append(Clip(load_audio(audio, sample_rate=sample_rate).pcm, text))
        except AudioError as error:
            raise MappingError(f"{what}: {error}") from error
    if not any(len(clip.pcm) for clip in clips):
        raise MappingError(f"no {what} audio: a minute or more of speech like the one to be recognised is needed")
    return clips


def shipped_recordings() -> list[Path]:
    """The recordings that the package holds for this purpose; empty where there are none."""
    return sorted(DEFAULT_RECORDINGS.glob("*.flac"))


def batches(sizes: Sequence[int], most: int = BATCH_FRAMES) -> list[list[int]]:
    """Indices in groups of at most `most` frames (or of one), similar lengths together."""
    groups: list[list[int]] = []
    frames = most + 1
    for i in sorted(range(len(sizes)), key=lambda n: sizes[n]):
        if frames + sizes[i] > most:
            groups.append([])
            frames = 0
        groups[-1].append(i)
        frames += sizes[i]
    return groups


def calibrate(
    weights: Weights, clips: Sequence[Clip], *, max_frames: int = MAX_FRAMES, progress: Progress | None = None
) -> Calibration:
    """Runs the float network over the clips and keeps an even sample of `max_frames` frames.

    It is fed features clipped to the range that the mapped network will have (measured here, where the weights do not
    bring it), and so shows the activations that the mapped network will have.

    Raises
    ------
    MappingError
        The network's activations are not finite.
    """
    network = weights.network()
    features = [windows(clip.pcm, weights.features, weights.n_context) for clip in clips]
    limits = weights.feature_range
    if limits is None:
        limits = unclipped_ranges(np.concatenate([x[:, weights.n_context] for x in features]), weights.features)
    features = [np.clip(x, -limits, limits).astype(np.float32) for x in features]
    groups = batches([len(x) for x in features])
    stride = max(1, -(-sum(map(len, features)) // max_frames))
    kept: dict[str, list[Array]] = {name: [] for name in ("inputs", "previous_hidden", *KEPT)}
    total, errors, n_rows = np.zeros(weights.n_labels), np.zeros(15), 0
    for done, group in enumerate(groups):
        trace: Trace = {}
        xs = [features[i] for i in group]
        p = np.concatenate(network.run_many(xs, trace))
        if not np.isfinite(p).all():
            raise MappingError("the float network's outputs are not finite on the calibration audio")
        lengths = sorted(map(len, xs), reverse=True)
        errors += cell_errors(trace["gates"], trace["hidden"], lengths)
        total += np.exp(p.astype(np.float64)).sum(axis=0)
        rows = slice((-n_rows) % stride, None, stride)
        n_rows += len(p)
        trace["inputs"] = trace["features"]
        trace["previous_hidden"] = _shifted(trace["hidden"], lengths)
        for name, chunks in kept.items():
            chunks.append(trace[name][rows].copy())
        if progress:
            progress("calibrate", (done + 1) / len(groups))
    arrays = {name: np.concatenate(chunks) for name, chunks in kept.items()}
    seconds = sum(len(clip.pcm) for clip in clips) / weights.features.sample_rate
    return Calibration(
        limits,
        arrays.pop("inputs"),
        arrays,
        arrays.pop("previous_hidden"),
        errors / (n_rows * weights.n_cell),
        total / n_rows,
        len(clips),
        seconds,
    )


def _shifted(hidden: Array, lengths: Sequence[int]) -> Array:
    """h before each step: the sequences, end to end, one row later, zeros first."""
    out = np.zeros_like(hidden)
    out[1:] = hidden[:-1]
    out[np.cumsum([0, *lengths[:-1]])] = 0
    return out


def cell_errors(gates: Array, hidden: Array, lengths: Sequence[int]) -> Array:
    """What keeping the cells in int16 does to h: squared errors summed, float64 [15], for 1 to 15 fraction bits.

    The float network's gates drive the cells, so the errors of different precisions can be told apart from all others:
    few bits round what a cell holds, many bits clip it (a cell may count far up before it is needed again).

    Parameters
    ----------
    gates : float32 [rows, 4 * n_cell]
        Before their activation, sequences end to end.
    hidden : float32 [rows, n_cell]
        What the float network made of them.
    lengths : sequence of int
        Rows of each sequence, the longest first.
    """
    n_cell = hidden.shape[1]
    steps = np.float32(2.0) ** -np.arange(1, 16, dtype=np.float32)[:, None, None]
    cells = np.zeros((15, len(lengths), n_cell), np.float32)
    errors = np.zeros(15)
    for n, rows in Packed.of(lengths).steps():
        i, g, f, o = (gates[rows, k * n_cell : (k + 1) * n_cell] for k in range(4))
        now = cells[:, :n] * sigmoid(f) + sigmoid(i) * np.tanh(g)
        cells[:, :n] = np.clip(np.rint(now / steps), -32768, 32767) * steps
        errors += np.square(np.tanh(cells[:, :n]) * sigmoid(o) - hidden[rows]).sum(axis=(1, 2), dtype=np.float64)
    return errors


# ---- ranges --------------------------------------------------------------------------------------


def feature_ranges(frames: Array) -> Array:
    """Where to clip each coefficient: best for what is common, whatever the rarest frames hold.

    A frame of digital silence has a c0 of -247 where quiet speech has -70. A range that held it would make the steps of
    all speech three times as coarse; clipped, it is still quieter than anything else.

    Parameters
    ----------
    frames : float32 [n, n_coefficients]

    Returns
    -------
    float64 [n_coefficients]
    """
    common = np.quantile(np.abs(frames), FEATURE_COMMON, axis=0)
    reach = np.where(common > 0, FEATURE_REACH * common, np.inf)
    return np.array([best_clip(column, 127, most) for column, most in zip(frames.T, reach, strict=True)])


def best_clip(values: Array, levels: int, largest: float = np.inf, keep: float = 0.999) -> float:
    """The range that loses least: clipping above it against coarser steps below it.

    Minimises the mean squared error of `levels` uniform steps up to the clip, over candidates from the `keep` quantile
    of the non-zero magnitudes to the largest of them (`largest` at most). Zeros are exact whatever the range.

    Parameters
    ----------
    values : float array of any shape
    levels : int
        Steps from 0 to the clip: 255 for the ReLUs, 127 for signed values.

    Returns
    -------
    float
        Positive; 1 (or `largest`) where all values are zero.
    """
    x = np.abs(values[values != 0]).astype(np.float32)
    if not x.size:
        return float(min(1.0, largest))
    x = np.minimum(x, np.float32(largest))
    top = float(x.max())
    bottom = float(np.partition(x, k := int(keep * (x.size - 1)))[k])
    tail = np.sort(x[x >= bottom]).astype(np.float64)
    best, best_error = top, np.inf
    for clip in np.linspace(bottom, top, 40):
        above = tail[np.searchsorted(tail, clip) :] - clip
        error = float((above**2).sum()) + (x.size - len(above)) * (clip / levels) ** 2 / 12
        if error < best_error:
            best, best_error = float(clip), error
    return max(best, 1e-12)
