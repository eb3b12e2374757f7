# SPDX-License-Identifier: Apache-2.0
"""Random numbers where training computes, many of them drawn once and used in other stretches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

POOL = 1 << 22  # random numbers drawn once, of which every batch takes other stretches: drawing them anew takes longer


class Chance:
    """Random numbers on a device.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.random, self.host = torch.Generator(device), np.random.default_rng(0)
        self.random.manual_seed(1)
        pool = POOL if device.type == "cpu" else 8 * POOL
        # a Hann window makes what neighbouring bins hold of a noise alike, and a mel channel's energy less steady
        white = torch.randn(2, 2, pool + 2, generator=self.random, device=device)
        noise = white[:, :, 1:-1] + (white[:, :, 2:] + white[:, :, :-2]) / 2  # [2 draws, real and imaginary, pool]
        sizes = torch.hypot(noise[:, 0], noise[:, 1])
        self.amplitudes = sizes[0] / math.sqrt(3.0)
        self.cosines = 2 * noise[1, 0] / sizes[1]

    def there(self, values: npt.NDArray[Any]) -> Tensor:
        """Values on the device, without waiting for what it does."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.random, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, device=self.device)

    def stretch(self, pool: Tensor, *shape: int) -> Tensor:
        """Random numbers out of a pool; not to be written to."""
        n = math.prod(shape)
        if n > len(pool):
            pool = pool.repeat(1 + n // len(pool))
        start = int(self.host.integers(len(pool) - n + 1))
        return pool[start : start + n].view(shape)

    def rayleigh(self, *shape: int) -> Tensor:
        """Amplitudes of noise of unit power."""
        return self.stretch(self.amplitudes, *shape)

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.random, device=self.device)
