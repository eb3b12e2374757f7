# SPDX-License-Identifier: Apache-2.0
"""A recording of any length cut at its pauses, as its samples come: each part is recognised by itself.

The cuts depend on the recording alone, so that it does not matter who recognises which part, and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pynna.audio.pcm import Pcm
from pynna.streaming.endpointer import EndpointRules

LOUD_TIMES_FLOOR, FLOOR_RISE, MIN_FLOOR = 8.0, 1.005, 10.0
"""A frame is loud above so many times the floor's power; the floor rises by so much a frame, and is no lower."""

SHORT_PAUSE, MIN_SOUND, QUIET_PLACE = 0.3, 0.1, 0.3
"""Seconds of a pause that is enough where a part has become long; of sound that a part has before it is cut; and of the
quietest place, where there is no pause."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Samples of a recording that begin at a frame, number `index` of its parts."""

    index: int
    first_frame: int
    pcm: Pcm


class Cutter:
    """Cuts PCM into parts of at most `rules.max_utterance`, in the middle of pauses of `rules.trailing_silence`.

    Beyond half of that length a shorter pause is enough; at its end the quietest place of its later part is taken.

    Parameters
    ----------
    step : int
        Samples of a frame: a part begins at a multiple of it.
    sample_rate : int
        In Hz.
    """

    def __init__(self, rules: EndpointRules, step: int, sample_rate: int) -> None:
        self._step = step
        per_second = sample_rate / step
        self._longest = max(4, int(rules.max_utterance * per_second))
        self._pause = max(2, round(rules.trailing_silence * per_second))
        self._short_pause = min(self._pause, max(2, round(SHORT_PAUSE * per_second)))
        self._narrow = max(1, min(self._longest // 4, round(QUIET_PLACE * per_second)))
        self._least_sound = max(1, round(MIN_SOUND * per_second))
        self._floor = np.inf
        self._pcm: list[Pcm] = []
        self._powers: list[float] = []
        self._loud: list[bool] = []
        self._n_parts = self._first = 0
        self._scan()

    def _scan(self) -> None:
        """From the part's first frame anew."""
        self._at = self._n_loud = self._quiet = 0

    def cut(self, pieces: Iterable[Pcm]) -> Iterator[Part]:
        """The parts of a recording that comes in pieces of any length."""
        left = np.zeros(0, np.int16)
        for piece in pieces:
            samples = np.concatenate([left, piece])
            n = len(samples) // self._step
            whole, left = samples[: n * self._step], samples[n * self._step :]
            if not n:
                continue
            self._take(whole.reshape(n, self._step))
            yield from self._parts()
        rest = [*self._pcm, left]
        if any(map(len, rest)):
            yield Part(self._n_parts, self._first, np.concatenate(rest))

    def _take(self, frames: Pcm) -> None:
        self._pcm.append(frames.reshape(-1))
        powers = (frames.astype(np.float64) ** 2).mean(axis=1).tolist()
        self._powers += powers
        for power in powers:
            self._floor = max(MIN_FLOOR, min(power, self._floor * FLOOR_RISE))
            self._loud.append(power > LOUD_TIMES_FLOOR * self._floor)

    def _parts(self) -> Iterator[Part]:
        while self._at < len(self._loud):
            if self._loud[self._at]:
                self._n_loud += 1
                self._quiet = 0
            else:
                self._quiet += 1
            self._at += 1
            needed = self._pause if 2 * self._at < self._longest else self._short_pause
            if self._n_loud >= self._least_sound and self._quiet >= needed:
                yield self._split(self._at - self._quiet // 2)
            elif self._at >= self._longest:
                yield self._split(self._quietest())

    def _quietest(self) -> int:
        """The middle of the quietest place in the part's later half."""
        start = self._longest // 2
        sums = np.convolve(self._powers[start : self._at], np.ones(self._narrow), "valid")
        return start + int(np.argmin(sums)) + self._narrow // 2 + 1

    def _split(self, n_frames: int) -> Part:
        pcm = np.concatenate(self._pcm)
        n = n_frames * self._step
        part = Part(self._n_parts, self._first, pcm[:n].copy())
        self._pcm = [pcm[n:].copy()]
        del self._powers[:n_frames], self._loud[:n_frames]
        self._n_parts += 1
        self._first += n_frames
        self._scan()
        return part
