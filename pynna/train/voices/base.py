# SPDX-License-Identifier: Apache-2.0
"""What all voices share: PCM at 16 kHz, and jobs of what speaks many sentences in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

Pcm = npt.NDArray[np.int16]
Job = tuple[str, str, float, float]
"""A text, a voice, a factor of the durations and the mean f0 in Hz (of pico: in percent), for what speaks many."""
RATE = 16000


def to_rate(samples: npt.NDArray[Any], rate: int) -> Pcm:
    """Samples (int16 or float in -1..1, mono or [n, channels]) as int16 mono at 16 kHz."""
    x = samples.astype(np.float32) / 32768.0 if samples.dtype == np.int16 else samples.astype(np.float32)
    if x.ndim == 2:
        x = x.mean(axis=1)
    if rate != RATE:
        divisor = int(np.gcd(rate, RATE))
        x = resample_poly(x, RATE // divisor, rate // divisor)
    return (np.clip(x, -1.0, 32767 / 32768) * 32768).astype(np.int16)


def read(path: Path) -> Pcm:
    """An audio file as int16 mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="int16")
    return to_rate(samples, rate)
