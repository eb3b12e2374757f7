# SPDX-License-Identifier: Apache-2.0
"""Importer of ONNX files of DeepSpeech's topology, without the onnx package.

The network is read off the graph in its order: Gemm, or MatMul and Add, for layers 1, 2 and 3; one LSTM operator; the
same for layers 5 and 6. The first of Clip, Min or HardTanh tells the ReLUs' limit.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end_settings import front_end
from pynna.mapping.metadata import choose_alphabet
from pynna.mapping.torch_file import lstm_arrays
from pynna.mapping.weights import DENSE, KERNEL, LSTM_BIAS, Weights
from pynna.mapping.wire import BYTES, as_float, fields, packed_ints, signed, text

Array = NDArray[Any]

_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_MAX_NODES = 1 << 16
_QUIET = {
    "Relu",
    "Clip",
    "Min",
    "Max",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Softmax",
    "LogSoftmax",
    "Shape",
    "Gather",
    "Concat",
    "Constant",
    "Slice",
    "Cast",
    "Flatten",
    "Dropout",
    "Split",
    "Expand",
    "ConstantOfShape",
    "HardTanh",
}


def is_onnx(head: bytes) -> bool:
    """Whether a file that begins so may be ONNX: its first field is the version of the format, a small number."""
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] <= 32


def import_onnx(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from an ONNX file; features as in DeepSpeech 0.7 and later, unless its properties tell others.

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank; otherwise those of the ``alphabet.txt`` beside it.

    Raises
    ------
    MappingError
        Not an ONNX file, damaged, or another topology; the message says what differs.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        try:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:
            raise MappingError(f"{name}: the file is empty") from None
    try:
        graph = _Graph(data)
        arrays, clip = graph.network()
        labels = choose_alphabet(alphabet, None, Path(path), len(arrays["layer_6/bias"]))
        features, assumed = front_end(Path(path), _properties(data))
        return Weights(
            arrays,
            labels,
            features,
            forget_bias=0.0,
            relu_clip=clip,
            source=Path(path).name,
            found="ONNX graph",
            assumed=assumed,
        )
    except MappingError as error:
        raise MappingError(f"{name}: {error}") from None


def _properties(data: memoryview) -> dict[str, str]:
    """What the file says beside the graph: metadata_props {key = 1, value = 2}."""
    out = {}
    for number, kind, value in fields(data):
        if number == 14 and kind == BYTES and isinstance(value, memoryview):
            entry = {n: text(v) for n, k, v in fields(value) if k == BYTES}
            out[entry.get(1, "")] = entry.get(2, "")
    return out


@dataclass
class _Node:
    op: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


class _Graph:
    """Nodes in order, and the constants by name."""

    def __init__(self, data: memoryview) -> None:
        graph = next((v for n, k, v in fields(data) if n == 7 and k == BYTES and isinstance(v, memoryview)), None)
        if graph is None:
            raise MappingError("not an ONNX file: it holds no graph")
        self.nodes: list[_Node] = []
        self.constants: dict[str, Array] = {}
        for number, kind, value in fields(graph):
            if kind != BYTES or not isinstance(value, memoryview):
                continue
            if number == 1:
                self._add(_node(value))
            elif number == 5:
                name, array = _tensor(value)
                if array is not None:
                    self.constants[name] = array
            if len(self.nodes) > _MAX_NODES:
                raise MappingError(f"more than {_MAX_NODES} nodes")

    def _add(self, node: _Node) -> None:
        value = node.attributes.get("value")
        if node.op == "Constant" and isinstance(value, np.ndarray) and node.outputs:
            self.constants[node.outputs[0]] = value
        elif node.op in ("Identity", "Transpose") and node.inputs and node.inputs[0] in self.constants and node.outputs:
            source = self.constants[node.inputs[0]]
            perm = node.attributes.get("perm")
            try:
                moved = source.transpose(perm) if node.op == "Transpose" else source
            except ValueError:
                raise MappingError(f"a Transpose of {node.inputs[0]} does not fit its shape") from None
            self.constants[node.outputs[0]] = moved
        else:
            self.nodes.append(node)

    def network(self) -> tuple[dict[str, Array], float]:
        """Arrays under DeepSpeech's names, and the ReLUs' limit."""
        dense: list[list[Array | None]] = []
        lstm: list[tuple[Array, Array]] = []
        clips: set[float] = set()
        sums: dict[str, int] = {}
        for node in self.nodes:
            if node.op in ("Gemm", "MatMul"):
                dense.append(self.dense(node))
                sums[node.outputs[0] if node.outputs else ""] = len(dense) - 1
            elif node.op == "Add":
                self.add(node, dense, sums)
            elif node.op == "LSTM":
                lstm.append(self.lstm(node))
                before = len(dense)
            elif node.op not in _QUIET:
                raise MappingError(f"there is an operator {node.op}, which such a network has not")
            if node.op in ("Clip", "Min", "HardTanh"):
                clips |= self.limit(node)
        if len(dense) != 5 or len(lstm) != 1 or before != 3:
            raise MappingError(f"{len(dense)} dense layers and {len(lstm)} LSTMs; three, one LSTM, and two are needed")
        if len(clips) != 1:
            raise MappingError(f"the ReLUs are clipped at {sorted(clips) or 'nothing'}; one number for all is needed")
        arrays = {KERNEL: lstm[0][0], LSTM_BIAS: lstm[0][1]}
        for layer, (weights, bias) in zip(DENSE, dense, strict=True):
            assert weights is not None
            arrays[f"{layer}/weights"] = np.ascontiguousarray(weights)
            arrays[f"{layer}/bias"] = np.zeros(weights.shape[1], np.float32) if bias is None else bias.reshape(-1)
        return arrays, clips.pop()

    def dense(self, node: _Node) -> list[Array | None]:
        """[weights [in, out], bias or None] of a Gemm or a MatMul."""
        matrix = self.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if matrix is None or matrix.ndim != 2 or matrix.dtype.kind != "f":
            raise MappingError(f"a {node.op} does not multiply with a constant matrix of floats")
        if any(node.attributes.get(key, 1.0) != 1.0 for key in ("alpha", "beta")) or node.attributes.get("transA", 0):
            raise MappingError("a Gemm has factors, or a transposed input; a plain one is needed")
        bias = self.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        return [matrix.T if node.attributes.get("transB", 0) else matrix, bias]

    def add(self, node: _Node, dense: list[list[Array | None]], sums: dict[str, int]) -> None:
        """The bias of a MatMul; anything else that is added is refused."""
        product = next((sums[name] for name in node.inputs if name in sums), None)
        bias = next((self.constants[name] for name in node.inputs if name in self.constants), None)
        if product is None or bias is None or dense[product][1] is not None:
            raise MappingError("an Add that is no dense layer's bias")
        dense[product][1] = bias

    def limit(self, node: _Node) -> set[float]:
        """The upper limit of a Clip or a Min."""
        if "max" in node.attributes:
            return {float(node.attributes["max"])}
        values = [
            self.constants[name] for name in node.inputs[1 if node.op == "Min" else 2 :] if name in self.constants
        ]
        return {float(value.reshape(-1)[0]) for value in values if value.size == 1}

    def lstm(self, node: _Node) -> tuple[Array, Array]:
        """Kernel and bias of an LSTM operator."""
        if node.attributes.get("direction", "forward") != "forward" or node.attributes.get("clip", 0.0):
            raise MappingError("the LSTM runs backward, or clips its cell; a plain one is needed")
        if node.attributes.get("input_forget", 0) or node.attributes.get("activations"):
            raise MappingError("the LSTM has activations of its own; sigmoid and tanh are needed")
        if len(node.inputs) > 7 and node.inputs[7]:
            raise MappingError("the LSTM has peepholes; one without is needed")
        parts = [self.constants.get(name) for name in node.inputs[1:4]]
        if len(parts) < 2 or parts[0] is None or parts[1] is None or parts[0].ndim != 3 or parts[1].ndim != 3:
            raise MappingError("the LSTM's weights are no constants [1, 4 cells, ...]")
        if len(parts[0]) != 1 or len(parts[1]) != 1:
            raise MappingError("the LSTM has two directions; one is needed")
        both = parts[2].reshape(2, -1) if len(parts) > 2 and parts[2] is not None and parts[2].size % 2 == 0 else ()
        return lstm_arrays(parts[0][0], parts[1][0], list(both), "iofg")


def _node(data: memoryview) -> _Node:
    node = _Node()
    for number, _, value in fields(data):
        if number == 1:
            node.inputs.append(text(value))
        elif number == 2:
            node.outputs.append(text(value))
        elif number == 4:
            node.op = text(value)
        elif number == 5 and isinstance(value, memoryview):
            name, found = _attribute(value)
            node.attributes[name] = found
    return node


def _attribute(data: memoryview) -> tuple[str, Any]:
    name = ""
    value: Any = None
    ints: list[int] = []
    for number, kind, part in fields(data):
        if number == 1:
            name = text(part)
        elif number == 2:
            value = as_float(part)
        elif number == 3:
            value = signed(part)
        elif number == 4:
            value = text(part)
        elif number == 5 and isinstance(part, memoryview):
            value = _tensor(part)[1]
        elif number == 8:
            ints += packed_ints(kind, part)
        elif number == 9:
            value = "several"
    return name, tuple(ints) if ints else value


def _tensor(data: memoryview) -> tuple[str, Array | None]:
    """(name, value); None for types that no weight has."""
    dims: list[int] = []
    kind, name, raw, floats, external = 0, "", None, [], False
    for number, wire, value in fields(data):
        if number == 1:
            dims += packed_ints(wire, value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = text(value)
        elif number == 9 and isinstance(value, memoryview):
            raw = value
        elif number == 4:
            floats.append(
                np.frombuffer(value, "<f4")
                if isinstance(value, memoryview) and len(value) % 4 == 0
                else np.array([as_float(value)], np.float32)
            )
        elif number == 14 and value == 1:
            external = True
    if external:
        raise MappingError(f"{name} lies in another file; one file that holds all weights is needed")
    if kind not in _TYPES:
        return name, None
    dtype = np.dtype(_TYPES[kind])
    size = float(np.prod(dims, dtype=np.float64)) * dtype.itemsize
    if raw is None and floats and kind == 1:
        raw = memoryview(np.concatenate(floats).astype("<f4").tobytes())
    if raw is None:
        return name, None
    if any(n < 0 for n in dims) or size != len(raw):
        raise MappingError(f"{name} holds {len(raw)} bytes; its shape {dims} needs {size:.0f}")
    return name, np.frombuffer(raw, dtype).reshape(dims)
