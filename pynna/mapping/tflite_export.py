# SPDX-License-Identifier: Apache-2.0
"""Exporter of .tflite files in the layout of DeepSpeech 0.6 to 0.9 and Coqui STT 1.x, which their clients load and run.

The LSTM is unrolled, the audio operators are TensorFlow Lite's custom ones, the metadata are constants that a RESHAPE
copies to the outputs. int8 weights are symmetric, a scale a tensor, as post-training quantisation makes them; matrices
that came quantised (`Weights.quantised`) go out as they are, if they have one scale.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.metadata import FEATURE_RANGE, milliseconds, serialise_alphabet
from pynna.mapping.npz import CUDNN
from pynna.mapping.weights import DENSE, KERNEL, LSTM_BIAS, Weights
from pynna.saving import whole_file

Array = NDArray[Any]

_FLOAT, _INT32, _STRING, _INT8 = 0, 2, 5, 9
_ADD, _CONCATENATION, _FULLY_CONNECTED, _LOGISTIC, _MUL, _RESHAPE, _SOFTMAX, _TANH = 0, 2, 9, 14, 18, 22, 25, 28
_CUSTOM, _STRIDED_SLICE, _SPLIT, _MINIMUM = 32, 45, 49, 57
_SMALLEST_INT8 = 1024  # elements from which post-training quantisation quantises a tensor
_STEPS = 16
# options: their number in the union, and {field: (kind, value)}
_Options = tuple[int, Mapping[int, tuple[str, Any]]]
_NO_RESHAPE: _Options = (17, {})


def export_tflite(
    weights: Weights,
    path: str | os.PathLike[str],
    *,
    int8: bool = False,
    n_steps: int = _STEPS,
    beam_width: int = 500,
    language: str = "en-US",
) -> None:
    """Writes the network as a .tflite: batch 1, `n_steps` time steps a call.

    Parameters
    ----------
    weights : Weights
    path : path
    int8 : bool
        Weights of 1024 elements and more as int8; activations stay float.
    n_steps, beam_width, language
        What the file is told; the clients take 16 steps a call.

    Raises
    ------
    MappingError
        The flatbuffers package is not installed; or the window or step is no whole number of milliseconds.
    OSError
        The file cannot be written.
    """
    lengths = milliseconds(weights.features)
    graph = _Graph()
    samples, mfccs = _front_end(graph, weights)
    node, c, h, logits, new_c, new_h = _network(graph, weights, n_steps, int8)
    numbers = {"version": 6, **lengths, "beam_width": beam_width}
    outputs = [logits, new_c, new_h, mfccs]
    outputs += [
        graph.copied(f"metadata_{name}", _INT32, np.array([value], "<i4").tobytes()) for name, value in numbers.items()
    ]
    outputs += [
        graph.copied(f"metadata_{name}", _STRING, _string(value))
        for name, value in (("alphabet", serialise_alphabet(weights.alphabet)), ("language", language.encode()))
    ]
    if weights.feature_range is not None:
        graph.metadata[FEATURE_RANGE] = weights.feature_range.astype("<f4").tobytes()
    with whole_file(path, "wb") as out:
        out.write(graph.encode([node, c, h, samples], outputs))


def _string(value: bytes) -> bytes:
    return struct.pack("<iii", 1, 12, 12 + len(value)) + value


# ---- the network ---------------------------------------------------------------------------------


def _front_end(g: _Graph, weights: Weights) -> tuple[int, int]:
    """input_samples [window] and mfccs."""
    f = weights.features
    samples = g.tensor("input_samples", (f.window,))
    column = g.op(
        _RESHAPE, [samples, g.integers("samples_column", [f.window, 1])], "column", (f.window, 1), _NO_RESHAPE
    )
    spectrum = g.custom(
        "AudioSpectrogram", [column], {"magnitude_squared": True, "stride": f.step, "window_size": f.window}
    )
    mfcc = g.custom(
        "Mfcc",
        [spectrum, g.integers("sample_rate", f.sample_rate)],
        {
            "dct_coefficient_count": f.n_coefficients,
            "filterbank_channel_count": f.n_mel,
            "lower_frequency_limit": float(f.lower_hz),
            "upper_frequency_limit": float(f.upper_hz),
        },
    )
    return samples, g.op(_RESHAPE, [mfcc, g.integers("mfccs_shape", [-1, f.n_coefficients])], "mfccs", (), _NO_RESHAPE)


def _matrix(g: _Graph, name: str, weights: Weights, key: str, int8: bool) -> int:
    """A matrix [out, in], float or int8."""
    real = np.ascontiguousarray(weights.arrays[key].T)
    if not int8 or real.size < _SMALLEST_INT8:
        return g.constant(f"{name}/transpose", real)
    whole = weights.quantised.get(key)
    if whole is not None and (whole.scale == whole.scale[0]).all():
        values, scale = whole.values, float(whole.scale[0])
    else:
        scale = float(np.float32(max(float(np.abs(real).max()), 1e-30) / 127))
        values = np.clip(np.rint(real / np.float32(scale)), -127, 127).astype(np.int8)
    return g.tensor(f"{name}/transpose", values.shape, _INT8, values.tobytes(), scale)


def _dense(g: _Graph, x: int, layer: str, weights: Weights, n_steps: int, int8: bool) -> int:
    """min(max(W x + b, 0), clip), or of the last layer W x + b."""
    bias = weights.arrays[f"{layer}/bias"]
    relu = layer != "layer_6"
    inputs = [x, _matrix(g, f"{layer}/weights", weights, f"{layer}/weights", int8), g.constant(f"{layer}/bias", bias)]
    y = g.op(_FULLY_CONNECTED, inputs, f"{layer}/product", (n_steps, len(bias)), (8, {0: ("b", int(relu))}))
    if not relu:
        return y
    return g.op(
        _MINIMUM,
        [y, g.constant(f"{layer}/clip", np.float32(weights.relu_clip))],
        f"{layer}/minimum",
        (n_steps, len(bias)),
    )


def _network(g: _Graph, weights: Weights, n_steps: int, int8: bool) -> tuple[int, int, int, int, int, int]:
    """input_node, previous_state_c, previous_state_h, logits, new_state_c, new_state_h."""
    cell, n_frames = weights.n_cell, 2 * weights.n_context + 1
    node = g.tensor("input_node", (1, n_steps, n_frames, weights.features.n_coefficients))
    c, h = g.tensor("previous_state_c", (1, cell)), g.tensor("previous_state_h", (1, cell))
    x = node
    for layer in DENSE[:3]:
        x = _dense(g, x, layer, weights, n_steps, int8)
    hidden, new_c, new_h = _lstm(g, x, c, h, weights, n_steps, int8)
    x = _dense(g, hidden, "layer_5", weights, n_steps, int8)
    x = _dense(g, x, "layer_6", weights, n_steps, int8)
    logits = g.op(_SOFTMAX, [x], "logits", (n_steps, weights.n_labels), (9, {0: ("f", 1.0)}))
    return node, c, h, logits, new_c, new_h


def _lstm(g: _Graph, x: int, c: int, h: int, weights: Weights, n_steps: int, int8: bool) -> tuple[int, int, int]:
    """The LSTM step by step: all h [n_steps, cell], the last c and h."""
    cell, width = weights.n_cell, len(weights.arrays["layer_3/bias"])
    bias = weights.arrays[LSTM_BIAS].copy()
    bias[2 * cell : 3 * cell] += np.float32(weights.forget_bias)
    kernel, bias_at = _matrix(g, CUDNN + "kernel", weights, KERNEL, int8), g.constant(CUDNN + "bias", bias)
    rows = g.op(_RESHAPE, [x, g.integers("rows_shape", [-1, 1, width])], "rows", (n_steps, 1, width), _NO_RESHAPE)
    axis, ones = g.integers("gates_axis", 1), g.integers("row_strides", [1, 1, 1])
    outputs = []
    for i in range(n_steps):
        last = i == n_steps - 1
        place = [rows, g.integers(f"row_begin_{i}", [i, 0, 0]), g.integers(f"row_end_{i}", [i + 1, 0, 0]), ones]
        row = g.op(_STRIDED_SLICE, place, f"row_{i}", (1, width), (32, {0: ("i", 6), 1: ("i", 6), 4: ("i", 1)}))
        both = g.op(_CONCATENATION, [row, h], f"both_{i}", (1, width + cell), (10, {0: ("i", 1)}))
        z = g.op(_FULLY_CONNECTED, [both, kernel, bias_at], f"gates_{i}", (1, 4 * cell), (8, {}))
        gates = [g.tensor(f"gate_{gate}_{i}", (1, cell)) for gate in "icfo"]
        g.add(_SPLIT, [axis, z], gates, (35, {0: ("i", 4)}))
        kinds = (_LOGISTIC, _TANH, _LOGISTIC, _LOGISTIC)
        a, candidate, f, o = (
            g.op(kind, [gate], f"active_{k}_{i}", (1, cell))
            for k, (kind, gate) in enumerate(zip(kinds, gates, strict=True))
        )
        kept = g.op(_MUL, [f, c], f"kept_{i}", (1, cell), (21, {}))
        new = g.op(_MUL, [a, candidate], f"new_{i}", (1, cell), (21, {}))
        c = g.op(_ADD, [kept, new], "new_state_c" if last else f"c_{i}", (1, cell), (11, {}))
        shown = g.op(_TANH, [c], f"shown_{i}", (1, cell))
        h = g.op(_MUL, [o, shown], "new_state_h" if last else f"h_{i}", (1, cell), (21, {}))
        outputs.append(h)
    return g.op(_CONCATENATION, outputs, "hidden", (n_steps, cell), (10, {0: ("i", 0)})), c, h


# ---- the file ------------------------------------------------------------------------------------


@dataclass
class _Tensor:
    name: str
    shape: Sequence[int]
    kind: int
    buffer: int
    scale: float | None


@dataclass
class _Graph:
    """A model under construction: tensors and operators by number, in the order in which they run."""

    buffers: list[bytes] = field(default_factory=lambda: [b""])
    tensors: list[_Tensor] = field(default_factory=list)
    codes: list[tuple[int, int, str]] = field(default_factory=list)
    operators: list[tuple[int, list[int], list[int], _Options | None, bytes]] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)

    def tensor(
        self, name: str, shape: Sequence[int], kind: int = _FLOAT, data: bytes = b"", scale: float | None = None
    ) -> int:
        """A tensor; a constant one with `data`."""
        self.buffers.append(data)
        self.tensors.append(_Tensor(name, shape, kind, len(self.buffers) - 1, scale))
        return len(self.tensors) - 1

    def constant(self, name: str, value: Array | np.float32) -> int:
        """A float constant."""
        return self.tensor(name, np.shape(value), _FLOAT, np.asarray(value, "<f4").tobytes())

    def integers(self, name: str, value: int | Sequence[int]) -> int:
        """An int32 constant."""
        return self.tensor(name, np.shape(value), _INT32, np.asarray(value, "<i4").tobytes())

    def add(
        self,
        code: int,
        inputs: list[int],
        outputs: list[int],
        options: _Options | None = None,
        custom: str = "",
        custom_options: bytes = b"",
    ) -> None:
        """An operator."""
        hybrid = any(self.tensors[i].kind == _INT8 for i in inputs)
        version = 3 if code == _FULLY_CONNECTED and hybrid else 1
        key = (code, version, custom)
        if key not in self.codes:
            self.codes.append(key)
        self.operators.append((self.codes.index(key), inputs, outputs, options, custom_options))

    def op(self, code: int, inputs: list[int], name: str, shape: Sequence[int], options: _Options | None = None) -> int:
        """An operator of one output, which is given back."""
        out = self.tensor(name, shape)
        self.add(code, inputs, [out], options)
        return out

    def custom(self, name: str, inputs: list[int], options: Mapping[str, float | bool]) -> int:
        """A custom operator of one output of its own shape."""
        out = self.tensor(name, ())
        self.add(_CUSTOM, inputs, [out], None, name, _flex_map(options))
        return out

    def copied(self, name: str, kind: int, data: bytes) -> int:
        """An output that is a copy of a constant of one element."""
        source = self.tensor(f"{name}_copy", (1,), kind, data)
        out = self.tensor(name, (1,), kind)
        self.add(_RESHAPE, [source, self.integers(f"{name}_shape", [1])], [out], _NO_RESHAPE)
        return out

    def encode(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file's bytes."""
        b = _Builder()
        buffers = b.tables(
            [b.table({0: b.data(data)} if data else {}) for data in (*self.buffers, *self.metadata.values())]
        )
        tensors = b.tables([self._tensor(b, tensor) for tensor in self.tensors])
        operators = b.tables([self._operator(b, *operator) for operator in self.operators])
        graph = b.table({0: tensors, 1: b.integers(inputs), 2: b.integers(outputs), 3: operators})
        codes = b.tables(
            [
                b.table({0: ("b", code), 1: b.text(custom) if custom else None, 2: ("i", version), 3: ("i", code)})
                for code, version, custom in self.codes
            ]
        )
        metadata = b.tables(
            [b.table({0: b.text(name), 1: ("I", len(self.buffers) + i)}) for i, name in enumerate(self.metadata)]
        )
        model = b.table({0: ("I", 3), 1: codes, 2: b.tables([graph]), 3: b.text("pynna"), 4: buffers, 6: metadata})
        return b.finish(model)

    @staticmethod
    def _tensor(b: _Builder, tensor: _Tensor) -> _Offset:
        quantisation = None
        if tensor.scale is not None:
            quantisation = b.table({2: b.floats([tensor.scale]), 3: b.longs([0])})
        return b.table(
            {
                0: b.integers(tensor.shape),
                1: ("b", tensor.kind),
                2: ("I", tensor.buffer),
                3: b.text(tensor.name),
                4: quantisation,
            }
        )

    @staticmethod
    def _operator(
        b: _Builder, code: int, inputs: list[int], outputs: list[int], options: _Options | None, custom_options: bytes
    ) -> _Offset:
        fields: dict[int, Any] = {0: ("I", code), 1: b.integers(inputs), 2: b.integers(outputs)}
        if options is not None:
            fields.update({3: ("B", options[0]), 4: b.table(options[1])})
        if custom_options:
            fields[5] = b.data(custom_options)
        return b.table(fields)


