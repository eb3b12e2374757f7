# SPDX-License-Identifier: Apache-2.0
"""flite, through its library."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from pynna.train.voices.base import Pcm, to_rate


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


@functools.lru_cache(maxsize=1)
def flite() -> Flite:
    """The process's flite."""
    return Flite()
