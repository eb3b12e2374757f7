"""Augmentation on stored magnitude spectra: tempo, vocal tract, equaliser, rooms, noise, level, masks.

All of it acts on [frames, 257] amplitudes, so a clip costs a few passes over a small array and no Fourier transform.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .features import BINS, HZ_PER_BIN, dct_matrix, mel, mel_filters, mel_matrix

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator

MEL_POSITION = np.asarray(mel(HZ_PER_BIN * np.arange(BINS)) / mel(8000.0), np.float32)
LOUD = 25.0  # `level_of` of speech that all but fills the range of 16 bits
N_WARPS = 400
CHANCES = {
    "uneven tempo": 1.0, "cut": 0.5, "equaliser": 1.5, "fundamental": 0.2, "room": 0.4, "noise": 1.25, "voice": 1.5,
    "contrast": 0.6, "masks": 0.35,
}  # fmt: skip
"""What is changed, how often at full hardness. Vocal tracts and channels tell voices apart: they vary more often than
the surroundings do."""
TIMES = ("uneven tempo", "cut")  # those that move sounds in time
LONGEST_TRAIL, LONGEST_PAUSE = 60, 75  # frames of silence after a clip, and before one that is joined to another
POOL = 1 << 20  # random numbers drawn once, of which every clip takes other stretches: drawing them anew takes longer


@dataclass
class Sounds:
    """Recorded noises' spectra and rooms' energy responses."""

    noises: list[npt.NDArray[np.float16]]
    rooms: list[F32]

    @classmethod
    def load(cls, folder: Path) -> Sounds:
        """All that the features folder holds."""
        noises: list[npt.NDArray[np.float16]] = []
        for path in sorted(folder.glob("noise-*.npz")):
            with np.load(path) as file:
                spectra, offsets = file["spectra"], file["offsets"]
                noises += [spectra[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        rooms = [row for path in sorted(folder.glob("rooms-*.npy")) for row in np.load(path)]
        return cls(noises, rooms)


@functools.lru_cache(maxsize=1)
def _cosines() -> F32:
    """Twice the cosine of angles drawn evenly."""
    return 2 * np.cos(2 * np.pi * np.random.default_rng(1).random(POOL, np.float32))


@functools.lru_cache(maxsize=1)
def _rayleigh() -> F32:
    """Amplitudes of noise of unit power."""
    return np.sqrt(np.random.default_rng(2).standard_exponential(POOL, np.float32))


def _stretch(pool: F32, rng: Rng, n: int) -> F32:
    """Random numbers [n, 257] out of a pool; not to be written to."""
    start = int(rng.integers(0, len(pool)))
    if start + n * BINS <= len(pool):
        return pool[start : start + n * BINS].reshape(n, BINS)
    return np.take(pool, np.arange(start, start + n * BINS), mode="wrap").reshape(n, BINS)


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


def tempo(x: F32, rate: float, unevenness: float = 0.0, rng: Rng | None = None) -> F32:
    """Time axis stretched: `rate` times as fast, by interpolation between frames.

    With `unevenness` the rate is another every few tenths of a second, by about that share; the length stays the same.
    """
    n = max(2, int(len(x) / rate))
    at = np.linspace(0, len(x) - 1, n, dtype=np.float32)
    if rng is not None and unevenness > 0 and n > 16:
        steps = np.exp(rng.normal(0, unevenness, 2 + n // 8))
        places = np.cumsum(np.interp(np.arange(n), np.linspace(0, n - 1, len(steps)), steps))
        at = ((places - places[0]) * ((len(x) - 1) / (places[-1] - places[0]))).astype(np.float32)
    left = np.minimum(at.astype(np.int64), len(x) - 2)
    share = (at - left)[:, None]
    return x[left] * (1 - share) + x[left + 1] * share


def equaliser(rng: Rng, spread: float) -> F32:
    """Random smooth gain of each bin: a curve through a few points on the mel axis, and a tilt."""
    points = rng.integers(3, 8)
    curve = rng.normal(0, spread, points) + np.linspace(-1, 1, points) * rng.normal(0, 2.0 * spread)
    gain = np.interp(MEL_POSITION, np.linspace(0, 1, points), curve)
    if rng.random() < 0.08:  # a telephone's or a cheap microphone's band
        low, high = rng.uniform(50, 350), rng.uniform(3200, 7800)
        f = HZ_PER_BIN * np.arange(BINS)
        octaves = np.log2(np.maximum(f, 10))
        gain = gain - 12 * np.maximum(0, np.log2(low) - octaves) - 60 * np.maximum(0, octaves - np.log2(high))
    return np.asarray(10 ** (gain / 20), np.float32)


def fundamental(rng: Rng) -> F32:
    """Gain of each bin as of a voice, or a microphone too near, of which hardly more than the fundamental is loud."""
    f = HZ_PER_BIN * np.arange(BINS)
    bump = rng.uniform(4, 18) * np.exp(-(((f - rng.uniform(80, 250)) / rng.uniform(60, 150)) ** 2))
    return np.asarray(10 ** (bump / 20), np.float32)


def room(rng: Rng, measured: list[F32]) -> F32:
    """Energy of a room's response at steps of a frame, the direct sound's as 1."""
    if measured and rng.random() < 0.25:
        response = np.array(measured[rng.integers(len(measured))][:12])
        response[1:] *= rng.uniform(0.2, 1.0)
        return response
    decay = 10 ** (-6 * 0.02 / rng.uniform(0.08, 0.6))
    late = 10 ** (-rng.uniform(-1, 14) / 10) * (1 - decay)
    n = int(np.clip(np.log(1e-3) / np.log(decay), 2, 14))
    return np.concatenate([[1.0], late * decay ** np.arange(n - 1)]).astype(np.float32)


def reverberate(x: F32, response: F32) -> F32:
    """Add a room's tail, in power."""
    power = x * x
    out = power.copy()
    for k in range(1, min(len(response), len(x))):
        out[k:] += response[k] * power[:-k]
    return np.sqrt(out)


