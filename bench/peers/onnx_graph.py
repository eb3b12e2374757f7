# SPDX-License-Identifier: Apache-2.0
"""DeepSpeech's network as an ONNX graph of float weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.peers import CLIP, FORGET_BIAS, Array, Arrays


class _Graph:
    """Nodes and initialisers as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], *outputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, list(outputs), name=outputs[0], **attributes))
        return outputs[0]

    def dense(self, arrays: Arrays, name: str, x: str) -> str:
        """A layer without its activation."""
        product = self.node("MatMul", [x, self.constant(f"{name}_w", arrays[f"{name}/weights"])], f"{name}_xw")
        return self.node("Add", [product, self.constant(f"{name}_b", arrays[f"{name}/bias"])], name)

    def clipped(self, arrays: Arrays, name: str, x: str) -> str:
        return self.node("Clip", [self.dense(arrays, name, x), "zero", "clip"], f"{name}_clipped")


def graph(arrays: Arrays, unrolled: int | None = None) -> onnx.ModelProto:
    """Inputs x [steps, channels, inputs], c and h [channels, width]; outputs p, c_out, h_out.

    With ONNX's own LSTM for any number of steps; or `unrolled` steps of simple operators, one product for the input
    half of all.
    """
    g = _Graph()
    g.constant("zero", np.float32(0))
    g.constant("clip", np.float32(CLIP))
    g.constant("axis_0", np.array([0]))
    x = "x"
    for name in ("layer_1", "layer_2", "layer_3"):
        x = g.clipped(arrays, name, x)
    if unrolled:
        _unrolled(g, arrays, x, unrolled)
    else:
        _lstm(g, arrays, x)
    x = g.clipped(arrays, "layer_5", "lstm")
    g.node("LogSoftmax", [g.dense(arrays, "layer_6", x)], "p", axis=-1)
    n_inputs, width = arrays["layer_1/weights"].shape
    n_labels = arrays["layer_6/bias"].size

    steps, channels = unrolled or "steps", "channels"

    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    made = helper.make_graph(
        g.nodes,
        "deepspeech",
        [value("x", steps, channels, n_inputs), *(value(n, channels, width) for n in "ch")],
        [value("p", steps, channels, n_labels), *(value(f"{n}_out", channels, width) for n in "ch")],
        g.constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _lstm_weights(arrays: Arrays) -> tuple[Array, Array]:
    """Kernel, and the bias with what is added to the forget gate."""
    kernel, bias = arrays["lstm_fused_cell/kernel"], arrays["lstm_fused_cell/bias"].copy()
    width = kernel.shape[1] // 4
    bias[2 * width : 3 * width] += np.float32(FORGET_BIAS)
    return kernel, bias


def _lstm(g: _Graph, arrays: Arrays, x: str) -> None:
    """ONNX's gates are i, o, f, g; DeepSpeech's i, g, f, o."""
    kernel, bias = _lstm_weights(arrays)
    width = kernel.shape[1] // 4
    order = np.concatenate([np.arange(width) + k * width for k in (0, 3, 2, 1)])
    w, r = kernel[:width, order].T[None], kernel[width:, order].T[None]
    b = np.concatenate([bias[order], np.zeros_like(bias)])[None]
    g.constant("axis_1", np.array([1]))
    states = [g.node("Unsqueeze", [name, "axis_0"], f"{name}_in") for name in "hc"]
    g.node(
        "LSTM",
        [x, g.constant("lstm_w", w), g.constant("lstm_r", r), g.constant("lstm_b", b), "", *states],
        "lstm_all",
        "lstm_h",
        "lstm_c",
        hidden_size=width,
    )
    g.node("Squeeze", ["lstm_all", "axis_1"], "lstm")
    for name in "hc":
        g.node("Squeeze", [f"lstm_{name}", "axis_0"], f"{name}_out")


def _unrolled(g: _Graph, arrays: Arrays, x: str, steps: int) -> None:
    kernel, bias = _lstm_weights(arrays)
    width = kernel.shape[1] // 4
    g.constant("lstm_r", kernel[width:])
    g.constant("a_step_each", np.ones(steps, np.int64))
    g.constant("a_gate_each", np.full(4, width))
    inputs = g.node(
        "Add",
        [g.node("MatMul", [x, g.constant("lstm_w", kernel[:width])], "lstm_xw"), g.constant("lstm_b", bias)],
        "lstm_x",
    )
    parts = [f"lstm_x_{s}" for s in range(steps)]
    g.node("Split", [inputs, "a_step_each"], *parts, axis=0)
    c, h, hidden = "c", "h", []
    for s, part in enumerate(parts):
        last = s == steps - 1
        sums = g.node(
            "Add",
            [g.node("Squeeze", [part, "axis_0"], f"x_{s}"), g.node("MatMul", [h, "lstm_r"], f"r_{s}")],
            f"sums_{s}",
        )
        c, h = _cell(g, sums, c, s, ("c_out", "h_out") if last else (f"c_{s}", f"h_{s}"))
        hidden.append(g.node("Unsqueeze", [h, "axis_0"], f"hidden_{s}"))
    g.node("Concat", hidden, "lstm", axis=0)


def _cell(g: _Graph, sums: str, c: str, s: int, names: tuple[str, str]) -> tuple[str, str]:
    """New c and h from the sums of i, g, f, o."""
    gates = [f"{gate}_{s}" for gate in "igfo"]
    g.node("Split", [sums, "a_gate_each"], *gates, axis=-1)
    i, f, o = (g.node("Sigmoid", [gates[k]], f"{gates[k]}_gate") for k in (0, 2, 3))
    new = g.node("Mul", [i, g.node("Tanh", [gates[1]], f"candidate_{s}")], f"new_{s}")
    c = g.node("Add", [g.node("Mul", [f, c], f"kept_{s}"), new], names[0])
    return c, g.node("Mul", [o, g.node("Tanh", [c], f"tanh_{s}")], names[1])
