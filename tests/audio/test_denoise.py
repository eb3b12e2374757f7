# SPDX-License-Identifier: Apache-2.0
"""Noise that is taken out of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

import pynna
from pynna.audio.denoise import FLOOR, HOP, SMOOTH, WINDOW, _moving_mean, denoise, wiener_gains

RATE = 16000
RECORDINGS = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))


def speech(path):
    return pynna.audio.load_audio(path, sample_rate=RATE).pcm.astype(np.float64)


def ratio(signal, heard):
    """dB of a signal in what is heard of it: the part that is the signal's, whatever its level, against all else."""
    part = signal * (signal @ heard) / (signal @ signal)
    return 10 * np.log10((part @ part) / ((heard - part) @ (heard - part)))


@pytest.mark.parametrize("shape", ["white", "brown"])
@pytest.mark.parametrize("decibels", [0.0, 10.0])
def test_speech_stands_out_more(shape, decibels):
    gained = []
    for i, path in enumerate(RECORDINGS):
        clean = speech(path)
        noise = np.random.default_rng(i).normal(0, 1, len(clean))
        if shape == "brown":  # as of an engine
            noise = np.fft.irfft(
                np.fft.rfft(noise) / (1 + np.arange(len(noise) // 2 + 1) * RATE / len(noise) / 300), len(noise)
            )
        noise *= np.sqrt((clean @ clean) / (noise @ noise)) * 10 ** (-decibels / 20)
        noisy = np.clip(clean + noise, -32768, 32767).astype(np.int16)
        gained.append(ratio(clean, denoise(noisy, RATE).astype(np.float64)) - ratio(clean, noisy.astype(np.float64)))
    assert np.mean(gained) > 2.0 and np.min(gained) > -0.5


def test_quiet_recordings_stay_as_they_are():
    for path in RECORDINGS:
        clean = speech(path)
        assert ratio(clean, denoise(clean.astype(np.int16), RATE).astype(np.float64)) > 12.0


def test_steady_noise_comes_down_to_the_floor_and_a_tone_in_it_stays():
    n = 2 * RATE
    noise = np.random.default_rng(1).normal(0, 500, n)
    tone = np.zeros(n)
    tone[RATE // 2 : RATE] = 8000 * np.sin(2 * np.pi * 1000 * np.arange(RATE // 2) / RATE)
    heard = denoise((noise + tone).astype(np.int16), RATE).astype(np.float64)
    assert heard[RATE + 2000 : -2000].std() < 0.3 * 500
    assert heard[RATE // 2 + 2000 : RATE - 2000].std() == pytest.approx(8000 / np.sqrt(2), rel=0.02)


@settings(max_examples=40)
@given(
    st.integers(0, 5000), st.sampled_from([8000, 16000, 44100]), st.sampled_from([0, 1, 300, 32767]), st.integers(0, 99)
)
def test_any_recording_keeps_its_length_and_gets_no_louder(n, rate, level, seed):
    pcm = np.random.default_rng(seed).integers(-level - 1, level + 1, n).astype(np.int16)
    heard = denoise(pcm, rate)
    assert heard.dtype == np.int16 and heard.shape == pcm.shape
    assert (heard.astype(float) ** 2).sum() <= 1.01 * (pcm.astype(float) ** 2).sum() + n


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 99))
def test_gains_are_between_the_floor_and_one(n_frames, n_bins, seed):
    rng = np.random.default_rng(seed)
    power = (rng.exponential(size=(n_frames, n_bins)) * 10.0 ** rng.integers(-12, 12)).astype(np.float32)
    gains = wiener_gains(power)
    assert gains.dtype == np.float32 and gains.shape == power.shape
    assert np.float32(FLOOR) <= gains.min() and gains.max() <= 1.0


def test_spectra_of_nothing_are_no_trouble():
    assert np.isfinite(wiener_gains(np.zeros((5, 4), np.float32))).all()
    assert not denoise(np.zeros(3000, np.int16), RATE).any()


@pytest.mark.parametrize(
    ("n", "rate"), [(0, RATE), (100, RATE), (511, RATE), (16001, RATE), (9000, 44100), (5000, 11025)]
)
def test_it_gives_what_scipy_s_spectra_give(n, rate):
    pcm = np.random.default_rng(n).normal(0, 3000, n).astype(np.int16)
    window, hop = round(WINDOW * rate), round(HOP * rate)
    padded = np.pad(pcm, (0, max(0, window - n))).astype(np.float32)
    _, _, spectra = signal.stft(padded, nperseg=window, noverlap=window - hop)
    power = (np.abs(spectra) ** 2).T
    smooth = ndimage.uniform_filter1d(power, min(SMOOTH, len(power)), axis=0, mode="nearest")
    assert np.allclose(_moving_mean(power, min(SMOOTH, len(power))), smooth, rtol=1e-5)
    _, clean = signal.istft(spectra * wiener_gains(power).T, nperseg=window, noverlap=window - hop)
    assert abs(np.rint(clean[:n]).clip(-32768, 32767) - denoise(pcm, rate)).max(initial=0) <= 1
