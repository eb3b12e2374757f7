# SPDX-License-Identifier: Apache-2.0
"""espeak-ng, through its library, which is ten times as fast as running it."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import itertools
import random
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna.train.voices.accents import espeak_accented
from pynna.train.voices.base import Pcm, to_rate


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


@functools.lru_cache(maxsize=1)
def espeak() -> Espeak:
    """The process's espeak-ng."""
    return Espeak()
