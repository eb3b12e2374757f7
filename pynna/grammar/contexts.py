# SPDX-License-Identifier: Apache-2.0
"""Contexts: what a block of sentences asks of the values in it, and of what is known from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .expression import NOTHING, Alternative, Expression, Sequence, Slot, Value, ValueList, alternative, sequence

Context = Mapping[str, Any]


def bare(value: Any) -> Any:
    """A context's value, out of the mapping that may hold it under `value`."""
    return value.get("value") if isinstance(value, Mapping) else value


def _is_one_of(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Collection) and not isinstance(wanted, (str, bytes)):
        return any(actual == each for each in wanted)
    return bool(actual == wanted)


def allows(required: Context, excluded: Context, context: Context | None) -> bool:
    """Whether a context breaks none of the conditions; what it does not tell breaks none."""
    known = context or {}
    return all(
        key not in known or bare(wanted) is None or _is_one_of(bare(known[key]), bare(wanted))
        for key, wanted in required.items()
    ) and not any(key in known and _is_one_of(bare(known[key]), bare(value)) for key, value in excluded.items())


def is_given(required: Context, context: Context) -> bool:
    """Whether a context has all that is required."""
    return all(
        bare(context.get(key)) is not None if bare(wanted) is None else _is_one_of(bare(context.get(key)), bare(wanted))
        for key, wanted in required.items()
    )


def context_slots(required: Context, context: Context) -> dict[str, Any]:
    """The slots that a context fills: those of the required keys that say ``slot: true`` or a slot's name."""
    slots = {}
    for key, wanted in required.items():
        name = wanted.get("slot") if isinstance(wanted, Mapping) else None
        if name:
            slots[name if isinstance(name, str) else key] = bare(context.get(key))
    return slots


def permitted(values: ValueList, required: Context, excluded: Context) -> ValueList:
    """The values whose contexts break none of the conditions."""
    kept = [value for value in values.values if allows(required, excluded, value.context)]
    return values if len(kept) == len(values.values) else ValueList(kept, values.are_numbers)


def has_contexts(values: ValueList) -> bool:
    """Whether some value tells of its context."""
    return any(value.context for value in values.values)


class Carrying:
    """Expressions narrowed to the sentences in which some value tells of a key; the parts' are made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str], Expression] = {}
        self._lists: dict[tuple[int, str], ValueList] = {}

    def __call__(self, expression: Expression, key: str) -> Expression:
        if isinstance(expression, (Sequence, Alternative)):
            place = (id(expression), key)
            if place not in self._made:
                self._made[place] = self._narrow(expression, key)
            return self._made[place]
        return self._slot(expression, key) if isinstance(expression, Slot) else NOTHING

    def _narrow(self, expression: Sequence | Alternative, key: str) -> Expression:
        narrowed = [self(item, key) for item in expression.items]
        same = [new is old for new, old in zip(narrowed, expression.items, strict=True)]
        if isinstance(expression, Alternative):
            return expression if all(same) else alternative(narrowed)
        if any(same):
            return expression
        items = expression.items
        return alternative(
            sequence((*items[:i], new, *items[i + 1 :])) for i, new in enumerate(narrowed) if new is not NOTHING
        )

    def _slot(self, slot: Slot, key: str) -> Expression:
        def tells(value: Value) -> bool:
            return value.context is not None and bare(value.context.get(key)) is not None

        kept = [value for value in slot.values.values if tells(value)]
        if len(kept) == len(slot.values.values):
            return slot
        if not kept:
            return NOTHING
        place = (id(slot.values), key)
        if place not in self._lists:
            self._lists[place] = ValueList(kept, slot.values.are_numbers)
        return Slot(slot.name, self._lists[place], slot.reply_only)
