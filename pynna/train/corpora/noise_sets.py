# SPDX-License-Identifier: Apache-2.0
"""Recordings of the noise test: commands among noise of kinds that training never heard, and such noise alone.

A *kind* is what a file's name begins with, without the number at its end: ``kitchen_plates_2.flac`` is of the kind
``kitchen_plates``. Everything is drawn from fixed seeds, so that two models hear the very same recordings.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pynna.train.config import DATA, Config
from pynna.train.corpora import noises, testsets
from pynna.train.corpora.testsets import Clip, speech_level
from pynna.train.voices.base import RATE, Pcm, read
from pynna.train.voices.espeak import espeak
from pynna.train.voices.synthesise import trim

AROUND = (1.0, 5.0)
"""Seconds of noise before a command, and as many after it: from, to."""
LEFT_OUT = ("speechocean762", "mimic3_rainbow")
"""Corpora of sentences that were read, not commands."""
FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Noise:
    """A recording without English speech, of a kind: ``noise``, ``music`` or ``foreign``, and a name."""

    kind: str
    name: str
    pcm: Pcm


def kind_of(stem: str) -> str:
    """A file's kind by its name.

    >>> kind_of("kitchen_plates_2"), kind_of("foreign_asterisk-core-sounds-fr-wav-0")
    ('kitchen_plates', 'foreign_asterisk-core-sounds-fr-wav')
    """
    return re.sub(r"[-_]?\d+$", "", stem)


def held_out(folders: Sequence[Path]) -> list[Noise]:
    """The recordings of folders of FLAC files.

    Raises
    ------
    FileNotFoundError
        If a folder has none.
    """
    found = []
    for folder in folders:
        paths = sorted(folder.glob("*.flac"))
        if not paths:
            raise FileNotFoundError(f"a folder of held-out noise must have FLAC files, {folder} has none")
        found += [Noise(kind_of(path.stem), path.stem, read(path)) for path in paths]
    return found


def group_of(kind: str) -> str:
    """``music``, ``foreign`` speech or ``noise``."""
    return next((group for group in ("music", "foreign") if kind.startswith(group)), "noise")


def foreign(seconds: float = 30.0) -> list[Noise]:
    """Speech of other languages by espeak-ng, its own sentences and voices of both kinds; a recording a language."""
    texts: dict[str, list[str]] = {}
    for line in (DATA / "foreign.tsv").read_text(encoding="utf-8").splitlines():
        language, text = line.split("\t")
        texts.setdefault(language, []).append(text)
    found = []
    for number, (language, sentences) in enumerate(texts.items()):
        variants = ("m3", "f2") if number % 2 else ("f4", "m1")
        spoken = [
            trim(espeak()(text, f"{language}+{variant}", 150 + 10 * (number % 4), 40 + 20 * (variant[0] == "f")))
            for text in sentences
            for variant in variants
        ]
        name = f"foreign_espeak-{language}"
        found.append(Noise(name, name, np.resize(np.concatenate(spoken), int(seconds * RATE))))
    return found


def tunes(count: int = 4, seconds: float = 30.0) -> list[Noise]:
    """Synthesised music, from a seed that training never draws."""
    made = []
    for i in range(count):
        x = noises.tune(np.random.default_rng([32, i]), int(seconds * RATE))
        pcm = np.asarray(x / max(float(np.abs(x).max()), 1e-9) * 20000, np.int16)
        made.append(Noise("music_synthesised", f"music_synthesised-{i}", pcm))
    return made


def levelled(pcm: Pcm, level: float, seconds: float, seed: int = 0) -> Pcm:
    """A stretch of a recording at a root mean square of `level` in dB of full scale; clipped where it must be."""
    n = min(len(pcm), int(seconds * RATE))
    start = int(np.random.default_rng([33, seed]).integers(0, max(1, len(pcm) - n + 1)))
    x = pcm[start : start + n].astype(np.float64)
    x *= 10 ** (level / 20) * FULL_SCALE / max(1.0, float(np.sqrt((x**2).mean())))
    return np.asarray(np.clip(np.round(x), -32768, 32767), np.int16)


def _stretch(noise: Pcm, n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A stretch of so many samples from a random place, of unit power; what is too short is repeated."""
    start = int(rng.integers(0, max(1, len(noise) - n)))
    part = np.resize(noise[start : start + n], n).astype(np.float64)
    return np.asarray(part / max(float(part.std()), 1.0))


def among(clip: Clip, noise: Noise, snr: float | None, seed: int) -> Clip:
    """A clip with 1 to 5 s of a noise before it and after it, at a ratio in dB; None: of silence, but for the last bit.

    The same seed gives the same places at every ratio.
    """
    rng = np.random.default_rng([34, seed])
    before, after = (int(rng.uniform(*AROUND) * RATE) for _ in range(2))
    pcm = np.pad(clip.pcm.astype(np.float64), (before, after))
    if snr is None:
        mixed = pcm + rng.integers(-1, 2, len(pcm))
    else:
        mixed = pcm + _stretch(noise.pcm, len(pcm), rng) * speech_level(clip.pcm) * 10 ** (-snr / 20)
    mixed *= min(1.0, 32700 / max(1.0, float(np.abs(mixed).max())))
    return Clip(clip.source, clip.text, np.asarray(mixed, np.int16))


def drawn(clips: Sequence[Clip], count: int) -> list[Clip]:
    """So many clips at most, of every source in turn; always the same ones."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    for source, same in by_source.items():
        random.Random(f"noise {source}").shuffle(same)
    found: list[Clip] = []
    while len(found) < count and any(by_source.values()):
        found += [same.pop() for same in by_source.values() if same]
    return [Clip(clip.source, clip.text, trim(clip.pcm)) for clip in found[:count]]


def real_commands(config: Config, count: int) -> list[Clip]:
    """Held-out real people's commands, wake words and words, cut to their speech."""
    return drawn([clip for clip in testsets.real_clips(config) if clip.source not in LEFT_OUT], count)


def car_sentences(config: Config, count: int) -> list[Clip]:
    """The car's sentences by the test voices."""
    return drawn(testsets.sampled_clips(config), count)
