"""YAML whose texts know the line that they stand in."""

from __future__ import annotations

from typing import Any

import yaml

from pynna.errors import GrammarError


class Line(str):
    """A text of a file, and its line, from 1."""

    line: int


class _Loader(yaml.SafeLoader):
    """SafeLoader; `on` and `off` are words here, as people mean them."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Line:
    text = Line(loader.construct_scalar(node))
    text.line = node.start_mark.line + 1
    return text


def _boolean(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    if str(node.value).lower() in ("true", "false"):
        return loader.construct_yaml_bool(node)
    return _text(loader, node)


_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)


def load(text: str, file: str) -> Any:
    """What a YAML document holds.

    Raises
    ------
    GrammarError
        It is no YAML; file and line are told.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise GrammarError(f"{file}{line}: no YAML: {getattr(error, 'problem', None) or error}") from None
