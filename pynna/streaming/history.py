# SPDX-License-Identifier: Apache-2.0
"""The last audio of a stream, kept for as long as it may be recognised again."""

from __future__ import annotations

from collections import deque

import numpy as np

from pynna.audio.pcm import Pcm


class AudioHistory:
    """A stream's last samples.

    Attributes
    ----------
    max_samples : int
        How many are kept at most; 0 for none.
    """

    def __init__(self, max_samples: int) -> None:
        self.max_samples = max_samples
        self._chunks: deque[Pcm] = deque()
        self._first, self._end = 0, 0  # numbers of the first sample that is kept and of the next to come

    def feed(self, pcm: Pcm) -> None:
        """Takes the next samples."""
        if self.max_samples:
            self._chunks.append(pcm.copy())
        self._end += len(pcm)
        self.forget(self._end - self.max_samples)

    def forget(self, before: int) -> None:
        """Whole chunks before a sample are not wanted any more."""
        while self._chunks and self._first + len(self._chunks[0]) <= before:
            self._first += len(self._chunks.popleft())
        if not self._chunks:
            self._first = self._end

    def audio(self, first: int, end: int) -> Pcm | None:
        """The samples from `first` to before `end`, or to the last; None where not all of them are kept."""
        if not self._chunks or first < self._first or end - first > self.max_samples:
            return None
        return np.concatenate(self._chunks)[first - self._first : end - self._first]

    def kept(self) -> tuple[int, int, list[Pcm]]:
        """Numbers of the first sample that is kept and of the next to come, and the chunks between."""
        return self._first, self._end, list(self._chunks)

    def take_up(self, first: int, chunks: list[Pcm]) -> None:
        """Goes on where another history, of which `kept` told, left off."""
        self._chunks = deque(chunks)
        self._first, self._end = first, first + sum(map(len, chunks))
