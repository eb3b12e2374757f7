# SPDX-License-Identifier: Apache-2.0
"""Free speech synthesisers as functions from text to PCM.

Every engine gives int16 mono PCM at 16 kHz. They are Debian packages: espeak-ng and flite (their libraries are loaded,
which is ten times as fast as running them), libttspico-utils, festival with festvox-kallpc16k, festvox-kdlpc16k and
festvox-us-slt-hts; for testing only rhvoice-english and mbrola-us1, -us2, -us3, -en1. Voices of other languages that
speak English are in `foreign`, and festival's American diphones spoken by espeak-ng (the engine ``diphone``); the
neural voices, which come from PyPI, in `tinytts` and `kokoro`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pynna.train.voices.accents import ACCENTED
from pynna.train.voices.base import Pcm
from pynna.train.voices.espeak import espeak
from pynna.train.voices.flite import flite
from pynna.train.voices.foreign import AMERICAN, VOICES, has_diphones, in_accent
from pynna.train.voices.kokoro import hibari, kokoro
from pynna.train.voices.pico import pico

ESPEAK_ACCENTS = {
    "en-us": 34, "en": 22, "en-gb-x-rp": 12, "en-gb-scotland": 8, "en-029": 6, "en-us-nyc": 6, "en-gb-x-gbclan": 6,
    "en-gb-x-gbcwmd": 6,
}  # fmt: skip
# Robots, whisperers and the variants kept for recordings that ship (steph, john) are left out.
ESPEAK_VARIANTS = (
    " m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 klatt5 klatt6 adam Alex Alicia Andrea Andy "
    "Annie antonio aunty belinda benjamin boris caleb david Denis Diogo ed edward Gene Gene2 gustave Henrique "
    "Hugo iven iven2 iven3 iven4 Jacky linda Lee marcelo Marco Mario max Michael michel miguel Mike Mr Nguyen "
    "norbert pablo paul pedro quincy rob robert sandro shelby Storm travis Tweaky victor zac anika AnxiousAndy "
    "grandma grandpa"
).split(" ")
FLITE_VOICES = {"slt": 28, "rms": 26, "awb": 20, "kal16": 16, "kal": 10}
ENGINES = ("espeak", "flite", "pico", "festival", "diphone", "foreign", "tinytts", "kokoro", "hibari")
FESTIVAL_VOICES = {"cmu_us_slt_arctic_hts": 40, "kal_diphone": 30, "ked_diphone": 30}
TEST_VOICES = (
    "rhvoice:alan", "rhvoice:bdl", "rhvoice:clb", "mbrola:us1", "mbrola:us2", "mbrola:us3", "mbrola:en1",
)  # fmt: skip


def _pick(weights: dict[str, int], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def draw(
    engine: str, rng: random.Random, folders: Mapping[str, Path] = MappingProxyType({})
) -> tuple[str, Callable[[str], Pcm | None] | tuple[str, float, float]]:
    """A random training voice of an engine: its name, and what speaks.

    That is a function from text to PCM; of festival, foreign and diphone it is the settings of a `Job`.
    `folders` are the source packages, unpacked, of the engines that have one: ``tinytts``, ``kokoro``.
    """
    if engine == "espeak":
        variant = rng.choice(ESPEAK_VARIANTS)
        voice = _pick(ESPEAK_ACCENTS, rng) + (f"+{variant}" if variant else "")
        speed, pitch, span = int(rng.triangular(110, 215, 155)), int(rng.triangular(15, 85, 50)), rng.randint(25, 75)
        accent = random.Random(rng.getrandbits(32)) if rng.random() < ACCENTED else None
        return f"espeak:{voice}", lambda text: espeak()(text, voice, speed, pitch, span, accent)
    if engine == "flite":
        voice = _pick(FLITE_VOICES, rng)
        stretch, f0 = rng.uniform(0.85, 1.25), rng.uniform(0.85, 1.2)
        return f"flite:{voice}", lambda text: flite()(text, voice, stretch, f0)
    if engine == "pico":
        voice = rng.choice(("en-US", "en-GB"))
        speed, pitch = rng.randint(80, 130), 2 * rng.randint(35, 70)  # even pitches: the odd ones are for shipped clips
        return f"pico:{voice}", lambda text: pico(text, voice, speed, pitch)
    if engine == "festival":
        voice = _pick(FESTIVAL_VOICES, rng)
        return f"festival:{voice}", (voice, rng.uniform(0.8, 1.25), rng.uniform(80, 140))
    if engine in ("foreign", "diphone"):
        voice = rng.choice([voice for voice in VOICES if (voice in AMERICAN) == (engine == "diphone")])
        settings = rng.uniform(0.95, 1.4), VOICES[voice].f0 * rng.uniform(0.85, 1.2)
        if engine == "diphone" or has_diphones(voice) and rng.random() < 0.5:
            return f"{engine}:{voice}", (in_accent(voice, _pick(ESPEAK_ACCENTS, rng)), *settings)
        return f"{engine}:{voice}", (voice, *settings)
    if engine in ("tinytts", "kokoro") and engine not in folders:
        raise ValueError(f"no folder of {engine}'s source package is given")
    if engine in ("tinytts", "kokoro", "hibari"):
        seed = rng.getrandbits(32)
        if engine == "tinytts":
            from pynna.train.voices.tinytts import voice as tinytts  # torch is only loaded for it

            return "tinytts:male", lambda text: tinytts(folders[engine])(text, seed)
        if engine == "kokoro":
            return "kokoro:any", lambda text: kokoro(folders[engine])(text, seed)
        return "hibari:heart", lambda text: hibari()(text, seed)
    raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)} is right")
