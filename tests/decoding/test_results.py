# SPDX-License-Identifier: Apache-2.0
"""Results: text, words with their times, confidences and alternatives out of labels and frames."""

from __future__ import annotations

import json
import math

import pytest

from pynna.decoding.results import Alternative, Result, Spelling, Token, Word, confidence

LABELS = (" ", "a", "b", "ä", "€", "𐍈", "ch", "")


def tokens(text: str, *, first: int = 0, log_prob: float = -0.5) -> list[Token]:
    """One label a letter, each in a run that starts at every third frame and is strongest one later."""
    return [(LABELS.index(letter), first + 3 * i, first + 3 * i + 1, log_prob) for i, letter in enumerate(text)]


def result(committed: list[Token], tail: list[Token] | None = None, *more: tuple[float, list[Token]]) -> Result:
    spelling = Spelling(LABELS, 0.02)
    return Result(spelling, committed, spelling.text(committed), [(-3.25, tail or []), *more])


@pytest.mark.parametrize(
    "letters, text, words",
    [
        ("", "", []),
        (" ", "", []),
        ("   ", "", []),
        ("ab", "ab", ["ab"]),
        (" ab", "ab", ["ab"]),
        ("ab ", "ab", ["ab"]),
        ("  ab  ba ", "ab  ba", ["ab", "ba"]),
        ("a b a", "a b a", ["a", "b", "a"]),
        ("ä€ 𐍈", "ä€ 𐍈", ["ä€", "𐍈"]),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 2, 99])
def test_words_are_the_runs_between_spaces_wherever_the_committed_part_ends(
    letters: str, text: str, words: list[str], cut: int
) -> None:
    all_tokens = tokens(letters)
    got = result(all_tokens[:cut], all_tokens[cut:])
    assert got.text == str(got) == text
    assert [word.text for word in got.words] == words


def test_a_word_starts_with_its_first_letters_run_and_ends_with_its_last_letters_strongest_frame() -> None:
    got = result([(1, 10, 12, -0.1), (2, 14, 17, -0.1), (0, 18, 18, -0.1)], [(1, 500, 501, -0.1)])
    assert got.words == (
        Word("ab", 0.2, 0.36, pytest.approx(math.exp(-0.1))),
        Word("a", 10.0, 10.04, pytest.approx(math.exp(-0.1))),
    )


def test_times_are_in_seconds_of_the_models_step() -> None:
    spelling = Spelling(LABELS, 0.01)
    got = Result(spelling, [(1, 7, 8, 0.0)], "a", [(0.0, [])])
    assert (got.words[0].start, got.words[0].end) == (0.07, 0.09)


def test_a_label_may_be_several_letters() -> None:
    got = result([(6, 0, 0, -0.2), (3, 1, 1, -0.4)])
    assert (got.text, got.words[0].text) == ("chä", "chä")
    assert got.confidence == pytest.approx(math.exp(-0.3))


def test_confidence_is_the_geometric_mean_of_the_letters_probabilities() -> None:
    assert confidence([]) == 0.0
    assert confidence([(0, 0, 0, 1e300)]) == 1.0  # of a saved state that was changed
    assert confidence([(1, 0, 0, math.log(0.9)), (2, 1, 1, math.log(0.1))]) == pytest.approx(0.3)
    tail = [(2, 1, 1, math.log(0.1)), (0, 2, 2, math.log(0.5)), (1, 3, 3, math.log(0.25))]
    got = result([(1, 0, 0, math.log(0.9))], tail)
    assert [word.confidence for word in got.words] == pytest.approx([0.3, 0.25])
    assert got.confidence == pytest.approx((0.9 * 0.1 * 0.5 * 0.25) ** 0.25)


def test_a_probability_of_zero_gives_no_confidence_and_no_error() -> None:
    assert confidence([(1, 0, 0, -math.inf), (1, 0, 0, -1.0)]) == 0.0


def test_no_letters_give_no_words_and_no_confidence() -> None:
    got = result([])
    assert (got.text, got.words, got.confidence) == ("", (), 0.0)
    assert got.alternatives == (Alternative("", 0.0, -3.25),)


def test_alternatives_share_what_is_committed_and_the_first_is_the_result_itself() -> None:
    got = result(tokens("ab "), tokens("a", first=9), (-4.0, tokens("b", first=9, log_prob=-1.0)), (-9.0, []))
    assert [a.text for a in got.alternatives] == ["ab a", "ab b", "ab"]
    assert [a.score for a in got.alternatives] == [-3.25, -4.0, -9.0]
    assert got.alternatives[0].text == got.text
    assert got.alternatives[0].confidence == got.confidence
    assert got.alternatives[1].confidence == pytest.approx(math.exp(-(3 * 0.5 + 1.0) / 4))
    assert got.score == -3.25


def test_a_result_stays_what_it_was_when_the_committed_list_grows() -> None:
    committed = tokens("ab")
    early = result(committed, tokens(" a", first=6))
    committed += tokens("bbb", first=6)
    assert early.text == "ab a"
    assert [word.text for word in early.words] == ["ab", "a"]
    assert early.confidence == pytest.approx(math.exp(-0.5))


def test_a_result_as_json_has_all_that_the_result_has() -> None:
    got = result(tokens("ab "), tokens("ä", first=9), (-4.0, []))
    told = json.loads(json.dumps(got.as_dict()))
    assert told["text"] == "ab ä"
    assert [Word(**word) for word in told["words"]] == list(got.words)
    assert [Alternative(**alternative) for alternative in told["alternatives"]] == list(got.alternatives)
    assert told["confidence"] == got.confidence
    assert repr(got) == "Result('ab ä', confidence=0.607)"
