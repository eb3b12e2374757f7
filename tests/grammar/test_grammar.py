# SPDX-License-Identifier: Apache-2.0
"""Sentence files: what they accept, what it means, and what is told when they are wrong."""

from __future__ import annotations

import io
import itertools
import math
import random
import re

import numpy as np
import pytest
from hassil.expression import TextChunk
from hassil.intents import TextSlotList, TextSlotValue
from hassil.parse_expression import parse_sentence
from hassil.sample import sample_sentence
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pynna
from pynna.errors import GrammarError
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.grammar.marks import filler_text
from pynna.grammar.normalise import normalise
from pynna.grammar.numbers import number_words

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


def grammar(*sentences, **more):
    return Grammar.from_dict({"intents": {"Test": {"data": [{"sentences": list(sentences)}]}}, **more})


def accepted(g, limit=5000):
    return set(g.sentences(limit))


def accepts(automaton, text):
    state = automaton.start
    for c in text:
        state = automaton.arcs(state).get(LABELS.index(c), -1)
        if state < 0:
            return False
    return bool(automaton.is_final[state])


# ---- templates, against hassil's own sampler -----------------------------------------------------

words = st.sampled_from(["a", "on", "off", "lamp", "lamps", "the", "to", "be"])
templates = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(" ".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda i: f"({'|'.join(i)})"),
        inner.map(lambda i: f"[{i}]"),
        inner.map(lambda i: f"{i}[s]" if i[-1].isalpha() else i),
        st.just("{room}"),
    ),
    max_leaves=7,
)
ROOMS = ["kitchen", "bath room", "bed room"]


def hassil_sentences(template):
    rooms = TextSlotList("room", [TextSlotValue(TextChunk(r), r) for r in ROOMS])
    drawn = sample_sentence(parse_sentence(template), {"room": rooms}, {})
    return {" ".join(text.split()) for text in itertools.islice(drawn, 5000)}


@settings(max_examples=150, deadline=None)
@given(templates)
def test_the_automaton_accepts_what_hassil_draws_and_nothing_else(template):
    truth = hassil_sentences(f"go {template}")
    g = grammar(f"go {template}", lists={"room": {"values": ROOMS}})
    assert accepted(g) == truth
    assert g.automaton(LABELS).n_sentences() == len(truth)


@settings(max_examples=100, deadline=None)
@given(st.lists(templates, min_size=1, max_size=4))
def test_the_automaton_is_minimal_and_deterministic(several):
    a = grammar(*(f"go {t}" for t in several), lists={"room": {"values": ROOMS}}).automaton(LABELS)
    states = [(bool(a.is_final[s]), tuple(sorted(a.arcs(s).items()))) for s in range(a.n_states)]
    assert len(set(states)) == a.n_states  # acyclic, so two states that accept the same would be equal
    assert len(a.arc_label) == sum(len(arcs) for _, arcs in states)
    useful = {a.start}
    for s in range(a.n_states - 1, -1, -1):  # arcs lead to lower numbers
        if s in useful:
            useful.update(a.arcs(s).values())
    assert useful == set(range(a.n_states))


@settings(max_examples=100, deadline=None)
@given(st.lists(templates, min_size=1, max_size=4), st.integers(0, 2**32))
def test_parse_finds_a_template_for_every_sample(several, seed):
    g = grammar(*(f"go {t}" for t in several), lists={"room": {"values": ROOMS}})
    sentence = g.sample(random.Random(seed))
    match = g.parse(sentence.text)
    assert match is not None and match.text == sentence.text
    assert accepts(g.automaton(LABELS), sentence.text)
    assert g.parse(sentence.text + " nonsense") is None


def test_permutations_rules_ranges_and_values():
    g = grammar(
        "(red;big) car",
        "<polite> go {n}",
        "at {t} degrees",
        "to {place}",
        expansion_rules={"polite": "[(please|kindly)]"},
        lists={
            "n": {"range": {"from": 1, "to": 3}},
            "t": {"range": {"from": 20, "to": 21, "fractions": "halves"}},
            "place": {"values": ["home", {"in": "(the|my) office", "out": "work"}, {"in": 7, "out": "seven!"}]},
        },
    )
    assert {"red big car", "big red car", "please go one", "kindly go three", "go two"} <= accepted(g)
    assert g.parse("at twenty point five degrees").slots == {"t": 20.5}
    assert g.parse("at 21 degrees").slots == {"t": 21}
    assert g.parse("to my office").slots == {"place": "work"}
    assert g.parse("to seven").slots == {"place": "seven!"}
    assert g.parse("to her office") is None
    assert "to office" not in accepted(g)


