# SPDX-License-Identifier: Apache-2.0
"""A faster LSTM for training on a CPU with AVX-512 BF16 or AMX; elsewhere `available` is false: torch's own is used."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SOURCE = Path(__file__).with_name("lstm_cpu.c")
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]


@functools.lru_cache(maxsize=1)
def _features() -> frozenset[str]:
    """What the processor says it can; empty where it says nothing."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()


def bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, float32 is many times as fast."""
    return not _features().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where the processor or a compiler is lacking."""
    try:
        if "avx512_bf16" not in _features():
            return None
        folder = Path(tempfile.mkdtemp(prefix="lstm-cpu-"))
        target = folder / "lstm_cpu.so"
        command = [os.environ.get("CC", "cc"), *FLAGS, "-o", str(target), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True)
        library = ctypes.CDLL(str(target))
        return library if library.lstm_open() == 0 else None
    except (OSError, subprocess.CalledProcessError):
        return None


def available(width: int) -> bool:
    """Whether `lstm` works here for this width."""
    return width >= 64 and _library() is not None


def _p(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        lib = _library()
        assert lib is not None
        steps, batch, width = x.shape
        weights = kernel.to(torch.bfloat16)
        x = x.to(torch.bfloat16).contiguous()
        gates = torch.mm(x.view(-1, width), weights[:width]).view(steps, batch, 4 * width)
        ahead = torch.empty(4 * width * width, dtype=torch.bfloat16)
        back = torch.empty_like(ahead)
        lib.lstm_pack(width, _p(weights[width:]), _p(ahead), _p(back))
        h = torch.zeros(steps + 1, batch, width, dtype=torch.bfloat16)
        c = torch.zeros(steps + 1, batch, width)
        acts = torch.empty(steps, batch, 4 * width)
        bias = bias.float().contiguous()
        lib.lstm_forward(steps, batch, width, _p(gates), _p(bias), _p(ahead), _p(h), _p(c), _p(acts))
        ctx.save_for_backward(x, weights, back, h, c, acts)
        return h[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lib = _library()
        assert lib is not None
        x, weights, back, h, c, acts = ctx.saved_tensors
        steps, batch, width = x.shape
        dy = gradients[0].to(torch.bfloat16).contiguous()
        dc = torch.zeros(batch, width)
        dg = torch.empty(steps, batch, 4 * width, dtype=torch.bfloat16)
        lib.lstm_backward(steps, batch, width, _p(dy), _p(back), _p(c), _p(acts), _p(dc), _p(dg))
        flat = dg.view(-1, 4 * width)
        dx = torch.mm(flat, weights[:width].t()).view(steps, batch, width)
        # Both halves of the kernel's gradient in one product; its rows lie as the product goes, which is faster. The
        # bias's gradient is one too.
        rows = torch.cat([x.view(-1, width), h[:-1].view(-1, width)], dim=1).t().contiguous()
        dbias = torch.mm(torch.ones(1, len(flat), dtype=torch.bfloat16), flat)
        return dx, torch.mm(rows, flat).float(), dbias[0].float()


def lstm(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Outputs [time, batch, width] in bfloat16 from a zero state; `bias` has the forget bias in it already.

    The kernels' widths are multiples of 64: to others, units are added that are never anything but zero.
    """
    width = x.shape[2]
    more = -width % 64
    if more:
        x = functional.pad(x, (0, more))
        kernel = functional.pad(kernel.view(2, width, 4, width), (0, more, 0, 0, 0, more)).view(2 * (width + more), -1)
        bias = functional.pad(bias.view(4, width), (0, more)).view(-1)
    out: Tensor = _Lstm.apply(x, kernel, bias)  # type: ignore[no-untyped-call]
    return out[:, :, :width]
