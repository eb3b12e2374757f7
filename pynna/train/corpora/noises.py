# SPDX-License-Identifier: Apache-2.0
"""Noise that is synthesised: families of sounds without end, for what no collection of recordings holds enough of.

Every family is a function from a random generator and a number of samples to float64 [n_samples] at 16 kHz, of any
level. `noise` draws one or two of them, in a room, through a microphone and unsteady in level; `made` gives as many as
are asked for, the same for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, lfilter

F64 = npt.NDArray[np.float64]
Rng = np.random.Generator
RATE = 16000


# ---- building blocks ---------------------------------------------------------------------------------------------


def _between(rng: Rng, low: float, high: float) -> float:
    """A number of which each octave is as likely as another."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def coloured(rng: Rng, n: int, slope: float, low: float = 20.0, high: float = 8000.0) -> F64:
    """Gaussian noise of unit power whose amplitude falls with frequency to the power of `slope`, in a band of Hz."""
    f = np.fft.rfftfreq(n, 1 / RATE)
    shape = np.maximum(f, 20.0) ** -slope / (1 + (low / np.maximum(f, 1.0)) ** 4) / (1 + (f / high) ** 4)
    x = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * shape, n)
    return np.asarray(x / max(float(x.std()), 1e-12))


def swell(rng: Rng, n: int, seconds: float, decibels: float) -> F64:
    """A gain that wanders smoothly: nodes so many seconds apart, of so many decibels' deviation."""
    nodes = rng.normal(0, decibels, 2 + math.ceil(n / (seconds * RATE)))
    return np.asarray(10 ** (np.interp(np.arange(n) / (seconds * RATE), np.arange(len(nodes)), nodes) / 20))


def moments(rng: Rng, n: int, rate: float, clustered: float = 0.0) -> F64:
    """A train of impulses [n_samples] of log-normal size, `rate` a second; the share `clustered` comes in bursts."""
    train = np.zeros(n)
    seconds = n / RATE
    count = int(rng.poisson(rate * seconds * (1 - clustered)))
    places = rng.uniform(0, n, count)
    for _ in range(int(rng.poisson(rate * seconds * clustered / 5))):
        start = rng.uniform(0, n)
        places = np.append(places, start + np.cumsum(rng.exponential(_between(rng, 0.01, 0.15) * RATE, 5)))
    at = places[places < n].astype(np.int64)
    np.add.at(train, at, np.exp(rng.normal(0, 0.8, len(at))) * rng.choice([-1, 1], len(at)))
    return train


def resonator(rng: Rng, low: float, high: float, modes: int, shortest: float, longest: float) -> F64:
    """What an object sounds like when struck: damped modes in a band of Hz that die away within seconds."""
    t = np.arange(int(min(1.2, 5 * longest) * RATE)) / RATE
    out = np.zeros(len(t))
    for _ in range(modes):
        f, decay = _between(rng, low, high), _between(rng, shortest, longest)
        out += np.exp(rng.normal(0, 1)) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) * np.exp(-t / decay)
    return out


def struck(rng: Rng, n: int, objects: list[F64], rate: float, clustered: float) -> F64:
    """Objects struck at random, each `rate` times a second, never twice the same way."""
    out = np.zeros(n)
    for response in objects:
        softness = rng.uniform(0.1, 0.9)  # what strikes: hard as steel, or soft as rubber
        train = lfilter([1 - softness], [1, -softness], moments(rng, n, rate, clustered))
        out += fftconvolve(train, response)[:n] * np.exp(rng.normal(0, 0.7))
    return out


def wander(rng: Rng, n: int, f: float, share: float, seconds: float) -> F64:
    """The phase [n_samples] of a tone of f Hz that strays from it by a share."""
    nodes = rng.normal(0, share, 2 + math.ceil(n / (seconds * RATE)))
    stray = np.interp(np.arange(n) / (seconds * RATE), np.arange(len(nodes)), nodes)
    return np.asarray(2 * np.pi * np.cumsum(f * np.exp(stray)) / RATE + rng.uniform(0, 6))


def harmonics(rng: Rng, phase: F64, count: int, slope: float) -> F64:
    """A tone's harmonics, weaker with their number to the power of `slope`, each by chance."""
    return np.asarray(
        sum(np.sin(k * phase + rng.uniform(0, 6)) * np.exp(rng.normal(0, 0.6)) * k**-slope for k in range(1, count + 1))
    )


