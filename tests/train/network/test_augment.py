# SPDX-License-Identifier: Apache-2.0
"""What augmentation changes, and what it must keep; on a CUDA device where there is one."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from pynna.train.corpora.features import mel_matrix, mfcc, spectrum  # noqa: E402
from pynna.train.network.augment import Augmenter, filters  # noqa: E402
from pynna.train.network.clips import CHANCES, Source  # noqa: E402
from pynna.train.network.surroundings import Sounds, level_of, reverberate  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def speech_like(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Amplitudes [frames, 257] with syllables and a slope, the first five frames and the last five quiet."""
    time, bins = np.arange(frames)[:, None], np.arange(257)
    loud = 10 ** (-1 + np.sin(time / rng.uniform(2, 5)) - bins / rng.uniform(100, 200))
    loud[:5] *= 1e-3
    loud[-5:] *= 1e-3
    return (loud * np.sqrt(rng.standard_exponential((frames, 257)))).astype(np.float16)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [speech_like(rng, int(rng.integers(30, 90))) for _ in range(120)]


@pytest.fixture(scope="module")
def augmenter(clips: list[np.ndarray]) -> Augmenter:
    """Keeps the clips, has two noises and a room."""
    rng = np.random.default_rng(5)
    noises = [(np.sqrt(rng.standard_exponential((n, 257))) * 0.05).astype(np.float16) for n in (40, 700)]
    augmenter = Augmenter(Sounds(noises, [np.array([1.0, 0.3, 0.1], np.float32)]), DEVICE)
    augmenter.keep(clips)
    return augmenter


def keeping(*clips: np.ndarray, sounds: Sounds | None = None) -> Augmenter:
    augmenter = Augmenter(sounds or Sounds([], []), DEVICE)
    augmenter.keep(clips)
    return augmenter


def sources(clips: list[np.ndarray], rate: float = 1.0) -> list[Source]:
    starts = np.cumsum([0] + [len(clip) for clip in clips])
    return [Source(int(start), len(clip), rate) for start, clip in zip(starts, clips, strict=False)]


def heard(augmenter: Augmenter, rows: list[list[Source]], seed: int = 1, **options: object) -> list[np.ndarray]:
    """Features of each recording; what follows its end is zero."""
    features, frames, *_ = augmenter.augment(rows, [seed], **options)
    assert features.shape == (int(frames.max()), len(frames), 26)
    assert all(not features[n:, r].any() for r, n in enumerate(frames.tolist()))
    return [features[:n, r].cpu().numpy() for r, n in enumerate(frames.tolist())]


def timed(
    augmenter: Augmenter, rows: list[list[Source]], seed: int = 1, hard: float = 0.0, pad: int = 1
) -> list[np.ndarray]:
    """Amplitudes of each recording."""
    augmenter.augment(rows[:1], [seed], 0.0)  # seeds the device's numbers
    amplitudes, frames = augmenter.timed(rows, np.random.default_rng(seed), hard, pad, ())
    assert all(not row[n:].any() for row, n in zip(amplitudes, frames.tolist(), strict=True))
    return [row[:n].cpu().numpy() for row, n in zip(amplitudes, frames.tolist(), strict=True)]


def levels(clips: list[np.ndarray]) -> np.ndarray:
    batch = torch.zeros(len(clips), max(map(len, clips)), 257)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip.astype(np.float32))
    return level_of(batch.to(DEVICE), torch.tensor([len(clip) for clip in clips], device=DEVICE)).cpu().numpy()


