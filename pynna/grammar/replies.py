# SPDX-License-Identifier: Apache-2.0
"""Replies: texts with ``{slot}`` places, or Jinja templates in a sandbox, as Home Assistant has them."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from typing import Any

from pynna.errors import GrammarError

_PLACE = re.compile(r"\{\{?\s*(?:slots\.)?(\w+)\s*\}?\}")
_IS_JINJA = re.compile(r"\{%|\{#|\{\{(?!\s*(?:slots\.)?\w+\s*\}\})")
MAX_RENDERED = 10_000
_LOG = logging.getLogger(__name__)


class Reply:
    """A reply's template.

    Attributes
    ----------
    text : str
    lacks : tuple of str
        What a Jinja template needs and nothing here knows, ``state`` of an entity for instance: then there is no reply.
    """

    def __init__(self, text: str, at: str = "") -> None:
        self.text = text
        self.lacks: tuple[str, ...] = ()
        if _IS_JINJA.search(text):
            self.lacks = self._checked(at)

    def _checked(self, at: str) -> tuple[str, ...]:
        try:
            from jinja2 import TemplateError
        except ImportError:
            raise GrammarError(f"{at}the reply {self.text!r} is a Jinja template; pip install jinja2") from None
        try:
            return _unknown_names(self.text)
        except (TemplateError, RecursionError) as error:
            raise GrammarError(f"{at}the reply {self.text!r} is no Jinja template: {error}") from None

    def render(self, slots: Mapping[str, Any], captures: Mapping[str, Any]) -> str:
        """The reply with what was said in its places; a slot that was not said leaves nothing."""
        known = {**slots, **captures}
        if self.lacks:
            return ""
        if _IS_JINJA.search(self.text):
            text = _rendered(self.text, known)
        else:
            text = _PLACE.sub(lambda m: str(known.get(m.group(1), "")), self.text)
        return " ".join(text.split())


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(autoescape=False)


@functools.lru_cache(maxsize=512)
def _template(text: str) -> Any:
    return _environment().from_string(text)


@functools.lru_cache(maxsize=1024)
def _unknown_names(text: str) -> tuple[str, ...]:
    """The names that a Jinja template takes from elsewhere, and which are no slots; raises what Jinja does."""
    from jinja2 import meta, nodes

    tree = _environment().parse(text)
    names = meta.find_undeclared_variables(tree)
    called = {call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}
    return tuple(sorted((names & (_ELSEWHERE | called)) - set(_environment().globals)))


_ELSEWHERE = frozenset({"state", "states", "query", "state_attr", "is_state", "now", "trigger", "this"})
"""What Home Assistant tells a reply, and only it."""


def _rendered(text: str, known: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return str(_template(text).render({**known, "slots": known}))[:MAX_RENDERED]
    except (
        TemplateError,
        ArithmeticError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        RecursionError,
    ) as error:
        _tell_once(text, str(error))
        return ""


@functools.lru_cache(maxsize=512)
def _tell_once(text: str, error: str) -> None:
    """What is wrong with a reply: a home asks for it every day."""
    _LOG.warning("the reply %r cannot be rendered: %s", text, error)
