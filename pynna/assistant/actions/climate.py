# SPDX-License-Identifier: Apache-2.0
"""Temperature, fan, heating."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynna.assistant.actions.base import ActionContext, Answer, action, celsius, warmth
from pynna.assistant.car import SEATS, ZONES


def _zones(slots: Mapping[str, Any]) -> tuple[str, ...]:
    zone = slots.get("zone", "cabin")
    return {"cabin": ZONES, "front": ("driver", "passenger")}.get(zone, (zone,))


def _temperature(context: ActionContext, change: float | None) -> Answer:
    car, zones = context.car, _zones(context.slots)
    if change is None:
        wished = dict.fromkeys(zones, celsius(context.slots["temperature"], car))
    else:
        by = celsius(change, car, apart=True)
        wished = {zone: round(car.temperature[zone] + by, 2) for zone in zones}
    car = car.changed(view="climate", climate=True, temperature=wished)
    where = context.slots.get("zone", "cabin")
    least, most = (warmth(pick(car.temperature[zone] for zone in zones), car) for pick in (min, max))
    told = most if least == most else f"{least.removesuffix(' degrees')} to {most}"
    return car, f"{where.capitalize()} {told}"


def _amount(context: ActionContext) -> float:
    return float(context.slots.get("amount", 0.5 if context.small else 1.0))


@action("TemperatureSet")
def _temperature_set(context: ActionContext) -> Answer:
    return _temperature(context, None)


@action("TemperatureUp")
def _temperature_up(context: ActionContext) -> Answer:
    return _temperature(context, _amount(context))


@action("TemperatureDown")
def _temperature_down(context: ActionContext) -> Answer:
    return _temperature(context, -_amount(context))


@action("TemperatureTell")
def _temperature_tell(context: ActionContext) -> Answer:
    inside, outside = (warmth(t, context.car) for t in (context.car.temperature["driver"], context.drive.outside))
    return context.car.changed(view="climate"), f"{inside} inside, {outside} outside"


@action("AirConditioning")
def _air_conditioning(context: ActionContext) -> Answer:
    return context.car.changed(view="climate", climate=context.on), f"Air conditioning {context.switched}"


@action("FanSpeed")
def _fan(context: ActionContext) -> Answer:
    level = context.car.fan + context.slots["change"] if "change" in context.slots else context.slots["level"]
    level = {"low": 2, "medium": 5, "high": 8, "maximum": 9}.get(level, level)
    car = context.car.changed(view="climate", climate=True, fan=int(level))
    return car, f"Fan {car.fan}"


@action("Defrost")
def _defrost(context: ActionContext) -> Answer:
    place = "rear" if context.slots.get("window_place") == "rear" else "front"
    panes = context.car.defrost | {place} if context.on else context.car.defrost - {place}
    car = context.car.changed(view="climate", defrost=frozenset(panes))
    return car, f"{place.capitalize()} defroster {context.switched}"


@action("SeatHeating")
def _seat_heating(context: ActionContext) -> Answer:
    seats = _seats(context.slots)
    car = context.car.changed(view="climate", seat_heating=dict.fromkeys(seats, context.on))
    return car, f"{' and '.join(seats).capitalize()} seat heating {context.switched}"


def _seats(slots: Mapping[str, Any]) -> tuple[str, ...]:
    seat = {"left": "driver", "right": "passenger"}.get(slots.get("seat", "driver"), slots.get("seat", "driver"))
    return ("driver", "passenger") if seat == "front" else (seat if seat in SEATS else "driver",)


@action("SteeringWheelHeating")
def _wheel_heating(context: ActionContext) -> Answer:
    return context.car.changed(view="climate", wheel_heating=context.on), f"Steering wheel heating {context.switched}"
