# SPDX-License-Identifier: Apache-2.0
"""Scales of weights of 4 bits: what they are for, and how well they are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pynna.mapping.quantisation import compensated_rows, quantise_rows
from pynna.mapping.spans import of_columns, row_units, span_scales

Array = NDArray[Any]


def rounded(weights: Array, importance: Array) -> tuple[Array, Array, Array, Array]:
    """Whole numbers, real weight of one, scales of each weight, and the weights' mean error of each row."""
    units = row_units(weights, importance)
    units = np.where(units > 0, units, 1.0)
    steps = of_columns(span_scales(weights, importance, units), weights.shape[1])
    q = quantise_rows(weights, units, steps)
    return q, units, steps, np.square(q * units[:, None] - weights) @ importance / weights.shape[1]


@given(st.integers(1, 40), st.integers(1, 200), st.floats(1e-6, 1e4), st.integers(0, 2**32 - 1))
def test_weights_are_within_half_a_step_unless_clipped(rows: int, columns: int, size: float, seed: int) -> None:
    w = (np.random.default_rng(seed).normal(0, 1, (rows, columns)) * size).astype(np.float32)
    q, units, steps, _ = rounded(w, np.ones(columns))
    assert steps.min() >= 1 and steps.max() <= 16 and not (q % steps).any() and (np.abs(q) <= 7 * steps).all()
    step = steps * units[:, None]
    inside = np.abs(w) <= 7 * step
    assert (np.abs(q * units[:, None] - w) <= 0.5001 * step)[inside].all()
    assert (q == 7 * steps * np.sign(w))[~inside].all()


def test_a_row_of_zeros_stays_one() -> None:
    assert not row_units(np.zeros((2, 70), np.float32), np.ones(70)).any()
    assert not rounded(np.zeros((2, 70), np.float32), np.ones(70))[0].any()


def test_spans_of_other_sizes_lose_far_less_than_with_one_scale_a_row() -> None:
    rng = np.random.default_rng(3)
    sizes = np.repeat(2.0 ** -np.arange(4), 64)
    w = (rng.normal(0, 1, (50, 256)) * sizes).astype(np.float32)
    *_, error = rounded(w, np.ones(256))
    one_scale = min(
        np.square(np.clip(np.rint(w / unit), -7, 7) * unit - w).mean()
        for unit in np.abs(w).max(axis=1, keepdims=True).mean() / 7 * np.linspace(0.4, 1.0, 13)
    )
    assert error.mean() < 0.5 * one_scale


@pytest.mark.parametrize("columns", [64, 200])
def test_columns_that_matter_little_are_clipped(columns: int) -> None:
    w = np.linspace(0.5, 1, columns, dtype=np.float32)[None].copy()
    w[:, 3::4] *= 9
    spiky = np.ones(columns)
    spiky[3::4] = 1e-6
    (_, unit, steps, _), (_, even_unit, even_steps, _) = rounded(w, spiky), rounded(w, np.ones(columns))
    assert (unit * steps < 0.9 * even_unit * even_steps).all()


def test_compensation_keeps_to_the_steps_and_makes_the_products_better() -> None:
    rng = np.random.default_rng(5)
    inputs = (rng.normal(0, 1, (400, 20)) @ rng.normal(0, 1, (20, 96))).astype(np.float32)  # correlated
    w = rng.normal(0, 1, (30, 96)).astype(np.float32)
    q, units, steps, _ = rounded(w, np.square(inputs).mean(axis=0))
    better = compensated_rows(w, units, inputs, 0.3, steps)
    assert not (better % steps).any() and (np.abs(better) <= 7 * steps).all()
    errors = [np.square(inputs @ (p * units[:, None] - w).T).mean() for p in (better, q)]
    assert errors[0] < 0.5 * errors[1]
