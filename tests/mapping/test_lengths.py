# SPDX-License-Identifier: Apache-2.0
"""Lengths of a gigabyte in files of a few kilobytes: every reader gives a named error, and takes no such memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.float_networks import random_weights
from support.model_files import field, torch_tensors, varint, write_checkpoint, write_safetensors

import pynna
from pynna.deepspeech.scorers import words_of, write_scorer
from pynna.mapping import export_npz, export_tflite
from pynna.mapping.front_end import MfccConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HUGE = 1 << 30
WEIGHTS = random_weights(9, features=MfccConfig(upper_hz=8000.0), forget_bias=0.0)
LABELS = [label.encode() for label in WEIGHTS.alphabet]

# Reads each file and tells the error, and by how many bytes the addresses in use rose over all that were before.
READER = """
import json, re, sys
from pathlib import Path
from pynna.deepspeech._client import Search
from pynna.deepspeech.scorers import made_trie
from pynna.mapping.importers import load_weights
labels, good, *paths = json.loads(sys.argv[1])
labels = [label.encode() for label in labels]

def peak():
    return 1024 * int(re.search(r"VmPeak:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def read(path):
    if path.endswith(".scorer"):
        Search(labels, scorer=path.encode())
    elif path.endswith(".trie"):
        Search(labels, scorer=good.encode(), trie=path.encode())
    elif path.endswith(".binary"):
        Search(labels, scorer=path.encode(), trie=bytes(made_trie(Path(good), labels)))
    else:
        load_weights(path)

out = {}
for path in paths:
    before, told = peak(), None
    try:
        read(path)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    out[Path(path).name] = [told, peak() - before]
print(json.dumps(out))
"""

Write = Callable[[Path], object]


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def archive(members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def longer_members(data: bytes) -> bytes:
    """A zip whose directory says of its first file that it has a gigabyte."""
    at = data.index(b"PK\x01\x02")
    return patched(data, at + 20, struct.pack("<II", HUGE, HUGE))


def npz(header: tuple[int, ...], kind: int = zipfile.ZIP_STORED, dtype: str = "<f4") -> bytes:
    """A NumPy archive whose one array is said to have that shape."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": dtype, "fortran_order": False, "shape": header})
    return archive({"layer_1/weights.npy": array.getvalue() + bytes(400)}, kind)


def state_dict(program: bytes) -> bytes:
    """A PyTorch file with that pickle."""
    return archive({"m/data.pkl": b"\x80\x04" + program, "m/data/0": bytes(400)})


def longer_tar(header: bytes) -> bytes:
    """A tar whose first header says that its data, or what it tells, has a gigabyte."""
    info = tarfile.TarInfo("m.pb")
    info.size, info.type = HUGE, header
    return info.tobuf() + bytes(20480)


def scorer(folder: Path) -> bytes:
    lm = GOLDEN / "three.trie.binary"
    write_scorer(lm, words_of(lm), LABELS, folder / "made", alpha=1.0, beta=0.0)
    return (folder / "made").read_bytes()


def tree(kind: bytes, n_states: int, n_arcs: int) -> bytes:
    """A trie whose tree has one state, whatever its header says."""
    head = b"EIRT" + struct.pack("<i?", 5 if kind == b"const" else 3, False) + struct.pack("<i", 2125659606)
    texts = b"".join(struct.pack("<i", len(text)) + text for text in (kind, b"standard"))
    return (
        head + texts + struct.pack("<iiqqqq", 1, 0, 0, 0, n_states, n_arcs) + struct.pack("<fq", 0, n_arcs) + bytes(99)
    )


def tensor(size: int, raw: bytes) -> bytes:
    return field(7, field(5, field(1, size) + field(2, 1) + field(8, "layer_1.w") + raw))


def longer_vector(data: bytes, name: str) -> bytes:
    """A .tflite in which that array has a gigabyte."""
    return patched(data, data.index(struct.pack("<I", WEIGHTS.arrays[name].nbytes)), BIG)


def write_tflite(path: Path) -> None:
    export_tflite(WEIGHTS, path)


def written(write: Callable[[Path], object], folder: Path) -> bytes:
    write(folder / "made.npz")
    return (folder / "made.npz").read_bytes()


