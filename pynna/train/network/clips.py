# SPDX-License-Identifier: Apache-2.0
"""Clips' magnitude spectra in time: tempo, cuts, pauses, several clips in a recording."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pynna.train.corpora.features import BINS
from pynna.train.network.surroundings import F32, Sounds, Surroundings

CHANCES = {
    "uneven tempo": 1.0, "cut": 0.5, "equaliser": 1.5, "fundamental": 0.2, "room": 0.4, "noise": 1.25, "voice": 1.5,
    "contrast": 0.6, "masks": 0.35, "loss": 0.05,
}  # fmt: skip
"""What is changed, how often at full hardness. Vocal tracts and channels tell voices apart: they vary more often than
the surroundings do."""
TIMES = ("uneven tempo", "cut")  # those that move sounds in time
LONGEST_TRAIL, LONGEST_PAUSE = 60, 75  # frames of silence after a clip, and before one that is joined to another
SLICE = 1 << 18  # frames whose energies are measured at a time


@dataclass(frozen=True)
class Source:
    """A clip in the store: where its spectra begin, how many there are, and how much faster it is to be heard."""

    start: int
    frames: int
    rate: float
    silent: bool = False  # in its place nothing is heard but the surroundings


class Clips(Surroundings):
    """Clips in a device's memory, and their sounds in time.

    Parameters
    ----------
    sounds : Sounds
        Noises and rooms.
    device : torch.device
    """

    def __init__(self, sounds: Sounds, device: torch.device) -> None:
        super().__init__(sounds, device)
        self.keep([])

    def keep(self, spectra: Sequence[npt.NDArray[np.float16]]) -> None:
        """Take `spectra` [frames, 257] in, one after the other, in place of what was kept: a `Source` counts frames
        through all of them."""
        parts = [torch.from_numpy(np.array(x)).to(self.device) for x in spectra]
        self.store = torch.cat([*parts, torch.zeros(1, BINS, dtype=torch.float16, device=self.device)])
        energies = [self.store[i : i + SLICE].float().square().sum(dim=1) for i in range(0, len(self.store), SLICE)]
        self.energy: F32 = torch.cat(energies).cpu().numpy()
        self.measured: dict[int, tuple[int, int, float]] = {}  # of clips, by their start

    def _measured(self, source: Source) -> tuple[int, int, float]:
        """The first loud frame of a clip, the one after its last, and its `level_of`."""
        if source.start not in self.measured:
            energy = self.energy[source.start : source.start + source.frames]
            loud = np.flatnonzero(energy > 1e-3 * energy.max())
            first, end = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, source.frames)
            energy = np.sort(energy[energy > 1e-7 * energy.max()])
            level = float(np.sqrt(energy[len(energy) // 2 :].mean())) if len(energy) else 0.0
            self.measured[source.start] = first, end, level
        return self.measured[source.start]

    def timed(
        self,
        rows: Sequence[Sequence[Source]],
        rng: np.random.Generator,
        hard: float,
        pad: int,
        without: Collection[str],
        extra: int = 0,
    ) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """Amplitudes [rows, frames, 257] of recordings of one clip or more, and their frames [rows].

        With `extra` all are as long as the longest and so many frames more, their speech anywhere within."""
        table, spread, gain, frames = self._planned(rows, rng, hard, pad, without)
        if extra:
            room = frames.max() + extra - frames
            table[2] += (rng.random(len(rows)) * (room + 1)).astype(np.int64)[:, None]
            frames += room
        longest = int(frames.max())
        starts, lengths, offsets, counts = self.there(table)
        spreads = self.there(spread.astype(np.float32))
        gains = self.there(gain.astype(np.float32))
        time = torch.arange(longest, device=self.device)
        left = torch.zeros(len(rows), longest, dtype=torch.long, device=self.device)
        share, loud = torch.zeros_like(left, dtype=torch.float32), torch.zeros_like(left, dtype=torch.float32)
        for k in range(table.shape[2]):
            since = time - offsets[:, k, None]
            inside = (since >= 0) & (since < counts[:, k, None])
            at = self._places(spreads[:, k], longest)
            at = torch.gather(at, 1, since.clamp(0, longest - 1))
            last = torch.gather(at, 1, (offsets[:, k] + counts[:, k] - 1).clamp(0, longest - 1)[:, None])
            at = at * ((lengths[:, k, None] - 1) / last.clamp_min(1.0))
            whole = torch.minimum(at.long(), lengths[:, k, None] - 2).clamp_min(0)
            left = torch.where(inside, starts[:, k, None] + whole, left)
            share = torch.where(inside, (at - whole).clamp(0.0, 1.0), share)
            loud = torch.where(inside, gains[:, k, None], loud)
        right = (left + 1).clamp_max(len(self.store) - 1)
        x = torch.lerp(self.store[left].float(), self.store[right].float(), share[:, :, None]) * loud[:, :, None]
        return x, frames

    def _planned(
        self,
        rows: Sequence[Sequence[Source]],
        rng: np.random.Generator,
        hard: float,
        pad: int,
        without: Collection[str],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Where each part of each recording lies and is heard.

        The first is [4, rows, parts]: first frame in the store, frames there, first frame heard, frames heard. Then the
        unevenness of its tempo and its gain [rows, parts], and the frames of each recording [rows].
        """
        chance = {name: 0.0 if name in without else hard * CHANCES[name] for name in TIMES}
        parts = max(len(row) for row in rows)
        cells: list[tuple[int, int, int, int]] = []
        levels: list[float] = []
        ends: list[int] = []
        paused = np.array([len(row) > 1 for row in rows])[:, None]
        drawn = rng.random((4, len(rows), parts))
        trims = rng.integers(0, 3, (2, len(rows), parts))
        pads = rng.integers(0, np.array([pad, min(pad, LONGEST_TRAIL)])[:, None, None], (2, len(rows), parts))
        pads *= drawn[:2] < 0.6
        pads[0] += rng.integers(0, LONGEST_PAUSE, (len(rows), parts)) * paused
        uneven, trimmed = drawn[2] < chance["uneven tempo"], drawn[3] < chance["cut"]
        pads, trims, trimmed = pads.tolist(), trims.tolist(), trimmed.tolist()
        for r, row in enumerate(rows):
            now = 0
            for k, source in enumerate(row):
                start, length = source.start, source.frames
                first, end, level = self._measured(source)
                if trimmed[r][k]:
                    first, end = max(0, first - trims[0][r][k]), min(length, end + trims[1][r][k])
                    start, length = start + first, end - first
                heard = max(2, int(length / source.rate))
                cells.append((start, length, now + pads[0][r][k], 0 if source.silent else heard))
                levels.append(level)
                now += pads[0][r][k] + heard + pads[1][r][k]
            cells += [(0, 2, 0, 0)] * (parts - len(row))
            levels += [1.0] * (parts - len(row))
            ends.append(now)
        table = np.array(cells).reshape(len(rows), parts, 4).transpose(2, 0, 1).copy()
        loudness = np.maximum(np.array(levels).reshape(len(rows), parts), 1e-5)
        spread = np.where(uneven & (table[3] > 16), 0.18, 0.0)
        gain = np.where(paused, 10 ** (rng.normal(0, 3, loudness.shape) / 20) / loudness, 1.0)
        return table, spread, gain, np.array(ends)

    def _places(self, spread: Tensor, frames: int) -> Tensor:
        """Where in a clip each frame is taken [rows, frames], in steps of a rate that changes every few tenths of a
        second by a share `spread` [rows]."""
        nodes = torch.exp(self.normal(len(spread), 2 + frames // 8) * spread[:, None])
        time = torch.arange(frames, device=self.device)
        share = (time % 8) / 8
        steps = nodes[:, time // 8] * (1 - share) + nodes[:, time // 8 + 1] * share
        places = steps.cumsum(dim=1)
        return places - places[:, :1]
