# SPDX-License-Identifier: Apache-2.0
"""Replies: texts with places, Jinja templates in a sandbox, and what only Home Assistant can tell."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pynna.errors import GrammarError
from pynna.grammar import Grammar

pytest.importorskip("jinja2")


def answering(reply: str) -> Grammar:
    """A grammar whose one sentence is answered so."""
    document: dict[str, Any] = {
        "intents": {"Set": {"data": [{"sentences": ["set [the] {name} [to {n}[ percent]]"], "response": "done"}]}},
        "lists": {
            "name": {"values": ["lamp", {"in": "big fan", "out": "fan.big"}]}, "n": {"range": {"from": 0, "to": 100}},
        },
        "responses": {"intents": {"Set": {"done": reply}}},
    }  # fmt: skip
    return Grammar.from_dict(document)


@pytest.mark.parametrize(
    ("reply", "text", "answer"),
    [
        ("{name} is at {n}", "set the lamp to five percent", "lamp is at 5"),
        ("{{ slots.name }} is at {{slots.n}}", "set the lamp to five percent", "lamp is at 5"),
        ("{{ name }}: {{ n }}.", "set lamp", "lamp: ."),
        ("{% if slots.n > 50 %}bright{% else %}dim{% endif %}", "set lamp to 60", "bright"),
        ("{% if slots.n > 50 %}bright{% else %}dim{% endif %}", "set lamp to 20", "dim"),
        ("{% if slots.n is defined %}{{ n }}{% else %}nothing{% endif %}", "set lamp", "nothing"),
        ("{% set x = slots.name | upper %}{{ x }}!", "set big fan", "FAN.BIG!"),
        ("{{ '%02d' % slots.n }} percent", "set lamp to 7", "07 percent"),
        ("{% for i in range(3) %} {{ i }}{% endfor %}", "set lamp", "0 1 2"),
        ("{# nothing #}well", "set lamp", "well"),
        ("{{ (slots.n / 3) | round(1) }}", "set lamp to 10", "3.3"),
    ],
)
def test_replies_are_rendered(reply, text, answer):
    grammar = answering(reply)
    assert grammar.parse(text).reply == answer and grammar.notes == ()


@pytest.mark.parametrize(
    ("reply", "lacks"),
    [
        ("{{ state.state_with_unit }}", "state"),
        ("{% if query.matched %}yes{% else %}no{% endif %}", "query"),
        ("It is {{ states('sensor.hall') }}", "states"),
        ("{{ now().hour }}", "now"),
        ("{{ state_attr('light.x', 'brightness') + 1 }}", "state_attr"),
        ("{% if is_state('light.x', 'on') %}on{% endif %}", "is_state"),
    ],
)
def test_what_only_a_home_can_tell_is_no_reply_and_a_note(reply, lacks):
    grammar = answering(reply)
    match = grammar.parse("set lamp")
    assert match.intent == "Set" and match.reply == ""
    assert len(grammar.notes) == 1 and f"needs {lacks}, which only Home Assistant knows" in grammar.notes[0]


@pytest.mark.parametrize(
    "reply", ["{% if %}", "{% endif %}", "{% set = 1 %}", "{% for i in %}x{% endfor %}", "{{ a | nofilter }}"]
)
def test_what_is_no_template_is_told(reply):
    with pytest.raises(GrammarError, match="is no Jinja template"):
        answering(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "{{ slots.time.hour }}", "{{ slots.n + 'x' }}", "{{ 1 / (slots.n - slots.n) }}",
        "{{ slots.__class__.__mro__ }}", "{% set _ = slots.update({'a': 1}) %}x",
    ],
)  # fmt: skip
def test_a_reply_that_cannot_be_rendered_is_empty_and_told_once(reply, caplog):
    from pynna.grammar.replies import _tell_once

    _tell_once.cache_clear()
    grammar = answering("{% set y = 1 %}" + reply)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert grammar.parse("set lamp to 5").reply == ""
    assert len(caplog.records) == 1 and "cannot be rendered" in caplog.text
