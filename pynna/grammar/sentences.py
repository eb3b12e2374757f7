"""Sentence templates in Home Assistant's language, as hassil reads it, put together into expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hassil import expression as parsed
from hassil.errors import HassilError
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from pynna.errors import GrammarError

from .expression import Alternative, Expression, Sequence, Slot, Text, ValueList, Wildcard
from .spoken import normalise, number_words

WILDCARD = object()
"""In place of a list's values: free speech."""

MAX_RANGE = 100_000
_FRACTIONS: dict[str | None, tuple[float, ...]] = {
    None: (), "halves": (0.5,), "tenths": tuple(i / 10 for i in range(1, 10)),
}  # fmt: skip


def where(text: Any, file: str) -> str:
    """ "file:line: " of a text that knows its line."""
    line = getattr(text, "line", None)
    return f"{file}:{line}: " if line else f"{file}: " if file else ""


def parse(template: str, file: str) -> parsed.Expression:
    """A template's parse tree."""
    try:
        return parse_sentence(str(template)).expression
    except (ParseError, HassilError, AssertionError, ValueError, IndexError) as error:
        raise GrammarError(
            f"{where(template, file)}{str(template)!r} is no sentence template: {error}; brackets come in "
            "pairs: (one|other), [optional], {list}, <rule>"
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
                    f"{where(source, self.file)}{str(source)!r} names the list {{{name}}}, which is not there"
                    f"; there {_are(self.lists, 'list')}"
                )
            return self.outer.values(name, source)
        if name not in self._made_lists:
            self._made_lists[name] = self._list(name, self.lists[name])
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
        made: list[tuple[Expression, Any]] = []
        for value in values:
            spoken, out = (
                (value.get("in"), value.get("out", value.get("in"))) if isinstance(value, Mapping) else (value, value)
            )
            if spoken is None or isinstance(spoken, (list, Mapping)):
                raise GrammarError(
                    f"{where(spoken, self.file) if spoken else at}list {name!r}: a value is a text, or "
                    f"`in:` a text and `out:` what it stands for, not {value!r}"
                )
            made.append((_plain(self._template(spoken)), _out(out)))
        if not made:
            raise GrammarError(f"{at}list {name!r} is empty")
        return ValueList(made)

    def _template(self, spoken: Any) -> Expression:
        if isinstance(spoken, (int, float)) and not isinstance(spoken, bool):
            return Alternative(tuple(Text(words) for words in number_words(spoken)))
        text = str(spoken)
        if not set(text) & set("([{<|\\"):
            return Text(normalise(text).strip(), where(spoken, self.file))
        return self.expression(spoken)

    def _rule(self, name: str, source: str) -> Expression:
        if name not in self.rules:
            if self.outer is None:
                raise GrammarError(
                    f"{where(source, self.file)}{str(source)!r} names the rule <{name}>, which is not there; "
                    f"there {_are(self.rules, 'rule')}"
                )
            return self.outer._rule(name, source)
        if name in self._open:
            chain = " -> ".join(f"<{n}>" for n in [*self._open[self._open.index(name) :], name])
            raise GrammarError(
                f"{where(self.rules[name], self.file)}the rule <{name}> contains itself: {chain}; its "
                "sentences would never end"
            )
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
    try:
        first, last, step = (int(spec.get(key, 1)) for key in ("from", "to", "step"))
    except (TypeError, ValueError):
        raise GrammarError(f"{at}the range's from, to and step must be whole numbers") from None
    if step < 1 or last < first or (last - first) // step > MAX_RANGE:
        raise GrammarError(
            f"{at}the range from {first} to {last} in steps of {step} is empty or of more than {MAX_RANGE:,} numbers"
        )
    fractions = spec.get("fractions")
    if fractions not in _FRACTIONS:
        raise GrammarError(f"{at}fractions are {fractions!r}; halves or tenths are right")
    scale = spec.get("multiplier", 1)
    values: list[tuple[Expression, Any]] = []
    for whole in range(first, last + 1, step):
        for number in (whole, *(whole + fraction for fraction in _FRACTIONS[fractions] if whole < last)):
            values += [(Text(words), number * scale) for words in number_words(number)]
    return ValueList(values)


def _permutation(items: tuple[Expression, ...]) -> Expression:
    if len(items) > 5:
        raise GrammarError(f"a permutation of {len(items)} parts; at most 5 are possible")
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
    known = sorted(str(name) for name in names)
    if not known:
        return f"are no {kind}s"
    return f"{'is' if len(known) == 1 else 'are'} {', '.join(known[:12])}" + (", ..." if len(known) > 12 else "")
