# SPDX-License-Identifier: Apache-2.0
"""Augmentation on stored magnitude spectra: tempo, vocal tract, equaliser, rooms, noise, level, masks.

All of it acts on amplitudes [rows, frames, 257] of a whole batch, in PyTorch, on the device that trains: a clip costs a
few passes over a small array and no Fourier transform, and nothing in here waits for the device.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pynna.train.corpora.features import BINS, HZ_PER_BIN, dct_matrix, mel, mel_filters, mel_matrix

F32 = npt.NDArray[np.float32]

MEL_POSITION = np.asarray(mel(HZ_PER_BIN * np.arange(BINS)) / mel(8000.0), np.float32)
LOUD = 25.0  # `level_of` of speech that all but fills the range of 16 bits
N_WARPS = 400
CHANCES = {
    "uneven tempo": 1.0, "cut": 0.5, "equaliser": 1.5, "fundamental": 0.2, "room": 0.4, "noise": 1.25, "voice": 1.5,
    "contrast": 0.6, "masks": 0.35, "loss": 0.05,
}  # fmt: skip
"""What is changed, how often at full hardness. Vocal tracts and channels tell voices apart: they vary more often than
the surroundings do."""
TIMES = ("uneven tempo", "cut")  # those that move sounds in time
LONGEST_TRAIL, LONGEST_PAUSE = 60, 75  # frames of silence after a clip, and before one that is joined to another
QUIET = 1e-3  # of a recording's loudest frame's energy: what is below is no speech
NEAR, FAR = 4, 14  # frames around speech that count as speech, and beyond which none is near
TAIL = 14  # frames of a room's response at most
POOL = 1 << 22  # random numbers drawn once, of which every batch takes other stretches: drawing them anew takes longer
SLICE = 1 << 18  # frames whose energies are measured at a time


@dataclass
class Sounds:
    """Noises' spectra, rooms' energy responses, and how often each noise is to be drawn beside the others."""

    noises: list[npt.NDArray[np.float16]]
    rooms: list[F32]
    weights: list[float] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> Sounds:
        """All that the features folder holds."""
        groups: dict[str, list[npt.NDArray[np.float16]]] = defaultdict(list)
        for path in sorted(folder.glob("noise-*.npz")):
            with np.load(path) as file:
                spectra, offsets = file["spectra"], file["offsets"]
                group = groups[path.stem.rstrip("0123456789")]
                group += [spectra[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        # a collection weighs the cube root of its length, as a corpus does
        weights = [sum(map(len, group)) ** (1 / 3) / len(group) for group in groups.values() for _ in group]
        rooms = [row for path in sorted(folder.glob("rooms-*.npy")) for row in np.load(path)]
        return cls([noise for group in groups.values() for noise in group], rooms, weights)


@functools.lru_cache(maxsize=2)
def filters(upper: float) -> list[F32]:
    """Mel filters of as many voices: the vocal tract's length, and each formant's place within it a little.

    The frequency axis is stretched by 0.84 to 1.19 in all, and by a smooth curve of a few per cent around that; above
    80 % of the band it bends back to the band's end.
    """
    rng, made = np.random.default_rng(3), []
    f = HZ_PER_BIN * np.arange(BINS)
    points = np.array([0.0, 0.07, 0.2, 0.4, 0.6, 0.8, 1.0]) * f[-1]
    for warp in np.linspace(0.84, 1.19, N_WARPS):
        curve = np.interp(f, points, np.exp(rng.normal(0, 0.035, len(points)) * (rng.random() < 0.7)))
        heard = f * warp * curve
        knee = int(0.8 * BINS / max(1.0, heard[int(0.8 * BINS)] / (0.8 * f[-1])))
        heard[knee:] = np.interp(f[knee:], [f[knee], f[-1]], [min(heard[knee], 0.97 * f[-1]), f[-1]])
        made.append(mel_filters(np.clip(np.maximum.accumulate(heard), 0, f[-1]), upper=upper))
    return made


@dataclass(frozen=True)
class Source:
    """A clip in the store: where its spectra begin, how many there are, and how much faster it is to be heard."""

    start: int
    frames: int
    rate: float
    silent: bool = False  # in its place nothing is heard but the surroundings


class Heard(NamedTuple):
    """What `Augmenter.hear` gives, on its device but for `frames`; each but that is zero after a recording's end.

    Attributes
    ----------
    features : float32 Tensor [frames, rows, 26]
        MFCC.
    frames : int64 Tensor [rows]
        Frames of each recording, in main memory.
    speech : int8 Tensor [frames, rows]
        1 in speech, 0 where none is near, -1 in between.
    clean : float32 Tensor [frames, rows, 26] or None
        MFCC of the same clips at the same times without any change to their sound.
    """

    features: Tensor
    frames: Tensor
    speech: Tensor
    clean: Tensor | None


class Augmenter:
    """Clips, noises and rooms in a device's memory, and what is to be heard of them.

    Parameters
    ----------
    sounds : Sounds
        Noises and rooms.
    device : torch.device
    upper : float
        The mel bands' upper edge, Hz.
    """

    def __init__(self, sounds: Sounds, device: torch.device, upper: float = 8000.0) -> None:
        self.device = device
        self.keep([])
        noises = [np.asarray(noise) for noise in sounds.noises]
        self.noises = torch.from_numpy(np.concatenate(noises)).to(device) if noises else None
        ends = np.cumsum([len(noise) for noise in noises], dtype=np.int64)
        self.noise_frames = torch.tensor([len(noise) for noise in noises], device=device)
        self.noise_starts = torch.from_numpy(ends).to(device) - self.noise_frames
        self.noise_weights = torch.tensor(sounds.weights or [1.0] * len(noises), device=device)
        rooms = np.zeros((len(sounds.rooms), TAIL), np.float32)
        for row, response in zip(rooms, sounds.rooms, strict=True):
            row[: min(12, len(response))] = response[:12]
        self.rooms = torch.from_numpy(rooms).to(device)
        # of the voices' filters, the last is no voice's
        matrices = np.stack([*filters(upper), mel_matrix(upper=upper)])
        self.filters = torch.from_numpy(matrices).to(device)
        self.dct = torch.from_numpy(dct_matrix()).to(device)
        self.frequency = HZ_PER_BIN * torch.arange(BINS, dtype=torch.float32, device=device)
        self.mel_position = torch.from_numpy(MEL_POSITION).to(device)
        self.random, self.host = torch.Generator(device), np.random.default_rng(0)
        self.random.manual_seed(1)
        pool = POOL if device.type == "cpu" else 8 * POOL
        # a Hann window makes what neighbouring bins hold of a noise alike, and a mel channel's energy less steady
        white = torch.randn(2, 2, pool + 2, generator=self.random, device=device)
        noise = white[:, :, 1:-1] + (white[:, :, 2:] + white[:, :, :-2]) / 2  # [2 draws, real and imaginary, pool]
        sizes = torch.hypot(noise[:, 0], noise[:, 1])
        self.amplitudes = sizes[0] / math.sqrt(3.0)
        self.cosines = 2 * noise[1, 0] / sizes[1]

    def keep(self, spectra: Sequence[npt.NDArray[np.float16]]) -> None:
        """Take `spectra` [frames, 257] in, one after the other, in place of what was kept: a `Source` counts frames
        through all of them."""
        parts = [torch.from_numpy(np.array(x)).to(self.device) for x in spectra]
        self.store = torch.cat([*parts, torch.zeros(1, BINS, dtype=torch.float16, device=self.device)])
        energies = [self.store[i : i + SLICE].float().square().sum(dim=1) for i in range(0, len(self.store), SLICE)]
        self.energy: F32 = torch.cat(energies).cpu().numpy()
        self.measured: dict[int, tuple[int, int, float]] = {}  # of clips, by their start

    def _there(self, values: npt.NDArray[Any]) -> Tensor:
        """Values on the device, without waiting for what it does."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    # chance, on the device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.random, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, device=self.device)

    def stretch(self, pool: Tensor, *shape: int) -> Tensor:
        """Random numbers out of a pool; not to be written to."""
        n = math.prod(shape)
        if n > len(pool):
            pool = pool.repeat(1 + n // len(pool))
        start = int(self.host.integers(len(pool) - n + 1))
        return pool[start : start + n].view(shape)

    def rayleigh(self, *shape: int) -> Tensor:
        """Amplitudes of noise of unit power."""
        return self.stretch(self.amplitudes, *shape)

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.random, device=self.device)

    # the clips, in time

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
        chance = {name: 0.0 if name in without else hard * CHANCES[name] for name in TIMES}
        parts = max(len(row) for row in rows)
        # of each part of each recording: first frame in the store, frames there, first frame heard, frames heard
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
        frames = np.array(ends)
        if extra:
            room = frames.max() + extra - frames
            table[2] += (rng.random(len(rows)) * (room + 1)).astype(np.int64)[:, None]
            frames += room
        longest = int(frames.max())
        starts, lengths, offsets, counts = self._there(table)
        spreads = self._there(spread.astype(np.float32))
        gains = self._there(gain.astype(np.float32))
        time = torch.arange(longest, device=self.device)
        left = torch.zeros(len(rows), longest, dtype=torch.long, device=self.device)
        share, loud = torch.zeros_like(left, dtype=torch.float32), torch.zeros_like(left, dtype=torch.float32)
        for k in range(parts):
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

    def _places(self, spread: Tensor, frames: int) -> Tensor:
        """Where in a clip each frame is taken [rows, frames], in steps of a rate that changes every few tenths of a
        second by a share `spread` [rows]."""
        nodes = torch.exp(self.normal(len(spread), 2 + frames // 8) * spread[:, None])
        time = torch.arange(frames, device=self.device)
        share = (time % 8) / 8
        steps = nodes[:, time // 8] * (1 - share) + nodes[:, time // 8 + 1] * share
        places = steps.cumsum(dim=1)
        return places - places[:, :1]

    # the sounds

    def equaliser(self, rows: int, spread: float) -> Tensor:
        """Random smooth gain of each bin [rows, 257]: a curve through a few points on the mel axis, and a tilt."""
        points = self.whole(3, 8, rows)
        values = self.normal(rows, 8) * spread
        at = self.mel_position * (points[:, None] - 1)
        left = at.long().clamp(0, 6).minimum(points[:, None] - 2)
        curve = torch.lerp(values.gather(1, left), values.gather(1, left + 1), at - left)
        curve = curve + (2 * self.mel_position - 1) * (self.normal(rows, 1) * 2.0 * spread)
        octaves = torch.log2(self.frequency.clamp_min(10.0))  # a telephone's or a cheap microphone's band
        low = torch.log2(self.uniform(rows, 1, low=50, high=350))
        high = torch.log2(self.uniform(rows, 1, low=3200, high=7800))
        band = -12 * (low - octaves).clamp_min(0) - 60 * (octaves - high).clamp_min(0)
        curve = curve + band * (self.uniform(rows, 1) < 0.08)
        return 10 ** (curve / 20)

    def fundamental(self, rows: int) -> Tensor:
        """Gain [rows, 257] as of a voice, or a microphone too near, of which little but the fundamental is loud."""
        centre, width = self.uniform(rows, 1, low=80, high=250), self.uniform(rows, 1, low=60, high=150)
        bump = self.uniform(rows, 1, low=4, high=18) * torch.exp(-(((self.frequency - centre) / width) ** 2))
        return 10 ** (bump / 20)

    def room(self, rows: int) -> Tensor:
        """Energy of rooms' responses at steps of a frame [rows, 14], the direct sound's as 1."""
        decay = 10 ** (-6 * 0.02 / self.uniform(rows, 1, low=0.08, high=0.6))
        late = 10 ** (-self.uniform(rows, 1, low=-1, high=14) / 10) * (1 - decay)
        taps = torch.arange(TAIL, device=self.device)
        response = late * decay ** (taps - 1)
        response = response * (decay**taps > 1e-3 / decay)
        if len(self.rooms):
            measured = self.rooms[self.whole(0, len(self.rooms), rows)] * self.uniform(rows, 1, low=0.2, high=1.0)
            response = torch.where(self.uniform(rows, 1) < 0.25, measured, response)
        response[:, 0] = 1.0
        return response

    def hiss(self, rows: int, frames: int) -> Tensor:
        """Noise as of engine, tyres, wind and fans: Rayleigh amplitudes under a random slope that swells."""
        slope = (self.frequency.clamp_min(31.0) / 300.0) ** (-self.uniform(rows, 1, low=0.0, high=2.0))
        shape = slope * self.equaliser(rows, 3.0)
        time = torch.arange(frames, device=self.device)
        phase = time * self.uniform(rows, 1, low=0.005, high=0.12) + self.uniform(rows, 1, high=6.0)
        swell = torch.exp(self.normal(rows, 1) * 0.25 * torch.sin(phase))
        return self.rayleigh(rows, frames, BINS) * shape[:, None] * swell[:, :, None]

    def tones(self, rows: int, frames: int) -> Tensor:
        """Noise as of music, machines and signals: a few voices of harmonics, each gliding or in notes."""
        power = torch.zeros(rows, frames, BINS, device=self.device)
        voices = self.whole(1, 4, rows)
        time = torch.arange(frames, device=self.device)
        span = torch.arange(frames, device=self.device) * (4 / max(1, frames))
        for voice in range(3):
            lowest = torch.exp(self.uniform(rows, 1, low=math.log(60), high=math.log(1500)))
            # one long tone that wanders, as an engine's or a drill's
            nodes = self.normal(rows, 6) * 0.1
            wander = torch.lerp(nodes[:, span.long()], nodes[:, span.long() + 1], span - span.long())
            # or notes and silences, each dying away
            steps = self.whole(4, 30, rows, 1) * self.whole(1, 4, rows, 2 + frames // 4)
            ends = steps.cumsum(dim=1)
            note = torch.searchsorted(ends, time.expand(rows, -1).contiguous(), right=True)
            since = time - functional.pad(ends, (1, 0)).gather(1, note)
            semitone = self.whole(0, 13, rows, ends.shape[1] + 1).gather(1, note)
            sounding = (self.uniform(rows, ends.shape[1] + 1) < 0.85).gather(1, note)
            dying = torch.exp(-since * self.uniform(rows, 1, high=0.2))
            long = self.uniform(rows, 1) < 0.5
            pitch = lowest * torch.where(long, torch.exp(wander), 2 ** (semitone / 12))
            loud = torch.where(long, torch.ones_like(dying), sounding * dying)
            loud = loud * 10 ** self.uniform(rows, 1, low=-1.5, high=0.0) * (voice < voices)[:, None]
            harmonic = self.frequency / pitch[:, :, None]
            nearest = harmonic.round().clamp_min(1.0)
            off = (harmonic - nearest) * (pitch / 25.0)[:, :, None]  # a Hann window's lobe, as a bell
            each = torch.exp(-off * off) * nearest ** (-self.uniform(rows, 1, 1, low=0.3, high=3.0))
            power += each * loud[:, :, None]
        return power.sqrt() * self.equaliser(rows, 2.0)[:, None]

    def knocks(self, rows: int, frames: int) -> Tensor:
        """Noise as of dishes, doors and keys: short bursts that die away, each like the others."""
        often = self.uniform(rows, frames) < self.uniform(rows, 1, low=0.01, high=0.15)
        loud = often * torch.exp(self.normal(rows, frames) * 0.7)
        loud.scatter_add_(1, self.whole(0, frames, rows, 1), torch.ones(rows, 1, device=self.device))
        decay = self.uniform(rows, 1, low=0.2, high=0.8) ** torch.arange(12, device=self.device)
        envelope = torch.zeros_like(loud)
        for k in range(min(12, frames)):
            envelope[:, k:] += decay[:, k, None] * loud[:, : frames - k]
        return self.hiss(rows, frames) * envelope[:, :, None]

    def made_noise(self, rows: int, frames: int) -> Tensor:
        """Synthesised noise [rows, frames, 257]: a hiss, and often tones or knocks above it or below."""
        noise = self.hiss(rows, frames)
        whole = torch.full((rows,), frames, device=self.device)
        for make, chance in ((self.tones, 0.3), (self.knocks, 0.25)):
            where = np.flatnonzero(self.host.random(rows) < chance)
            if len(where) == 0:
                continue
            at = self._there(where)
            other, base = make(len(where), frames), noise[at]
            gain = level_of(base, whole[at]) / level_of(other, whole[at]).clamp_min(1e-6)
            gain = gain * 10 ** (self.uniform(len(where), low=-10, high=25) / 20)
            noise[at] = torch.sqrt(base.square() + (other * gain[:, None, None]).square())
        return noise

    def recorded_noise(self, rows: int, frames: int) -> Tensor:
        """Stretches of recorded noises [rows, frames, 257], repeated where too short; often faster or slower."""
        assert self.noises is not None
        which = torch.multinomial(self.noise_weights, rows, replacement=True, generator=self.random)
        length = self.noise_frames[which][:, None]
        speed = torch.exp(self.uniform(rows, 1, low=-0.4, high=0.4))
        speed = torch.where(self.uniform(rows, 1) < 0.6, speed, torch.ones_like(speed))
        room = (length - (frames * speed).long()).clamp_min(1)
        start = (self.uniform(rows, 1) * room).long()
        time = (start + (torch.arange(frames, device=self.device) * speed).long()) % length
        bins = torch.arange(BINS, device=self.device)
        bins = (bins / speed).round().long().clamp_max(BINS - 1)
        rows_of = (self.noise_starts[which][:, None] + time) * BINS
        part = self.noises.view(-1)[rows_of[:, :, None] + bins[:, None]].float()
        shape = self.equaliser(rows, 2.0)
        shape = torch.where(self.uniform(rows, 1) < 0.5, shape, torch.ones_like(shape))
        return part * shape[:, None]

    def unsteady(self, rows: int, frames: int) -> Tensor:
        """A gain [rows, frames, 1] that wanders, by more in some rows than in others."""
        nodes = self.normal(rows, 3 + frames // 20) * self.uniform(rows, 1, high=8.0)
        time = torch.arange(frames, device=self.device)
        decibels = torch.lerp(nodes[:, time // 20], nodes[:, time // 20 + 1], (time % 20) / 20)
        return (10 ** (decibels / 20))[:, :, None]

    def surroundings(self, rows: int, frames: int, rng: np.random.Generator) -> Tensor:
        """Noise [rows, frames, 257] of level 1: recorded or made, some of it mixed, half of it unsteady."""
        noise = torch.empty(rows, frames, BINS, device=self.device)
        whole = torch.full((rows,), frames, device=self.device)
        recorded = (rng.random(rows) < 0.7) & (self.noises is not None)
        for where, make in ((recorded, self.recorded_noise), (~recorded, self.made_noise)):
            if where.any():
                noise[self._there(np.flatnonzero(where))] = make(int(where.sum()), frames)
        noise /= level_of(noise, whole).clamp_min(1e-6)[:, None, None]
        if self.noises is not None and len(mixed := np.flatnonzero(rng.random(rows) < 0.25)):
            at, other = self._there(mixed), self.recorded_noise(len(mixed), frames)
            gain = 10 ** (self.uniform(len(mixed), low=-15, high=10) / 20) / level_of(other, whole[at]).clamp_min(1e-6)
            noise[at] = torch.sqrt(noise[at].square() + (other * gain[:, None, None]).square())
        if len(wild := np.flatnonzero(rng.random(rows) < 0.5)):
            noise[self._there(wild)] *= self.unsteady(len(wild), frames)
        return noise.div_(level_of(noise, whole).clamp_min(1e-6)[:, None, None])

    def lose(self, x: Tensor, at: Tensor) -> None:
        """Packets lost in the rows `at` of amplitudes [rows, frames, 257]: short stretches of nothing."""
        if len(at):
            lost = (self.uniform(len(at), 1, x.shape[1]) < 0.015).float()
            x[at] *= 1 - functional.max_pool1d(lost, 5, 1, 2)[:, 0, :, None]

    def where_speech(self, x: Tensor) -> Tensor:
        """Of clips alone [rows, frames, 257]: `Heard.speech`, [rows, frames]."""
        energy = x.square().sum(dim=2)
        loud = (energy > (QUIET * energy.amax(dim=1, keepdim=True)).clamp_min(1e-8)).float()[:, None]
        near, far = (functional.max_pool1d(loud, 2 * n + 1, 1, n)[:, 0] for n in (NEAR, FAR))
        return (near - (far - near)).to(torch.int8)

    def alone(self, x: Tensor, frames: Tensor) -> Tensor:
        """Log mel energies [rows, frames, 40] of clips as they are, at a usual level above a faint floor."""
        x = x * (LOUD / 3 / level_of(x, frames).clamp_min(1e-5))[:, None, None]
        x = torch.sqrt(x.square() + (self.rayleigh(*x.shape) * 10**-3.5).square())
        return torch.log((x @ self.filters[N_WARPS]).clamp_min_(1e-12))

    def add(self, x: Tensor, noise: Tensor) -> Tensor:
        """Magnitude of the sum of two sounds whose phases are independent."""
        out = x * self.stretch(self.cosines, *x.shape)
        out += noise
        out *= noise
        return out.addcmul_(x, x).clamp_min_(0).sqrt_()

    def hear(
        self, rows: Sequence[Sequence[Source]], seed: Sequence[int], hard: float, pad: int = 10,
        without: Collection[str] = (), views: int = 1, extra: int = 0, clean: bool = False,
    ) -> Heard:  # fmt: skip
        """MFCC of recordings, each of one clip or of several with pauses between, changed at random.

        Parameters
        ----------
        rows : sequence of recordings
            The clips of each.
        seed : whole numbers
            The same give the same.
        hard : float
            From 0 (clean, but for level and floor) to 1: the `CHANCES` are multiplied by it.
        pad : int
            Frames of silence that are added before each clip at most, and after it up to `LONGEST_TRAIL`.
        without : names of `CHANCES`
            What is left out, to measure what it is worth.
        views : int
            How often each is heard, frame by frame the same but for the sounds' changes: rows are views times as many.
        extra : int
            Frames by which all are made longer than the longest, their speech anywhere within; 0: as long as they are.
        clean : bool
            Whether `Heard.clean` is asked for.
        """
        rng = self.host = np.random.default_rng(seed)
        self.random.manual_seed(int(rng.integers(1 << 62)))
        n = views * len(rows)
        x, counts = self.timed(rows, rng, hard, pad, without, extra)
        counts = np.tile(counts, views)
        frames = self._there(counts)
        if views > 1:
            x = x.repeat(views, 1, 1)
        valid = torch.arange(x.shape[1], device=self.device) < frames[:, None]
        speech = self.where_speech(x)
        alone = self._features(self.alone(x, frames), valid) if clean else None
        silent = np.tile([all(source.silent for source in row) for row in rows], views)
        names = [name for name in CHANCES if name not in TIMES]
        drawn = rng.random((len(names), n))
        on = {
            name: np.flatnonzero((u < hard * CHANCES[name]) & (name not in without))
            for name, u in zip(names, drawn, strict=True)
        }
        on["noise"] = np.union1d(on["noise"], np.flatnonzero(silent & (drawn[0] < 0.95) & ("noise" not in without)))
        x = self._coloured(x, on)
        level = LOUD * 10 ** (self.uniform(n, low=-30, high=4) / 20)
        x = x * (level / level_of(x, frames).clamp_min(1e-5))[:, None, None]
        if len(on["noise"]):
            chosen = self._there(on["noise"])
            snr = self._there(rng.triangular(-4, 8, 40, len(chosen)).astype(np.float32))
            noise = self.surroundings(len(chosen), x.shape[1], rng)
            x[chosen] = self.add(x[chosen], noise * (level[chosen] * 10 ** (-snr / 20))[:, None, None])
        # an analogue floor; in some the digital silence of a synthesiser stays
        floor = 10 ** self.uniform(n, low=-4.6, high=-1.5) * (self.uniform(n) < 0.8)
        x = self.add(x, self.rayleigh(*x.shape) * floor[:, None, None])
        self.lose(x, self._there(on["loss"]))
        logs = self._through_voices(x, on)
        logs = self.masked(logs, frames, valid, self._there(on["masks"]))
        features = self._features(logs, valid)
        return Heard(features, torch.from_numpy(counts), (speech * valid).transpose(0, 1), alone)

    def _features(self, logs: Tensor, valid: Tensor) -> Tensor:
        """MFCC [frames, rows, 26] of log mel energies [rows, frames, 40], zero where not `valid`."""
        return ((logs @ self.dct) * valid[:, :, None]).transpose(0, 1).contiguous()

    def _coloured(self, x: Tensor, on: dict[str, npt.NDArray[np.int64]]) -> Tensor:
        """Amplitudes [rows, frames, 257] through microphones, and in rooms."""
        at = {name: self._there(on[name]) for name in ("equaliser", "fundamental", "room")}
        gain = torch.ones(len(x), BINS, device=self.device)
        gain[at["equaliser"]] *= self.equaliser(len(on["equaliser"]), 3.5)
        gain[at["fundamental"]] *= self.fundamental(len(on["fundamental"]))
        x = x * gain[:, None]
        if len(on["room"]):
            x[at["room"]] = reverberate(x[at["room"]], self.room(len(on["room"])))
        return x

    def _through_voices(self, x: Tensor, on: dict[str, npt.NDArray[np.int64]]) -> Tensor:
        """Log mel energies [rows, frames, 40] as of other vocal tracts and with more contrast or less."""
        voice = torch.full((len(x),), N_WARPS, device=self.device)
        voice[self._there(on["voice"])] = self.whole(0, N_WARPS, len(on["voice"]))
        logs = torch.log(torch.bmm(x, self.filters[voice]).clamp_min_(1e-12))
        depth = torch.ones(len(x), device=self.device)
        depth[self._there(on["contrast"])] = torch.exp(self.normal(len(on["contrast"])) * 0.12)
        mean = logs.mean(dim=2, keepdim=True)
        return mean + (logs - mean) * depth[:, None, None]

    def masked(self, logs: Tensor, frames: Tensor, valid: Tensor, at: Tensor) -> Tensor:
        """SpecAugment of the rows `at`: a band of channels and short stretches of time replaced by the row's mean."""
        n = len(at)
        if n == 0:
            return logs
        part, count = logs[at], frames[at]
        mean = (part * valid[at][:, :, None]).sum(dim=(1, 2)) / (count * part.shape[2])
        channel = torch.arange(part.shape[2], device=self.device)
        low = self.whole(0, 34, n, 1)
        hidden = ((channel >= low) & (channel < low + self.whole(1, 7, n, 1)))[:, None, :]
        time = torch.arange(part.shape[1], device=self.device)
        for k in range(1 + part.shape[1] // 120):
            start = (self.uniform(n, 1) * count[:, None]).long()
            inside = (time >= start) & (time < start + self.whole(1, 6, n, 1)) & (count[:, None] >= 120 * k)
            hidden = hidden | inside[:, :, None]
        logs[at] = torch.where(hidden, mean[:, None, None], part)
        return logs


def level_of(x: Tensor, frames: Tensor) -> Tensor:
    """Root mean square [rows] of the louder half of the frames, but for silent ones.

    Of amplitudes [rows, frames, 257] the first `frames` [rows] count.
    """
    energy = x.square().sum(dim=2)
    energy = energy * (torch.arange(x.shape[1], device=x.device) < frames[:, None])
    energy, _ = energy.sort(dim=1, descending=True)
    counted = (energy > 1e-7 * energy[:, :1]).sum(dim=1)
    half = counted - counted // 2
    total = energy.cumsum(dim=1).gather(1, (half - 1).clamp_min(0)[:, None])[:, 0]
    return torch.sqrt(total / half.clamp_min(1))


def reverberate(x: Tensor, response: Tensor) -> Tensor:
    """Amplitudes [rows, frames, 257] with rooms' tails added, in power; the rooms' responses are [rows, taps]."""
    power = x.square()
    out = power.clone()
    for k in range(1, min(response.shape[1], x.shape[1])):
        out[:, k:] += response[:, k, None, None] * power[:, :-k]
    return out.sqrt()
