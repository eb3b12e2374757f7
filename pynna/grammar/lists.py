# SPDX-License-Identifier: Apache-2.0
"""Lists of a sentence file: values, ranges of numbers, wildcards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pynna.errors import ArgumentError, GrammarError

from .expression import AS_SAID, NOTHING, Expression, Sequence, Text, Value, ValueList, alternative
from .normalise import spoken_forms
from .numbers import BEYOND, number_words
from .wording import bare, short, where

WILDCARD = object()
"""In place of a list's values: the filler."""

EMPTY_LIST = object()
"""In place of what a file says of a list: it has no values now, and sentences that need one cannot be said."""

MAX_RANGE = 100_000
TEMPLATE_SIGNS = re.compile(r"[(\[{<|\\]")
_FRACTIONS: dict[str | None, tuple[float, ...]] = {
    None: (), "halves": (0.5,), "tenths": tuple(i / 10 for i in range(1, 10)),
}  # fmt: skip
_RANGE_KEYS = ("from", "to", "step", "type", "fractions", "multiplier", "digits", "words", "words_language")
_RANGE_TYPES = ("number", "percentage", "temperature")
_LIST_KEYS = ("values", "range", "wildcard", "metadata", "description")
_VALUE_KEYS = ("in", "text", "out", "says", "context", "metadata")


class ListReader:
    """Makes a list's values of what a file says; `expression` makes one of a template."""

    def __init__(self, file: str, language: str, expression: Callable[[str], Expression]) -> None:
        self.file, self.language, self._expression = file, language, expression

    def read(self, name: str, spec: Any) -> ValueList | object:
        """The values, or WILDCARD."""
        at = where(name, self.file)
        if spec is EMPTY_LIST:
            return ValueList(())
        if isinstance(spec, Mapping):
            no_other_keys(spec, _LIST_KEYS, f"{at}list {bare(name)!r}", self.file)
            if spec.get("wildcard"):
                return WILDCARD
            if "range" in spec:
                return number_list(spec["range"], at, self.language)
        values = spec.get("values") if isinstance(spec, Mapping) else spec
        if not isinstance(values, Iterable) or isinstance(values, (str, Mapping)):
            raise GrammarError(f"{at}list {name!r} needs `values:`, `range:` or `wildcard: true`")
        made = [self._value(value, name, at) for value in values]
        if not made:
            raise GrammarError(f"{at}list {name!r} is empty")
        return ValueList(value for value in made if value.spoken is not NOTHING)

    def _value(self, value: Any, name: str, at: str) -> Value:
        if not isinstance(value, Mapping):
            spoken = self._spoken(value, name, at)
            return Value(spoken, AS_SAID if _is_template(value) else _plain_text(value))
        no_other_keys(value, _VALUE_KEYS, f"{where(next(iter(value), ''), self.file) or at}list {name!r}", self.file)
        written = value.get("in", value.get("text"))
        out = value.get("out")
        if out is None:
            out = AS_SAID if _is_template(written) or written is None else _plain_text(written)
        context = value.get("context")
        if context is not None and not isinstance(context, Mapping):
            raise GrammarError(f"{at}list {name!r}: `context:` must hold names and values, not {short(context)}")
        says = value.get("says")
        if says is None:
            return Value(self._spoken(written, name, at), out, context)
        several = says if isinstance(says, list) else [says]
        spoken = alternative(self._spoken(one, name, at) for one in several)
        return Value(spoken, out, context, None if written is None else self._spoken(written, name, at))

    def _spoken(self, spoken: Any, name: str, at: str) -> Expression:
        if isinstance(spoken, str):
            if _is_template(spoken):
                return _unwrapped(self._expression(spoken))
            forms = dict.fromkeys(form.strip() for form in spoken_forms(spoken, self.language))
            forms.pop("", None)
            if forms:
                return alternative(Text(form, where(spoken, self.file)) for form in forms)
        elif isinstance(spoken, (int, float)) and not isinstance(spoken, bool):
            try:
                return alternative(Text(words) for words in number_words(spoken, self.language))
            except ArgumentError as error:
                raise GrammarError(f"{at}list {name!r}: {error}") from None
        at = where(spoken, self.file) if hasattr(spoken, "line") else at
        raise GrammarError(
            f"{at}list {name!r}: a value is a text with letters, "
            f"or `in:` a text and `out:` what it stands for, not {spoken!r}"
        )


def no_other_keys(spec: Mapping[Any, Any], known: Iterable[str], what: str, file: str) -> None:
    """Raises GrammarError about `what` if a mapping has a key that means nothing there."""
    for key in spec:
        if key not in known:
            at = where(key, file)
            what = what if not at or what.startswith(at) else at + what.removeprefix(f"{file}: ")
            raise GrammarError(f"{what}: the key {bare(key)!r} is not supported; there are {', '.join(known)}")


def _is_template(text: Any) -> bool:
    return isinstance(text, str) and TEMPLATE_SIGNS.search(text) is not None


def _plain_text(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _unwrapped(expression: Expression) -> Expression:
    """A sequence of one literal as the literal."""
    while isinstance(expression, Sequence) and len(expression.items) == 1:
        expression = expression.items[0]
    return expression


def number_list(spec: Any, at: str, language: str) -> ValueList:
    """The numbers of a range, each as it is spoken."""
    first, last, step = _bounds(spec, at)
    scale = spec.get("multiplier", 1)
    if type(scale) not in (int, float):
        raise GrammarError(f"{at}the range's multiplier is {scale!r}; a number is right")
    if not abs(scale) < BEYOND:
        raise GrammarError(f"{at}the range's multiplier must be a number of at most 100 digits")
    language = str(spec.get("words_language") or language)
    return ValueList(
        (
            Value(alternative(Text(words) for words in number_words(number, language)), number * scale)
            for number in _numbers(first, last, step, spec.get("fractions"), at)
        ),
        are_numbers=True,
    )


def _bounds(spec: Any, at: str) -> tuple[int, int, int]:
    if not isinstance(spec, Mapping) or not {"from", "to"} <= set(spec):
        raise GrammarError(f"{at}a range needs `from:` and `to:`, and may have `step:` and `fractions:`")
    no_other_keys(spec, _RANGE_KEYS, f"{at}the range", "")
    if spec.get("type", "number") not in _RANGE_TYPES:
        raise GrammarError(f"{at}the range's type is {spec['type']!r}; {', '.join(_RANGE_TYPES)} are right")
    first, last, step = (spec.get(key, 1) for key in ("from", "to", "step"))
    if not all(type(number) is int for number in (first, last, step)):
        raise GrammarError(
            f"{at}the range's from, to and step must be whole numbers, not {first!r}, {last!r}, {step!r}"
        )
    if max(map(abs, (first, last, step))) >= BEYOND:
        raise GrammarError(f"{at}the range's from, to and step must have at most 100 digits")
    if step < 1 or last < first or (last - first) // step > MAX_RANGE:
        raise GrammarError(
            f"{at}the range from {first} to {last} in steps of {step} is empty or of more than {MAX_RANGE:,} numbers"
        )
    return first, last, step


def _numbers(first: int, last: int, step: int, fractions: Any, at: str) -> Iterator[int | float]:
    if fractions not in _FRACTIONS:
        raise GrammarError(f"{at}fractions are {fractions!r}; halves or tenths are right")
    for whole in range(first, last + 1, step):
        yield whole
        yield from (round(whole + fraction, 1) for fraction in _FRACTIONS[fractions])
