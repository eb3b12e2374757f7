# SPDX-License-Identifier: Apache-2.0
"""What an evaluation listens to: voices and people that training never heard, speech of other kinds, and noise."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from tqdm import tqdm

from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.train.config import DATA, Config
from pynna.train.text.sampler import BroadEnglish
from pynna.train.voices import engines
from pynna.train.voices.base import RATE, read
from pynna.train.voices.held_out import test_voice
from pynna.train.voices.synthesise import Pcm

SPEEDS = (0.9, 1.0, 1.12)
FREE_INTENT = "Reminder"
"""Of the car's sentences with free speech in them."""
SAMPLED_PER_VOICE, BROAD_PER_VOICE = 20, 20


@dataclass(frozen=True)
class Clip:
    """A recording, what is said in it, and which part of the test it belongs to."""

    source: str  # a voice or a corpus
    text: str
    pcm: Pcm


def lines(name: str) -> list[str]:
    """The sentences of a file of this package's data."""
    rows = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [row.strip() for row in rows if row.strip() and not row.startswith("#")]


def commands() -> list[str]:
    """The fixed list of car commands; the first twenty are the twenty."""
    return lines("commands.txt")


def _spoken(config: Config, name: str, texts: Callable[[int], list[str]]) -> list[Clip]:
    """Sentences by every test voice, each voice its own, at three speeds in turn; spoken once and kept."""
    path = config.folder("heldout") / f"{name}.npz"
    if not path.exists():
        rows, parts = [], []
        for v, voice in enumerate(tqdm(engines.TEST_VOICES, desc=f"{name}, test voices")):
            for i, text in enumerate(texts(v)):
                parts.append(test_voice(text, voice, SPEEDS[i % 3]))
                rows.append((voice, text, len(parts[-1])))
        np.savez(path, pcm=np.concatenate(parts), rows=json.dumps(rows))
    with np.load(path) as file:
        pcm, rows = file["pcm"], json.loads(str(file["rows"]))
    ends = np.cumsum([0] + [n for _, _, n in rows])
    return [Clip(voice, text, pcm[ends[i] : ends[i + 1]]) for i, (voice, text, _) in enumerate(rows)]


def command_clips(config: Config) -> list[Clip]:
    """The fixed commands by the test voices."""
    return _spoken(config, "commands", lambda voice: commands())


def sentence_clips(config: Config, sentences: Sequence[str]) -> list[Clip]:
    """These sentences by the test voices."""
    return _spoken(
        config, f"sentences-{zlib.crc32(chr(10).join(sentences).encode()):08x}", lambda voice: list(sentences)
    )


def sampled_clips(config: Config) -> list[Clip]:
    """Sentences drawn from the car's file, other ones for every test voice."""
    car = Grammar.from_yaml(CAR_GRAMMAR)

    def texts(voice: int) -> list[str]:
        rng = random.Random(f"sampled {voice}")
        drawn: dict[str, None] = {}
        while len(drawn) < SAMPLED_PER_VOICE:
            sentence = car.sample(rng)
            if sentence.intent != FREE_INTENT:
                drawn[sentence.text] = None
        return list(drawn)

    return _spoken(config, "sampled", texts)


def other_clips(config: Config) -> list[Clip]:
    """Commands of other domains by the test voices."""
    return _spoken(config, "other", lambda voice: lines("other.txt")[voice % 2 :: 2])


def free_clips(config: Config) -> list[Clip]:
    """Sentences of the car with free speech in them by the test voices."""
    return _spoken(config, "free", lambda voice: [f"remind me to {task}" for task in lines("tasks.txt")])


def broad_clips(config: Config) -> list[Clip]:
    """Broad English by the test voices."""
    broad = BroadEnglish(Path(config["text"]["wordnet"]))

    def texts(voice: int) -> list[str]:
        rng = random.Random(f"broad {voice}")
        drawn: list[str] = []
        while len(drawn) < BROAD_PER_VOICE:
            text = broad.sample(rng)
            if len(text.split()) > 1:
                drawn.append(text)
        return drawn

    return _spoken(config, "broad", texts)


