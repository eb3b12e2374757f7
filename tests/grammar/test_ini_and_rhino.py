# SPDX-License-Identifier: Apache-2.0
"""Rhasspy's sentences.ini and Rhino's contexts: what they accept, mean, and what is told when they are wrong."""

from __future__ import annotations

import io
import random
import re

import pytest

from pynna.errors import GrammarError
from pynna.grammar import Grammar

INI = """# a comment
[Light]
name = ((living room lamp):light.one | ([the] kitchen light):light.two){name}
state = (on | off){state}
turn [the] <name> <state>
set <name> to (0..100,50){level} [percent]

[Other]
really <Light.name> $color{color} please
shut:close (up:) $days{day!upper}
(make it){do:heat} (20..22!int){t!float}
"""
RHINO = """
context:
  expressions:
    turn:
      - "[turn, switch] (all, the) lights $state:state (now)"
      - "@please make it $color:color"
    level:
      - "set $room:room to $pv.Percent:level"
      - "channel $pv.TwoDigitInteger:n"
  slots:
    state: ["on", "off"]
    color: [red, "2nd blue", "[light, pale] green"]
    room: [kitchen, TV room]
  macros:
    please: [please, "could you (please)"]
"""


def ini(text, **options):
    return Grammar.from_ini(io.StringIO(text), **options)


def rhino(text):
    return Grammar.from_rhino(io.StringIO(text))


SLOTS = {"color": ["red", "((light | pale) blue):lightblue"], "days": ["monday", "tuesday"]}


@pytest.mark.parametrize(
    ("text", "intent", "slots"),
    [
        ("turn the living room lamp on", "Light", {"name": "light.one", "state": "on"}),
        ("turn kitchen light off", "Light", {"name": "light.two", "state": "off"}),
        ("set the kitchen light to fifty percent", "Light", {"name": "light.two", "level": 50}),
        ("set living room lamp to 100", "Light", {"name": "light.one", "level": 100}),
        ("kitchen light red please", None, {}),
        ("shut up tuesday", "Other", {"day": "TUESDAY"}),
        ("make it twenty one", "Other", {"do": "heat", "t": 21.0}),
        ("set living room lamp to ten", None, {}),
        ("turn on", None, {}),
    ],
)
def test_sentences_ini(text, intent, slots):
    g = ini(INI, slots=SLOTS)
    match = g.parse(text)
    assert (match.intent if match else None, match.slots if match else {}) == (intent, slots)


def test_slots_of_ini_are_files_beside_it(tmp_path):
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots" / "color").write_text("# names\nred\n((light | pale) blue):lightblue\n")
    (tmp_path / "s.ini").write_text("[A]\npaint it $color{c}\n")
    g = Grammar.from_file(tmp_path / "s.ini")
    assert set(g.sentences()) == {"paint it red", "paint it light blue", "paint it pale blue"}
    assert g.parse("paint it pale blue").slots == {"c": "lightblue"}
    (tmp_path / "s.ini").write_text("[A]\npaint it $colour{c}\n")
    with pytest.raises(GrammarError, match=r"s.ini:2: there is no slot \$colour; .*slots/colour is right"):
        Grammar.from_file(tmp_path / "s.ini")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("go", ":1: 'go' stands before the first [section]"),
        ("[A]", "there is no sentence"),
        ("[A]\n(go", ":2: '(' is not closed"),
        ("[A]\ngo)", ":2: ')' where the line's end"),
        ("[A]\n<x> go", ":2: there is no rule <x>; in [A] there are none"),
        ("[A]\nx = <y>\ny = <x>\n<x>", ":3: the rule <x> contains itself"),
        ("[A]\n$c", ":2: the slot $c is not given"),
        ("[A]\ngo{x!hex}", ":2: there is no converter !hex; there are int"),
        ("[A]\ngo{}", ":2: {}: a slot needs a name"),
        ("[A]\n5..1", ":2: the range 5..1 is empty"),
        ("[A]\n[go]|x", ":2: '[go]|x' may be empty"),
        ("[A]\ngo{x!int}", ":2: !int: "),
    ],
)
def test_wrong_ini_is_told(text, message):
    with pytest.raises(GrammarError, match=re.escape(message)):
        ini(text)


@pytest.mark.parametrize(
    ("text", "intent", "slots"),
    [
        ("turn the lights on", "turn", {"state": "on"}),
        ("switch lights off now", "turn", {"state": "off"}),
        ("please make it red", "turn", {"color": "red"}),
        ("could you please make it second blue", "turn", {"color": "2nd blue"}),
        ("could you make it pale green", "turn", {"color": "[light, pale] green"}),
        ("set t v room to fifty five percent", "level", {"room": "TV room", "level": 55}),
        ("channel ninety nine", "level", {"n": 99}),
        ("turn all the lights on", None, {}),
        ("channel one hundred", None, {}),
    ],
)
def test_rhino(text, intent, slots):
    match = rhino(RHINO).parse(text)
    assert (match.intent if match else None, match.slots if match else {}) == (intent, slots)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b", "no context of Rhino"),
        ("context: {expressions: {a: []}}", ":1: expression 'a' must be a list of texts"),
        ("context:\n  expressions:\n    a:\n      - go $x:y", ":4: there is no slot $x"),
        ("context:\n  expressions:\n    a:\n      - go @x", ":4: there is no macro @x; there are no macros"),
        ("context:\n  expressions:\n    a:\n      - go (x]", ":4: '(' is closed by ']'"),
        ("context:\n  expressions:\n    a:\n      - go [x", ":4: '[' is not closed"),
        ("context:\n  expressions:\n    a:\n      - go $x", ":4: '$x' cannot stand in a sentence"),
        ("context:\n  expressions:\n    a:\n      - (x)", ":4: '(x)' may be empty"),
        ("context:\n  expressions:\n    a: ['@m']\n  macros: {m: ['x @m']}", ":4: the macro @m contains itself"),
        ("context: {expressions: {a: [b]}, rules: {}}", ":1: the context: the key 'rules' is not supported"),
    ],
)
def test_wrong_rhino_is_told(text, message):
    with pytest.raises(GrammarError, match=re.escape(message)):
        rhino(text)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_drawn_is_understood(seed, tmp_path):
    (tmp_path / "a.yml").write_text(RHINO)
    for g in (Grammar.from_file(tmp_path / "a.yml"), ini(INI, slots=SLOTS)):
        sentence = g.sample(random.Random(seed))
        match = g.parse(sentence.text)
        assert match is not None and match.intent == sentence.intent
