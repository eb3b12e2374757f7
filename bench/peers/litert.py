# SPDX-License-Identifier: Apache-2.0
"""LiteRT with dynamic int8: a .tflite of int8 weights and float activations, which its XNNPACK quantises as they come.

TensorFlow, whose converter writes such files, is not needed: the file is laid out here as the converter does it for
such a network, with the package's own schema. The LSTM is unrolled, its input half one product for all steps.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from bench.peers import CLIP, FORGET_BIAS, Array, Arrays, Function, Peer

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
RELU = schema.ActivationFunctionType.RELU


class _Graph:
    """A subgraph as it grows; tensors are told by their numbers."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[str] = []

    def tensor(self, shape: tuple[int, ...], data: Array | None = None, scales: Array | None = None) -> int:
        t = schema.TensorT()
        t.name, t.shape, t.hasRank = f"t{len(self.tensors)}", list(shape), True
        t.type = TYPES[data.dtype] if data is not None else schema.TensorType.FLOAT32
        if data is not None:
            t.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = data.reshape(-1).view(np.uint8)
        if scales is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = scales, np.zeros(scales.size, np.int64)
        self.tensors.append(t)
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: list[int], *shapes: tuple[int, ...], **options: Any) -> Any:
        """Adds one, a tensor for each of its outputs' shapes; their numbers, or the only one."""
        if name not in self.codes:
            self.codes.append(name)
        outputs = [self.tensor(shape) for shape in shapes]
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self.codes.index(name), inputs, outputs
        kind = "".join(word.capitalize() for word in name.split("_")) + "Options"
        if hasattr(schema, f"{kind}T"):
            op.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            op.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(op.builtinOptions, key, value)
        self.operators.append(op)
        return outputs[0] if len(outputs) == 1 else outputs

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        part, model = schema.SubGraphT(), schema.ModelT()
        part.tensors, part.operators, part.inputs, part.outputs = self.tensors, self.operators, inputs, outputs
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [part], self.buffers, []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(name, 1)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


VERSIONS = {"FULLY_CONNECTED": 5}  # from this on float by int8 with a scale for each row


class Network:
    """See bench.peers.Network."""

    def __init__(self, arrays: Arrays) -> None:
        kernel, bias = arrays["lstm_fused_cell/kernel"], arrays["lstm_fused_cell/bias"].copy()
        width = kernel.shape[1] // 4
        bias[2 * width : 3 * width] += np.float32(FORGET_BIAS)
        self._floats = {
            name: (arrays[f"{name}/weights"], arrays[f"{name}/bias"])
            for name in ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")
        }
        self._floats |= {"lstm_x": (kernel[:width], bias), "lstm_h": (kernel[width:], np.zeros_like(bias))}
        self._int8 = {name: _quantised(w.T) for name, (w, _) in self._floats.items()}
        self._files: dict[tuple[int, int], bytes] = {}

    def functions(self, peer: Peer) -> dict[str, Function]:
        key = (peer.steps, peer.channels)
        if key not in self._files:
            self._files[key] = self.file(*key)
        interpreter = Interpreter(model_content=self._files[key], num_threads=peer.threads)
        interpreter.allocate_tensors()
        inputs = [d["index"] for d in interpreter.get_input_details()]
        outputs = [d["index"] for d in interpreter.get_output_details()]

        def run(x: Array, c: Array, h: Array) -> list[Array]:
            for index, value in zip(inputs, (x, c, h), strict=True):
                interpreter.set_tensor(index, value)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]

        return {"": run}

    def file(self, steps: int, channels: int) -> bytes:
        """The .tflite of so many steps and channels a call."""
        g = _Graph()
        n_inputs, width = self._floats["layer_1"][0].shape
        rows = steps * channels
        constants = {
            name: (g.tensor(w.shape, w, scales), g.tensor(self._floats[name][1].shape, self._floats[name][1]))
            for name, (w, scales) in self._int8.items()
        }
        ceiling = g.tensor((), np.float32([CLIP]))

        def product(name: str, x: int, n: int, activation: int = 0) -> int:
            return g.operator(
                "FULLY_CONNECTED",
                [x, *constants[name]],
                (n, self._floats[name][1].size),
                fusedActivationFunction=activation,
            )

        def clipped(name: str, x: int) -> int:
            return g.operator("MINIMUM", [product(name, x, rows, RELU), ceiling], (rows, width))

        def reshaped(x: int, *shape: int) -> int:
            return g.operator("RESHAPE", [x, g.tensor((len(shape),), np.int32(shape))], shape, newShape=list(shape))

        x, c, h = inputs = [g.tensor((steps, channels, n_inputs)), *(g.tensor((channels, width)) for _ in "ch")]
        y = reshaped(x, rows, n_inputs)
        for name in ("layer_1", "layer_2", "layer_3"):
            y = clipped(name, y)
        gates = product("lstm_x", y, rows)
        axis = [g.tensor((), np.int32([k])) for k in (0, 1)]
        parts = g.operator("SPLIT", [axis[0], gates], *[(channels, 4 * width)] * steps, numSplits=steps)
        hidden = []
        for part in parts if steps > 1 else [parts]:
            recurrent = product("lstm_h", h, channels)
            c, h = _cell(g, g.operator("ADD", [part, recurrent], (channels, 4 * width)), c, axis[1], (channels, width))
            hidden.append(h)
        y = g.operator("CONCATENATION", hidden, (rows, width), axis=0) if steps > 1 else h
        y = g.operator(
            "LOG_SOFTMAX", [product("layer_6", clipped("layer_5", y), rows)], (rows, self._floats["layer_6"][1].size)
        )
        return g.file(inputs, [reshaped(y, steps, channels, self._floats["layer_6"][1].size), c, h])


def _quantised(w: Array) -> tuple[Array, Array]:
    """int8 [rows, columns], symmetric, and a scale for each row."""
    scales = (np.maximum(np.abs(w).max(1), 1e-12) / 127).astype(np.float32)
    return np.rint(w / scales[:, None]).astype(np.int8), scales


def _cell(g: _Graph, gates: int, c: int, axis: int, shape: tuple[int, int]) -> tuple[int, int]:
    """New c and h from the sums of i, g, f, o."""
    i, candidate, f, o = g.operator("SPLIT", [axis, gates], *[shape] * 4, numSplits=4)
    i, f, o = (g.operator("LOGISTIC", [v], shape) for v in (i, f, o))
    new = g.operator("MUL", [i, g.operator("TANH", [candidate], shape)], shape)
    c = g.operator("ADD", [g.operator("MUL", [f, c], shape), new], shape)
    return c, g.operator("MUL", [o, g.operator("TANH", [c], shape)], shape)