def hiss(rng: Rng, n: int) -> F32:
    """Noise [n, 257] as of engine, tyres, wind and fans: Rayleigh amplitudes under a random slope that swells."""
    f = np.maximum(HZ_PER_BIN * np.arange(BINS), 31.0)
    shape = (f / 300.0) ** (-rng.uniform(0.0, 2.0)) * equaliser(rng, 3.0)
    swell = np.exp(rng.normal(0, 0.25) * np.sin(np.arange(n) * rng.uniform(0.005, 0.12) + rng.uniform(0, 6)))
    return _stretch(_rayleigh(), rng, n) * shape.astype(np.float32) * swell[:, None].astype(np.float32)


def tones(rng: Rng, n: int) -> F32:
    """Noise [n, 257] as of music, machines and signals: a few voices of harmonics, each gliding or in notes."""
    f = HZ_PER_BIN * np.arange(BINS, dtype=np.float32)
    power = np.zeros((n, BINS), np.float32)
    for _ in range(rng.integers(1, 4)):
        lowest = np.exp(rng.uniform(np.log(60), np.log(1500)))
        if rng.random() < 0.5:  # one long tone that wanders, as an engine's or a drill's
            pitch = lowest * np.exp(np.interp(np.arange(n), np.linspace(0, n, 5), rng.normal(0, 0.1, 5)))
            loud = np.ones(n)
        else:  # notes and silences, each dying away
            steps = rng.integers(4, 30) * rng.choice((1, 1, 2, 3), size=n)
            note = np.searchsorted(np.cumsum(steps), np.arange(n), side="right")
            pitch = lowest * 2 ** (rng.integers(0, 13, n)[note] / 12)
            since = np.arange(n) - np.concatenate([[0], np.cumsum(steps)])[note]
            loud = (rng.random(n) < 0.85)[note] * np.exp(-since * rng.uniform(0.0, 0.2))
        harmonic = f / pitch[:, None].astype(np.float32)
        nearest = np.maximum(np.rint(harmonic), 1)
        off = (harmonic - nearest) * (pitch[:, None] / 25.0).astype(np.float32)  # a Hann window's lobe, as a bell
        each = np.exp(-np.minimum(off * off, 30.0)) * nearest ** np.float32(-rng.uniform(0.3, 3.0))
        power += each * (loud[:, None] * 10 ** rng.uniform(-1.5, 0)).astype(np.float32)
    return np.sqrt(power) * equaliser(rng, 2.0)