# ---- families ----------------------------------------------------------------------------------------------------


def clatter(rng: Rng, n: int) -> F64:
    """Dishes, cutlery, tools, coins: hard things with bright modes."""
    low = _between(rng, 250, 2500)
    objects = [
        resonator(rng, low, 7800, int(rng.integers(4, 14)), 0.006, _between(rng, 0.03, 0.35))
        for _ in range(int(rng.integers(1, 6)))
    ]
    return struck(rng, n, objects, _between(rng, 0.3, 8), 0.6)


def thuds(rng: Rng, n: int) -> F64:
    """Doors, drawers, steps, things put down: dull knocks, some of them with a rattle."""
    objects = [
        resonator(rng, 40, _between(rng, 200, 1500), int(rng.integers(3, 9)), 0.01, _between(rng, 0.03, 0.15))
        for _ in range(int(rng.integers(1, 4)))
    ]
    out = struck(rng, n, objects, _between(rng, 0.3, 3), 0.4)
    if rng.random() < 0.4:
        out += 0.3 * out.std() * clatter(rng, n) / 3
    return out


def keys(rng: Rng, n: int) -> F64:
    """Keyboards, switches, mice: short clicks in pairs."""
    objects = [resonator(rng, 700, 7800, 6, 0.001, _between(rng, 0.004, 0.02)) for _ in range(int(rng.integers(2, 9)))]
    clicks = struck(rng, n, objects, _between(rng, 0.3, 2.0), 0.5)
    gap = int(rng.uniform(0.04, 0.12) * RATE)
    clicks[gap:] += rng.uniform(0.1, 0.7) * clicks[:-gap]
    return clicks


