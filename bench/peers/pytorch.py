# SPDX-License-Identifier: Apache-2.0
"""PyTorch's dynamic int8: linear layers and nn.LSTM, quantised by torch.ao."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic

from bench.peers import CLIP, FORGET_BIAS, Array, Arrays, Function, Peer


class _DeepSpeech(nn.Module):
    """x [steps, channels, inputs], states [1, channels, width]."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_linear(arrays, name) for name in ("layer_1", "layer_2", "layer_3")])
        self.lstm = _lstm(arrays["lstm_fused_cell/kernel"], arrays["lstm_fused_cell/bias"])
        self.layer_5, self.layer_6 = _linear(arrays, "layer_5"), _linear(arrays, "layer_6")

    def forward(self, x: Any, c: Any, h: Any) -> Any:
        for layer in self.layers:
            x = torch.clamp(layer(x), 0.0, CLIP)
        x, (h, c) = self.lstm(x, (h, c))
        x = torch.clamp(self.layer_5(x), 0.0, CLIP)
        return torch.log_softmax(self.layer_6(x), -1), c, h


def _linear(arrays: Arrays, name: str) -> nn.Linear:
    weights = torch.from_numpy(arrays[f"{name}/weights"].T.copy())
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    layer.weight.data, layer.bias.data = weights, torch.from_numpy(arrays[f"{name}/bias"])
    return layer


def _lstm(kernel: Array, bias: Array) -> nn.LSTM:
    """PyTorch's gates are i, f, g, o; DeepSpeech's i, g, f, o."""
    width = kernel.shape[1] // 4
    i, g, f, o = torch.from_numpy(kernel).split(width, 1)
    bias_i, bias_g, bias_f, bias_o = torch.from_numpy(bias).split(width)
    both = torch.cat([i, f, g, o], 1).T
    lstm = nn.LSTM(width, width)
    lstm.weight_ih_l0.data, lstm.weight_hh_l0.data = both[:, :width].contiguous(), both[:, width:].contiguous()
    lstm.bias_ih_l0.data = torch.cat([bias_i, bias_f + FORGET_BIAS, bias_g, bias_o])
    lstm.bias_hh_l0.data.zero_()
    return lstm


class Network:
    """See bench.peers.Network."""

    def __init__(self, arrays: Arrays) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it will move to another package one day
            self._network = quantize_dynamic(_DeepSpeech(arrays).eval(), {nn.Linear, nn.LSTM}, dtype=torch.qint8)

    def functions(self, peer: Peer) -> dict[str, Function]:
        def run(x: Array, c: Array, h: Array) -> Any:
            if torch.get_num_threads() != peer.threads:
                torch.set_num_threads(peer.threads)
            with torch.inference_mode():
                p, c, h = self._network(*(torch.from_numpy(a) for a in (x, c[None], h[None])))
            return p, c[0], h[0]

        return {"": run}
