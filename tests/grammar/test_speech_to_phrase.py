# SPDX-License-Identifier: Apache-2.0
"""Home Assistant's short sentence sets, those of speech-to-phrase: each compiles for a model of its language."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pynna.grammar import Grammar

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
NUMBERLESS = {"ml"}
"""Languages whose numbers Unicode has no rules for: their ranges are left out, and named."""

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
        skip_unspeakable=language in NUMBERLESS,
    )  # fmt: skip
    labels = (" ", *letters, "")
    graph = grammar.graph(labels)
    assert graph.n_states > 500 and set(grammar.intents) == set(document["intents"])
    left_out = grammar.left_out(labels)
    assert bool(left_out) is (language in NUMBERLESS), left_out
    rng = random.Random(language)
    for _ in range(30):
        drawn = grammar.sample(rng)
        assert grammar.parse(drawn.text) is not None, drawn.text
