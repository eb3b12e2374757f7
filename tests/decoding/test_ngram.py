# SPDX-License-Identifier: Apache-2.0
"""Language models from one's own text: KenLM reads them, and they are probabilities."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna import errors
from pynna.decoding.ngram import Ngrams, write_arpa

kenlm = pytest.importorskip("kenlm")

words = st.sampled_from(["on", "off", "turn", "the", "light"])
texts = st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(2, 4))
def test_each_context_has_a_distribution(tmp_path_factory: pytest.TempPathFactory, text: list[str], order: int) -> None:
    path = tmp_path_factory.getbasetemp() / "model.arpa"
    write_arpa(text, path, order)
    lm = pynna.LanguageModel(path)
    known = sorted({word for sentence in text for word in sentence.split()})
    assert (lm.order, sorted(lm.vocabulary.words)) == (order, known)
    start, state = kenlm.State(), kenlm.State()
    lm._model.BeginSentenceWrite(start)
    for context in itertools.chain([()], itertools.product(known, repeat=min(order, 2))):
        at = start
        for word in context:
            lm._model.BaseScore(at, word, state)
            at, state = state, kenlm.State()
        total = sum(10 ** lm._model.BaseScore(at, word, kenlm.State()) for word in [*known, "</s>", "<unk>"])
        assert total == pytest.approx(1.0, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(2, 4), st.integers(1, 2), st.lists(words, max_size=6))
def test_without_kenlm_as_with_it(
    tmp_path_factory: pytest.TempPathFactory, text: list[str], order: int, least: int, said: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "model.arpa"
    write_arpa(text, path, order, least)
    ours, theirs = Ngrams(path), kenlm.Model(str(path))
    context, total = ours.start, 0.0
    for word in said:
        score, context = ours.score(context, word)
        total += score
    assert total == pytest.approx(theirs.score(" ".join(said), eos=False), abs=1e-4)


def test_likely_sentences_are_likely(tmp_path: Path) -> None:
    path = tmp_path / "car.arpa"
    n = write_arpa(["increase the volume", "decrease the volume", "increase the temperature", ""], path)
    model = kenlm.Model(str(path))
    assert n == sum(int(line.split("=")[1]) for line in path.read_text().splitlines() if line.startswith("ngram"))
    assert model.score("increase the volume") > model.score("decrease the temperature") > model.score("volume the")


@pytest.mark.parametrize(
    "text, order, message",
    [([], 3, "no words"), ([" "], 3, "no words"), (["a <s> b"], 3, "<s>"), (["a"], 1, "2 to 6"), (["a"], 7, "2 to 6")],
)
def test_wrong_texts(tmp_path: Path, text: list[str], order: int, message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        write_arpa(text, tmp_path / "wrong.arpa", order)