@dataclass(frozen=True)
class _Offset:
    """Where something stands in a buffer under construction."""

    at: int


class _Builder:
    """The flatbuffers package's builder, by fields' numbers."""

    def __init__(self) -> None:
        try:
            import flatbuffers
        except ImportError:
            raise MappingError("writing a .tflite needs the flatbuffers package: pip install 'pynna[map]'") from None
        self.b: Any = flatbuffers.Builder(1 << 16)

    def table(self, fields: Mapping[int, Any]) -> _Offset:
        """A table of numbers (kind, value), offsets, and None for what is left out."""
        put: dict[str, Callable[..., None]] = {
            "b": self.b.PrependInt8Slot,
            "B": self.b.PrependUint8Slot,
            "i": self.b.PrependInt32Slot,
            "I": self.b.PrependUint32Slot,
            "f": self.b.PrependFloat32Slot,
        }
        self.b.StartObject(max(fields, default=0) + 1)
        for number, value in fields.items():
            if isinstance(value, _Offset):
                self.b.PrependUOffsetTRelativeSlot(number, value.at, 0)
            elif value is not None:
                put[value[0]](number, value[1], 0)
        return _Offset(self.b.EndObject())

    def _vector(self, values: Sequence[Any], size: int, put: Callable[[Any], None]) -> _Offset:
        self.b.StartVector(size, len(values), size)
        for value in reversed(values):
            put(value)
        return _Offset(self.b.EndVector())

    def integers(self, values: Sequence[int]) -> _Offset:
        return self._vector(values, 4, self.b.PrependInt32)

    def floats(self, values: Sequence[float]) -> _Offset:
        return self._vector(values, 4, self.b.PrependFloat32)

    def longs(self, values: Sequence[int]) -> _Offset:
        return self._vector(values, 8, self.b.PrependInt64)

    def tables(self, values: Sequence[_Offset]) -> _Offset:
        return self._vector([value.at for value in values], 4, self.b.PrependUOffsetTRelative)

    def text(self, value: str) -> _Offset:
        return _Offset(self.b.CreateString(value))

    def data(self, value: bytes) -> _Offset:
        """Bytes, aligned to 16, as TensorFlow Lite's buffers are."""
        self.b.StartVector(1, len(value), 16)
        self.b.head -= len(value)
        self.b.Bytes[self.b.head : self.b.head + len(value)] = value
        return _Offset(self.b.EndVector())

    def finish(self, root: _Offset) -> bytes:
        self.b.Finish(root.at, b"TFL3")
        return bytes(self.b.Output())


