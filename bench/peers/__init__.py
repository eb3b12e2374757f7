# SPDX-License-Identifier: Apache-2.0
"""What one would pick instead: other runtimes on a network of the same shape and the same float weights.

Each runs as its users would run it: from Python, its threads set, states handed in and out. A call from Python costs
some tens of microseconds, which are theirs. A peer is a module with a class `Network`, made once of the weights; its
`functions(peer)` gives functions of (x, c, h) for one way of use, ready to be called again and again: several where one
cannot know which form of the network is faster. The best counts.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.measure import Case

Array = NDArray[Any]
Arrays = Mapping[str, Array]  # float weights under DeepSpeech's names
Function = Callable[[Array, Array, Array], Any]

CLIP = 20.0  # DeepSpeech's clipped ReLU, and what it adds to the forget gate
FORGET_BIAS = 1.0


@dataclass(frozen=True)
class Kind:
    """A peer: what it is, its module here, and the packages that it needs."""

    what: str
    module: str
    packages: tuple[str, ...]


PEERS = {
    "pytorch": Kind("PyTorch, dynamic int8", "bench.peers.pytorch", ("torch",)),
    "onnxruntime": Kind("ONNX Runtime, dynamic int8", "bench.peers.onnxruntime_int8", ("onnxruntime", "onnx")),
    "litert": Kind("LiteRT (XNNPACK), dynamic int8", "bench.peers.litert", ("ai_edge_litert",)),
    "openvino": Kind("OpenVINO, bf16", "bench.peers.openvino_bf16", ("openvino", "onnx")),
}


@dataclass(frozen=True)
class Peer:
    """A peer in one way of use."""

    name: str
    threads: int
    channels: int
    steps: int


class Network(Protocol):
    """A runtime's network.

    Its functions, by what tells them apart, take x [steps, channels, inputs], c and h [channels, width], all float32,
    and return log-probabilities [steps, channels, labels] and the new c and h, arrays of some kind.
    """

    def __init__(self, arrays: Arrays) -> None: ...
    def functions(self, peer: Peer) -> dict[str, Function]: ...


def installed() -> tuple[list[str], list[str]]:
    """The peers whose packages are there, and a line for each of the others."""
    names, left_out = [], []
    for name, kind in PEERS.items():
        missing = [package for package in kind.packages if importlib.util.find_spec(package) is None]
        if missing:
            left_out.append(f"{kind.what}, is left out: {' and '.join(missing)} not installed (pip install '.[bench]')")
        else:
            names.append(name)
    return names, left_out


def network(name: str, arrays: Arrays) -> Network:
    """A peer's network."""
    made: Network = importlib.import_module(PEERS[name].module).Network(arrays)
    return made


def version(name: str) -> str:
    """A peer with its release, for tables."""
    kind = PEERS[name]
    runtime, _, form = kind.what.partition(", ")
    return f"{runtime} {importlib.metadata.version(kind.packages[0]).partition('+')[0]}, {form}"


def inputs(peer: Peer, arrays: Arrays, seed: int = 0) -> tuple[Array, Array, Array]:
    """x, c and h in the way of use: noise of an MFCC's size, and states that have seen some."""
    rng = np.random.default_rng(seed)
    n_inputs, width = arrays["layer_1/weights"].shape
    x = 10 * rng.standard_normal((peer.steps, peer.channels, n_inputs), np.float32)
    c, h = (rng.uniform(-0.5, 0.5, (peer.channels, width)).astype(np.float32) for _ in range(2))
    return x, c, h


def cases(
    arrays: Arrays, names: Sequence[str], threads: Sequence[int], channels: Sequence[int], steps: Sequence[int]
) -> dict[Peer, list[Case]]:
    """Every way of use of the peers, a case for each form, to be interleaved."""
    found: dict[Peer, list[Case]] = {}
    for name in names:
        made = network(name, arrays)
        for peer in (Peer(name, t, c, s) for t in threads for c in channels for s in steps):
            found[peer] = [
                Case((peer, form), _timed(function, inputs(peer, arrays)), peer.steps)
                for form, function in made.functions(peer).items()
            ]
    return found


def _timed(function: Function, arguments: tuple[Array, Array, Array]) -> Callable[[int], Array]:
    def call(repeats: int) -> Array:
        seconds = np.empty(repeats)
        for i in range(repeats):
            begun = time.perf_counter()
            function(*arguments)
            seconds[i] = time.perf_counter() - begun
        return seconds

    return call
