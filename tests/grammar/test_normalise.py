# SPDX-License-Identifier: Apache-2.0
"""Written text as it is spoken: numbers, signs, units, names; and the letters of the model's alphabet."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynna.errors import GrammarError
from pynna.grammar import Grammar
from pynna.grammar.normalise import ENGLISH, fold, normalise, spoken_forms
from pynna.grammar.numbers import number_words

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")
GERMAN = (*" abcdefghijklmnopqrstuvwxyzäöüß", "")


def said(text):
    return " ".join(normalise(text).split())


NAMES = {
    "CO₂ sensor": "c o two sensor", "Roku™ TV": "roku t v", "№ 5": "number five", "½ light": "one half light",
    "AC – office": "a c office", "“Big” lamp": "big lamp", "Don‘t": "don't",
    "21℃ probe": "twenty one degrees celsius probe",
    "A.C.": "a c", "Café lights": "cafe lights",
    # of each kind more
    "H₂O level": "h two o level", "PM2.5": "p m two point five", "Sonos® One": "sonos one",
    "Lamp №3": "lamp number three",
    "2½ bath": "two and a half bath", "USB-C port": "u s b c port", "Hall — up": "hall up", "„Old“ radio": "old radio",
    "Grandma’s lamp": "grandma's lamp", "70°F probe": "seventy degrees fahrenheit probe", "T.V. room": "t v room",
    "Señor’s piñata": "senor's pinata", "livingRoomLamp": "living room lamp", "kitchen_light_2": "kitchen light two",
    "light.hall": "light hall", "🔥 Heater": "heater", "#7 valve": "number seven valve", "R&B": "r and b",
    "Dr. Smith's office": "doctor smith's office", "LED strip": "l e d strip", "Søren’s Ærø": "soren's aero",
    "NAS, old": "n a s old", "3D printer": "three d printer", "iPhone": "i phone", "1st floor": "first floor",
}  # fmt: skip


@pytest.mark.parametrize("written", NAMES)
def test_names_are_said(written):
    assert said(written) == NAMES[written]
    g = Grammar.from_dict(
        {"intents": {"On": {"sentences": ["turn on {name}"]}}, "lists": {"name": {"values": [written]}}}
    )
    assert f"turn on {NAMES[written]}" in set(g.sentences())
    for typed in (f"turn on {NAMES[written]}", f"turn on {written}"):
        assert g.parse(typed).slots == {"name": written}


@pytest.mark.parametrize(
    ("written", "forms"),
    [
        ("1,000", {"one thousand"}), ("-5", {"minus five"}), ("1/2", {"one half", "a half", "half"}),
        ("−12", {"minus twelve"}), ("2nd", {"second"}), ("21st", {"twenty first"}),
        ("112th", {"one hundred and twelfth"}),
        ("3/4", {"three quarters"}), ("2/3", {"two thirds"}), ("1 1/2", {"one and a half"}),
        ("1,234,567", {"one million two hundred thirty four thousand five hundred sixty seven"}),
        ("0.5", {"zero point five"}), ("3.14", {"three point one four"}), ("2.5", {"two and a half", "two point five"}),
        ("5:30", {"five thirty", "half past five"}), ("12:05", {"twelve oh five", "five past twelve"}),
        ("17:45", {"seventeen forty five", "quarter to six"}), ("7:00", {"seven o'clock", "seven"}),
        ("7 am", {"seven a m"}), ("$5.50", {"five dollars fifty", "five dollars and fifty cents"}),
        ("£1", {"one pound"}),
        ("€20", {"twenty euros"}), ("100 km/h", {"one hundred kilometers per hour", "a hundred kilometres per hour"}),
        ("1 kg", {"one kilogram", "one kilo"}), ("20%", {"twenty percent"}), ("-3°C", {"minus three degrees celsius"}),
        ("1984", {"nineteen eighty four"}), ("2700", {"twenty seven hundred", "two thousand seven hundred"}),
        ("007", {"zero zero seven", "oh oh seven"}), ("5-10", {"five to ten"}), ("105", {"one hundred and five"}),
        ("24/7", {"twenty four seven"}), ("50/50", {"fifty fifty"}), ("3/2", {"three two", "three halves"}),
        ("18:30", {"eighteen thirty", "six thirty", "half past six"}), ("22:05", {"twenty two oh five", "ten oh five"}),
        ("18:00", {"eighteen hundred", "six o'clock"}),
        ("the 90s", {"the nineties"}), ("1905", {"nineteen oh five"}), ("2024", {"twenty twenty four"}),
    ],
)  # fmt: skip
def test_numbers_are_said_in_all_the_usual_ways(written, forms):
    assert forms <= {" ".join(form.split()) for form in spoken_forms(written)}


NUMBERS = """
intents:
  Set: {sentences: ["set it to {deg} [degrees]", "warm it by {part}"]}
  Go: {sentences: ["go to the {floor}"]}
  Lift: {sentences: ["lift {load} kilos"]}
