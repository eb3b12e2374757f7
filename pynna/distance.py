# SPDX-License-Identifier: Apache-2.0
"""How far two texts are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Levenshtein distance: the fewest insertions, deletions and substitutions that turn `a` into `b`.

    Items are hashable. A column of the table at a time, its steps up and down as bits of two whole numbers: Hyyrö,
    "A bit-vector algorithm for computing Levenshtein and Damerau edit distances", 2003.
    """
    if not a:
        return len(b)
    places: dict[Any, int] = {}
    for i, x in enumerate(a):
        places[x] = places.get(x, 0) | 1 << i
    mask, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    up, down, distance = mask, 0, len(a)
    for y in b:
        same = places.get(y, 0)
        level = (((same & up) + up) ^ up) | same | down
        right_up, right_down = (down | ~(level | up)) & mask, level & up
        distance += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = right_up << 1 | 1, right_down << 1
        up, down = (right_down | ~(level | right_up)) & mask, level & right_up & mask
    return distance
