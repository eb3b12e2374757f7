# SPDX-License-Identifier: Apache-2.0
"""Hot words, vocabularies and language models' words are taken as people write them."""

from __future__ import annotations

import gzip
from codecs import BOM_UTF8

import numpy as np
import pytest

from pynna.decoding.hot_words import HotWords
from pynna.decoding.language_model import LanguageModel, Vocabulary
from pynna.decoding.ngram import write_arpa

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("Tesla", "tesla"), ("model 3", "model three"), ("CO₂", "c o two"), ("Café", "cafe"), ("Don’t", "don't"),
        ("AC unit", "a c unit"), ("  rain   light ", "rain light"), ("21st floor", "twenty first floor"),
    ],
)  # fmt: skip
def test_hot_words_count_as_the_model_spells_them(written, spelled):
    made, known = HotWords({written: 6.0}, LABELS), HotWords({spelled: 6.0}, LABELS)
    assert np.array_equal(made.next, known.next) and np.allclose(made.bonus, known.bonus)


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        (["Increase", "THE", "Volume"], "increase the volume"),
        (["\ufeffincrease", "the", "volume"], "increase the volume"),
        (["Café", "7", "Don’t", "fußball"], "cafe seven don't fussball"), (["the", "The", "THE"], "the"),
        (["CO₂", "東京", "door"], "door"),
    ],
)  # fmt: skip
def test_vocabularies_count_as_the_model_spells_them(written, spelled):
    made, known = Vocabulary(written).tree(LABELS), Vocabulary(spelled.split()).tree(LABELS)
    for part, other in zip(made[:3], known[:3], strict=True):
        assert np.array_equal(part, other)
    assert np.array_equal(made[3] >= 0, known[3] >= 0)


def test_a_word_that_is_there_as_it_is_spelled_stands_before_one_that_is_not():
    tree = Vocabulary(["The", "the", "THE"]).tree(LABELS)
    assert [number for number in tree[3] if number >= 0] == [1]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", BOM_UTF8])
def test_a_language_models_words_too(tmp_path, zipped, mark):
    pytest.importorskip("kenlm")
    write_arpa(["open the door", "open the window"] * 3, tmp_path / "plain.arpa", 2)
    data = mark + (tmp_path / "plain.arpa").read_bytes().replace(b"door", b"Door").replace(b"open", b"OPEN")
    path = tmp_path / ("capitals.arpa.gz" if zipped else "capitals.arpa")
    path.write_bytes(gzip.compress(data) if zipped else data)
    made, known = LanguageModel(path), LanguageModel(tmp_path / "plain.arpa")
    for part, other in zip(made.vocabulary.tree(LABELS), known.vocabulary.tree(LABELS), strict=True):
        assert np.array_equal(part, other)
    for text in ("open", "door"):
        word = made.vocabulary.words.index(text.upper() if text == "open" else "Door")
        assert made._asker.ask(0, word)[0] == known._asker.ask(0, known.vocabulary.words.index(text))[0]
