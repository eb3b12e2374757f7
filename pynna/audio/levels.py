# SPDX-License-Identifier: Apache-2.0
"""How loud a recording's speech is, and what is between it."""

from __future__ import annotations

import numpy as np

from pynna.audio.pcm import FULL_SCALE, Pcm

SILENCE = -120.0
"""dB below full scale, of samples that are all 0."""


def levels(pcm: Pcm, sample_rate: int) -> tuple[float, float]:
    """The level of the loudest twentieth of 20 ms frames and of the quietest tenth, in dB below full scale.

    Where someone speaks a part of the time, these are the speech and the noise: quantiles of frames' powers tell them
    as those of NIST's signal-to-noise tools do. `SILENCE` twice for less than a frame.
    """
    n = sample_rate // 50
    if len(pcm) < n:
        return SILENCE, SILENCE
    power = (pcm[: len(pcm) // n * n].reshape(-1, n).astype(np.float64) ** 2).mean(axis=1) / FULL_SCALE**2
    loud, quiet = 10 * np.log10(np.quantile(power, (0.95, 0.1)).clip(10 ** (SILENCE / 10)))
    return round(float(loud), 1), round(float(quiet), 1)
