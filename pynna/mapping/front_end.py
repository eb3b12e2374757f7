# SPDX-License-Identifier: Apache-2.0
"""The front end in plain NumPy: audio to MFCC features and their context windows.

After TensorFlow's audio_spectrogram and mfcc ops and the framing of the DeepSpeech 0.5.1 client. Slow, short and
independent of the C: the oracle of the tests, the float side of the mapping's report.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pynna.audio.pcm import as_pcm

if TYPE_CHECKING:
    pass


Array = NDArray[Any]


@dataclass(frozen=True)
class MfccConfig:
    """The front end's parameters; the defaults are DeepSpeech 0.5.1's (from 0.6 on, `upper_hz` is 8000).

    Attributes
    ----------
    sample_rate : int
        Hz.
    window, step : int
        Samples in a frame, and from a frame to the next.
    n_coefficients, n_mel : int
        Coefficients out of a frame (c0 included), and mel bands.
    lower_hz, upper_hz : float
        Edges of the mel bands, Hz.
    """

    sample_rate: int = 16000
    window: int = 512
    step: int = 320
    n_coefficients: int = 26
    n_mel: int = 40
    lower_hz: float = 20.0
    upper_hz: float = 4000.0


def _mel(hz: Array | float) -> Array:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


DEEPSPEECH_051 = MfccConfig()


@lru_cache(maxsize=8)
def _mel_matrix(config: MfccConfig) -> Array:
    """Share of each FFT bin in each mel band, float64 [bins, n_mel] (TensorFlow's mfcc_mel_filterbank.cc)."""
    fft = 1 << (config.window - 1).bit_length()
    bins = fft // 2 + 1
    hz_per_bin = 0.5 * config.sample_rate / (bins - 1)
    low, high = float(_mel(config.lower_hz)), float(_mel(config.upper_hz))
    # Edge 0 is the lower limit; edge k + 1 the centre of band k; one more edge closes the last band.
    edges = low + (high - low) / (config.n_mel + 1) * np.arange(config.n_mel + 2)
    matrix = np.zeros((bins, config.n_mel))
    first, last = int(1.5 + config.lower_hz / hz_per_bin), int(config.upper_hz / hz_per_bin)
    for i in range(first, min(last, bins - 1) + 1):
        m = float(_mel(i * hz_per_bin))
        right = min(int(np.searchsorted(edges[1:], m, side="left")), config.n_mel)  # the bin is on this band's rise
        share = (edges[right + 1] - m) / (edges[right + 1] - edges[right])
        if right >= 1:
            matrix[i, right - 1] += share
        if right < config.n_mel:
            matrix[i, right] += 1.0 - share
    return matrix


@lru_cache(maxsize=8)
def _dct_matrix(config: MfccConfig) -> Array:
    """float64 [n_mel, n_coefficients] (TensorFlow's mfcc_dct.cc)."""
    j, i = np.arange(config.n_mel)[:, None] + 0.5, np.arange(config.n_coefficients)[None, :]
    return np.asarray(np.sqrt(2.0 / config.n_mel) * np.cos(i * (np.pi / config.n_mel) * j))


def _samples(pcm: Array) -> Array:
    """int16 or float PCM [n] as float32 in [-1, 1), as the graph gets it: floats are rounded to 16 bits first."""
    return np.asarray(as_pcm(pcm).astype(np.float32) / np.float32(32768.0))


def mfcc_frames(frames: Array, config: MfccConfig = DEEPSPEECH_051) -> Array:
    """MFCCs of ready frames: float32 [n, window] to float32 [n, n_coefficients].

    After TensorFlow r1.13: spectrogram.cc (periodic Hann, double FFT, power rounded to float32), then mfcc.cc (square
    root, mel bands, natural logarithm floored at 1e-12, DCT, all in double, rounded to float32 at the end).
    """
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(config.window) / config.window)
    fft = 1 << (config.window - 1).bit_length()
    spectrum = np.fft.rfft(frames.astype(np.float64) * hann, n=fft, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = np.sqrt(power.astype(np.float64)) @ _mel_matrix(config)
    return np.asarray((np.log(np.maximum(mel, 1e-12)) @ _dct_matrix(config)).astype(np.float32))


def mfcc(pcm: Array, config: MfccConfig = DEEPSPEECH_051) -> Array:
    """MFCCs of the full frames in a recording, as TensorFlow's audio_spectrogram and mfcc ops give them.

    Parameters
    ----------
    pcm : int16 or float [n_samples]
        One channel at `config.sample_rate`.

    Returns
    -------
    float32 [max(0, (n_samples - window) // step + 1), n_coefficients]

    Raises
    ------
    AudioError
        Not one channel of int16 or finite floats.
    """
    samples = _samples(pcm)
    if len(samples) < config.window:
        return np.zeros((0, config.n_coefficients), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, config.window)[:: config.step]
    return mfcc_frames(frames, config)


def windows(pcm: Array, config: MfccConfig = DEEPSPEECH_051, n_context: int = 9) -> Array:
    """Context windows of a whole recording, framed and flushed as by the DeepSpeech 0.5.1 client.

    The rest of the audio is always padded with zeros to one more frame, even if nothing is left; `n_context` vectors of
    zeros stand before the first frame and after the last.

    Returns
    -------
    float32 [max(0, (n_samples - window) // step + 1) + 1, 2 * n_context + 1, n_coefficients]
    """
    samples = _samples(pcm)
    n_full = max(0, (len(samples) - config.window) // config.step + 1)
    padded = np.zeros(n_full * config.step + config.window, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.window)[:: config.step]
    return context_windows(mfcc_frames(frames, config), n_context)


def context_windows(features: Array, n_context: int = 9) -> Array:
    """Each frame with its neighbours, zeros beyond the ends: [n, k] to float32 [n, 2 * n_context + 1, k]."""
    features = np.asarray(features, np.float32)
    padded = np.pad(features, ((n_context, n_context), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, 2 * n_context + 1, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1))
