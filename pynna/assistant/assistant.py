# SPDX-License-Identifier: Apache-2.0
"""The assistant: what was understood becomes what is done, and an answer."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from pynna.assistant.actions import ACTIONS, PASSING, ActionContext, named, playing, repeat_more
from pynna.assistant.car import BOUNDS, Car
from pynna.assistant.drive import Drive
from pynna.decoding.results import GrammarResult
from pynna.errors import ArgumentError, GrammarError
from pynna.grammar import Grammar

NOT_UNDERSTOOD = "I didn't get that"

_POLITE = re.compile(r"^(hey |ok(ay)? )?(please )?((can|could|would|will) you )?(please )?|,? ?please\W*$")

_REMEMBERED = 100  # changes that can be undone
_CALL_BACK = 12.0  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    Attributes
    ----------
    text : str
        What was heard.
    intent : str or None
        None where it was not understood.
    slots : dict of str to value
    reply : str
        The answer, to be shown or spoken.
    understood : bool
    changed : tuple of str
        The settings of the car that are others than before.
    """

    text: str
    intent: str | None
    slots: dict[str, Any] = field(default_factory=dict)
    reply: str = NOT_UNDERSTOOD
    understood: bool = False
    changed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.text} -> {self.reply}" if self.text else self.reply


class Assistant:
    """A car, its drive, and what was said before.

    Attributes
    ----------
    car : Car
    drive : Drive
    """

    def __init__(
        self, grammar: Grammar, *, drive: Drive | None = None, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self.car, self.drive, self._now = Car(), drive or Drive(), now
        self.grammars = {"celsius": grammar, "fahrenheit": _in_fahrenheit(grammar)}
        self._before: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_REMEMBERED)  # said, and what was
        self._last: tuple[str, Mapping[str, Any]] | None = None  # what More and Less go on with
        self._reply = ""
        self._quiet = 0.0  # seconds since a message was sent
        self._lock = threading.Lock()

    @property
    def grammar(self) -> Grammar:
        """What can be said: the temperatures are the driver's."""
        return self.grammars[self.car.degrees]

    def hear(self, result: GrammarResult) -> Outcome:
        """Acts on what a stream with the assistant's grammar has heard, if it is accepted."""
        if not result.accepted or result.intent is None:
            return Outcome(result.text, None)
        return self.act(result.intent, result.slots, result.text)

    def read(self, text: str) -> Outcome:
        """Acts on a typed command: as it is said or written, "Could you set the volume to 20, please?"."""
        words = " ".join(text.lower().split())
        match = self.grammar.parse(words) or self.grammar.parse(_POLITE.sub("", words))
        return Outcome(text, None) if match is None else self.act(match.intent, match.slots, text)

    def act(self, intent: str, slots: Mapping[str, Any] | None = None, text: str = "") -> Outcome:
        """Does what an intent asks for.

        Raises
        ------
        ArgumentError
            No such intent, a slot that it needs is missing or has a value that it cannot have. The car stays as it was.
        """
        slots = dict(slots or {})
        with self._lock:
            before = self.car
            try:
                reply = self._act(intent, slots, text)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                self.car = before
                raise ArgumentError(f"intent {intent!r} cannot be done with slots {slots}: {error}") from None
            self.drive.go_to(self.car.destination)
            return Outcome(text, intent, slots, reply, True, tuple(_changes(before, self.car)))

    def _act(self, intent: str, slots: Mapping[str, Any], text: str) -> str:
        if intent == "Undo":
            return self._undo()
        if intent == "Repeat":
            return self._reply or "I have said nothing yet"
        if intent in ("More", "Less"):
            then = repeat_more(*self._last, intent == "More") if self._last else None
            if then is None:
                return f"{intent} of what?"
            if {"bit", "little"} & set(text.split()):
                then[1].pop("amount", None)
            return self._do(*then, text)
        if intent not in ACTIONS:
            raise ArgumentError(f"there is no intent {intent!r}; {', '.join(sorted(ACTIONS))} are known")
        reply = self._do(intent, slots, text)
        if intent not in PASSING:
            self._last = intent, slots
        return reply

    def _do(self, intent: str, slots: Mapping[str, Any], text: str) -> str:
        car, self._reply = ACTIONS[intent](ActionContext(self.car, self.drive, slots, text, self._now()))
        if changes := _changes(self.car, replace(car, view=self.car.view)):
            self._before.append((text or _spaced(intent), changes))
        self.car = car
        return self._reply

    def _undo(self) -> str:
        if not self._before:
            return "There is nothing to undo"
        said, before = self._before.pop()
        self.car = replace(self.car, **before)
        self._last = None
        self._reply = f"Undone: {said}"
        return self._reply

    def tick(self, seconds: float) -> str:
        """Time goes by: the drive goes on, timers run out. Returns what is to be said, mostly nothing."""
        with self._lock:
            self.drive.tick(seconds, self.car)
            return self._arrive() or self._ring(seconds)

    def _arrive(self) -> str:
        if self.drive.arrived:
            told = f"You have arrived: {named(self.car.destination)}"
            told += f". Remember to {self.car.reminder}" if self.car.reminder else ""
            self.car = self.car.changed(destination="", reminder="")
            return told
        return ""

    def _ring(self, seconds: float) -> str:
        """The timer; and who was sent a message calls back after a while."""
        car = self.car
        if car.timer is not None and self._now() >= car.timer:
            self.car = car.changed(timer=None)
            return "The timer has run out"
        self._quiet = 0.0 if not car.told or car.call else self._quiet + seconds
        if self._quiet > _CALL_BACK:
            self.car = car.changed(view="phone", ringing=True, last_call=car.told, told="")
            return f"{named(car.told)} is calling"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Car and drive as JSON can hold them."""
        with self._lock:
            return {"car": self.car.as_dict(), "drive": self.drive.as_dict(self.car), "playing": playing(self.car)}


def _changes(before: Car, after: Car) -> dict[str, Any]:
    """The settings that differ, as they were before."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in Car.__dataclass_fields__)
    return {name: old for name, old, new in pairs if old != new}


def _in_fahrenheit(grammar: Grammar) -> Grammar:
    """A grammar whose temperatures, if it has any, are told in degrees Fahrenheit."""
    least, most = (round(t * 9 / 5 + 32) for t in BOUNDS["temperature"])
    try:
        return grammar.with_lists({"temperature": range(least, most + 1)})
    except GrammarError:
        return grammar


def _spaced(intent: str) -> str:
    """An intent's name as words: "volume up"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", intent).lower()
