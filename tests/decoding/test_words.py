# SPDX-License-Identifier: Apache-2.0
"""Vocabularies and hot words in the beam search, against what they are defined to do."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hot_words import bonus_of, boosts_of_phrases, phrases

import pynna
from pynna import errors
from pynna.decoding.decoder import Decoder
from pynna.decoding.hot_words import HotWords
from pynna.decoding.language_model import Vocabulary
from pynna.decoding.options import DecoderOptions

Array = npt.NDArray[Any]
LABELS = (" ", "a", "b", "")


def random_frames(n: int, seed: int, labels: int = len(LABELS)) -> Array:
    z = np.random.default_rng(seed).normal(0, 2, (n, labels))
    return (z - np.log(np.exp(z).sum(1, keepdims=True))).astype(np.float32)


def texts_of(frames: Array, labels: tuple[str, ...] = LABELS) -> dict[str, float]:
    """Every text's natural-log probability, summed over all paths."""
    blank, scores = len(labels) - 1, dict[str, float]()
    for path in itertools.product(range(len(labels)), repeat=len(frames)):
        text = "".join(labels[k] for k, _ in itertools.groupby(path) if k != blank)
        score = float(sum(frames[t, k] for t, k in enumerate(path)))
        scores[text] = np.logaddexp(scores.get(text, -math.inf), score)
    return scores


# ---- hot words -----------------------------------------------------------------------------------


@given(boosts_of_phrases, st.lists(phrases, min_size=1, max_size=4).map(" ".join))
def test_letters_add_up_to_the_phrases_boosts(boosts: dict[str, float], text: str) -> None:
    hot = HotWords(boosts, LABELS)
    state, total = 0, 0.0
    for letter in text:
        label = LABELS.index(letter)
        total += hot.bonus[state, label]
        state = int(hot.next[state, label])
    assert total + hot.end[state] == pytest.approx(bonus_of(text, boosts))


@settings(max_examples=30)
@given(boosts_of_phrases, st.integers(0, 1000))
def test_hot_words_in_the_search(boosts: dict[str, float], seed: int) -> None:
    frames = random_frames(5, seed)
    expected = {text: score + bonus_of(text, boosts) for text, score in texts_of(frames).items() if "  " not in text}
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=4096, hot_words=boosts, alternatives=50))
    decoder.feed(frames)
    # spaces at the ends are not told: the best of those that differ by them alone
    found = {h.text: h.score for h in reversed(decoder.finish().alternatives)}
    best = max(expected, key=lambda text: expected[text])
    if best == best.strip():  # a result's text has no spaces around it
        assert found[best] == pytest.approx(expected[best], abs=1e-4)


def test_a_hot_word_is_heard_as_a_word_alone() -> None:
    frames = np.log(np.array([[0.02, 0.5, 0.46, 0.02]] + [[0.02, 0.02, 0.02, 0.94]] * 2, np.float32))

    def heard(**hot: float) -> str:
        decoder = Decoder(LABELS, options=DecoderOptions(hot_words=hot))
        decoder.feed(frames)
        return decoder.finish().text

    assert heard() == "a"
    assert heard(b=1.0) == "b"
    assert heard(bb=1.0) == "a"
    assert heard(a=-1.0) == "b"


def test_hot_words_change_while_streaming() -> None:
    stream = pynna.load().stream()
    assert dict(stream.hot_words) == {}
    stream.hot_words = {"tesla": 5.0}
    stream.feed(np.zeros(16000, np.int16))
    stream.hot_words = {"volvo": 4, "rain light": 2.5}
    stream.feed(np.zeros(16000, np.int16))
    with pytest.raises(errors.ArgumentError, match="東"):
        stream.hot_words = {"東": 1.0}
    assert dict(stream.hot_words) == {"volvo": 4, "rain light": 2.5}
    stream.hot_words = {"tesla": 5.0}
    stream.finish()


