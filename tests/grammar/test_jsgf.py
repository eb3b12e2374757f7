# SPDX-License-Identifier: Apache-2.0
"""Grammars in JSGF: what they accept, what it means, and what is told when they are wrong."""

from __future__ import annotations

import io
import random
import re

import pytest

from pynna.errors import GrammarError
from pynna.grammar import Grammar

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


def jsgf(*rules, header="#JSGF V1.0;\n"):
    return Grammar.from_jsgf(io.StringIO(header + "\n".join(rules)))


def accepts(g, text):
    a = g.automaton(LABELS)
    state = a.start
    for c in text:
        state = a.arcs(state).get(LABELS.index(c), -1)
        if state < 0:
            return False
    return bool(a.is_final[state])


def agrees(g, *right, wrong=()):
    """Whether graph and parser both take these sentences, and neither takes those."""
    for text in right:
        assert accepts(g, text) and g.parse(text) is not None, text
    for text in wrong:
        assert not accepts(g, text) and g.parse(text) is None, text


JSGF = """#JSGF V1.0 UTF-8 en;
grammar car; // a comment
public <command> = <polite> (open {act=open} | close {act=close}) [the] (<thing>)+;
<polite> = [please];
<thing> = window {what=w} | "sun roof" {what=s} | /0.5/ door; /* another
one */
public <stop> = stop*
  now;
"""


def test_what_a_grammar_accepts_and_means():
    g = Grammar.from_jsgf(io.StringIO(JSGF))
    assert g.intents == ("command", "stop")
    assert {"please open the window", "close sun roof", "open door door", "now", "stop stop now"} <= set(
        g.sentences(500)
    )
    match = g.parse("please close the sun roof")
    assert (match.intent, match.slots) == ("command", {"act": "close", "what": "s"})
    assert g.parse("open") is None
    sentence = g.sample(random.Random(3))
    assert g.parse(sentence.text) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grammar x;", ":1: no JSGF"),
        ("#JSGF V1.0;\ngrammar g;\n<a> = b;", "no public rule"),
        ("#JSGF V1.0;\npublic <a> = b <c>;", ":2: there is no rule <c>"),
        (
            "#JSGF V1.0;\npublic <a> = b\n <c>; <c> = <a>;",
            ":3: the rule <a> contains itself: its sentences would never end",
        ),
        ("#JSGF V1.0;\nimport <x.y>;", ":2: import"),
        ("#JSGF V1.0;\npublic <a> = (b;", "needed"),
        ("#JSGF V1.0;\npublic <a> = b | ;", "is needed"),
        ("#JSGF V1.0;\npublic <a> = b", "the end of the file"),
        ("#JSGF V1.0;\npublic <a> = {x} b;", "is needed"),
        ('#JSGF V1.0;\npublic <a> = "b;', "not closed"),
        ("#JSGF V1.0;\npublic <a> = b;\n<a> = c;", ":3: the rule <a> is there twice"),
        ("#JSGF V1.0;\n\npublic <a> = [b];", ":3: the rule <a> may be empty"),
        ("#JSGF V1.0;\npublic <a> = " + "(" * 5000 + "b" + ")" * 5000 + ";", "<a>: its parts are nested too deeply"),
        ("#JSGF V1.0;\npublic <a> = <a> b | c;", ":2: the rule <a> contains itself before its end"),
        ("#JSGF V1.0;\npublic <a> = b /2/ c;", "'/2/' where `;` is needed"),
    ],
)
def test_wrong_jsgf_is_told(text, message):
    with pytest.raises(GrammarError, match=re.escape(message)):
        Grammar.from_jsgf(io.StringIO(text))


DIGITS = "<d> = zero | one | two | three | four | five | six | seven | eight | nine;"


@pytest.mark.parametrize("rule", ["dial <d>+", "dial <d> <d>*", "dial <ds>"])
@pytest.mark.parametrize("n", [1, 7, 9, 11, 40])
def test_a_repetition_has_no_bound(rule, n):
    g = jsgf(f"public <call> = {rule};", DIGITS, "<ds> = <d> | <d> <ds>;")
    digits = random.Random(n).choices("one two three nine".split(), k=n)
    agrees(g, f"dial {' '.join(digits)}", wrong=["dial", "dial one dial", f"dial {' '.join(digits)} x"])
    assert g.automaton(LABELS).n_states == jsgf(f"public <x> = dial {'<d>+'};", DIGITS).automaton(LABELS).n_states
    sentence = g.sample(random.Random(n))
    agrees(g, sentence.text)


