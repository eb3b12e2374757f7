"""Free speech synthesisers as functions from text to PCM.

Every engine gives int16 mono PCM at 16 kHz. They are Debian packages: espeak-ng and flite (their libraries are loaded,
which is ten times as fast as running them), libttspico-utils, festival with festvox-kallpc16k, festvox-kdlpc16k and
festvox-us-slt-hts; for testing only rhvoice-english and mbrola-us1, -us2, -us3, -en1. Voices of other languages that
speak English are in `foreign`, and festival's American diphones spoken by espeak-ng (the engine ``diphone``); the
neural voices, which come from PyPI, in `tinytts` and `kokoro`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import itertools
import random
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from pynna.train.voices.accents import ACCENTED, espeak_accented

Pcm = npt.NDArray[np.int16]
Job = tuple[str, str, float, float]
"""A text, a voice, a factor of the durations and the mean f0 in Hz (of pico: in percent), for what speaks many."""
RATE = 16000

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


def to_rate(samples: npt.NDArray[Any], rate: int) -> Pcm:
    """Samples (int16 or float in -1..1, mono or [n, channels]) as int16 mono at 16 kHz."""
    x = samples.astype(np.float32) / 32768.0 if samples.dtype == np.int16 else samples.astype(np.float32)
    if x.ndim == 2:
        x = x.mean(axis=1)
    if rate != RATE:
        divisor = int(np.gcd(rate, RATE))
        x = resample_poly(x, RATE // divisor, rate // divisor)
    return (np.clip(x, -1.0, 32767 / 32768) * 32768).astype(np.int16)


def read(path: Path) -> Pcm:
    """An audio file as int16 mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="int16")
    return to_rate(samples, rate)


class _EspeakEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("string", ctypes.c_char * 8),
    ]  # fmt: skip


_WORD_EVENT, _PHONEME_EVENT = 1, 7


class Espeak:
    """espeak-ng's library; one of it in a process."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        self.lib = ctypes.CDLL(name)
        self.chunks: list[npt.NDArray[np.int16]] = []
        self.events: list[tuple[int, int, str]] = []  # type, sample, a phoneme's mnemonic
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.rate = self.lib.espeak_Initialize(2, 0, None, 1)  # 2: synchronous, 1: events of phonemes, too
        if self.rate <= 0:
            raise RuntimeError("espeak-ng could not start: is the Debian package espeak-ng installed?")
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                                    ctypes.POINTER(_EspeakEvent))  # fmt: skip
        self._callback = callback(self._receive)
        self.lib.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, n: int, events: Any) -> int:
        if samples and n > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (n,)).copy())
        for event in itertools.takewhile(lambda event: event.type != 0, map(events.__getitem__, itertools.count())):
            self.events.append((event.type, event.sample, event.string.decode(errors="replace")))
        return 0

    def phones(self, text: str) -> str:
        """Mnemonics of a text's phonemes, in the voice last spoken with."""
        rest, clauses = ctypes.c_char_p(text.encode()), []
        while rest.value:  # it moves on, clause by clause
            clauses.append(self.lib.espeak_TextToPhonemes(ctypes.byref(rest), 1, 0).decode())
        return " ".join(clauses)

    def __call__(
        self, text: str, voice: str, speed: int, pitch: int, pitch_range: int = 50, accent: random.Random | None = None
    ) -> Pcm:
        """Speak with a voice such as ``en-gb+f3``, at `speed` words a minute, pitch and its range 0 to 99.

        With an `accent` drawn at random where a source of chance for it is given.
        """
        if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng knows no voice {voice!r}")
        for parameter, value in ((1, speed), (2, 60), (3, pitch), (4, pitch_range)):
            self.lib.espeak_SetParameter(parameter, value, 0)
        self.chunks, self.events = [], []
        if accent:
            text = f"[[{espeak_accented(self.phones(text), accent)}]]"
        data = text.encode()
        self.lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, 0x101, None, None)  # UTF-8, phonemes in double brackets
        return to_rate(np.concatenate(self.chunks or [np.zeros(0, np.int16)]), self.rate)

    def timed_phones(self, text: str, voice: str, speed: int) -> list[tuple[str, float, bool]]:
        """Of each phoneme as a voice speaks it: its mnemonic, its length in seconds, and whether a word begins."""
        self(text, voice, speed, 50)
        events, samples = self.events, sum(map(len, self.chunks))
        out: list[tuple[str, float, bool]] = []
        starts = [sample for kind, sample, _ in events if kind == _PHONEME_EVENT] + [samples]
        begins = False
        for kind, sample, mnemonic in events:
            begins = begins or kind == _WORD_EVENT
            if kind == _PHONEME_EVENT:
                seconds = max(0, starts[len(out) + 1] - sample) / self.rate
                out.append((mnemonic, seconds, begins))
                begins = False
        return out


class _FliteWave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p), ("rate", ctypes.c_int), ("n", ctypes.c_int), ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]  # fmt: skip


