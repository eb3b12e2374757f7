"""What one would pick instead: other runtimes on a network of the same shape, of random weights; int8 inside.

A peer's time is taken around its call from Python, which costs it some tens of microseconds a call.
"""
from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import MappedModel
from bench.measure import Case

Array = NDArray[Any]

PEERS = {"pytorch": ("torch", "PyTorch, dynamic int8")}
"""Names, the packages that they need, and what they are."""


@dataclass(frozen=True)
class Peer:
    """A peer in one way of use."""

    name: str
    threads: int
    channels: int
    steps: int


def installed() -> tuple[list[str], list[str]]:
    """The peers whose packages are there, and a line for each of the others."""
    there = {name: importlib.util.find_spec(package) is not None for name, (package, _) in PEERS.items()}
    return ([name for name, found in there.items() if found],
            [f"{PEERS[name][1]} is left out: {PEERS[name][0]} is not installed" for name, found in there.items()
             if not found])


def cases(model: MappedModel, names: Sequence[str], threads: Sequence[int], channels: Sequence[int],
          steps: Sequence[int]) -> dict[Peer, Case]:
    """Every way of use of the peers, for `measure.interleave`; the networks are made once for each peer."""
    found: dict[Peer, Case] = {}
    for name in names:
        network = {"pytorch": _pytorch}[name](model)
        for peer in (Peer(name, t, c, s) for t in threads for c in channels for s in steps):
            found[peer] = Case((peer,), network(peer), peer.steps)
    return found


def _pytorch(model: MappedModel) -> Any:
    import torch
    from torch import nn
    from torch.ao.quantization import quantize_dynamic

    g = model.geometry
    width = g.n_cell
    inputs = (2 * g.n_context + 1) * g.n_coefficients

    class Network(nn.Module):
        """DeepSpeech's layers; x [steps, channels, inputs], states [1, channels, width]."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(n, width) for n in (inputs, width, width)])
            self.lstm = nn.LSTM(width, width)
            self.layer_5, self.layer_6 = nn.Linear(width, width), nn.Linear(width, g.n_labels)

        def forward(self, x: Any, h: Any, c: Any) -> Any:
            for layer in self.layers:
                x = torch.clamp(layer(x), 0.0, 20.0)
            x, (h, c) = self.lstm(x, (h, c))
            x = torch.clamp(self.layer_5(x), 0.0, 20.0)
            return torch.log_softmax(self.layer_6(x), -1), h, c

    torch.manual_seed(1)
    network = quantize_dynamic(Network().eval(), {nn.Linear, nn.LSTM}, dtype=torch.qint8)

    def call_of(peer: Peer) -> Any:
        x = torch.randn(peer.steps, peer.channels, inputs)
        states = [torch.zeros(1, peer.channels, width) for _ in range(2)]

        def call(repeats: int) -> Array:
            torch.set_num_threads(peer.threads)
            seconds = np.empty(repeats)
            with torch.inference_mode():
                for i in range(repeats):
                    begun = time.perf_counter()
                    network(x, *states)
                    seconds[i] = time.perf_counter() - begun
            return seconds

        return call

    return call_of
