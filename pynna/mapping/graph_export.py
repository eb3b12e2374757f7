# SPDX-License-Identifier: Apache-2.0
"""Exporter of frozen graphs, output_graph.pb and .pbmm, in the layouts of DeepSpeech 0.5 to 0.9, without TensorFlow.

0.5 keeps the LSTM's state in variables of the graph and adds a forget bias; from 0.6 on the state goes in and out, the
forget bias is part of the bias, and constants tell what the model is. The clients have the kernels of all nodes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.graph_schema import DT_FLOAT, DT_INT32, DT_INT64, DT_STRING, graph_class
from pynna.mapping.memmapped import write_memmapped
from pynna.mapping.metadata import FEATURE_RANGE, milliseconds, serialise_alphabet
from pynna.mapping.npz import CUDNN
from pynna.mapping.weights import DENSE, KERNEL, LSTM_BIAS, Weights
from pynna.saving import whole_file

Array = NDArray[Any]

_STEPS = 16  # time steps a call in a release's graph
_VERSIONS = {"0.5": None, "0.6": 5, "0.7": 6, "0.8": 6, "0.9": 6}  # releases, and what metadata_version says in theirs


def export_graph(
    weights: Weights,
    path: str | os.PathLike[str],
    *,
    release: str = "0.5",
    n_steps: int = _STEPS,
    beam_width: int = 500,
    language: str = "en-US",
) -> None:
    """Writes the network as an output_graph.pb, or memory-mapped where the path ends in .pbmm: batch 1.

    Parameters
    ----------
    weights : Weights
    path : path
    release : str
        The DeepSpeech that shall run it: "0.5", "0.6", "0.7", "0.8" or "0.9", or one with a third number.
    n_steps : int
        Time steps a call.
    beam_width, language
        What the file is told, from 0.7 and 0.6 on.

    Raises
    ------
    MappingError
        Another release; the protobuf package is not installed; or the window or step is no whole number of
        milliseconds, in which the format counts.
    OSError
        The file cannot be written.
    """
    key = ".".join(release.split(".")[:2])
    if key not in _VERSIONS:
        raise MappingError(f"release must be one of {', '.join(_VERSIONS)}, got {release!r}")
    lengths, version = milliseconds(weights.features), _VERSIONS[key]
    writer = _Writer()
    _write_front_end(writer, weights)
    (_write_old_network if version is None else _write_network)(writer, weights, n_steps)
    if version is None:
        writer.graph.version = 1
        writer.node("model_metadata", "NoOp", **lengths)
    else:
        numbers = {"version": version, **lengths, **({"beam_width": beam_width} if version > 5 else {})}
        for name, value in numbers.items():
            writer.constant(f"metadata_{name}", [value])
        writer.text("metadata_alphabet", serialise_alphabet(weights.alphabet))
        writer.text("metadata_language", language.encode())
    if weights.feature_range is not None:
        writer.constant(FEATURE_RANGE, weights.feature_range, np.float32)
    if Path(path).suffix == ".pbmm":
        data = write_memmapped(writer.graph, with_lengths=version is not None)
    else:
        data = writer.graph.SerializeToString(deterministic=True)
    with whole_file(path, "wb") as file:
        file.write(data)


class _Type(int):
    """An attribute that is a TensorFlow type."""


FLOAT, INT32, INT64 = _Type(DT_FLOAT), _Type(DT_INT32), _Type(DT_INT64)


class _Writer:
    """A graph under construction; nodes give back their names, to be the inputs of others."""

    def __init__(self) -> None:
        self.graph = graph_class()()

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; an attribute's kind follows from its value's Python type."""
        node = self.graph.node.add(name=name, op=op)
        node.input.extend(inputs)
        for key, value in attributes.items():
            self._set(node.attr[key], value)
        return name

    def _set(self, attr: Any, value: Any) -> None:
        if isinstance(value, _Type):
            attr.type = int(value)
        elif isinstance(value, bool):
            attr.b = value
        elif isinstance(value, int):
            attr.i = value
        elif isinstance(value, float):
            attr.f = value
        elif isinstance(value, bytes):
            attr.list.s.append(value)
        elif isinstance(value, tuple):
            for size in value:
                attr.shape.dim.add(size=size)
            attr.shape.SetInParent()
        else:
            self._set_tensor(attr.tensor, value)

    def _set_tensor(self, tensor: Any, value: Array) -> None:
        tensor.dtype = {"f": DT_FLOAT, "i": DT_INT32, "l": DT_INT64, "q": DT_INT64}[value.dtype.char]
        tensor.tensor_shape.SetInParent()
        for size in value.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = value.astype(value.dtype.newbyteorder("<")).tobytes()

    def constant(self, name: str, value: Any, kind: type = np.int32) -> str:
        """A Const node."""
        array: Array = np.asarray(value, kind)
        types = {"f": FLOAT, "i": INT32, "l": INT64, "q": INT64}
        return self.node(name, "Const", dtype=types[array.dtype.char], value=array)

    def text(self, name: str, value: bytes) -> str:
        """A Const node of one string."""
        node = self.graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = DT_STRING
        tensor = node.attr["value"].tensor
        tensor.dtype = DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(value)
        return name

    def weight(self, name: str, value: Array) -> str:
        """A frozen variable: the Const and the Identity that reads it."""
        return self.node(f"{name}/read", "Identity", self.constant(name, value, np.float32), T=FLOAT)

    def reshape(self, name: str, value: str, shape: tuple[int, ...], shape_name: str | None = None) -> str:
        """A Reshape node and the constant with its shape."""
        target = self.constant(shape_name or f"{name}/shape", shape)
        return self.node(name, "Reshape", value, target, T=FLOAT, Tshape=INT32)

    def state(self, name: str, n_cell: int) -> str:
        """A state's variable, and the node that reads it."""
        here = f"loc:@{name}".encode()
        self.node(name, "VariableV2", shape=(1, n_cell), dtype=FLOAT, _class=here)
        return self.node(f"{name}/read", "Identity", name, T=FLOAT, _class=here)

    def assign(self, name: str, variable: str, value: str) -> str:
        """An Assign node, as a control input."""
        return "^" + self.node(name, "Assign", variable, value, T=FLOAT, _class=f"loc:@{variable}".encode())