lists:
  deg: {range: {from: -10, to: 30}}
  part: {range: {from: 0, to: 5, fractions: tenths}}
  floor: {values: ["1st floor", "2nd floor", "3rd floor", "21st floor"]}
  load: {values: [{in: "1,000", out: 1000}, {in: "-5", out: -5}, {in: "1/2", out: 0.5}]}
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("go to the second floor", "2nd floor"), ("go to the 21st floor", "21st floor"), ("lift minus five kilos", -5),
        ("lift one thousand kilos", 1000), ("lift 1,000 kilos", 1000), ("lift 1000 kilos", 1000),
        ("lift half kilos", 0.5),
        ("set it to minus five", -5), ("set it to five", 5), ("set it to -5", -5), ("set it to 5", 5),
        ("set it to −10 degrees", -10), ("set it to negative ten", -10), ("set it to 30°", 30), ("warm it by 2.3", 2.3),
        ("warm it by two point three", 2.3), ("warm it by two and a half", 2.5),
    ],
)  # fmt: skip
def test_numbers_keep_their_signs_and_fractions(text, value):
    assert list(Grammar.from_yaml(io.StringIO(NUMBERS)).parse(text).slots.values()) == [value]


@pytest.mark.parametrize(
    "text",
    ["set it to 123456789012345678901234", "set it to -11", "set it to 31", "set it to 1e400", "set it to 4.5",
     "set it to 9999999999999999999999999999999999999999999999.5", "lift 5 kilos", "go to the two nd floor"],
)  # fmt: skip
def test_what_is_no_number_of_the_grammar_is_no_sentence(text):
    assert Grammar.from_yaml(io.StringIO(NUMBERS)).parse(text) is None


@given(st.text(max_size=40))
def test_any_text_has_forms_in_order_and_without_capitals(text):
    forms = spoken_forms(text)
    assert 1 <= len(forms) <= 24 and len(set(forms)) == len(forms)
    assert normalise(text, letters=None) == forms[0]
    assert "  " not in forms[0] and not any(c.isascii() and c.isupper() for c in forms[0])


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_whole_numbers_are_words(number):
    for form in number_words(number):
        assert set(form) <= ENGLISH


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ru", "zh-TW"])
@pytest.mark.parametrize("number", [10**15, 10**15 + 7, 12345678901234567890])
def test_a_long_number_keeps_its_sign(number, language):
    (below,), (above,) = number_words(-number, language), number_words(number, language)
    assert below.endswith(" " + above) and number_words(-1, language)[0].startswith(below.removesuffix(above).strip())


@pytest.mark.parametrize("number", [0, 1, -7, 21, 1999, 2.5])
@pytest.mark.parametrize("language", ["de", "fr-FR", "es", "it", "nl", "ru", "pl", "zh-TW", "xx"])
def test_numbers_of_other_languages(number, language):
    forms = number_words(number, language)
    assert forms and all(form and not any(c.isdigit() for c in form) for form in forms)


def test_the_models_letters_and_language_are_followed():
    text = """
language: de
intents: {An: {sentences: ["(Küche|Straße) an", "auf {n}[ %]", "um {deg}°"]}}
lists: {n: {range: {from: 20, to: 22}}, deg: {values: ["-5"]}}
"""
    g = Grammar.from_yaml(io.StringIO(text))
    assert g.automaton(GERMAN).n_sentences() == g.automaton(LABELS).n_sentences()
    assert spells(g, GERMAN, "küche an", "straße an", "auf einundzwanzig prozent", "um minus fünf grad")
    assert not spells(g, GERMAN, "kuche an") and spells(g, LABELS, "kuche an", "strasse an", "um minus funf grad")
    for said in ("küche an", "kuche an", "Küche an"):
        assert g.parse(said).intent == "An"
    assert g.parse("auf einundzwanzig prozent").slots == {"n": 21} == g.parse("auf 21%").slots
    assert g.language == "de" and fold("küche", GERMAN) == "küche"


