# SPDX-License-Identifier: Apache-2.0
"""Sentences in Rhasspy's template language (``sentences.ini``) as expressions.

A section is an intent and each line of it a sentence, or a rule ``name = ...`` that ``<name>`` stands for, in other
sections ``<Intent.name>``. ``[word]`` may be left out, of ``(a | b)`` one is said, ``{slot}`` behind a word or a group
is filled with what was said, ``spoken:written`` with what is written, ``{slot:value}`` with the value. ``$name`` is one
of a slot's values, ``1..10`` and ``0..100,5`` are numbers, ``!int``, ``!float``, ``!upper``, ``!lower`` convert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynna.errors import GrammarError

from .expression import AS_SAID, EMPTY, Expression, Extent, Slot, Text, Value, ValueList, alternative, check, sequence
from .normalise import spoken_forms
from .numbers import number_words
from .sentence_file import read_text

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<rule><[^<>\s]+>)
  | (?P<slot>\$[\w/.,-]+)
  | (?P<tag>\{[^{}]*\})
  | (?P<range>(?<![\w.])-?\d+\.\.-?\d+(?:,\d+)?)
  | (?P<sign>[()\[\]|])
  | (?P<put>:(?=[(\w\\"-]|$|[\s)|\]{]))
  | (?P<convert>![a-z]+)
  | (?P<word>(?:\\.|[^\s()\[\]|{}<>$:!])+)
""",
    re.VERBOSE,
)
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda x: int(float(x)), "float": float,
    "upper": lambda x: str(x).upper(), "lower": lambda x: str(x).lower(),
    "bool": lambda x: str(x).lower() not in ("", "0", "false", "no", "off"),
}  # fmt: skip
MAX_RANGE = 100_000
MAX_DIGITS = 100


@dataclass(frozen=True)
class _Part:
    """What may be said, and what each way of saying it stands for."""

    values: tuple[tuple[Expression, Any], ...]

    def expression(self) -> Expression:
        return alternative(expression for expression, _ in self.values)


@dataclass(frozen=True)
class _Line:
    text: str
    at: str


def parse(
    text: str, file: str, folder: Path | None, slots: Mapping[str, Iterable[str]]
) -> list[tuple[str, Expression]]:
    """The intents' names and the expressions of their sentences."""
    reader = _Reader(file, folder, slots)
    reader.read(text)
    rules = [(intent, reader.sentence(intent, line)) for intent, lines in reader.sentences.items() for line in lines]
    if not rules:
        raise GrammarError(f"{file}: there is no sentence under a [section]")
    return rules


