# SPDX-License-Identifier: Apache-2.0
"""YAML whose texts know the line that they stand in.

A document is put together from the parser's events: many times as fast as by PyYAML's composer, keys that are there
twice are told, and no nesting exhausts the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pynna.errors import GrammarError

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where it is there
_RESOLVERS: Mapping[str, Any] = yaml.SafeLoader.yaml_implicit_resolvers
_STR, _BOOL, _MERGE, _VALUE = ("tag:yaml.org,2002:" + kind for kind in ("str", "bool", "merge", "value"))
MAX_DEPTH = 100


class Line(str):
    """A text of a file, the file's name and its line, from 1."""

    file: str
    line: int


class _Open:
    """A collection under way; of a mapping the key whose value comes next."""

    def __init__(self, made: dict[Any, Any] | list[Any], anchor: str | None) -> None:
        self.made, self.anchor = made, anchor
        self.has_key = False
        self.key: Any = None
        self.merged: list[Any] = []  # what `<<` keys hold


class _Merge:
    """In place of a `<<` key."""


def load(text: str, file: str) -> Any:
    """What a YAML document holds; `on` and `off` are words in it, as people mean them.

    Raises
    ------
    GrammarError
        It is no YAML, or a key is there twice; file and line are told.
    """
    try:
        return _document(yaml.parse(text, _Parser), file)
    except GrammarError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        mark, position = getattr(error, "problem_mark", None), getattr(error, "position", 0)
        line = min(mark.line if mark else text.count("\n", 0, position), text.rstrip().count("\n")) + 1
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise GrammarError(f"{file}:{line}: no YAML: {reason}") from None


def _document(events: Iterator[Any], file: str) -> Any:
    scalars = yaml.SafeLoader("")
    root: list[Any] = []
    stack, anchors = [_Open(root, None)], dict[str, Any]()
    for event in events:
        where = f"{file}:{event.start_mark.line + 1}: "
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = _scalar(event, scalars, file, where)
            if event.anchor:
                anchors[event.anchor] = value
            _add(stack[-1], value, where)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.tag and event.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"):
                raise GrammarError(f"{where}the tag {event.tag} means nothing here")
            if len(stack) > MAX_DEPTH:
                raise GrammarError(f"{where}nested more than {MAX_DEPTH} deep")
            stack.append(_Open({} if kind is yaml.MappingStartEvent else [], event.anchor))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            _close(stack, anchors, where)
        elif kind is yaml.AliasEvent:
            if event.anchor not in anchors:
                raise GrammarError(f"{where}there is no anchor &{event.anchor} before *{event.anchor}")
            _add(stack[-1], anchors[event.anchor], where)
        elif kind is yaml.DocumentStartEvent and root:
            raise GrammarError(f"{where}a second document begins; one is right")
    return root[0] if root else None


def _scalar(event: Any, scalars: yaml.SafeLoader, file: str, where: str) -> Any:
    """A text, number, truth or nothing; a text knows its line."""
    value, tag = event.value, event.tag
    if tag is None and event.implicit[0]:
        tag = next((tag for tag, form in _RESOLVERS.get(value[:1], ()) if form.match(value)), _STR)
    if tag == _MERGE:
        return _Merge
    if tag in (None, "!", _STR, _VALUE) or (tag == _BOOL and value.lower() not in ("true", "false")):
        text = Line(value)
        text.file, text.line = file, event.start_mark.line + 1
        return text
    try:
        return scalars.construct_object(yaml.ScalarNode(tag, value, event.start_mark))  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, AttributeError, LookupError, ValueError):
        raise GrammarError(f"{where}{value!r} is not what its tag {tag} promises") from None


def _add(to: _Open, value: Any, where: str) -> None:
    """The next value of a list, or the next key or value of a mapping."""
    if isinstance(to.made, list):
        to.made.append(value)
    elif to.has_key:
        to.has_key = False
        if to.key is _Merge:
            to.merged += value if isinstance(value, list) else [value]
        else:
            to.made[to.key] = value
    else:
        if isinstance(value, (dict, list)):
            raise GrammarError(f"{where}a key must be a text or a number")
        if value is not _Merge and value in to.made:
            raise GrammarError(f"{where}the key {value!r} is there twice")
        to.key, to.has_key = value, True


def _close(stack: list[_Open], anchors: dict[str, Any], where: str) -> None:
    done = stack.pop()
    for other in done.merged:
        if not isinstance(other, dict):
            raise GrammarError(f"{where}`<<` takes a mapping")
        assert isinstance(done.made, dict)
        for key, value in other.items():
            done.made.setdefault(key, value)
    if done.anchor:
        anchors[done.anchor] = done.made
    _add(stack[-1], done.made, where)
