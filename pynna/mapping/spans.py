# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits by spans: 64 columns of a row share a whole-numbered scale, beside the row's own real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.nna_model import MAX_SCALE, MAX_VALUE, SPAN, round_up

Array = NDArray[Any]

ROW_CLIPS = (1.0, 0.85, 0.7)  # of a row's largest weight: what its largest scale may still hold
SPAN_CLIPS = np.geomspace(1.0, 0.45, 9)  # of a span's


def row_units(weights: Array, importance: Array) -> Array:
    """Real weight of one step of each row's sums, of a few the one with the least error: float64 [rows].

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
    for rows, spans, important in _pieces(weights, importance):
        largest = np.abs(spans).max(axis=(1, 2)) / np.float32(MAX_VALUE * MAX_SCALE)
        best = np.full(len(spans), np.inf, np.float32)
        for clip in ROW_CLIPS:
            units = largest * np.float32(clip)
            error = _best_scales(spans, important, units)[1].sum(axis=1)
            better = error < best
            best[better], out[rows][better] = error[better], units[better]
    return out


def span_scales(weights: Array, importance: Array, units: Array) -> Array:
    """The scale of each row's spans that loses least, in `units` of the row (positive): int8 [rows, spans], 1 to 16."""
    out = np.empty((len(weights), round_up(weights.shape[1], SPAN) // SPAN), np.int8)
    for rows, spans, important in _pieces(weights, importance):
        out[rows] = _best_scales(spans, important, units[rows].astype(np.float32))[0]
    return out


def of_columns(scales: Array, n_columns: int) -> Array:
    """The scale of each weight: [rows, columns]."""
    return np.repeat(scales, SPAN, axis=1)[:, :n_columns]


def _pieces(weights: Array, importance: Array) -> Iterator[tuple[slice, Array, Array]]:
    """Rows at a time, so many that they stay in the cache, as float32 [rows, spans, 64]; and importance [spans, 64]."""
    n_columns = weights.shape[1]
    wide = round_up(n_columns, SPAN)
    important = np.pad(importance.astype(np.float32), (0, wide - n_columns)).reshape(-1, SPAN)
    size = max(1, (1 << 18) // wide)
    for start in range(0, len(weights), size):
        rows = slice(start, min(start + size, len(weights)))
        padded = np.pad(weights[rows].astype(np.float32), ((0, 0), (0, wide - n_columns)))
        yield rows, padded.reshape(-1, wide // SPAN, SPAN), important


def _best_scales(spans: Array, important: Array, units: Array) -> tuple[Array, Array]:
    """Scales of least error [rows, spans], and that error."""
    units = np.where(units > 0, units, np.float32(1))[:, None]
    needed = np.abs(spans).max(axis=2) / (units * np.float32(MAX_VALUE))
    best, chosen = np.full(needed.shape, np.inf, np.float32), np.ones(needed.shape, np.int8)
    for clip in SPAN_CLIPS:
        scales = np.clip(np.rint(needed * np.float32(clip)), 1, MAX_SCALE)
        steps = (units * scales)[:, :, None]
        q = spans / steps
        np.rint(q, out=q)
        np.clip(q, -MAX_VALUE, MAX_VALUE, out=q)
        q *= steps
        q -= spans
        np.square(q, out=q)
        error = np.einsum("rsk,sk->rs", q, important)
        better = error < best
        best[better], chosen[better] = error[better], scales[better].astype(np.int8)
    return chosen, best
