# SPDX-License-Identifier: Apache-2.0
"""Battery, charging, range and the trip."""

from __future__ import annotations

from datetime import timedelta

from pynna.assistant.actions.base import ActionContext, Answer, action, clock, distance


@action("BatteryStatus")
def _battery_status(context: ActionContext) -> Answer:
    reach = distance(context.drive.range, context.car)
    return context.car.changed(view="battery"), f"{context.drive.battery:.0f} percent, enough for {reach}"


@action("RangeStatus")
def _range_status(context: ActionContext) -> Answer:
    return context.car.changed(view="battery"), f"Enough for {distance(context.drive.range, context.car)}"


def _charging_time(context: ActionContext) -> timedelta:
    return timedelta(hours=context.drive.charging_hours(context.car.charge_limit))


@action("ChargingStart")
def _charging_start(context: ActionContext) -> Answer:
    if context.drive.moving:
        return context.car.changed(view="battery"), "I can charge when we are parked"
    car = context.car.changed(view="battery", charging=True)
    return car, f"Charging to {car.charge_limit} percent, until {clock(context.now + _charging_time(context))}"


@action("ChargingStop")
def _charging_stop(context: ActionContext) -> Answer:
    was = context.car.charging
    return context.car.changed(view="battery", charging=False), "Charging stopped" if was else "We are not charging"


@action("ChargingLimit")
def _charging_limit(context: ActionContext) -> Answer:
    level = context.car.charge_limit + context.slots["change"] if "change" in context.slots else context.slots["level"]
    car = context.car.changed(view="battery", charge_limit=level)
    return car, f"Charging up to {car.charge_limit} percent"


@action("ChargingStatus")
def _charging_status(context: ActionContext) -> Answer:
    minutes = _charging_time(context).total_seconds() / 60
    limit = context.car.charge_limit
    told = f"{minutes:.0f} minutes to {limit} percent" if minutes >= 1 else "The battery is full enough"
    return context.car.changed(view="battery"), told


@action("TripShow")
def _trip_show(context: ActionContext) -> Answer:
    driven = distance(context.drive.trip(context.car), context.car)
    return context.car.changed(view="trip"), f"{driven} on this trip"


@action("TripReset")
def _trip_reset(context: ActionContext) -> Answer:
    return context.car.changed(view="trip", trip_start=context.drive.odometer), "Trip reset"


@action("ConsumptionShow")
def _consumption_show(context: ActionContext) -> Answer:
    used = context.drive.consumption
    told = (
        f"{used * 1.609344:.1f} kilowatt hours per 100 miles"
        if context.car.units == "imperial"
        else (f"{used:.1f} kilowatt hours per 100 kilometers")
    )
    return context.car.changed(view="trip"), told