def test_numbers_are_spoken_as_people_do():
    assert number_words(21.5) == ("twenty one point five", "twenty one and a half")
    assert number_words(-4) == ("minus four", "negative four")
    assert set(number_words(105)) == {f"{one} hundred {and_}five" for one in ("a", "one") for and_ in ("", "and ")}
    assert normalise("It's 21.5° & rising (fast) - Café!") == "it's twenty one point five degrees and rising fast cafe "


def test_intents_slots_and_replies():
    text = """
intents:
  Set:
    data:
      - sentences: ["set {what} to {level}"]
        slots: {unit: percent}
      - sentences: ["full {what}"]
        slots: {level: 100}
        response: full
  Ask: {data: [{sentences: ["what is (it|that)"], response: "It is {what}."}]}
lists:
  what: {values: [volume, brightness]}
  level: {range: {from: 0, to: 10}}
responses:
  Set: {default: "{what} is {level} {unit}", full: "all of {what}"}
"""
    g = Grammar.from_yaml(io.StringIO(text))
    assert g.intents == ("Set", "Ask")
    assert g.lists == {"what": ["volume", "brightness"]}
    match = g.parse("Set volume to 7!")
    assert (match.intent, match.slots, match.reply) == (
        "Set",
        {"what": "volume", "level": 7, "unit": "percent"},
        "volume is 7 percent",
    )
    assert g.parse("full brightness").reply == "all of brightness"
    assert g.parse("what is that").reply == "It is ."
    assert g.parse("what is") is None


def test_the_first_template_counts_and_literal_before_free():
    g = Grammar.from_dict(
        {
            "intents": {
                "Free": {"sentences": ["play {song}"]},
                "First": {"sentences": ["play [the] radio"]},
                "Second": {"sentences": ["play radio"]},
            },
            "lists": {"song": {"wildcard": True}},
        }
    )
    assert g.parse("play radio").intent == "First"
    assert g.parse("play let it be").slots == {"song": "let it be"}
    heard = "play " + filler_text("hey  jude ")
    assert g.parse(heard).slots == {"song": "hey jude"}
    assert g.parse(heard).text == "play hey jude"


def test_lists_can_be_replaced_and_the_old_grammar_stays():
    g = grammar("call {who} now", lists={"who": {"values": ["anna"]}, "x": {"wildcard": True}})
    new = g.with_lists({"who": ["bob", ("my (brother|bro)", "Tim")]})
    assert accepted(g) == {"call anna now"}
    assert accepted(new) == {"call bob now", "call my bro now", "call my brother now"}
    assert new.parse("call my bro now").slots == {"who": "Tim"}
    with pytest.raises(GrammarError, match="no list 'whom'; it has who"):
        g.with_lists({"whom": ["x"]})
    with pytest.raises(GrammarError, match="empty"):
        g.with_lists({"who": []})


def test_wake_words_and_filler():
    g = grammar("go left").with_wake_words(["computer", "hey car"])
    assert accepted(g) == {"computer go left", "hey car go left"}
    assert g.parse("hey car go left").text == "go left"
    assert accepted(grammar("go left").with_wake_words(["computer"], required=False)) == {
        "go left",
        "computer go left",
    }
    filled = g.with_filler()
    assert accepted(filled) == {
        f"{a}{w} go left{b}" for a in ("", "...") for b in ("", "...") for w in ("computer", "hey car")
    }
    assert filled.parse(filler_text("so ") + "computer go left" + filler_text(" now")).intent == "Test"
    with pytest.raises(GrammarError, match="wake word"):
        g.with_wake_words(["!"])


