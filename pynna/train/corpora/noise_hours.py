# SPDX-License-Identifier: Apache-2.0
"""Hours without a command: recordings of noise, music and foreign speech that training never heard, laid one behind
another at all levels, and noise and tunes that are synthesised from seeds of their own. Always the same.

Recordings come back within ten hours: each time another stretch of them, faster or slower, at another level, often in
another room, through another microphone or with something else above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from pynna.train.corpora import noises
from pynna.train.corpora.noise_sets import FULL_SCALE, Noise, group_of
from pynna.train.voices.base import RATE, Pcm

F64 = npt.NDArray[np.float64]
GROUPS = {"noise": 0.3, "made": 0.2, "music": 0.2, "foreign": 0.3}
"""What is heard, and its share of the time: recorded noise, synthesised noise, music, speech that is not English."""
PART = 300.0
"""Seconds of a part: what is drawn, and heard, at a time."""
SECONDS = (8.0, 40.0)
"""Of a stretch: from, to."""
LEVELS = (-60.0, -20.0)
"""Root mean square of a stretch in dB of full scale: from, to."""
BELOW = (0.0, 20.0)
"""dB by which a second sound is below the first: from, to."""
TUNES = 0.25
"""Share of the music that is synthesised; all of it where none is recorded."""
SPEEDS = {"foreign": (93, 108)}
"""Percent of the speed at which a group is played; others as `ANY_SPEED`."""
ANY_SPEED = (85, 118)


@dataclass(frozen=True)
class Stretch:
    """A part of an hour: where it begins and how long it is in seconds, what is heard in it, and how loud."""

    start: float
    seconds: float
    group: str
    names: tuple[str, ...]
    level: float


def by_group(recordings: Iterable[Noise]) -> dict[str, list[list[Noise]]]:
    """Recordings by group and, within it, by kind: each kind is drawn as often as another."""
    kinds: dict[str, dict[str, list[Noise]]] = {}
    for noise in recordings:
        kinds.setdefault(group_of(noise.kind), {}).setdefault(noise.kind, []).append(noise)
    return {group: list(named.values()) for group, named in kinds.items()}


def _sound(
    sources: Mapping[str, Sequence[Sequence[Noise]]], group: str, n: int, rng: np.random.Generator
) -> tuple[str, F64]:
    """Name and n samples of unit power of a group's sound."""
    kinds = sources.get(group, ())
    if group == "made" or not kinds or (group == "music" and rng.random() < TUNES):
        name, x = ("tune", noises.tune(rng, n)) if group == "music" else ("made", noises.noise(rng, n))
    else:
        kind = kinds[int(rng.integers(len(kinds)))]
        noise = kind[int(rng.integers(len(kind)))]
        speed = int(rng.integers(*SPEEDS.get(group, ANY_SPEED)))
        length = n * speed // 100 + 2
        start = int(rng.integers(0, max(1, len(noise.pcm) - length)))
        part = np.resize(noise.pcm[start : start + length], length).astype(np.float64)
        name, x = noise.name, resample_poly(part, 100, speed)[:n]
    if group != "made":  # which has been through both
        x = noises.room(rng, x) if rng.random() < 0.4 else x
        x = noises.microphone(rng, x) if rng.random() < 0.4 else x
    return name, np.asarray(x / max(float(x.std()), 1e-9))


def _mixed(
    sources: Mapping[str, Sequence[Sequence[Noise]]], start: float, n: int, rng: np.random.Generator
) -> tuple[Stretch, Pcm]:
    """A stretch of n samples, half of them with a second sound below the first."""
    groups, shares = list(GROUPS), list(GROUPS.values())
    group, other = (groups[int(i)] for i in rng.choice(len(groups), 2, p=shares))
    name, x = _sound(sources, group, n, rng)
    names = [name]
    if rng.random() < 0.5:
        name, y = _sound(sources, other, n, rng)
        x, names = x + y * 10 ** (-rng.uniform(*BELOW) / 20), [*names, name]
    level = float(rng.uniform(*LEVELS))
    x = x / max(float(x.std()), 1e-9) * 10 ** (level / 20) * FULL_SCALE
    pcm = np.asarray(np.clip(np.round(x), -32768, 32767), np.int16)
    return Stretch(start, n / RATE, group, tuple(names), level), pcm


def part(
    sources: Mapping[str, Sequence[Sequence[Noise]]], number: int, seconds: float = PART
) -> tuple[Pcm, list[Stretch]]:
    """The samples of the part of that number, and what is in them.

    Parameters
    ----------
    sources : mapping
        Recordings as `by_group` gives them.
    number : int
    seconds : float
        Of a shorter one, which begins alike.
    """
    total, at, index = round(seconds * RATE), 0, 0
    pieces, stretches = [], []
    while at < total:
        rng = np.random.default_rng([35, number, index])
        n = min(int(rng.uniform(*SECONDS) * RATE), max(total - at, RATE))
        stretch, pcm = _mixed(sources, at / RATE, n, rng)
        pieces.append(pcm)
        stretches.append(stretch)
        at, index = at + n, index + 1
    return np.concatenate(pieces)[:total], stretches
