# SPDX-License-Identifier: Apache-2.0
"""A recording of any length cut at its pauses, as its samples come: each part is recognised by itself.

The cuts depend on the recording alone, so that it does not matter who recognises which part, and when. What is far
quieter than the speech around it is a pause. Elsewhere a cut is a proposal: the network's own output around it tells
where exactly, see `pynna.archive.seams`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from pynna.audio.pcm import Pcm
from pynna.streaming.endpointer import EndpointRules

LOUD_TIMES_FLOOR, FLOOR_RISE, MIN_FLOOR = 8.0, 1.005, 10.0
"""A frame is loud above so many times the floor's power; the floor rises by so much a frame, and is no lower."""

SHORT_PAUSE, MIN_SOUND, QUIET_PLACE = 0.3, 0.1, 0.3
"""Seconds of a pause that is enough where a part has become long; of sound that a part has before it is cut; and of the
quietest place, where there is no pause."""

PAUSE_QUIETER, SHORT_PAUSE_QUIETER = 10**2.0, 10**2.5
"""Times a pause's power that the sound before it must have, 20 dB, for it to be one, and for a short one, 25 dB."""

SEARCH, LEAD, TAIL = 1.5, 1.0, 0.3
"""Seconds around a proposal in which the network looks for the cut; that it hears before, and behind."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Samples of a recording that begin at a frame, number `index` of its parts.

    Attributes
    ----------
    proposed_start, proposed_end : bool
        Whether it begins, and ends, at a proposal.
    before, after : int16 [n]
        What is around it there.
    """

    index: int
    first_frame: int
    pcm: Pcm
    proposed_start: bool = False
    proposed_end: bool = False
    before: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))
    after: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))


class Cutter:
    """Cuts PCM into parts of at most `rules.max_utterance`, in the middle of pauses of `rules.trailing_silence`.

    Beyond half of that length a shorter pause is enough; at its end the quietest place of its later part is proposed.
    Where noise leaves no sure pause, a proposal is made at a likely one in the last quarter of that length.

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
        self.search = max(1, min(self._longest // 4, round(SEARCH * per_second)))
        self.lead, self.tail = round(LEAD * per_second), round(TAIL * per_second)
        self._floor = np.inf
        self._pcm: list[Pcm] = []
        self._powers: list[float] = []
        self._loud: list[bool] = []
        self._n_parts = self._first = 0
        self._proposed = False  # the cut before
        self._scan()

    def _scan(self) -> None:
        """From the part's first frame anew."""
        self._at = self._n_loud = self._quiet = 0
        self._log_loud = self._quiet_power = 0.0  # sums

    def cut(self, pieces: Iterable[Pcm]) -> Iterator[Part]:
        """The parts of a recording that comes in pieces of any length."""
        n_before, n_after = (self.search + self.lead) * self._step, (self.search + self.tail) * self._step
        before, ahead, parts = np.zeros(0, np.int16), deque[Part](), self._bare(pieces)
        while (part := ahead.popleft() if ahead else next(parts, None)) is not None:
            while part.proposed_end and sum(len(each.pcm) for each in ahead) < n_after:
                if (further := next(parts, None)) is None:
                    break
                ahead.append(further)
            after = np.concatenate([np.zeros(0, np.int16), *(each.pcm for each in ahead)])[:n_after]
            yield replace(part, before=before, after=after)
            before = np.concatenate([before, part.pcm])[-n_before:]

    def _bare(self, pieces: Iterable[Pcm]) -> Iterator[Part]:
        """The parts without what is around them."""
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
            yield Part(self._n_parts, self._first, np.concatenate(rest), self._proposed)

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
                self._log_loud += math.log(self._powers[self._at])
                self._quiet, self._quiet_power = 0, 0.0
            else:
                self._quiet += 1
                self._quiet_power += self._powers[self._at]
            self._at += 1
            short = 2 * self._at >= self._longest
            if self._n_loud >= self._least_sound and self._quiet >= (self._short_pause if short else self._pause):
                sure = self._is_sure()
                if sure or 4 * self._at >= 3 * self._longest:
                    yield self._split(self._at - self._quiet // 2, not sure)
                    continue
            if self._at >= self._longest:
                yield self._split(self._quietest(), True)

    def _is_sure(self) -> bool:
        """Whether the pause that has just been found is that much quieter than what is before it."""
        quiet = self._quiet_power / self._quiet + MIN_FLOOR
        least = PAUSE_QUIETER if self._quiet >= self._pause else SHORT_PAUSE_QUIETER
        return math.exp(self._log_loud / self._n_loud) >= least * quiet

    def _quietest(self) -> int:
        """The middle of the quietest place in the part's later half."""
        start = self._longest // 2
        sums = np.convolve(self._powers[start : self._at], np.ones(self._narrow), "valid")
        return start + int(np.argmin(sums)) + self._narrow // 2 + 1

    def _split(self, n_frames: int, proposed: bool) -> Part:
        pcm = np.concatenate(self._pcm)
        n = n_frames * self._step
        part = Part(self._n_parts, self._first, pcm[:n].copy(), self._proposed, proposed)
        self._proposed = proposed
        self._pcm = [pcm[n:].copy()]
        del self._powers[:n_frames], self._loud[:n_frames]
        self._n_parts += 1
        self._first += n_frames
        self._scan()
        return part
