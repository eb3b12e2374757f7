# SPDX-License-Identifier: Apache-2.0
"""Importer of PyTorch state dicts (.pt, .pth: a zip with a pickle) and of safetensors files, without PyTorch.

Names are free; the order and the shapes tell: matrices [out, in] of three dense layers, an LSTM's weight_ih, weight_hh
and biases (gates i, f, g, o), two dense layers. The pickle is read by an unpickler that knows tensors and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end_settings import front_end
from pynna.mapping.metadata import choose_alphabet
from pynna.mapping.packed import check_sizes
from pynna.mapping.weights import DENSE, KERNEL, LSTM_BIAS, Weights

Array = NDArray[Any]

MAX_PICKLE, MAX_TENSOR = 1 << 24, 1 << 31
_BYTEARRAY = pickle.BYTEARRAY8[0]
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
}
_SAFE = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def is_state_dict(names: list[str]) -> bool:
    """Whether a zip of these names is PyTorch's."""
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in names)


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins so is a safetensors file."""
    return len(head) >= 9 and 2 <= int.from_bytes(head[:8], "little") <= MAX_PICKLE and head[8:9] == b"{"


def import_state_dict(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from a PyTorch or safetensors file; features are those of DeepSpeech 0.7 and later, unless the
    numbers beside the tensors tell others.

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank; otherwise those of the ``alphabet.txt`` beside it.

    Raises
    ------
    MappingError
        Not such a file, damaged, or tensors that make no such network.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        try:
            tensors, properties = _safetensors(file) if is_safetensors(head) else _state_dict(file)
            kind = "safetensors" if is_safetensors(head) else "PyTorch state dict"
            arrays = network_of(tensors)
            labels = choose_alphabet(alphabet, None, Path(path), len(arrays["layer_6/bias"]))
            features, assumed = front_end(Path(path), properties)
            return Weights(
                arrays,
                labels,
                features,
                forget_bias=0.0,
                source=Path(path).name,
                found=kind,
                assumed=assumed,
            )
        except MappingError as error:
            raise MappingError(f"{name}: {error}") from None


# ---- tensors to layers ---------------------------------------------------------------------------


def network_of(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays under DeepSpeech's names from the tensors of a state dict, in its order.

    Raises
    ------
    MappingError
        Not three dense layers, an LSTM of one layer and one direction, and two dense layers.
    """
    lstm = {key.rsplit(".", 1)[-1]: value for key, value in tensors.items() if "_hh_l" in key or "_ih_l" in key}
    others = [key for key in tensors if "_hh_l" not in key and "_ih_l" not in key]
    matrices = [key for key in others if tensors[key].ndim == 2]
    if len(matrices) != 5 or not {"weight_ih_l0", "weight_hh_l0"} <= set(lstm):
        raise MappingError(
            f"{len(matrices)} matrices and {len(lstm)} parts of an LSTM; five (layers 1, 2, 3, 5, 6) and "
            f"weight_ih_l0, weight_hh_l0 and biases are needed"
        )
    if strange := sorted(set(lstm) - {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}):
        raise MappingError(f"the LSTM has {strange[0]}; one layer of one direction is needed")
    arrays: dict[str, Array] = {}
    for layer, key in zip(DENSE, matrices, strict=True):
        arrays[f"{layer}/weights"] = np.ascontiguousarray(tensors[key].T)
        stem = key.rsplit(".", 1)[0]
        bias = next((tensors[k] for k in others if k == f"{stem}.bias"), None)
        arrays[f"{layer}/bias"] = np.zeros(len(tensors[key]), np.float32) if bias is None else bias
    if strange := [k for k in others if tensors[k].ndim == 1 and not k.endswith(".bias") and tensors[k].size > 1]:
        raise MappingError(f"there is {strange[0]}, which such a network has not (normalisation?)")
    arrays[KERNEL], arrays[LSTM_BIAS] = lstm_arrays(
        lstm["weight_ih_l0"], lstm["weight_hh_l0"], [lstm[k] for k in ("bias_ih_l0", "bias_hh_l0") if k in lstm], "ifgo"
    )
    return arrays


