# SPDX-License-Identifier: Apache-2.0
"""What a sentence template is made of; drawing from it, and matching text with it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pynna.errors import GrammarError
from pynna.grammar.marks import FIRST_FILLER, LAST_FILLER

from .normalise import ENGLISH, fold

Slots = dict[str, Any]
AS_SAID = object()
"""In place of what a value stands for: the text that was said."""


class Capture(NamedTuple):
    """A list's value, or free text, that was matched. `reply_only`: it is no slot, but known to replies. `letters`: how
    many of the sentence a list's value takes, 0 of free text."""

    name: str
    value: Any
    context: Mapping[str, Any] | None = None
    reply_only: bool = False
    letters: int = 0


Found = tuple[int, int, tuple[Capture, ...]]
"""Where a match ends, what it costs, and what was captured. Of the ways to the same end only the cheapest is told."""

WILDCARD_COST, LITERAL_GAIN = 1 << 40, 1 << 20
"""A match is better the fewer wildcards it has, then the more literal letters, then the fewer letters in wildcards."""


def _wildcards_cost(cost: int) -> int:
    """A cost without what literal letters gain."""
    return (-(-cost >> 40) << 40) + cost % LITERAL_GAIN


def is_filler(character: str) -> bool:
    """Whether a character was heard in the filler."""
    return FIRST_FILLER <= ord(character) <= LAST_FILLER


def plain(text: str) -> str:
    """What the filler heard as ordinary text."""
    return "".join(chr(ord(c) - FIRST_FILLER) if is_filler(c) else c for c in text)


class Reading:
    """A sentence that is being matched; `folded`: it has the letters of English alone, whatever the grammar has."""

    def __init__(self, text: str, folded: bool = False) -> None:
        self.text, self.folded = text, folded
        self.words = frozenset(text.split())
        self._found: dict[tuple[int, int], list[Found]] = {}

    def ends(self, expression: Expression, at: int) -> list[Found]:
        """The ends of what an expression matches from `at` on."""
        if isinstance(expression, Text):
            return expression.match(self, at)
        key = (id(expression), at)
        if key not in self._found:
            self._found[key] = []  # met again at the same place it would never end
            self._found[key] = expression.match(self, at)
        return self._found[key]


def _best(found: Iterable[Found]) -> list[Found]:
    """The cheapest of each end, the first of equal ones."""
    best: dict[int, Found] = {}
    for way in found:
        if way[0] not in best or way[1] < best[way[0]][1]:
            best[way[0]] = way
    return list(best.values())


@dataclass(frozen=True, eq=False)
class Text:
    """Literal text, normalised; a space stands for the gap between words, or for nothing at a sentence's ends."""

    text: str
    where: str = ""

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        return self.text

    def match(self, reading: Reading, at: int) -> list[Found]:
        text, start = reading.text, at
        for c in fold(self.text, ENGLISH) if reading.folded else self.text:
            if at < len(text) and text[at] == c:
                at += 1
            elif c != " " or not (at in (0, len(text)) or text[at - 1] == " "):
                return []
        return [(at, -LITERAL_GAIN * len(text[start:at].strip()), ())]


@dataclass(frozen=True, eq=False)
class Sequence:
    """One after the other."""

    items: tuple[Expression, ...]

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        return "".join(item.sample(rng, captures) for item in self.items)

    def match(self, reading: Reading, at: int) -> list[Found]:
        ways: list[Found] = [(at, 0, ())]
        for item in self.items:
            ways = _best(
                (end, cost + more, captures + others)
                for place, cost, captures in ways
                for end, more, others in reading.ends(item, place)
            )
            if not ways:
                break
        return ways


@dataclass(frozen=True, eq=False)
class Alternative:
    """One of these; of none, nothing is right. `weights`, if any, are how often each is drawn."""

    items: tuple[Expression, ...]
    weights: tuple[float, ...] = ()

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        if self.weights and any(self.weights):
            return rng.choices(self.items, self.weights)[0].sample(rng, captures)
        return rng.choice(self.items).sample(rng, captures)

    def match(self, reading: Reading, at: int) -> list[Found]:
        return _best(way for item in self.items for way in reading.ends(item, at))


@dataclass(frozen=True, eq=False)
class Loop:
    """Something over and over: at least `least` times, 0 or 1."""

    body: Expression
    least: int = 1

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        n_times = self.least
        while n_times < 4 and rng.random() < 0.5:
            n_times += 1
        return "".join(self.body.sample(rng, captures) for _ in range(n_times))

    def match(self, reading: Reading, at: int) -> list[Found]:
        done: dict[int, Found] = {} if self.least else {at: (at, 0, ())}
        waiting: dict[int, Found] = {at: (at, 0, ())}
        while waiting:
            place, cost, captures = waiting.pop(min(waiting))
            for end, more, others in reading.ends(self.body, place):
                way = (end, cost + more, captures + others)
                if end not in done or way[1] < done[end][1]:
                    done[end] = way
                    if end > place:
                        waiting[end] = way
        return list(done.values())


