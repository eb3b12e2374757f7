# SPDX-License-Identifier: Apache-2.0
"""The network in PyTorch, its variables named and laid out as DeepSpeech's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pynna.train.network import lstm_cpu

DENSE = (1, 2, 3, 5, 6)


class Network(nn.Module):
    """494 -> dense -> dense -> dense -> LSTM -> dense -> 29, clipped ReLU; weights [in, out], LSTM columns i, c, f, o.

    Parameters
    ----------
    width : int
        Units of every layer but the last.
    mean, std : Tensor
        Normalisation [coefficients] of the raw MFCC, folded into layer 1 at export.
    feature_range : Tensor, optional
        Magnitude at which each of the raw MFCC is clipped before that [coefficients], as the mapped network clips them.
    quantise : bool
        Whether weights are rounded as the mapping will round them (`rounded`), in what is heard and in what is
        exported; all but layer 1's, whose steps hang on the features' ranges, which only the mapping measures.
    """

    mean: Tensor
    std: Tensor
    feature_range: Tensor

    def __init__(
        self, width: int, mean: Tensor, std: Tensor, context: int = 9, labels: int = 29, relu_clip: float = 20.0,
        forget_bias: float = 1.0, dropout: float = 0.0, quantise: bool = False, feature_range: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.context, self.relu_clip = width, context, relu_clip
        self.forget_bias, self.dropout, self.quantise = forget_bias, dropout, quantise
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        unlimited = torch.full_like(mean, math.inf)
        self.register_buffer("feature_range", unlimited if feature_range is None else feature_range)
        inputs = (2 * context + 1) * len(mean)
        sizes = {1: (inputs, width), 2: (width, width), 3: (width, width), 5: (width, width), 6: (width, labels)}
        self.weights = nn.ParameterDict({str(k): nn.Parameter(torch.empty(*s)) for k, s in sizes.items()})
        self.bias = nn.ParameterDict({str(k): nn.Parameter(torch.zeros(s[1])) for k, s in sizes.items()})
        self.kernel = nn.Parameter(torch.empty(2 * width, 4 * width))
        self.speech = nn.Parameter(torch.zeros(width + 1))  # weights of layer 5's outputs, then the bias
        self.gate_bias = nn.Parameter(torch.zeros(4 * width))
        for k, weights in self.weights.items():
            nn.init.normal_(weights, 0, math.sqrt((1.0 if k == "6" else 2.0) / weights.shape[0]))
        nn.init.xavier_uniform_(self.kernel[:width].data)
        for gate in range(4):
            nn.init.orthogonal_(self.kernel.data[width:, gate * width : (gate + 1) * width])

    def _weights(self, layer: int) -> Tensor:
        weights: Tensor = self.weights[str(layer)]
        return rounded(weights) if self.quantise and layer != 1 else weights

    def _kernel(self) -> Tensor:
        return _rounded_kernel(self.kernel) if self.quantise else self.kernel

    def _dense(self, x: Tensor, layer: int) -> Tensor:
        # linear rather than matmul and a sum: under autocast the sum would go on in single precision
        x = functional.linear(x, self._weights(layer).t(), self.bias[str(layer)])
        if layer == 6:
            return x
        x = functional.hardtanh(x, 0.0, self.relu_clip)
        if self.training and self.dropout > 0:  # one mask for all time steps: as good, and far cheaper to draw
            keep = (torch.rand(1, x.shape[1], x.shape[2], device=x.device) >= self.dropout).to(x.dtype)
            x = x * (keep / (1 - self.dropout))
        return x

    def _lstm(self, x: Tensor) -> Tensor:
        """LSTM over x [time, batch, width] from a zero state."""
        w = self.width
        if x.device.type == "cpu" and x.dtype == torch.bfloat16 and lstm_cpu.available(w):
            forget = torch.zeros(4, w)
            forget[2] = self.forget_bias
            return lstm_cpu.lstm(x, self._kernel(), self.gate_bias + forget.reshape(-1))
        # torch's own kernels want the gates in the order i, f, c, o
        order = [0, 2, 1, 3]
        kernel = self._kernel().view(2 * w, 4, w)[:, order].reshape(2 * w, 4 * w)
        bias = self.gate_bias.view(4, w)[order].clone()
        bias[1] = bias[1] + self.forget_bias
        bias = bias.reshape(-1)
        state = torch.zeros(1, x.shape[1], w, dtype=x.dtype, device=x.device)
        tensors = [kernel[:w].t().contiguous(), kernel[w:].t().contiguous(), bias, torch.zeros_like(bias)]
        if x.dtype != tensors[0].dtype:
            tensors = [t.to(x.dtype) for t in tensors]
        out: Tensor = torch._VF.lstm(x, (state, state), tensors, True, 1, 0.0, self.training, False, False)[0]  # type: ignore[attr-defined]
        return out

    def forward(self, features: Tensor) -> Tensor:
        """Logits [time, batch, labels] of raw MFCC [time, batch, coefficients], zero after each clip's end."""
        return self.both(features)[0]

    def both(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the logits [time, batch] of speech being there, a read-out of layer 5."""
        x = torch.minimum(torch.maximum(features, -self.feature_range), self.feature_range)
        x = functional.pad(x, (0, 0, 0, 0, self.context, self.context))
        x = (x - self.mean) / self.std
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        steps = 2 * self.context + 1
        x = x.unfold(0, steps, 1).transpose(2, 3).reshape(features.shape[0], features.shape[1], -1)
        for layer in (1, 2, 3):
            x = self._dense(x, layer)
        last = self._dense(self._lstm(x), 5)
        read_out = rounded(self.speech[:-1, None]) if self.quantise else self.speech[:-1, None]
        return self._dense(last, 6), functional.linear(last, read_out.t(), self.speech[-1:])[..., 0]

    def arrays(self) -> dict[str, Tensor]:
        """The exported variables, the normalisation folded into layer 1."""
        out = {}
        for layer in DENSE:
            out[f"layer_{layer}/weights"] = self.weights[str(layer)].detach().double()
            out[f"layer_{layer}/bias"] = self.bias[str(layer)].detach().double()
        steps = 2 * self.context + 1
        mean, std = self.mean.double().repeat(steps), self.std.double().repeat(steps)
        weights = out["layer_1/weights"] / std[:, None]
        out["layer_1/bias"] = out["layer_1/bias"] - mean @ weights
        out["layer_1/weights"] = weights
        out["lstm_fused_cell/kernel"] = self.kernel.detach()
        out["lstm_fused_cell/bias"] = self.gate_bias.detach()
        if self.speech.any():
            out["speech/weights"], out["speech/bias"] = self.speech.detach()[:-1, None], self.speech.detach()[-1:]
        out = {name: value.float() for name, value in out.items()}
        return rounded_arrays(out) if self.quantise else out

    def take(self, arrays: dict[str, Tensor], forget_bias: float) -> None:
        """Load exported variables; the inverse of `arrays`, for a network with its own normalisation.

        They may be of a narrower network: the units beyond it keep their random inputs and nothing listens to them yet,
        so that the network says the same (Chen, Goodfellow, Shlens: "Net2Net", 2016, in its simplest form).
        """
        with torch.no_grad():
            self._take(arrays, forget_bias)

    def _take(self, arrays: dict[str, Tensor], forget_bias: float) -> None:
        narrow = arrays["layer_1/bias"].shape[0]
        steps = 2 * self.context + 1
        mean, std = self.mean.double().repeat(steps), self.std.double().repeat(steps)
        for layer in DENSE:
            weights = arrays[f"layer_{layer}/weights"].double()
            bias = arrays[f"layer_{layer}/bias"].double()
            if layer == 1:
                bias = bias + mean @ weights
                weights = weights * std[:, None]
            rows, columns = torch.arange(weights.shape[0]), torch.arange(weights.shape[1])
            _place(self.weights[str(layer)], weights, rows, columns)
            self.bias[str(layer)][columns] = bias.float()
        inputs = torch.cat([torch.arange(narrow), self.width + torch.arange(narrow)])  # x, then h
        gates = (torch.arange(4)[:, None] * self.width + torch.arange(narrow)).reshape(-1)
        _place(self.kernel, arrays["lstm_fused_cell/kernel"], inputs, gates)
        self.gate_bias[gates] = arrays["lstm_fused_cell/bias"]
        if "speech/weights" in arrays:
            self.speech[torch.arange(narrow)] = arrays["speech/weights"][:, 0]
            self.speech[-1] = arrays["speech/bias"][0]
        self.gate_bias[gates[2 * narrow : 3 * narrow]] += forget_bias - self.forget_bias


def rounded(weights: Tensor) -> Tensor:
    """Weights [inputs, outputs] as int8 holds them: whole steps, 127 of them the largest weight of an output.

    Gradients pass as if nothing were rounded: the straight-through estimator of Bengio, Léonard and Courville,
    "Estimating or propagating gradients through stochastic neurons for conditional computation", 2013 (arXiv
    1308.3432).
    """
    out: Tensor = _Rounded.apply(weights)  # type: ignore[no-untyped-call]
    return out


def _rounded_kernel(kernel: Tensor) -> Tensor:
    """An LSTM's kernel `rounded`: what weighs x and what weighs h have steps of their own."""
    half = kernel.shape[0] // 2
    return torch.cat([rounded(kernel[:half]), rounded(kernel[half:])])


def rounded_arrays(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Exported variables, all weights but layer 1's `rounded`."""
    out = {**arrays, "lstm_fused_cell/kernel": _rounded_kernel(arrays["lstm_fused_cell/kernel"])}
    for name in (*(f"layer_{layer}/weights" for layer in DENSE if layer != 1), "speech/weights"):
        if name in arrays:
            out[name] = rounded(arrays[name])
    return out


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor) -> Tensor:
        step = torch.maximum(weights.amax(dim=0), -weights.amin(dim=0)).clamp_min(1e-30) / 127
        return (weights / step).round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def _place(target: Tensor, source: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Weights [inputs, outputs] into a matrix that may be larger; its further inputs count nothing in these outputs."""
    target[:, columns] = 0.0
    target[rows[:, None], columns] = source.to(target.dtype)
