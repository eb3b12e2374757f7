# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers' wire format, read field by field: for the few small messages that need no schema.

Nothing is copied and nothing is allocated by a length that the data gives: a field of bytes is a view of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pynna.errors import MappingError

Buffer = memoryview
Value = int | float | memoryview

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(data: Buffer, at: int) -> tuple[int, int]:
    """A variable-length unsigned integer of at most 64 bits, and where it ends.

    Raises
    ------
    MappingError
        The data ends within it, or it is longer than 64 bits.
    """
    value = shift = 0
    while shift < 64:
        if at >= len(data):
            raise MappingError("the data ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise MappingError("a number of more than 64 bits")


def fields(data: Buffer) -> Iterator[tuple[int, int, int | memoryview]]:
    """(number, wire type, value) of each field: integers as they lie, fixed-width ones as unsigned integers.

    Raises
    ------
    MappingError
        Not in the wire format, or cut short.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = varint(data, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise MappingError(f"a field of wire type {kind}, which there is not")
        if length > len(data) - at:
            raise MappingError("the data ends within a field")
        part = data[at : at + length]
        at += length
        yield number, kind, part if kind == BYTES else int.from_bytes(part, "little")


def signed(value: int | memoryview) -> int:
    """An int64 field's value."""
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >= 1 << 63 else number


def as_float(value: int | memoryview) -> float:
    """A float field's value; of a number of more than 32 bits, which a damaged file has there, the lower ones."""
    bits = value & 0xFFFFFFFF if isinstance(value, int) else 0
    return float(struct.unpack("<f", bits.to_bytes(4, "little"))[0])


def text(value: int | memoryview) -> str:
    """A string field's value; what is no UTF-8 is replaced."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def packed_ints(kind: int, value: int | memoryview) -> list[int]:
    """A repeated int64 field, packed or one number."""
    if not isinstance(value, memoryview):
        return [signed(value)]
    out, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        out.append(signed(number))
    return out
