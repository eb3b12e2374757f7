# SPDX-License-Identifier: Apache-2.0
"""Hot words in a grammar's search: exactly what the beam search's add, sentence by sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hot_words import bonus_of, boosts_of_phrases

import pynna
from pynna import _core
from pynna.decoding.decoder import Decoder
from pynna.decoding.hot_words import HotWords
from pynna.decoding.options import DecoderOptions
from pynna.errors import ArgumentError, FinishedError

Array = npt.NDArray[Any]
LABELS, SPACE, BLANK = (" ", "a", "b", ""), 0, 3

spoken_texts = st.lists(
    st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3).map(" ".join),
    min_size=1,
    max_size=8,
    unique=True,
)
frame_counts, seeds = st.integers(1, 14), st.integers(0, 2**32 - 1)


def log_probs(seed: int, n_frames: int) -> Array:
    z = np.random.default_rng(seed).normal(0, 1.5, (n_frames, len(LABELS)))
    return (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).astype(np.float32)


def graph_of(texts: list[str]) -> _core.Graph:
    """The minimal automaton of some texts: what they have in common at their ends is shared."""
    return pynna.Grammar.from_sentences(texts).graph(LABELS)


def search(graph: _core.Graph, boosts: Mapping[str, float], n: int = 8, margin: float = math.inf) -> _core.GraphDecoder:
    decoder = _core.GraphDecoder(graph, BLANK, n_best=n, margin=margin, space=SPACE)
    set_hot_words(decoder, boosts)
    return decoder


def set_hot_words(decoder: _core.GraphDecoder, boosts: Mapping[str, float]) -> None:
    hot = HotWords(boosts, LABELS)
    decoder.set_hot_words(hot.next, hot.bonus, hot.end)


def found(decoder: _core.GraphDecoder) -> dict[str, tuple[float, float]]:
    """Score and bonus of each whole sentence."""
    return {
        "".join(LABELS[token[0]] for token in tokens): (score, bonus)
        for score, tokens, complete, _, bonus in decoder.hypotheses(16)
        if complete
    }


@settings(max_examples=80, deadline=None)
@given(spoken_texts, boosts_of_phrases, seeds, frame_counts)
def test_each_sentence_gets_what_its_phrases_add(
    texts: list[str], boosts: dict[str, float], seed: int, n_frames: int
) -> None:
    rows, graph = log_probs(seed, n_frames), graph_of(texts)
    plain = search(graph, {})
    plain.feed(rows)
    plain.finish()
    decoder = search(graph, boosts)
    decoder.feed(rows)
    decoder.finish()
    truth = {text: score + bonus_of(text, boosts) for text, (score, _) in found(plain).items()}
    got = found(decoder)
    assert got.keys() == truth.keys()  # all of them: eight are kept, and there are no more
    for text, (score, bonus) in got.items():
        assert score == pytest.approx(truth[text], abs=1e-4)
        assert bonus == pytest.approx(bonus_of(text, boosts), abs=1e-9)
    assert list(got) == sorted(got, key=lambda text: -got[text][0])


@settings(max_examples=30, deadline=None)
@given(spoken_texts, boosts_of_phrases, seeds, frame_counts)
def test_the_best_of_one_path_a_place_is_exact(
    texts: list[str], boosts: dict[str, float], seed: int, n_frames: int
) -> None:
    """Two ways into a place that differ in what a phrase may still add are kept apart."""
    rows, graph = log_probs(seed, n_frames), graph_of(texts)
    many, one = search(graph, boosts), search(graph, boosts, n=1)
    for decoder in (many, one):
        decoder.feed(rows)
        decoder.finish()
    assert one.stats["n_dropped"] == 0
    assert [score for score, *_ in one.hypotheses(1)] == pytest.approx([many.hypotheses(1)[0][0]], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(spoken_texts, boosts_of_phrases, boosts_of_phrases, seeds, st.integers(0, 6), st.integers(1, 8))
def test_words_that_come_and_go_leave_what_was_said(
    texts: list[str], boosts: dict[str, float], others: dict[str, float], seed: int, before: int, after: int
) -> None:
    """Hot words that are exchanged for others and back within a frame change nothing."""
    rows, graph = log_probs(seed, before + after), graph_of(texts)
    steady, restless = search(graph, boosts), search(graph, boosts)
    for decoder in (steady, restless):
        decoder.feed(rows[:before])
    set_hot_words(restless, others)
    set_hot_words(restless, boosts)
    for decoder in (steady, restless):
        decoder.feed(rows[before:])
        decoder.finish()
    got, truth = found(restless), found(steady)
    assert got.keys() == truth.keys()
    for text, (score, bonus) in got.items():
        assert (score, bonus) == pytest.approx(truth[text], abs=1e-6)


def sharp(text: str, p: float = 0.9) -> Array:
    """Frames of a text, each letter sure; _ is the blank."""
    rows = np.full((len(text), len(LABELS)), (1 - p) / 3, np.float32)
    for row, letter in zip(rows, text, strict=True):
        row[BLANK if letter == "_" else LABELS.index(letter)] = p
    return np.log(rows)


def grammar_decoder(sentences: list[str], **options: Any) -> Decoder:
    grammar = pynna.Grammar.from_sentences(sentences)
    return Decoder(LABELS, options=DecoderOptions(grammar=grammar, prior_scale=0.0, **options))


def test_a_hot_word_decides_between_what_was_heard_alike() -> None:
    either = np.log(np.array([[0.02, 0.5, 0.46, 0.02]] + [[0.02, 0.02, 0.02, 0.94]] * 2, np.float32))

    def heard(**hot: float) -> Any:
        decoder = grammar_decoder(["a", "b"], hot_words=hot)
        decoder.feed(either)
        return decoder.finish()

    assert heard().text == "a"
    assert heard(b=1.0).text == "b"
    assert heard(bb=1.0).text == "a"  # a whole word alone
    assert heard(a=-1.0).text == "b"
    assert heard(a=2.0).margin == pytest.approx(heard().margin + 2.0, abs=1e-6)
    assert heard(a=2.0).features == pytest.approx(heard().features, abs=1e-5)  # what was heard is no surer for it


def test_hot_words_of_a_grammar_change_while_it_runs() -> None:
    decoder = grammar_decoder(["a b a", "b a b", "a a a", "b b b"], hot_words={"b": 4.0})
    either = np.log(np.array([[0.02, 0.5, 0.46, 0.02], [0.02, 0.02, 0.02, 0.94], [0.94, 0.02, 0.02, 0.02]], np.float32))
    decoder.feed(either)
    decoder.hot_words = {"a": 4.0}
    assert dict(decoder.hot_words) == {"a": 4.0}
    decoder.feed(either)
    decoder.hot_words = {"b": 4.0}
    decoder.feed(either[:2])
    assert decoder.finish().text == "b a b"
    with pytest.raises(FinishedError):
        decoder.hot_words = {}


def test_a_phrase_under_way_counts_on_when_others_come_and_go() -> None:
    def heard(*sets: dict[str, float]) -> pynna.Result:
        decoder = grammar_decoder(["ab ab", "b", "aa ab"])
        for letter, hot in zip("ab_ ab", sets, strict=True):
            decoder.hot_words = hot
            decoder.feed(sharp(letter))
        return decoder.finish()

    plain, steady = heard(*[{}] * 6), heard(*[{"ab ab": 6.0}] * 6)
    restless = heard(*[{"ab ab": 6.0}, {"ab ab": 6.0, "b": 3.0}] * 3)
    assert steady.text == restless.text == plain.text == "ab ab"
    assert steady.score == pytest.approx(plain.score + 6.0, abs=1e-4)
    assert restless.score == pytest.approx(steady.score, abs=1e-4)


def test_a_great_boost_drops_nothing_that_may_still_win() -> None:
    """What was added for a phrase under way is taken back: until then it is no reason to drop another sentence."""
    decoder = grammar_decoder(["ab ab", "ab bb"], hot_words={"ab abb": 900.0})
    decoder.feed(sharp("ab b_b_"))
    assert decoder.finish().text == "ab bb"


def test_hot_words_beside_the_filler() -> None:
    """The filler ends a phrase and begins none; words on both sides of it count."""
    grammar = pynna.Grammar.from_sentences(["ab"]).with_filler()
    plain = Decoder(LABELS, options=DecoderOptions(grammar=grammar, prior_scale=0.0))
    hot = Decoder(LABELS, options=DecoderOptions(grammar=grammar, prior_scale=0.0, hot_words={"ab": 3.0, "b": 2.0}))
    for decoder in (plain, hot):
        decoder.feed(sharp("bb_ab_"))
        decoder.finish()
    assert hot.result().score == pytest.approx(plain.result().score + 3.0, abs=1e-4)


def test_hot_words_of_a_grammar_need_a_space() -> None:
    grammar = pynna.Grammar.from_sentences(["ab"])
    with pytest.raises(ArgumentError, match="space"):
        Decoder(("a", "b", ""), options=DecoderOptions(grammar=grammar, prior_scale=0.0, hot_words={"ab": 1.0}))
    with pytest.raises(ArgumentError, match="between words"):
        set_hot_words(_core.GraphDecoder(graph_of(["a"]), BLANK), {"a": 1.0})
    with pytest.raises(ArgumentError, match="東"):
        grammar_decoder(["ab"], hot_words={"東": 1.0})
