# SPDX-License-Identifier: Apache-2.0
"""Microphones, rooms and noises on magnitude spectra [rows, frames, 257]: recorded ones, and made ones."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pynna.train.corpora.features import BINS, HZ_PER_BIN, mel
from pynna.train.network.chance import Chance

F32 = npt.NDArray[np.float32]

MEL_POSITION = np.asarray(mel(HZ_PER_BIN * np.arange(BINS)) / mel(8000.0), np.float32)
TAIL = 14  # frames of a room's response at most


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


class Surroundings(Chance):
    """Microphones, rooms and noises, recorded and made, as a device draws them.

    Parameters
    ----------
    sounds : Sounds
        Noises and rooms.
    device : torch.device
    """

    def __init__(self, sounds: Sounds, device: torch.device) -> None:
        super().__init__(device)
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
        self.frequency = HZ_PER_BIN * torch.arange(BINS, dtype=torch.float32, device=device)
        self.mel_position = torch.from_numpy(MEL_POSITION).to(device)

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
            at = self.there(where)
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
                noise[self.there(np.flatnonzero(where))] = make(int(where.sum()), frames)
        noise /= level_of(noise, whole).clamp_min(1e-6)[:, None, None]
        if self.noises is not None and len(mixed := np.flatnonzero(rng.random(rows) < 0.25)):
            at, other = self.there(mixed), self.recorded_noise(len(mixed), frames)
            gain = 10 ** (self.uniform(len(mixed), low=-15, high=10) / 20) / level_of(other, whole[at]).clamp_min(1e-6)
            noise[at] = torch.sqrt(noise[at].square() + (other * gain[:, None, None]).square())
        if len(wild := np.flatnonzero(rng.random(rows) < 0.5)):
            noise[self.there(wild)] *= self.unsteady(len(wild), frames)
        return noise.div_(level_of(noise, whole).clamp_min(1e-6)[:, None, None])

    def add(self, x: Tensor, noise: Tensor) -> Tensor:
        """Magnitude of the sum of two sounds whose phases are independent."""
        out = x * self.stretch(self.cosines, *x.shape)
        out += noise
        out *= noise
        return out.addcmul_(x, x).clamp_min_(0).sqrt_()


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