@dataclass(eq=False)
class Reference:
    """A rule that is not made yet, for it contains itself."""

    name: str
    target: Expression | None = field(default=None, repr=False)

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        assert self.target is not None
        return self.target.sample(rng, captures)

    def match(self, reading: Reading, at: int) -> list[Found]:
        assert self.target is not None
        return reading.ends(self.target, at)


@dataclass(frozen=True, eq=False)
class Value:
    """A value of a list: how it is spoken, what it stands for, and what it tells of its context.

    `typed`, if any, is text that counts as the value where it is read, but that nobody says.
    """

    spoken: Expression
    out: Any
    context: Mapping[str, Any] | None = None
    typed: Expression | None = None


class ValueList:
    """A list's values. Plain forms are found by their text. Letters of numbers alone count as literal ones."""

    def __init__(self, values: Iterable[Value], are_numbers: bool = False) -> None:
        self.values, self.are_numbers = tuple(values), are_numbers
        self._tables: dict[bool, tuple[dict[str, Value], list[int]]] = {}
        self.templates = [
            (form, value) for value in self.values for form in _forms(value, True) if not isinstance(form, Text)
        ]

    def spoken(self) -> list[Expression]:
        """What may be said."""
        return [form for value in self.values for form in _forms(value, False)]

    def _table(self, folded: bool) -> tuple[dict[str, Value], list[int]]:
        if folded not in self._tables:
            table: dict[str, Value] = {}
            for value in self.values:
                for form in _forms(value, True):
                    if isinstance(form, Text):
                        text = form.text.strip()
                        table.setdefault(fold(text, ENGLISH) if folded else text, value)
            self._tables[folded] = table, sorted({len(form) for form in table}, reverse=True)
        return self._tables[folded]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": {}}

    def match(self, reading: Reading, at: int) -> list[tuple[int, int, Value, tuple[Capture, ...]]]:
        """Ends, costs, values and what was captured within, the longest plain forms first."""
        text, (table, lengths) = reading.text, self._table(reading.folded)
        found = []
        for length in lengths:
            value = table.get(text[at : at + length])
            if value is not None and at + length <= len(text):
                found.append((at + length, -LITERAL_GAIN * length, value, ()))
        return found + [
            (end, cost, value, captures)
            for form, value in self.templates
            for end, cost, captures in reading.ends(form, at)
        ]


def _forms(value: Value, is_read: bool) -> list[Expression]:
    """A value's forms, alternatives one by one."""
    forms = [value.spoken] + ([value.typed] if is_read and value.typed is not None else [])
    return [
        item
        for form in forms
        for item in (form.items if isinstance(form, Alternative) and not form.weights else (form,))
    ]


@dataclass(frozen=True, eq=False)
class Slot:
    """A value of a list, which fills a slot."""

    name: str
    values: ValueList
    reply_only: bool = False

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        value = rng.choice(self.values.values)
        spoken = value.spoken.sample(rng, captures)
        out = " ".join(spoken.split()) if value.out is AS_SAID else value.out
        captures.append(Capture(self.name, out, value.context, self.reply_only))
        return spoken

    def match(self, reading: Reading, at: int) -> list[Found]:
        found = []
        for end, cost, value, captures in self.values.match(reading, at):
            said = reading.text[at:end].strip()
            out = said if value.out is AS_SAID else value.out
            cost = cost if self.values.are_numbers else _wildcards_cost(cost)
            found.append((end, cost, (*captures, Capture(self.name, out, value.context, self.reply_only, len(said)))))
        return _best(found)


@dataclass(frozen=True, eq=False)
class Wildcard:
    """The filler, whose text fills a slot."""

    name: str
    reply_only: bool = False

    def sample(self, rng: random.Random, captures: list[Capture]) -> str:
        captures.append(Capture(self.name, "something", None, self.reply_only))
        return "something"

    def match(self, reading: Reading, at: int) -> list[Found]:
        text, end = reading.text, at
        while end < len(text) and is_filler(text[end]):
            end += 1
        if end > at:
            return [self._found(end, " ".join(plain(text[at:end]).split()))]
        start = at + (text[at : at + 1] == " ")
        return [  # text that was typed: up to some word's end
            self._found(end, text[start:end])
            for end in range(start + 1, len(text) + 1)
            if end == len(text) or text[end] == " "
        ]

    def _found(self, end: int, said: str) -> Found:
        return end, WILDCARD_COST + len(said), (Capture(self.name, said, None, self.reply_only),)