def test_the_same_seed_gives_the_same_and_another_another(clips: list[np.ndarray], augmenter: Augmenter) -> None:
    rows = [[source] for source in sources(clips, 1.1)]
    first, again, other = (augmenter.augment(rows, [seed], 1.0)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert torch.isfinite(first).all()


def test_clips_taken_in_for_a_batch_sound_as_those_kept(clips: list[np.ndarray], augmenter: Augmenter) -> None:
    alone = Augmenter(Sounds([], []), DEVICE)
    alone.keep(clips[20:40])
    kept = heard(keeping(*clips), [[s] for s in sources(clips, 1.1)[20:40]], 3, hard=1.0)
    for a, b in zip(kept, heard(alone, [[s] for s in sources(clips[20:40], 1.1)], 3, hard=1.0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_easy_speech_is_itself_but_for_its_level_and_a_floor(clips: list[np.ndarray], augmenter: Augmenter) -> None:
    near = []
    for clip, row in zip(clips, heard(augmenter, [[s] for s in sources(clips)], hard=0.0, pad=1), strict=True):
        plain = mfcc(clip.astype(np.float32))
        assert len(row) == len(plain)
        loud = plain[:, 0] > np.median(plain[:, 0])
        near.append(np.abs(row - plain)[loud, 1:].mean())
    assert np.median(near) < 0.3


def test_a_second_view_is_of_the_same_frames(clips: list[np.ndarray], augmenter: Augmenter) -> None:
    rows = [[source] for source in sources(clips)[:30]]
    features, frames, *_ = augmenter.augment(rows, [1], 1.0, views=2)
    assert frames[:30].equal(frames[30:])
    assert not torch.equal(features[:, :30], features[:, 30:])


@pytest.mark.parametrize("name", [name for name in CHANCES if name != "loss"])  # which has a test of its own
def test_what_is_left_out_changes_nothing_and_what_is_not_does(
    clips: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kept = keeping(*clips[:30], sounds=Sounds([clips[40]], [np.array([1.0, 0.3], np.float32)]))
    rows = [[source] for source in sources(clips[:30], 1.1)]
    # random numbers that do not hang on what was drawn before: what is left is what the change does
    for drawn in ("uniform", "normal"):
        monkeypatch.setattr(kept, drawn, lambda *shape, low=0.0, high=1.0: torch.full(shape, low + 0.7 * (high - low)))
    monkeypatch.setattr(kept, "whole", lambda low, high, *shape: torch.full(shape, low + (high - low) // 3))
    monkeypatch.setattr(kept, "stretch", lambda pool, *shape: torch.ones(shape))

    def differs(without: list[str]) -> bool:
        pairs = zip(heard(kept, rows), heard(kept, rows, hard=1.0, without=without), strict=True)
        return not all(np.array_equal(a, b) for a, b in pairs)

    def heard(kept: Augmenter, rows: list[list[Source]], hard: float = 0.0, without: object = ()) -> list[np.ndarray]:
        features, frames, *_ = kept.augment(rows, [1], hard, 10, without)
        return [features[:n, r].cpu().numpy() for r, n in enumerate(frames.tolist())]

    assert not differs([*CHANCES])
    assert differs([other for other in CHANCES if other != name])


def test_every_voice_hears_the_whole_band_in_order() -> None:
    for matrix in filters(8000.0)[::25]:
        heard = matrix @ np.arange(40) / np.maximum(matrix.sum(axis=1), 1e-9)
        inner = heard[12:240]
        assert (np.diff(inner) > -1e-3).all()
        assert inner[0] < 9
        assert inner[-1] > 34
        assert (matrix >= 0).all()


def test_tempo_changes_the_number_of_frames_alone() -> None:
    line = np.linspace(0, 1, 100)[:, None] * np.ones((1, 257))
    ramp = keeping(line.astype(np.float16))
    (fast,) = timed(ramp, [[Source(0, 100, 1.25)]])
    np.testing.assert_allclose(fast[:, 7], np.linspace(0, 1, 80), atol=1e-3)
    differs = []
    for seed in range(20):
        (uneven,) = timed(ramp, [[Source(0, 100, 1.25)]], seed, hard=1.0)
        assert (np.diff(uneven[:, 0]) >= 0).all()
        if len(uneven) == 80:  # nor cut
            differs.append(float(np.abs(uneven - fast).max()))
    assert max(differs) > 0.02


def test_silence_before_and_after_is_cut_but_for_a_frame_or_two(clips: list[np.ndarray], augmenter: Augmenter) -> None:
    rows = [[source] for source in sources(clips)]
    lost = [len(clip) - len(row) for clip, row in zip(clips, timed(augmenter, rows, hard=2.0), strict=True)]
    assert 5 <= min(lost) <= max(lost) < 30  # five quiet frames at either end, and soft ones next to them
    assert not any(len(clip) - len(row) for clip, row in zip(clips, timed(augmenter, rows, hard=0.0), strict=True))


def test_silence_around_speech_does_not_change_its_level(clips: list[np.ndarray]) -> None:
    silence = np.zeros((200, 257))
    alone, within = levels([clips[0]]), levels([np.concatenate([silence, clips[0], silence[:60]])])
    np.testing.assert_allclose(alone, within, rtol=1e-5)
    energy = np.sort((clips[0].astype(np.float64) ** 2).sum(axis=1))
    energy = energy[energy > 1e-7 * energy[-1]]
    np.testing.assert_allclose(alone, np.sqrt(energy[len(energy) // 2 :].mean()), rtol=1e-3)
    assert levels([silence]) == 0.0


def test_speech_begins_late_and_soon_ends() -> None:
    flat = keeping(np.ones((40, 257), np.float16))
    leads = []
    for x in timed(flat, [[Source(0, 40, 1.0)]] * 200, pad=150):
        loud = np.flatnonzero(x[:, 0])
        assert len(loud) == 40
        assert len(x) - 1 - loud[-1] < 60
        leads.append(loud[0])
    assert 120 < max(leads) < 150
    assert leads.count(0) > 20


def test_joined_clips_follow_each_other_about_as_loud() -> None:
    both = keeping(*(np.full((n, 257), level, np.float16) for n, level in ((30, 0.01), (50, 5.0))))
    found = []
    for x in timed(both, [[Source(0, 30, 1.0), Source(30, 50, 1.0)]] * 100):
        loud = np.flatnonzero(x[:, 0])
        assert len(loud) == 80
        assert len(x) == 1 + loud[-1]
        found.append(levels([x[loud[:30]], x[loud[30:]]]))
    decibels = 20 * np.log10(found)
    assert np.abs(decibels.mean(axis=0)).max() < 1.0
    np.testing.assert_allclose(decibels.std(axis=0), 3.0, atol=1.0)


def test_a_room_adds_a_tail_in_power() -> None:
    x = torch.zeros(1, 4, 257)
    x[0, 0] = 2.0
    assert reverberate(x, torch.tensor([[1.0, 0.25]]))[0, :, 0].tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize("make", ["hiss", "tones", "knocks", "made_noise"])
def test_made_noises_are_amplitudes_of_any_length(augmenter: Augmenter, make: str) -> None:
    for n in (1, 2, 50, 400):
        noise = getattr(augmenter, make)(9, n).cpu()
        assert noise.shape == (9, n, 257)
        assert noise.dtype == torch.float32
        assert (noise >= 0).all()
        assert torch.isfinite(noise).all()
        assert noise.max() > 0


def test_noise_is_as_unsteady_as_through_the_window(augmenter: Augmenter) -> None:
    rng = np.random.default_rng(9)
    time = np.arange(32000) / 16000
    speech = sum(4000 / k * np.sin(2 * np.pi * 130 * k * time) for k in range(1, 40))  # a vowel, say
    clean = spectrum(np.asarray(speech, np.int16))
    noises = rng.normal(0, 500, (40, len(time)))
    size = np.sqrt(np.mean(spectrum(np.asarray(noises[0], np.int16)) ** 2))
    there = torch.from_numpy(clean).to(DEVICE)

    def spread(amplitudes: list[np.ndarray]) -> np.ndarray:
        """Of each channel's logarithm from one noise to the next, but for the recording's ends."""
        return np.log(np.stack(amplitudes)[:, 2:-2] @ mel_matrix()).std(axis=0).mean(axis=0)

    for speech_too in (False, True):
        real = [spectrum(np.asarray(noise + speech * speech_too, np.int16)) for noise in noises]
        made = [augmenter.rayleigh(*clean.shape) * float(size) for _ in noises]
        if speech_too:
            made = [augmenter.add(there, noise) for noise in made]
        ratio = spread([noise.cpu().numpy() for noise in made]) / spread(real)
        assert 0.93 < ratio.mean() < 1.12
        assert ((ratio > 0.8) & (ratio < 1.25))[1:].all()  # the lowest has hardly a bin


def test_tones_lie_in_lines_and_knocks_in_bursts(augmenter: Augmenter) -> None:
    def peak(x: np.ndarray) -> np.ndarray:
        """Highest value over the mean, along the last axis."""
        return x.max(axis=-1) / x.mean(axis=-1)

    made = [(getattr(augmenter, make)(10, 300) ** 2).cpu().numpy() for make in ("tones", "knocks", "hiss")]
    for line, burst, even in zip(*made, strict=True):
        sounding = line[line.max(axis=1) > 0.01 * line.max()]  # without the silences between notes
        assert np.median(peak(sounding)) > 3
        assert peak(burst.sum(axis=1)) > 3 * peak(even.sum(axis=1))


def test_a_recorded_noise_is_heard_at_other_speeds() -> None:
    tone = np.zeros((500, 257), np.float16)
    tone[:, 99:102] = 0.5, 1.0, 0.5
    for noise in (tone, tone[:3]):  # the second is too short: repeated
        made = Augmenter(Sounds([noise], []), DEVICE).recorded_noise(60, 60)
        assert made.shape == (60, 60, 257)
        heard = set(made.sum(dim=1).argmax(dim=1).tolist())
        assert 100 in heard
        assert min(heard) < 80
        assert max(heard) > 125
        assert (made.amax(dim=2) > 0).all()


def test_silence_stays_finite() -> None:
    quiet = keeping(np.zeros((50, 257), np.float16))
    for seed in range(10):
        assert torch.isfinite(quiet.augment([[Source(0, 50, 1.1)]] * 4, [seed], 1.0)[0]).all()


def test_speech_is_told_where_it_is_and_not_in_what_surrounds_it(clips: list[np.ndarray]) -> None:
    rng = np.random.default_rng(8)
    clip = speech_like(rng, 60)
    augmenter = keeping(clip)
    heard = augmenter.augment([[Source(0, 60, 1.0)]] * 30, [2], 0.0, extra=200)
    speech = heard.speech.cpu().numpy()
    assert heard.features.shape[0] == speech.shape[0] and set(heard.frames.tolist()) == {len(speech)}
    assert set(np.unique(speech)) == {-1, 0, 1}
    for row in speech.T:
        inside = np.flatnonzero(row == 1)
        assert 50 <= len(inside) <= 72 and inside[-1] - inside[0] + 1 == len(inside)
        assert (row[: max(0, inside[0] - 20)] == 0).all() and (row[inside[-1] + 21 :] == 0).all()
    starts = [np.flatnonzero(row == 1)[0] for row in speech.T]
    assert max(starts) - min(starts) > 80  # anywhere within


def test_of_a_silent_clip_nothing_is_heard_but_the_surroundings(clips: list[np.ndarray]) -> None:
    augmenter = keeping(*clips[:2])
    rows = [[Source(0, len(clips[0]), 1.0)], [Source(0, len(clips[0]), 1.0, silent=True)]]
    heard = augmenter.augment(rows, [4], 0.0)
    assert (heard.speech[:, 0] == 1).any() and not heard.speech[:, 1].any()
    other = augmenter.augment([rows[0], [Source(len(clips[0]), len(clips[0]), 1.0, silent=True)]], [4], 0.0)
    assert torch.equal(heard.features[:, 1], other.features[:, 1])  # whatever the clip was


def test_a_clip_alone_is_what_the_teacher_hears(augmenter: Augmenter, clips: list[np.ndarray]) -> None:
    rows = [[source] for source in sources(clips[:8])]
    calm, wild = (
        augmenter.augment(rows, [5], hard, 1, without=("uneven tempo", "cut"), clean=True) for hard in (0.0, 1.0)
    )
    assert calm.clean is not None and wild.clean is not None
    assert torch.allclose(calm.clean[:, :, 1:], wild.clean[:, :, 1:], atol=1.0)
    assert not torch.allclose(calm.features[:, :, 1:], wild.features[:, :, 1:], atol=1.0)
    assert augmenter.augment(rows, [5], 1.0).clean is None


def test_surroundings_are_of_one_level_and_some_waver(augmenter: Augmenter) -> None:
    augmenter.augment([[Source(0, 40, 1.0)]], [6], 0.0)
    noise = augmenter.surroundings(40, 200, np.random.default_rng(6))
    level = level_of(noise, torch.full((40,), 200, device=noise.device))
    assert torch.allclose(level, torch.ones_like(level), rtol=1e-3)
    loud = noise.square().sum(dim=2).view(40, 10, 20).mean(dim=2)
    spread = (10 * torch.log10(loud.clamp_min(1e-9))).std(dim=1)
    assert spread.max() > 3 and spread.min() < 1


def test_lost_packets_leave_short_gaps(augmenter: Augmenter) -> None:
    x = torch.ones(6, 300, 257, device=augmenter.device)
    augmenter.lose(x, torch.tensor([1, 4], device=augmenter.device))
    gone = (x == 0).all(dim=2)
    assert not gone[[0, 2, 3, 5]].any() and 3 <= int(gone[1].sum()) <= 90