def _flex_map(values: Mapping[str, float | bool]) -> bytes:
    """A FlexBuffers map of numbers and booleans, all 32 bits wide; keys are sorted."""
    names = sorted(values)
    text, starts = b"", []
    for name in names:
        starts.append(len(text))
        text += name.encode() + b"\0"
    text += bytes(-len(text) % 4)
    keys_at = len(text) + 4
    keys = struct.pack("<I", len(names)) + b"".join(
        struct.pack("<I", keys_at + 4 * i - start) for i, start in enumerate(starts)
    )
    at = len(text) + len(keys)  # of the map: where its keys stand, how wide they are, how many values
    head = struct.pack("<III", at - keys_at, 4, len(names))
    numbers, kinds = b"", b""
    for name in names:
        value = values[name]
        if isinstance(value, bool):
            numbers, kinds = numbers + struct.pack("<I", value), kinds + bytes([26 << 2 | 2])
        elif isinstance(value, int):
            numbers, kinds = numbers + struct.pack("<i", value), kinds + bytes([1 << 2 | 2])
        else:
            numbers, kinds = numbers + struct.pack("<f", value), kinds + bytes([3 << 2 | 2])
    body = text + keys + head + numbers + kinds
    root = len(body) - (at + len(head))
    return body + bytes([root, 9 << 2 | 2, 1])
