# SPDX-License-Identifier: Apache-2.0
"""More calibration audio out of little: the same recordings slower and faster, as other people would say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.calibration import Clip

Array = NDArray[Any]

SPEEDS = (0.85, 1.18)


def at_other_speeds(clips: Sequence[Clip], seconds: float, sample_rate: int) -> list[Clip]:
    """The clips, and as far as `seconds` of audio in all are not passed, the same at the other SPEEDS."""
    out, room = list(clips), int(seconds * sample_rate) - sum(len(clip.pcm) for clip in clips)
    for speed in SPEEDS:
        for clip in clips:
            if (size := int(len(clip.pcm) / speed)) <= room:
                out.append(replace(clip, pcm=_resampled(clip.pcm, size)))
                room -= size
    return out


def _resampled(pcm: Array, size: int) -> Array:
    places = np.linspace(0, max(len(pcm) - 1, 0), size)
    return np.rint(np.interp(places, np.arange(len(pcm)), pcm)).astype(np.int16) if size else pcm[:0]
