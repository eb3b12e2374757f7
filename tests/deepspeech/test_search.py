# SPDX-License-Identifier: Apache-2.0
"""The clients' search and scorers: what the real clients made of the same posteriors, and files of every kind."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from pynna.deepspeech._client import Search
from pynna.deepspeech.scorers import made_trie, tree, words_of, write_scorer
from pynna.errors import LanguageModelError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LABELS = [letter.encode() for letter in (" ", *"abcdefghijklmnopqrstuvwxyz", "'")]
TIMES = {"0.5": (0, False, True), "0.6": (1, False, True), "0.7": (2, True, False), "0.9": (3, True, False)}


@pytest.mark.parametrize("generation", TIMES)
def test_texts_times_and_scores_are_those_of_the_real_client(generation: str) -> None:
    golden = np.load(GOLDEN / "clients.npz")
    times, delayed, cost = TIMES[generation]
    for clip, (text, frames, number) in json.loads(str(golden["told"]))[generation].items():
        search = Search(LABELS, times=times, delayed_start=delayed, is_cost=cost)
        search.feed(golden[f"probs {clip}"])
        (found, when, told), *_ = search.results(3)
        assert found.decode() == text
        assert told == pytest.approx(number, abs=1e-3)
        if generation != "0.6":  # whose times of spaces hang on the order of its heap
            assert when == frames


def _spelled(text: str, rng: np.random.Generator, blank: float = 0.6) -> np.ndarray:
    """Posteriors in which each letter stands for a frame, blanks and a little noise around it."""
    rows = []
    for letter in text:
        for likely in (LABELS.index(letter.encode()), 28):
            row = rng.random(29) * 0.01
            row[likely] += blank
            rows.append(row / row.sum())
    return np.asarray(rows, np.float32)


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    lm = GOLDEN / "three.trie.binary"
    write_scorer(lm, words_of(lm), LABELS, tmp_path / "a.scorer", alpha=0.8, beta=1.2)
    return tmp_path / "a.scorer"


def _words() -> list[str]:
    return [
        w
        for w in words_of(GOLDEN / "three.trie.binary")
        if w not in ("<s>", "</s>", "<unk>") and all(letter.encode() in LABELS for letter in w)
    ]


def test_a_scorer_lets_words_of_its_vocabulary_through_alone(scorer: Path) -> None:
    words = set(_words())
    wrong = "".join("x" if letter == "e" else letter for letter in sorted(words)[0]) + " zzz"
    search = Search(LABELS, scorer=bytes(scorer))
    search.feed(_spelled(wrong, np.random.default_rng(0)))
    for text, _, _ in search.results(20):
        *whole, last = text.decode().split(" ")
        assert set(whole) <= words
        assert not last or any(word.startswith(last) for word in words)


@pytest.mark.parametrize("kind", ["trie", "probing"])
def test_language_models_score_as_kenlm_does(kind: str, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    path = GOLDEN / f"three.{kind}.binary"
    model = kenlm.Model(str(path))
    write_scorer(path, _words(), LABELS, tmp_path / "a.scorer", alpha=1.0, beta=0.0)
    rng = np.random.default_rng(2)
    for _ in range(20):
        text = " ".join(rng.choice(_words(), 4))
        probs = np.full((2 * len(text), 29), 1e-30, np.float32)
        for i, letter in enumerate(text):
            probs[2 * i, LABELS.index(letter.encode())] = probs[2 * i + 1, 28] = 1.0
        search = Search(LABELS, scorer=bytes(tmp_path / "a.scorer"), delayed_start=False)
        search.feed(probs)
        found, _, score = search.results(1)[0]
        assert found.decode() == text
        wanted = sum(p for p, _, _ in model.full_scores(text, eos=False)) * np.log(10)
        assert score == pytest.approx(wanted, abs=2e-3)


def test_a_trie_is_made_from_the_models_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNNA_CACHE", str(tmp_path))
    lm = GOLDEN / "three.trie.binary"
    trie = made_trie(lm, LABELS)
    text = _words()[0]
    search = Search(LABELS, scorer=bytes(lm), trie=bytes(trie))
    search.feed(_spelled(text, np.random.default_rng(1), blank=30.0))
    assert search.results(1)[0][0].decode() == text
    assert made_trie(lm, LABELS) == trie


def test_scorers_of_bytes_let_whole_characters_through(tmp_path: Path) -> None:
    # a scorer of bytes is one whose words are characters: here the letters of the labels
    labels = [bytes([i + 1]) for i in range(255)]
    search = Search(labels)
    probs = np.full((4, 256), 1e-9, np.float32)
    for i, byte in enumerate("é".encode()):
        probs[2 * i, byte - 1] = probs[2 * i + 1, 255] = 1.0
    search.feed(probs)
    assert search.results(1)[0][0].decode() == "é"


def test_damaged_scorers_are_refused_or_searched_within_bounds(scorer: Path, tmp_path: Path) -> None:
    data, rng = scorer.read_bytes(), np.random.default_rng(5)
    probs = _spelled("one two", np.random.default_rng(0))[:6]
    for end in [len(data) * i // 20 for i in range(20)]:
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(ValueError, match="cannot be opened"):
            Search(LABELS, scorer=bytes(tmp_path / "cut"))
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            damaged[at] = int(rng.integers(256))
        (tmp_path / "bad").write_bytes(damaged)
        try:
            search = Search(LABELS, scorer=bytes(tmp_path / "bad"), beam=20)
        except ValueError:
            continue
        search.feed(probs)
        search.results(2)


def test_counts_of_a_terabyte_allocate_nothing(scorer: Path, tmp_path: Path) -> None:
    data = bytearray(scorer.read_bytes())
    for place, value in itertools.product((108, 116), (1 << 39, (1 << 63) - 1)):
        struct.pack_into("<Q", data, place, value)
        (tmp_path / "huge").write_bytes(data)
        with pytest.raises(ValueError, match="status 2"):
            Search(LABELS, scorer=bytes(tmp_path / "huge"))


def test_words_that_cannot_be_spelled_are_named() -> None:
    with pytest.raises(LanguageModelError, match="can spell no word"):
        tree(["ü"], LABELS, 0)
    with pytest.raises(LanguageModelError, match="no space"):
        tree(["a"], LABELS[1:], 0)
