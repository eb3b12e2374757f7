# SPDX-License-Identifier: Apache-2.0
"""Importer of .tflite files: DeepSpeech 0.5 to 0.9 and Coqui STT 1.x, float, half and post-training int8.

The network is read off the graph, not off names, which every converter makes anew: from ``logits`` back to
``input_node``, six matrices of FULLY_CONNECTED operators, the LSTM's once a time step. What the graph does in between
(the ReLUs' clip, the order of the gates, a constant added to the forget gate) is checked or taken over.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.flatbuffer import Table, flex_map
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.metadata import FEATURE_RANGE, GENERATIONS, choose_alphabet, metadata_of, parse_alphabet
from pynna.mapping.weights import DENSE, KERNEL, LSTM_BIAS, QuantisedMatrix, Weights

Array = NDArray[Any]

MAGIC = b"TFL3"  # from byte 4 on
_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "i1", 4: "<i8", 9: "i1"}  # 3, UINT8: 0.5.1 stores signed bytes under it
_STRING = 5
_ADD, _CONCATENATION, _DEQUANTIZE, _FULLY_CONNECTED, _LOGISTIC, _MUL, _RELU, _RELU6 = 0, 2, 6, 9, 14, 18, 19, 21
_RESHAPE, _SOFTMAX, _TANH, _CUSTOM, _TRANSPOSE, _SPLIT, _MINIMUM = 22, 25, 28, 32, 39, 49, 57
_KNOWN = {
    _ADD: "ADD",
    _MUL: "MUL",
    _LOGISTIC: "LOGISTIC",
    _TANH: "TANH",
    _MINIMUM: "MINIMUM",
    _RELU: "RELU",
    _SOFTMAX: "SOFTMAX",
    _RESHAPE: "RESHAPE",
}
_FUSED_RELU = 1


def is_tflite(head: bytes) -> bool:
    """Whether a file that begins so is a .tflite."""
    return head[4:8] == MAGIC


def import_tflite(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from a .tflite file; int8 weights are taken over as they are (`Weights.quantised`).

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank; otherwise the file's own, or those of the ``alphabet.txt`` beside it.

    Raises
    ------
    MappingError
        Not such a file, damaged, or another network than DeepSpeech's; the message says what differs.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise MappingError(f"{name}: the file is empty; a .tflite is needed") from None
    try:
        return _Network(_Model(memoryview(data))).weights(alphabet, Path(path))
    except MappingError as error:
        raise MappingError(f"{name}: {error}") from None


@dataclass(frozen=True)
class _Operator:
    code: int
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Table

    @property
    def output(self) -> int:
        """The tensor of its first result."""
        if not self.outputs:
            raise MappingError(f"damaged: an operator of kind {self.code} must have a result, got none")
        return self.outputs[0]


class _Model:
    """The file's tables: tensors, operators, and the constants in its buffers."""

    def __init__(self, data: memoryview) -> None:
        if not is_tflite(bytes(data[:8])):
            raise MappingError("not a .tflite file: TFL3 is missing at byte 4")
        root = Table.root(data)
        graphs = root.tables(2)
        if len(graphs) != 1:
            raise MappingError(f"{len(graphs)} subgraphs; one is needed")
        self.buffers, self.tensors = root.tables(4), graphs[0].tables(0)
        self.names = [tensor.text(3) for tensor in self.tensors]
        self.metadata = {table.text(0): table.scalar(1, "I") for table in root.tables(6)}
        self.inputs = self._indices(graphs[0].vector(1, "i"))
        self.outputs = self._indices(graphs[0].vector(2, "i"))
        codes = [(max(code.scalar(0, "b"), code.scalar(3, "i")), code.text(1)) for code in root.tables(1)]
        self.operators = [self._operator(table, codes) for table in graphs[0].tables(3)]
        self.producer = {tensor: operator for operator in self.operators for tensor in operator.outputs}

    def _indices(self, values: Array, absent: bool = False) -> tuple[int, ...]:
        numbers = tuple(int(value) for value in values)
        if any(not (-1 if absent else 0) <= n < len(self.tensors) for n in numbers):
            raise MappingError("damaged: an operator names a tensor that there is not")
        return numbers

    def _operator(self, table: Table, codes: Sequence[tuple[int, str]]) -> _Operator:
        number = table.scalar(0, "I")
        if number >= len(codes):
            raise MappingError("damaged: an operator of a kind that there is not")
        code, custom = codes[number]
        return _Operator(
            code, custom, self._indices(table.vector(1, "i"), True), self._indices(table.vector(2, "i")), table
        )

    def named(self, name: str) -> int | None:
        """The tensor of a name (TensorFlow may add ``:0``); None where there is none."""
        wanted = (name, name + ":0", f"serving_default_{name}:0")
        return next((i for i, text in enumerate(self.names) if text in wanted), None)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Sizes of a tensor's dimensions."""
        return tuple(int(size) for size in self.tensors[tensor].vector(0, "i"))

    def kind(self, tensor: int) -> int:
        """Its element type, as the schema numbers them."""
        return int(self.tensors[tensor].scalar(1, "b"))

    def raw(self, tensor: int) -> memoryview:
        """A constant's bytes; empty for what is computed."""
        buffer = self.tensors[tensor].scalar(2, "I")
        if buffer >= len(self.buffers):
            raise MappingError(f"damaged: {self.names[tensor]} lies in a buffer that there is not")
        return self.buffers[buffer].bytes(0)

    def constant(self, tensor: int, depth: int = 4) -> Array | None:
        """A constant's value, as it is stored; behind DEQUANTIZE, RESHAPE or TRANSPOSE, too. None if it is computed."""
        if tensor < 0:
            return None
        raw = self.raw(tensor)
        if len(raw):
            return self._array(tensor, raw)
        operator = self.producer.get(tensor)
        if operator is None or depth == 0 or operator.code not in (_DEQUANTIZE, _RESHAPE, _TRANSPOSE):
            return None
        value = self.constant(operator.inputs[0], depth - 1) if operator.inputs else None
        if value is None:
            return None
        if operator.code == _DEQUANTIZE:
            return value.astype(np.float32) if value.dtype.kind == "f" else None
        shape = self.constant(operator.inputs[1], 1) if len(operator.inputs) > 1 else None
        try:
            if operator.code == _TRANSPOSE:
                return value.transpose(tuple(shape)) if shape is not None else None
            return value.reshape(self.shape(tensor))
        except ValueError:
            return None

    def _array(self, tensor: int, raw: memoryview) -> Array:
        shape, kind = self.shape(tensor), self.kind(tensor)
        if kind not in _TYPES:
            raise MappingError(f"{self.names[tensor]} has elements of type {kind}; float, half or int8 is needed")
        size = int(np.prod(shape, dtype=np.float64)) * np.dtype(_TYPES[kind]).itemsize
        if any(n < 0 for n in shape) or size != len(raw):
            raise MappingError(f"{self.names[tensor]} holds {len(raw)} bytes, its shape {list(shape)} needs {size}")
        return np.frombuffer(raw, _TYPES[kind]).reshape(shape)

    def feature_range(self) -> Array | None:
        """Where features were clipped in training; None where the file does not tell."""
        buffer = self.metadata.get(FEATURE_RANGE)
        if buffer is None:
            return None
        raw = self.buffers[buffer].bytes(0) if buffer < len(self.buffers) else b""
        if len(raw) % 4:
            raise MappingError(f"{FEATURE_RANGE} holds {len(raw)} bytes, which are no float32 numbers")
        return np.frombuffer(raw, "<f4")

    def scale(self, tensor: int) -> Array:
        """Scales of an int8 tensor: one, or one a row."""
        table = self.tensors[tensor].table(4)
        scale = np.zeros(0, np.float32) if table is None else table.vector(2, "f")
        zero = np.zeros(0, np.int64) if table is None else table.vector(3, "q")
        rows = self.shape(tensor)[0]
        if len(scale) not in (1, rows) or not (np.isfinite(scale) & (scale > 0)).all():
            raise MappingError(f"{self.names[tensor]} is int8 with {len(scale)} good scales; one, or {rows}, is needed")
        if zero.any():
            raise MappingError(f"{self.names[tensor]} is quantised about {int(zero[0])}; weights about zero are needed")
        return np.asarray(scale, np.float64)

    def string(self, name: str) -> bytes | None:
        """A string constant by its name, or that of its copy."""
        for candidate in (name, name + "_copy"):
            tensor = self.named(candidate)
            if tensor is not None and self.kind(tensor) == _STRING and len(raw := self.raw(tensor)):
                return _first_string(raw)
        return None

    def number(self, name: str) -> int | None:
        """An integer constant of one element, or its copy's."""
        for candidate in (name, name + "_copy"):
            tensor = self.named(candidate)
            value = self.constant(tensor) if tensor is not None and self.kind(tensor) != _STRING else None
            if value is not None and value.size == 1 and value.dtype.kind in "iu":
                return int(value.reshape(-1)[0])
        return None


