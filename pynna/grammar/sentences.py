"""Sentence templates in Home Assistant's language, as hassil reads it, put together into expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hassil import expression as parsed
from hassil.errors import HassilError
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from pynna.errors import GrammarError

from .expression import Alternative, Expression, Extent, Sequence, Slot, Text, ValueList, Wildcard, check
from .spoken import normalise, number_words

WILDCARD = object()
"""In place of a list's values: free speech."""

MAX_RANGE, MAX_PERMUTED = 100_000, 5
_TEMPLATE = re.compile(r"[(\[{<|\\]")
_FRACTIONS: dict[str | None, tuple[float, ...]] = {
    None: (), "halves": (0.5,), "tenths": tuple(i / 10 for i in range(1, 10)),
}  # fmt: skip


def where(text: Any, file: str) -> str:
    """ "file:line: " of a text that knows its line."""
    line = getattr(text, "line", None)
    return f"{file}:{line}: " if line else f"{file}: " if file else ""


def short(text: Any) -> str:
    """A text in quotes, as a message can tell it."""
    text = str(text)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def bare(name: Any) -> str:
    """A name without quotes, as a message can tell it: in one line, whatever it holds."""
    return short(name)[1:-1]


def parse(template: str, file: str) -> parsed.Expression:
    """A template's parse tree."""
    try:
        return parse_sentence(str(template)).expression
    except (ParseError, HassilError, AssertionError, ValueError, IndexError, RecursionError):
        raise GrammarError(
            f"{where(template, file)}{short(template)} is no sentence template; brackets come in pairs, with something "
            "in them: (one|other), [optional], {list}, <rule>"
        ) from None


class Scope:
    """Lists and rules that a template may name, and what has been made of them."""

    def __init__(
        self, file: str, lists: Mapping[str, Any], rules: Mapping[str, str], outer: Scope | None = None
    ) -> None:
        self.file, self.outer = file, outer
        self.lists, self.rules = lists, rules
        self._made_lists: dict[str, ValueList | object] = {}
        self._made_rules: dict[str, Expression] = {}
        self._open: list[str] = []
        self._open_lists: list[str] = []
        self._extents: dict[int, Extent] = {}

    def sentence(self, template: str) -> Expression:
        """The expression of a sentence's template, its length checked."""
        what = f"{where(template, self.file)}{short(template)}"
        try:
            expression = self.expression(template)
        except RecursionError:
            raise GrammarError(f"{what}: its parts are nested too deeply") from None
        check(expression, self._extents, what)
        return expression

    def expression(self, template: str) -> Expression:
        """The expression of a template."""
        return self._convert(parse(template, self.file), template)

    def _convert(self, item: parsed.Expression, source: str) -> Expression:
        if isinstance(item, parsed.TextChunk):
            return Text(normalise(item.original_text), where(source, self.file))
        if isinstance(item, parsed.ListReference):
            return self._slot(item, source)
        if isinstance(item, parsed.RuleReference):
            return self._rule(item.rule_name, source)
        assert isinstance(item, parsed.Group)
        items = tuple(self._convert(i, source) for i in item.items)
        if isinstance(item, parsed.Permutation):
            if len(items) > MAX_PERMUTED:
                raise GrammarError(
                    f"{where(source, self.file)}{short(source)} has a permutation of {len(items)} parts; at most "
                    f"{MAX_PERMUTED} are possible"
                )
            return _permutation(items)
        if isinstance(item, parsed.Alternative):
            return Alternative(items)
        return Sequence(items)

    def _slot(self, item: parsed.ListReference, source: str) -> Expression:
        if item.is_inline_range:
            start, stop, step = item.get_inline_range()  # type: ignore[misc]
            values: ValueList | object = number_list(
                {"from": start, "to": stop, "step": step}, where(source, self.file)
            )
        else:
            values = self.values(item.list_name, source)
        return Wildcard(item.slot_name) if values is WILDCARD else Slot(item.slot_name, values)  # type: ignore[arg-type]

    def values(self, name: str, source: str) -> ValueList | object:
        """The values of a list, or WILDCARD."""
        if name not in self.lists:
            if self.outer is None:
                raise GrammarError(
                    f"{where(source, self.file)}{short(source)} names the list {{{bare(name)}}}, which is not there"
                    f"; there {_are(self.lists, 'list')}"
                )
            return self.outer.values(name, source)
        if name in self._open_lists:
            raise GrammarError(f"{where(source, self.file)}the list {name!r} contains itself")
        if name not in self._made_lists:
            self._open_lists.append(name)
            try:
                self._made_lists[name] = self._list(name, self.lists[name])
            finally:
                self._open_lists.pop()
        return self._made_lists[name]

    def _list(self, name: str, spec: Any) -> ValueList | object:
        at = where(next(key for key in self.lists if key == name), self.file)  # the file's own word knows its line
        if isinstance(spec, Mapping) and spec.get("wildcard"):
            return WILDCARD
        if isinstance(spec, Mapping) and "range" in spec:
            return number_list(spec["range"], at)
        values = spec.get("values") if isinstance(spec, Mapping) else spec
        if not isinstance(values, Iterable) or isinstance(values, (str, Mapping)):
            raise GrammarError(f"{at}list {name!r} needs `values:`, `range:` or `wildcard: true`")
        made = [self._value(value, name, at) for value in values]
        if not made:
            raise GrammarError(f"{at}list {name!r} is empty")
        return ValueList(made)

    def _value(self, value: Any, name: str, at: str) -> tuple[Expression, Any]:
        """A spoken form, and what it stands for."""
        if isinstance(value, str):
            return self._spoken(value, name, at), str(value)
        if not isinstance(value, Mapping):
            return self._spoken(value, name, at), value
        spoken = value.get("in")
        return self._spoken(spoken, name, at), _out(value.get("out", spoken))

    def _spoken(self, spoken: Any, name: str, at: str) -> Expression:
        if isinstance(spoken, str):
            if _TEMPLATE.search(spoken):
                return _plain(self.expression(spoken))
            text = normalise(spoken).strip()
            if text:
                return Text(text, where(spoken, self.file))
        elif isinstance(spoken, (int, float)) and not isinstance(spoken, bool):
            return Alternative(tuple(Text(words) for words in number_words(spoken)))
        at = where(spoken, self.file) if hasattr(spoken, "line") else at
        raise GrammarError(
            f"{at}list {name!r}: a value is a text with letters, "
            f"or `in:` a text and `out:` what it stands for, not {spoken!r}"
        )

    def _rule(self, name: str, source: str) -> Expression:
        if name not in self.rules:
            if self.outer is None:
                raise GrammarError(
                    f"{where(source, self.file)}{short(source)} names the rule <{bare(name)}>, which is not there; "
                    f"there {_are(self.rules, 'rule')}"
                )
            return self.outer._rule(name, source)
        if name in self._open:
            chain = " -> ".join(f"<{bare(n)}>" for n in [*self._open[self._open.index(name) :], name])
            raise GrammarError(
                f"{where(self.rules[name], self.file)}the rule <{bare(name)}> contains itself: {chain}; its "
                "sentences would never end"
            )
        if not isinstance(self.rules[name], (str, int, float)):
            at = where(next(key for key in self.rules if key == name), self.file)
            rule = short(self.rules[name])
            raise GrammarError(f"{at}the rule <{bare(name)}> must be a sentence template, not {rule}")
        if name not in self._made_rules:
            self._open.append(name)
            try:
                self._made_rules[name] = self.expression(self.rules[name])
            finally:
                self._open.pop()
        return self._made_rules[name]


