# SPDX-License-Identifier: Apache-2.0
"""Wyoming's intent service: a sentence to one intent or several, by a grammar."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wyoming.event import Event
from wyoming.handle import NotHandled
from wyoming.intent import Entity, Intent, IntentsStart, IntentsStop, NotRecognized

from pynna.grammar.grammar import Grammar, Match

MAX_TEXT = 1000
"""Letters of a sentence that is looked at."""

MAX_INTENTS = 8
_AND = re.compile(r"\s*(?:,\s*and|,|\band(?: then)?|\bthen)\s+", re.IGNORECASE)


def understood(grammar: Grammar, text: str, context: dict[str, Any] | None = None) -> tuple[Match, ...]:
    """What a text asks for: one sentence of the grammar, or several with "and" between; empty where a part is none."""
    text = text[:MAX_TEXT]
    whole = grammar.parse(text, context)
    if whole is not None:
        return (whole,)
    return _in_parts(grammar, text, context, MAX_INTENTS)


def _in_parts(grammar: Grammar, text: str, context: dict[str, Any] | None, most: int) -> tuple[Match, ...]:
    """The parts of a text, each a sentence: the first as long as possible."""
    for joint in reversed(list(_AND.finditer(text))):
        first = grammar.parse(text[: joint.start()], context)
        if first is None or most < 2:
            continue
        rest = grammar.parse(text[joint.end() :], context)
        others = (rest,) if rest is not None else _in_parts(grammar, text[joint.end() :], context, most - 1)
        if others:
            return (first, *others)
    return ()


def answers(grammar: Grammar | None, text: str, context: dict[str, Any] | None, recognize: bool) -> Iterable[Event]:
    """The events that answer ``recognize`` or, where a conversation is asked, ``transcript``."""
    known = {key: value for key, value in (context or {}).items() if isinstance(key, str)}
    found = understood(grammar, text, known) if grammar is not None else ()
    if not found:
        reply = "I did not understand that" if grammar is not None else "there is no sentence file"
        refused = NotRecognized(text=reply, context=context) if recognize or grammar else NotHandled(reply, context)
        return [refused.event()]
    events = [_intent(match, context) for match in found]
    if len(events) == 1:
        return events
    return [IntentsStart(context=context).event(), *events, IntentsStop(context=context).event()]


def _intent(match: Match, context: dict[str, Any] | None) -> Event:
    entities = [Entity(name=name, value=value) for name, value in match.slots.items() if value != ""]
    return Intent(name=match.intent, entities=entities, text=match.reply or None, context=context).event()
