# SPDX-License-Identifier: Apache-2.0
"""The .nna writer and reader: the format of csrc/doc/formats.md, and every way in which a file can be wrong."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nna_models import random_file, random_model

from pynna.errors import (
    FileValueError,
    ForeignFileError,
    LayoutError,
    MappingError,
    ModelFileError,
    NewFileError,
    OldFileError,
    ShortFileError,
)
from pynna.mapping.nna import decode_nna, encode_nna, pack, read_nna, unpack, write_nna
from pynna.mapping.nna_model import LAYER_NAMES, NnaModel

SECTIONS = 34


def _sections(data: bytes) -> dict[str, tuple[int, int]]:
    """Offset and size of each section, read straight from the table."""
    out = {}
    for i in range(SECTIONS):
        name, offset, size = struct.unpack_from("<32sQQ", data, 32 + 48 * i)
        out[name.rstrip(b"\0").decode()] = offset, size
    return out


def _sealed(data: bytearray) -> bytes:
    """With the checksum put right again."""
    data[12:16] = struct.pack("<I", zlib.crc32(data[16:]))
    return bytes(data)


def _equal(a: NnaModel, b: NnaModel) -> None:
    assert a.alphabet == b.alphabet and a.metadata == b.metadata
    for name, value in vars(a.geometry).items():
        assert getattr(b.geometry, name) == pytest.approx(value, rel=1e-6), name
    np.testing.assert_array_equal(a.label_priors, b.label_priors)
    np.testing.assert_array_equal(a.feature_gain, b.feature_gain)
    for one, other in zip(a.layers, b.layers, strict=True):
        for part in ("name", "shift", "n_rows", "weight_bits"):
            assert getattr(one, part) == getattr(other, part)
        for part in ("weights", "bias", "row_sum", "multiplier", "logit_scale"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize(("width", "cell"), [(1, 1), (16, 16), (29, 31), (40, 17)])
def test_what_is_written_is_read_back(width: int, cell: int, tmp_path: Path) -> None:
    model = random_model(width, cell=cell, alphabet=["a", "ß", "か"], seed=width)
    model.metadata = {"name": "prüfung", "report": {"x": [1, 2.5]}}
    write_nna(model, tmp_path / "a.nna")
    _equal(read_nna(tmp_path / "a.nna"), model)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nna"]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("bits4", [["lstm_h"], ["layer_1", "layer_6"], LAYER_NAMES])
def test_weights_of_4_bits_are_read_back(bits4: list[str], scaled: bool) -> None:
    model = random_model(37, cell=19, bits4=bits4, scaled=scaled)
    data = encode_nna(model)
    _equal(decode_nna(data), model)
    assert len(data) < len(encode_nna(random_model(37, cell=19)))


def test_file_begins_as_the_format_says() -> None:
    data = random_file(20)
    assert data[:8] == b"\x89NNA\r\n\x1a\n"
    version, crc, size, count, zero = struct.unpack_from("<IIQII", data, 8)
    assert (version, crc, size, count, zero) == (1, zlib.crc32(data[16:]), len(data), SECTIONS, 0)
    assert all(offset % 64 == 0 for offset, _ in _sections(data).values())
    assert list(_sections(data))[:7] == [
        "geometry",
        "layers",
        "alphabet",
        "label_priors",
        "feature_gain",
        "provenance",
        "layer_1.weights",
    ]


def test_bytes_between_sections_are_zero() -> None:
    data = random_file(20)
    end = 32 + 48 * SECTIONS
    for offset, size in _sections(data).values():
        assert not any(data[end:offset])
        end = offset + size
    assert end == len(data)


@given(st.integers(1, 70), st.integers(1, 30))
def test_packing_is_the_formula_of_the_readme(rows: int, columns: int) -> None:
    rows16, columns4 = -(-rows // 16) * 16, -(-columns // 4)
    weights = np.zeros((rows16, columns), np.int8)
    weights[:rows] = np.random.default_rng(rows).integers(-127, 128, (rows, columns))
    packed = pack(weights)
    flat = packed.ravel()
    for r, k in [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)]:
        assert flat[((r // 16 * columns4 + k // 4) * 16 + r % 16) * 4 + k % 4] == weights[r, k]
    assert np.abs(flat.astype(int)).sum() == np.abs(weights.astype(int)).sum()
    np.testing.assert_array_equal(unpack(packed)[:, :columns], weights)


@given(st.integers(1, 70), st.integers(1, 30))
def test_packing_of_4_bits_is_the_formula_of_the_readme(rows: int, columns: int) -> None:
    rows16, columns8 = -(-rows // 16) * 16, -(-columns // 8)
    weights = np.zeros((rows16, columns), np.int8)
    weights[:rows] = np.random.default_rng(rows).integers(-7, 8, (rows, columns)) * 16
    packed = pack(weights, 4)
    assert packed.shape == (rows16 // 16, columns8, 16, 4)
    for r, k in [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)]:
        byte = int(packed.view(np.uint8).ravel()[((r // 16 * columns8 + k // 8) * 16 + r % 16) * 4 + k % 4])
        half = byte >> 4 if k // 4 % 2 else byte & 15
        assert half == int(weights[r, k]) // 16 % 16
    np.testing.assert_array_equal(unpack(packed, 4)[:, :columns], weights)
    assert not unpack(packed, 4)[:, columns:].any()


def test_rows_of_the_lstm_have_a_blocks_gates_together() -> None:
    model = random_model(8, cell=19)
    data = encode_nna(model)
    offset, size = _sections(data)["lstm_x.bias"]
    bias = np.frombuffer(data[offset : offset + size], "<i4")
    assert len(bias) == 4 * 32
    for gate in range(4):
        for cell in range(19):
            assert bias[(cell // 16 * 4 + gate) * 16 + cell % 16] == model.layers[3].bias[gate * 19 + cell]


# ---- bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "error"), [
    (b"", ForeignFileError), (b"RIFF" + bytes(2000), ForeignFileError), (bytes(3000), ForeignFileError),
    (random_file()[:5], ShortFileError), (random_file()[:31], ShortFileError), (random_file()[:700], ShortFileError),
    (random_file()[:-1], ShortFileError), (random_file() + b"\0", LayoutError),
])  # fmt: skip
def test_foreign_and_cut_files_are_named(data: bytes, error: type[ModelFileError]) -> None:
    with pytest.raises(error, match="a file: "):
        decode_nna(data, "a file")


@pytest.mark.parametrize(("version", "error"), [(0, OldFileError), (2, NewFileError)])
def test_other_versions_are_named(version: int, error: type[ModelFileError]) -> None:
    data = bytearray(random_file())
    data[8:12] = struct.pack("<I", version)
    with pytest.raises(error, match="version"):
        decode_nna(bytes(data))


@given(st.data())
def test_any_flipped_bit_is_found(draws: st.DataObject) -> None:
    data = bytearray(_SMALL)
    data[draws.draw(st.integers(0, len(data) - 1))] ^= 1 << draws.draw(st.integers(0, 7))
    with pytest.raises(ModelFileError):
        decode_nna(bytes(data))


@given(st.data())
def test_any_damage_with_a_right_checksum_is_an_error_or_a_model(draws: st.DataObject) -> None:
    data = bytearray(_SMALL)
    at = draws.draw(st.integers(16, 2200))
    data[at : at + 4] = struct.pack("<I", draws.draw(st.sampled_from([0, 1, 127, 128, 2**31 - 1, 2**31, 2**32 - 1])))
    with suppress(ModelFileError):
        decode_nna(_sealed(data))


_SMALL = random_file(4, cell=3, n_context=0, alphabet=["a", "b"])


@pytest.mark.parametrize(("section", "at", "value", "error"), [
    ("geometry", 0, 999, FileValueError), ("geometry", 4, 500, FileValueError), ("geometry", 28, 0, FileValueError),
    ("geometry", 36, 16, FileValueError), ("geometry", 36, 0, FileValueError), ("geometry", 40, -1, FileValueError),
    ("geometry", 60, 4, FileValueError), ("geometry", 60, 16, FileValueError),
    ("layers", 0, 2**30, FileValueError), ("layers", 4, 25, FileValueError), ("layers", 8, 4, LayoutError),
    ("layers", 8, 5, FileValueError), ("layers", 8, 0, FileValueError), ("layers", 8, 2**31 - 1, FileValueError),
    ("layers", 32, 16, FileValueError), ("layers", 3 * 64 + 32, 8, FileValueError),
    ("layers", 16, 0, FileValueError), ("layers", 20, 0, FileValueError), ("layers", 20, 63, FileValueError),
    ("feature_gain", 0, 0, FileValueError), ("feature_gain", 4, 0x7FC00000, FileValueError),
    ("label_priors", 0, 0x40000000, FileValueError), ("layer_2.bias", 0, 2**30, FileValueError),
    ("layer_2.row_sum", 0, 9999, FileValueError), ("layer_2.multiplier", 0, -1, FileValueError),
    ("layer_2.multiplier", 60, 1, FileValueError), ("layer_6.logit_scale", 0, 0x7F800000, FileValueError),
    ("lstm_x.weights", 0, -(2**31), FileValueError),
])  # fmt: skip
def test_values_out_of_range_are_named(section: str, at: int, value: int, error: type[ModelFileError]) -> None:
    data = bytearray(_SMALL)
    offset = _sections(_SMALL)[section][0] + at
    data[offset : offset + 4] = struct.pack("<I", value & 0xFFFFFFFF)
    with pytest.raises(error):
        decode_nna(_sealed(data))


@pytest.mark.parametrize("change", ["misaligned", "overlapping", "renamed", "beyond", "huge"])
def test_a_wrong_table_is_named(change: str) -> None:
    data = bytearray(_SMALL)
    entry = 32 + 48 * 2
    offset, size = _sections(_SMALL)["alphabet"]
    if change == "renamed":
        data[entry : entry + 3] = b"ALP"
    else:
        new = {
            "misaligned": (offset + 1, size),
            "overlapping": (offset - 64, size),
            "beyond": (offset, len(data)),
            "huge": (2**64 - 64, 128),
        }[change]
        data[entry + 32 : entry + 48] = struct.pack("<QQ", *new)
    with pytest.raises(LayoutError):
        decode_nna(_sealed(data))


@pytest.mark.parametrize("text", [b"a\0\0", b"a\0bc", b"\xff\0b\0"])
def test_a_wrong_alphabet_is_named(text: bytes) -> None:
    data = bytearray(_SMALL)
    offset, size = _sections(_SMALL)["alphabet"]
    data[offset : offset + size] = text.ljust(size, b"\0")[:size]
    with pytest.raises(ModelFileError):
        decode_nna(_sealed(data))


# ---- what cannot be written ----------------------------------------------------------------------


def test_a_model_that_breaks_the_format_is_not_written(tmp_path: Path) -> None:
    model = random_model(8)
    model.layers[1].bias = np.full_like(model.layers[1].bias, 2**30)
    with pytest.raises(MappingError, match=r"layer_2: a bias reaches 2\^30"):
        write_nna(model, tmp_path / "a.nna")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_none_of_4_bits_are_not_written() -> None:
    model = random_model(8, bits4=["layer_2"], scaled=False)
    model.layers[1].weights[3, 2] = 17
    with pytest.raises(MappingError, match="layer_2: a weight of 4 bits is not a multiple of 16"):
        encode_nna(model)
    model.layers[1].weight_bits = 2
    with pytest.raises(MappingError, match="layer_2: weights of 2 bits; 16, 8 or 4 is right"):
        encode_nna(model)


def test_a_geometry_of_another_network_is_not_written() -> None:
    model = random_model(8)
    model.geometry = replace(model.geometry, n_cell=9)
    with pytest.raises(MappingError, match="lstm_h has 8 columns, not 9"):
        encode_nna(model)


def test_metadata_beyond_its_limit_is_not_written() -> None:
    model = random_model(8)
    model.metadata = {"name": "x" * (1 << 20)}
    with pytest.raises(MappingError, match="metadata"):
        encode_nna(model)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.nna"
    write_nna(random_model(8, seed=1), path)
    before = path.read_bytes()
    with pytest.raises(MappingError):
        bad = random_model(8)
        bad.alphabet = ["a"]
        write_nna(bad, path)
    assert path.read_bytes() == before


def _scaled() -> NnaModel:
    return random_model(70, bits4=["layer_2"])


@pytest.mark.parametrize(("scale", "weight", "message"), [
    (0, 0, "a scale is not from 1 to 16"), (17, 0, "a scale is not from 1 to 16"),
    (5, 12, "a weight is not 7 or fewer times its scale"), (5, 40, "a weight is not 7 or fewer times its scale"),
])  # fmt: skip
def test_wrong_scales_are_not_written(scale: int, weight: int, message: str) -> None:
    model = _scaled()
    layer = model.layers[1]
    assert layer.scales is not None
    layer.weights[3], layer.scales[3], layer.weights[3, 66] = 0, scale, weight
    with pytest.raises(MappingError, match=f"layer_2: {message}"):
        encode_nna(model)


def test_scales_are_of_4_bits_alone() -> None:
    model = _scaled()
    model.layers[1].weight_bits = 8
    with pytest.raises(MappingError, match="layer_2: weights of 8 bits have no scales"):
        encode_nna(model)


@pytest.mark.parametrize(("place", "byte", "message"), [
    (0, 0, "a scale is not from 1 to 16"), (16, 17, "a scale is not from 1 to 16"),
    (32, 1, "a scale is not from 1 to 16"),  # of a span that there is not
    (64, 0x80, "a weight of 4 bits is -8"), (64, 0x08, "a weight of 4 bits is -8"),
])  # fmt: skip
def test_wrong_scales_are_not_read(place: int, byte: int, message: str) -> None:
    data = bytearray(encode_nna(_scaled()))
    offset, _ = _sections(bytes(data))["layer_2.weights"]
    data[offset + place] = byte
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "little")
    with pytest.raises(FileValueError, match=message):
        decode_nna(bytes(data))