def _write_front_end(w: _Writer, weights: Weights) -> None:
    """input_samples [window] to mfccs [1, n_coefficients]."""
    f = weights.features
    w.node("input_samples", "Placeholder", dtype=FLOAT, shape=(f.window,))
    w.node("samples_column", "ExpandDims", "input_samples", w.constant("samples_column/dim", -1), T=FLOAT, Tdim=INT32)
    w.node(
        "AudioSpectrogram",
        "AudioSpectrogram",
        "samples_column",
        window_size=f.window,
        stride=f.step,
        magnitude_squared=True,
    )
    w.node(
        "Mfcc",
        "Mfcc",
        "AudioSpectrogram",
        w.constant("Mfcc/sample_rate", f.sample_rate),
        upper_frequency_limit=float(f.upper_hz),
        lower_frequency_limit=float(f.lower_hz),
        filterbank_channel_count=f.n_mel,
        dct_coefficient_count=f.n_coefficients,
    )
    w.node("mfccs", "Identity", w.reshape("mfccs_rows", "Mfcc", (-1, f.n_coefficients)), T=FLOAT)


def _write_dense_in(w: _Writer, weights: Weights, n_steps: int) -> str:
    """input_node [1, n_steps, frames, n_coefficients] to what goes into the LSTM [n_steps, 1, width]."""
    n_frames, n_coefficients = 2 * weights.n_context + 1, weights.features.n_coefficients
    w.node("input_node", "Placeholder", dtype=FLOAT, shape=(1, n_steps, n_frames, n_coefficients))
    w.node("input_lengths", "Placeholder", dtype=INT32, shape=(1,))
    order = w.constant("time_major/perm", [1, 0, 2, 3])
    x = w.node("time_major", "Transpose", "input_node", order, T=FLOAT, Tperm=INT32)
    x = w.reshape("windows", x, (-1, n_frames * n_coefficients))
    for layer in DENSE[:3]:
        x = _write_dense(w, layer, x, weights.arrays, weights.relu_clip)
    return w.reshape("lstm_inputs", x, (n_steps, 1, weights.arrays["layer_3/bias"].size))


def _write_dense_out(w: _Writer, weights: Weights, x: str, n_steps: int) -> str:
    """What the LSTM gives to raw_logits [n_steps, 1, labels]."""
    x = w.reshape("lstm_outputs", x, (-1, weights.n_cell))
    x = _write_dense(w, "layer_5", x, weights.arrays, weights.relu_clip)
    x = _write_dense(w, "layer_6", x, weights.arrays, None)
    return w.reshape("raw_logits", x, (n_steps, 1, weights.n_labels))


def _write_old_network(w: _Writer, weights: Weights, n_steps: int) -> None:
    """The network of 0.5: windows in input_node, their number in input_lengths [1]; logits [n_steps, 1, labels]."""
    raw = _write_dense_out(w, weights, _write_old_lstm(w, weights, _write_dense_in(w, weights, n_steps)), n_steps)
    # Reading the result stores the new states, as in a release.
    probabilities = w.node("probabilities", "Softmax", raw, T=FLOAT)
    w.node(
        "logits",
        "Identity",
        probabilities,
        w.assign("store_c", "previous_state_c", "new_state_c"),
        w.assign("store_h", "previous_state_h", "new_state_h"),
        T=FLOAT,
    )


def _write_network(w: _Writer, weights: Weights, n_steps: int) -> None:
    """The network of 0.6 and later: as 0.5's, and previous_state_c/h [1, cells] in, new_state_c/h out."""
    for state in ("previous_state_c", "previous_state_h"):
        w.node(state, "Placeholder", dtype=FLOAT, shape=(1, weights.n_cell))
    x = _write_lstm(w, weights, _write_dense_in(w, weights, n_steps))
    w.node("logits", "Softmax", _write_dense_out(w, weights, x, n_steps), T=FLOAT)