def test_plain_sentences():
    g = Grammar.from_sentences(["Play music", "play  music!", "Stop."])
    assert accepted(g) == {"play music", "stop"}
    assert g.parse("play music").intent == "play music"
    with pytest.raises(GrammarError, match="no sentence"):
        Grammar.from_sentences([])


# ---- heard ---------------------------------------------------------------------------------------


def ideal(sentence, n):
    """Log-probabilities of a sentence that was said clearly, n frames a letter and a blank between."""
    labels = [label for c in sentence for label in [LABELS.index(c)] * n + [len(LABELS) - 1]]
    rows = np.full((len(labels), len(LABELS)), 0.03 / (len(LABELS) - 1))
    rows[np.arange(len(labels)), labels] = 0.97
    return np.log(rows).astype(np.float32)


def best_alignment(rows, sentence):
    """The best path's log-probability through the sentence's labels and the blanks between."""
    places = [len(LABELS) - 1]
    for c in sentence:
        places += [LABELS.index(c), len(LABELS) - 1]
    skips = [j > 1 and j % 2 == 1 and places[j] != places[j - 2] for j in range(len(places))]
    score = np.full(len(places), -np.inf)
    score[:2] = rows[0, places[:2]]
    for row in rows[1:].astype(float):
        one, two = np.roll(score, 1), np.roll(score, 2)
        one[0], two[~np.array(skips)] = -np.inf, -np.inf
        score = np.maximum(score, np.maximum(one, two)) + row[places]
    return score[-2:].max()


