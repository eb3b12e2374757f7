"""Augmentation of whole batches: beside `augment`, of one clip, and what it must keep. Where a GPU is, on that."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from pynna.train.augment import CHANCES, Sounds, augment, coloured, joined, timed  # noqa: E402
from pynna.train.augment import level_of as level_of_one  # noqa: E402
from pynna.train.augment import reverberate as reverberate_one  # noqa: E402
from pynna.train.batched import Source, Studio, level_of, reverberate  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TWO = (1, 2)


def speech_like(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Amplitudes [frames, 257] with syllables, a slope and silence before and after."""
    time, bins = np.arange(frames)[:, None], np.arange(257)
    loud = 10 ** (-1 + np.sin(time / rng.uniform(2, 5)) - bins / rng.uniform(100, 200))
    loud[:5] *= 1e-3
    loud[-5:] *= 1e-3
    return (loud * np.sqrt(rng.standard_exponential((frames, 257)))).astype(np.float16)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [speech_like(rng, int(rng.integers(30, 90))) for _ in range(300)]


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    rng = np.random.default_rng(5)
    noises = [(np.sqrt(rng.standard_exponential((n, 257))) * 0.05).astype(np.float16) for n in (40, 700)]
    return Sounds(noises, [np.array([1.0, 0.3, 0.1], np.float32)])


@pytest.fixture(scope="module")
def studio(clips: list[np.ndarray], sounds: Sounds) -> Studio:
    return Studio(clips, sounds, DEVICE)


def sources(clips: list[np.ndarray], rate: float = 1.0) -> list[Source]:
    starts = np.cumsum([0] + [len(clip) for clip in clips])
    return [Source(int(start), len(clip), rate) for start, clip in zip(starts, clips, strict=False)]


def heard(studio: Studio, rows: list[list[Source]], seed: int = 1, **options: object) -> list[np.ndarray]:
    features, frames = studio.hear(rows, [seed], **options)
    assert features.shape[1:] == (len(frames), 26)
    assert len(features) == int(frames.max())
    rows_heard = [features[:n, r].cpu().numpy() for r, n in enumerate(frames.tolist())]
    assert all(not features[n:, r].any() for r, n in enumerate(frames.tolist()))
    return rows_heard


@pytest.mark.parametrize("rate", [1.0, 0.8, 1.25])
def test_clips_at_a_tempo_are_those_of_augment(clips: list[np.ndarray], studio: Studio, rate: float) -> None:
    rng = np.random.default_rng(1)
    rows = [[source] for source in sources(clips, rate)[:40]]
    amplitudes, frames = studio._timed(rows, rng, hard=0.0, pad=1, without=())
    for clip, row, n in zip(clips, amplitudes.cpu().numpy(), frames, strict=False):
        one = timed(clip, rate, rng, hard=0.0, pad=1)
        assert n == len(one)
        np.testing.assert_allclose(row[:n], one, rtol=1e-3, atol=1e-5)
        assert not row[n:].any()


@pytest.mark.parametrize("without", [(), ("noise",)], ids=["all", "without noise"])
def test_the_changes_are_as_large_as_those_of_augment(
    clips: list[np.ndarray], sounds: Sounds, studio: Studio, without: tuple[str, ...]
) -> None:
    batches = [heard(studio, [[s] for s in sources(clips, 1.1)], seed, hard=1.0, without=without) for seed in TWO]
    whole = np.concatenate([row for batch in batches for row in batch])
    each = np.concatenate([
        augment(clip, 1.1, np.random.default_rng([seed, i]), sounds, 1.0, without=without)
        for seed in TWO for i, clip in enumerate(clips)
    ])  # fmt: skip
    assert len(whole) == pytest.approx(len(each), rel=0.03)
    loud = [x[x[:, 0] > -60] for x in (whole, each)]  # digital silence is another matter
    assert len(loud[0]) / len(whole) == pytest.approx(len(loud[1]) / len(each), abs=0.02)
    np.testing.assert_allclose(loud[0].mean(axis=0), loud[1].mean(axis=0), atol=0.12 * loud[1].std(axis=0).max())
    np.testing.assert_allclose(loud[0].std(axis=0), loud[1].std(axis=0), rtol=0.15)
    steps = [np.diff(x, axis=0).std(axis=0) for x in loud]
    np.testing.assert_allclose(steps[0], steps[1], rtol=0.25)


