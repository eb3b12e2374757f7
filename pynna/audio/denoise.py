# SPDX-License-Identifier: Apache-2.0
"""Noise taken out of a recording: a Wiener filter on short spectra.

What a bin's power seldom falls below is its noise (Stahl, Fischer and Bippus, "Quantile based noise estimation for
spectral subtraction and Wiener filtering", ICASSP 2000). Each frame's ratio of speech to noise is estimated from the
frame itself and, most of all, from what was left of the frame before it, so that single bins do not ring (Ephraim and
Malah, "Speech enhancement using a minimum mean-square error short-time spectral amplitude estimator", IEEE Transactions
on Acoustics, Speech and Signal Processing 32(6), 1984; for a Wiener filter: Scalart and Filho, ICASSP 1996).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

WINDOW, HOP = 0.032, 0.008
"""Seconds of a spectrum, and from one to the next."""

SMOOTH = 9
"""Frames that a bin's power is averaged over before its noise is told from it."""


QUANTILE, OVER = 0.15, 1.3
"""Share of the frames whose averaged power is no more than the noise's; the noise's mean as a multiple of it."""

MEMORY = 0.97
"""What the frame before counts in a frame's ratio of speech to noise."""

FLOOR = 0.15
"""The least gain."""


def wiener_gains(power: F32) -> F32:
    """Gain of each bin of spectra, frame by frame.

    Parameters
    ----------
    power : float32 [n_frames, n_bins]
        Squared magnitudes.

    Returns
    -------
    float32 [n_frames, n_bins], `FLOOR` to 1
    """
    n = len(power)
    smooth = _moving_mean(power, min(SMOOTH, n))
    rank = int(QUANTILE * (n - 1))
    noise = _moving_mean(OVER * np.partition(smooth, rank, axis=0)[rank], 3)
    posterior = power / np.maximum(noise, 1e-12 * max(float(power.max()), 1e-30))
    instant = (1 - MEMORY) * np.maximum(posterior - 1, 0)
    gains = np.empty_like(power)
    left = np.ones(power.shape[1], power.dtype)
    for gain, after, now in zip(gains, posterior, instant, strict=True):
        prior = MEMORY * left + now
        np.maximum(prior / (1 + prior), FLOOR, out=gain)
        left = gain * gain * after
    return gains


def _moving_mean(x: F32, width: int) -> F32:
    """Means of `width` neighbours along the first axis; beyond the ends the last values stand."""
    before = width // 2
    padded = np.concatenate([*[x[:1]] * before, x, *[x[-1:]] * (width - 1 - before)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    means: F32 = windows.mean(axis=-1, dtype=np.float64).astype(np.float32)
    return means


def denoise(pcm: npt.NDArray[np.int16], sample_rate: int) -> npt.NDArray[np.int16]:
    """Samples at a rate in Hz, int16 [n_samples], without the noise that is there all along."""
    window, hop = round(WINDOW * sample_rate), round(HOP * sample_rate)
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    n = max(window, len(pcm))
    n_frames = -(-(n - window % 2) // hop) + 1
    padded = np.zeros((n_frames - 1) * hop + window, np.float32)
    padded[window // 2 : window // 2 + len(pcm)] = pcm
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectra = np.fft.rfft(frames * hann)
    spectra *= wiener_gains(np.abs(spectra) ** 2)
    clean, weights = np.zeros_like(padded), np.zeros_like(padded)
    for i, frame in enumerate(np.fft.irfft(spectra, window) * hann):  # least squares, by Griffin and Lim
        clean[i * hop : i * hop + window] += frame
        weights[i * hop : i * hop + window] += hann * hann
    heard = (clean / np.maximum(weights, 1e-10))[window // 2 :][: len(pcm)]
    limits = np.iinfo(np.int16)
    return np.rint(heard).clip(limits.min, limits.max).astype(np.int16)