def _write_dense(w: _Writer, layer: str, x: str, arrays: Mapping[str, Array], relu_clip: float | None) -> str:
    """min(max(x W + b, 0), clip), or x W + b."""
    read = [w.weight(f"{layer}/{part}", arrays[f"{layer}/{part}"]) for part in ("weights", "bias")]
    x = w.node(f"{layer}/product", "MatMul", x, read[0], T=FLOAT, transpose_a=False, transpose_b=False)
    x = w.node(f"{layer}/sum", "BiasAdd", x, read[1], T=FLOAT)
    if relu_clip is None:
        return x
    x = w.node(f"{layer}/relu", "Relu", x, T=FLOAT)
    clip = w.constant(f"{layer}/clip", relu_clip, np.float32)
    return w.node(f"{layer}/minimum", "Minimum", x, clip, T=FLOAT)


def _write_block(
    w: _Writer, weights: Weights, x: str, scope: str, states: tuple[str, str], kernel: str, forget_bias: float
) -> tuple[str, str]:
    """BlockLSTM over the steps that input_lengths counts: its name, and that count's."""
    peephole = w.constant(f"{scope}no_peephole", np.zeros(weights.n_cell), np.float32)
    axis = w.constant(f"{scope}longest/axis", [0])
    longest = w.node(f"{scope}longest", "Max", "input_lengths", axis, T=INT32, Tidx=INT32, keep_dims=False)
    length = w.node(f"{scope}length", "Cast", longest, SrcT=INT32, DstT=INT64)
    bias = weights.arrays[LSTM_BIAS].copy()
    gates = bias.reshape(4, -1)  # i, g, f, o
    gates[2] += np.float32(weights.forget_bias - forget_bias)
    read = [
        w.weight(f"{kernel}{name.rsplit('/', 1)[1]}", array)
        for name, array in ((KERNEL, weights.arrays[KERNEL]), (LSTM_BIAS, bias))
    ]
    inputs = (length, x, *states, read[0], peephole, peephole, peephole, read[1])
    options: dict[str, Any] = {"forget_bias": forget_bias, "cell_clip": -1.0, "use_peephole": False}
    return w.node(f"{scope}BlockLSTM", "BlockLSTM", *inputs, T=FLOAT, **options), longest


def _write_lstm(w: _Writer, weights: Weights, x: str) -> str:
    """The LSTM of 0.6 and later: of the states, the one before the first, too, the one at input_lengths goes out."""
    states = ("previous_state_c", "previous_state_h")
    block, _ = _write_block(w, weights, x, CUDNN, states, CUDNN, 0.0)
    last = w.node(f"{CUDNN}last", "Pack", "input_lengths", w.constant(f"{CUDNN}one_channel", [0]), T=INT32, N=2, axis=1)
    for state, output in (("c", ":1"), ("h", ":6")):
        scope = f"{CUDNN}{state}_"
        axis = w.constant(f"{scope}first/dim", [0])
        first = w.node(f"{scope}first", "ExpandDims", f"previous_state_{state}", axis, T=FLOAT, Tdim=INT32)
        axis = w.constant(f"{scope}all/axis", 0)
        every = w.node(f"{scope}all", "ConcatV2", first, block + output, axis, T=FLOAT, N=2, Tidx=INT32)
        found = w.node(f"{scope}last", "GatherNd", every, last, Tparams=FLOAT, Tindices=INT32)
        w.node(f"new_state_{state}", "Identity", found, T=FLOAT)
    return f"{block}:6"


def _write_old_lstm(w: _Writer, weights: Weights, x: str) -> str:
    """The LSTM of 0.5: its states in variables that initialize_state zeroes."""
    states = w.state("previous_state_c", weights.n_cell), w.state("previous_state_h", weights.n_cell)
    kernel = KERNEL.rsplit("/", 1)[0] + "/"
    _, longest = _write_block(w, weights, x, "", states, kernel, float(weights.forget_bias))
    last = w.node("last", "Sub", longest, w.constant("last/one", 1), T=INT32)
    axis = w.constant("states/axis", 0)
    gather: dict[str, Any] = {"Tparams": FLOAT, "Tindices": INT32, "Taxis": INT32}
    w.node("new_state_c", "GatherV2", "BlockLSTM:1", last, axis, **gather)
    w.node("new_state_h", "GatherV2", "BlockLSTM:6", last, axis, **gather)
    zero = w.constant("zero_state", np.zeros((1, weights.n_cell)), np.float32)
    w.node(
        "initialize_state",
        "NoOp",
        w.assign("reset_c", "previous_state_c", zero),
        w.assign("reset_h", "previous_state_h", zero),
    )
    return "BlockLSTM:6"
