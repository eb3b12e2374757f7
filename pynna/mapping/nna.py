# SPDX-License-Identifier: Apache-2.0
"""The mapped model's file, .nna: writer and reader (the format is defined in csrc/doc/formats.md).

The reader unpacks everything into plain arrays and checks what csrc/doc/formats.md demands; it serves the integer
reference and the tests. Running a model is the C loader's work, which uses the file in place.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from pynna.errors import (
    ChecksumError,
    FileValueError,
    ForeignFileError,
    LayoutError,
    MappingError,
    ModelFileError,
    NewFileError,
    OldFileError,
    ShortFileError,
)
from pynna.mapping.nna_model import (
    BLOCK,
    LAYER_NAMES,
    MAX_COLUMNS,
    MAX_SCALE,
    SIGNED_INPUT,
    SPAN,
    WEIGHT_BITS,
    Array,
    Geometry,
    Layer,
    NnaModel,
    check_model,
    require,
    round_up,
)
from pynna.saving import whole_file

MAGIC = b"\x89NNA\r\n\x1a\n"
VERSION = 1
MAX_METADATA = 1 << 20

PLAIN, SCALED = 0, 1  # layouts
_STRETCH = 32  # lines behind one of scales
_SPAN_LINES = SPAN // 8

_HEADER = struct.Struct("<8sIIQII")
_SECTION = struct.Struct("<32sQQ")
_LAYER = struct.Struct("<6i2fi28x")
_GEOMETRY = struct.Struct("<12i3f2i60x")


# ---- order and packing ---------------------------------------------------------------------------


def _to_file_rows(layer: Layer, values: Array) -> Array:
    """Rows in the file's order, zero-padded to whole blocks."""
    if not layer.is_lstm:
        rows16 = round_up(len(values), BLOCK)
        return np.concatenate([values, np.zeros((rows16 - len(values), *values.shape[1:]), values.dtype)])
    n_cell = len(values) // 4
    padded = np.zeros((4, round_up(n_cell, BLOCK), *values.shape[1:]), values.dtype)
    padded[:, :n_cell] = values.reshape(4, n_cell, *values.shape[1:])
    blocks = padded.reshape(4, -1, BLOCK, *values.shape[1:]).swapaxes(0, 1)  # [block of cells][gate][cell]
    return np.ascontiguousarray(blocks).reshape(-1, *values.shape[1:])


def _from_file_rows(name: str, values: Array, n_rows: int) -> tuple[Array, Array]:
    """(rows in the network's order, the padding's values); `n_rows` is without padding, 4 * n_cell for the LSTM."""
    if not name.startswith("lstm"):
        return values[:n_rows], values[n_rows:]
    gates = values.reshape(-1, 4, BLOCK, *values.shape[1:]).swapaxes(0, 1)
    gates = np.ascontiguousarray(gates).reshape(4, -1, *values.shape[1:])
    n_cell = n_rows // 4
    return gates[:, :n_cell].reshape(n_rows, *values.shape[1:]), gates[:, n_cell:]


