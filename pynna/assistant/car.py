# SPDX-License-Identifier: Apache-2.0
"""What a driver can change in a car: one immutable value, so that every change can be undone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

BOUNDS: MappingProxyType[str, tuple[float, float]] = MappingProxyType(
    {
        "volume": (0, 100),
        "charge_limit": (20, 100),
        "temperature": (15.0, 30.0),
        "fan": (0, 9),
        "brightness": (10, 100),
        "zoom": (0, 6),
        "cruise": (20, 130),
        "frequency": (87.5, 108.0),
        "track": (0, 1 << 30),
        "wiper_speed": (1, 3),
        "windows": (0, 100),
        "seats": (0, 100),
    }
)
"""Least and greatest of the numbers; of those that are kept by zone or place, of each."""

VIEWS = ("home", "navigation", "media", "climate", "battery", "phone", "body", "camera", "settings", "trip", "help")
ZONES = ("driver", "passenger", "rear")
SEATS = ("driver", "passenger", "rear")
SEAT_AXES = tuple(f"{seat} {axis}" for seat in SEATS for axis in ("seat", "height"))
WINDOWS = ("front left", "front right", "rear left", "rear right")
LIGHTS = ("headlights", "high beam", "fog lights", "hazard lights", "parking lights", "interior lights")
STATIONS = ("radio one", "classic radio", "jazz radio", "news radio", "sports radio", "city radio", "rock radio")
GENRES = (
    "jazz",
    "rock",
    "pop",
    "classical",
    "country",
    "blues",
    "soul",
    "reggae",
    "hip hop",
    "electronic",
    "folk",
    "metal",
    "disco",
)
TRACKS = (
    "Harbour Lights",
    "Long Way North",
    "Paper Kites",
    "The Quiet Mile",
    "Amber Road",
    "Second Sunrise",
    "Glass Rivers",
    "Slow Train Home",
)
TIRES = (2.4, 2.4, 2.5, 2.3)
"""Pressures in bar: front left, front right, rear left, rear right."""


_OPTIONAL = ("cruise", "timer")  # None: off


def _each(names: tuple[str, ...], value: Any) -> Any:
    return field(default_factory=lambda: MappingProxyType(dict.fromkeys(names, value)))


@dataclass(frozen=True, slots=True)
class Car:
    """The settings of a car; `changed` gives another one. Temperatures in °C, speeds in km/h, shares in percent."""

    view: str = "home"
    volume: int = 40
    muted: bool = False
    source: str = "radio"
    playing: bool = True
    track: int = 0
    genre: str = ""
    station: str = "city radio"
    frequency: float = 98.5
    shuffle: bool = False
    repeat: bool = False
    charging: bool = False
    charge_limit: int = 80
    trip_start: float = 0.0  # kilometres on the odometer
    destination: str = ""
    avoid: str = ""
    traffic: bool = False
    zoom: int = 3
    call: str = ""  # whom the driver talks with
    ringing: bool = False
    told: str = ""  # who was sent a message, and calls back
    last_call: str = ""
    temperature: MappingProxyType[str, float] = _each(ZONES, 21.0)
    climate: bool = True
    fan: int = 3
    defrost: frozenset[str] = frozenset()  # front, rear
    seat_heating: MappingProxyType[str, bool] = _each(SEATS, False)
    wheel_heating: bool = False
    windows: MappingProxyType[str, int] = _each(WINDOWS, 0)  # how far open, percent
    sunroof: bool = False
    trunk: bool = False
    locked: bool = True
    mirrors: str = "unfolded"
    seats: MappingProxyType[str, int] = _each(SEAT_AXES, 50)  # percent of the way forward, up
    lights: MappingProxyType[str, bool] = _each(LIGHTS, False)
    wipers: bool = False
    wiper_speed: int = 1
    engine: bool = True
    lane_assist: bool = True
    cruise: int | None = None
    mode: str = "comfort"
    camera: str = "rear"
    brightness: int = 80
    night: bool = True
    units: str = "metric"
    degrees: str = "celsius"
    timer: datetime | None = None
    reminder: str = ""

    def changed(self, **values: Any) -> Car:
        """This car with other values, numbers kept within `BOUNDS`; a mapping changes only the entries it has.

        Raises
        ------
        TypeError, ValueError
            No such setting, no such entry, a value that it cannot have.
        """
        for name, value in values.items():
            if isinstance(value, dict):
                entries = getattr(self, name)
                if unknown := set(value) - set(entries):
                    raise ValueError(f"{name} has no {sorted(unknown)}; it has {sorted(entries)}")
                values[name] = MappingProxyType({**entries, **{key: _bounded(name, v) for key, v in value.items()}})
            elif not (value is None and name in _OPTIONAL):
                values[name] = _bounded(name, value)
        return replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        plain: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, MappingProxyType):
                value = dict(value)
            elif isinstance(value, frozenset):
                value = sorted(value)
            elif isinstance(value, datetime):
                value = value.isoformat(timespec="seconds")
            plain[item.name] = value
        return plain


def _bounded(name: str, value: Any) -> Any:
    if name not in BOUNDS:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; a number is right")
    least, most = BOUNDS[name]
    return type(value)(min(max(value, least), most))