@settings(max_examples=40, deadline=None)
@given(st.lists(templates, min_size=1, max_size=3), st.integers(0, 2**32))
def test_every_sentence_is_accepted_and_nothing_else_ever_comes_out(several, seed):
    g = grammar(*(f"go {t}" for t in several), lists={"room": {"values": ROOMS}})
    sentences, rng = accepted(g, 200), np.random.default_rng(seed)
    for sentence in sorted(sentences)[seed % 5 :: max(1, len(sentences) // 5)]:
        decoder = pynna.Decoder(LABELS, options=pynna.DecoderOptions(grammar=g))
        decoder.feed(ideal(sentence, 1 + seed % 3))
        result = decoder.finish()
        assert (result.text, result.intent, result.complete, result.accepted) == (sentence, "Test", True, True)
    z = rng.normal(0, 1.5, (rng.integers(1, 60), len(LABELS)))
    rows = (z - np.log(np.exp(z).sum(1, keepdims=True))).astype(np.float32)
    decoder = pynna.Decoder(LABELS, options=pynna.DecoderOptions(grammar=g, alternatives=8))
    decoder.feed(rows)
    result = decoder.finish()
    assert not result.complete or all(h.text in accepted(g) for h in result.alternatives)
    if len(sentences) == 200:
        return
    truth = max(best_alignment(rows, sentence) for sentence in sentences)
    exact = pynna._core.GraphDecoder(g.graph(LABELS), len(LABELS) - 1, margin=math.inf)
    for row in rows:
        exact.feed(row[None])
    exact.finish()
    assert exact.complete == (truth > -math.inf)
    if exact.complete:
        score, tokens = exact.tails(1)[0]
        assert "".join(LABELS[token[0]] for token in tokens) in sentences
        assert score == pytest.approx(truth, abs=1e-3)


# ---- what is told when a file is wrong -----------------------------------------------------------

HEAD = "intents:\n  A:\n    data:\n      - sentences:\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("intents: [", ":1: no YAML"),
        ("a: b", "no `intents:`"),
        ("- a", "no `intents:`"),
        ("intents: {}", "no sentence"),
        ("intents:\n  A: {data: []}", ":2: intent 'A' has no `data:`"),
        ("intents:\n  A: {data: [{sentences: []}]}", ":2: intent 'A': `sentences:`"),
        (HEAD + "          - go\n          - turn (on|off\n", ":6: 'turn (on|off'"),
        (HEAD + "          - go\n          - turn on]\n", ":6: 'turn on]'"),
        (
            HEAD + "          - call {who}\n",
            ":5: 'call {who}' names the list {who}, which is not there; there are no lists",
        ),
        (
            HEAD + "          - <x> go\nexpansion_rules: {y: z}\n",
            ":5: '<x> go' names the rule <x>, which is not there; there is y",
        ),
        (
            HEAD + "          - go <x>\nexpansion_rules:\n  x: a <y>\n  y: b <x>\n",
            ":7: the rule <x> contains itself: <x> -> <y> -> <x>",
        ),
        (HEAD + "          - go {l}\nlists:\n  l: {values: []}\n", ":7: list 'l' is empty"),
        (HEAD + "          - go {l}\nlists:\n  l: {values: x}\n", "list 'l' needs `values:`"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {from: 3, to: 1}}\n", "from 3 to 1"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {to: 1}}\n", "needs `from:` and `to:`"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {from: a, to: 1}}\n", "whole numbers"),
        (HEAD + "          - go {l}\nlists:\n  l: {values: [{out: 3}]}\n", "`in:` a text and `out:`"),
        (HEAD + "          - (a;b;c;d;e;f) go\n", ":5: '(a;b;c;d;e;f) go' has a permutation of 6 parts"),
        (HEAD + "          - go\n          - '[go] [on]'\n", ":6: '[go] [on]' may be empty"),
        (HEAD + "          - '!!!'\n", ":5: '!!!' may be empty"),
        (HEAD + "          - 5\n", "intent 'A': 5 among its `sentences:` is no text"),
        (HEAD + "          - go {l}\nlists:\n  l:\n    values:\n      - '[up] {l}'\n", ":9: the list 'l' contains it"),
        (HEAD + "          - go {l}\nlists:\n  l:\n    values:\n      - up\n      - '?!'\n", ":10: list 'l': a"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {from: 0.5, to: 3}}\n", ":7: the range's from, to and step"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {from: 0, to: 3, multiplier: x}}\n", "multiplier is 'x'"),
        (HEAD + "          - go {l}\nlists:\n  l: {range: {from: 0, to: 3, fractions: thirds}}\n", "are 'thirds'"),
        (HEAD + "          - go <r>\nexpansion_rules:\n  r: [a, b]\n", ":7: the rule <r> must be a sentence template"),
        (HEAD + "          - go\nresponses: {A: [b]}\n", ":2: intent 'A': its reply must be a text"),
        (
            HEAD
            + "          - <r30>\nexpansion_rules:\n  r0: a\n"
            + "".join(f"  r{i}: <r{i - 1}> <r{i - 1}>\n" for i in range(1, 31)),
            ":5: '<r30>' may have more than 10,000",
        ),
        (HEAD + f"          - {'a' * 10001}\n", "may have more than 10,000 letters"),
        (HEAD + f"          - '{'[' * 300}a{']' * 300} b'\n", ":5: '[[["),
        (HEAD + "          - " + "(" * 50000 + "\n", "no sentence template"),
        ("a: " + "[" * 500, ":1: nested more than 100 deep"),
        ("a: " + "[" * 50000, ":1: "),  # some parsers have a bound of their own
        ("a: 1\nb: 2\na: 3\n", ":3: the key 'a' is there twice"),
        ("a: *b\n", ":1: there is no anchor &b before *b"),
        ("a: &a [*a]\n", ":1: there is no anchor &a before *a"),
        ("a: 1\n---\nb: 1\n", ":2: a second document"),
        ("? [a]\n: b\n", ":1: a key must be"),
        ("a: !x [b]\n", ":1: the tag !x"),
        ("a: !!int b\n", ":1: 'b' is not what its tag"),
        ("<<: b\n", "`<<` takes a mapping"),
        ("a: b\nc: \x01\n", ":2: no YAML: "),
        ("intents:\n\tA: 1\n", ":2: no YAML: "),
    ],
)
def test_wrong_files_are_told_with_line_and_word(text, message):
    with pytest.raises(GrammarError, match=re.escape(message)):
        Grammar.from_yaml(io.StringIO(text))


