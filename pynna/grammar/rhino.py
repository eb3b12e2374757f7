# SPDX-License-Identifier: Apache-2.0
"""Contexts of Picovoice's Rhino in YAML as expressions.

``expressions`` are intents with sentences: of ``[a, b]`` one is said, of ``(a, b)`` one or none, ``$slot:name`` is a
value of a slot, ``@macro`` stands for one of the macro's texts. Rhino's own slots of numbers are known by their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pynna.errors import GrammarError

from .expression import EMPTY, Expression, Extent, Slot, Text, Value, ValueList, alternative, check, sequence
from .lists import no_other_keys
from .normalise import spoken_forms
from .numbers import number_words, ordinal_words
from .wording import are, short, where

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<slot>\$[\w.]+:\w+)|(?P<macro>@\w+)|(?P<sign>[()\[\],])|(?P<word>[^\s()\[\],$@]+)"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _numbers(last: int, unit: str = "") -> Callable[[], list[tuple[str, Any]]]:
    return lambda: [(f"{words}{unit}", n) for n in range(last + 1) for words in number_words(n)]


_OWN: dict[str, Callable[[], list[tuple[str, Any]]]] = {
    "pv.SingleDigitInteger": _numbers(9),
    "pv.TwoDigitInteger": _numbers(99),
    "pv.Percent": _numbers(100, " percent"),
    "pv.SingleDigitOrdinal": lambda: [(words, n) for n in range(1, 10) for words in ordinal_words(n)],
    "pv.TwoDigitOrdinal": lambda: [(words, n) for n in range(1, 100) for words in ordinal_words(n)],
    "pv.Alphabetic": lambda: [(letter, letter) for letter in _LETTERS],
    "pv.Alphanumeric": lambda: [(c, c) for c in _LETTERS] + [(number_words(n)[0], str(n)) for n in range(10)],
}


def parse(document: Any, file: str) -> list[tuple[str, Expression]]:
    """The intents' names and the expressions of their sentences."""
    context = document.get("context") if isinstance(document, Mapping) else None
    if not isinstance(context, Mapping) or not isinstance(context.get("expressions"), Mapping):
        raise GrammarError(f"{file}: no context of Rhino: it has `context:` with `expressions:`")
    no_other_keys(document, ("context",), f"{file}: the file", file)
    no_other_keys(context, ("expressions", "slots", "macros"), f"{file}: the context", file)
    reader = _Reader(file, _texts(context, "slots", file), _texts(context, "macros", file))
    return [
        (str(intent), reader.sentence(sentence))
        for intent, sentences in _texts(context, "expressions", file).items()
        for sentence in sentences
    ]


def _texts(context: Mapping[Any, Any], name: str, file: str) -> dict[str, list[Any]]:
    found = context.get(name) or {}
    if not isinstance(found, Mapping):
        raise GrammarError(f"{file}: `{name}:` must hold names and lists of texts")
    for key, texts in found.items():
        if not isinstance(texts, list) or not texts:
            raise GrammarError(f"{where(key, file)}{name[:-1]} {short(key)} must be a list of texts")
    return {str(key): texts for key, texts in found.items()}


class _Reader:
    def __init__(self, file: str, slots: dict[str, list[Any]], macros: dict[str, list[Any]]) -> None:
        self.file, self.slots, self.macros = file, slots, macros
        self.lists: dict[str, ValueList] = {}
        self.made: dict[str, Expression] = {}
        self.open: list[str] = []
        self.extents: dict[int, Extent] = {}

    def sentence(self, text: Any) -> Expression:
        """A sentence's expression."""
        at = where(text, self.file)
        try:
            expression = self.expression(text)
            check(expression, self.extents, f"{at}{short(text)}")
        except RecursionError:
            raise GrammarError(f"{at}{short(text)}: its parts are nested too deeply") from None
        return expression

    def expression(self, text: Any) -> Expression:
        """The expression of a sentence, or of a part of one."""
        at = where(text, self.file)
        tokens: list[tuple[str, str]] = []
        place, written = 0, str(text)
        while place < len(written):
            match = _TOKEN.match(written, place)
            if match is None:
                raise GrammarError(f"{at}{written[place:]!r} cannot stand in a sentence; a slot is $slot:name")
            if match.lastgroup != "space":
                tokens.append((match.lastgroup or "", match.group()))
            place = match.end()
        made, left = self._sequence(tokens, at)
        if left:
            raise GrammarError(f"{at}{left[0][1]!r} where the sentence's end is needed")
        return made

    def _sequence(self, tokens: list[tuple[str, str]], at: str) -> tuple[Expression, list[tuple[str, str]]]:
        items: list[Expression] = []
        while tokens and tokens[0] not in (("sign", ","), ("sign", "]"), ("sign", ")")):
            (kind, text), tokens = tokens[0], tokens[1:]
            if kind == "sign":
                item, tokens = self._choice(text, tokens, at)
            elif kind == "slot":
                item = self._slot(text, at)
            elif kind == "macro":
                item = self._macro(text[1:], at)
            else:
                item = _word(text, at)
            items.append(item)
        if not items:
            raise GrammarError(f"{at}a choice is empty; words, [one, of] or (perhaps) are right")
        return sequence(items), tokens

    def _choice(self, opened: str, tokens: list[tuple[str, str]], at: str) -> tuple[Expression, list[tuple[str, str]]]:
        items = []
        while True:
            item, tokens = self._sequence(tokens, at)
            items.append(item)
            if not tokens:
                raise GrammarError(f"{at}{opened!r} is not closed")
            sign, tokens = tokens[0][1], tokens[1:]
            if sign != ",":
                break
        if sign != {"(": ")", "[": "]"}[opened]:
            raise GrammarError(f"{at}{opened!r} is closed by {sign!r}")
        return alternative([*items, EMPTY] if opened == "(" else items), tokens

    def _slot(self, text: str, at: str) -> Expression:
        slot, _, name = text[1:].partition(":")
        if slot not in self.lists:
            if slot in _OWN:
                values: Iterable[Value] = [Value(Text(words), out) for words, out in _OWN[slot]()]
            elif slot in self.slots:
                values = [self._value(value) for value in self.slots[slot]]
            else:
                raise GrammarError(f"{at}there is no slot ${slot}; there {are([*self.slots, *_OWN], 'slot')}")
            self.lists[slot] = ValueList(values)
        return sequence((Text(" "), Slot(name, self.lists[slot]), Text(" ")))

    def _value(self, value: Any) -> Value:
        at = where(value, self.file)
        if isinstance(value, str) and re.search(r"[\[\](]", value):
            return Value(self.expression(value), str(value))
        forms = [form.strip() for form in spoken_forms(str(value))]
        if not forms[0]:
            raise GrammarError(f"{at}a slot's value is a text with letters, not {value!r}")
        return Value(alternative(Text(form, at) for form in forms), str(value) if isinstance(value, str) else value)

    def _macro(self, name: str, at: str) -> Expression:
        if name not in self.macros:
            raise GrammarError(f"{at}there is no macro @{name}; there {are(self.macros, 'macro')}")
        if name in self.open:
            raise GrammarError(f"{at}the macro @{name} contains itself; its sentences would never end")
        if name not in self.made:
            self.open.append(name)
            self.made[name] = alternative(self.expression(text) for text in self.macros[name])
            self.open.pop()
        return self.made[name]


def _word(word: str, at: str) -> Expression:
    return alternative(Text(f" {form.strip()} ", at) for form in spoken_forms(word))
