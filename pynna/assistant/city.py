# SPDX-License-Identifier: Apache-2.0
"""A town to drive through: a street map made of a seed, and the ways in it."""

from __future__ import annotations

import math
import random
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

BLOCK = 180.0
"""Metres between two crossings, about."""

AVENUE = 4
"""Every so many streets is an avenue, which is faster."""

_BRANCHES = 24  # of a kind of place, such as charging stations

_SPEEDS = {"street": 50.0, "avenue": 70.0}


class City:
    """A map of streets.

    Attributes
    ----------
    nodes : float64 [n, 2]
        Crossings, metres east and north of the middle.
    streets : dict of (int, int) to str
        Both ways of each street: "street" or "avenue".
    """

    def __init__(self, seed: int = 7, size: int = 24) -> None:
        rng = random.Random(seed)
        self.size = size
        half = (size - 1) / 2
        self.nodes = np.array(
            [
                [(x - half) * BLOCK + rng.uniform(-45, 45), (y - half) * BLOCK + rng.uniform(-45, 45)]
                for y in range(size)
                for x in range(size)
            ]
        )
        self.streets: dict[tuple[int, int], str] = {}
        for y in range(size):
            for x in range(size):
                for dx, dy in ((1, 0), (0, 1)):
                    if x + dx < size and y + dy < size:
                        wide = (y if dx else x) % AVENUE == AVENUE // 2
                        if wide or rng.random() > 0.14:  # a street is missing here and there
                            a, b = y * size + x, (y + dy) * size + x + dx
                            self.streets[a, b] = self.streets[b, a] = "avenue" if wide else "street"
        self.parks = sorted(rng.sample(range((size - 1) * (size - 1)), 40))  # blocks, by their south-west corner
        water = rng.uniform(-4, 4) * BLOCK
        self.river = [
            (x * BLOCK, water + 300 * math.sin(x / 4.1) + 120 * math.sin(x / 1.7 + 1))
            for x in range(-size // 2 - 2, size // 2 + 3)
        ]

    @cached_property
    def neighbours(self) -> dict[int, list[int]]:
        """The crossings next to each."""
        found: dict[int, list[int]] = {}
        for a, b in self.streets:
            found.setdefault(a, []).append(b)
        return found

    @cached_property
    def _seconds(self) -> csr_array:
        n = len(self.nodes)
        pairs = np.array(list(self.streets))
        seconds = [self.length(a, b) / (_SPEEDS[kind] / 3.6) for (a, b), kind in self.streets.items()]
        return csr_array((seconds, (pairs[:, 0], pairs[:, 1])), shape=(n, n))

    def length(self, a: int, b: int) -> float:
        """Metres from crossing to crossing."""
        return float(math.dist(self.nodes[a], self.nodes[b]))

    def speed(self, a: int, b: int) -> float:
        """km/h that is allowed there."""
        return _SPEEDS[self.streets[a, b]]

    def find(self, place: str, here: int | None = None) -> int:
        """Where a place is: always the same crossing for a name; of "the nearest ..." the one that is, from `here`."""
        reached = [n for n in self.neighbours if np.isfinite(self._from_middle[n])]
        rng = random.Random("place " + place)
        if here is None or not place.startswith("the nearest "):
            return rng.choice(reached)
        return min((n for n in rng.sample(reached, _BRANCHES) if n != here), key=lambda n: self.length(here, n))

    @property
    def middle(self) -> int:
        """The crossing that a drive begins at: on an avenue."""
        k = self.size // AVENUE // 2 * AVENUE + AVENUE // 2
        return k * self.size + k

    @cached_property
    def _from_middle(self) -> Any:
        return dijkstra(self._seconds, indices=self.middle)

    def route(self, start: int, end: int) -> list[int]:
        """The quickest way, both ends included; only the start where there is none."""
        _, before = dijkstra(self._seconds, indices=start, return_predecessors=True)
        way = [end]
        while way[-1] != start and before[way[-1]] >= 0:
            way.append(int(before[way[-1]]))
        return way[::-1] if way[-1] == start else [start]

    def as_dict(self) -> dict[str, Any]:
        """As the page draws it: nodes, streets once each with their kind, parks, river."""
        return {
            "size": self.size,
            "nodes": np.round(self.nodes, 1).tolist(),
            "streets": [[a, b, kind == "avenue"] for (a, b), kind in self.streets.items() if a < b],
            "parks": self.parks,
            "river": [[round(x, 1), round(y, 1)] for x, y in self.river],
        }