class _Reader:
    """The file's sections: their sentences and rules."""

    def __init__(self, file: str, folder: Path | None, slots: Mapping[str, Iterable[str]]) -> None:
        self.file, self.folder, self.slots = file, folder, slots
        self.sentences: dict[str, list[_Line]] = {}
        self.rules: dict[str, dict[str, _Line]] = {}
        self.made: dict[tuple[str, str], _Part] = {}
        self.open: list[tuple[str, str]] = []
        self.extents: dict[int, Extent] = {}

    def read(self, text: str) -> None:
        """Sorts the lines into sentences and rules."""
        section = ""
        for number, written in enumerate(text.splitlines(), 1):
            line, at = written.strip(), f"{self.file}:{number}: "
            if not line or line[0] in "#;":
                continue
            head = re.fullmatch(r"\[\s*([^\[\]|]+?)\s*\]", line)
            if head and written[0] == "[":
                section = head.group(1)
                self.sentences.setdefault(section, [])
                continue
            if not section:
                raise GrammarError(f"{at}{line!r} stands before the first [section]")
            rule = re.match(r"([\w-]+)\s*=\s*(.+)", line)
            if rule:
                self.rules.setdefault(section, {})[rule.group(1)] = _Line(rule.group(2), at)
            else:
                self.sentences[section].append(_Line(line, at))

    def sentence(self, intent: str, line: _Line) -> Expression:
        """A sentence's expression."""
        try:
            expression = _Parser(self, intent, line).whole().expression()
            check(expression, self.extents, f"{line.at}{line.text!r}")
        except RecursionError:
            raise GrammarError(f"{line.at}{line.text!r}: its parts are nested too deeply") from None
        return expression

    def rule(self, intent: str, name: str, at: str) -> _Part:
        """What ``<name>`` stands for in an intent's sentences."""
        section, _, simple = name.rpartition(".")
        place = (section or intent, simple)
        if simple not in self.rules.get(place[0], {}):
            known = ", ".join(self.rules.get(place[0], {})) or "none"
            raise GrammarError(f"{at}there is no rule <{name}>; in [{place[0]}] there are {known}")
        if place in self.open:
            raise GrammarError(f"{at}the rule <{name}> contains itself; its sentences would never end")
        if place not in self.made:
            self.open.append(place)
            self.made[place] = _Parser(self, place[0], self.rules[place[0]][simple]).whole()
            self.open.pop()
        return self.made[place]

    def slot(self, intent: str, name: str, at: str) -> _Part:
        """The values of ``$name``."""
        place = ("$", name)
        if place not in self.made:
            if place in self.open:
                raise GrammarError(f"{at}the slot ${name} contains itself")
            self.open.append(place)
            values: list[tuple[Expression, Any]] = []
            for line in self._lines(name, at):
                values += _Parser(self, intent, line).whole().values
            self.open.pop()
            if not values:
                raise GrammarError(f"{at}the slot ${name} has no values")
            self.made[place] = _Part(tuple(values))
        return self.made[place]

    def _lines(self, name: str, at: str) -> list[_Line]:
        if name in self.slots:
            return [_Line(str(value), f"{at}${name}: ") for value in self.slots[name]]
        place = self.folder / name if self.folder is not None else None
        if place is None or not place.is_file():
            raise GrammarError(
                f"{at}there is no slot ${name}; {place} is right" if place else f"{at}the slot ${name} is not given"
            )
        text, file = read_text(place)
        lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1)]
        return [_Line(line, f"{file}:{i}: ") for i, line in lines if line and line[0] != "#"]