def knocks(rng: Rng, n: int) -> F32:
    """Noise [n, 257] as of dishes, doors and keys: short bursts that die away, each like the others."""
    loud = (rng.random(n) < rng.uniform(0.01, 0.15)) * np.exp(rng.normal(0, 0.7, n))
    loud[rng.integers(n)] += 1.0
    decay = rng.uniform(0.2, 0.8) ** np.arange(12)
    envelope = np.convolve(loud, decay)[:n].astype(np.float32)
    return hiss(rng, n) * envelope[:, None]


def made_noise(rng: Rng, n: int) -> F32:
    """Synthesised noise [n, 257]: a hiss, and often tones or knocks above it or below."""
    noise = hiss(rng, n)
    for make, chance in ((tones, 0.3), (knocks, 0.25)):
        if rng.random() < chance:
            other = make(rng, n)
            gain = level_of(noise) / max(level_of(other), 1e-6) * 10 ** (rng.uniform(-10, 25) / 20)
            noise = np.sqrt(noise * noise + other * other * np.float32(gain * gain))
    return noise


def recorded_noise(rng: Rng, noises: list[Any], n: int) -> F32:
    """A stretch of a recorded noise [n, 257], repeated if it is too short; often played faster or slower."""
    noise = noises[rng.integers(len(noises))]
    speed = np.exp(rng.uniform(-0.4, 0.4)) if rng.random() < 0.6 else 1.0
    start = int(rng.integers(0, max(1, len(noise) - int(n * speed))))
    times = (start + (np.arange(n) * speed).astype(np.int64)) % len(noise)
    part = noise[times].astype(np.float32)
    if speed != 1.0:
        part = part[:, np.minimum(np.rint(np.arange(BINS) / speed).astype(np.int64), BINS - 1)]
    return part * equaliser(rng, 2.0) if rng.random() < 0.5 else part


def add(x: F32, noise: F32, rng: Rng) -> F32:
    """Magnitude of the sum of two sounds whose phases are independent."""
    out = x * _stretch(_cosines(), rng, len(x))
    out += noise
    out *= noise
    out += x * x
    return np.asarray(np.sqrt(np.maximum(out, 0, out=out), out=out))


def contrast(logs: F32, rng: Rng) -> F32:
    """Peaks and valleys of the spectra deeper or flatter, as between kinds of voices: the mean spectrum stays."""
    mean = logs.mean(axis=1, keepdims=True)
    return np.asarray(mean + (logs - mean) * np.float32(np.exp(rng.normal(0, 0.12))), np.float32)


