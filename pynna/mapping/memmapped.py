# SPDX-License-Identifier: Apache-2.0
"""Memory-mapped graphs, .pbmm: tensors as they lie in memory, the graph behind them, a directory at the end.

The directory is repeated {uint64 offset = 1, string name = 2, uint64 length = 3}; the length is there from TensorFlow
1.14 on, before that a region ends where the next one begins. The last eight bytes tell where the directory begins.
"""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path
from typing import Any

from pynna.errors import MappingError
from pynna.mapping.wire import BYTES, fields, text

PREFIX = "memmapped_package://"
GRAPH = PREFIX + "."
MAX_REGIONS = 1 << 16
_ALIGNMENT = 64  # of tensors in the file
_SMALLEST = 10000  # bytes from which a tensor is a region of its own


def is_memmapped(data: memoryview) -> bool:
    """Whether the data ends in such a directory."""
    return GRAPH.encode() in bytes(data[-(1 << 20) :][: 1 << 20]) and _directory(data) is not None


def is_memmapped_file(path: Path) -> bool:
    """Whether a file ends in such a directory."""
    with path.open("rb") as file:
        try:
            return is_memmapped(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        except ValueError:
            return False  # an empty file


def _directory(data: memoryview) -> memoryview | None:
    if len(data) < 16:
        return None
    start = int.from_bytes(data[-8:], "little")
    return data[start:-8] if start < len(data) - 8 else None


def regions(data: memoryview) -> dict[str, memoryview]:
    """The regions by name, views of the data; the graph's is `GRAPH`.

    Raises
    ------
    MappingError
        No such directory, or regions beyond the file.
    """
    directory = _directory(data)
    if directory is None:
        raise MappingError("no memory-mapped graph: there is no directory at its end (or it is cut short)")
    elements: list[tuple[int, str, int | None]] = []
    for number, kind, value in fields(directory):
        if number == 1 and kind == BYTES and isinstance(value, memoryview):
            elements.append(_element(value))
        if len(elements) > MAX_REGIONS:
            raise MappingError(f"the directory has more than {MAX_REGIONS} regions")
    if not elements:
        raise MappingError("the directory at the file's end must name regions, got none")
    elements.sort(key=lambda element: element[0])
    ends = [*(element[0] for element in elements[1:]), len(data) - 8 - len(directory)]
    out: dict[str, memoryview] = {}
    for (offset, name, length), end in zip(elements, ends, strict=True):
        stop = end if length is None else offset + length
        if not offset <= stop <= len(data) - 8 - len(directory):
            raise MappingError(f"region {name[:80]!r} leads beyond the file")
        out[name] = data[offset:stop]
    if GRAPH not in out:
        raise MappingError(f"the directory has no region {GRAPH}: there is no graph")
    return out


def _element(data: memoryview) -> tuple[int, str, int | None]:
    offset, name, length = 0, "", None
    for number, _, value in fields(data):
        if number == 1 and isinstance(value, int):
            offset = value
        elif number == 2:
            name = text(value)
        elif number == 3 and isinstance(value, int):
            length = value
    return offset, name, length


# ---- writing -------------------------------------------------------------------------------------


def write_memmapped(graph: Any, *, with_lengths: bool) -> bytes:
    """A GraphDef message as a .pbmm; its large constants are changed to ones that lie in the file.

    Parameters
    ----------
    graph : message
        As `pynna.mapping.graph_schema.graph_class` has it.
    with_lengths : bool
        As TensorFlow 1.14 and later, and with it DeepSpeech 0.6 and later, want it.
    """
    out, directory = bytearray(), bytearray()

    def add(name: str, data: bytes) -> None:
        out.extend(bytes(-len(out) % _ALIGNMENT))
        element = _field(1, len(out)) + _field(2, name.encode()) + (_field(3, len(data)) if with_lengths else b"")
        directory.extend(_field(1, element))
        out.extend(data)

    for node in graph.node:
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is None or len(tensor.tensor_content) < _SMALLEST:
            continue
        name = PREFIX + re.sub(r"[^A-Za-z0-9_]", "_", node.name)
        add(name, tensor.tensor_content)
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        del node.attr["value"]
        node.op = "ImmutableConst"
        node.attr["shape"].shape.SetInParent()
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)
        node.attr["memory_region_name"].s = name.encode()
    add(GRAPH, graph.SerializeToString(deterministic=True))
    return bytes(out + directory) + struct.pack("<Q", len(out))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
