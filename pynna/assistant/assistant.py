"""The assistant: what was understood becomes what is done, and an answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from pynna.assistant.actions import ACTIONS, OPPOSITE, Scene
from pynna.assistant.car import Car
from pynna.assistant.drive import Drive
from pynna.errors import ArgumentError
from pynna.grammar import Grammar
from pynna.results import GrammarResult

NOT_UNDERSTOOD = "I didn't get that"

_REMEMBERED = 100  # changes that can be undone


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
    grammar : Grammar
        What can be said.
    car : Car
    drive : Drive
    """

    def __init__(self, grammar: Grammar, *, drive: Drive | None = None,
                 now: Callable[[], datetime] = datetime.now) -> None:
        self.grammar, self.car, self.drive, self._now = grammar, Car(), drive or Drive(), now
        self._before: deque[Car] = deque(maxlen=_REMEMBERED)
        self._last: tuple[str, Mapping[str, Any]] | None = None  # what More and Less go on with
        self._reply = ""
        self._lock = threading.Lock()

    def hear(self, result: GrammarResult) -> Outcome:
        """Acts on what a stream with the assistant's grammar has heard, if it is accepted."""
        if not result.accepted or result.intent is None:
            return Outcome(result.text, None)
        return self.act(result.intent, result.slots, result.text)

    def read(self, text: str) -> Outcome:
        """Acts on a typed command: words as they are said, "set the volume to twenty"."""
        match = self.grammar.parse(" ".join(text.lower().split()))
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
            names = [name for name in Car.__dataclass_fields__ if getattr(before, name) != getattr(self.car, name)]
            return Outcome(text, intent, slots, reply, True, tuple(names))

    def _act(self, intent: str, slots: Mapping[str, Any], text: str) -> str:
        if intent == "Undo":
            return self._undo()
        if intent == "Repeat":
            return self._reply or "I have said nothing yet"
        if intent in ("More", "Less"):
            if self._last is None:
                return "More of what?" if intent == "More" else "Less of what?"
            last, slots = self._last
            return self._do(OPPOSITE[last] if intent == "Less" else last, slots, text)
        if intent not in ACTIONS:
            raise ArgumentError(f"there is no intent {intent!r}; {', '.join(sorted(ACTIONS))} are known")
        if intent in OPPOSITE:
            self._last = intent, slots
        elif intent in ("VolumeSet", "TemperatureSet"):
            up = intent.replace("Set", "Up")
            self._last = up, {name: value for name, value in slots.items() if name == "zone"}
        elif intent not in ("Help", "TimeTell"):
            self._last = None
        return self._do(intent, slots, text)

    def _do(self, intent: str, slots: Mapping[str, Any], text: str) -> str:
        car, self._reply = ACTIONS[intent](Scene(self.car, self.drive, slots, text, self._now()))
        if replace(car, view=self.car.view) != self.car:
            self._before.append(self.car)
        self.car = car
        return self._reply

    def _undo(self) -> str:
        if not self._before:
            return "There is nothing to undo"
        self.car = replace(self._before.pop(), view=self.car.view)
        self._last = None
        self._reply = "Undone"
        return self._reply

    def tick(self, seconds: float) -> str:
        """Time goes by: the drive goes on, timers run out. Returns what is to be said, mostly nothing."""
        with self._lock:
            self.drive.tick(seconds, self.car)
            if self.drive.arrived:
                place = self.car.destination
                self.car = self.car.changed(destination="")
                return f"You have arrived: {place}"
            if self.car.timer is not None and self._now() >= self.car.timer:
                self.car = self.car.changed(timer=None)
                return "The timer has run out"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Car and drive as JSON can hold them."""
        with self._lock:
            return {"car": self.car.as_dict(), "drive": self.drive.as_dict(self.car)}