def lstm_arrays(w: Array, r: Array, biases: list[Array], order: str) -> tuple[Array, Array]:
    """Kernel [in + cell, 4 * cell] and bias [4 * cell] in the order i, g, f, o of rows that lie in another.

    Parameters
    ----------
    w, r : float [4 * cell, in], [4 * cell, cell]
    biases : list of float [4 * cell]
        They are added up.
    order : str
        The four gates as they lie: "ifgo" in PyTorch, "iofg" in ONNX.

    Raises
    ------
    MappingError
        Shapes that do not fit.
    """
    if w.ndim != 2 or r.ndim != 2 or r.shape[0] != 4 * r.shape[1] or w.shape[0] != r.shape[0]:
        raise MappingError(
            f"the LSTM's matrices have shapes {list(w.shape)} and {list(r.shape)}; [4 cells, inputs] and "
            f"[4 cells, cells] are needed"
        )
    cell = r.shape[1]
    if any(bias.shape != (4 * cell,) for bias in biases):
        raise MappingError(f"the LSTM's biases have shapes {[list(b.shape) for b in biases]}; [{4 * cell}] is needed")
    rows = np.concatenate([np.arange(cell) + order.index(gate) * cell for gate in "igfo"])
    kernel = np.concatenate([w[rows], r[rows]], axis=1).T
    total = np.zeros(4 * cell, np.float32)
    for bias in biases:
        total = total + bias.astype(np.float32)
    return np.ascontiguousarray(kernel), total[rows]


# ---- the files -----------------------------------------------------------------------------------


class _Unpickler(pickle._Unpickler):  # in Python: the one in C takes memory by the lengths and places that a file tells
    """Tensors, ordered dicts and plain values; anything else is refused by its name."""

    dispatch: ClassVar[dict[int, Any]] = {k: v for k, v in pickle._Unpickler.dispatch.items() if k != _BYTEARRAY}

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")):
            return _rebuild if name == "_rebuild_tensor_v2" else _parameter
        if module == "torch" and name in _STORAGES:
            return name
        raise MappingError(
            f"the pickle wants {module}.{name}; a state dict (torch.save(model.state_dict(), ...)) of "
            f"float tensors is needed"
        )

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or pid[1] not in _STORAGES:
            raise MappingError("the pickle refers to a storage of an unknown kind")
        info = self.archive.getinfo(f"{self.folder}data/{pid[2]}")
        if info.file_size > MAX_TENSOR or info.compress_type != zipfile.ZIP_STORED:
            raise MappingError(f"storage {pid[2]} is too large, or compressed")
        return np.frombuffer(self.archive.read(info), _STORAGES[pid[1]])


def _rebuild(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Array:
    """A tensor: a view of its storage, every element within it."""
    storage = np.asarray(storage)
    good = len(size) == len(stride) <= 8 and offset >= 0 and all(n >= 0 for n in (*size, *stride))
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if good and 0 not in size else 0
    count = int(np.prod(size, dtype=np.float64)) if good else -1
    if not good or not 0 <= last < max(len(storage), 1) or count > len(storage):
        raise MappingError("a tensor leads beyond its storage")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _state_dict(file: IO[bytes]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors, and the numbers beside them."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_sizes(archive)
            name = next(n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl"))
            if archive.getinfo(name).file_size > MAX_PICKLE:
                raise MappingError("the pickle is too large for a state dict")
            inner = io.BytesIO(archive.read(name))
            value = _Unpickler(inner, archive, name.removesuffix("data.pkl")).load()
    except MappingError:
        raise
    except Exception as error:  # a damaged file fails in zipfile, zlib, struct or pickle, each in its way
        raise MappingError(f"no state dict in a zip, as PyTorch 1.6 and later save it ({error})") from None
    beside = value.items() if isinstance(value, Mapping) else ()
    properties = {str(k): v for k, v in beside if isinstance(v, (int, float))}
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    if not isinstance(value, Mapping):
        raise MappingError(f"the file holds {type(value).__name__}; a state dict is needed")
    tensors = {str(k): v for k, v in value.items() if isinstance(v, np.ndarray)}
    return {k: v for k, v in tensors.items() if v.dtype.kind == "f"}, properties


def _safetensors(file: IO[bytes]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors, and the texts of ``__metadata__``."""
    data = file.read()
    length = struct.unpack_from("<Q", data)[0]
    try:
        header = json.loads(data[8 : 8 + length])
        out = {}
        for name, entry in sorted(header.items(), key=lambda kv: kv[1].get("data_offsets", [0])[0]):
            if name == "__metadata__" or entry["dtype"] not in _SAFE:
                continue
            start, end = entry["data_offsets"]
            raw = data[8 + length + start : 8 + length + end]
            out[name] = np.frombuffer(raw, _SAFE[entry["dtype"]]).reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MappingError(f"the safetensors header is damaged ({error})") from None
    properties = header.get("__metadata__")
    return out, properties if isinstance(properties, dict) else {}
