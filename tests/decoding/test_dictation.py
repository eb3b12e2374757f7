# SPDX-License-Identifier: Apache-2.0
"""What is said without a grammar: the model's own language model, unless told otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import pynna
from pynna.decoding.decoder import Decoder
from pynna.model import DEFAULT_MODEL


@pytest.fixture(scope="module")
def model() -> pynna.Model:
    return pynna.load()


def spelled(text: str, faint: dict[int, str], labels: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Log-probabilities of a text; instead of the letters numbered in `faint` another one is a little likelier."""
    p = np.full((2 * len(text), len(labels)), 1e-4)
    for i, letter in enumerate(text):
        p[2 * i, labels.index(letter)], p[2 * i + 1, -1] = 1.0, 1.0
        if i in faint:
            p[2 * i, labels.index(faint[i])] = 2.0
    return np.asarray(np.log(p / p.sum(axis=1, keepdims=True)), np.float32)


def heard(model: pynna.Model, text: str, faint: dict[int, str], **options: None) -> str:
    decoder = Decoder(model.labels, options=model.decoder_options(passes=1, **options))
    decoder.feed(spelled(text, faint, model.labels))
    return decoder.finish().text


def test_words_are_spelled_as_they_are_written(model: pynna.Model) -> None:
    text = "turn on the light"
    assert heard(model, text, {14: "k"}, language_model=None) == "turn on the likht"
    assert heard(model, text, {14: "k"}) == text


def test_words_that_it_does_not_know_are_spelled_where_the_network_is_sure(model: pynna.Model) -> None:
    own = model.dictation_model
    assert own is not None and "zorbolax" not in own.vocabulary.words
    assert heard(model, "turn on the zorbolax", {}) == "turn on the zorbolax"


def test_who_gets_it(model: pynna.Model) -> None:
    own = model.dictation_model
    assert model.decoder_options().language_model is own
    assert model.stream().decoder.options.language_model is own
    assert model.listen().options.language_model is own
    assert model.group().stream().decoder.options.language_model is own
    assert model.decoder_options(language_model=None).language_model is None
    assert model.decoder_options(beam_width=0).language_model is None
    assert model.decoder_options(vocabulary=pynna.Vocabulary(["turn"])).language_model is None
    assert model.decoder_options(hot_words={"tesla": 6.0}).language_model is own


def test_a_model_without_one_does_without(tmp_path: Path) -> None:
    path = tmp_path / "mine.nna"
    shutil.copy(DEFAULT_MODEL, path)
    assert pynna.load(path).decoder_options().language_model is None
    (tmp_path / "mine.arpa.gz").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\tküche\n-1\t<unk>\n\\end\\\n")
    other = pynna.load(path)  # words that its labels cannot spell
    assert other.language_model is not None and other.decoder_options().language_model is None