LM = (GOLDEN / "three.trie.binary").read_bytes()
BIG = struct.pack("<I", HUGE)
FILES: dict[str, Callable[[Path], bytes]] = {
    "shape.npz": lambda _: npz((HUGE // 4,)),
    "deflated.npz": lambda _: longer_members(npz((HUGE // 4,), zipfile.ZIP_DEFLATED)),
    "text.npz": lambda _: npz((), dtype=f"<U{HUGE // 4}"),
    "member.npz": lambda folder: longer_members(written(lambda path: export_npz(WEIGHTS, path), folder)),
    "header.npz": lambda _: archive({"a.npy": b"\x93NUMPY\x02\x00" + BIG + bytes(99)}),
    "storage.pt": lambda _: longer_members(archive({"m/data/0": bytes(400), "m/data.pkl": b"\x80\x02}."})),
    "bytes.pt": lambda _: state_dict(b"B" + BIG + b"abc."),
    "text.pt": lambda _: state_dict(b"\x8d" + struct.pack("<Q", HUGE) + b"abc."),
    "array.pt": lambda _: state_dict(b"\x96" + struct.pack("<Q", HUGE) + b"abc."),
    "memo.pt": lambda _: state_dict(b"}r" + BIG + b"."),
    "frame.pt": lambda _: state_dict(b"\x95" + struct.pack("<Q", HUGE) + b"}."),
    "header.safetensors": lambda _: struct.pack("<Q", HUGE) + b"{}" + bytes(99),
    "tensor.safetensors": lambda folder: written(
        lambda path: write_safetensors(torch_tensors(WEIGHTS), path), folder
    ).replace(b'"data_offsets": [0, ', b'"data_offsets": [%d, ' % HUGE),
    "zip.zip": lambda _: longer_members(archive({"m.pb": bytes(99)})),
    "deflated.zip": lambda _: longer_members(archive({"m.pb": bytes(9999)}, zipfile.ZIP_DEFLATED)),
    "member.tar": lambda _: longer_tar(tarfile.REGTYPE),
    "name.tar": lambda _: longer_tar(tarfile.GNUTYPE_LONGNAME),
    "pax.tar": lambda _: longer_tar(tarfile.XHDTYPE),
    "pax.tar.gz": lambda _: gzip.compress(longer_tar(tarfile.XHDTYPE)),
    "pax.tar.bz2": lambda _: bz2.compress(longer_tar(tarfile.XHDTYPE)),
    "pax.tar.xz": lambda _: lzma.compress(longer_tar(tarfile.XHDTYPE)),
    "states.scorer": lambda folder: patched_tree(scorer(folder), 24),
    "arcs.scorer": lambda folder: patched_tree(scorer(folder), 32),
    "words.scorer": lambda folder: patched(scorer(folder), 108, struct.pack("<Q", HUGE)),
    "words.binary": lambda _: patched(LM, 108, struct.pack("<Q", HUGE)),
    "pairs.binary": lambda _: patched(LM, 116, struct.pack("<Q", HUGE)),
    "states.trie": lambda _: tree(b"vector", HUGE // 8, 0),
    "arcs.trie": lambda _: tree(b"vector", 1, HUGE // 16),
    "const.trie": lambda _: tree(b"const", HUGE // 20, HUGE // 16),
    "graph.onnx": lambda _: field(1, 8) + varint(7 << 3 | 2) + varint(HUGE) + bytes(99),
    "shape.onnx": lambda _: field(1, 8) + tensor(HUGE // 4, field(9, bytes(400))),
    "raw.onnx": lambda _: field(1, 8) + tensor(HUGE // 4, varint(9 << 3 | 2) + varint(HUGE)),
    "node.pb": lambda _: varint(1 << 3 | 2) + varint(HUGE) + bytes(99),
    "layer_1.tflite": lambda folder: longer_vector(written(write_tflite, folder), "layer_1/weights"),
    "kernel.tflite": lambda folder: longer_vector(written(write_tflite, folder), "lstm_fused_cell/kernel"),
}


def patched_tree(data: bytes, at: int) -> bytes:
    """A scorer with another number of states (24) or arcs (32)."""
    return patched(data, data.index(b"standard") + 8 + at, struct.pack("<Q", HUGE // 20))


def checkpoints(folder: Path) -> list[str]:
    """Indices whose first record, whose table of blocks, and of which one variable has a gigabyte."""
    out = []
    for name in ("record", "block", "variable"):
        index = write_checkpoint(WEIGHTS.arrays, folder / name)
        data = index.read_bytes()
        size = field(5, WEIGHTS.arrays["layer_2/weights"].nbytes)
        at, value = {
            "record": (0, b"\0" + varint(HUGE)),
            "block": (len(data) - 48, varint(0) * 2 + varint(0) + varint(HUGE)),
            "variable": (data.index(size), field(5, HUGE)),
        }[name]
        index.write_bytes(patched(data, at, value))
        out.append(str(index))
    return out


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str | None, int]]:
    """What each file gave, and the bytes that it took, read in a Python of its own."""
    folder = tmp_path_factory.mktemp("lengths")
    paths = []
    for name, make in FILES.items():
        (folder / name).write_bytes(make(folder))
        paths.append(str(folder / name))
    lm = folder / "good"
    lm.write_bytes(LM)
    argument = json.dumps([list(WEIGHTS.alphabet), str(lm), *paths, *checkpoints(folder)])
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(pynna.__file__).parents[1]), *sys.path]),
        "XDG_CACHE_HOME": str(folder),
    }
    made = subprocess.run([sys.executable, "-c", READER, argument], cwd=folder, env=env, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return {name: (error, n_bytes) for name, (error, n_bytes) in json.loads(made.stdout).items()}


@pytest.mark.skipif(sys.platform != "linux", reason="peaks as Linux tells them")
@pytest.mark.parametrize("name", [*FILES, "record.index", "block.index", "variable.index"])
def test_a_length_of_a_gigabyte_takes_no_memory_and_is_told(told: dict[str, tuple[str | None, int]], name: str) -> None:
    error, n_bytes = told[name]
    assert n_bytes < 200 << 20, (error, n_bytes)
    assert error is not None
    assert error.startswith(("MappingError: ", "ValueError: the scorer cannot be opened: status ")), error
    assert "llocate" not in error and "MemoryError" not in error, error