class _Parser:
    """Recursive descent over a line."""

    def __init__(self, reader: _Reader, intent: str, line: _Line) -> None:
        self.reader, self.intent, self.line, self.index = reader, intent, line, 0
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(line.text):
            match = _TOKEN.match(line.text, at)
            if match is None:
                raise GrammarError(f"{line.at}{line.text[at:]!r} cannot stand in a sentence; \\ goes before a sign")
            self.tokens.append((match.lastgroup or "", match.group()))
            at = match.end()

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.index] if self.index < len(self.tokens) else ("end", "the end of the line")

    def _next(self) -> tuple[str, str]:
        self.index += 1
        return self.tokens[self.index - 1] if self.index <= len(self.tokens) else ("end", "the end of the line")

    def whole(self) -> _Part:
        """All of the line."""
        part = self._alternatives()
        if self._peek()[0] != "end":
            raise GrammarError(f"{self.line.at}{self._peek()[1]!r} where the line's end is needed")
        return part

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._peek() == ("sign", "|"):
            self._next()
            parts.append(self._sequence())
        return _Part(tuple(value for part in parts for value in part.values))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while True:
            kind, text = self._peek()
            if kind == "end" or (kind == "sign" and text in "|)]"):
                break
            if kind == "space":
                self._next()
                continue
            parts.append(self._item())
        if not parts:
            raise GrammarError(f"{self.line.at}{self._peek()[1]!r} where a word, (group) or [option] is needed")
        return parts[0] if len(parts) == 1 else self._joined(parts)

    def _joined(self, parts: list[_Part]) -> _Part:
        """One after the other. What they stand for is put together where one of them stands for something else."""
        whole = sequence(part.expression() for part in parts)
        if all(out is AS_SAID for part in parts for _, out in part.values):
            return _Part(((whole, AS_SAID),))
        rows: list[tuple[tuple[Expression, ...], tuple[Any, ...]]] = [((), ())]
        for part in parts:
            rows = [((*e, value[0]), (*o, value[1])) for e, o in rows for value in part.values]
            if len(rows) > 1000:
                return _Part(((whole, AS_SAID),))
        return _Part(tuple((sequence(e), _written(e, o)) for e, o in rows))

    def _item(self) -> _Part:
        kind, text = self._next()
        if kind == "sign" and text in "([":
            part = self._alternatives()
            if self._next() != ("sign", ")" if text == "(" else "]"):
                raise GrammarError(f"{self.line.at}{text!r} is not closed in {self.line.text!r}")
            part = part if text == "(" else _Part((*part.values, (EMPTY, AS_SAID)))
        elif kind == "rule":
            part = self.reader.rule(self.intent, text[1:-1], self.line.at)
        elif kind == "slot":
            part = self.reader.slot(self.intent, text[1:], self.line.at)
        elif kind == "range":
            part = self._range(text)
        elif kind == "word":
            part = self._word(re.sub(r"\\(.)", r"\1", text))
        elif kind == "put":
            part = _Part(((EMPTY, ""),))
            self.index -= 1
        else:
            raise GrammarError(f"{self.line.at}{text!r} where a word, (group) or [option] is needed")
        return self._decorated(part)

    def _word(self, word: str) -> _Part:
        forms = spoken_forms(word, "en")
        return _Part(((alternative(Text(f" {form.strip()} ", self.line.at) for form in forms), AS_SAID),))

    def _range(self, text: str) -> _Part:
        given = re.fullmatch(r"(-?\d+)\.\.(-?\d+)(?:,(\d+))?", text).groups("1")  # type: ignore[union-attr]
        if max(map(len, given)) > MAX_DIGITS:
            raise GrammarError(f"{self.line.at}a number of a range may have at most {MAX_DIGITS} digits")
        first, last, step = map(int, given)
        numbers = range(first, last + 1, max(1, step))
        if last < first or (last - first) // max(1, step) >= MAX_RANGE:
            raise GrammarError(f"{self.line.at}the range {text} is empty or of more than {MAX_RANGE:,} numbers")
        return _Part(tuple((alternative(Text(f" {w} ") for w in number_words(n)), n) for n in numbers))

    def _decorated(self, part: _Part) -> _Part:
        """With what stands behind an item: ``:written``, ``!converter``, ``{slot}``."""
        while True:
            kind, text = self._peek()
            if kind == "put":
                self._next()
                written = self._written()
                part = _Part(tuple((expression, written) for expression, _ in part.values))
            elif kind == "convert":
                part = self._converted(part, [self._next()[1][1:]])
            elif kind == "tag":
                part = self._tagged(part, self._next()[1][1:-1])
            else:
                return part

    def _written(self) -> str:
        kind, text = self._peek()
        if kind == "word":
            return re.sub(r"\\(.)", r"\1", self._next()[1])
        if (kind, text) == ("sign", "("):
            self._next()
            words = []
            while self._peek() != ("sign", ")"):
                kind, text = self._next()
                if kind not in ("word", "space"):
                    raise GrammarError(f"{self.line.at}{text!r} in what is written; words are right")
                words.append(text)
            self._next()
            return "".join(words).strip()
        return ""

    def _converted(self, part: _Part, names: list[str]) -> _Part:
        values = part.values
        for name in names:
            if name not in _CONVERTERS:
                known = ", ".join(_CONVERTERS)
                raise GrammarError(f"{self.line.at}there is no converter !{name}; there are {known}")
            try:
                values = tuple(
                    (e, out if out is AS_SAID and name == "lower" else _CONVERTERS[name](_said(e, out)))
                    for e, out in values
                )
            except (ValueError, OverflowError) as error:
                raise GrammarError(f"{self.line.at}!{name}: {error}") from None
        return _Part(values)

    def _tagged(self, part: _Part, tag: str) -> _Part:
        tag, *converters = tag.split("!")
        name, colon, value = tag.partition(":")
        if not name.strip():
            raise GrammarError(f"{self.line.at}{{{tag}}}: a slot needs a name")
        if colon:
            part = _Part(tuple((expression, value.strip()) for expression, _ in part.values))
        part = self._converted(part, converters)
        gap = Text(" ")
        slot = Slot(name.strip(), ValueList(Value(expression, out) for expression, out in part.values))
        return _Part(((sequence((gap, slot, gap)), AS_SAID),))


def _said(expression: Expression, out: Any) -> Any:
    return out if out is not AS_SAID else getattr(expression, "text", "").strip()


def _written(expressions: tuple[Expression, ...], outs: tuple[Any, ...]) -> str:
    """What a sequence stands for: what is written of its parts, else what is said."""
    return " ".join(str(_said(e, out)) for e, out in zip(expressions, outs, strict=True)).strip()
