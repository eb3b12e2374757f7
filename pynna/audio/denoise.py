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
    from scipy.ndimage import uniform_filter1d  # slow to import, and most audio needs none of it

    n = len(power)
    smooth = uniform_filter1d(power, min(SMOOTH, n), axis=0, mode="nearest")
    rank = int(QUANTILE * (n - 1))
    noise = uniform_filter1d(OVER * np.partition(smooth, rank, axis=0)[rank], 3, mode="nearest")
    posterior = power / np.maximum(noise, 1e-12 * max(float(power.max()), 1e-30))
    instant = (1 - MEMORY) * np.maximum(posterior - 1, 0)
    gains = np.empty_like(power)
    left = np.ones(power.shape[1], power.dtype)
    for gain, after, now in zip(gains, posterior, instant, strict=True):
        prior = MEMORY * left + now
        np.maximum(prior / (1 + prior), FLOOR, out=gain)
        left = gain * gain * after
    return gains


def denoise(pcm: npt.NDArray[np.int16], sample_rate: int) -> npt.NDArray[np.int16]:
    """Samples at a rate in Hz, int16 [n_samples], without the noise that is there all along."""
    from scipy.signal import istft, stft

    window, hop = round(WINDOW * sample_rate), round(HOP * sample_rate)
    padded = np.pad(pcm, (0, max(0, window - len(pcm)))).astype(np.float32)
    _, _, spectra = stft(padded, nperseg=window, noverlap=window - hop)
    gains = wiener_gains((np.abs(spectra) ** 2).T)
    _, clean = istft(spectra * gains.T, nperseg=window, noverlap=window - hop)
    limits = np.iinfo(np.int16)
    return np.rint(clean[: len(pcm)]).clip(limits.min, limits.max).astype(np.int16)
