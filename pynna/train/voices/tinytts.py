# SPDX-License-Identifier: Apache-2.0
"""A neural voice for training: TinyTTS, whose source package on PyPI carries its weights (Apache-2.0).

`pip download --no-deps --no-binary :all: tiny-tts==0.2.0`, unpacked, is the folder that is asked for. Only its network
is used: words are looked up in Festival's copy of the CMU dictionary (Debian's festlex-cmu), so that nothing else of it
need be installed.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import resample_poly

RATE = 44100
CHANNELS = {
    "inter_channels": 80, "hidden_channels": 80, "filter_channels": 320, "gin_channels": 80,
    "upsample_initial_channel": 256,
}  # fmt: skip
"""The shape of the weights in the source package; its own configuration tells that of a later, smaller network."""
LANGUAGE = "EN"
Phones = list[tuple[str, int]]
"""Phones, and 1 to 3 for a vowel without stress, with it, with a weaker one; else 0."""
DICTIONARY = Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")


@functools.lru_cache(maxsize=1)
def dictionary(path: Path = DICTIONARY) -> dict[str, list[Phones]]:
    """Ways to say each word of a dictionary in Festival's form."""
    words: dict[str, list[Phones]] = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if not (match := re.match(r'\("([a-z\']+)" \S+ \((.*)\)\)$', line)):
            continue
        phones = [
            ("ah" if phone == "ax" else phone, 1 + int(stress) if phone[0] in "aeiou" else 0)
            for syllable, stress in re.findall(r"\(\(([a-z ]+)\) (\d)\)", match[2])
            for phone in syllable.split()
        ]
        words.setdefault(match[1], []).append(phones)
    return words


def _load(folder: Path) -> tuple[Any, Any]:
    """The network with its weights, and the package's table of symbols."""
    if not (folder / "checkpoints" / "G.pth").exists():
        raise FileNotFoundError(
            f"no {folder}/checkpoints/G.pth: the voice is in the source package of tiny-tts 0.2.0 (`pip download "
            "--no-deps --no-binary :all: tiny-tts==0.2.0`), to be unpacked there; or give `tinytts` a share of 0 in "
            "[synthesise.engines]"
        )
    package = types.ModuleType("tiny_tts")  # not its own, which would fetch a tokeniser of another network
    package.__path__ = [str(folder / "tiny_tts")]
    alignment = types.ModuleType("tiny_tts.alignment")  # for its training only
    sys.modules.update({"tiny_tts": package, "tiny_tts.alignment": alignment})
    settings = importlib.import_module("tiny_tts.utils.config")
    symbols = importlib.import_module("tiny_tts.text.symbols")
    synthesizer = importlib.import_module("tiny_tts.models.synthesizer").VoiceSynthesizer
    net = synthesizer(
        len(symbols.symbols), settings.SPEC_CHANNELS, settings.SEGMENT_FRAMES, n_speakers=settings.N_SPEAKERS,
        **{**settings.MODEL_PARAMS, **CHANNELS},
    )  # fmt: skip
    net.load_state_dict(torch.load(folder / "checkpoints" / "G.pth", map_location="cpu", weights_only=True)["model"])
    net.eval()
    net.dec.remove_weight_norm()
    return net, symbols


def pronunciations(word: str, words: dict[str, list[Phones]]) -> list[Phones]:
    """Ways to say a word, its possessive after the word's own; none for one that the dictionary lacks."""
    if word in words or not word.endswith("'s"):
        return words.get(word, [])
    ends: dict[str, Phones] = {phone: [("ah", 1), ("z", 0)] for phone in ("s", "z", "sh", "zh", "ch", "jh")}
    ends |= {phone: [("s", 0)] for phone in ("p", "t", "k", "f", "th")}
    return [way + ends.get(way[-1][0], [("z", 0)]) for way in words.get(word[:-2], [])]


class TinyTts:
    """The network; one of it in a process, on one thread.

    Raises
    ------
    FileNotFoundError
        No weights in the folder.
    """

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.net, symbols = _load(folder)
        self.numbers = {symbol: i for i, symbol in enumerate(symbols.symbols)}
        self.first_tone = symbols.language_tone_start_map[LANGUAGE]
        self.language = symbols.language_id_map[LANGUAGE]
        self.speaker = self.net.emb_g.weight.detach().clone()

    def __call__(self, text: str, seed: int) -> npt.NDArray[np.int16] | None:
        """int16 PCM at 16 kHz of a text, all else by chance; None for one with a word that no dictionary has.

        Tempo, rhythm and the vector that stands for the speaker vary; the whole is made deeper or higher, formants
        and fundamental alike, as by a larger or smaller speaker.
        """
        rng = random.Random(seed)
        phones: Phones = [("_", 0)]
        for word in text.split():
            if not (ways := pronunciations(word, dictionary())):
                return None
            phones += ways[-1] if len(word) == 1 and rng.random() < 0.8 else rng.choice(ways)
        phones += [(rng.choice(".,!?"), 0), ("_", 0)]
        size = rng.uniform(0.86, 1.22)
        numbers = [self.numbers["V" if phone == "v" else phone] for phone, _ in phones]
        tones = [self.first_tone + tone for _, tone in phones]
        torch.manual_seed(seed)
        change = torch.randn_like(self.speaker) * self.speaker.std()
        self.net.emb_g.weight.data = self.speaker + 0.35 * rng.random() * change
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            steps = 2 * len(phones) + 1  # with a blank around each
            samples, *_ = self.net.infer(
                _between(numbers, 0), torch.tensor([steps]), torch.tensor([0]), _between(tones, 0),
                _between([self.language] * len(phones), 0), torch.zeros(1, 1024, steps), torch.zeros(1, 768, steps),
                noise_scale=rng.uniform(0.4, 0.8), noise_scale_w=rng.uniform(0.5, 1.0),
                length_scale=size * rng.uniform(0.85, 1.3),
            )  # fmt: skip
        x = resample_poly(samples[0, 0].float().numpy(), 160, round(RATE * size / 100))
        return (np.clip(x, -1.0, 32767 / 32768) * 32768).astype(np.int16)


def _between(values: list[int], blank: int) -> torch.Tensor:
    """Values with a blank before, between and after them, [1, 2 n + 1]."""
    out = [blank] * (2 * len(values) + 1)
    out[1::2] = values
    return torch.tensor([out])


@functools.lru_cache(maxsize=1)
def voice(folder: Path) -> TinyTts:
    """The process's network."""
    return TinyTts(folder)
