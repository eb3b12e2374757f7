# SPDX-License-Identifier: Apache-2.0
"""Sentence files of the kinds that people bring: for each kind more inputs, what they mean, and what can be said."""

from __future__ import annotations

import pytest
import yaml

from pynna.errors import GrammarError
from pynna.grammar import Grammar

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


def grammar_of(text, **options):
    return Grammar.from_dict({"language": "en", **yaml.safe_load(text)}, **options)


def spells(grammar, text):
    """Whether the search may hear a text."""
    automaton = grammar.automaton(LABELS)
    state = automaton.start
    for letter in text:
        state = automaton.arcs(state).get(LABELS.index(letter), -1) if state >= 0 else -1
    return state >= 0 and bool(automaton.is_final[state])


def meaning(grammar, text):
    match = grammar.parse(text)
    return None if match is None else (match.intent, match.slots)


OWN_RULES = """
intents:
  A: {data: [{sentences: ["<ask> <what> now"], expansion_rules: {what: "pressure"}}]}
  B: {data: [{sentences: ["<ask> <what> then"]}]}
  C: {data: [{sentences: ["<ask> <deep> soon"], expansion_rules: {what: "(wind|rain)", deep: "the <what>"}}]}
  D: {data: [{sentences: ["[<ask>] <what> later"], expansion_rules: {ask: "show", what: "<unit> level"}},
             {sentences: ["<ask> <what> never"]}]}
  E: {data: [{sentences: ["<ask> <outer> today"], expansion_rules: {what: "fog"}}]}
expansion_rules: {ask: "(tell|give) me [the]", what: "humidity", unit: "(oil|water)", outer: "<what> [level]"}
"""
OWN_LISTS = """
intents:
  A: {data: [{sentences: ["go to the {place}"], lists: {place: {values: [attic]}}}]}
  B: {data: [{sentences: ["drive to the {place}"]}]}
  C: {data: [{sentences: ["walk to the {place} <by>"], lists: {place: {values: [{in: hut, out: cabin}]}}}]}
  D: {data: [{sentences: ["wait {n} hours"], lists: {n: {range: {from: 1, to: 3}}}},
             {sentences: ["wait {n} days"]}]}
  E: {data: [{sentences: ["stay in {place}"], lists: {place: {wildcard: true}}}]}
lists: {place: {values: [cellar, shop]}, n: {range: {from: 10, to: 12}}}
expansion_rules: {by: "by the {place}"}
"""
CONTEXTS = """
skip_words: [please, "could you"]
intents:
  Fan: {data: [{sentences: ["set {name} to {pct} percent"], requires_context: {domain: fan}}]}
  Dim: {data: [{sentences: ["set {name} to {pct} percent"], requires_context: {domain: [light, lamp]}}]}
  Open: {data: [{sentences: ["open {name}"], requires_context: {domain: {value: cover, slot: true}}}]}
  Start: {data: [{sentences: ["start {name}"], excludes_context: {domain: [light, cover]}}]}
  Here: {data: [{sentences: ["lights on"], requires_context: {area: {slot: true}}}]}
  Away: {data: [{sentences: ["lights on"], excludes_context: {area: hall}}]}
lists:
  pct: {range: {from: 0, to: 100}}
  name: {values: [{in: desk lamp, out: desk, context: {domain: light}},
                  {in: floor lamp, out: floor, context: {domain: lamp}},
                  {in: big fan, out: fan, context: {domain: fan}}, {in: blind, out: blind, context: {domain: cover}},
                  {in: robot, out: robot}]}
"""
NUMBERS = """
intents:
  Temperature: {data: [{sentences: ["set it to {deg} [degrees]"]}]}
  Floor: {data: [{sentences: ["go to the {floor}"]}]}
  Load: {data: [{sentences: ["lift {load} kilos"]}]}
  Half: {data: [{sentences: ["wait {half} hours"]}]}
lists:
  deg: {range: {from: -20, to: 130}}
  floor: {values: ["1st floor", "12th floor", "33rd floor", "100th floor"]}
  load: {values: [{in: "2,500", out: 2500}, {in: "-12", out: -12}, {in: "3/4", out: 0.75}, {in: "0.5", out: 0.5}]}
  half: {range: {from: 1, to: 3, fractions: halves}}
"""