def test_letters_that_the_alphabet_lacks_are_told():
    g = Grammar.from_yaml(io.StringIO(HEAD + "          - stop\n          - go to 東京 now\n"))
    with pytest.raises(GrammarError, match=r":6: '東京': the model's alphabet has no '東'"):
        g.automaton(LABELS)
    g = Grammar.from_yaml(io.StringIO(HEAD + "          - to {l}\nlists: {l: {values: [home,\n\n\n\n la 東]}}\n"))
    with pytest.raises(GrammarError, match=r":10: '東': the model's alphabet has no '東'"):
        g.automaton(LABELS)
    with pytest.raises(GrammarError, match=r"'東': the model's alphabet has no '東'"):
        grammar("go").with_wake_words(["hey 東"]).automaton(LABELS)


def test_yaml_is_read_as_people_mean_it():
    text = """
intents:
  Turn: &turn
    data:
      - sentences: ["turn it {state}", !!str 7]
        slots: {a: on, b: true, c: 2.5, d: ~, e: 0x1f}
  Again:
    <<: *turn
  Off: {<<: [*turn], sentences: [stop]}
lists: {state: {values: [on, off, no, y]}}
"""
    g = Grammar.from_yaml(io.StringIO(text))
    assert g.parse("turn it no").slots == {"state": "no", "a": "on", "b": True, "c": 2.5, "d": None, "e": 31}
    assert (g.intents, g.lists) == (("Turn", "Again", "Off"), {"state": ["on", "off", "no", "y"]})
    assert {"turn it off", "turn it y", "seven", "stop"} == accepted(g) - {"turn it on", "turn it no"}


def test_what_could_be_read_in_many_ways_is_read_at_once():
    g = grammar(" ".join(["[a]"] * 30) + " b {x} {y} {z}", lists={name: {"wildcard": True} for name in "xyz"})
    assert g.parse("a " * 25 + "c") is None
    assert g.parse("a " * 30 + "b " + "c " * 30).slots["x"] == "c"


def test_a_grammar_without_bounds_is_refused(monkeypatch):
    monkeypatch.setattr("pynna.grammar.grammar.FEW_STATES", 1000)
    monkeypatch.setattr("pynna.grammar.grammar.MAX_STATES", 2000)
    several = names(55, 4)
    g = grammar("set {n} {n}", lists={"n": several})
    assert 500 < g.automaton(LABELS).n_states < 1000  # too many for the first room, and few enough for the next
    with pytest.raises(GrammarError, match="more than 2,000 states"):
        grammar(*(f"set {i} {{n}} {i}" for i in "abcdefghijk"), lists={"n": several}).automaton(LABELS)


def test_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        Grammar.from_yaml(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GrammarError, match="UTF-8"):
        Grammar.from_yaml(tmp_path / "bytes.yaml")


MANGLED = {
    Grammar.from_yaml: """
intents:
  Turn: &turn
    data:
      - sentences: ["turn it {state}", "(a|b [c]) <rule> {n}", "(x;y) {temp}", "call {who:name}[ now]"]
        slots: {a: on, b: true}
        lists: {state: {values: [on, off]}}
  Again: {<<: *turn, expansion_rules: {rule: "[the] light"}}
lists:
  n: {range: {from: 0, to: 20, step: 2, fractions: halves}}
  temp: {range: {from: -5, to: 5, multiplier: 0.5}}
  who: {values: [home, {in: "aunt (mary|may)", out: 3}, 7, 2.5]}
expansion_rules: {rule: "<other> lamp", other: "[please] [do]"}
responses: {intents: {Turn: {default: "it is {state}"}}}
""",
    Grammar.from_jsgf: """#JSGF V1.0;
grammar a.b; // c
<n> = (one | two {n=2} | /0.3/ three)* ;
public <turn> = [please] turn (on | off) {state} <n> "the light"+ ; /* x */
public <stop> = <NULL> stop;
""",
}
pieces = st.sampled_from(
    [
        *"{}[]()<>|;:*+&!\"'\n-#=~@%\\é東\0",
        "  ",
        "- ",
        "<<",
        "/*",
        "!!int ",
        "0x",
        "1e9",
        "nan",
        "{state}",
        "<rule>",
        "null",
        "*turn",
        "range",
        "in",
        "out",
    ]
)
places = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("read", MANGLED, ids=lambda read: read.__name__)
@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(places, st.integers(0, 12), pieces | st.just("")), max_size=5), seed=st.integers(0, 99))
@example(edits=[(0.1875, 0, "\n"), (0.1875, 0, "\n")], seed=0)  # a line's end within a list's name
def test_mangled_files_are_refused_or_mean_what_they_say(read, edits, seed):
    text = MANGLED[read]
    for place, n_cut, piece in edits:
        at = int(place * (len(text) + 1))
        text = text[:at] + piece + text[at + n_cut :]
    try:
        g = read(io.StringIO(text))
        g.graph(LABELS)
    except GrammarError as error:
        assert "\n" not in str(error)
        return
    sentence = g.sample(random.Random(seed)).text
    assert g.parse(sentence) is not None
    assert accepts(g.automaton(LABELS), sentence)


