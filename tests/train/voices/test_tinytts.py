# SPDX-License-Identifier: Apache-2.0
"""The neural voice's words: from a dictionary to phones, and what is said where its weights are not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pynna.train.voices import engines  # noqa: E402
from pynna.train.voices.tinytts import TinyTts, dictionary, pronunciations  # noqa: E402

FESTIVAL = """MNCL
("a" dt (((ax) 0)))
("a" n (((ey) 1)))
("church" nil (((ch er ch) 1)))
("garage" nil (((g er) 0) ((aa zh) 1)))
("map" nil (((m ae p) 1)))
("mother" nil (((m ah dh) 1) ((er) 0)))
("mother's" nil (((m ah dh) 1) ((er z) 0)))
("sub-word" nil (((s ah b) 1)))
"""


@pytest.fixture
def words(tmp_path: Path) -> dict[str, list[list[tuple[str, int]]]]:
    path = tmp_path / "dictionary.out"
    path.write_text(FESTIVAL)
    return dictionary(path)


def test_stress_is_told_of_vowels_alone(words: dict[str, list[list[tuple[str, int]]]]) -> None:
    assert words["garage"] == [[("g", 0), ("er", 1), ("aa", 2), ("zh", 0)]]
    assert words["a"] == [[("ah", 1)], [("ey", 2)]]
    assert "sub-word" not in words


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("church's", [("ah", 1), ("z", 0)]), ("garage's", [("ah", 1), ("z", 0)]), ("map's", [("s", 0)]),
        ("mother's", [("z", 0)]), ("a's", [("z", 0)]),
    ],
)  # fmt: skip
def test_possessives(words: dict[str, list[list[tuple[str, int]]]], word: str, end: list[tuple[str, int]]) -> None:
    for way in pronunciations(word, words):
        assert way[-len(end) :] == end
    assert len(pronunciations(word, words)) == len(words[word[:-2]])


def test_unknown_words_have_no_pronunciation(words: dict[str, list[list[tuple[str, int]]]]) -> None:
    assert pronunciations("zyzzyva", words) == pronunciations("zyzzyva's", words) == []


def test_missing_weights_say_where_they_are_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*G\.pth: .*pip download.*tiny-tts==0\.2\.0"):
        TinyTts(tmp_path)


def test_engines_are_named() -> None:
    with pytest.raises(ValueError, match="unknown engine 'sam': one of espeak, flite, pico, .*foreign, tinytts"):
        engines.draw("sam", random.Random(0))