def test_changed_hot_words_count_from_then_on() -> None:
    either = np.log(np.array([[0.02, 0.5, 0.46, 0.02], [0.02, 0.02, 0.02, 0.94], [0.94, 0.02, 0.02, 0.02]], np.float32))
    decoder = Decoder(LABELS, options=DecoderOptions(hot_words={"b": 2.0}))
    decoder.feed(either)
    decoder.hot_words = {"a": 2.0}
    decoder.feed(either)
    decoder.hot_words = {"b": 2.0}
    decoder.feed(either)
    decoder.hot_words = {}
    decoder.feed(either)
    assert decoder.finish().text == "b a b a"


def test_a_phrase_under_way_counts_on_when_others_come_and_go() -> None:
    def heard(*sets: dict[str, float]) -> pynna.Result:
        decoder = Decoder(LABELS, options=DecoderOptions(beam_width=4096))
        for frame, hot in zip("ab_ ab", sets, strict=True):
            decoder.hot_words = hot
            p = np.full((1, 4), 0.1, np.float32)
            p[0, 3 if frame == "_" else LABELS.index(frame)] = 0.7
            decoder.feed(np.log(p))
        return decoder.finish()

    steady = heard(*[{"ab ab": 6.0}] * 6)
    restless = heard(*[{"ab ab": 6.0}, {"ab ab": 6.0, "b": 3.0}] * 3)
    plain = heard(*[{}] * 6)
    assert steady.text == restless.text == plain.text == "ab ab"
    assert steady.score == pytest.approx(plain.score + 6.0, abs=1e-4)
    assert restless.score == pytest.approx(steady.score, abs=1e-4)


@pytest.mark.parametrize(
    "boosts, message",
    [
        ({"": 1.0}, "empty"),
        ({"東": 1.0}, "東"),
        ({"a": math.nan}, "nan"),
        ({"a": "loud"}, "loud"),
        ({"a": 10**400}, "-1000 to 1000 nats"),
        ({"a": True}, "True"),
        ({"a" * 50_000: 1.0, "b" * 50_001: 1.0}, "100,000"),
    ],
)
def test_wrong_hot_words(boosts: Any, message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        HotWords(boosts, (" ", *"abcdefghijklmnopqrstuvwxyz", ""))


# ---- vocabularies --------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.sets(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4), st.integers(0, 1000))
def test_a_vocabulary_is_all_that_is_heard(words: set[str], seed: int) -> None:
    frames = random_frames(6, seed)
    scores = texts_of(frames)
    fit = {
        text: scores[text]
        for text in scores
        if not text or all(word in words for word in text.removesuffix(" ").split(" "))
    }
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=4096, vocabulary=Vocabulary(words), alternatives=100))
    decoder.feed(frames)
    result = decoder.finish()
    whole = [h for h in result.alternatives if h.score > -500]
    assert all(word in words for h in whole for word in h.text.split())
    best = max(fit, key=lambda text: fit[text])
    assert whole[0].text == best.strip()
    assert whole[0].score == pytest.approx(fit[best], abs=1e-4)


def test_words_and_labels_must_fit() -> None:
    with pytest.raises(errors.ArgumentError, match="no word"):
        Vocabulary(["two words"])
    with pytest.raises(errors.ArgumentError, match="needs words"):
        Vocabulary([])
    with pytest.raises(errors.ArgumentError, match="spell no word"):
        Decoder(LABELS, options=DecoderOptions(vocabulary=Vocabulary(["xyz"])))
    with pytest.raises(errors.ArgumentError, match="space"):
        Decoder(("a", "b", ""), options=DecoderOptions(vocabulary=Vocabulary(["ab"])))
    with pytest.raises(errors.ArgumentError, match="beam search"):
        DecoderOptions(beam_width=0, hot_words={"a": 1.0})
    with pytest.raises(errors.ArgumentError, match="grammar"):
        DecoderOptions(grammar=pynna.Grammar.from_sentences(["go"]), vocabulary=Vocabulary(["go"]))
    greedy = Decoder(LABELS, options=DecoderOptions(beam_width=0))
    with pytest.raises(errors.ArgumentError, match="beam search"):
        greedy.hot_words = {"a": 1.0}
