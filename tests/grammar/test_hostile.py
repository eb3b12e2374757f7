# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found in grammars: every one of these is refused with a GrammarError, none with another exception."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pynna.errors import ArgumentError, GrammarError
from pynna.grammar import Grammar
from pynna.grammar.numbers import number_words

FILE = """language: {}
intents: {{A: {{data: [{{sentences: ["set {{n}}"]}}]}}}}
lists: {{n: {}}}
"""
HUGE = "9" * 200


@pytest.mark.parametrize("language", ["en", "de", "xx"])
@pytest.mark.parametrize(
    "values",
    [
        "{values: [.inf]}",
        "{values: [-.inf]}",
        "{values: [.nan]}",
        f"{{values: [{HUGE}]}}",
        f"{{range: {{from: 0, to: {HUGE}}}}}",
        f"{{range: {{from: {HUGE}0, to: {HUGE}1}}}}",
        "{range: {from: 1, to: 2, multiplier: .inf}}",
        "{range: {from: 1, to: 2, multiplier: .nan}}",
        f"{{range: {{from: 1, to: 2, multiplier: {HUGE}}}}}",
    ],
)
def test_numbers_beyond_all_bounds_are_refused(language: str, values: str) -> None:
    with pytest.raises(GrammarError, match="100 digits"):
        Grammar.from_yaml(io.StringIO(FILE.format(language, values)))


def test_large_numbers_are_told_digit_by_digit() -> None:
    assert number_words(10**21)[0] == "one" + " zero" * 21
    for wrong in (float("inf"), float("nan"), 10**5000, -(10**100)):
        with pytest.raises(ArgumentError, match="finite"):
            number_words(wrong)


@pytest.mark.parametrize(
    "numbers", ["1..9" + "0" * 30, "1.." + "9" * 5000, "-" + "9" * 25 + "..5", "5..4", "0..100000"]
)
def test_ranges_of_an_ini_file_are_bounded(numbers: str) -> None:
    with pytest.raises(GrammarError):
        Grammar.from_ini(io.StringIO(f"[A]\na ({numbers}){{n}}\n"))


@pytest.mark.parametrize(
    "more",
    [
        "response: [a]",
        "response: {a: b}",
        "lists: {1: {values: [a]}}, expansion_rules: {2: b, c: <d>}",
    ],
)
def test_parts_of_another_kind_are_refused(more: str) -> None:
    document = f"""intents: {{A: {{data: [{{sentences: ["set <c> [to] <x>"], {more}}}]}}}}
expansion_rules: {{x: "{{y}}"}}
"""
    with pytest.raises(GrammarError):
        Grammar.from_yaml(io.StringIO(document))


@pytest.mark.parametrize("given", [{"lists": 1}, {"context": [1]}, {"lists": {"a": None}}, {"lists": {"a": "texts"}}])
def test_lists_and_contexts_of_another_kind_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="must"):
        Grammar.from_dict({"intents": {"A": {"data": [{"sentences": ["go"]}]}}}, **given)


def test_contexts_may_hold_anything() -> None:
    block = {"sentences": ["go"], "requires_context": {"a": b"x", "d": [[1], {}]}}
    document = {"intents": {"A": {"data": [block]}}}
    assert Grammar.from_dict(document, context={"a": b"x", "d": [1]}).parse("go") is not None
    for context in ({"a": "x"}, {"a": [1]}, {"d": [2]}, {"d": {}}):
        with pytest.raises(GrammarError, match="no sentence"):
            Grammar.from_dict(document, context=context)


def test_lists_from_outside_do_not_hide_that_the_files_own_are_none() -> None:
    with pytest.raises(GrammarError, match="lists"):
        Grammar.from_dict({"intents": {}, "lists": 5}, lists={"a": ["b"]})


@pytest.mark.parametrize("value", ["1e999", "nan", "-inf"])
def test_what_is_no_number_is_not_made_one(value: str) -> None:
    with pytest.raises(GrammarError, match="!int"):
        Grammar.from_ini(io.StringIO(f"[A]\ngo (one:{value}){{n!int}}\n"))