def test_clips_of_one_recording_follow_one_another_and_are_about_as_loud(
    clips: list[np.ndarray], sounds: Sounds, studio: Studio
) -> None:
    clip = sources(clips)
    rows = heard(studio, [[clip[i], clip[i + 1]] for i in range(0, 100, 2)] + [[clip[100]]], hard=0.5)
    alone = [len(clips[i]) + len(clips[i + 1]) for i in range(0, 100, 2)]
    assert all(0.7 * n < len(row) < n + 180 for n, row in zip(alone, rows, strict=False))
    rng = np.random.default_rng(1)
    one_by_one = [
        len(coloured(joined([timed(clips[i + k], 1.0, rng, 0.5) for k in (0, 1)], rng), rng, sounds, 0.5))
        for i in range(0, 100, 2)
    ]
    assert np.mean([len(row) for row in rows[:-1]]) == pytest.approx(np.mean(one_by_one), rel=0.1)


def test_the_same_seed_gives_the_same_and_another_another(clips: list[np.ndarray], studio: Studio) -> None:
    rows = [[source] for source in sources(clips)[:30]]
    first, again, other = (studio.hear(rows, [seed], 1.0)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert torch.isfinite(first).all()


def test_a_second_hearing_is_of_the_same_frames(clips: list[np.ndarray], studio: Studio) -> None:
    rows = [[source] for source in sources(clips)[:30]]
    features, frames = studio.hear(rows, [1], 1.0, views=2)
    assert frames[:30].equal(frames[30:])
    assert not torch.equal(features[:, :30], features[:, 30:])


@pytest.mark.parametrize("name", CHANCES)
def test_what_is_left_out_changes_nothing(clips: list[np.ndarray], studio: Studio, name: str) -> None:
    rows = [[source] for source in sources(clips, 1.1)[:60]]
    plain = heard(studio, rows, hard=0.0)
    nothing = heard(studio, rows, hard=1.0, without=tuple(CHANCES))
    one = heard(studio, rows, hard=1.0, without=tuple(other for other in CHANCES if other != name))
    for some, differs in ((nothing, False), (one, True)):
        lengths = [len(row) for row in plain] == [len(row) for row in some]
        # level and floor are drawn after some other numbers, or fewer; spectra without them are close
        spread = [np.concatenate([row[:, 1:] for row in rows]).std(axis=0) for rows in (plain, some)]
        same = lengths and np.allclose(spread[0], spread[1], rtol=0.02)
        if not differs:
            assert same
        elif name in ("cut", "equaliser", "noise"):
            assert not same


def test_levels_and_rooms_are_those_of_augment() -> None:
    rng = np.random.default_rng(6)
    batch = np.zeros((20, 90, 257), np.float32)
    lengths = rng.integers(1, 90, 20)
    for row, n in zip(batch, lengths, strict=True):
        row[:n] = speech_like(rng, 90)[:n]
    there = torch.from_numpy(batch).to(DEVICE)
    found = level_of(there, torch.from_numpy(lengths).to(DEVICE)).cpu().numpy()
    np.testing.assert_allclose(found, [level_of_one(x[:n]) for x, n in zip(batch, lengths, strict=True)], rtol=1e-4)
    responses = rng.random((20, 14)).astype(np.float32)
    tails = reverberate(there, torch.from_numpy(responses).to(DEVICE)).cpu().numpy()
    for x, response, tail in zip(batch, responses, tails, strict=True):
        np.testing.assert_allclose(tail, reverberate_one(x, response), rtol=1e-4, atol=1e-6)


def test_silence_stays_finite(sounds: Sounds) -> None:
    quiet = Studio([np.zeros((50, 257), np.float16)], sounds, DEVICE)
    for seed in range(10):
        features, _ = quiet.hear([[Source(0, 50, 1.1)]] * 4, [seed], 1.0)
        assert torch.isfinite(features).all()