class _FliteVoice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class Flite:
    """flite's library with its compiled-in voices."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for name in ("usenglish", "cmulex"):
            ctypes.CDLL(f"libflite_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
        self.lib.flite_init()
        self.lib.flite_text_to_wave.restype = ctypes.POINTER(_FliteWave)
        self.lib.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.POINTER(_FliteVoice)]
        self.lib.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self.lib.delete_wave.argtypes = [ctypes.POINTER(_FliteWave)]
        self.voices: dict[str, Any] = {}

    def _voice(self, name: str) -> Any:
        if name not in self.voices:
            library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
            register = getattr(library, f"register_cmu_us_{name}")
            register.restype = ctypes.POINTER(_FliteVoice)
            self.voices[name] = register(None)
        return self.voices[name]

    def __call__(self, text: str, voice: str, stretch: float, pitch: float) -> Pcm:
        """Speak with durations times `stretch` and fundamental times `pitch`."""
        v = self._voice(voice)
        features = v.contents.features
        self.lib.feat_set_float(features, b"duration_stretch", stretch)
        self.lib.feat_set_float(features, b"f0_shift", pitch)
        if voice.startswith("kal"):
            self.lib.feat_set_float(features, b"int_f0_target_mean", 95.0 * pitch)
        wave = self.lib.flite_text_to_wave(text.encode(), v)
        try:
            samples = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.n,)).copy()
            return to_rate(samples, wave.contents.rate)
        finally:
            self.lib.delete_wave(wave)


def pico(text: str, voice: str, speed: int, pitch: int, volume: int = 100) -> Pcm:
    """Speak with pico, voice en-US or en-GB, speed and pitch in percent."""
    marked = f"<speed level='{speed}'><pitch level='{pitch}'><volume level='{volume}'>{text}</volume></pitch></speed>"
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["pico2wave", "-l", voice, "-w", file.name, marked], check=True, capture_output=True)
        return read(Path(file.name))


def festival(jobs: list[Job]) -> list[Pcm | None]:
    """Speak many in one run (f0 only counts with diphone voices); None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        script = []
        for i, (text, voice, stretch, f0) in enumerate(jobs):
            script.append(f"(voice_{voice})(Parameter.set 'Duration_Stretch {stretch:.3f})")
            if voice.endswith("diphone"):
                script.append(
                    f"(set! int_lr_params '((target_f0_mean {f0:.1f}) (target_f0_std {f0 * 0.13:.1f})"
                    " (model_f0_mean 170) (model_f0_std 34)))"
                )
            spoken = f'(utt.wave.resample (utt.synth (Utterance Text "{text}")) 16000)'
            script.append(f'(utt.save.wave {spoken} "{folder}/{i}.wav" \'riff)')
        path = Path(folder, "script.scm")
        path.write_text("\n".join(script))
        subprocess.run(["festival", "-b", str(path)], capture_output=True, check=False)
        return [read(p) if (p := Path(folder, f"{i}.wav")).exists() else None for i in range(len(jobs))]


def test_voice(text: str, voice: str, speed: float = 1.0) -> Pcm:
    """Speak with a voice for testing only: ``rhvoice:alan``, ``mbrola:us1``, ..."""
    engine, _, name = voice.partition(":")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "rhvoice":
            command = ["RHVoice-test", "-p", name, "-r", str(int(100 * speed)), "-o", file.name]
            subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        else:
            command = ["espeak-ng", "-v", f"mb-{name}", "-s", str(int(150 * speed)), "-w", file.name, text]
            subprocess.run(command, check=True, capture_output=True)
        return read(Path(file.name))


@functools.lru_cache(maxsize=1)
def espeak() -> Espeak:
    """The process's espeak-ng."""
    return Espeak()


@functools.lru_cache(maxsize=1)
def flite() -> Flite:
    """The process's flite."""
    return Flite()


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
        from pynna.train.voices.foreign import AMERICAN, VOICES, has_diphones, in_accent

        voice = rng.choice([voice for voice in VOICES if (voice in AMERICAN) == (engine == "diphone")])
        settings = rng.uniform(0.95, 1.4), VOICES[voice].f0 * rng.uniform(0.85, 1.2)
        if engine == "diphone" or has_diphones(voice) and rng.random() < 0.5:
            return f"{engine}:{voice}", (in_accent(voice, _pick(ESPEAK_ACCENTS, rng)), *settings)
        return f"{engine}:{voice}", (voice, *settings)
    if engine in ("tinytts", "kokoro") and engine not in folders:
        raise ValueError(f"no folder of {engine}'s source package is given")
    if engine in ("tinytts", "kokoro", "hibari"):  # torch and onnxruntime are only loaded for them
        seed = rng.getrandbits(32)
        if engine == "tinytts":
            from pynna.train.voices.tinytts import voice as tinytts

            return "tinytts:male", lambda text: tinytts(folders[engine])(text, seed)
        from pynna.train.voices.kokoro import hibari, kokoro

        if engine == "kokoro":
            return "kokoro:any", lambda text: kokoro(folders[engine])(text, seed)
        return "hibari:heart", lambda text: hibari()(text, seed)
    raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)} is right")