# ---- the car's file, and size --------------------------------------------------------------------


def test_the_cars_file_knows_the_recorded_commands():
    g = Grammar.from_yaml(CAR_GRAMMAR)
    assert len(g.intents) >= 40
    recordings = CAR_GRAMMAR.parents[2] / "recordings" / "manifest.tsv"
    rows = [line.split("\t") for line in recordings.read_text().splitlines()[1:]]
    commands = [text for path, _, text in rows if "/" not in path]
    assert len(commands) >= 12
    assert [text for text in commands if g.parse(text) is None] == []
    assert g.parse("turn on the air conditioning").slots == {"state": "on"}
    rng = random.Random(1)
    for _ in range(200):
        sentence = g.sample(rng)
        match = g.parse(sentence.text)
        assert match is not None and (match.intent, match.slots) == (sentence.intent, sentence.slots)


def test_two_hundred_templates_with_lists_of_a_thousand_stay_small():
    rng = random.Random(2)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    names = sorted({"".join(rng.choices(syllables, k=rng.randint(2, 5))) for _ in range(1050)})[:1000]
    verbs = [
        f"{a}{b}"
        for a in ("call", "play", "show", "find", "open", "send", "read", "move", "take", "stop")
        for b in ("er", "ing", "ed", "s", "ers", "able", "ful", "ly", "y", "ness")
    ]
    sentences = [f"{v} [the] {{name}} [please]" for v in verbs] + [f"{v} to {{other}} now" for v in verbs]
    g = grammar(*sentences, lists={"name": names, "other": names[::-1]})
    graph = g.graph(LABELS)
    assert graph.n_bytes < 20e6
    assert g.automaton(LABELS).n_sentences() == 100 * 1000 * 4 + 100 * 1000
    assert g.parse(f"callers to {names[500]} now").slots == {"other": names[500]}


def names(n, seed):
    rng = random.Random(seed)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    made = set()
    while len(made) < n:
        made.add(" ".join("".join(rng.choices(syllables, k=rng.randint(2, 5))) for _ in range(rng.randint(1, 2))))
    return sorted(made)


@pytest.mark.parametrize(
    "template",
    [
        "{name} WORD [now]",
        "{name} WORD {other}",
        "({name};WORD) {other}",
        "[please] [can you] (WORD|be) [the] {other} [(and|or) {name}] [please]",
    ],
)
def test_lists_may_stand_anywhere(template):
    words = names(60, 1)
    lists = {"name": names(300, 2), "other": names(300, 3)}
    g = grammar(*(template.replace("WORD", word) for word in words), lists=lists)
    assert g.graph(LABELS).n_bytes < 2e6
    for seed in range(20):
        assert accepts(g.automaton(LABELS), g.sample(random.Random(seed)).text)


def test_the_package_shows_it():
    assert pynna.Grammar is Grammar


@pytest.mark.parametrize("language", ["x" * 300, "../../etc/passwd", "{{{{", "e\0n"])
def test_no_language_is_a_path(language):
    """Found by fuzzing: rules are looked up as a file of the language's name."""
    assert number_words(21, language) == number_words(21, "en")


def test_free_slots_are_looked_for_once(car: Grammar, monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone that opens asks for them, and others' steps must not wait for that."""
    asked = car.has_free_slots
    monkeypatch.setattr("pynna.grammar.grammar.has_wildcard", lambda _: pytest.fail("looked for again"))
    assert car.has_free_slots is asked