@pytest.mark.parametrize(
    ("rules", "right", "wrong"),
    [
        (["public <a> = (go | turn left)* stop;"], ["stop", "go stop", "turn left go go stop"], ["go", "turn stop"]),
        (["public <a> = [please]* (x {n=1} | y)+ [now];"], ["x", "please please x y now"], ["please", "x now now"]),
        (["public <a> = <b> z; <b> = x <b> | y;"], ["y z", "x x y z"], ["x z", "y"]),
        (["public <a> = x <b> | v; <b> = y <a> | w <b>;"], ["v", "x w w y v", "x y x y v"], ["x", "x y", "w"]),
        (["public <a> = ((b)*)* c;"], ["c", "b b b c"], ["b"]),
    ],
)
def test_loops_and_right_recursion(rules, right, wrong):
    agrees(jsgf(*rules), *right, wrong=wrong)


@pytest.mark.parametrize("weight", ["/.15/", "/5e-2/", "/8f/", "/3.14e3/", "/ 10 /", "/2.D/"])
def test_weights_are_how_often_an_alternative_is_drawn(weight):
    g = jsgf(f"public <c> = {weight} lights on | /0/ lights off;")
    agrees(g, "lights on", "lights off")
    rng = random.Random(1)
    assert {g.sample(rng).text for _ in range(40)} == {"lights on"}


def test_void_and_null():
    g = jsgf("public <a> = go <NULL> (left | <VOID> | right <VOID>) [<VOID>];", "public <b> = <VOID> x;")
    assert set(g.sentences()) == {"go left"}
    with pytest.raises(GrammarError, match="no sentence"):
        jsgf("public <a> = <VOID>;")
    with pytest.raises(GrammarError, match=":2: <VOID> has its own meaning"):
        jsgf("public <a> = x; <VOID> = y;")


@pytest.mark.parametrize(
    "header", ["\n// mine\n#JSGF V1.0;\n", "/* a\nb */ #JSGF V1.0 UTF-8 en;\n", "\ufeff#JSGF V1.0;"]
)
def test_comments_and_blank_lines_may_stand_before_the_header(header):
    g = jsgf(
        "grammar com.acme.home;", "public <a> = <home.dev> | <com.acme.home.dev> on;", "<dev> = lamp;", header=header
    )
    assert set(g.sentences()) == {"lamp", "lamp on"}
    with pytest.raises(GrammarError, match=f":{header.count(chr(10)) + 1}: there is no rule <x>"):
        jsgf("public <a> = <x>;", header=header)


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        ("channel (33 | 105)", ["channel thirty three", "channel one hundred and five", "channel one hundred five"]),
        ("the 2nd TV", ["the second t v", "the second tv"]),
        ("at 5:30", ["at five thirty", "at half past five"]),
        ('"CO₂" sensor', ["c o two sensor"]),
        ("20% {level=20}", ["twenty percent"]),
        ("2700 kelvin", ["two thousand seven hundred kelvin", "twenty seven hundred kelvin"]),
    ],
)
def test_what_is_written_is_said_as_people_say_it(rule, right):
    agrees(jsgf(f"public <a> = {rule};"), *right)


def test_imports(tmp_path):
    (tmp_path / "com" / "acme").mkdir(parents=True)
    (tmp_path / "com" / "acme" / "rooms.jsgf").write_text(
        "#JSGF V1.0;\ngrammar com.acme.rooms;\npublic <room> = kitchen | <own>;\n<own> = my room;\n"
        "public <all> = everywhere;\n"
    )
    (tmp_path / "colors.gram").write_text("#JSGF V1.0;\ngrammar colors;\npublic <color> = red | blue;\n")
    main = tmp_path / "main.jsgf"
    main.write_text(
        "#JSGF V1.0;\ngrammar main;\nimport <com.acme.rooms.room>;\nimport <colors.*>;\n"
        "public <a> = light <room> <colors.color> | dim <com.acme.rooms.all>;\n"
    )
    g = Grammar.from_file(main)
    assert {"light my room red", "light kitchen blue", "dim everywhere"} <= set(g.sentences())
    for line, message in [
        (
            "import <com.acme.rooms.own>;",
            ":2: the grammar com.acme.rooms has no public rule <own>; there are room, all",
        ),
        ("import <nothing.x>;", ":2: the grammar nothing is not there; "),
        ("import <x>;", ":2: import needs <grammar.rule> or <grammar.*>"),
    ]:
        main.write_text(f"#JSGF V1.0;\n{line}\npublic <a> = b;\n")
        with pytest.raises(GrammarError, match=re.escape(message)):
            Grammar.from_file(main)
    with pytest.raises(GrammarError, match="only a grammar in a file can import"):
        jsgf("import <colors.color>;", "public <a> = <color>;")


def test_endings_tell_the_kind(tmp_path):
    for name in ("a.JSGF", "b.grammar", "c.gram"):
        (tmp_path / name).write_text("#JSGF V1.0;\npublic <a> = go;\n")
        assert Grammar.from_file(tmp_path / name).parse("go").intent == "a"
