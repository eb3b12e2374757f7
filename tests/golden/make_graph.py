# SPDX-License-Identifier: Apache-2.0
"""Makes tiny_graph.pb, a network of width 16 in the layout of DeepSpeech 0.5.1, and tiny_graph.npz, its outputs.

    pip install tensorflow numpy
    python tests/golden/make_graph.py

Both are TensorFlow's own work: its writer makes the file, its kernels run it. The weights are random (seeded); the
network hears 25 random context windows as the client feeds them, 16 and then 9 with the rest of the batch unused.
TensorFlow is needed only to make the files, never to test against them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
WIDTH, LABELS, STEPS, FRAMES, COEFFICIENTS, HEARD = 16, 29, 16, 19, 26, 25
v1 = tf.compat.v1
Array = NDArray[np.float32]


def weights() -> dict[str, Array]:
    """Random arrays under DeepSpeech's variable names."""
    rng = np.random.default_rng(51)
    out = {}
    sizes = {
        "layer_1": (FRAMES * COEFFICIENTS, WIDTH),
        "layer_2": (WIDTH, WIDTH),
        "layer_3": (WIDTH, WIDTH),
        "layer_5": (WIDTH, WIDTH),
        "layer_6": (WIDTH, LABELS),
        "lstm_fused_cell": (2 * WIDTH, 4 * WIDTH),
    }
    for name, shape in sizes.items():
        gain = 0.1 if name == "layer_1" else 2.0
        part = "kernel" if name == "lstm_fused_cell" else "weights"
        out[f"{name}/{part}"] = rng.normal(0, gain / np.sqrt(shape[0]), shape).astype(np.float32)
        out[f"{name}/bias"] = rng.normal(0, 0.3, shape[1]).astype(np.float32)
    return out


def front_end() -> None:
    """input_samples to mfccs."""
    samples = v1.placeholder(tf.float32, [512], "input_samples")
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=tf.expand_dims(samples, -1), window_size=512, stride=320, magnitude_squared=True
    )
    mfccs = tf.raw_ops.Mfcc(spectrogram=spectrogram, sample_rate=16000, dct_coefficient_count=COEFFICIENTS)
    tf.reshape(mfccs, [-1, COEFFICIENTS], name="mfccs")


def dense(x: Any, name: str, arrays: dict[str, Array], relu: bool = True) -> Any:
    """min(max(x W + b, 0), 20) from frozen variables."""
    w, b = (
        tf.identity(tf.constant(arrays[f"{name}/{part}"], name=f"{name}/{part}"), f"{name}/{part}/read")
        for part in ("weights", "bias")
    )
    z = tf.nn.bias_add(tf.raw_ops.MatMul(a=x, b=w), b)
    return tf.minimum(tf.nn.relu(z), 20.0) if relu else z


def network(arrays: dict[str, Array]) -> None:
    """input_node and input_lengths to logits, which hold probabilities; the states in variables."""
    x = v1.placeholder(tf.float32, [1, STEPS, FRAMES, COEFFICIENTS], "input_node")
    lengths = v1.placeholder(tf.int32, [1], "input_lengths")
    c, h = (
        v1.get_variable(f"previous_state_{s}", [1, WIDTH], use_resource=False, initializer=v1.zeros_initializer())
        for s in "ch"
    )
    a = tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [-1, FRAMES * COEFFICIENTS])
    for name in ("layer_1", "layer_2", "layer_3"):
        a = dense(a, name, arrays)
    kernel, bias = (
        tf.identity(tf.constant(arrays[f"lstm_fused_cell/{part}"], name=f"lstm_fused_cell/{part}"))
        for part in ("kernel", "bias")
    )
    count = tf.cast(tf.reduce_max(lengths), tf.int64)
    none = tf.zeros([WIDTH])
    lstm = tf.raw_ops.BlockLSTM(
        seq_len_max=count,
        x=tf.reshape(a, [STEPS, 1, WIDTH]),
        cs_prev=c,
        h_prev=h,
        w=kernel,
        wci=none,
        wcf=none,
        wco=none,
        b=bias,
        forget_bias=1.0,
        cell_clip=-1.0,
        use_peephole=False,
    )
    last = tf.cast(count - 1, tf.int32)
    a = dense(tf.reshape(lstm.h, [-1, WIDTH]), "layer_5", arrays)
    raw = tf.reshape(dense(a, "layer_6", arrays, relu=False), [STEPS, 1, LABELS], name="raw_logits")
    probabilities = tf.nn.softmax(raw)
    zero = tf.zeros([1, WIDTH])
    tf.group(v1.assign(c, zero), v1.assign(h, zero), name="initialize_state")
    with tf.control_dependencies([v1.assign(c, tf.gather(lstm.cs, last)), v1.assign(h, tf.gather(lstm.h, last))]):
        tf.identity(probabilities, name="logits")


def graph() -> Any:
    """The GraphDef of a release."""
    g = tf.Graph()
    with g.as_default():
        front_end()
        network(weights())
        meta = v1.train.export_meta_graph(graph=g, strip_default_attrs=True)
    out = v1.graph_util.extract_sub_graph(meta.graph_def, ["logits", "initialize_state", "mfccs"])
    out.ClearField("versions")
    out.version = 1
    metadata = out.node.add(name="model_metadata", op="NoOp")
    for name, value in (("sample_rate", 16000), ("feature_win_len", 32), ("feature_win_step", 20)):
        metadata.attr[name].i = value
    return out


def run(path: Path) -> dict[str, Any]:
    """What TensorFlow computes from the file."""
    definition = v1.GraphDef.FromString(path.read_bytes())
    definition.ClearField("version")  # today's TensorFlow wants `versions`; the ops are the same
    rng = np.random.default_rng(52)
    features = rng.normal(0, 10, (HEARD, FRAMES, COEFFICIENTS)).astype(np.float32)
    samples = (rng.integers(-20000, 20000, 512) / 32768).astype(np.float32)
    probabilities = []
    with tf.Graph().as_default() as g, v1.Session(graph=g) as session:
        tf.import_graph_def(definition, name="")
        session.run("initialize_state")
        for start in range(0, HEARD, STEPS):
            batch = np.zeros((1, STEPS, FRAMES, COEFFICIENTS), np.float32)
            count = min(STEPS, HEARD - start)
            batch[0, :count] = features[start : start + count]
            feed = {"input_node:0": batch, "input_lengths:0": [count]}
            probabilities.append(session.run("logits:0", feed)[:count, 0])
        c, h = session.run(["previous_state_c:0", "previous_state_h:0"])
        mfccs = session.run("mfccs:0", {"input_samples:0": samples})
    return {
        "features": features,
        "probabilities": np.concatenate(probabilities),
        "c": c,
        "h": h,
        "samples": samples,
        "mfccs": mfccs,
    }


def main() -> None:
    path = HERE / "tiny_graph.pb"
    path.write_bytes(graph().SerializeToString(deterministic=True))
    outputs = run(path)
    np.savez_compressed(HERE / "tiny_graph.npz", **outputs)
    print(f"TensorFlow {tf.__version__}:", {name: array.shape for name, array in outputs.items()})


if __name__ == "__main__":
    main()
