# SPDX-License-Identifier: Apache-2.0
"""Grammars without the values that a model's alphabet cannot spell."""

from __future__ import annotations

from collections.abc import Iterator

from .expression import (
    NOTHING,
    Alternative,
    Expression,
    Loop,
    Reference,
    Sequence,
    Slot,
    Text,
    Value,
    ValueList,
    alternative,
    parts,
    sequence,
)
from .normalise import fold
from .wording import short


class Speakable:
    """Expressions without values that these letters cannot spell; `left_out` names them by file and line."""

    def __init__(self, letters: frozenset[str]) -> None:
        self.letters = letters
        self.left_out: dict[str, None] = {}
        self._made: dict[int, Expression] = {}
        self._lists: dict[int, ValueList] = {}
        self._kept: list[object] = []  # what is known by its id must live

    def __call__(self, expression: Expression) -> Expression:
        if isinstance(expression, Slot):
            values = self._speakable(expression.values)
            return Slot(expression.name, values, expression.reply_only) if values.values else NOTHING
        if not isinstance(expression, (Sequence, Alternative, Loop)):
            return expression
        if id(expression) not in self._made:
            self._kept.append(expression)
            inner = [self(part) for part in parts(expression)]
            if isinstance(expression, Sequence):
                made = sequence(inner)
            elif isinstance(expression, Loop):
                made = inner[0] if inner[0] is NOTHING else Loop(inner[0], expression.least)
            else:
                made = alternative(inner)
            self._made[id(expression)] = made
        return self._made[id(expression)]

    def _speakable(self, values: ValueList) -> ValueList:
        if id(values) not in self._lists:
            self._kept.append(values)
            kept = [value for value in values.values if self._is_speakable(value)]
            self._lists[id(values)] = values if len(kept) == len(values.values) else ValueList(kept, values.are_numbers)
        return self._lists[id(values)]

    def _is_speakable(self, value: Value) -> bool:
        for text in _texts(value.spoken):
            lacking = [c for c in fold(text.text, self.letters) if c != " " and c not in self.letters]
            if lacking:
                note = f"{text.where}{short(text.text)} is left out: the model's alphabet has no {lacking[0]!r}"
                self.left_out[note] = None
                return False
        return True


def _texts(expression: Expression) -> Iterator[Text]:
    if isinstance(expression, Text):
        yield expression
    elif not isinstance(expression, Reference):
        for part in parts(expression):
            yield from _texts(part)