def pack(weights: Array, bits: int = 8) -> Array:
    """int8 [rows16, columns] in the file's row order to int8 [blocks, lines, 16, 4] (4 bits: two groups a line)."""
    rows16, columns = weights.shape
    padded = np.zeros((rows16, round_up(columns, 32 // min(bits, 8))), np.int8)
    padded[:, :columns] = weights
    groups = np.ascontiguousarray(padded.reshape(rows16 // BLOCK, BLOCK, -1, 4).transpose(0, 2, 1, 3))
    if bits != 4:
        return groups
    halves = groups.view(np.uint8) & 0xF0
    return np.ascontiguousarray(halves[:, ::2] >> 4 | halves[:, 1::2]).view(np.int8)


def unpack(packed: Array, bits: int = 8) -> Array:
    """The inverse of `pack`, with the padded columns: int8 [blocks, lines, 16, 4] to [rows16, lines * 32 / bits]."""
    blocks, lines = packed.shape[:2]
    groups = packed
    if bits == 4:
        both = packed.view(np.uint8)
        groups = np.stack([both << 4, both & 0xF0], axis=2).view(np.int8).reshape(blocks, 2 * lines, BLOCK, 4)
    return np.ascontiguousarray(groups.transpose(0, 2, 1, 3)).reshape(blocks * BLOCK, groups.shape[1] * 4)


def add_scales(packed: Array, scales: Array) -> Array:
    """Packed values of 4 bits, with a line of `scales` [rows16, spans] in front of every 32 lines."""
    blocks, lines = packed.shape[:2]
    spans = scales.shape[1]
    padded = np.zeros((blocks, round_up(spans, 4), BLOCK), np.int8)
    padded[:, :spans] = scales.reshape(blocks, BLOCK, spans).swapaxes(1, 2)
    of_stretches = padded.reshape(blocks, -1, BLOCK, 4)
    starts = range(0, lines, _STRETCH)
    parts = [x for i in starts for x in (of_stretches[:, i // _STRETCH, None], packed[:, i : i + _STRETCH])]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def take_scales(packed: Array) -> tuple[Array, Array]:
    """The inverse of `add_scales`; the scales with those that only fill up a line, int8 [rows16, 4 a line]."""
    blocks = len(packed)
    of_stretches = packed[:, :: _STRETCH + 1].reshape(blocks, -1, BLOCK)
    values = np.delete(packed, np.s_[:: _STRETCH + 1], axis=1)
    return values, np.ascontiguousarray(of_stretches.swapaxes(1, 2)).reshape(blocks * BLOCK, -1)


def packed_lines(n_columns: int, bits: int, layout: int) -> int:
    """Lines of 64 bytes that a block of rows takes; of 16 bits, its two parts."""
    lines = round_up(n_columns, 32 // min(bits, 8)) * bits // 32
    return lines + (-(-lines // _STRETCH) if layout == SCALED else 0)


# ---- writing -------------------------------------------------------------------------------------


def _layer_sections(layer: Layer) -> list[tuple[str, bytes]]:
    def rows(values: Array, kind: str) -> bytes:
        return _to_file_rows(layer, values).astype(kind).tobytes()

    last, kind, factor = ("multiplier", "<i4", layer.multiplier)
    if layer.name == "layer_6":
        last, kind, factor = ("logit_scale", "<f4", layer.logit_scale)
    assert factor is not None
    parts = [layer.weights] if layer.fine is None else [layer.weights, layer.fine]
    return [
        (f"{layer.name}.weights", packed_weights(layer).tobytes()),
        (f"{layer.name}.bias", rows(layer.bias, "<i4")),
        (f"{layer.name}.row_sum", b"".join(rows(w.sum(axis=1, dtype=np.int32), "<i4") for w in parts)),
        (f"{layer.name}.{last}", rows(factor, kind)),
    ]


def packed_weights(layer: Layer) -> Array:
    """Rows in the file's order, packed, with their scales; of 16 bits, both parts: int8 [blocks, lines, 16, 4]."""
    weights = _to_file_rows(layer, layer.weights)
    if layer.fine is not None:
        return np.concatenate([pack(weights), pack(_to_file_rows(layer, layer.fine))])
    if layer.scales is None:
        return pack(weights, layer.weight_bits)
    scales = np.maximum(_to_file_rows(layer, layer.scales), 1)
    values = weights // np.repeat(scales, SPAN, axis=1)[:, : weights.shape[1]]
    return add_scales(pack(values * np.int8(16), 4), scales)


def _layer_entry(layer: Layer) -> bytes:
    return _LAYER.pack(
        layer.n_rows,
        layer.weights.shape[1],
        layer.weight_bits,
        PLAIN if layer.scales is None else SCALED,
        int(layer.input_signed),
        layer.shift,
        layer.input_scale,
        layer.output_scale,
        layer.output_residual_bits,
    )


def encode_nna(model: NnaModel) -> bytes:
    """The file's bytes.

    Raises
    ------
    MappingError
        A value that the format forbids.
    """
    try:
        check_model(model)
    except ModelFileError as error:
        raise MappingError(f"cannot be written: {error}") from None
    metadata = json.dumps(model.metadata, ensure_ascii=False, indent=1).encode()
    if len(metadata) > MAX_METADATA:
        raise MappingError(f"metadata takes {len(metadata)} bytes; {MAX_METADATA} is the limit")
    sections = [
        ("geometry", _GEOMETRY.pack(*astuple(model.geometry))),
        ("layers", b"".join(_layer_entry(layer) for layer in model.layers)),
        ("alphabet", b"".join(label.encode() + b"\0" for label in model.alphabet)),
        ("label_priors", model.label_priors.astype("<f4").tobytes()),
        ("feature_gain", model.feature_gain.astype("<f4").tobytes()),
        ("provenance", metadata),
    ]
    for layer in model.layers:
        sections += _layer_sections(layer)
    return _assemble(sections)


def _assemble(sections: list[tuple[str, bytes]]) -> bytes:
    """Header, table of sections, and the sections at multiples of 64."""
    offset = round_up(_HEADER.size + _SECTION.size * len(sections), 64)
    table, body = b"", bytearray()
    start = offset
    for name, data in sections:
        body += bytes(offset - start - len(body))
        table += _SECTION.pack(name.encode(), offset, len(data))
        body += data
        offset = round_up(offset + len(data), 64)
    size = start + len(body)
    rest = struct.pack("<QII", size, len(sections), 0) + table
    rest += bytes(start - 16 - len(rest)) + bytes(body)
    return MAGIC + struct.pack("<II", VERSION, zlib.crc32(rest)) + rest


def write_nna(model: NnaModel, path: str | os.PathLike[str]) -> None:
    """Writes the file, whole or not at all.

    Raises
    ------
    MappingError
        A value that the format forbids.
    OSError
        The place cannot be written.
    """
    with whole_file(path, "wb") as out:
        out.write(encode_nna(model))


# ---- reading -------------------------------------------------------------------------------------


def read_nna(path: str | os.PathLike[str]) -> NnaModel:
    """Reads and checks a whole file.

    Raises
    ------
    ModelFileError
        By subclass: foreign, older, newer, cut short, damaged, laid out wrongly, or holding a forbidden value.
    OSError
        The file cannot be read.
    """
    return decode_nna(Path(path).read_bytes(), os.fspath(path))


def decode_nna(data: bytes, name: str = "model") -> NnaModel:
    """As `read_nna`, from bytes; `name` is for the messages."""
    try:
        return _decode(data)
    except ModelFileError as error:
        raise type(error)(f"{name}: {error}") from None


def _decode(data: bytes) -> NnaModel:
    sections = _sections(data)
    geometry = Geometry(*_GEOMETRY.unpack(_fixed(sections, "geometry", _GEOMETRY.size)))
    geometry.check()
    entries = _LAYER.iter_unpack(_fixed(sections, "layers", _LAYER.size * len(LAYER_NAMES)))
    layers = [_read_layer(name, entry, sections, geometry) for name, entry in zip(LAYER_NAMES, entries, strict=True)]
    try:
        labels = sections["alphabet"].decode()
        metadata = json.loads(sections["provenance"].decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileValueError(f"alphabet or metadata is no UTF-8 text or no JSON: {error}") from None
    require(labels.endswith("\0"), "the alphabet's last label has no end")
    require(isinstance(metadata, dict), "metadata is no JSON object")
    priors = _numbers(sections, "label_priors", "<f4", geometry.n_labels)
    gain = _numbers(sections, "feature_gain", "<f4", geometry.n_coefficients)
    model = NnaModel(geometry, layers, labels.split("\0")[:-1], priors, gain, metadata)
    check_model(model)
    return model


def _sections(data: bytes) -> dict[str, bytes]:
    """The sections by name, after the checks of header, checksum and table."""
    known = len(data) > 0 and data[:8] == MAGIC[: len(data)]
    require(known, "not a .nna file (its first bytes differ)", ForeignFileError)
    require(len(data) >= _HEADER.size, "cut short: the header is not whole", ShortFileError)
    _, version, crc, size, count, zero = _HEADER.unpack_from(data)
    require(version >= VERSION, f"format version {version} is no longer read: map the model again", OldFileError)
    require(version <= VERSION, f"format version {version} is newer than {VERSION}, the one read here", NewFileError)
    require(size <= len(data), f"cut short: {len(data)} bytes of {size}", ShortFileError)
    require(size == len(data), f"{len(data) - size} bytes too long", LayoutError)
    require(zlib.crc32(data[16:]) == crc, "damaged: the checksum differs", ChecksumError)
    expected = _section_names()
    end = round_up(_HEADER.size + _SECTION.size * len(expected), 64)
    good = count == len(expected) and zero == 0 and end <= size
    require(good, f"{count} sections, not {len(expected)}", LayoutError)
    sections = {}
    for i, name in enumerate(expected):
        raw, offset, length = _SECTION.unpack_from(data, _HEADER.size + i * _SECTION.size)
        require(raw == name.encode().ljust(32, b"\0"), f"section {i} is {raw!r}, not {name}", LayoutError)
        require(
            offset % 64 == 0 and end <= offset <= size and length <= size - offset,
            f"section {name} is misplaced",
            LayoutError,
        )
        sections[name] = data[offset : offset + length]
        end = offset + length
    return sections


def _section_names() -> list[str]:
    names = ["geometry", "layers", "alphabet", "label_priors", "feature_gain", "provenance"]
    for layer in LAYER_NAMES:
        last = "logit_scale" if layer == "layer_6" else "multiplier"
        names += [f"{layer}.{part}" for part in ("weights", "bias", "row_sum", last)]
    return names


def _fixed(sections: dict[str, bytes], name: str, size: int) -> bytes:
    data = sections[name]
    require(len(data) == size, f"section {name} has {len(data)} bytes, not {size}", LayoutError)
    return data


def _numbers(sections: dict[str, bytes], name: str, kind: str, count: int) -> Array:
    return np.frombuffer(_fixed(sections, name, 4 * count), kind).astype(kind[1:])


def _read_weights(name: str, packed: Array, n_columns: int, bits: int, layout: int) -> tuple[Array, Array | None]:
    """int8 [rows16, columns and what fills them up], and where there are any the scales [rows16, spans]."""
    if layout == PLAIN:
        return unpack(packed, bits), None
    packed, scales = take_scales(packed)
    spans = round_up(n_columns, SPAN) // SPAN
    good = bool(((scales[:, :spans] >= 1) & (scales[:, :spans] <= MAX_SCALE)).all()) and not scales[:, spans:].any()
    require(good, f"{name}: a scale is not from 1 to {MAX_SCALE}")
    values = unpack(packed, bits) >> 4
    require(bool((values > -8).all()), f"{name}: a weight of 4 bits is -8")
    return values * np.repeat(scales, SPAN, axis=1)[:, : values.shape[1]], scales[:, :spans]


def _read_layer(name: str, entry: tuple[Any, ...], sections: dict[str, bytes], geometry: Geometry) -> Layer:
    n_rows, n_columns, bits, layout, signed, shift, input_scale, output_scale, residual = entry
    known = bits in WEIGHT_BITS and (layout == PLAIN or (layout, bits) == (SCALED, 4))
    require(known, f"{name}: weights of {bits} bits in layout {layout} are not known here")
    require(signed == int(name in SIGNED_INPUT), f"{name}: input_signed is {signed}")
    require(
        1 <= n_columns <= MAX_COLUMNS and 1 <= n_rows <= 4 * MAX_COLUMNS,
        f"{name}: {n_rows} rows of {n_columns} columns are out of range",
    )
    rows16, n_parts = round_up(n_rows, BLOCK), 2 if bits == 16 else 1
    lines = packed_lines(n_columns, bits, layout)
    data = np.frombuffer(_fixed(sections, f"{name}.weights", rows16 * lines * 4), np.int8)
    packed = data.reshape(n_parts * rows16 // BLOCK, lines // n_parts, BLOCK, 4)
    weights, scales = _read_weights(name, packed, n_columns, bits, layout)
    require(not weights[:, n_columns:].any(), f"{name}: padded columns are not zero")
    bias, row_sum = (
        _numbers(sections, f"{name}.{part}", "<i4", n * rows16) for part, n in (("bias", 1), ("row_sum", n_parts))
    )
    require(bool((row_sum == weights.sum(axis=1, dtype=np.int32)).all()), f"{name}: row_sum is not the weights' sum")
    fine = weights[rows16:, :n_columns] if n_parts == 2 else None
    weights = weights[:rows16]
    last = "logit_scale" if name == "layer_6" else "multiplier"
    factor = _numbers(sections, f"{name}.{last}", "<f4" if name == "layer_6" else "<i4", rows16)
    own = 4 * geometry.n_cell if name.startswith("lstm") else n_rows
    if name.startswith("lstm"):
        good = n_rows == 4 * round_up(geometry.n_cell, BLOCK)
        require(good, f"{name}: {n_rows} rows do not fit {geometry.n_cell} cells")
    parts = [_from_file_rows(name, values, own) for values in (weights[:, :n_columns], bias, factor)]
    if scales is not None:
        scales, _ = _from_file_rows(name, scales, own)
    require(not any(padding.any() for _, padding in parts), f"{name}: padded rows are not zero")
    layer = Layer(name, parts[0][0], parts[1][0], shift, input_scale, output_scale, weight_bits=bits, scales=scales)
    layer.output_residual_bits = residual
    if fine is not None:
        layer.fine, padding = _from_file_rows(name, fine, own)
        require(not padding.any(), f"{name}: padded rows are not zero")
    if name == "layer_6":
        layer.logit_scale = parts[2][0]
    else:
        layer.multiplier = parts[2][0]
    return layer
