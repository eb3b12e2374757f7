# SPDX-License-Identifier: Apache-2.0
"""Importer of DeepSpeech's frozen graphs, output_graph.pb and .pbmm, without TensorFlow.

Weights are found by the names of their variables, parameters in the attributes of the nodes that use them: Mfcc and
AudioSpectrogram (front end), BlockLSTM (forget bias), Minimum (clip of the ReLUs), and what the graph says of itself in
the node model_metadata (0.5) or the constants metadata_* (from 0.6 on). `graph_export` writes them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.graph_schema import (
    DT_BOOL,
    DT_DOUBLE,
    DT_FLOAT,
    DT_HALF,
    DT_INT32,
    DT_INT64,
    graph_class,
)
from pynna.mapping.memmapped import GRAPH, is_memmapped, regions
from pynna.mapping.metadata import FEATURE_RANGE, GENERATIONS, choose_alphabet, metadata_of, parse_alphabet
from pynna.mapping.npz import CUDNN
from pynna.mapping.weights import KERNEL, LSTM_BIAS, NAMES, Weights

Array = NDArray[Any]

_TENSORS: dict[int, tuple[str, str]] = {  # dtype: (NumPy's, the field of values that are not tensor_content)
    DT_FLOAT: ("<f4", "float_val"),
    DT_DOUBLE: ("<f8", "double_val"),
    DT_INT32: ("<i4", "int_val"),
    DT_INT64: ("<i8", "int64_val"),
    DT_BOOL: ("?", "bool_val"),
    DT_HALF: ("<f2", "half_val"),
}
_MAX_ELEMENTS = 1 << 28


# ---- reading -------------------------------------------------------------------------------------


def import_graph(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from an output_graph.pb or .pbmm of DeepSpeech 0.5 to 0.9.

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank; otherwise the graph's own, those of the ``alphabet.txt`` beside it, or the English
        ones where the network has 28.

    Raises
    ------
    MappingError
        No such graph, nodes missing or wrong, or the protobuf package is not installed.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = _mapped(file)
        if is_memmapped(data):
            mapped = regions(data)
            graph = _Graph(bytes(mapped[GRAPH]), mapped)
        else:
            graph = _Graph(bytes(data))
        return graph.weights(alphabet, Path(path))
    except MappingError as error:
        raise MappingError(f"{name}: {error}") from None


def _mapped(file: Any) -> memoryview:
    try:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError:
        raise MappingError("the file is empty; output_graph.pb is needed") from None


class _Graph:
    """A parsed graph and the questions put to it; `mapped` are the regions of a .pbmm."""

    def __init__(self, data: bytes, mapped: Mapping[str, memoryview] | None = None) -> None:
        self.mapped = mapped
        graph = graph_class()()
        from google.protobuf.message import DecodeError

        try:
            graph.ParseFromString(data)
        except DecodeError:
            raise MappingError("not a TensorFlow graph (or cut short); output_graph.pb is needed") from None
        self.nodes: dict[str, Any] = {node.name: node for node in graph.node}
        if not self.nodes:
            raise MappingError("not a TensorFlow graph, or an empty one; output_graph.pb is needed")

    def weights(self, alphabet: tuple[str, ...] | None, path: Path) -> Weights:
        """All of it, as the mapping takes it."""
        self.check_layers()
        arrays = {name: self.tensor(self.find(name)) for name in NAMES}
        self.check_lstm()
        inside = self.string("metadata_alphabet")
        labels = choose_alphabet(
            alphabet, None if inside is None else parse_alphabet(inside), path, arrays["layer_6/bias"].size
        )
        version = self.number("metadata_version")
        kind = "memory-mapped graph" if self.mapped else "frozen graph"
        return Weights(
            arrays,
            labels,
            self.features(),
            forget_bias=self.forget_bias(),
            relu_clip=self.relu_clip(),
            feature_range=self.tensor(self.nodes[FEATURE_RANGE]) if FEATURE_RANGE in self.nodes else None,
            source=path.name,
            metadata=metadata_of(self.number, self.string),
            found=f"{GENERATIONS.get(version, f'graph version {version}')}, {kind}",
        )

    def check_layers(self) -> None:
        """No layer normalisation, which the arithmetic does not have."""
        wrong = next((name for name in self.nodes if "LayerNorm" in name or "layer_norm" in name), None)
        if wrong:
            raise MappingError(f"the network has layer normalisation ({wrong}); one without is needed")

    def string(self, name: str) -> bytes | None:
        """The value of a Const of one string; None where there is none."""
        node = self.nodes.get(name)
        if node is None or node.op != "Const" or "value" not in node.attr:
            return None
        values = node.attr["value"].tensor.string_val
        return bytes(values[0]) if len(values) == 1 else None

    def number(self, name: str) -> int | None:
        """The value of a Const of one number, as an integer; None where there is none."""
        value = self.scalar(name)
        return None if value is None or not np.isfinite(value) else int(value)

    def find(self, name: str) -> Any:
        """The Const of a variable, whatever scope the graph was imported under."""
        wanted = [name]
        if name in (KERNEL, LSTM_BIAS):
            wanted.append(CUDNN + name.rsplit("/", 1)[1])
        for candidate in wanted:
            if candidate in self.nodes:
                return self.nodes[candidate]
        scoped = [node for key, node in self.nodes.items() if key.endswith(tuple("/" + w for w in wanted))]
        if len(scoped) == 1:
            return scoped[0]
        few = ", ".join([key for key, node in self.nodes.items() if node.op == "Const"][:6]) or "none"
        raise MappingError(f"there is no node {name}: this is no DeepSpeech network (its constants begin {few})")

    def tensor(self, node: Any) -> Array:
        """A Const's value."""
        if node.op.startswith("Variable") or node.op == "VarHandleOp":
            raise MappingError(
                f"{node.name} is a variable, so the graph is not frozen; output_graph.pb as "
                f"DeepSpeech.py --export_dir writes it is needed"
            )
        if node.op == "ImmutableConst":
            return self.mapped_tensor(node)
        if node.op != "Const" or "value" not in node.attr:
            raise MappingError(f"{node.name} is {node.op}; a Const is needed")
        return _tensor(node.name, node.attr["value"].tensor)

    def mapped_tensor(self, node: Any) -> Array:
        """The value of an ImmutableConst, in place: a float array over the file."""
        name = _attr(node, "memory_region_name", "s", b"").decode("utf-8", "replace")
        if self.mapped is None or name not in self.mapped:
            raise MappingError(f"{node.name} is memory-mapped, outside of this file; the .pb or .pbmm whole is needed")
        if _attr(node, "dtype", "type", 0) != DT_FLOAT or "shape" not in node.attr:
            raise MappingError(f"{node.name} is memory-mapped, but has no float type and shape")
        shape = tuple(dim.size for dim in node.attr["shape"].shape.dim)
        size = 4 * np.prod(shape, dtype=np.float64)
        if any(n < 0 for n in shape) or size > len(self.mapped[name]):
            raise MappingError(f"{node.name} has {len(self.mapped[name])} bytes; the shape {list(shape)} needs more")
        return np.frombuffer(self.mapped[name], "<f4", int(size) // 4).reshape(shape)

    def by_op(self, *ops: str) -> list[Any]:
        """All nodes of these operations."""
        return [node for node in self.nodes.values() if node.op in ops]

    def features(self) -> MfccConfig:
        """The front end: what the ops say, their defaults where a default was stripped."""
        default = MfccConfig()
        values: dict[str, Any] = {"sample_rate": self.sample_rate()}
        for node in self.by_op("AudioSpectrogram")[:1]:
            values.update(
                window=_attr(node, "window_size", "i", default.window), step=_attr(node, "stride", "i", default.step)
            )
        for node in self.by_op("Mfcc")[:1]:
            values.update(
                upper_hz=_attr(node, "upper_frequency_limit", "f", 4000.0),
                lower_hz=_attr(node, "lower_frequency_limit", "f", 20.0),
                n_mel=_attr(node, "filterbank_channel_count", "i", 40),
                n_coefficients=_attr(node, "dct_coefficient_count", "i", 13),
            )
        return MfccConfig(**values)

    def sample_rate(self) -> int:
        """From the metadata node, or what Mfcc is fed."""
        metadata = self.nodes.get("model_metadata")
        if metadata is not None and "sample_rate" in metadata.attr:
            return int(metadata.attr["sample_rate"].i)
        own = self.number("metadata_sample_rate")
        if own is not None:
            return own
        for node in self.by_op("Mfcc"):
            rate = self.scalar(node.input[1]) if len(node.input) > 1 else None
            if rate is not None:
                return int(rate)
        return 16000

    def scalar(self, name: str) -> float | None:
        """The value of a Const of one element, behind any Identity; None where there is none."""
        node = self.nodes.get(name.removeprefix("^").split(":")[0])
        for _ in range(4):
            if node is None or node.op != "Identity" or not node.input:
                break
            node = self.nodes.get(node.input[0])
        if node is None or node.op != "Const" or "value" not in node.attr:
            return None
        value = _tensor(node.name, node.attr["value"].tensor)
        return float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "fiu" else None

    def relu_clip(self) -> float:
        """The one constant that Minimum nodes compare with."""
        values = [self.scalar(name) for node in self.by_op("Minimum") for name in node.input]
        clips = {value for value in values if value is not None}
        if len(clips) > 1:
            raise MappingError(f"the ReLUs are clipped at different values ({sorted(clips)}); one for all is needed")
        if not clips:
            raise MappingError("no Minimum node with a constant: the ReLUs are not clipped, as DeepSpeech's are")
        return clips.pop()

    def check_lstm(self) -> None:
        """No peepholes and no clipping of the cell, which the arithmetic does not have."""
        for node in self.by_op("BlockLSTM", "BlockLSTMV2", "LSTMBlockCell"):
            if _attr(node, "use_peephole", "b", False):
                raise MappingError(f"{node.name} has peepholes; an LSTM without is needed")
            clip = _attr(node, "cell_clip", "f", 0.0 if node.op == "BlockLSTMV2" else 3.0)
            if clip > 0:
                raise MappingError(f"{node.name} clips its cell at {clip:g}; an LSTM that does not is needed")

    def forget_bias(self) -> float:
        """Attribute of the LSTM's op; trained, so 0, in the CuDNN-compatible cell of later versions."""
        for node in self.by_op("BlockLSTM", "LSTMBlockCell"):
            return float(_attr(node, "forget_bias", "f", 1.0))
        return 0.0 if any(CUDNN in name for name in self.nodes) else 1.0


def _attr(node: Any, name: str, kind: str, default: Any) -> Any:
    return getattr(node.attr[name], kind) if name in node.attr else default


def _tensor(name: str, tensor: Any) -> Array:
    """A TensorProto as an array; a single value stands for all elements."""
    if tensor.dtype not in _TENSORS:
        raise MappingError(f"{name} has elements of TensorFlow's type {tensor.dtype}; floats are needed")
    kind, field = _TENSORS[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape) or np.prod(shape, dtype=np.float64) > _MAX_ELEMENTS:
        raise MappingError(f"{name} has the shape {list(shape)}, which cannot be")
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.tensor_content:
        want = count * np.dtype(kind).itemsize
        if len(tensor.tensor_content) != want:
            raise MappingError(f"{name} holds {len(tensor.tensor_content)} bytes; {want} make its shape {list(shape)}")
        return np.frombuffer(tensor.tensor_content, kind).reshape(shape)
    values = (
        np.array(getattr(tensor, field), np.uint16).view(kind)
        if kind == "<f2"
        else np.array(getattr(tensor, field), kind)
    )
    if len(values) > count or (count and not len(values)):
        raise MappingError(f"{name} holds {len(values)} values; {count} make its shape {list(shape)}")
    # the last value is repeated to the end
    return np.concatenate([values, np.repeat(values[-1:], count - len(values))]).reshape(shape)