def real_clips(config: Config, acted: bool = False) -> list[Clip]:
    """The held-out real recordings, or those of actors; source is the corpus."""
    clips = []
    for path in sorted(config.folder("heldout").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            audio, speaker, text = line.split("\t")
            corpus = speaker.partition(":")[0]
            if (corpus in config["corpora"]["acted"]) == acted:
                clips.append(Clip(corpus, text, read(Path(audio))))
    return clips


def real_phrases(config: Config) -> list[str]:
    """All phrases of the real corpora's clips, training and test part, but for the actors'."""
    phrases = {clip.text for clip in real_clips(config)}
    for path in sorted(config.folder("features").glob("real-*.json")):
        rows = json.loads(path.read_text())
        phrases.update(text for _, _, text, voice in rows if voice.partition(":")[0] not in config["corpora"]["acted"])
    return sorted(phrases)


# ---- sounds that are no speech -------------------------------------------------------------------


def made_noise(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """Cabin noise of unit power: wind and tyres as low-passed noise that swells, an engine's harmonics."""
    x = rng.normal(size=n + 2000)
    for _ in range(int(rng.integers(1, 3))):
        pole = rng.uniform(0.6, 0.97)
        x = lfilter([1 - pole], [1, -pole], x)
    x = x[2000:] / x[2000:].std()
    t = np.arange(n) / RATE
    x = x * (1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * rng.uniform(0.1, 1.0) * t + rng.uniform(0, 6)))
    turning = rng.uniform(25, 90) * (1 + 0.05 * np.sin(2 * np.pi * 0.3 * t))
    phase = 2 * np.pi * np.cumsum(turning) / RATE
    engine = sum(rng.uniform(0, 1) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 9))
    x = x + rng.uniform(0, 1.2) * engine / max(float(np.std(engine)), 1e-9)
    return np.asarray(x / x.std())


def recorded_noise(rng: np.random.Generator, n: int, noises: list[Pcm]) -> npt.NDArray[np.float64]:
    """A stretch of a recorded noise, of unit power."""
    noise = noises[rng.integers(len(noises))].astype(np.float64)
    start = int(rng.integers(0, max(1, len(noise) - n)))
    part = np.resize(noise[start : start + n], n)
    return np.asarray(part / max(float(part.std()), 1e-9))


def speech_level(pcm: Pcm) -> float:
    """Root mean square of the louder half of the stretches of 20 ms."""
    n = max(1, len(pcm) // 320)
    power = np.sort((np.resize(pcm, n * 320).astype(np.float64).reshape(n, 320) ** 2).mean(axis=1))
    return float(np.sqrt(power[n // 2 :].mean()))


def noisy(pcm: Pcm, snr: float | None, index: int, noises: list[Pcm], around: tuple[float, float] = (0.0, 0.0)) -> Pcm:
    """A clip in noise at a ratio in dB: recorded for odd indices, made for even ones; always the same one.

    The noise begins so many seconds before the clip and ends so many after it; where there is no ratio it is silence,
    but for the last bit.
    """
    rng, level = np.random.default_rng([20, index]), speech_level(pcm)
    before, after = (round(seconds * RATE) for seconds in around)
    pcm = np.pad(pcm, (before, after))
    if snr is None:
        if before + after:
            pcm[:before] += rng.integers(-1, 2, before, np.int16)
            pcm[len(pcm) - after :] += rng.integers(-1, 2, after, np.int16)
        return pcm
    noise = recorded_noise(rng, len(pcm), noises) if index % 2 and noises else made_noise(rng, len(pcm))
    mixed = pcm + noise * level * 10 ** (-snr / 20)
    return np.asarray(mixed * min(1.0, 32700 / max(1.0, float(np.abs(mixed).max()))), np.int16)


def music(rng: np.random.Generator, seconds: float = 4.0) -> Pcm:
    """A simple tune: chords of decaying harmonics, and a drum."""
    n = int(seconds * RATE)
    out, beat = np.zeros(n), int(RATE * rng.uniform(0.25, 0.5))
    for start in range(0, n, beat):
        t = np.arange(min(2 * beat, n - start)) / RATE
        for step in rng.choice([0, 3, 4, 7, 10, 12], 3):
            f = 110 * 2 ** ((int(rng.integers(0, 12)) + step) / 12)
            tone = sum(np.sin(2 * np.pi * k * f * t) / k for k in range(1, 6) if k * f < 7000)
            out[start : start + len(t)] += tone * np.exp(-3 * t)
        hit = np.exp(-30 * t) * rng.normal(size=len(t))
        out[start : start + len(t)] += rng.uniform(0, 1.5) * hit
    return np.asarray(out / np.abs(out).max() * 12000, np.int16)


def sounds(noises: list[Pcm]) -> list[Clip]:
    """Music, noise and silence."""
    rng = np.random.default_rng(21)
    n = 4 * RATE
    clips = [Clip("music", "", music(rng)) for _ in range(30)]
    clips += [Clip("noise alone", "", np.asarray(made_noise(rng, n) * 1500, np.int16)) for _ in range(30)]
    if noises:
        quiet = [np.asarray(recorded_noise(rng, n, noises) * 2500, np.int16) for _ in range(60)]
        clips += [Clip("noise alone", "", pcm) for pcm in quiet]
    clips += [Clip("silence", "", np.asarray(rng.normal(size=n) * level, np.int16)) for level in (0, 0.5, 2, 8, 30)]
    return clips
