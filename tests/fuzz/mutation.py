# SPDX-License-Identifier: Apache-2.0
"""Mutations of inputs: bytes flipped, numbers set to their limits, pieces cut, doubled, spliced, a format's words."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_INPUT = 1 << 17  # bytes
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_TEXTS = (
    b"0",
    b"-1",
    b"1e309",
    b"nan",
    b"-inf",
    b"9" * 25,
    b"1" + b"0" * 5000,
    b"\x00",
    b"\xff\xfe",
    "é".encode(),
    b"\n",
)


def _flip(rng: random.Random, data: bytearray, at: int) -> None:
    data[at : at + 1] = bytes([rng.randrange(256)])


def _number(rng: random.Random, data: bytearray, at: int) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = (rng.choice(_NUMBERS) + rng.choice((0, 0, 1, -1))) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(rng: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + rng.choice((1, 2, 8, 64, 4096))]


def _double(rng: random.Random, data: bytearray, at: int) -> None:
    piece = bytes(data[at : at + rng.choice((1, 4, 16, 200))])
    data[at:at] = piece * rng.choice((1, 2, 50))


def _nest(rng: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = rng.choice((b"[", b"(", b"{", b"<", b"[a|", b"- ", b"((")) * rng.choice((1, 3, 400))


_KINDS: tuple[Callable[[random.Random, bytearray, int], None], ...] = (
    _flip,
    _flip,
    _flip,
    _number,
    _number,
    _cut,
    _double,
)


def mutated(rng: random.Random, pool: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A new input out of those of the pool."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 2, 4, 12))):
        at = rng.randrange(min(len(data), rng.choice((64, 1024, MAX_INPUT))) + 1)
        kind = rng.randrange(10)
        if kind < 6:
            rng.choice(_KINDS)(rng, data, at)
        elif kind == 6:
            data[at:at] = rng.choice(_TEXTS)
        elif kind == 7 and words:
            data[at:at] = rng.choice(words)
        elif kind == 8:
            _nest(rng, data, at)
        else:
            other = rng.choice(pool)
            start = rng.randrange(len(other) + 1)
            data[at : at + rng.randrange(200)] = other[start : start + rng.randrange(400)]
    return bytes(data[:MAX_INPUT])
