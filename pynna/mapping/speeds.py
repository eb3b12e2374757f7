# SPDX-License-Identifier: Apache-2.0
"""More calibration audio out of little: the same recordings slower and faster, as other people would say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pynna.audio.pcm import change_speed
from pynna.mapping.calibration import Clip

SPEEDS = (0.85, 1.18)


def at_other_speeds(clips: Sequence[Clip], seconds: float, sample_rate: int) -> list[Clip]:
    """The clips, and as far as `seconds` of audio in all are not passed, the same at the other SPEEDS."""
    out, room = list(clips), int(seconds * sample_rate) - sum(len(clip.pcm) for clip in clips)
    for speed in SPEEDS:
        for clip in clips:
            if len(clip.pcm) / speed <= room:
                out.append(replace(clip, pcm=change_speed(clip.pcm, speed, sample_rate)))
                room -= len(out[-1].pcm)
    return out
