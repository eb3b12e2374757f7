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
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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

Array = NDArray[Any]

MAGIC = b"\x89NNA\r\n\x1a\n"
VERSION = 1
LAYER_NAMES = ("layer_1", "layer_2", "layer_3", "lstm_x", "lstm_h", "layer_5", "layer_6")
SIGNED_INPUT = frozenset({"layer_1", "lstm_h", "layer_5"})
WEIGHT_BITS = (8, 4)
BLOCK = 16  # rows that a kernel computes together
MAX_COLUMNS = 32768
MAX_BIAS = (1 << 30) - 1
MAX_MULTIPLIER = (1 << 31) - 1
MAX_METADATA = 1 << 20

_HEADER = struct.Struct("<8sIIQII")
_SECTION = struct.Struct("<32sQQ")
_LAYER = struct.Struct("<6i2f32x")
_GEOMETRY = struct.Struct("<12i3f2i60x")


def round_up(n: int, multiple: int) -> int:
    """The least multiple of `multiple` that is not below `n`."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True)
class Geometry:
    """The section `geometry`, in its order; lengths in samples, limits in Hz."""

    sample_rate: int
    window: int
    step: int
    n_coefficients: int
    n_mel: int
    n_context: int
    n_labels: int
    blank: int
    n_cell: int
    cell_fraction_bits: int
    h_multiplier: int
    h_shift: int
    mel_lower_hz: float
    mel_upper_hz: float
    h_scale: float
    feature_low_bits: int = 0
    speech_rows: int = 0

    _ranges: ClassVar[dict[str, tuple[int, int]]] = {
        "sample_rate": (1000, 384000),
        "window": (64, 4096),
        "step": (1, 4096),
        "n_coefficients": (1, 128),
        "n_mel": (1, 128),
        "n_context": (0, 64),
        "n_labels": (2, 8192),
        "n_cell": (1, MAX_COLUMNS // 4),
        "cell_fraction_bits": (1, 15),
        "h_multiplier": (0, 32767),
        "h_shift": (1, 30),
    }

    def check(self) -> None:
        """Raises FileValueError for a value out of its range."""
        for name, (low, high) in self._ranges.items():
            value = getattr(self, name)
            _require(low <= value <= high, f"geometry: {name} is {value}, not from {low} to {high}")
        _require(self.window & (self.window - 1) == 0, f"geometry: window is {self.window}, not a power of two")
        _require(self.step <= self.window, f"geometry: step {self.step} is longer than the window, {self.window}")
        _require(self.n_coefficients <= self.n_mel, "geometry: more coefficients than mel bands")
        _require(
            self.blank == self.n_labels - 1, f"geometry: blank is {self.blank}, not the last label, {self.n_labels - 1}"
        )
        _require(
            0 <= self.mel_lower_hz < self.mel_upper_hz <= self.sample_rate / 2,
            f"geometry: the mel band {self.mel_lower_hz} to {self.mel_upper_hz} Hz is not within 0 to half the "
            f"sample rate",
        )
        _require(0 < self.h_scale < np.inf, f"geometry: h_scale is {self.h_scale}, not positive")
        _require(self.speech_rows in (0, 1), f"geometry: speech_rows is {self.speech_rows}, not 0 or 1")
        _require(self.feature_low_bits in (0, 8), f"geometry: feature_low_bits is {self.feature_low_bits}, not 0 or 8")


@dataclass
class Layer:
    """One matrix of the network, unpacked: rows in the network's own order, no padding.

    The LSTM's rows are [gate (i, g, f, o)][cell]; the file's order and padding are this module's affair.

    Attributes
    ----------
    weights : int8 [rows, columns]
        Within +-127; of 4 bits multiples of 16 within +-112, whose upper halves are what the file holds.
    bias : int32 [rows]
        The zero point's correction folded in.
    multiplier : int32 [rows] or None
        None for layer_6.
    logit_scale : float32 [rows] or None
        layer_6 alone.
    shift : int
        1 to 62; 1 for layer_6, which has none.
    input_scale, output_scale : float
        Real units a step; 0 where it means nothing.
    weight_bits : int
        8 or 4.
    """

    name: str
    weights: Array
    bias: Array
    shift: int
    input_scale: float
    output_scale: float
    multiplier: Array | None = None
    logit_scale: Array | None = None
    weight_bits: int = 8

    @property
    def input_signed(self) -> bool:
        """Whether inputs enter as value + 128."""
        return self.name in SIGNED_INPUT

    @property
    def is_lstm(self) -> bool:
        """Whether rows are four gates of cells."""
        return self.name.startswith("lstm")

    @property
    def n_rows(self) -> int:
        """Rows as the file counts them: the LSTM's gates are padded to whole blocks of cells."""
        return 4 * round_up(len(self.weights) // 4, BLOCK) if self.is_lstm else len(self.weights)

    @property
    def row_sum(self) -> Array:
        """int32 [rows]."""
        return np.asarray(self.weights.sum(axis=1, dtype=np.int32))


@dataclass
class NnaModel:
    """All that a .nna file holds.

    Attributes
    ----------
    alphabet : list of str
        The labels but the blank.
    label_priors : float32 [n_labels]
    feature_gain : float32 [n_coefficients]
        Steps a unit.
    metadata : dict
        JSON.
    layers : list of Layer
        The seven, in the order of `LAYER_NAMES`.
    """

    geometry: Geometry
    layers: list[Layer]
    alphabet: list[str]
    label_priors: Array
    feature_gain: Array
    metadata: dict[str, Any] = field(default_factory=dict)


def _require(condition: bool, message: str, error: type[ModelFileError] = FileValueError) -> None:
    if not condition:
        raise error(message)


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
    padded = np.zeros((rows16, round_up(columns, 32 // bits)), np.int8)
    padded[:, :columns] = weights
    groups = np.ascontiguousarray(padded.reshape(rows16 // BLOCK, BLOCK, -1, 4).transpose(0, 2, 1, 3))
    if bits == 8:
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


# ---- writing -------------------------------------------------------------------------------------


def _layer_sections(layer: Layer) -> list[tuple[str, bytes]]:
    def rows(values: Array, kind: str) -> bytes:
        return _to_file_rows(layer, values).astype(kind).tobytes()

    last, kind, factor = ("multiplier", "<i4", layer.multiplier)
    if layer.name == "layer_6":
        last, kind, factor = ("logit_scale", "<f4", layer.logit_scale)
    assert factor is not None
    return [
        (f"{layer.name}.weights", pack(_to_file_rows(layer, layer.weights), layer.weight_bits).tobytes()),
        (f"{layer.name}.bias", rows(layer.bias, "<i4")),
        (f"{layer.name}.row_sum", rows(layer.row_sum, "<i4")),
        (f"{layer.name}.{last}", rows(factor, kind)),
    ]


def _layer_entry(layer: Layer) -> bytes:
    return _LAYER.pack(
        layer.n_rows,
        layer.weights.shape[1],
        layer.weight_bits,
        0,
        int(layer.input_signed),
        layer.shift,
        layer.input_scale,
        layer.output_scale,
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
    write_bytes(encode_nna(model), path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes a file beside its place and renames it there, so that nobody maps half a file."""
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.write_bytes(data)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


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
    _require(labels.endswith("\0"), "the alphabet's last label has no end")
    _require(isinstance(metadata, dict), "metadata is no JSON object")
    priors = _numbers(sections, "label_priors", "<f4", geometry.n_labels)
    gain = _numbers(sections, "feature_gain", "<f4", geometry.n_coefficients)
    model = NnaModel(geometry, layers, labels.split("\0")[:-1], priors, gain, metadata)
    check_model(model)
    return model


def _sections(data: bytes) -> dict[str, bytes]:
    """The sections by name, after the checks of header, checksum and table."""
    known = len(data) > 0 and data[:8] == MAGIC[: len(data)]
    _require(known, "not a .nna file (its first bytes differ)", ForeignFileError)
    _require(len(data) >= _HEADER.size, "cut short: the header is not whole", ShortFileError)
    _, version, crc, size, count, zero = _HEADER.unpack_from(data)
    _require(version >= VERSION, f"format version {version} is no longer read: map the model again", OldFileError)
    _require(version <= VERSION, f"format version {version} is newer than {VERSION}, the one read here", NewFileError)
    _require(size <= len(data), f"cut short: {len(data)} bytes of {size}", ShortFileError)
    _require(size == len(data), f"{len(data) - size} bytes too long", LayoutError)
    _require(zlib.crc32(data[16:]) == crc, "damaged: the checksum differs", ChecksumError)
    expected = _section_names()
    end = round_up(_HEADER.size + _SECTION.size * len(expected), 64)
    good = count == len(expected) and zero == 0 and end <= size
    _require(good, f"{count} sections, not {len(expected)}", LayoutError)
    sections = {}
    for i, name in enumerate(expected):
        raw, offset, length = _SECTION.unpack_from(data, _HEADER.size + i * _SECTION.size)
        _require(raw == name.encode().ljust(32, b"\0"), f"section {i} is {raw!r}, not {name}", LayoutError)
        _require(
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
    _require(len(data) == size, f"section {name} has {len(data)} bytes, not {size}", LayoutError)
    return data


def _numbers(sections: dict[str, bytes], name: str, kind: str, count: int) -> Array:
    return np.frombuffer(_fixed(sections, name, 4 * count), kind).astype(kind[1:])


def _read_layer(name: str, entry: tuple[Any, ...], sections: dict[str, bytes], geometry: Geometry) -> Layer:
    n_rows, n_columns, bits, layout, signed, shift, input_scale, output_scale = entry
    known = bits in WEIGHT_BITS and layout == 0
    _require(known, f"{name}: weights of {bits} bits in layout {layout} are not known here")
    _require(signed == int(name in SIGNED_INPUT), f"{name}: input_signed is {signed}")
    _require(
        1 <= n_columns <= MAX_COLUMNS and 1 <= n_rows <= 4 * MAX_COLUMNS,
        f"{name}: {n_rows} rows of {n_columns} columns are out of range",
    )
    rows16, lines = round_up(n_rows, BLOCK), round_up(n_columns, 32 // bits) * bits // 32
    packed = np.frombuffer(_fixed(sections, f"{name}.weights", rows16 * lines * 4), np.int8)
    weights = unpack(packed.reshape(rows16 // BLOCK, lines, BLOCK, 4), bits)
    _require(not weights[:, n_columns:].any(), f"{name}: padded columns are not zero")
    bias, row_sum = (_numbers(sections, f"{name}.{part}", "<i4", rows16) for part in ("bias", "row_sum"))
    _require(bool((row_sum == weights.sum(axis=1, dtype=np.int32)).all()), f"{name}: row_sum is not the weights' sum")
    last = "logit_scale" if name == "layer_6" else "multiplier"
    factor = _numbers(sections, f"{name}.{last}", "<f4" if name == "layer_6" else "<i4", rows16)
    own = 4 * geometry.n_cell if name.startswith("lstm") else n_rows
    if name.startswith("lstm"):
        good = n_rows == 4 * round_up(geometry.n_cell, BLOCK)
        _require(good, f"{name}: {n_rows} rows do not fit {geometry.n_cell} cells")
    parts = [_from_file_rows(name, values, own) for values in (weights[:, :n_columns], bias, factor)]
    _require(not any(padding.any() for _, padding in parts), f"{name}: padded rows are not zero")
    layer = Layer(name, parts[0][0], parts[1][0], shift, input_scale, output_scale, weight_bits=bits)
    if name == "layer_6":
        layer.logit_scale = parts[2][0]
    else:
        layer.multiplier = parts[2][0]
    return layer


# ---- checks --------------------------------------------------------------------------------------


def check_model(model: NnaModel) -> None:
    """Everything that csrc/doc/formats.md demands of the values, before writing and after reading.

    Raises
    ------
    FileValueError
    """
    model.geometry.check()
    _require([layer.name for layer in model.layers] == list(LAYER_NAMES), f"layers are not {', '.join(LAYER_NAMES)}")
    _check_shapes(model)
    for layer in model.layers:
        _check_layer(layer, layer.name == "layer_1" and model.geometry.feature_low_bits > 0)
    _require(model.layers[3].shift == model.layers[4].shift, "lstm_x and lstm_h have different shifts")
    priors, gain, labels = model.label_priors, model.feature_gain, model.alphabet
    g = model.geometry
    _require(len(labels) == g.n_labels - 1, f"{len(labels)} labels in the alphabet, not {g.n_labels - 1}")
    _require(all(label and "\0" not in label for label in labels), "an empty label, or one with a zero byte")
    _require(len(set(labels)) == len(labels), "the same label twice in the alphabet")
    _require(
        priors.shape == (g.n_labels,) and bool(((priors > 0) & (priors <= 1)).all()),
        f"label_priors are not {g.n_labels} numbers above 0 and up to 1",
    )
    _require(
        gain.shape == (g.n_coefficients,) and bool((np.isfinite(gain) & (gain > 0)).all()),
        f"feature_gain is not {g.n_coefficients} finite positive numbers",
    )


def _check_shapes(model: NnaModel) -> None:
    g = model.geometry
    shape = {layer.name: layer.weights.shape for layer in model.layers}
    chain: list[tuple[str, int]] = [
        ("layer_1", (2 * g.n_context + 1) * g.n_coefficients),
        ("layer_2", shape["layer_1"][0]),
        ("layer_3", shape["layer_2"][0]),
        ("lstm_x", shape["layer_3"][0]),
        ("lstm_h", g.n_cell),
        ("layer_5", g.n_cell),
        ("layer_6", shape["layer_5"][0]),
    ]
    for name, columns in chain:
        _require(shape[name][1] == columns, f"{name} has {shape[name][1]} columns, not {columns}")
        _require(columns <= MAX_COLUMNS, f"{name} has {columns} columns; {MAX_COLUMNS} is the limit")
    for name in ("lstm_x", "lstm_h"):
        _require(shape[name][0] == 4 * g.n_cell, f"{name} has {shape[name][0]} rows, not {4 * g.n_cell}")
    _require(
        shape["layer_6"][0] == g.n_labels + g.speech_rows,
        f"layer_6 has {shape['layer_6'][0]} rows, not {g.n_labels} labels and {g.speech_rows} for speech",
    )


def _within(values: Array, low: int, high: int) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _check_layer(layer: Layer, has_low: bool) -> None:
    rows = len(layer.weights)
    good = layer.weights.dtype == np.int8 and _within(layer.weights, -127, 127)
    _require(good, f"{layer.name}: a weight is not within +-127")
    _require(layer.weight_bits in WEIGHT_BITS, f"{layer.name}: weights of {layer.weight_bits} bits; 8 or 4 is right")
    good = layer.weight_bits == 8 or not (layer.weights & 15).any()
    _require(good, f"{layer.name}: a weight of 4 bits is not a multiple of 16")
    good = layer.bias.shape == (rows,) and _within(layer.bias, -MAX_BIAS, MAX_BIAS)
    _require(good, f"{layer.name}: a bias reaches 2^30")
    good = 0 < layer.input_scale < np.inf and 0 <= layer.output_scale < np.inf
    _require(good, f"{layer.name}: a scale is not positive")
    _require(1 <= layer.shift <= 62, f"{layer.name}: shift {layer.shift} is not from 1 to 62")
    if layer.name == "layer_6":
        scale = layer.logit_scale
        _require(
            scale is not None and scale.shape == (rows,) and bool((np.isfinite(scale) & (scale > 0)).all()),
            "layer_6: a logit_scale is not finite and positive",
        )
        return
    m = layer.multiplier
    good = m is not None and m.shape == (rows,) and _within(m, 0, MAX_MULTIPLIER)
    _require(good, f"{layer.name}: a multiplier is negative")
    assert m is not None
    sums = layer.weights.shape[1] * (255 * 127 + 64 * has_low) + np.abs(layer.bias.astype(np.int64))
    largest, half = int((sums * m).max()), 1 << layer.shift - 1
    good = (largest + half) >> layer.shift < 1 << 30 and 2 * largest + half < 1 << 63
    _require(good, f"{layer.name}: a sum could leave 32 bits after its shift, or 64 before it")


def describe(model: NnaModel) -> dict[str, Any]:
    """Sizes and parameters as a plain dict, for a model's metadata."""
    g = {f.name: getattr(model.geometry, f.name) for f in fields(model.geometry)}
    weights = sum(layer.weights.size for layer in model.layers)
    return {"geometry": g, "alphabet": model.alphabet, "weights": weights, "metadata": model.metadata}