def number_list(spec: Any, at: str) -> ValueList:
    """The numbers of a range, each as it is spoken."""
    if not isinstance(spec, Mapping) or not {"from", "to"} <= set(spec):
        raise GrammarError(f"{at}a range needs `from:` and `to:`, and may have `step:` and `fractions:`")
    first, last, step = (spec.get(key, 1) for key in ("from", "to", "step"))
    if not all(type(number) is int for number in (first, last, step)):
        raise GrammarError(
            f"{at}the range's from, to and step must be whole numbers, not {first!r}, {last!r}, {step!r}"
        )
    if step < 1 or last < first or (last - first) // step > MAX_RANGE:
        raise GrammarError(
            f"{at}the range from {first} to {last} in steps of {step} is empty or of more than {MAX_RANGE:,} numbers"
        )
    fractions = spec.get("fractions")
    if fractions not in _FRACTIONS:
        raise GrammarError(f"{at}fractions are {fractions!r}; halves or tenths are right")
    scale = spec.get("multiplier", 1)
    if type(scale) not in (int, float):
        raise GrammarError(f"{at}the range's multiplier is {scale!r}; a number is right")
    values: list[tuple[Expression, Any]] = []
    for whole in range(first, last + 1, step):
        for number in (whole, *(whole + fraction for fraction in _FRACTIONS[fractions] if whole < last)):
            values += [(Text(words), number * scale) for words in number_words(number)]
    return ValueList(values)


def _permutation(items: tuple[Expression, ...]) -> Expression:
    if len(items) < 2:
        return items[0]
    return Alternative(
        tuple(Sequence((item, _permutation(items[:i] + items[i + 1 :]))) for i, item in enumerate(items))
    )


def _plain(expression: Expression) -> Expression:
    """A sequence of one literal as the literal."""
    while isinstance(expression, Sequence) and len(expression.items) == 1:
        expression = expression.items[0]
    return expression


def _out(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _are(names: Iterable[str], kind: str) -> str:
    known = sorted(bare(name) for name in names)
    if not known:
        return f"are no {kind}s"
    return f"{'is' if len(known) == 1 else 'are'} {', '.join(known[:12])}" + (", ..." if len(known) > 12 else "")
