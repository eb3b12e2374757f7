# SPDX-License-Identifier: Apache-2.0
"""Windows, doors, lights, mirrors, wipers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynna.assistant.actions.base import ActionContext, Answer, action
from pynna.assistant.actions.climate import _seats
from pynna.assistant.car import TIRES, WINDOWS


@action("SeatMove")
def _seat_move(context: ActionContext) -> Answer:
    (seat, *_), way = _seats(context.slots), context.slots["direction"]
    axis, by = {"up": ("height", 5), "down": ("height", -5), "forward": ("seat", 5)}.get(way, ("seat", -5))
    place = f"{seat} {axis}"
    car = context.car.changed(view="body", seats={place: context.car.seats[place] + by})
    return car, f"{seat.capitalize()} seat {way}"


def _windows(slots: Mapping[str, Any], text: str) -> tuple[str, ...]:
    place = slots.get("window_place")
    if place is None:
        return WINDOWS if "windows" in text.split() else WINDOWS[:1]
    if place == "all" or place in WINDOWS:  # as it is clicked
        return WINDOWS if place == "all" else (place,)
    if place in ("driver", "passenger"):
        return ("front left",) if place == "driver" else ("front right",)
    chosen = tuple(name for name in WINDOWS if place in name.split())
    return chosen if place in ("front", "rear") or "windows" in text.split() else chosen[:1]


def _move_windows(context: ActionContext, level: int) -> Answer:
    names = _windows(context.slots, context.text)
    car = context.car.changed(view="body", windows=dict.fromkeys(names, level))
    which = {WINDOWS: "all windows", WINDOWS[:2]: "the front windows", WINDOWS[2:]: "the rear windows"}.get(
        names, "the " + " and ".join(names) + " window" + "s" * (len(names) > 1)
    )
    now = car.windows[names[0]]
    if 0 < now < 100:
        return car, f"{which.capitalize()} {now} percent open"
    return car, f"{'Opening' if now else 'Closing'} {which}"


@action("WindowOpen")
def _window_open(context: ActionContext) -> Answer:
    if "change" not in context.slots:
        return _move_windows(context, context.slots.get("level", 100))
    first = _windows(context.slots, context.text)[0]
    return _move_windows(context, context.car.windows[first] + context.slots["change"])


@action("WindowClose")
def _window_close(context: ActionContext) -> Answer:
    return _move_windows(context, 0)


@action("SunroofOpen")
def _sunroof_open(context: ActionContext) -> Answer:
    return context.car.changed(view="body", sunroof=True), "Opening the sunroof"


@action("SunroofClose")
def _sunroof_close(context: ActionContext) -> Answer:
    return context.car.changed(view="body", sunroof=False), "Closing the sunroof"


@action("TrunkOpen")
def _trunk_open(context: ActionContext) -> Answer:
    if context.drive.moving:
        return context.car.changed(view="body"), "The trunk stays closed while we drive"
    return context.car.changed(view="body", trunk=True), "Opening the trunk"


@action("TrunkClose")
def _trunk_close(context: ActionContext) -> Answer:
    return context.car.changed(view="body", trunk=False), "Closing the trunk"


@action("LightsSet")
def _lights(context: ActionContext) -> Answer:
    light = context.slots["light"]
    return context.car.changed(lights={light: context.on}), f"{light.capitalize()} {context.switched}"


@action("WipersSet")
def _wipers(context: ActionContext) -> Answer:
    change = context.slots.get("change")
    if change == "wash":
        return context.car.changed(wipers=True, wiper_speed=2), "Washing the windshield"
    if change:
        car = context.car.changed(wipers=True, wiper_speed=context.car.wiper_speed + (1 if change == "faster" else -1))
        return car, f"Wipers {change}"
    return context.car.changed(wipers=context.on), f"Wipers {context.switched}"


@action("DoorsLock")
def _lock(context: ActionContext) -> Answer:
    return context.car.changed(view="body", locked=True), "Doors locked"


@action("DoorsUnlock")
def _unlock(context: ActionContext) -> Answer:
    return context.car.changed(view="body", locked=False), "Doors unlocked"


@action("DoorsStatus")
def _doors(context: ActionContext) -> Answer:
    car = context.car.changed(view="body")
    return car, f"Doors {'locked' if car.locked else 'unlocked'}, trunk {'open' if car.trunk else 'closed'}"


@action("MirrorsFold")
def _mirrors(context: ActionContext) -> Answer:
    state = {"fold": "folded", "unfold": "unfolded"}.get(context.slots.get("change", ""), "adjusted")
    return context.car.changed(view="body", mirrors=state), f"Mirrors {state}"


@action("TirePressure")
def _tires(context: ActionContext) -> Answer:
    low, high = min(TIRES), max(TIRES)
    if context.car.units == "imperial":
        return context.car.changed(view="body"), f"{low * 14.504:.0f} to {high * 14.504:.0f} PSI"
    return context.car.changed(view="body"), f"{low} to {high} bar"


@action("OilLevel")
def _oil(context: ActionContext) -> Answer:
    return context.car.changed(view="body"), "An electric motor needs none"