def spells(g, labels, *texts):
    a = g.automaton(labels)
    for text in texts:
        state = a.start
        for c in text:
            state = a.arcs(state).get(labels.index(c), -1) if state >= 0 else -1
        if state < 0 or not a.is_final[state]:
            return False
    return True


UNSPEAKABLE = (
    "intents: {On: {sentences: ['turn on {name}']}}\nlists:\n  name:\n    values:\n      - lamp\n      - 東京\n"
)


def test_a_name_that_cannot_be_said_is_told_and_left_out_if_asked_for():
    with pytest.raises(GrammarError, match=":6: '東京': the model's alphabet has no '東'"):
        Grammar.from_yaml(io.StringIO(UNSPEAKABLE)).automaton(LABELS)
    g = Grammar.from_yaml(io.StringIO(UNSPEAKABLE), skip_unspeakable=True)
    assert set(g.sentences()) == {"turn on lamp"}
    assert g.left_out(LABELS) == (":6: '東京' is left out: the model's alphabet has no '東'",)
    with pytest.raises(GrammarError, match="can spell none of its sentences"):
        Grammar.from_dict(
            {"intents": {"On": {"sentences": ["on {n}"]}}, "lists": {"n": {"values": ["東"]}}}, skip_unspeakable=True
        ).automaton(LABELS)


def test_a_value_may_be_said_otherwise_than_it_is_written():
    values = [{"in": "東京", "says": ["tokyo", "to kyo"]}, {"in": "Réunion", "says": "ray union", "out": 3}, "rome"]
    g = Grammar.from_dict({"intents": {"Go": {"sentences": ["go to {place}"]}}, "lists": {"place": {"values": values}}})
    assert set(g.sentences()) == {"go to tokyo", "go to to kyo", "go to ray union", "go to rome"}
    assert g.parse("go to tokyo").slots == {"place": "東京"} == g.parse("go to 東京").slots
    assert g.parse("go to réunion").slots == {"place": 3} == g.parse("go to reunion").slots


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Wi\u2011Fi 6E router", "wi fi six e router"),
        ("\u2116 7 lamp", "number seven lamp"),
        ("Mom\u2019s \u201cden\u201d", "mom's den"),
        ("Dr. M\u00fcller\u2019s lamp", "doctor muller's lamp"),
        ("R2-D2", "r two d two"),
        ("50/50 mix", "fifty fifty mix"),
        ("\u22125 \u00b0C freezer", "minus five degrees celsius freezer"),
    ],
)
def test_names_that_people_give_their_things(written, said):
    g = Grammar.from_dict(
        {"intents": {"On": {"sentences": ["turn on {name}"]}}, "lists": {"name": {"values": [written]}}}
    )
    for typed in (said, written):
        assert g.parse(f"turn on {typed}").slots == {"name": written}


@pytest.mark.parametrize("said", ["set it to -61", "set it to 61", "set it to 1e1"])
def test_numbers_out_of_a_range_are_no_sentence(said):
    g = Grammar.from_dict(
        {"intents": {"Set": {"sentences": ["set it to {t}"]}}, "lists": {"t": {"range": {"from": -60, "to": 60}}}}
    )
    assert g.parse("set it to \u22127").slots == g.parse("set it to negative seven").slots == {"t": -7}
    assert g.parse(said) is None


@pytest.mark.parametrize(
    ("language", "text"),
    [("ml", "മണിക്കൂർ"), ("hi", "नमस्ते"), ("th", "ภาษาไทย"), ("ta", "விளக்கு"), ("he", "שָׁלוֹם"), ("km", "ភ្លើង")],
)
def test_signs_stay_with_their_letters(language, text):
    written = unicodedata.normalize("NFC", text)
    assert normalise(f"{text}, {text}!", language, None) == f"{written} {written} "
    grammar = Grammar.from_dict({"language": language, "intents": {"A": {"data": [{"sentences": [f"{text} {text}"]}]}}})
    assert grammar.parse(f"{text} {text}") is not None
    assert spells(grammar, (" ", *sorted({*written}), ""), f"{written} {written}")