Expression = Text | Sequence | Alternative | Loop | Reference | Slot | Wildcard
NOTHING, EMPTY = Alternative(()), Text("")
"""What no text matches, and what the empty one does."""


def sequence(items: Iterable[Expression]) -> Expression:
    """One after the other; nothing if one of them is."""
    made = tuple(items)
    if any(item is NOTHING for item in made):
        return NOTHING
    return made[0] if len(made) == 1 else Sequence(made)


def alternative(items: Iterable[Expression]) -> Expression:
    """One of these, those that are nothing left out."""
    made = tuple(item for item in items if item is not NOTHING)
    return (made[0] if len(made) == 1 else Alternative(made)) if made else NOTHING


def parts(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is put together from."""
    if isinstance(expression, (Sequence, Alternative)):
        return expression.items
    if isinstance(expression, Loop):
        return (expression.body,)
    if isinstance(expression, Slot):
        return tuple(expression.values.spoken())
    return ()


MAX_LETTERS, MAX_DEPTH = 10_000, 200
"""Of a sentence: more than ten minutes of speech, and parts within parts."""

Extent = tuple[float, float, int]
"""Letters of the shortest sentence and of the longest one, and how deep the parts are nested."""


def check(expression: Expression, known: dict[int, Extent], what: str) -> None:
    """Raises GrammarError about `what` if its sentences may be empty, or are longer or nested deeper than is possible.

    `known` remembers what was found of the parts, by their ids; they must live as long as it does."""
    try:
        shortest, longest, depth = _extent(expression, known)
    except RecursionError:
        shortest, longest, depth = 1, 1, MAX_DEPTH + 1
    if shortest == 0:
        raise GrammarError(f"{what} may be empty: all of its parts are optional")
    if longest > MAX_LETTERS:
        raise GrammarError(f"{what} may have more than {MAX_LETTERS:,} letters")
    if depth > MAX_DEPTH:
        raise GrammarError(f"{what}: its parts are nested too deeply")


def _extent(expression: Expression | ValueList, known: dict[int, Extent]) -> Extent:
    if isinstance(expression, Text):
        letters = len(expression.text.strip())
        return letters, max(letters, len(expression.text)), 0
    if isinstance(expression, Slot):
        return _extent(expression.values, known)
    if isinstance(expression, (Wildcard, Reference)):
        return 1, 1, 0
    if id(expression) not in known:
        inner = expression.spoken() if isinstance(expression, ValueList) else parts(expression)
        shortest, longest, depths = zip(*(_extent(part, known) for part in inner or [Text("")]), strict=True)
        depth = max(depths) + 1
        if isinstance(expression, Sequence):
            known[id(expression)] = sum(shortest), sum(longest), depth
        elif isinstance(expression, Loop):
            known[id(expression)] = shortest[0] * expression.least, longest[0], depth
        else:
            known[id(expression)] = min(shortest), max(longest), depth
    return known[id(expression)]


def has_wildcard(expression: Expression, seen: set[int] | None = None) -> bool:
    """Whether the filler is part of it."""
    seen = set() if seen is None else seen
    if isinstance(expression, Wildcard):
        return True
    if isinstance(expression, Reference):
        return False
    if id(expression) in seen:
        return False
    seen.add(id(expression))
    return any(has_wildcard(part, seen) for part in parts(expression))


def has_loop(expression: Expression, seen: set[int] | None = None) -> bool:
    """Whether its sentences have no bound."""
    seen = set() if seen is None else seen
    if isinstance(expression, (Loop, Reference)):
        return True
    if id(expression) in seen:
        return False
    seen.add(id(expression))
    return any(has_loop(part, seen) for part in parts(expression))


Clauses = frozenset[frozenset[str]]
MAX_CHOICES = 12


def required(expression: Expression, known: dict[int, Clauses]) -> Clauses:
    """What a text must hold to match: of each clause one of its texts. Remembers the parts' by their ids."""
    if isinstance(expression, Text):
        text = expression.text.strip()
        return frozenset({frozenset({text})}) if text else frozenset()
    if isinstance(expression, (Wildcard, Reference, Loop)) or (
        isinstance(expression, Slot) and len(expression.values.values) > MAX_CHOICES
    ):
        return frozenset()
    key = id(expression.values) if isinstance(expression, Slot) else id(expression)
    if key not in known:
        inner = [required(part, known) for part in parts(expression)]
        if isinstance(expression, Slot) and any(value.typed is not None for value in expression.values.values):
            known[key] = frozenset()
        elif isinstance(expression, Sequence):
            known[key] = frozenset().union(*inner)
        elif not inner or not all(inner):
            known[key] = frozenset()
        else:
            merged = frozenset().union(*(min(clauses, key=len) for clauses in inner))
            known[key] = frozenset({merged}) if len(merged) <= 4 * MAX_CHOICES else frozenset()
    return known[key]
