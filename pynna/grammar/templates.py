# SPDX-License-Identifier: Apache-2.0
"""Sentence templates in Home Assistant's language, as hassil reads it, put together into expressions.

A `Scope` knows the lists and rules that a block of sentences may name. The block's own stand before the shared ones,
inside of shared rules too: a shared rule that names one of them is made anew for the block, any other only once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hassil import expression as parsed
from hassil.errors import HassilError
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from pynna.errors import GrammarError

from .contexts import Carrying, Context, has_contexts, permitted
from .expression import (
    NOTHING,
    Clauses,
    Expression,
    Extent,
    Slot,
    Text,
    ValueList,
    Wildcard,
    alternative,
    check,
    sequence,
)
from .lists import ListReader, number_list
from .normalise import spoken_forms
from .wording import are, bare, short, where

MAX_PERMUTED = 5


def parse(template: str, file: str) -> parsed.Expression:
    """A template's parse tree."""
    try:
        return parse_sentence(str(template)).expression
    except (ParseError, HassilError, AssertionError, ValueError, IndexError, RecursionError):
        raise GrammarError(
            f"{where(template, file)}{short(template)} is no sentence template; brackets come in pairs, with something "
            "in them: (one|other), [optional], {list}, <rule>"
        ) from None


@dataclass
class Shared:
    """What all scopes of a document have in common."""

    file: str = ""
    language: str = "en"
    trees: dict[str, parsed.Expression] = field(default_factory=dict)
    extents: dict[int, Extent] = field(default_factory=dict)
    clauses: dict[int, Clauses] = field(default_factory=dict)
    texts: dict[str, Expression] = field(default_factory=dict)
    permitted: dict[tuple[int, str], ValueList] = field(default_factory=dict)
    carrying: Carrying = field(default_factory=Carrying)
    alive: list[Expression] = field(default_factory=list)
    """What is known by its id must live."""

    def tree(self, template: str) -> parsed.Expression:
        """A template's parse tree, made once."""
        key = str(template)
        if key not in self.trees:
            self.trees[key] = parse(template, self.file)
        return self.trees[key]


