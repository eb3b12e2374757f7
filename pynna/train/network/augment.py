# SPDX-License-Identifier: Apache-2.0
"""Augmentation on stored magnitude spectra: tempo, vocal tract, equaliser, rooms, noise, level, masks.

All of it acts on amplitudes [rows, frames, 257] of a whole batch, in PyTorch, on the device that trains: a clip costs a
few passes over a small array and no Fourier transform, and nothing in here waits for the device.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pynna.train.corpora.features import BINS, HZ_PER_BIN, dct_matrix, mel_filters, mel_matrix
from pynna.train.network.clips import CHANCES, TIMES, Clips, Source
from pynna.train.network.surroundings import F32, Sounds, level_of, reverberate

FULL_LEVEL = 25.0  # `level_of` of speech that all but fills the range of 16 bits
N_WARPS = 400
SILENT_BELOW = 1e-3  # of a recording's loudest frame's energy: what is below is no speech
NEAR_FRAMES, FAR_FRAMES = 4, 14  # frames around speech that count as speech, and beyond which none is near


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


class Augmenter(Clips):
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
        super().__init__(sounds, device)
        # of the voices' filters, the last is no voice's
        matrices = np.stack([*filters(upper), mel_matrix(upper=upper)])
        self.filters = torch.from_numpy(matrices).to(device)
        self.dct = torch.from_numpy(dct_matrix()).to(device)

    def lose(self, x: Tensor, at: Tensor) -> None:
        """Packets lost in the rows `at` of amplitudes [rows, frames, 257]: short stretches of nothing."""
        if len(at):
            lost = (self.uniform(len(at), 1, x.shape[1]) < 0.015).float()
            x[at] *= 1 - functional.max_pool1d(lost, 5, 1, 2)[:, 0, :, None]

    def where_speech(self, x: Tensor) -> Tensor:
        """Of clips alone [rows, frames, 257]: `Heard.speech`, [rows, frames]."""
        energy = x.square().sum(dim=2)
        loud = (energy > (SILENT_BELOW * energy.amax(dim=1, keepdim=True)).clamp_min(1e-8)).float()[:, None]
        near, far = (functional.max_pool1d(loud, 2 * n + 1, 1, n)[:, 0] for n in (NEAR_FRAMES, FAR_FRAMES))
        return (near - (far - near)).to(torch.int8)

    def alone(self, x: Tensor, frames: Tensor) -> Tensor:
        """Log mel energies [rows, frames, 40] of clips as they are, at a usual level above a faint floor."""
        x = x * (FULL_LEVEL / 3 / level_of(x, frames).clamp_min(1e-5))[:, None, None]
        x = torch.sqrt(x.square() + (self.rayleigh(*x.shape) * 10**-3.5).square())
        return torch.log((x @ self.filters[N_WARPS]).clamp_min_(1e-12))

    def augment(
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
        frames = self.there(counts)
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
        level = FULL_LEVEL * 10 ** (self.uniform(n, low=-30, high=4) / 20)
        x = x * (level / level_of(x, frames).clamp_min(1e-5))[:, None, None]
        if len(on["noise"]):
            chosen = self.there(on["noise"])
            snr = self.there(rng.triangular(-4, 8, 40, len(chosen)).astype(np.float32))
            noise = self.surroundings(len(chosen), x.shape[1], rng)
            x[chosen] = self.add(x[chosen], noise * (level[chosen] * 10 ** (-snr / 20))[:, None, None])
        # an analogue floor; in some the digital silence of a synthesiser stays
        floor = 10 ** self.uniform(n, low=-4.6, high=-1.5) * (self.uniform(n) < 0.8)
        x = self.add(x, self.rayleigh(*x.shape) * floor[:, None, None])
        self.lose(x, self.there(on["loss"]))
        logs = self._through_voices(x, on)
        logs = self.masked(logs, frames, valid, self.there(on["masks"]))
        features = self._features(logs, valid)
        return Heard(features, torch.from_numpy(counts), (speech * valid).transpose(0, 1), alone)

    def _features(self, logs: Tensor, valid: Tensor) -> Tensor:
        """MFCC [frames, rows, 26] of log mel energies [rows, frames, 40], zero where not `valid`."""
        return ((logs @ self.dct) * valid[:, :, None]).transpose(0, 1).contiguous()

    def _coloured(self, x: Tensor, on: dict[str, npt.NDArray[np.int64]]) -> Tensor:
        """Amplitudes [rows, frames, 257] through microphones, and in rooms."""
        at = {name: self.there(on[name]) for name in ("equaliser", "fundamental", "room")}
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
        voice[self.there(on["voice"])] = self.whole(0, N_WARPS, len(on["voice"]))
        logs = torch.log(torch.bmm(x, self.filters[voice]).clamp_min_(1e-12))
        depth = torch.ones(len(x), device=self.device)
        depth[self.there(on["contrast"])] = torch.exp(self.normal(len(on["contrast"])) * 0.12)
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
