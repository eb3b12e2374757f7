"""Grammars in the JSpeech Grammar Format (W3C note of 2000) as expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pynna.errors import GrammarError

from .expression import Alternative, Expression, Extent, Sequence, Slot, Text, ValueList, check
from .spoken import normalise

MOST_REPEATS = 4

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<weight>/\s*\d+(?:\.\d*)?\s*/)
  | (?P<rule><[^<>\s]+>)
  | (?P<tag>\{(?:[^{}\\]|\\.)*\})
  | (?P<quoted>"(?:[^"\\]|\\.)*")
  | (?P<sign>[=;|()\[\]*+])
  | (?P<word>[^\s=;|()\[\]*+<>{}"/]+)
""",
    re.VERBOSE | re.DOTALL,
)
EMPTY, GAP = Text(""), Text(" ")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str, file: str) -> list[_Token]:
    tokens, at, line = [], 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            word = text[at:].split(None, 1)[0]
            raise GrammarError(
                f"{file}:{line}: {word!r} cannot stand in a JSGF grammar; is a bracket or a quote not closed?"
            )
        kind = match.lastgroup or ""
        if kind not in ("space", "weight"):
            tokens.append(_Token(kind, match.group(), line))
        line += match.group().count("\n")
        at = match.end()
    return tokens


def parse(text: str, file: str) -> list[tuple[str, Expression]]:
    """The public rules' names and expressions, in the file's order."""
    header = re.match(r"\ufeff?#JSGF\s+V(\S+)[^;\n]*;", text)
    if header is None:
        raise GrammarError(f"{file}:1: no JSGF grammar: the first line must be `#JSGF V1.0;`")
    return _Parser(_tokens(text[header.end() :], file), file).rules()


class _Parser:
    """Recursive descent over the tokens; rules are looked up when all are known."""

    def __init__(self, tokens: list[_Token], file: str) -> None:
        self.tokens, self.file, self.at = tokens, file, 0
        self.bodies: dict[str, int] = {}
        self.made: dict[str, Expression] = {}
        self.open: list[str] = []
        self.extents: dict[int, Extent] = {}

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

    def rules(self) -> list[tuple[str, Expression]]:
        """Finds where each rule's body begins, then makes the public ones."""
        public = []
        while self._peek().kind != "end":
            token = self._next()
            if token.text == "grammar":
                self._next()
                self._expect(";")
                continue
            if token.text == "import":
                raise GrammarError(
                    f"{self.file}:{token.line}: import is not supported; copy {self._peek().text} into the file"
                )
            is_public = token.text == "public"
            token = self._next() if is_public else token
            if token.kind != "rule":
                raise self._fail(token, "a rule's <name>")
            if token.text in self.bodies:
                raise GrammarError(f"{self.file}:{token.line}: the rule {token.text} is there twice")
            self._expect("=")
            self.bodies[token.text] = self.at
            if is_public:
                public.append(token.text)
            while self._peek().text != ";":
                if self._next().kind == "end":
                    raise self._fail(self._peek(), "`;`")
            self._next()
        if not public:
            raise GrammarError(f"{self.file}: there is no public rule")
        return [(name[1:-1], self._public(name)) for name in public]

    def _public(self, name: str) -> Expression:
        what = f"{self.file}:{self.tokens[self.bodies[name] - 1].line}: the rule {name}"
        try:
            expression = self._rule(_Token("rule", name, 0))
        except RecursionError:
            raise GrammarError(f"{what}: its parts are nested too deeply") from None
        check(expression, self.extents, what)
        return expression

    def _rule(self, token: _Token) -> Expression:
        name = token.text
        if name == "<NULL>":
            return EMPTY
        if name not in self.bodies:
            raise GrammarError(
                f"{self.file}:{token.line}: there is no rule {name}; there are {', '.join(self.bodies)}"
            )
        if name in self.open:
            chain = " -> ".join([*self.open[self.open.index(name) :], name])
            raise GrammarError(f"{self.file}:{token.line}: the rule {name} contains itself: {chain}")
        if name not in self.made:
            back, self.at = self.at, self.bodies[name]
            self.open.append(name)
            self.made[name] = self._alternatives()
            self._expect(";")
            self.open.pop()
            self.at = back
        return self.made[name]

    def _alternatives(self) -> Expression:
        items = [self._sequence()]
        while self._peek().text == "|":
            self._next()
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Alternative(tuple(items))

    def _sequence(self) -> Expression:
        items: list[Expression] = []
        while self._peek().kind in ("word", "quoted", "rule") or self._peek().text in ("(", "["):
            items.append(self._repeated())
        if not items:
            raise self._fail(self._peek(), "a word, <rule>, (group) or [option]")
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self) -> Expression:
        item = self._item()
        while self._peek().text in ("*", "+") or self._peek().kind == "tag":
            token = self._next()
            if token.kind == "tag":
                item = _tagged(item, token.text[1:-1].strip())
                continue
            repeats = [Sequence((item,) * n) for n in range(0 if token.text == "*" else 1, MOST_REPEATS + 1)]
            item = Alternative(tuple(repeats))
        return item

    def _item(self) -> Expression:
        token = self._next()
        if token.kind == "rule":
            return self._rule(token)
        if token.text == "(":
            inner = self._alternatives()
            self._expect(")")
            return inner
        if token.text == "[":
            inner = self._alternatives()
            self._expect("]")
            return Alternative((inner, EMPTY))
        word = re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "quoted" else token.text
        return Text(f" {normalise(word).strip()} ", f"{self.file}:{token.line}: ")


def _tagged(item: Expression, tag: str) -> Expression:
    name, equals, value = tag.partition("=")
    slot = Slot(name.strip() if equals else "tag", ValueList([(item, value.strip().strip("'\"") if equals else tag)]))
    return Sequence((GAP, slot, GAP)) if isinstance(item, Text) else slot  # a list knows its texts without their gaps
