# SPDX-License-Identifier: Apache-2.0
"""The C loader of .nna files against the Python writer and reader, and its own test programs under the sanitizers."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nna_models import random_file, random_model

from pynna.errors import ModelFileError, error_for_status
from pynna.mapping.nna import decode_nna, encode_nna

CSRC = Path(__file__).resolve().parents[2] / "csrc"
TABLE, ENTRY = 32, 48


class Loader:
    def __init__(self, lib: Any, ffi: Any, allocate: Callable[[int], Any]) -> None:
        self.lib, self.ffi, self.allocate = lib, ffi, allocate
        self._kept: list[Any] = []

    def load(self, data: bytes) -> tuple[int, Any]:
        """(status, model or NULL)."""
        file, memory = self.allocate(max(len(data), 1)), self.allocate(self.lib.pynna_model_size())
        self.ffi.buffer(file)[: len(data)] = data
        out = self.ffi.new("const pynna_model **")
        status = self.lib.pynna_model_init(memory, len(memory), file, len(data), out)
        self._kept = [file, memory]
        return status, out[0]


@pytest.fixture
def loader(lib: Any, ffi: Any, allocate: Callable[[int], Any]) -> Loader:
    return Loader(lib, ffi, allocate)


def with_checksum(data: bytearray) -> bytes:
    struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    return bytes(data)


def section(data: bytes, index: int) -> tuple[int, int]:
    """(offset, size)."""
    return struct.unpack_from("<QQ", data, TABLE + ENTRY * index + 32)


def test_what_the_writer_wrote_is_what_the_loader_reads(loader: Loader) -> None:
    labels = ["ä", "€", "𐍈", " ", "ch", "'"]
    model = random_model(
        21, alphabet=labels, n_context=3, n_coefficients=13, cell=18, upper_hz=8000.0, output_residuals=["layer_3"]
    )
    model.label_priors = np.linspace(0.1, 1.0, 7).astype(np.float32)
    model.metadata = {"name": "Größe", "n": [1, 2]}
    status, loaded = loader.load(encode_nna(model))
    assert status == 0
    lib, ffi, g = loader.lib, loader.ffi, loader.lib.pynna_model_geometry(loaded)
    for name in (
        "sample_rate",
        "window",
        "step",
        "n_coefficients",
        "n_mel",
        "n_context",
        "n_labels",
        "blank",
        "n_cell",
        "cell_fraction_bits",
        "h_multiplier",
        "h_shift",
        "mel_lower_hz",
        "mel_upper_hz",
        "feature_residual_bits",
    ):
        assert getattr(g, name) == getattr(model.geometry, name), name
    assert g.h_scale == np.float32(model.geometry.h_scale)
    assert [ffi.string(lib.pynna_model_label(loaded, i)).decode() for i in range(7)] == [*labels, ""]
    np.testing.assert_array_equal(ffi.unpack(lib.pynna_model_label_priors(loaded), 7), model.label_priors)
    np.testing.assert_array_equal(ffi.unpack(lib.pynna_model_feature_gain(loaded), 13), model.feature_gain)
    n = ffi.new("size_t *")
    text = ffi.buffer(lib.pynna_model_metadata(loaded, n), n[0])[:].decode()
    assert '"Größe"' in text
    for i, layer in enumerate(model.layers):
        info = lib.pynna_model_layer(loaded, i)
        assert ffi.string(lib.pynna_layer_name(i)).decode() == layer.name
        assert (info.n_rows, info.n_columns) == (layer.n_rows, layer.weights.shape[1])
        assert (info.shift, info.input_signed) == (layer.shift, layer.input_signed)
        assert info.output_residual_bits == layer.output_residual_bits == (8 if layer.name == "layer_3" else 0)


def test_every_length_of_a_cut_file_is_told_as_cut_short(loader: Loader) -> None:
    data, rng = random_file(17), np.random.default_rng(0)
    assert loader.load(b"")[0] == 16
    for n in [*range(1, 100), *rng.integers(100, len(data), 200), len(data) - 1]:
        assert loader.load(data[:n])[0] == 19, n


def test_a_flipped_bit_anywhere_behind_the_checksum_is_told_as_damage(loader: Loader) -> None:
    data, rng = bytearray(random_file(17)), np.random.default_rng(0)
    for at in rng.integers(24, len(data), 300):
        bit = 1 << int(rng.integers(8))
        data[at] ^= bit
        assert loader.load(bytes(data))[0] == 20, at
        data[at] ^= bit
    assert loader.load(bytes(data))[0] == 0


@pytest.mark.parametrize("bits4", [(), ("layer_2", "lstm_x", "layer_6")])
def test_what_the_python_reader_accepts_the_loader_accepts_and_they_name_the_same_errors(
    loader: Loader, bits4: tuple[str, ...]
) -> None:
    """The same bytes changed at random places, with a right checksum, through two independent readers."""
    data, rng = random_file(18, n_coefficients=5, n_context=1, bits4=bits4), np.random.default_rng(7)
    agreed = accepted = 0
    for _ in range(400):
        changed = bytearray(data)
        offset, size = (24, TABLE + ENTRY * 34 - 24) if rng.random() < 0.2 else section(data, int(rng.integers(34)))
        at = offset + int(rng.integers(size))
        if rng.random() < 0.5:
            changed[at] = int(rng.integers(256))
        else:
            value = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
            struct.pack_into("<I", changed, min(at // 4 * 4, len(data) - 4), value)
        whole = with_checksum(changed)
        status, _ = loader.load(whole)
        try:
            decode_nna(whole)
        except ModelFileError as error:
            agreed += status != 0 and type(error) is type(error_for_status(status, ""))
        else:
            assert status == 0
            accepted += 1
    assert accepted > 30  # the rest was refused, nearly always by both and for the same reason
    assert agreed > 0.8 * (400 - accepted)


# ---- the loader's own test program ---------------------------------------------------------------


def test_hundreds_of_flips_cuts_and_lies_pass_under_the_address_and_undefined_behaviour_sanitizers(
    tmp_path: Path,
) -> None:
    """csrc/tests/test_nna_*.c; all of csrc's programs run under them by `make check` (.ci/run)."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    flags = f"-std=c11 -O0 -ffp-contract=off -fsanitize=address,undefined -fno-sanitize-recover=all -I{CSRC} -pthread"
    command = ["gcc", *flags.split()]
    parts = ("nna_file.c", "network*.c", "mac_array_*.c", "threads.c", "isa.c", "activation.c", "status.c")
    sources = sorted(str(path) for part in parts for path in CSRC.glob(part))
    subprocess.run([*command, "-c", *sources], cwd=tmp_path, check=True)
    objects = sorted(str(path) for path in tmp_path.glob("*.o"))
    programs = sorted((CSRC / "tests").glob("test_nna_*.c"))
    assert len(programs) == 3
    for source in programs:
        program = str(tmp_path / source.stem)
        built = subprocess.run([*command, str(source), *objects, "-o", program, "-lm"], capture_output=True, text=True)
        if "cannot find" in built.stderr:
            pytest.skip("gcc has no sanitizers here")
        assert built.returncode == 0, built.stderr
        ran = subprocess.run([program], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
