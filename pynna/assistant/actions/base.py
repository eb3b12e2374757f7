# SPDX-License-Identifier: Apache-2.0
"""What actions share: what they look at, their table, numbers and names as they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from pynna.assistant.car import Car
from pynna.assistant.drive import Drive

Answer: TypeAlias = tuple[Car, str]
Action: TypeAlias = "Callable[[ActionContext], Answer]"


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may look at: the car as it is, the drive, the command's slots and words, the clock."""

    car: Car
    drive: Drive
    slots: Mapping[str, Any]
    text: str
    now: datetime

    @property
    def small(self) -> bool:
        """Whether only a bit of a change is asked for."""
        return any(word in self.text.split() for word in ("bit", "little"))

    @property
    def on(self) -> bool:
        """Whether something is to be on: so it is unless "off" is said."""
        return self.slots.get("state", "on") != "off"

    @property
    def switched(self) -> str:
        """That, in a word."""
        return "on" if self.on else "off"


ACTIONS: dict[str, Action] = {}
"""By the intent's name."""


def action(*intents: str) -> Callable[[Action], Action]:
    """Notes what an intent does."""

    def note(action: Action) -> Action:
        ACTIONS.update(dict.fromkeys(intents, action))
        return action

    return note


def distance(km: float, car: Car) -> str:
    """A distance in the driver's units."""
    far, unit = (km / 1.609344, "miles") if car.units == "imperial" else (km, "kilometers")
    return f"{far:.1f} {unit}" if far < 10 else f"{far:.0f} {unit}"


def pace(km_h: float, car: Car) -> str:
    """A speed in the driver's units."""
    imperial = car.units == "imperial"
    return f"{km_h / 1.609344:.0f} miles per hour" if imperial else f"{km_h:.0f} kilometers per hour"


def warmth(celsius: float, car: Car) -> str:
    """A temperature in the driver's degrees."""
    value = celsius * 9 / 5 + 32 if car.degrees == "fahrenheit" else celsius
    return f"{value:.1f}".removesuffix(".0") + " degrees"


def celsius(degrees: float, car: Car, *, apart: bool = False) -> float:
    """A temperature, or how far two are apart, that is told in the driver's degrees."""
    return (degrees - (0 if apart else 32)) * 5 / 9 if car.degrees == "fahrenheit" else float(degrees)


_COMMON = ("home", "work", "school", "mom", "mum", "dad", "roadside assistance", "usb", "bluetooth", "phone", "radio")


def named(name: str) -> str:
    """A place, a contact or a source as it is written: Anna, Victoria Road, but "the airport"."""
    if name in _COMMON or name.startswith(("the ", "my ")):
        return {"usb": "USB", "bluetooth": "Bluetooth"}.get(name, name)
    return name.title()


def clock(when: datetime) -> str:
    """The time of day."""
    return f"{when:%H:%M}"