def creak(rng: Rng, n: int) -> F64:
    """Hinges, chairs, squeaking metal: pulses of a rate that slides, through a body."""
    phase = wander(rng, n, _between(rng, 15, 500), 0.5, 0.2)
    pulses = np.diff(np.floor(phase / (2 * np.pi)), prepend=0.0) * np.exp(rng.normal(0, 0.4, n))
    sounding = np.interp(np.arange(n) / RATE, np.arange(2 + n // RATE * 3) / 3, rng.random(2 + n // RATE * 3)) > 0.6
    return np.asarray(fftconvolve(pulses * sounding, resonator(rng, 300, 5000, 6, 0.003, 0.05))[:n])


def bubbles(rng: Rng, n: int, low: float, high: float, rate: float) -> F64:
    """Rising chirps that die away (van den Doel, "Physically based models for liquid sounds", 2005)."""
    out, t = np.zeros(n), np.arange(int(0.06 * RATE)) / RATE
    for _ in range(14):
        f, decay = _between(rng, low, high), _between(rng, 0.003, 0.02)
        chirp = np.sin(2 * np.pi * f * t * (1 + rng.uniform(0, 3) * t)) * np.exp(-t / decay)
        out += fftconvolve(moments(rng, n, rate / 14), chirp)[:n]
    return out


def water(rng: Rng, n: int) -> F64:
    """Taps, showers, streams, pouring."""
    low = _between(rng, 200, 900)
    out = bubbles(rng, n, low, low * _between(rng, 2.5, 8), _between(rng, 40, 1500))
    hiss = coloured(rng, n, rng.uniform(-0.2, 0.6), _between(rng, 200, 2000))
    return np.asarray(out / max(out.std(), 1e-9) * swell(rng, n, 0.3, 3) + hiss * rng.uniform(0, 1.5))


def boiling(rng: Rng, n: int) -> F64:
    """Kettles and pans: low bubbles above a rumble, a lid that rattles."""
    out = bubbles(rng, n, 80, _between(rng, 300, 1200), _between(rng, 10, 150))
    out = out / max(out.std(), 1e-9) + rng.uniform(0, 1) * coloured(rng, n, rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        lid = clatter(rng, n)
        out += 0.5 * lid / max(lid.std(), 1e-9)
    return np.asarray(out)


def rain(rng: Rng, n: int) -> F64:
    """Drops on leaves, glass or a roof, above their own hiss."""
    drop = resonator(rng, 800, 7500, 4, 0.001, _between(rng, 0.002, 0.02))
    out = fftconvolve(moments(rng, n, _between(rng, 5, 400)), drop)[:n]
    return np.asarray(out / max(out.std(), 1e-9) + rng.uniform(0.2, 3) * coloured(rng, n, rng.uniform(-0.2, 0.5)))


def fire(rng: Rng, n: int) -> F64:
    """Crackling wood, frying fat, old records: clicks of all sizes above a murmur."""
    click = resonator(rng, 500, 7900, 5, 0.0005, 0.006)
    out = fftconvolve(moments(rng, n, _between(rng, 3, 120), 0.4) ** 3, click)[:n]
    return np.asarray(out / max(out.std(), 1e-9) + rng.uniform(0.05, 1) * coloured(rng, n, rng.uniform(0.3, 1.2)))


def hiss(rng: Rng, n: int) -> F64:
    """Air, tyres, wind in leaves, a microphone's own noise."""
    return coloured(rng, n, rng.uniform(-0.3, 1.3), _between(rng, 20, 1000), _between(rng, 1500, 8000))


def wind(rng: Rng, n: int) -> F64:
    """Gusts, and their rumble at the microphone."""
    gusts = swell(rng, n, _between(rng, 0.1, 1.0), rng.uniform(4, 10))
    whistle = coloured(rng, n, 0.0, 300, 900) * swell(rng, n, 0.5, 8) * rng.uniform(0, 0.2)
    return np.asarray(coloured(rng, n, rng.uniform(0.8, 2.0)) * gusts + whistle)


def hum(rng: Rng, n: int) -> F64:
    """Mains, transformers, fluorescent tubes, refrigerators."""
    tone = harmonics(
        rng,
        wander(rng, n, float(rng.choice([50, 60, 100, 120])), 2e-4, 2),
        int(rng.integers(3, 40)),
        rng.uniform(0, 1.6),
    )
    return np.asarray(tone / tone.std() + _between(rng, 0.01, 1) * hiss(rng, n))


def engine(rng: Rng, n: int) -> F64:
    """Cars from within, mowers, generators: a tone that wanders, and its noise in time with it."""
    phase = wander(rng, n, _between(rng, 12, 120), rng.uniform(0.01, 0.15), _between(rng, 0.3, 3))
    tone = harmonics(rng, phase, int(rng.integers(4, 30)), rng.uniform(0.3, 1.6))
    beat = 1 + rng.uniform(0, 0.9) * np.sin(phase)
    return np.asarray(tone / tone.std() + rng.uniform(0.2, 2) * coloured(rng, n, rng.uniform(0.3, 1.5)) * beat)


def motor(rng: Rng, n: int) -> F64:
    """Vacuum cleaners, drills, mixers, dryers: a whine above broad noise, now and then under load."""
    phase = wander(rng, n, _between(rng, 120, 1800), rng.uniform(0.002, 0.12), _between(rng, 0.1, 2))
    tone = harmonics(rng, phase, int(rng.integers(2, 14)), rng.uniform(0.2, 1.5))
    broad = coloured(rng, n, rng.uniform(-0.2, 0.8), _between(rng, 50, 800))
    return np.asarray(tone / tone.std() * _between(rng, 0.05, 1.5) + broad * swell(rng, n, 0.5, 1.5))


def fan(rng: Rng, n: int) -> F64:
    """Blades that turn: air that comes and goes with them, at times a bearing's squeak."""
    turn = wander(rng, n, _between(rng, 0.4, 60), 0.02, 1)
    air = coloured(rng, n, rng.uniform(0.2, 1.2), high=_between(rng, 800, 8000))
    squeak = np.sin(wander(rng, n, _between(rng, 500, 4000), 0.01, 0.2)) * np.maximum(np.sin(turn), 0) ** 4
    squeak *= rng.uniform(0, 1) * (rng.random() < 0.3)
    return np.asarray(air * (1 + rng.uniform(0, 0.9) * np.sin(turn)) + squeak)


def machine(rng: Rng, n: int) -> F64:
    """Washing machines, printers, pumps, trains: a cycle of knocks and noise that repeats itself."""
    period = int(_between(rng, 0.08, 2.0) * RATE)
    cycle = thuds(rng, period) + clatter(rng, period) * rng.uniform(0, 0.5)
    rush = coloured(rng, period, 0.6) * swell(rng, period, 0.1, 6)
    cycle = cycle / max(cycle.std(), 1e-9) + rng.uniform(0.2, 2) * rush
    repeats = np.resize(cycle, n) * swell(rng, n, period / RATE, 2)
    return np.asarray(repeats + rng.uniform(0, 1) * engine(rng, n))


def cloth(rng: Rng, n: int) -> F64:
    """Rustling: clothes, paper, bags, brushing, sweeping."""
    strokes = np.maximum(swell(rng, n, _between(rng, 0.03, 0.3), 12) - rng.uniform(0, 2), 0)
    grains = coloured(rng, n, rng.uniform(-0.4, 0.5), _between(rng, 500, 3000))
    if rng.random() < 0.5:  # a crisp one
        grains = grains * np.abs(coloured(rng, n, 0.0, 20, _between(rng, 50, 600))) ** 2
    return np.asarray(grains * strokes)


def steps(rng: Rng, n: int) -> F64:
    """Footsteps: gravel, floor boards, snow."""
    out, at, pace = np.zeros(n), 0.0, _between(rng, 0.3, 0.9)
    while (start := int(at * RATE)) < n - 100:
        length = min(int(_between(rng, 0.05, 0.3) * RATE), n - start)
        grit = coloured(rng, length, rng.uniform(-0.2, 1.0)) * np.abs(coloured(rng, length, 0.3, 20, 300))
        out[start : start + length] += grit * np.hanning(length) * np.exp(rng.normal(0, 0.3))
        at += pace * np.exp(rng.normal(0, 0.1))
    return out + rng.uniform(0, 0.3) * thuds(rng, n)


def chirps(rng: Rng, n: int) -> F64:
    """Birds and crickets, alarms and toys: tones that slide, in phrases."""
    out, at = np.zeros(n), rng.uniform(0, 0.5)
    low = _between(rng, 600, 4000)
    while (start := int(at * RATE)) < n - 200:
        length = min(int(_between(rng, 0.02, 0.35) * RATE), n - start)
        slide = np.linspace(0, rng.normal(0, 0.4), length) + rng.uniform(0, 0.05) * np.sin(np.arange(length) / 80)
        tone = np.sin(2 * np.pi * np.cumsum(np.minimum(_between(rng, low, 2 * low) * np.exp(slide), 7800)) / RATE)
        out[start : start + length] += tone * np.hanning(length) * np.exp(rng.normal(0, 0.5))
        at += rng.exponential(0.15) + 0.02 + (rng.random() < 0.15) * rng.uniform(0.5, 2)
    return out


def beeps(rng: Rng, n: int) -> F64:
    """Telephones, timers, warnings: steady tones, switched on and off in a pattern."""
    pattern = np.repeat(rng.random(int(rng.integers(3, 12))) < 0.5, int(_between(rng, 0.04, 0.4) * RATE))
    pattern[: len(pattern) // 4] = True
    t = np.arange(n) / RATE
    tone = sum(
        np.sign(np.sin(2 * np.pi * f * t)) * rng.uniform(0, 0.3) + np.sin(2 * np.pi * f * t)
        for f in rng.uniform(350, 3500, int(rng.integers(1, 4)))
    )
    return np.asarray(tone * np.resize(pattern, n))


def tune(rng: Rng, n: int) -> F64:
    """Music: a bass, chords, a melody and a drum, each by chance, in a key and a metre."""
    out, beat, root = np.zeros(n), int(rng.uniform(0.18, 0.5) * RATE), _between(rng, 55, 110)
    scale = np.array([[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9, 12, 14]][int(rng.integers(3))])
    parts = [(1.0, 4, 2.0), (2.0, 2, 1.0), (4.0, 1, 0.6)]
    bright, decay = rng.uniform(0.5, 2.0), _between(rng, 1.0, 12.0)
    heard = rng.random(4) < 0.7
    for number, start in enumerate(range(0, n, beat)):
        for part, (octave, every, loud) in enumerate(parts):
            if not heard[part] or number % every or rng.random() < 0.15:
                continue
            t = np.arange(min(every * beat * 2, n - start)) / RATE
            for degree in rng.choice(scale, 1 + 2 * (part == 1)):
                f = root * octave * 2 ** (degree / 12)
                tone = sum(np.sin(2 * np.pi * k * f * t) * k**-bright for k in range(1, 9) if k * f < 7500)
                out[start : start + len(t)] += loud * tone * np.exp(-decay * t)
        if heard[3]:
            t = np.arange(min(beat, n - start)) / RATE
            dull = np.sin(600 * np.exp(-9 * t)) * np.exp(-9 * t)
            drum = rng.normal(size=len(t)) * np.exp(-40 * t) if number % 2 else dull
            out[start : start + len(t)] += rng.uniform(0.3, 1.5) * drum
    return out


def static(rng: Rng, n: int) -> F64:
    """Electrical noise: crackle, a telephone's buzz, a radio between stations."""
    buzz = np.sign(np.sin(wander(rng, n, float(rng.choice([50.0, 217.0, _between(rng, 30, 900)])), 1e-3, 1)))
    gate = swell(rng, n, _between(rng, 0.05, 1), 6) > 1
    crackle = moments(rng, n, _between(rng, 0.5, 200), 0.5)
    crackle = crackle / max(float(np.abs(crackle).max()), 1e-9) * 8
    return np.asarray(buzz * gate * rng.uniform(0, 1) + crackle * rng.uniform(0, 1) + 0.3 * hiss(rng, n))


def handling(rng: Rng, n: int) -> F64:
    """A microphone touched, bumped, breathed upon."""
    bumps = fftconvolve(moments(rng, n, _between(rng, 0.3, 4), 0.5), resonator(rng, 15, 200, 4, 0.02, 0.12))[:n]
    rub = coloured(rng, n, rng.uniform(0.2, 1.2)) * np.maximum(swell(rng, n, 0.1, 10) - 1.5, 0)
    return np.asarray(bumps / max(bumps.std(), 1e-9) + 0.3 * rub + 0.05 * hiss(rng, n))


FAMILIES: tuple[Callable[[Rng, int], F64], ...] = (
    clatter, clatter, thuds, keys, creak, water, water, boiling, rain, fire, hiss, wind, hum, engine, motor, fan,
    machine, cloth, cloth, steps, chirps, beeps, tune, tune, static, handling,
)  # fmt: skip
"""What `noise` draws from; what disturbs most stands twice."""


# ---- the whole ---------------------------------------------------------------------------------------------------


def room(rng: Rng, x: F64) -> F64:
    """A sound as a room gives it back: decaying noise whose high parts die sooner."""
    reach = _between(rng, 0.05, 0.7)
    t = np.arange(int(reach * RATE)) / RATE
    tail = coloured(rng, len(t), rng.uniform(0.0, 0.5)) * np.exp(-6.9 * t / reach)
    response = tail * _between(rng, 0.02, 0.6) / math.sqrt(float((tail**2).sum()))
    response[0] += 1.0
    return np.asarray(fftconvolve(x, response)[: len(x)])


def microphone(rng: Rng, x: F64) -> F64:
    """A sound through a microphone: a smooth curve of gain over frequency, its band, at times overdriven."""
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    points = int(rng.integers(3, 9))
    curve = np.interp(np.log1p(f / 700), np.linspace(0, math.log1p(8000 / 700), points), rng.normal(0, 5, points))
    low, high = _between(rng, 20, 250), _between(rng, 3500, 9000)
    gain = 10 ** (curve / 20) / (1 + (low / np.maximum(f, 1)) ** 4) / (1 + (f / high) ** 8)
    y = np.fft.irfft(np.fft.rfft(x) * gain, len(x))
    y /= max(float(y.std()), 1e-9)
    return np.tanh(y * 0.3) / 0.3 if rng.random() < 0.15 else np.asarray(y)


def noise(rng: Rng, n: int) -> F64:
    """A noise of unit power [n_samples]: one family or two, in a room, through a microphone, unsteady in level."""
    total = np.zeros(n)
    for _ in range(1 + (rng.random() < 0.35)):
        x = FAMILIES[int(rng.integers(len(FAMILIES)))](rng, n)
        x = x / max(float(x.std()), 1e-9) * np.exp(rng.normal(0, 0.8))
        total += x * (swell(rng, n, _between(rng, 0.3, 3), rng.uniform(0, 6)) if rng.random() < 0.5 else 1.0)
    if rng.random() < 0.7:
        total = room(rng, total)
    total = microphone(rng, total)
    return total / max(float(total.std()), 1e-9)


def made(seed: int, index: int, seconds: float) -> npt.NDArray[np.int16]:
    """The noise of that number: int16 PCM at -28 dB of full scale, what is louder than the range clipped."""
    x = noise(np.random.default_rng([seed, index]), int(seconds * RATE))
    return np.asarray(np.clip(x * 10 ** (-28 / 20) * 32768, -32768, 32767), np.int16)