def _first_string(raw: memoryview) -> bytes:
    """Of a string tensor: int32 count, count + 1 offsets, the bytes."""
    if len(raw) < 12:
        raise MappingError("a string constant is cut short")
    count, start, end = struct.unpack_from("<iii", raw)
    if count < 1 or not 12 <= start <= end <= len(raw):
        raise MappingError("a string constant is damaged")
    return bytes(raw[start:end])


class _Network:
    """The six matrices, and the operators between them."""

    def __init__(self, model: _Model) -> None:
        self.model = model
        window = model.named("input_node")
        if window is None or len(model.shape(window)) != 4:
            raise MappingError("there is no input_node [1, steps, frames, features]: no DeepSpeech network")
        self.steps, self.frames, self.n_features = model.shape(window)[1:]
        self.refuse_strangers()
        self.layers = self.matrices()

    def refuse_strangers(self) -> None:
        """Operators that compute what the arithmetic has not."""
        names = {n for n in self.model.names if "LayerNorm" in n or "layer_norm" in n}
        if names:
            raise MappingError(f"the network has layer normalisation ({min(names)}); one without is needed")
        for operator in self.model.operators:
            if operator.code == _CUSTOM and operator.custom not in ("AudioSpectrogram", "Mfcc"):
                raise MappingError(
                    f"there is a custom operator {operator.custom!r}; DeepSpeech has none but its features'"
                )
            if operator.code in (16, 44, 71):  # LSTM, UNIDIRECTIONAL_SEQUENCE_LSTM, UNIDIRECTIONAL_SEQUENCE_RNN
                raise MappingError("the LSTM is one fused operator; DeepSpeech's is unrolled, step by step")
            if operator.code == _RELU6:
                raise MappingError("the ReLUs are clipped at 6 by RELU6; DeepSpeech clips with MINIMUM")

    def matrices(self) -> list[tuple[str, _Operator]]:
        """The first operator of each of the six matrices, under the layers' names."""
        seen: dict[int, list[_Operator]] = {}
        for operator in self.model.operators:
            if operator.code == _FULLY_CONNECTED and len(operator.inputs) >= 2:
                seen.setdefault(operator.inputs[1], []).append(operator)
        uses = list(seen.values())
        if len(uses) != 6:
            raise MappingError(f"{len(uses)} matrices in FULLY_CONNECTED operators; DeepSpeech has six")
        if [len(group) for group in uses] != [1, 1, 1, self.steps, 1, 1]:
            raise MappingError(
                f"the matrices are used {[len(group) for group in uses]} times; with {self.steps} steps "
                f"a call the fourth, the LSTM's, is used {self.steps} times and the others once"
            )
        self.lstm = uses[3]
        names = (*DENSE[:3], "lstm", *DENSE[3:])
        return [(name, group[0]) for name, group in zip(names, uses, strict=True)]

    @cached_property
    def consumers(self) -> dict[int, list[_Operator]]:
        """Which operators take a tensor."""
        out: dict[int, list[_Operator]] = {}
        for operator in self.model.operators:
            for tensor in operator.inputs:
                out.setdefault(tensor, []).append(operator)
        return out

    def only_consumer(self, tensor: int, *codes: int) -> _Operator:
        """The one operator that takes a tensor, of one of these kinds."""
        found = self.consumers.get(tensor, [])
        if len(found) != 1 or found[0].code not in codes:
            kinds = " or ".join(_KNOWN.get(code, str(code)) for code in codes)
            raise MappingError(
                f"{self.model.names[tensor]} goes into {len(found)} operators "
                f"({', '.join(str(o.code) for o in found)}); one {kinds} is needed"
            )
        return found[0]

    # ---- dense layers ----

    def weights_of(self, operator: _Operator, rows_name: str) -> tuple[Array, QuantisedMatrix | None, Array]:
        """(float32 [in, out], the int8 of it if it is quantised, bias [out])."""
        tensor = operator.inputs[1]
        value = self.model.constant(tensor)
        if value is None or value.ndim != 2:
            raise MappingError(f"the weights of {rows_name} are no constant matrix")
        quantised = None
        if value.dtype == np.int8:
            scale = np.broadcast_to(self.model.scale(tensor), (len(value),))
            if (value > -128).all():
                quantised = QuantisedMatrix(value, np.array(scale))
            value = value * scale[:, None].astype(np.float32)
        bias = self.model.constant(operator.inputs[2]) if len(operator.inputs) > 2 else None
        if bias is None:
            bias = np.zeros(len(value), np.float32)
        elif bias.dtype.kind != "f":
            raise MappingError(
                f"the bias of {rows_name} is {bias.dtype}: the file is quantised whole; a float one or "
                f"one with int8 weights alone is needed"
            )
        return np.ascontiguousarray(value.T, np.float32), quantised, np.asarray(bias, np.float32).reshape(-1)

    def relu_clip(self) -> float:
        """What all the dense layers' ReLUs are clipped at."""
        clips = set()
        for name, operator in self.layers:
            if name in ("lstm", "layer_6"):
                continue
            options = operator.table.table(4)
            out = operator.output
            if options is None or options.scalar(0, "b") != _FUSED_RELU:
                out = self.only_consumer(out, _RELU).output
            minimum = self.only_consumer(out, _MINIMUM)
            values = [self.model.constant(tensor) for tensor in minimum.inputs]
            found = [float(v.reshape(-1)[0]) for v in values if v is not None and v.size == 1 and v.dtype.kind == "f"]
            if len(found) != 1:
                raise MappingError(f"the ReLU of {name} is not clipped at a constant")
            clips.add(found[0])
        if len(clips) != 1:
            raise MappingError(f"the ReLUs are clipped at different values ({sorted(clips)}); one for all is needed")
        return clips.pop()

    # ---- the LSTM ----

    def forget_bias(self) -> float:
        """What each step adds to the forget gate; the gates' order and kinds are checked on the way."""
        biases = {self._step_bias(operator) for operator in self.lstm}
        if len(biases) != 1:
            raise MappingError(f"the steps of the LSTM add {sorted(biases)} to the forget gate; one number is needed")
        return biases.pop()

    def _step_bias(self, operator: _Operator) -> float:
        split = self.consumers.get(operator.output, [])
        if len(split) != 1 or split[0].code != _SPLIT or len(split[0].outputs) != 4:
            raise MappingError("the LSTM's product is not split into four gates")
        concat = self.model.producer.get(operator.inputs[0])
        if concat is None or concat.code != _CONCATENATION or len(concat.inputs) != 2:
            raise MappingError("the LSTM does not read its input and its state side by side")
        i, c, f, o = split[0].outputs
        bias = 0.0
        users = self.consumers.get(f, [])
        if len(users) == 1 and users[0].code == _ADD:
            values = [self.model.constant(tensor) for tensor in users[0].inputs if tensor != f]
            if len(values) != 1 or values[0] is None or values[0].size != 1:
                raise MappingError("something else than a constant is added to the forget gate")
            bias, f = float(values[0].reshape(-1)[0]), users[0].output
        gates = [
            self.only_consumer(gate, kind).output
            for gate, kind in ((i, _LOGISTIC), (c, _TANH), (f, _LOGISTIC), (o, _LOGISTIC))
        ]
        products = [self.only_consumer(gate, _MUL) for gate in gates]
        if products[0] is not products[1] or len({id(product) for product in products}) != 3:
            raise MappingError("the LSTM's gates are not multiplied in the order input, candidate, forget, output")
        return bias

    # ---- all of it ----

    def features(self) -> MfccConfig:
        """The front end, from the custom operators' options; what is absent has TensorFlow's default."""
        model, default = self.model, MfccConfig()
        custom = {operator.custom: operator for operator in model.operators if operator.code == _CUSTOM}
        if "Mfcc" not in custom or "AudioSpectrogram" not in custom:
            raise MappingError("there are no operators AudioSpectrogram and Mfcc: the features are unknown")
        spectrum = flex_map(custom["AudioSpectrogram"].table.bytes(5))
        mel = flex_map(custom["Mfcc"].table.bytes(5))
        if not spectrum.get("magnitude_squared", False):
            raise MappingError("AudioSpectrogram gives amplitudes; DeepSpeech's gives their squares")
        rate = model.number("metadata_sample_rate")
        if rate is None:
            fed = model.constant(custom["Mfcc"].inputs[1]) if len(custom["Mfcc"].inputs) > 1 else None
            rate = int(fed.reshape(-1)[0]) if fed is not None and fed.size == 1 else default.sample_rate
        return MfccConfig(
            sample_rate=rate,
            window=int(spectrum.get("window_size", default.window)),
            step=int(spectrum.get("stride", default.step)),
            n_coefficients=int(mel.get("dct_coefficient_count", 13)),
            n_mel=int(mel.get("filterbank_channel_count", 40)),
            lower_hz=float(mel.get("lower_frequency_limit", 20.0)),
            upper_hz=float(mel.get("upper_frequency_limit", 4000.0)),
        )

    def weights(self, alphabet: tuple[str, ...] | None, path: Path) -> Weights:
        """All of it, as the mapping takes it."""
        arrays: dict[str, Array] = {}
        quantised: dict[str, QuantisedMatrix] = {}
        for name, operator in self.layers:
            keys = (KERNEL, LSTM_BIAS) if name == "lstm" else (f"{name}/weights", f"{name}/bias")
            matrix, whole, arrays[keys[1]] = self.weights_of(operator, name)
            arrays[keys[0]] = matrix
            if whole is not None:
                quantised[keys[0]] = whole
        self.only_consumer(self.layers[5][1].output, _SOFTMAX, _RESHAPE)
        version = self.model.number("metadata_version")
        inside = self.model.string("metadata_alphabet")
        labels = choose_alphabet(
            alphabet, None if inside is None else parse_alphabet(inside), path, len(arrays["layer_6/bias"])
        )
        kind = f".tflite, {'int8' if quantised else 'float'} weights"
        return Weights(
            arrays,
            labels,
            self.features(),
            forget_bias=self.forget_bias(),
            relu_clip=self.relu_clip(),
            source=path.name,
            quantised=quantised,
            feature_range=self.model.feature_range(),
            metadata=metadata_of(self.model.number, self.model.string),
            found=f"{GENERATIONS.get(version, f'graph version {version}')}, {kind}",
        )
