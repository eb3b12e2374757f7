"""What a sentence template is made of; drawing from it, and matching text with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pynna.errors import GrammarError
from pynna.grammar.marks import FREE, LAST_FREE

Slots = dict[str, Any]
Found = tuple[int, Slots]
"""Where a match ends, and the slots that it has filled. An expression tells each end once, of the first way there."""


def is_free(character: str) -> bool:
    """Whether a character was heard in free speech."""
    return FREE <= ord(character) <= LAST_FREE


def plain(text: str) -> str:
    """Free speech as ordinary text."""
    return "".join(chr(ord(c) - FREE) if is_free(c) else c for c in text)


@dataclass(frozen=True, eq=False)
class Text:
    """Literal text, normalised; a space stands for the gap between words, or for nothing at a sentence's ends."""

    text: str
    where: str = ""

    def sample(self, rng: random.Random, slots: Slots) -> str:
        return self.text

    def match(self, text: str, at: int) -> Iterator[Found]:
        for c in self.text:
            if at < len(text) and text[at] == c:
                at += 1
            elif c != " " or not (at in (0, len(text)) or text[at - 1] == " "):
                return
        yield at, {}


@dataclass(frozen=True, eq=False)
class Sequence:
    """One after the other."""

    items: tuple[Expression, ...]

    def sample(self, rng: random.Random, slots: Slots) -> str:
        return "".join(item.sample(rng, slots) for item in self.items)

    def match(self, text: str, at: int) -> Iterator[Found]:
        yield from self._match(text, at, 0, set())

    def _match(self, text: str, at: int, i: int, seen: set[tuple[int, int]]) -> Iterator[Found]:
        if (i, at) in seen:  # whatever follows was found on the first way here
            return
        seen.add((i, at))
        if i == len(self.items):
            yield at, {}
            return
        for end, slots in self.items[i].match(text, at):
            for last, more in self._match(text, end, i + 1, seen):
                yield last, {**slots, **more}


@dataclass(frozen=True, eq=False)
class Alternative:
    """One of these."""

    items: tuple[Expression, ...]

    def sample(self, rng: random.Random, slots: Slots) -> str:
        return rng.choice(self.items).sample(rng, slots)

    def match(self, text: str, at: int) -> Iterator[Found]:
        seen = set()
        for item in self.items:
            for end, slots in item.match(text, at):
                if end not in seen:
                    seen.add(end)
                    yield end, slots


class ValueList:
    """A list's values: spoken forms and what each stands for. Plain forms are found by their text."""

    def __init__(self, values: list[tuple[Expression, Any]]) -> None:
        self.values = values
        self.plain: dict[str, Any] = {}
        self.templates: list[tuple[Expression, Any]] = []
        for expression, value in values:
            if isinstance(expression, Text):
                self.plain.setdefault(expression.text.strip(), value)
            else:
                self.templates.append((expression, value))
        self._lengths = sorted({len(form) for form in self.plain}, reverse=True)

    def sample(self, rng: random.Random, slots: Slots) -> tuple[str, Any]:
        """A spoken form and its value."""
        expression, value = rng.choice(self.values)
        return expression.sample(rng, slots), value

    def match(self, text: str, at: int) -> Iterator[tuple[int, Any]]:
        """Ends and values of the forms that the text goes on with, the longest plain ones first."""
        for length in self._lengths:
            value = self.plain.get(text[at : at + length], self)
            if value is not self and at + length <= len(text):
                yield at + length, value
        for expression, value in self.templates:
            for end, _ in expression.match(text, at):
                yield end, value


@dataclass(frozen=True, eq=False)
class Slot:
    """A value of a list, which fills a slot."""

    name: str
    values: ValueList

    def sample(self, rng: random.Random, slots: Slots) -> str:
        spoken, slots[self.name] = self.values.sample(rng, slots)
        return spoken

    def match(self, text: str, at: int) -> Iterator[Found]:
        for end, value in self.values.match(text, at):
            yield end, {self.name: value}


@dataclass(frozen=True, eq=False)
class Wildcard:
    """Free speech, which fills a slot with its text."""

    name: str

    def sample(self, rng: random.Random, slots: Slots) -> str:
        slots[self.name] = "something"
        return "something"

    def match(self, text: str, at: int) -> Iterator[Found]:
        end = at
        while end < len(text) and is_free(text[end]):
            end += 1
        if end > at:
            yield end, {self.name: " ".join(plain(text[at:end]).split())}
            return
        for end in range(at + 1, len(text) + 1):  # text that was typed: up to some word's end
            if end == len(text) or text[end] == " ":
                yield end, {self.name: text[at:end]}


Expression = Text | Sequence | Alternative | Slot | Wildcard


MAX_LETTERS, MAX_DEPTH = 10_000, 200
"""Of a sentence: more than ten minutes of speech, and parts within parts."""

Extent = tuple[int, int, int]
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
    if isinstance(expression, Wildcard):
        return 1, 1, 0
    if id(expression) not in known:
        is_list = isinstance(expression, ValueList)
        parts = [form for form, _ in expression.values] if is_list else expression.items  # type: ignore[union-attr]
        shortest, longest, depths = zip(*(_extent(part, known) for part in parts or [Text("")]), strict=True)
        depth = max(depths) + 1
        one_after_the_other = isinstance(expression, Sequence)
        known[id(expression)] = ((sum(shortest), sum(longest), depth) if one_after_the_other
                                 else (min(shortest), max(longest), depth))
    return known[id(expression)]


def has_wildcard(expression: Expression) -> bool:
    """Whether free speech is part of it."""
    if isinstance(expression, (Sequence, Alternative)):
        return any(has_wildcard(item) for item in expression.items)
    return isinstance(expression, Wildcard)
