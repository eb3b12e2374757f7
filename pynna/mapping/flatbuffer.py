# SPDX-License-Identifier: Apache-2.0
"""FlatBuffers and FlexBuffers, read in place with every offset checked: for .tflite files, without their packages.

Nothing is copied, and no length in a file allocates anything: what lies beyond the data is a `MappingError`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError

MAX_ITEMS = 1 << 20  # of a vector of tables: a network of a few thousand operators is a large one
_SCALARS = {"B": 1, "b": 1, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8}


def _read(data: memoryview, at: int, kind: str) -> Any:
    if at < 0 or at + _SCALARS[kind] > len(data):
        raise MappingError("cut short, or damaged: an offset leads beyond the file")
    return struct.unpack_from("<" + kind, data, at)[0]


class Table:
    """A table of a flatbuffer: fields by their number, with defaults where they are absent."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at
        self._fields = at - _read(data, at, "i")
        self._size = _read(data, self._fields, "H")

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """The outermost table."""
        return cls(data, _read(data, 0, "I"))

    def _place(self, field: int) -> int:
        """Where a field lies; 0 where it is absent."""
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return 0
        offset = int(_read(self.data, self._fields + entry, "H"))
        return self.at + offset if offset else 0

    def scalar(self, field: int, kind: str, default: float = 0) -> Any:
        """A number; `kind` as in struct."""
        place = self._place(field)
        return _read(self.data, place, kind) if place else default

    def _target(self, field: int) -> int:
        place = self._place(field)
        return place + int(_read(self.data, place, "I")) if place else 0

    def table(self, field: int) -> Table | None:
        """A table within."""
        at = self._target(field)
        return Table(self.data, at) if at else None

    def vector(self, field: int, kind: str) -> NDArray[Any]:
        """Numbers, as an array over the file's bytes; empty where absent."""
        at = self._target(field)
        dtype = np.dtype({"B": "u1", "b": "i1", "i": "<i4", "I": "<u4", "f": "<f4", "q": "<i8"}[kind])
        if not at:
            return np.zeros(0, dtype)
        count = int(_read(self.data, at, "I"))
        if count * dtype.itemsize > len(self.data) - at - 4:
            raise MappingError(f"cut short, or damaged: a vector of {count} numbers does not fit in the file")
        return np.frombuffer(self.data, dtype, count, at + 4)

    def bytes(self, field: int) -> memoryview:
        """Bytes of a vector or a string, a view."""
        return self.vector(field, "B").data

    def text(self, field: int) -> str:
        """A string; what is no UTF-8 is replaced."""
        return bytes(self.bytes(field)).decode("utf-8", "replace")

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        at = self._target(field)
        if not at:
            return []
        count = int(_read(self.data, at, "I"))
        if count > MAX_ITEMS or 4 * count > len(self.data) - at - 4:
            raise MappingError(f"cut short, or damaged: a vector of {count} tables does not fit in the file")
        places = (at + 4 + 4 * i for i in range(count))
        return [Table(self.data, place + int(_read(self.data, place, "I"))) for place in places]


# ---- FlexBuffers ---------------------------------------------------------------------------------

_INT, _UINT, _FLOAT, _KEY, _INDIRECT = 1, 2, 3, 4, (6, 7, 8)
_MAP, _BOOL = 9, 26


def flex_map(data: memoryview) -> Mapping[str, float | bool]:
    """The numbers and booleans of a FlexBuffers map under their names; other values are left out.

    Raises
    ------
    MappingError
        Not a map, or damaged.
    """
    if len(data) < 3:
        raise MappingError("options are cut short; a FlexBuffers map is needed")
    width, packed = data[-1], data[-2]
    if packed >> 2 != _MAP or width not in (1, 2, 4, 8):
        raise MappingError("options are no FlexBuffers map")
    at = _follow(data, len(data) - 2 - width, width)
    width = 1 << (packed & 3)
    count = _uint(data, at - width, width)
    keys = _follow(data, at - 3 * width, width)
    key_width = _uint(data, at - 2 * width, width)
    if count > len(data) or key_width not in (1, 2, 4, 8):
        raise MappingError("options are damaged: more names than bytes")
    out: dict[str, float | bool] = {}
    for i in range(count):
        kind = _uint(data, at + count * width + i, 1)
        value = _number(data, at + i * width, width, kind)
        if value is not None:
            out[_key(data, _follow(data, keys + i * key_width, key_width))] = value
    return out


def _uint(data: memoryview, at: int, width: int) -> int:
    if at < 0 or at + width > len(data):
        raise MappingError("options are damaged: an offset leads beyond them")
    return int.from_bytes(data[at : at + width], "little")


def _follow(data: memoryview, at: int, width: int) -> int:
    return at - _uint(data, at, width)


def _key(data: memoryview, at: int) -> str:
    end = at
    while _uint(data, end, 1):
        end += 1
    return bytes(data[at:end]).decode("utf-8", "replace")


def _number(data: memoryview, at: int, width: int, packed: int) -> float | bool | None:
    kind = packed >> 2
    if kind in _INDIRECT:
        at, width, kind = _follow(data, at, width), 1 << (packed & 3), kind - 5
    raw = _uint(data, at, width)
    if kind == _BOOL:
        return bool(raw)
    if kind == _UINT:
        return raw
    if kind == _INT:
        return raw - (1 << 8 * width) if raw >> (8 * width - 1) else raw
    if kind == _FLOAT and width in (4, 8):
        return float(struct.unpack("<f" if width == 4 else "<d", raw.to_bytes(width, "little"))[0])
    return None