@pytest.mark.parametrize(
    ("file", "said", "means"),
    [
        (OWN_RULES, "tell me the pressure now", ("A", {})), (OWN_RULES, "tell me the humidity now", None),
        (OWN_RULES, "give me humidity then", ("B", {})), (OWN_RULES, "tell me the rain soon", ("C", {})),
        (OWN_RULES, "tell me the humidity soon", None), (OWN_RULES, "show oil level later", ("D", {})),
        (OWN_RULES, "tell me humidity later", None), (OWN_RULES, "give me the humidity never", ("D", {})),
        (OWN_RULES, "tell me fog level today", ("E", {})), (OWN_RULES, "tell me humidity today", None),
        (OWN_LISTS, "go to the attic", ("A", {"place": "attic"})), (OWN_LISTS, "go to the cellar", None),
        (OWN_LISTS, "drive to the shop", ("B", {"place": "shop"})), (OWN_LISTS, "drive to the attic", None),
        (OWN_LISTS, "walk to the hut by the hut", ("C", {"place": "cabin"})),
        (OWN_LISTS, "walk to the shop by the hut", None),
        (OWN_LISTS, "wait two hours", ("D", {"n": 2})), (OWN_LISTS, "wait eleven hours", None),
        (OWN_LISTS, "wait eleven days", ("D", {"n": 11})), (OWN_LISTS, "wait two days", None),
        (CONTEXTS, "set desk lamp to fifty percent", ("Dim", {"name": "desk", "pct": 50})),
        (CONTEXTS, "set floor lamp to 7 percent", ("Dim", {"name": "floor", "pct": 7})),
        (CONTEXTS, "could you set big fan to fifty percent", ("Fan", {"name": "fan", "pct": 50})),
        (CONTEXTS, "set blind to fifty percent", None), (CONTEXTS, "set robot to ten percent", None),
        (CONTEXTS, "open blind", ("Open", {"name": "blind", "domain": "cover"})), (CONTEXTS, "open robot", None),
        (CONTEXTS, "start robot please", ("Start", {"name": "robot"})),
        (CONTEXTS, "start big fan", ("Start", {"name": "fan"})),
        (CONTEXTS, "start desk lamp", None), (CONTEXTS, "start blind", None),
        (NUMBERS, "go to the twelfth floor", ("Floor", {"floor": "12th floor"})),
        (NUMBERS, "go to the thirty third floor", ("Floor", {"floor": "33rd floor"})),
        (NUMBERS, "go to the one hundredth floor", ("Floor", {"floor": "100th floor"})),
        (NUMBERS, "lift two thousand five hundred kilos", ("Load", {"load": 2500})),
        (NUMBERS, "lift minus twelve kilos", ("Load", {"load": -12})), (NUMBERS, "lift twelve kilos", None),
        (NUMBERS, "lift three quarters kilos", ("Load", {"load": 0.75})),
        (NUMBERS, "lift zero point five kilos", ("Load", {"load": 0.5})),
        (NUMBERS, "set it to minus twenty degrees", ("Temperature", {"deg": -20})),
        (NUMBERS, "set it to minus twenty one", None),
        (NUMBERS, "set it to one hundred and five", ("Temperature", {"deg": 105})),
        (NUMBERS, "set it to a hundred", ("Temperature", {"deg": 100})),
        (NUMBERS, "wait two and a half hours", ("Half", {"half": 2.5})),
    ],
)  # fmt: skip
def test_what_is_said(file, said, means):
    grammar = grammar_of(file)
    assert meaning(grammar, said) == means
    if said.replace(" ", "").isalpha():
        assert spells(grammar, said) is (means is not None)


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("set it to -20", ("Temperature", {"deg": -20})), ("set it to 105°", ("Temperature", {"deg": 105})),
        ("lift 2,500 kilos", ("Load", {"load": 2500})), ("lift 3/4 kilos", ("Load", {"load": 0.75})),
        ("lift ¾ kilos", ("Load", {"load": 0.75})), ("go to the 33rd floor", ("Floor", {"floor": "33rd floor"})),
        ("wait 2.5 hours", ("Half", {"half": 2.5})),
        *((f"set it to {n}", None) for n in ("1" * 24, "-9" * 20, "1" * 5000, "1e400", "٣" * 30, "1" + ",000" * 8)),
    ],
)  # fmt: skip
def test_what_is_typed(typed, means):
    assert meaning(grammar_of(NUMBERS), typed) == means


def test_a_place_that_is_known_from_outside():
    assert meaning(grammar_of(CONTEXTS, context={"area": "hall"}), "lights on") == ("Here", {"area": "hall"})


@pytest.mark.parametrize("name", ["東京", "שלום", "Ж", "مصباح", "Ω lamp"])
def test_a_name_that_cannot_be_said_is_told_and_the_rest_works(name):
    document = {
        "intents": {"On": {"data": [{"sentences": ["turn on {name}"]}]}},
        "lists": {"name": {"values": [name, "lamp"]}},
    }
    with pytest.raises(GrammarError, match="home.yaml"):
        Grammar.from_dict(document, "home.yaml").automaton(LABELS)
    grammar = Grammar.from_dict(document, "home.yaml", skip_unspeakable=True)
    assert spells(grammar, "turn on lamp") and len(grammar.left_out(LABELS)) == 1


def test_a_folder_of_two_languages_is_no_grammar(tmp_path):
    for language, sentence in (("en", "lights on"), ("en-GB", "lamps on"), ("de", "licht an")):
        (tmp_path / language).mkdir()
        (tmp_path / language / "a.yaml").write_text(
            f"language: {language}\nintents: {{On: {{data: [{{sentences: [{sentence}]}}]}}}}\n"
        )
    with pytest.raises(GrammarError, match=r"its language is 'en', and that of another file 'de'.*give the folder"):
        Grammar.from_yaml(tmp_path)
    both = Grammar.from_yaml([tmp_path / "en", tmp_path / "en-GB"])  # regions of one
    assert meaning(both, "lights on") == meaning(both, "lamps on") == ("On", {})


def test_sentences_alone_are_told_what_a_file_looks_like(tmp_path):
    (tmp_path / "list.txt").write_text("lights on\nlights off\n")
    with pytest.raises(GrammarError, match=r"there are no `intents:`.*: (intents: .*)$") as told:
        Grammar.from_file(tmp_path / "list.txt")
    example = str(told.value).rpartition("sentences: intents")[2]
    assert meaning(grammar_of("intents" + example), "lights on") == ("Lights", {})
