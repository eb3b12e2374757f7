# SPDX-License-Identifier: Apache-2.0
"""litert.npz, tiny_float.tflite, tiny_int8.tflite: a small network as LiteRT runs it.  python make_litert.py

Needs ai-edge-litert (or TensorFlow's own interpreter under that name). The files are written by pynna's exporter; that
LiteRT loads them, and what it computes, is what the golden numbers stand for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from support.float_networks import random_weights  # noqa: E402

from pynna.mapping import export_tflite  # noqa: E402
from pynna.mapping.front_end import MfccConfig, context_windows  # noqa: E402

STEPS, WINDOW, STEP = 16, 512, 320


def run(path: Path, pcm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MFCC [n, 26] and posteriors [n, labels], driven as the clients drive the file."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    inputs = {d["name"]: d for d in interpreter.get_input_details()}
    outputs = {d["name"]: d["index"] for d in interpreter.get_output_details()}
    for detail in inputs.values():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], np.float32))
    n = max(0, (len(pcm) - WINDOW) // STEP + 1) + 1
    padded = np.zeros((n - 1) * STEP + WINDOW, np.float32)
    padded[: len(pcm)] = pcm.astype(np.float32)[: len(padded)] / 32768
    frames = []
    for i in range(n):
        interpreter.set_tensor(inputs["input_samples"]["index"], padded[i * STEP : i * STEP + WINDOW])
        interpreter.invoke()
        frames.append(interpreter.get_tensor(outputs["mfccs"]).reshape(-1).copy())
    mfcc = np.array(frames)
    x = context_windows(mfcc)
    c = h = np.zeros(inputs["previous_state_c"]["shape"], np.float32)
    posteriors = []
    for i in range(0, n, STEPS):
        batch = np.zeros((1, STEPS, *x.shape[1:]), np.float32)
        batch[0, : len(x[i : i + STEPS])] = x[i : i + STEPS]
        for name, value in (("input_node", batch), ("previous_state_c", c), ("previous_state_h", h)):
            interpreter.set_tensor(inputs[name]["index"], value)
        interpreter.invoke()
        c, h = (interpreter.get_tensor(outputs[f"new_state_{s}"]).copy() for s in "ch")
        posteriors.append(interpreter.get_tensor(outputs["logits"]).reshape(STEPS, -1)[: len(x[i : i + STEPS])].copy())
    return mfcc, np.concatenate(posteriors)


def main() -> None:
    rng = np.random.default_rng(11)
    t = np.arange(20000) / 16000
    pcm = (4000 * np.sin(2 * np.pi * (200 + 300 * t) * t) + rng.normal(0, 300, len(t))).astype(np.int16)
    weights = random_weights(21, cell=16, features=MfccConfig(upper_hz=8000.0), forget_bias=0.0)
    saved = {"pcm": pcm}
    for name in ("tiny_float", "tiny_int8"):
        export_tflite(weights, HERE / f"{name}.tflite", int8=name == "tiny_int8")
        saved["mfcc"], saved[name] = run(HERE / f"{name}.tflite", pcm)
    np.savez_compressed(HERE / "litert.npz", **saved)


if __name__ == "__main__":
    main()
