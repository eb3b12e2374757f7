"""The training's MFCC against the real TensorFlow ops, and what augmentation must keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pynna.train.augment import (
    CHANCES,
    Sounds,
    augment,
    filters,
    hiss,
    joined,
    knocks,
    level_of,
    made_noise,
    recorded_noise,
    reverberate,
    silence,
    tempo,
    timed,
    tones,
)
from pynna.train.features import mel_matrix, mfcc, n_frames, spectrum, windows

GOLDEN = Path(__file__).parents[1] / "golden" / "mfcc.npz"


@pytest.mark.parametrize("upper", [4000, 8000])
@pytest.mark.parametrize(
    "name", ["silence", "sine", "sine_on_bin", "impulse", "clipped_noise", "quiet_dither", "constant"]
)
def test_mfcc_agrees_with_tensorflow(name: str, upper: int) -> None:
    with np.load(GOLDEN) as golden:
        pcm, expected = golden[f"{name}_pcm"], golden[f"{name}_{upper}"]
    # The ops give whole windows only; the stream one more frame.
    got = mfcc(spectrum(pcm), float(upper))[: len(expected)]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-3)


def test_a_stream_always_has_one_frame_more_for_the_left_over() -> None:
    assert [n_frames(n) for n in (0, 1, 511, 512, 831, 832)] == [1, 1, 1, 2, 2, 3]
    assert all(len(spectrum(np.ones(n, np.int16))) == n_frames(n) for n in (0, 1, 512, 832, 1000))


def test_windows_are_padded_with_literal_zeros() -> None:
    features = np.arange(1, 5, dtype=np.float32).reshape(4, 1)
    assert windows(features, 2).tolist() == [[0, 0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 0], [2, 3, 4, 0, 0]]


def test_mel_matrix_splits_each_bin_between_two_channels() -> None:
    matrix = mel_matrix(upper=4000.0)
    assert matrix[:2].sum() == 0
    assert matrix[129:].sum() == 0
    assert ((matrix > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(matrix[5:100].sum(axis=1), 1.0, rtol=1e-5)


def test_augmentation_repeats_for_the_same_seed_and_stays_finite() -> None:
    magnitude = np.abs(np.random.default_rng(0).normal(size=(50, 257))).astype(np.float16)
    sounds = Sounds([magnitude], [np.array([1.0, 0.3], np.float32)])
    for seed in range(20):
        first, second = (augment(magnitude, 1.1, np.random.default_rng(seed), sounds, 1.0) for _ in range(2))
        assert np.array_equal(first, second)
        assert np.isfinite(first).all()
        assert first.shape[1] == 26


@pytest.mark.parametrize("name", CHANCES)
def test_what_is_left_out_changes_nothing_and_what_is_not_does(name: str) -> None:
    magnitude = np.abs(np.random.default_rng(0).normal(size=(60, 257))).astype(np.float16)
    sounds = Sounds([magnitude], [np.array([1.0, 0.3], np.float32)])
    others = [other for other in CHANCES if other != name]

    def differs(without: list[str]) -> bool:
        def frames(seed: int, hard: float) -> np.ndarray:
            return augment(magnitude, 1.1, np.random.default_rng(seed), sounds, hard, without=without)

        return any(not np.array_equal(frames(seed, 0.0), frames(seed, 1.0)) for seed in range(30))

    assert not differs([*CHANCES])
    assert differs(others)


def test_every_voice_hears_the_whole_band_in_order() -> None:
    for matrix in filters(8000.0)[::25]:
        heard = matrix @ np.arange(40) / np.maximum(matrix.sum(axis=1), 1e-9)
        inner = heard[12:240]
        assert (np.diff(inner) > -1e-3).all()
        assert inner[0] < 9
        assert inner[-1] > 34
        assert (matrix >= 0).all()


def test_uneven_tempo_keeps_the_length_and_the_order() -> None:
    x = np.linspace(0, 1, 100, dtype=np.float32)[:, None] * np.ones((1, 257), np.float32)
    uneven = tempo(x, 1.25, 0.3, np.random.default_rng(3))
    assert uneven.shape == (80, 257)
    assert (np.diff(uneven[:, 0]) >= 0).all()
    assert not np.allclose(uneven, tempo(x, 1.25), atol=1e-3)


def test_tempo_changes_the_number_of_frames_alone() -> None:
    x = np.linspace(0, 1, 100, dtype=np.float32)[:, None] * np.ones((1, 257), np.float32)
    fast = tempo(x, 1.25)
    assert fast.shape == (80, 257)
    assert fast[0, 0] == 0
    assert fast[-1, 0] == pytest.approx(1)


def test_silence_around_speech_does_not_change_its_level() -> None:
    x = np.abs(np.random.default_rng(0).normal(size=(50, 257))).astype(np.float32)
    assert level_of(np.concatenate([silence(200), x, silence(60)])) == level_of(x)
    assert level_of(silence(5)) == 0.0


def test_speech_begins_late_and_soon_ends() -> None:
    magnitude, rng = np.ones((40, 257), np.float16), np.random.default_rng(0)
    leads = []
    for _ in range(200):
        x = timed(magnitude, 1.0, rng, 0.0, 150)
        loud = np.flatnonzero(x[:, 0])
        assert len(loud) == 40
        assert len(x) - 1 - loud[-1] < 60
        leads.append(loud[0])
    assert 120 < max(leads) < 150
    assert leads.count(0) > 20


def test_joined_clips_follow_each_other_about_as_loud() -> None:
    rng = np.random.default_rng(0)
    clips = [np.full((n, 257), level, np.float32) for n, level in ((30, 0.01), (50, 5.0))]
    levels = []
    for _ in range(100):
        x = joined(clips, rng)
        loud = np.flatnonzero(x[:, 0])
        assert len(loud) == 80
        assert len(x) == 1 + loud[-1]
        levels.append([level_of(x[loud[:30]]), level_of(x[loud[30:]])])
    decibels = 20 * np.log10(levels)
    assert np.abs(decibels.mean(axis=0)).max() < 1.0
    np.testing.assert_allclose(decibels.std(axis=0), 3.0, atol=1.0)


def test_a_room_adds_a_tail_in_power() -> None:
    x = np.zeros((4, 257), np.float32)
    x[0] = 2.0
    np.testing.assert_allclose(reverberate(x, np.array([1.0, 0.25], np.float32))[:, 0], [2, 1, 0, 0])


@pytest.mark.parametrize("make", [hiss, tones, knocks, made_noise])
def test_made_noises_are_amplitudes_of_any_length(make: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    rng = np.random.default_rng(7)
    for n in (1, 2, 50, 400):
        noise = make(rng, n)
        assert noise.shape == (n, 257)
        assert noise.dtype == np.float32
        assert (noise >= 0).all()
        assert np.isfinite(noise).all()
        assert noise.max() > 0


def test_tones_lie_in_lines_and_knocks_in_bursts() -> None:
    rng = np.random.default_rng(8)

    def peak(x: np.ndarray) -> np.ndarray:
        """Highest value over the mean, along the last axis."""
        return x.max(axis=-1) / x.mean(axis=-1)

    for _ in range(10):
        line, burst, even = (make(rng, 300) ** 2 for make in (tones, knocks, hiss))
        sounding = line[line.max(axis=1) > 0.01 * line.max()]  # without the silences between notes
        assert np.median(peak(sounding)) > 3
        assert peak(burst.sum(axis=1)) > 3 * peak(even.sum(axis=1))


def test_a_recorded_noise_is_heard_at_other_speeds() -> None:
    rng = np.random.default_rng(9)
    tone = np.zeros((500, 257), np.float16)
    tone[:, 100] = 1.0
    heard = {int(recorded_noise(rng, [tone], 60).sum(axis=0).argmax()) for _ in range(60)}
    assert 100 in heard
    assert min(heard) < 80
    assert max(heard) > 125
    assert recorded_noise(rng, [tone[:3]], 60).shape == (60, 257)  # too short: repeated
