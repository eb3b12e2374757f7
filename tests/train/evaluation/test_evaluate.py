# SPDX-License-Identifier: Apache-2.0
"""The evaluation: what counts as right, noise at its ratio, peers' grammars, calibration."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna.audio.files import load_audio
from pynna.decoding.results import Result
from pynna.distance import edit_distance
from pynna.train.corpora import corpora, peers, testsets
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation import calibrate, kept
from pynna.train.evaluation.kept import KeptResults, digest_of
from pynna.train.evaluation.recognise import hear_int8, listen
from pynna.train.evaluation.scores import Judge, Score, Verdict, Verdicts, accepts

RATE = 16000


def tone(seconds: float = 1.0, level: float = 3000.0) -> np.ndarray:
    return np.asarray(np.sin(np.arange(int(seconds * RATE)) * 0.2) * level, np.int16)


def test_errors_are_counted() -> None:
    score = Score()
    score.add("increase the volume", "increase a volume")
    score.add("stop", "stop")
    assert (score.clips, score.right, score.words, score.word_errors) == (2, 1, 4, 1)
    assert score.cer == pytest.approx(100 * 3 / 23)


def test_hearing_again_and_intents_are_counted() -> None:
    model, car = pynna.load(), pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
    folder = Path(pynna.__file__).parent / "recordings"
    clips = [
        Clip("people", text, load_audio(folder / f"{text.replace(' ', '_')}.flac", sample_rate=RATE).pcm)
        for text in ("call home", "lock the doors")
    ]
    score = Score.of(clips, hear_int8(model, clips, None, passes=1))
    assert score.clips == 2 and score.characters == len("call homelock the doors")
    assert score.character_errors == sum(
        edit_distance(clip.text, model.transcribe(clip.pcm, beam_width=0, passes=1).text) for clip in clips
    )
    call, lock = hear_int8(model, clips, car)
    assert accepts(call, "Call", 0.5) and accepts(call, None, 0.5) and not accepts(lock, "Call", 0.5)
    quiet = np.random.default_rng(0).integers(-2, 3, RATE).astype(np.int16)
    both = [Clip("people", "", np.concatenate([quiet, clips[0].pcm, quiet, clips[1].pcm, quiet]))]
    [utterances] = listen(model, both, car)
    assert [result.text for result in utterances] == ["call home", "lock the doors"]
    assert not accepts(call, None, 1.01) and not accepts(hear_int8(model, clips[:1], None)[0], None, 0.0)


def test_what_was_heard_is_kept(tmp_path: Path) -> None:
    model, car = pynna.load(), pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
    clips = [Clip("people", "call home", load_audio(Path(pynna.__file__).parent / "recordings/call_home.flac").pcm)]
    asked: list[str] = []

    def hear(what: str) -> list[Result]:
        return KeptResults(tmp_path / "heard").of(what, lambda: asked.append(what) or hear_int8(model, clips, car))

    first, again, other = hear("car"), hear("car"), hear("car, once")
    assert asked == ["car", "car, once"] and len(list((tmp_path / "heard").iterdir())) == 2
    assert [result.as_dict() for result in first] == [result.as_dict() for result in again]
    assert [result.text for result in other] == ["call home"]


def test_a_digest_is_of_the_files_and_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(file.name.encode())
    found = {digest_of(), digest_of(files[0]), digest_of(*files), digest_of(*reversed(files))}
    assert len(found) == 4 and digest_of(*files) in found
    files[0].with_suffix(".arpa.gz").write_bytes(b"words")
    assert digest_of(*files) not in found
    found.add(digest_of(*files))
    monkeypatch.setattr(kept, "HEARS", kept.HEARS[1:])
    assert digest_of(*files) not in found
    for pattern in kept.HEARS:
        assert list(kept.PACKAGE.glob(pattern)), pattern


def test_right_wrong_and_repaired_shares() -> None:
    verdicts = Verdicts(
        [Verdict("a", True, 0.9, True), Verdict("a", True, 0.6), Verdict("b", False, 0.7), Verdict("b", False, 0.1)]
    )
    assert (verdicts.right(0.5), verdicts.wrong(0.5), verdicts.right(0.8)) == (50, 25, 25)
    assert verdicts.repaired(0.5) == pytest.approx(100 / 3)
    assert verdicts.of("b").wrong(0.5) == 50


def test_what_is_meant_counts_and_not_the_words() -> None:
    judge = Judge(pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR))
    assert judge.means("increase the volume") == judge.means("make it louder please") is not None
    assert judge.means("increase the volume") != judge.means("decrease the volume")
    assert judge.means("increase the moon") is None


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0])
def test_noise_is_added_at_its_ratio(snr: float) -> None:
    clip = tone()
    for index in (0, 1):
        noise = testsets.noisy(clip, snr, index, [np.asarray(np.random.default_rng(1).normal(0, 500, RATE), np.int16)])
        np.testing.assert_array_equal(
            noise,
            testsets.noisy(clip, snr, index, [np.asarray(np.random.default_rng(1).normal(0, 500, RATE), np.int16)]),
        )
        added = noise - clip.astype(np.float64)
        ratio = 20 * np.log10(testsets.speech_level(clip) / np.sqrt((added**2).mean()))
        assert ratio == pytest.approx(snr, abs=0.6)


def test_noise_around_a_clip_is_as_loud_as_within_it() -> None:
    clip = tone(level=8000.0)
    mixed = testsets.noisy(clip, 10.0, 0, [], (2.0, 1.0))
    assert len(mixed) == 4 * RATE
    levels = [
        float((mixed[part].astype(np.float64) ** 2).mean() ** 0.5)
        for part in (slice(0, 2 * RATE), slice(3 * RATE, None))
    ]
    assert levels == pytest.approx([testsets.speech_level(clip) * 10**-0.5] * 2, rel=0.25)
    quiet = testsets.noisy(clip, None, 0, [], (2.0, 1.0))
    np.testing.assert_array_equal(quiet[2 * RATE : 3 * RATE], clip)
    assert set(np.unique(np.delete(quiet, np.s_[2 * RATE : 3 * RATE]))) == {-1, 0, 1}
    np.testing.assert_array_equal(testsets.noisy(clip, None, 0, []), clip)


def test_peers_figures_are_kept_for_the_very_clips_alone(tmp_path: Path) -> None:
    grammar = pynna.Grammar.from_sentences(["stop", "go"])
    clips = [Clip("a", "stop", tone(0.1)), Clip("a", "go", tone(0.2))]
    figures = peers.Figures(tmp_path / "peers.json")
    assert figures.of("clean", clips, grammar) == {}
    figures.keep("clean", clips, grammar, {"a peer": 50.0})
    figures.keep("10 dB", clips, grammar, {})
    again = peers.Figures(figures.path)
    assert again.of("clean", clips, grammar) == {"a peer": 50.0}
    assert again.of("10 dB", clips, grammar) == {}
    assert again.of("clean", clips[::-1], grammar) == {}
    assert again.of("clean", clips, pynna.Grammar.from_sentences(["stop"])) == {}
    peers.Figures(None).keep("clean", clips, grammar, {"a peer": 50.0})


def test_spoilt_clips_keep_their_length() -> None:
    rng = random.Random(1)
    for _ in range(24):
        spoilt = corpora.degrade(tone(), rng)
        assert spoilt.dtype == np.int16
        assert len(spoilt) == RATE
        assert np.abs(spoilt.astype(int)).max() > 3000


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(st.sampled_from(["on", "off", "one", "light"]), min_size=1, max_size=3).map(" ".join),
        min_size=1,
        max_size=6,
    )
)
def test_the_peers_word_automaton_has_the_same_sentences(phrases: list[str]) -> None:
    ways, end = peers.transitions(pynna.Grammar.from_sentences(phrases))
    found, todo = set(), [(0, "")]
    while todo:
        state, text = todo.pop()
        if state == end:
            found.add(text.strip())
        todo += [(to, f"{text} {word}") for source, to, _, word in ways if source == state]
    assert found == set(phrases)


def test_calibration_finds_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 4))
    true = np.array([0.0, 2.0, -1.0, 0.5, 0.0])
    z = x @ true[1:]
    right = rng.random(4000) < 1 / (1 + np.exp(-z))
    found = calibrate.fit([(row, bool(y)) for row, y in zip(x, right, strict=True)])
    assert found == pytest.approx(true, abs=0.25)


@pytest.mark.parametrize(
    ("n_sure", "n", "expected"),
    [(0, 100, 0.01), (2, 100, 0.01), (3, 100, 0.73), (3, 150, 0.01), (100, 100, 0.73)],
)
def test_threshold_lets_no_more_than_its_share_in(n_sure: int, n: int, expected: float) -> None:
    false = np.concatenate([np.full(n_sure, 0.72), np.full(n - n_sure, 0.001)])
    assert calibrate.lowest_threshold(false, n, most=0.02) == pytest.approx(expected)
    # the others may as well be those that no sentence was heard in
    assert calibrate.lowest_threshold(false[:n_sure], n, most=0.02) == pytest.approx(expected)


def test_threshold_where_all_is_wrong_and_sure() -> None:
    assert calibrate.lowest_threshold(np.ones(50), 50) == 1.0
