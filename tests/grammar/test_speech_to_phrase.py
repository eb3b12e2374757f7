# SPDX-License-Identifier: Apache-2.0
"""Home Assistant's short sentence sets, those of speech-to-phrase: each compiles for a model of its language."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pynna.grammar import Grammar
from pynna.grammar.numbers import number_words, ordinal_words

intents = pytest.importorskip("home_assistant_intents")
FOLDER = Path(intents.__file__).parent / "speech_to_phrase"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
LATIN = "abcdefghijklmnopqrstuvwxyz'"
LETTERS = {
    "ca": LATIN + "àçèéíïòóúü·-", "cs": LATIN + "áčďéěíňóřšťúůýž", "de": LATIN + "äöüß", "en": LATIN,
    "es": LATIN + "áéíñóúü", "fr": LATIN + "àâæçèéêëîïôœùûüÿ-", "it": LATIN + "àèéìíîòóùú",
    "ml": "".join(map(chr, range(0x0D00, 0x0D80))) + "\u200c\u200d", "nl": LATIN + "áèéëïóöü-",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя-", "sk": LATIN + "áäčďéíĺľňóôŕšťúýž", "sl": LATIN + "čšž",
}  # fmt: skip
"""A model's alphabet in each language."""
DOMAINS = ("light", "switch", "fan", "cover", "lock", "climate", "sensor", "media_player", "scene", "script", "valve",
           "vacuum", "person", "todo", "timer", "input_boolean", "binary_sensor", "weather", "lawn_mower",
           "siren")  # fmt: skip


def lists(letters: str) -> dict[str, list[Any]]:
    """Names that a voice can say in the alphabet, one a domain."""
    words = ["".join(letters[(i + 3 * k) % 26] for k in range(4)) for i in range(len(DOMAINS))]
    names = [(word, word, {"domain": domain}) for word, domain in zip(words, DOMAINS, strict=True)]
    return {"name": names, "area": words[:3], "floor": words[3:5]}


def test_all_languages_are_known():
    assert set(FILES) == set(LETTERS)


@pytest.mark.parametrize("language", FILES)
def test_it_compiles_and_means_what_it_says(language):
    letters = LETTERS[language]
    document = json.loads(FILES[language].read_text("utf-8"))
    grammar = Grammar.from_dict(
        document, language, lists=lists(letters), context={"area": ""}, language=language,
    )  # fmt: skip
    labels = (" ", *letters, "")
    graph = grammar.graph(labels)
    assert graph.n_states > 500 and set(grammar.intents) == set(document["intents"])
    assert not grammar.left_out(labels)
    rng = random.Random(language)
    for _ in range(30):
        drawn = grammar.sample(rng)
        assert grammar.parse(drawn.text) is not None, drawn.text


@pytest.mark.parametrize(
    ("number", "cardinal", "ordinal"),
    [
        (0, "പൂജ്യം", "പൂജ്യം"), (1, "ഒന്ന്", "ഒന്നാം"), (10, "പത്ത്", "പത്താം"), (17, "പതിനേഴ്", "പതിനേഴാം"),
        (40, "നാൽപ്പത്", "നാൽപ്പതാം"), (25, "ഇരുപത്തിയഞ്ച്", "ഇരുപത്തിയഞ്ചാം"),
        (99, "തൊണ്ണൂറ്റിയൊൻപത്", "തൊണ്ണൂറ്റിയൊൻപതാം"), (100, "നൂറ്", "നൂറാം"), (101, "നൂറ്റിയൊന്ന്", "നൂറ്റിയൊന്നാം"),
        (110, "നൂറ്റിപത്ത്", "നൂറ്റിപത്താം"), (999, "തൊള്ളായിരത്തിതൊണ്ണൂറ്റിയൊൻപത്", "തൊള്ളായിരത്തിതൊണ്ണൂറ്റിയൊൻപതാം"),
        (1500, "ആയിരത്തിയഞ്ഞൂറ്", "ആയിരത്തിയഞ്ഞൂറാം"), (29000, "ഇരുപത്തിയൊൻപതായിരം", "ഇരുപത്തിയൊൻപതായിരത്താം"),
        (100000, "ഒരു ലക്ഷം", "ഒരു ലക്ഷത്താം"), (30000000, "മൂന്ന് കോടി", "മൂന്ന് കോടിയാം"),
    ],
)  # fmt: skip
def test_numbers_in_malayalam(number, cardinal, ordinal):
    assert number_words(number, "ml")[0] == cardinal and ordinal_words(number, "ml") == (ordinal,)
    assert number_words(-number - 0.5, "ml-IN")[0] == f"മൈനസ് {cardinal} ദശാംശം അഞ്ച്"


def test_a_range_in_malayalam_is_heard_in_words():
    grammar = Grammar.from_dict(
        {
            "language": "ml",
            "intents": {"Dim": {"data": [{"sentences": ["{pct} ശതമാനം"]}]}},
            "lists": {"pct": {"range": {"from": 0, "to": 100}}},
        }
    )
    for said, meant in (("അൻപത്തിയാറ് ശതമാനം", 56), ("നൂറ് ശതമാനം", 100), ("ഒരു ശതമാനം", 1), ("7 ശതമാനം", 7)):
        assert (match := grammar.parse(said)) is not None and match.slots == {"pct": meant}, said
    assert grammar.parse("ഇരുനൂറ് ശതമാനം") is None
