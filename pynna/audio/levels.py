# SPDX-License-Identifier: Apache-2.0
"""How loud a recording's speech is, and what is between it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pynna.audio.pcm import FULL_SCALE, Pcm

SILENCE = -120.0
"""dB below full scale, of samples that are all 0."""

FRAME_SECONDS = 0.02
"""Of which each has a level."""


def levels(pcm: Pcm, sample_rate: int) -> tuple[float, float]:
    """The level of the loudest twentieth of frames and of the quietest tenth, in dB below full scale.

    Where someone speaks a part of the time, these are the speech and the noise: quantiles of frames' powers tell them
    as those of NIST's signal-to-noise tools do. `SILENCE` twice for less than a frame.
    """
    frames = frame_levels(pcm, sample_rate)
    if not len(frames):
        return SILENCE, SILENCE
    loud, quiet = np.quantile(frames, (0.95, 0.1))
    return round(float(loud), 1), round(float(quiet), 1)


def frame_levels(pcm: Pcm, sample_rate: int) -> npt.NDArray[np.float64]:
    """The level of each frame, float64 [n_frames], in dB below full scale; less than one at the end has none."""
    n = round(FRAME_SECONDS * sample_rate)
    power = (pcm[: len(pcm) // n * n].reshape(-1, n).astype(np.float64) ** 2).mean(axis=1) / FULL_SCALE**2
    levels: npt.NDArray[np.float64] = 10 * np.log10(power.clip(10 ** (SILENCE / 10)))
    return levels