class Scope:
    """Lists and rules that a template may name, and what has been made of them.

    `outer` is the scope of the shared ones; `required` and `excluded` are conditions on the contexts of lists' values.
    """

    def __init__(
        self,
        shared: Shared,
        lists: Mapping[str, Any],
        rules: Mapping[str, str],
        outer: Scope | None = None,
        required: Context | None = None,
        excluded: Context | None = None,
    ) -> None:
        self.shared, self.outer, self.lists, self.rules = shared, outer, lists, rules
        self.required, self.excluded = required or {}, excluded or {}
        self._made_lists: dict[str, ValueList | object] = {}
        self._made_rules: dict[str, Expression] = {}
        self._open: list[str] = []
        self._open_lists: list[str] = []
        self._names: dict[str, frozenset[str]] = {}

    def sentence(self, template: str) -> Expression:
        """The expression of a sentence's template, its length checked."""
        what = f"{where(template, self.shared.file)}{short(template)}"
        try:
            expression = self.expression(template)
        except RecursionError:
            raise GrammarError(f"{what}: its parts are nested too deeply") from None
        if expression is not NOTHING:
            check(expression, self.shared.extents, what)
        self.shared.alive.append(expression)
        return expression

    def expression(self, template: str) -> Expression:
        """The expression of a template."""
        return self._convert(self.shared.tree(template), template)

    def _convert(self, item: parsed.Expression, source: str) -> Expression:
        if isinstance(item, parsed.TextChunk):
            return self._text(item.original_text, source)
        if isinstance(item, parsed.ListReference):
            return self._slot(item, source)
        if isinstance(item, parsed.RuleReference):
            return self._rule(item.rule_name, source)
        assert isinstance(item, parsed.Group)
        items = tuple(self._convert(i, source) for i in item.items)
        if isinstance(item, parsed.Permutation):
            if len(items) > MAX_PERMUTED:
                raise GrammarError(
                    f"{where(source, self.shared.file)}{short(source)} has a permutation of {len(items)} parts; at "
                    f"most {MAX_PERMUTED} are possible"
                )
            return _permutation(items)
        if isinstance(item, parsed.Alternative):
            return alternative(items)
        return sequence(items)

    def _text(self, text: str, source: str) -> Expression:
        forms = spoken_forms(text, self.shared.language)
        at = where(source, self.shared.file)
        if len(forms) == 1 and forms[0].replace(" ", "").isascii():
            made = self.shared.texts.get(forms[0])  # the same text once, whatever its line: all can spell it
            if made is None:
                made = self.shared.texts[forms[0]] = Text(forms[0], at)
            return made
        return alternative(Text(form, at) for form in forms)

    def _slot(self, item: parsed.ListReference, source: str) -> Expression:
        if item.is_inline_range:
            start, stop, step = item.get_inline_range()  # type: ignore[misc]
            values: ValueList | object = number_list(
                {"from": start, "to": stop, "step": step}, where(source, self.shared.file), self.shared.language
            )
        else:
            values = self.values(item.list_name, source)
        if isinstance(values, ValueList):
            return Slot(item.slot_name, values, item.is_capture) if values.values else NOTHING
        return Wildcard(item.slot_name, item.is_capture)

    def find_list(self, name: str) -> Any:
        """What the file says of a list, the block's own first; None if there is none."""
        for scope in (self, self.outer):
            if scope is not None and name in scope.lists:
                return scope.lists[name]
        return None

    def find_rule(self, name: str) -> Any:
        """A rule's template, the block's own first; None if there is none."""
        for scope in (self, self.outer):
            if scope is not None and name in scope.rules:
                return scope.rules[name]
        return None

    def values(self, name: str, source: str) -> ValueList | object:
        """The values of a list whose contexts are permitted, or WILDCARD."""
        if name not in self._made_lists:
            self._made_lists[name] = self._values(name, source)
        return self._made_lists[name]

    def _values(self, name: str, source: str) -> ValueList | object:
        if name in self._open_lists:
            raise GrammarError(f"{where(source, self.shared.file)}the list {name!r} contains itself")
        if name not in self.lists:
            if self.outer is None:
                raise GrammarError(
                    f"{where(source, self.shared.file)}{short(source)} names the list {{{bare(name)}}}, which is not "
                    f"there; there {are(self.lists, 'list')}"
                )
            values = self.outer.values(name, source)
        else:
            self._open_lists.append(name)
            try:
                key = next(key for key in self.lists if key == name)  # the file's own word knows its line
                values = ListReader(self.shared.file, self.shared.language, self.expression).read(key, self.lists[name])
            finally:
                self._open_lists.pop()
        if not isinstance(values, ValueList) or not (self.required or self.excluded):
            return values
        place = (id(values), repr((self.required, self.excluded)))
        if place not in self.shared.permitted:
            self.shared.permitted[place] = permitted(values, self.required, self.excluded)
        return self.shared.permitted[place]

    def names(self, template: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        """The lists ("{list") and rules ("<rule") that a template names, and that its rules name."""
        key = str(template)
        if key not in self._names:
            found: set[str] = set()
            stack = [self.shared.tree(template)]
            while stack:
                item = stack.pop()
                if isinstance(item, parsed.Group):
                    stack += item.items
                elif isinstance(item, parsed.ListReference):
                    found.add("{" + item.list_name)
                elif isinstance(item, parsed.RuleReference) and "<" + item.rule_name not in found | seen:
                    found.add("<" + item.rule_name)
                    rule = self.rules.get(item.rule_name)
                    if isinstance(rule, str):
                        found |= self.names(rule, seen | found)
            if seen:
                return frozenset(found)  # a part of what the whole names
            self._names[key] = frozenset(found)
        return self._names[key]

    def _is_shared(self, name: str) -> bool:
        """Whether a shared rule means the same in this scope as outside of it."""
        assert self.outer is not None
        rule = self.outer.rules.get(name)
        if not isinstance(rule, str):
            return True
        names = self.outer.names(rule)
        own = {f"{{{key}" for key in self.lists} | {f"<{key}" for key in self.rules}
        return not names & own and not (
            (self.required or self.excluded) and any(n[0] == "{" and self._has_contexts(n[1:]) for n in names)
        )

    def _has_contexts(self, name: str) -> bool:
        values = self.values(name, name) if self.find_list(name) is not None else None
        whole = self.outer.values(name, name) if self.outer is not None and name in self.outer.lists else None
        return values is not whole or (isinstance(values, ValueList) and has_contexts(values))

    def _rule(self, name: str, source: str) -> Expression:
        rule = self.find_rule(name)
        if rule is None:
            rules = {**(self.outer.rules if self.outer is not None else {}), **self.rules}
            raise GrammarError(
                f"{where(source, self.shared.file)}{short(source)} names the rule <{bare(name)}>, which is not there; "
                f"there {are(rules, 'rule')}"
            )
        if name in self._open:
            chain = " -> ".join(f"<{bare(n)}>" for n in [*self._open[self._open.index(name) :], name])
            raise GrammarError(
                f"{where(rule, self.shared.file)}the rule <{bare(name)}> contains itself: {chain}; its "
                "sentences would never end"
            )
        if not isinstance(rule, (str, int, float)):
            at = where(next((key for key in self.rules if key == name), name), self.shared.file)
            raise GrammarError(f"{at}the rule <{bare(name)}> must be a sentence template, not {short(rule)}")
        if name not in self._made_rules:
            if self.outer is not None and name not in self.rules and self._is_shared(name):
                self._made_rules[name] = self.outer._rule(name, source)
                return self._made_rules[name]
            self._open.append(name)
            try:
                self._made_rules[name] = self.expression(str(rule) if not isinstance(rule, str) else rule)
            finally:
                self._open.pop()
        return self._made_rules[name]


def _permutation(items: tuple[Expression, ...]) -> Expression:
    if len(items) < 2:
        return items[0]
    return alternative(sequence((item, _permutation(items[:i] + items[i + 1 :]))) for i, item in enumerate(items))
