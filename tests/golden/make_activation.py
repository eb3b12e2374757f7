# SPDX-License-Identifier: Apache-2.0
"""Fit the cubics of csrc/activation.c, and print them as C arrays and as the Python ones of `integer_network`.

    python tests/golden/make_activation.py

The arithmetic is csrc/doc/network.md's "Sigmoid and tanh": a segment's offset t in Q0.15, four int16 coefficients,
three rounded products. Each segment starts from the minimax cubic (a linear programme over all of its inputs); its
rounded coefficients are then searched in the integers, on the arithmetic itself, for the smallest maximal error among
those that do not fall at the joints. sigmoid(0) is 1/2 and tanh(0) is 0 exactly.
Needs NumPy and SciPy; deterministic.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog
from scipy.special import expit

ONE = 32768


def mulhrs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rounded product of two Q0.15 numbers, as pmulhrsw and sqrdmulh give it."""
    return (a * b + (1 << 14)) >> 15


def cubic(t: np.ndarray, c: tuple[int, ...]) -> np.ndarray:
    """The segment's value at offsets `t` (Q0.15), in the order of operations of the C."""
    y = c[2] + mulhrs(t, np.int64(c[3]))
    y = c[1] + mulhrs(t, y)
    return c[0] + mulhrs(t, y)


def minimax(t: np.ndarray, want: np.ndarray, fixed0: int | None) -> np.ndarray:
    """Real cubic of least maximal error, as a linear programme in (c0, c1, c2, c3, error)."""
    u = t / ONE
    powers = np.stack([u**n for n in range(4)], axis=1)
    ones = np.ones((len(t), 1))
    upper = np.vstack([np.hstack([powers, -ones]), np.hstack([-powers, -ones])])
    bounds = [(None, None) if fixed0 is None else (fixed0, fixed0)] + [(None, None)] * 3 + [(0, None)]
    fit = linprog([0, 0, 0, 0, 1], A_ub=upper, b_ub=np.concatenate([want, -want]), bounds=bounds)
    return np.asarray(fit.x[:4])


def score(t: np.ndarray, want: np.ndarray, joints: tuple[int, int], c: tuple[int, ...]) -> tuple[int, float, int]:
    """(falls at the joints and overflows, maximal error, falls by the rounding inside): smaller is better.

    `joints` are the least first value and the greatest last one.
    """
    y = cubic(t, c)
    bad = max(joints[0] - int(y[0]), 0) + max(int(y[-1]) - joints[1], 0) + max(int(y.max()) - 32767, 0)
    return bad, float(np.abs(y - want).max()), int(np.maximum(-np.diff(y), 0).sum())


def fit_segment(t: np.ndarray, want: np.ndarray, fixed0: int | None, joints: tuple[int, int]) -> tuple[int, ...]:
    """Integer coefficients, searched around the minimax cubic's until no neighbour is better."""
    best = tuple(int(v) for v in np.rint(minimax(t, want, fixed0)))
    best_score = score(t, want, joints, best)
    steps = ((-1, 0, 1), (-3, -1, 0, 1, 3), (-8, -3, -1, 0, 1, 3, 8), (-5, -2, -1, 0, 1, 2, 5))
    moves = [m for m in itertools.product(*steps) if fixed0 is None or m[0] == 0]
    while True:
        tried = [tuple(a + b for a, b in zip(best, m, strict=True)) for m in moves]
        scores = [score(t, want, joints, c) for c in tried]
        i = min(range(len(tried)), key=lambda n: scores[n])
        if scores[i] >= best_score:
            return best
        best, best_score = tried[i], scores[i]


def fit(function: Callable[[np.ndarray], np.ndarray], segment_bits: int) -> np.ndarray:
    """Coefficients [power][segment] of eight segments of 2^segment_bits inputs in Q3.12."""
    columns: list[tuple[int, ...]] = []
    least = 0
    t = np.arange(1 << segment_bits, dtype=np.int64) << (15 - segment_bits)
    for k in range(8):
        x = ((k << segment_bits) + np.arange((1 << segment_bits) + 1)) / 4096.0
        want = function(x) * ONE
        greatest = min(int(np.floor(want[-1])), 32767)
        c = fit_segment(t, want[:-1], round(want[0]) if k == 0 else None, (least, greatest))
        columns.append(c)
        bad, error, falls = score(t, want[:-1], (least, greatest), c)
        least = int(cubic(t, c)[-1])
        print(f"  segment {k}: maximal error {error:.2f} of 2^-15, {bad} at the joints, {falls} falls by 1 inside")
    return np.array(columns).T


def show(name: str, c: np.ndarray) -> None:
    print(f"const int16_t {name}[4][8] = {{")
    for row in c:
        print("    {" + ", ".join(f"{v}" for v in row) + "},")
    print("};")
    print(f"{name} = (")
    for row in c:
        print("    (" + ", ".join(f"{v}" for v in row) + "),")
    print(")")


if __name__ == "__main__":
    for label, function, bits in (("sigmoid", expit, 12), ("tanh", np.tanh, 11)):
        print(label)
        coefficients = fit(function, bits)
        assert np.abs(coefficients).max() < 32768
        show(f"pn_{label}_coefficients", coefficients)
