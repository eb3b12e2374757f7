# SPDX-License-Identifier: Apache-2.0
"""Importer of TensorFlow checkpoints (NAME.index beside NAME.data-00000-of-00001), without TensorFlow.

The index is a table of sorted records in blocks (the LevelDB format, uncompressed), a variable's name the key and
{dtype = 1, shape = 2, shard = 3, offset = 4, size = 5} the value; the data files hold the variables' bytes.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end_settings import front_end
from pynna.mapping.metadata import choose_alphabet
from pynna.mapping.npz import CUDNN
from pynna.mapping.weights import KERNEL, LSTM_BIAS, NAMES, Weights
from pynna.mapping.wire import fields, signed, varint

Array = NDArray[Any]

MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # the last eight bytes of an index
_FOOTER = 48
_DT_FLOAT = 1
_MAX_RECORDS = 1 << 16


def index_of(path: Path) -> Path | None:
    """The .index file that a path means: itself, NAME.data-... beside it, NAME, or the newest in a folder."""
    if path.is_dir():
        return max(path.glob("*.index"), key=lambda p: (p.stat().st_mtime, p.name), default=None)
    if path.suffix == ".index":
        return path
    base = path.name.split(".data-")[0]
    beside = path.with_name(base + ".index")
    return beside if beside.is_file() else None


def import_checkpoint(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from a checkpoint of DeepSpeech 0.5 to 0.9 or Coqui STT.

    A checkpoint holds no front end. The sample rate is that of the training's ``flags.txt`` beside it, else 16 kHz;
    those with the LSTM of DeepSpeech 0.6 and later get the mel band of 0.7, 20 Hz to half of it (0.6's: to 4000 Hz).
    `pynna.mapping.tell_front_end` tells another.

    Parameters
    ----------
    path : path
        NAME.index, a NAME.data file, NAME alone, or the folder.
    alphabet : tuple of str, optional
        The labels but the blank; otherwise those of the ``alphabet.txt`` beside it.

    Raises
    ------
    MappingError
        Not a checkpoint, damaged, or of another network.
    OSError
        A file cannot be read.
    """
    name = os.fspath(path)
    index = index_of(Path(path))
    if index is None:
        raise MappingError(f"{name}: no checkpoint: there is no .index file")
    try:
        return _weights(_Bundle(index), index, alphabet)
    except MappingError as error:
        raise MappingError(f"{index}: {error}") from None


@dataclass(frozen=True)
class _Entry:
    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    sliced: bool = False


