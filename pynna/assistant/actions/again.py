# SPDX-License-Identifier: Apache-2.0
"""What "more" and "less" mean after a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PAIRS = (
    ("VolumeUp", "VolumeDown"),
    ("TemperatureUp", "TemperatureDown"),
    ("ZoomIn", "ZoomOut"),
    ("MediaNext", "MediaPrevious"),
    ("RadioNext", "RadioPrevious"),
)

_OPPOSITE = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}

_SLOT_PAIRS = (("up", "down"), ("forward", "back"), ("forward", "backward"), ("faster", "slower"))

_OPPOSITE_SLOT = {a: b for pair in reversed(_SLOT_PAIRS) for a, b in (pair, pair[::-1])}

_STEPS = {"ChargingLimit": 5, "CruiseSet": 5, "FanSpeed": 1, "WindowOpen": 25, "BrightnessSet": 10}

PASSING = frozenset(("Help", "TimeTell", "DateTell", "WeatherTell", "SpeedTell", "Repeat"))
"""Questions in between, after which `More` still knows what was meant."""


def repeat_more(intent: str, slots: Mapping[str, Any], more: bool) -> tuple[str, dict[str, Any]] | None:
    """What "more" or "less" means after a command: an intent and its slots, or None where it means nothing."""
    if intent in _OPPOSITE:
        return (intent if more else _OPPOSITE[intent]), dict(slots)
    if intent in ("VolumeSet", "TemperatureSet"):
        zone = {name: value for name, value in slots.items() if name == "zone"}
        return intent.replace("Set", "Up" if more else "Down"), zone
    if intent == "WindowClose":
        return repeat_more("WindowOpen", slots, not more)
    if intent in _STEPS:
        at = {name: value for name, value in slots.items() if name == "window_place"}
        less = slots.get("direction") == "down"  # of the brightness
        return intent, {**at, "change": _STEPS[intent] * (1 if more != less else -1)}
    for name in ("direction", "change"):
        if slots.get(name) in _OPPOSITE_SLOT:
            return intent, {**slots, name: slots[name] if more else _OPPOSITE_SLOT[slots[name]]}
    return None
