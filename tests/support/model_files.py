# SPDX-License-Identifier: Apache-2.0
"""Writers of model files that only the tests need: memory-mapped graphs, checkpoints, ONNX, safetensors."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pynna.mapping import Weights, export_graph
from pynna.mapping.graph_schema import graph_class

LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_pbmm(weights: Weights, path: Path, *, lengths: bool = True, smallest: int = 256) -> None:
    """A .pbmm: matrices of `smallest` bytes and more as regions in front of the graph."""
    export_graph(weights, path)
    graph = graph_class()()
    graph.ParseFromString(path.read_bytes())
    regions: list[tuple[str, bytes]] = []
    for node in graph.node:
        if node.op != "Const" or len(node.attr["value"].tensor.tensor_content) < smallest:
            continue
        tensor = node.attr["value"].tensor
        name = "memmapped_package://" + re.sub(r"\W", "_", node.name)
        regions.append((name, tensor.tensor_content))
        node.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
        node.attr["dtype"].type = tensor.dtype
        node.attr["memory_region_name"].s = name.encode()
        del node.attr["value"]
        node.op = "ImmutableConst"
    regions.append(("memmapped_package://.", graph.SerializeToString()))
    data, directory = b"", b""
    for name, content in regions:
        data += bytes(-len(data) % 64)
        element = field(1, len(data)) + field(2, name) + (field(3, len(content)) if lengths else b"")
        directory += field(1, element)
        data += content
    path.write_bytes(data + directory + struct.pack("<Q", len(data)))


def write_checkpoint(arrays: Mapping[str, Any], prefix: Path) -> Path:
    """PREFIX.index and PREFIX.data-00000-of-00001; keys share their beginnings. Returns the index."""
    data, records = b"", [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(arrays):
        array = np.asarray(arrays[name], "<f4")
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        value = field(1, 1) + field(2, shape) + field(4, len(data)) + field(5, array.nbytes)
        records.append((name.encode(), value + varint(6 << 3 | 5) + bytes(4)))
        data += array.tobytes()
    blocks, before = b"", b""
    for key, value in records:
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        blocks += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key

    def closed(block: bytes) -> bytes:
        return block + struct.pack("<II", 0, 1)

    first = closed(blocks)
    handle = varint(0) + varint(len(first))
    index = closed(varint(0) + varint(len(before)) + varint(len(handle)) + before + handle)
    out = first + bytes(5)
    at = len(out)
    out += index + bytes(5)
    footer = varint(0) + varint(0) + varint(at) + varint(len(index))
    footer += bytes(40 - len(footer)) + bytes.fromhex("57fb808b247547db")
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    path = prefix.with_name(prefix.name + ".index")
    path.write_bytes(out + footer)
    return path


def torch_tensors(weights: Weights) -> dict[str, np.ndarray[Any, Any]]:
    """The network as a PyTorch module of Linear and LSTM layers would hold it."""
    cell = weights.n_cell
    rows = np.concatenate([np.arange(cell) + k * cell for k in (0, 2, 1, 3)])  # i, f, g, o of i, g, f, o
    kernel = weights.arrays["lstm_fused_cell/kernel"].T[rows]
    bias = weights.arrays["lstm_fused_cell/bias"][rows]
    split = kernel.shape[1] - cell
    out: dict[str, np.ndarray[Any, Any]] = {}
    for layer in LAYERS:
        if layer == "layer_5":
            out |= {
                "lstm.weight_ih_l0": kernel[:, :split],
                "lstm.weight_hh_l0": kernel[:, split:],
                "lstm.bias_ih_l0": bias,
                "lstm.bias_hh_l0": np.zeros_like(bias),
            }
        out[f"{layer}.weight"] = weights.arrays[f"{layer}/weights"].T
        out[f"{layer}.bias"] = weights.arrays[f"{layer}/bias"]
    return {name: np.ascontiguousarray(array, np.float32) for name, array in out.items()}


def write_safetensors(tensors: Mapping[str, Any], path: Path) -> None:
    header, data = {}, b""
    for name, array in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_onnx(weights: Weights, path: Path) -> None:
    """Gemm, Clip, LSTM: as exporters write such a network."""
    tensors: dict[str, Any] = {"low": np.float32(0), "high": np.float32(weights.relu_clip)}
    nodes: list[bytes] = []

    def node(op: str, inputs: list[str], output: str, **attributes: int) -> str:
        body = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, op)
        body += b"".join(field(5, field(1, k) + field(3, v) + field(20, 2)) for k, v in attributes.items())
        nodes.append(field(1, body))
        return output

    x = "input"
    for layer in LAYERS:
        if layer == "layer_5":
            x = node("LSTM", [x, "W", "R", "B"], "states", hidden_size=weights.n_cell)
        tensors[f"{layer}.w"] = weights.arrays[f"{layer}/weights"].T
        tensors[f"{layer}.b"] = weights.arrays[f"{layer}/bias"]
        x = node("Gemm", [x, f"{layer}.w", f"{layer}.b"], f"{layer}.sum", transB=1)
        if layer != "layer_6":
            x = node("Clip", [x, "low", "high"], f"{layer}.relu")
    cell = weights.n_cell
    rows = np.concatenate([np.arange(cell) + k * cell for k in (0, 3, 2, 1)])  # i, o, f, c of i, c, f, o
    kernel = weights.arrays["lstm_fused_cell/kernel"].T[rows]
    bias = weights.arrays["lstm_fused_cell/bias"][rows]
    tensors |= {
        "W": kernel[None, :, :-cell],
        "R": kernel[None, :, -cell:],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
    }
    initializers = b"".join(
        field(
            5,
            b"".join(field(1, size) for size in np.shape(value))
            + field(2, 1)
            + field(8, name)
            + field(9, np.asarray(value, "<f4").tobytes()),
        )
        for name, value in tensors.items()
    )
    path.write_bytes(field(1, 8) + field(7, b"".join(nodes) + initializers))