class _Bundle:
    """The variables of a checkpoint."""

    def __init__(self, index: Path) -> None:
        self.prefix = index.with_suffix("")
        records = _table(index.read_bytes())
        self.n_shards = 1
        self.entries: dict[str, _Entry] = {}
        for key, value in records:
            if key == b"":
                self.n_shards = max(1, next((int(v) for n, _, v in fields(value) if n == 1 and isinstance(v, int)), 1))
            else:
                self.entries[key.decode("utf-8", "replace")] = _entry(value)

    def find(self, name: str) -> str:
        """The key of a variable, whatever scope it was saved under."""
        wanted = [name]
        if name in (KERNEL, LSTM_BIAS):
            wanted.append(CUDNN + name.rsplit("/", 1)[1])
        for candidate in wanted:
            if candidate in self.entries:
                return candidate
        ends = tuple("/" + candidate for candidate in wanted)
        found = [key for key in self.entries if key.endswith(ends)]
        if len(found) == 1:
            return found[0]
        few = ", ".join(list(self.entries)[:6]) or "none"
        raise MappingError(f"there is no variable {name}: this is no DeepSpeech network (its variables begin {few})")

    def array(self, key: str) -> Array:
        """A variable's value: float32, over the data file."""
        entry = self.entries[key]
        if entry.dtype != _DT_FLOAT or entry.sliced:
            raise MappingError(
                f"{key} is of TensorFlow's type {entry.dtype}{' and in slices' if entry.sliced else ''}; "
                f"float in one piece is needed"
            )
        size = 4 * float(np.prod(entry.shape, dtype=np.float64))
        if any(n < 0 for n in entry.shape) or size != entry.size:
            raise MappingError(f"{key} has {entry.size} bytes; its shape {list(entry.shape)} needs {size:.0f}")
        if not 0 <= entry.shard < self.n_shards <= 99999:
            raise MappingError(f"{key} lies in data file {entry.shard} of {self.n_shards}")
        path = Path(f"{self.prefix}.data-{entry.shard:05d}-of-{self.n_shards:05d}")
        if not path.is_file():
            raise MappingError(f"{path.name} is missing: a checkpoint is its .index and its .data files")
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            if entry.offset < 0 or entry.offset + entry.size > total:
                raise MappingError(
                    f"{path.name} is cut short: {key} would end at {entry.offset + entry.size} of {total}"
                )
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(data, "<f4", entry.size // 4, entry.offset).reshape(entry.shape)


def _weights(bundle: _Bundle, index: Path, alphabet: tuple[str, ...] | None) -> Weights:
    wrong = next((key for key in bundle.entries if "LayerNorm" in key or "layer_norm" in key), None)
    if wrong:
        raise MappingError(f"the network has layer normalisation ({wrong}); one without is needed")
    keys = {name: bundle.find(name) for name in NAMES}
    arrays = {name: bundle.array(key) for name, key in keys.items()}
    later = "cudnn" in keys[KERNEL]
    labels = choose_alphabet(alphabet, None, index, arrays["layer_6/bias"].size)
    features, assumed = front_end(index, later=later)
    kind = "DeepSpeech 0.7 to 0.9 or Coqui STT" if later else "DeepSpeech 0.5"
    return Weights(
        arrays,
        labels,
        features,
        forget_bias=0.0 if later else 1.0,
        source=index.stem,
        found=f"{kind}, TensorFlow checkpoint",
        assumed=assumed,
    )


def _entry(data: memoryview) -> _Entry:
    values: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    sliced = False
    for number, _, value in fields(data):
        if number == 2 and isinstance(value, memoryview):
            dims = [part for n, _, part in fields(value) if n == 2 and isinstance(part, memoryview)]
            shape = tuple(next((signed(v) for n, _, v in fields(dim) if n == 1), 0) for dim in dims[:8])
        elif number == 7:
            sliced = True
        elif isinstance(value, int):
            values[number] = value
    return _Entry(values.get(1, 0), shape, values.get(3, 0), signed(values.get(4, 0)), signed(values.get(5, 0)), sliced)


# ---- the table of records ------------------------------------------------------------------------


def _table(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Key and value of each record, in order."""
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        raise MappingError("no index of a checkpoint (or cut short): its last eight bytes are not the format's")
    footer = memoryview(data)[-_FOOTER:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    n_records = 0
    for _, handle in _block(data, *_handle(footer, at)):
        for record in _block(data, *_handle(handle, 0)):
            n_records += 1
            if n_records > _MAX_RECORDS:
                raise MappingError(f"more than {_MAX_RECORDS} variables")
            yield record


def _handle(data: memoryview, at: int) -> tuple[int, int]:
    offset, at = varint(data, at)
    return offset, varint(data, at)[0]


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Records of a block: each shares the beginning of its key with the one before."""
    if offset + size + 5 > len(data) or size < 4:
        raise MappingError("damaged: a block leads beyond the file")
    if data[offset + size]:
        raise MappingError("the index is compressed; one that is not, as TensorFlow writes it, is needed")
    block = memoryview(data)[offset : offset + size]
    n_restarts = struct.unpack_from("<I", block, size - 4)[0]
    end = size - 4 - 4 * n_restarts
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        new, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or new + length > end - at:
            raise MappingError("damaged: a record leads beyond its block")
        key = key[:shared] + bytes(block[at : at + new])
        yield key, block[at + new : at + new + length]
        at += new + length