def level_of(x: F32) -> float:
    """Root mean square of the louder half of the frames, but for silent ones."""
    energy = (x * x).sum(axis=1)
    energy = np.sort(energy[energy > 1e-7 * energy.max()])
    return float(np.sqrt(energy[len(energy) // 2 :].mean())) if len(energy) else 0.0


def cut(x: F32, rng: Rng) -> F32:
    """Without the silence before the first loud frame and after the last, but for a frame or two."""
    energy = (x * x).sum(axis=1)
    loud = np.flatnonzero(energy > 1e-3 * energy.max())
    first, last = loud[0] - rng.integers(0, 3), loud[-1] + 1 + rng.integers(0, 3)
    return x[max(0, first) : last]


def _chosen(names: Collection[str], rng: Rng, hard: float, without: Collection[str]) -> set[str]:
    """Those of some `CHANCES` that a clip gets."""
    drawn = rng.random(len(names))
    return {name for name, u in zip(names, drawn, strict=True) if u < hard * CHANCES[name] and name not in without}


def timed(
    magnitude: npt.NDArray[np.float16], rate: float, rng: Rng, hard: float, pad: int = 10, without: Collection[str] = ()
) -> F32:
    """Amplitudes [frames, 257] of a clip, the times of its sounds changed at random; parameters as in `augment`."""
    on = _chosen(TIMES, rng, hard, without)
    x = magnitude.astype(np.float32)
    if rate != 1.0:
        x = tempo(x, rate, 0.18 if "uneven tempo" in on else 0.0, rng)
    if "cut" in on:  # speech that begins and ends with the recording
        x = cut(x, rng)
    lead, trail = rng.integers(0, (pad, min(pad, LONGEST_TRAIL))) * (rng.random(2) < 0.6)
    return np.concatenate([silence(int(lead)), x, silence(int(trail))])


def silence(n: int) -> F32:
    """Amplitudes [n, 257] of nothing."""
    return np.zeros((n, BINS), np.float32)


def joined(clips: Sequence[F32], rng: Rng) -> F32:
    """Amplitudes [frames, 257] of clips one after the other, silence between them, each about as loud as the others."""
    parts = []
    for clip in clips:
        gain = 10 ** (rng.normal(0, 3) / 20) / max(level_of(clip), 1e-5)
        parts += [silence(int(rng.integers(0, LONGEST_PAUSE))), clip * np.float32(gain)]
    return np.concatenate(parts)


def coloured(
    x: F32, rng: Rng, sounds: Sounds, hard: float, upper: float = 8000.0, without: Collection[str] = ()
) -> F32:
    """MFCC [frames, 26] of `timed` amplitudes, the sounds themselves changed at random; parameters as in `augment`."""
    on = _chosen([name for name in CHANCES if name not in TIMES], rng, hard, without)
    if "equaliser" in on:
        x = x * equaliser(rng, 3.5)
    if "fundamental" in on:
        x = x * fundamental(rng)
    if "room" in on:
        x = reverberate(x, room(rng, sounds.rooms))
    loudness = max(level_of(x), 1e-5)
    x = x * np.float32(10 ** (rng.uniform(-30, 4) / 20) * LOUD / loudness)
    if "noise" in on:
        recorded = rng.random() < 0.6 and sounds.noises
        noise = recorded_noise(rng, sounds.noises, len(x)) if recorded else made_noise(rng, len(x))
        snr = rng.triangular(-4, 8, 40)
        x = add(x, noise * np.float32(level_of(x) / max(level_of(noise), 1e-6) * 10 ** (-snr / 20)), rng)
    if rng.random() < 0.8:  # an analogue floor; else the digital silence of a synthesiser stays
        floor = 10 ** rng.uniform(-4.6, -1.5)
        x = add(x, _stretch(_rayleigh(), rng, len(x)) * np.float32(floor), rng)
    matrix = filters(upper)[rng.integers(N_WARPS)] if "voice" in on else mel_matrix(upper=upper)
    logs = np.log(np.maximum(x @ matrix, 1e-12))
    if "contrast" in on:
        logs = contrast(logs, rng)
    if "masks" in on:
        logs = mask(logs, rng)
    return np.asarray(logs @ dct_matrix(), np.float32)


def augment(
    magnitude: npt.NDArray[np.float16],
    rate: float,
    rng: Rng,
    sounds: Sounds,
    hard: float,
    upper: float = 8000.0,
    pad: int = 10,
    without: Collection[str] = (),
) -> F32:
    """MFCC [frames, 26] of a clip, changed at random: `coloured` after `timed`.

    Parameters
    ----------
    magnitude : float16 [frames, 257]
    rate : float
        Of the tempo.
    rng, sounds
        Chance, and the noises and rooms to draw from.
    hard : float
        From 0 (clean, but for level and floor) to 1: the `CHANCES` are multiplied by it.
    upper : float
        The mel bands' upper edge, Hz.
    pad : int
        Frames of silence that are added before the clip at most, and after it up to `LONGEST_TRAIL`.
    without : names of `CHANCES`
        What is left out, to measure what it is worth.
    """
    return coloured(timed(magnitude, rate, rng, hard, pad, without), rng, sounds, hard, upper, without)


def mask(logs: F32, rng: Rng) -> F32:
    """SpecAugment: a band of channels and short stretches of time replaced by the clip's mean."""
    mean = logs.mean()
    low = rng.integers(0, 34)
    logs[:, low : low + rng.integers(1, 7)] = mean
    for _ in range(1 + len(logs) // 120):
        start = rng.integers(0, len(logs))
        logs[start : start + rng.integers(1, 6)] = mean
    return logs
