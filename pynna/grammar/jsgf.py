# SPDX-License-Identifier: Apache-2.0
"""Grammars in the JSpeech Grammar Format (W3C note of 2000) as expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pynna.errors import GrammarError

from .expression import (
    EMPTY,
    NOTHING,
    Alternative,
    Expression,
    Extent,
    Loop,
    Reference,
    Slot,
    Text,
    Value,
    ValueList,
    alternative,
    check,
    sequence,
)
from .normalise import spoken_forms
from .sentence_file import read_text

_SPACE = r"(?:\s+|//[^\n]*|/\*.*?\*/)"
_HEADER = re.compile(rf"\ufeff?{_SPACE}*#JSGF\s+V(?P<version>\S+?)(?:\s+(?P<more>[^;\n]*))?\s*;", re.DOTALL)
_TOKEN = re.compile(
    rf"""
    (?P<space>{_SPACE})
  | (?P<weight>/\s*(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?\s*/)
  | (?P<rule><[^<>\s]+>)
  | (?P<tag>\{{(?:[^{{}}\\]|\\.)*\}})
  | (?P<quoted>"(?:[^"\\]|\\.)*")
  | (?P<sign>[=;|()\[\]*+])
  | (?P<word>[^\s=;|()\[\]*+<>{{}}"/]+)
""",
    re.VERBOSE | re.DOTALL,
)
GAP = Text(" ")
ENDINGS = (".jsgf", ".gram", ".grammar", ".jsg")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str, file: str, line: int) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            word = text[at:].split(None, 1)[0]
            raise GrammarError(
                f"{file}:{line}: {word!r} cannot stand in a JSGF grammar; is a bracket or a quote not closed?"
            )
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, match.group(), line))
        line += match.group().count("\n")
        at = match.end()
    return tokens


def parse(text: str, file: str, folder: Path | None = None) -> tuple[list[tuple[str, Expression]], str]:
    """The public rules' names and expressions, in the file's order, and the language of the header's locale.

    `folder`: where grammars that are imported lie; without one imports are refused.
    """
    parser = _Parser(text, file, folder, {})
    return parser.public_rules(), parser.language


class _Parser:
    """Recursive descent over the tokens; rules are looked up when all are known."""

    def __init__(self, text: str, file: str, folder: Path | None, loaded: dict[str, _Parser]) -> None:
        header = _HEADER.match(text)
        if header is None:
            raise GrammarError(f"{file}:1: no JSGF grammar: the first line must be `#JSGF V1.0;`")
        more = (header["more"] or "").split()
        self.language = more[1] if len(more) > 1 else "en"
        self.tokens = _tokens(text[header.end() :], file, 1 + header.group().count("\n"))
        self.file, self.folder, self.loaded, self.at = file, folder, loaded, 0
        self.name = ""
        self.bodies: dict[str, int] = {}
        self.public: list[str] = []
        self.imported: dict[str, tuple[_Parser, str]] = {}
        self.made: dict[str, Expression] = {}
        self.open: dict[str, Reference] = {}
        self.used: dict[str, _Token] = {}  # rules that contain themselves, and where
        self.extents: dict[int, Extent] = {}
        self._find_rules()

    # ---- tokens ------------------------------------------------------------------------------------------------------

    def _peek(self) -> _Token:
        if self.at < len(self.tokens):
            return self.tokens[self.at]
        return _Token("end", "the end of the file", self.tokens[-1].line if self.tokens else 1)

    def _next(self) -> _Token:
        token = self._peek()
        self.at += 1
        return token

    def _fail(self, token: _Token, wanted: str) -> GrammarError:
        return GrammarError(f"{self.file}:{token.line}: {token.text!r} where {wanted} is needed")

    def _expect(self, text: str) -> None:
        token = self._next()
        if token.text != text:
            raise self._fail(token, f"`{text}`")

    # ---- rules -------------------------------------------------------------------------------------------------------

    def _find_rules(self) -> None:
        """Finds where each rule's body begins, and reads what is imported."""
        while self._peek().kind != "end":
            token = self._next()
            if token.text == "grammar" and self._peek().kind == "word":
                self.name = self._next().text
                self._expect(";")
                continue
            if token.text == "import" and self._peek().kind == "rule":
                self._import(self._next())
                self._expect(";")
                continue
            is_public = token.text == "public"
            token = self._next() if is_public else token
            if token.kind != "rule":
                raise self._fail(token, "a rule's <name>")
            if token.text in self.bodies:
                raise GrammarError(f"{self.file}:{token.line}: the rule {token.text} is there twice")
            if token.text in ("<NULL>", "<VOID>"):
                raise GrammarError(f"{self.file}:{token.line}: {token.text} has its own meaning and cannot be defined")
            self._expect("=")
            self.bodies[token.text] = self.at
            if is_public:
                self.public.append(token.text)
            while self._peek().text != ";":
                if self._next().kind == "end":
                    raise self._fail(self._peek(), "`;`")
            self._next()

    def _import(self, token: _Token) -> None:
        """Makes the public rules of another grammar known, by their simple and qualified names."""
        grammar, _, rule = token.text[1:-1].rpartition(".")
        if not grammar:
            raise GrammarError(
                f"{self.file}:{token.line}: import needs <grammar.rule> or <grammar.*>, got {token.text}"
            )
        other = self._load(grammar, token)
        known = [name[1:-1] for name in other.public]
        if rule != "*" and rule not in known:
            raise GrammarError(
                f"{self.file}:{token.line}: the grammar {grammar} has no public rule <{rule}>; there are "
                f"{', '.join(known) or 'none'}"
            )
        for name in known if rule == "*" else [rule]:
            for prefix in ("", f"{grammar.rpartition('.')[2]}.", f"{grammar}."):
                self.imported.setdefault(f"<{prefix}{name}>", (other, f"<{name}>"))

    def _load(self, grammar: str, token: _Token) -> _Parser:
        if grammar in self.loaded:
            return self.loaded[grammar]
        if self.folder is None:
            raise GrammarError(f"{self.file}:{token.line}: import {token.text}: only a grammar in a file can import")
        tails = (Path(*grammar.split(".")), Path(grammar), Path(grammar.rpartition(".")[2]))
        places = [self.folder / f"{tail}{ending}" for tail in tails for ending in ENDINGS]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise GrammarError(
                f"{self.file}:{token.line}: the grammar {grammar} is not there; {places[0]} or {places[-len(ENDINGS)]} "
                "is right"
            )
        if len(self.loaded) > 100:
            raise GrammarError(f"{self.file}:{token.line}: more than 100 grammars are imported")
        text, name = read_text(found)
        self.loaded[grammar] = parser = _Parser(text, name, self.folder, self.loaded)
        return parser

    def public_rules(self) -> list[tuple[str, Expression]]:
        """The names and expressions of the public rules that can be said."""
        if not self.public:
            raise GrammarError(f"{self.file}: there is no public rule")
        rules = [(name[1:-1], self._public(name)) for name in self.public]
        return [(name, expression) for name, expression in rules if expression is not NOTHING]

    def _line_of(self, name: str) -> int:
        return self.tokens[self.bodies[name] - 1].line

    def _public(self, name: str) -> Expression:
        what = f"{self.file}:{self._line_of(name)}: the rule {name}"
        try:
            expression = self.rule(_Token("rule", name, 0))
            if expression is not NOTHING:
                self._check_recursion()
                check(expression, self.extents, what)
        except RecursionError:
            raise GrammarError(f"{what}: its parts are nested too deeply") from None
        return expression

    def rule(self, token: _Token) -> Expression:
        """What a rule stands for."""
        name = token.text
        if name == "<NULL>":
            return EMPTY
        if name == "<VOID>":
            return NOTHING
        if name not in self.bodies:
            own = self._own(name)
            if own is None:
                other, inner = self._imported(token)
                return other.rule(_Token("rule", inner, token.line))
            name = own
        if name in self.open:
            self.used.setdefault(name, token)
            return self.open[name]
        if name not in self.made:
            back, self.at = self.at, self.bodies[name]
            self.open[name] = reference = Reference(name)
            self.made[name] = self._alternatives()
            self._expect(";")
            reference.target = self.made[name]
            del self.open[name]
            self.at = back
        return self.made[name]

    def _own(self, name: str) -> str | None:
        """The simple name of a rule that is told with this grammar's own name."""
        grammar, _, simple = name[1:-1].rpartition(".")
        is_own = grammar and (grammar == self.name or grammar == self.name.rpartition(".")[2])
        return f"<{simple}>" if is_own and f"<{simple}>" in self.bodies else None

    def _imported(self, token: _Token) -> tuple[_Parser, str]:
        if token.text in self.imported:
            return self.imported[token.text]
        grammar, _, _ = token.text[1:-1].rpartition(".")
        if grammar and self.folder is not None:  # a full name needs no import
            self._import(token)
            return self.imported[token.text]
        known = ", ".join([*self.bodies, *self.imported])
        raise GrammarError(f"{self.file}:{token.line}: there is no rule {token.text}; there are {known}")

    def _check_recursion(self) -> None:
        """Raises GrammarError where a rule contains itself other than at its end, or can never end."""
        for parser in {id(p): p for p in (self, *self.loaded.values())}.values():
            for name, token in parser.used.items():
                target = parser.made[name]
                what = f"{parser.file}:{token.line}: the rule {name} contains itself"
                if not _is_right_recursive(name, target):
                    raise GrammarError(f"{what} before its end; JSGF allows it at the end alone")
                if not _can_end(target, set()):
                    raise GrammarError(f"{what}: its sentences would never end")

    # ---- expansions --------------------------------------------------------------------------------------------------

    def _alternatives(self) -> Expression:
        items, weights = [], []
        while True:
            weight = 1.0
            if self._peek().kind == "weight":
                weight = float(self._next().text.strip("/ \t\r\n").rstrip("fFdD"))
            items.append(self._sequence())
            weights.append(weight)
            if self._peek().text != "|" or self._peek().kind != "sign":
                break
            self._next()
        if len(set(weights)) == 1 or NOTHING in items:
            return alternative(items)
        return Alternative(tuple(items), tuple(weights))

    def _sequence(self) -> Expression:
        items: list[Expression] = []
        while self._peek().kind in ("word", "quoted", "rule") or self._peek().text in ("(", "["):
            items.append(self._repeated())
        if not items:
            raise self._fail(self._peek(), "a word, <rule>, (group) or [option]")
        return sequence(items)

    def _repeated(self) -> Expression:
        item = self._item()
        while self._peek().text in ("*", "+") or self._peek().kind == "tag":
            token = self._next()
            if item is NOTHING:
                item = EMPTY if token.text == "*" else NOTHING
            elif token.kind == "tag":
                item = _tagged(item, re.sub(r"\\(.)", r"\1", token.text[1:-1]).strip())
            else:
                item = Loop(item, 0 if token.text == "*" else 1)
        return item

    def _item(self) -> Expression:
        token = self._next()
        if token.kind == "rule":
            return self.rule(token)
        if token.text == "(":
            inner = self._alternatives()
            self._expect(")")
            return inner
        if token.text == "[":
            inner = self._alternatives()
            self._expect("]")
            return alternative((inner, EMPTY))
        word = re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "quoted" else token.text
        at = f"{self.file}:{token.line}: "
        return alternative(Text(f" {form.strip()} ", at) for form in spoken_forms(word, self.language))


def _tagged(item: Expression, tag: str) -> Expression:
    """An item that fills a slot: ``{name=value}``, else the slot ``tag``."""
    name, equals, value = tag.partition("=")
    slot_name, out = (name.strip(), value.strip().rstrip(";").strip().strip("'\"")) if equals else ("tag", tag)
    forms = item.items if isinstance(item, Alternative) and all(isinstance(i, Text) for i in item.items) else (item,)
    is_text = all(isinstance(form, Text) for form in forms)
    slot = Slot(slot_name, ValueList(Value(form, out) for form in forms))
    return sequence((GAP, slot, GAP)) if is_text else slot  # a list knows its texts without their gaps


def _children(expression: Expression) -> Iterator[tuple[Expression, bool]]:
    """The parts of an expression, and whether each stands at its end."""
    if isinstance(expression, Alternative):
        yield from ((item, True) for item in expression.items)
    elif isinstance(expression, Loop):
        yield expression.body, False
    elif isinstance(expression, Slot):
        yield from ((value.spoken, True) for value in expression.values.values)
    elif not isinstance(expression, (Text, Reference)):
        items = getattr(expression, "items", ())
        yield from ((item, i == len(items) - 1) for i, item in enumerate(items))


def _is_right_recursive(name: str, target: Expression) -> bool:
    """Whether a rule contains itself at its end alone."""
    stack, seen = [(target, True)], set()
    while stack:
        expression, at_end = stack.pop()
        if isinstance(expression, Reference):
            if expression.name == name and not at_end:
                return False
            if expression.target is None or expression.name == name:
                continue
            expression = expression.target
        if (id(expression), at_end) not in seen:
            seen.add((id(expression), at_end))
            stack += [(part, at_end and is_last) for part, is_last in _children(expression)]
    return True


def _can_end(expression: Expression, open_: set[int]) -> bool:
    """Whether some sentence of an expression ends."""
    if isinstance(expression, Text):
        return True
    if id(expression) in open_:
        return False
    if isinstance(expression, Reference):
        return expression.target is not None and _can_end(expression.target, open_ | {id(expression)})
    inner = open_ | {id(expression)}
    parts_end = (_can_end(part, inner) for part, _ in _children(expression))
    if isinstance(expression, (Alternative, Slot)):
        return any(parts_end)
    return isinstance(expression, Loop) and expression.least == 0 or all(parts_end)
