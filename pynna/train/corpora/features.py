# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's audio_spectrogram and mfcc in NumPy, in two halves: spectra are stored, and augmented in between."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
RATE = 16000
WINDOW, STEP, BINS = 512, 320, 257
HZ_PER_BIN = RATE / WINDOW


def n_frames(n_samples: int) -> int:
    """Frames of a whole stream of `n_samples`: the left-over is always one more frame, padded with zeros."""
    return max(0, (n_samples - WINDOW) // STEP + 1) + 1


def spectrum(pcm: npt.NDArray[np.int16]) -> F32:
    """Magnitude spectra [frames, 257] of int16 PCM, as the streaming client frames it."""
    n = n_frames(len(pcm))
    padded = np.zeros(STEP * (n - 1) + WINDOW, np.float32)
    padded[: min(len(pcm), len(padded))] = pcm[: len(padded)].astype(np.float32) / 32768.0
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    return np.abs(np.fft.rfft(frames * hann)).astype(np.float32)


def mel(frequency: Any) -> Any:
    """Mel of a frequency in Hz."""
    return 1127.0 * np.log1p(np.asarray(frequency, np.float64) / 700.0)


@functools.lru_cache(maxsize=64)
def mel_matrix(lower: float = 20.0, upper: float = 8000.0, channels: int = 40, warp: float = 1.0) -> F32:
    """Matrix [257, channels] from amplitudes to mel channels; `warp` stretches the frequency axis (vocal tract length).

    The warp is linear up to 80 % of the band and bends to keep the band's end in place.
    """
    frequencies = HZ_PER_BIN * np.arange(BINS)
    if warp != 1.0:
        knee = 0.8 * 8000.0 / max(warp, 1.0)
        above = warp * knee + (frequencies - knee) * (8000.0 - warp * knee) / (8000.0 - knee)
        frequencies = np.where(frequencies < knee, warp * frequencies, above)
    return mel_filters(frequencies, lower, upper, channels)


def mel_filters(frequencies: npt.NDArray[Any], lower: float = 20.0, upper: float = 8000.0, channels: int = 40) -> F32:
    """The matrix for bins that are heard at `frequencies` [257] Hz, instead of at multiples of 31.25 Hz."""
    low, high = float(mel(lower)), float(mel(upper))
    spacing = (high - low) / (channels + 1)
    centres = low + spacing * np.arange(channels + 2)  # of the channels, the band's edges before and behind them
    bins = np.arange(int(1.5 + lower / HZ_PER_BIN), min(int(upper / HZ_PER_BIN), BINS - 1) + 1)
    f = mel(frequencies[bins])
    above = np.clip(np.searchsorted(centres, f, side="left"), 1, channels + 1)  # the first centre not below f
    weight = (centres[above] - f) / spacing  # what goes to the channel below f; the rest to the one above
    matrix = np.zeros((BINS, channels + 2))
    matrix[bins, above - 1] = weight
    matrix[bins, above] = 1.0 - weight
    return matrix[:, 1:-1].astype(np.float32)


@functools.lru_cache(maxsize=4)
def dct_matrix(channels: int = 40, coefficients: int = 26) -> F32:
    """Matrix [channels, coefficients] of the mfcc op's DCT."""
    j, i = np.arange(channels) + 0.5, np.arange(coefficients)
    return (np.sqrt(2.0 / channels) * np.cos(np.pi / channels * np.outer(j, i))).astype(np.float32)


def log_mel(magnitude: F32, upper: float = 8000.0, warp: float = 1.0) -> F32:
    """Log mel amplitudes [frames, 40] of magnitude spectra."""
    return np.log(np.maximum(magnitude @ mel_matrix(upper=upper, warp=warp), 1e-12)).astype(np.float32)


def mfcc(magnitude: F32, upper: float = 8000.0) -> F32:
    """MFCC [frames, 26] of magnitude spectra [frames, 257]."""
    return log_mel(magnitude, upper) @ dct_matrix()


def windows(features: F32, context: int = 9) -> F32:
    """Context windows [frames, (2 context + 1) * coefficients], with literal zeros before and after."""
    padded = np.pad(features, ((context, context), (0, 0)))
    n, width = features.shape
    view = np.lib.stride_tricks.sliding_window_view(padded, (2 * context + 1, width))
    return view.reshape(n, (2 * context + 1) * width)
