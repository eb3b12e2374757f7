# SPDX-License-Identifier: Apache-2.0
"""From nothing to the first step: seconds and memory of a process that starts, opens a model and hears half a second.

Each case is a fresh interpreter, and cases are visited in turn, again and again; minima are told. ONNX Runtime and
LiteRT open a network of the model's shape with random weights of 8 bits; PocketSphinx the model of its own wheel. What
is heard is half a second of noise. The parts are told by the clock; the whole, with the start of the interpreter, by
the processor's time, which other work disturbs less. Memory is the most that was resident, mapped files included.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pynna
from bench.models import random_arrays
from bench.report import Table, emit, machine_line
from pynna.model import DEFAULT_MODEL
from pynna.network import Network

PARTS = ("import", "load", "first step")

# What a case does after `begin`; `mark` ends a part. Samples are int16, 8,000 of them.
CASES = {
    "Python alone": "mark(); mark(); mark()",
    "NumPy alone": "import numpy; mark(); mark(); mark()",
    "pynna": """
import pynna; mark()
model = pynna.load({model!r}); mark()
model.log_probs(__import__("numpy").array(samples, "int16")); mark()""",
    "pynna, microphone and the car's sentences": """
import pynna; mark()
model = pynna.load({model!r}); grammar = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR); mark()
listener = model.listen(grammar=grammar); listener.feed(__import__("numpy").array(samples, "int16")); mark()""",
    "ONNX Runtime": """
import numpy, onnxruntime; mark()
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession({onnxruntime!r}, options, ["CPUExecutionProvider"]); mark()
zeros = lambda *shape: numpy.zeros(shape, "float32")
session.run(None, dict(x=zeros(1, 1, {inputs}), c=zeros(1, {width}), h=zeros(1, {width}))); mark()""",
    "LiteRT": """
import numpy; from ai_edge_litert.interpreter import Interpreter; mark()
made = Interpreter(model_path={ai_edge_litert!r}, num_threads=1); made.allocate_tensors(); mark()
made.invoke(); mark()""",
    "PocketSphinx": """
import pocketsphinx; mark()
decoder = pocketsphinx.Decoder(loglevel="FATAL"); mark()
decoder.start_utt(); decoder.process_raw(samples.tobytes()); decoder.end_utt(); mark()""",
}
NEEDS = {
    "ONNX Runtime": ("onnxruntime", "onnx"),
    "LiteRT": ("ai_edge_litert", "flatbuffers"),
    "PocketSphinx": ("pocketsphinx",),
}

FRAME = """
import array, json, random, resource, sys, time
samples = array.array("h", (random.Random(0).randrange(-2000, 2000) for _ in range(8000)))
times = [time.perf_counter()]
mark = lambda: times.append(time.perf_counter())
{code}
try:  # what getrusage tells is that of the process before exec, too
    peak = next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([*(b - a for a, b in zip(times, times[1:])), time.process_time(), peak, len(sys.modules)]))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nna", type=Path, default=DEFAULT_MODEL, help="a mapped model; the one that ships")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is started (5)")
    parser.add_argument("--no-peers", action="store_true", help="this project alone")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    names, left_out = _found(arguments.no_peers)
    with tempfile.TemporaryDirectory() as folder:
        values = _values(arguments.nna, names, Path(folder))
        measured: dict[str, list[list[float]]] = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name in names:
                measured[name].append(start(CASES[name].format_map(values)))
    table = Table("what starts", *(f"{part}, ms" for part in PARTS), "processor in all, ms", "memory, MB", "modules")
    results = []
    for name, runs in measured.items():
        *parts, processor, peak, modules = (min(column) for column in zip(*runs, strict=True))
        times = (*parts, processor)
        table.add(name, *(f"{1e3 * t:.1f}" for t in times), f"{peak / 1e6:.1f}", f"{modules:.0f}")
        results.append(
            {"name": name, "seconds": dict(zip(PARTS, parts, strict=True)), "processor": processor, "peak": peak}
        )
    emit(arguments, {"startup": results, "left_out": left_out}, machine_line(), table, *left_out)
    return 0


def start(code: str) -> list[float]:
    """Of one fresh interpreter: seconds of each part and of the processor, most bytes resident, modules."""
    installed = Path(pynna.__file__).parents[1]  # the tree that this lies in may hold no extension
    done = subprocess.run(
        [sys.executable, "-c", FRAME.format(code=code)],
        check=True,
        capture_output=True,
        text=True,
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def _found(no_peers: bool) -> tuple[list[str], list[str]]:
    names, left_out = [], []
    for name in CASES:
        missing = [package for package in NEEDS.get(name, ()) if importlib.util.find_spec(package) is None]
        if missing:
            left_out.append(f"{name} is left out: {' and '.join(missing)} not installed")
        elif not (no_peers and name in NEEDS):
            names.append(name)
    return names, left_out


def _values(path: Path, names: list[str], folder: Path) -> Mapping[str, Any]:
    """What cases name: the model, and files of its shape for the others."""
    geometry = Network(path).geometry
    inputs, width = (2 * geometry["n_context"] + 1) * geometry["n_coefficients"], geometry["n_cell"]
    values: dict[str, Any] = {"model": str(path.resolve()), "inputs": inputs, "width": width}
    arrays = random_arrays(width, inputs, geometry["n_labels"]) if set(names) & set(NEEDS) else {}
    if "ONNX Runtime" in names:
        from bench.peers import onnx_graph, onnxruntime_int8

        values["onnxruntime"] = _written(folder / "a.onnx", onnxruntime_int8.quantised(onnx_graph.graph(arrays, 1)))
    if "LiteRT" in names:
        from bench.peers import litert

        values["ai_edge_litert"] = _written(folder / "a.tflite", litert.Network(arrays).file(1, 1))
    return values


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
