# SPDX-License-Identifier: Apache-2.0
"""The map, routes and traffic."""

from __future__ import annotations

from datetime import timedelta

from pynna.assistant.actions.base import ActionContext, Answer, action, clock, distance, named
from pynna.assistant.car import BOUNDS, Car


@action("NavigationShow")
def _navigation_show(context: ActionContext) -> Answer:
    return context.car.changed(view="navigation"), "Here is the map"


@action("NavigationStop")
def _navigation_stop(context: ActionContext) -> Answer:
    was = context.car.destination
    return context.car.changed(destination="", avoid=""), "Guidance ended" if was else "There is no route"


def _route(context: ActionContext, place: str) -> Answer:
    km, minutes = context.drive.way_to(place)
    car = context.car.changed(view="navigation", destination=place, zoom=context.car.zoom)
    there = clock(context.now + timedelta(minutes=minutes))
    return car, f"To {named(place)}: {distance(km, car)}, there at {there}"


@action("RouteTo")
def _route_to(context: ActionContext) -> Answer:
    return _route(context, context.slots["place"])


@action("ChargingStationFind")
def _charging_station(context: ActionContext) -> Answer:
    return _route(context, "the nearest charging station")


@action("ParkingFind")
def _parking(context: ActionContext) -> Answer:
    return _route(context, "the nearest parking garage")


@action("ArrivalTime")
def _arrival(context: ActionContext) -> Answer:
    car = context.car.changed(view="navigation")
    if not car.destination:
        return car, "No destination is set"
    km, minutes = context.drive.remaining
    return car, f"{distance(km, car)}, there at {clock(context.now + timedelta(minutes=minutes))}"


@action("TrafficShow")
def _traffic(context: ActionContext) -> Answer:
    avoided = context.slots.get("avoid", "")
    car = context.car.changed(view="navigation", traffic=True, avoid=avoided or context.car.avoid)
    return car, f"Avoiding {avoided}" if avoided else "Traffic is light"


@action("PositionTell")
def _position(context: ActionContext) -> Answer:
    return context.car.changed(view="navigation"), context.drive.address


@action("TurnAdd")
def _turn(context: ActionContext) -> Answer:
    turned = context.drive.turn(context.slots["side"])
    car = context.car.changed(view="navigation")
    return car, f"Turning {context.slots['side']}" if turned else f"No street goes {context.slots['side']} there"


def _zoom(car: Car, by: int) -> Car:
    return car.changed(view="navigation", zoom=car.zoom + by)


@action("ZoomIn")
def _zoom_in(context: ActionContext) -> Answer:
    return _zoom(context.car, 1), "Zooming in" if context.car.zoom < BOUNDS["zoom"][1] else "That is as near as it gets"


@action("ZoomOut")
def _zoom_out(context: ActionContext) -> Answer:
    return _zoom(context.car, -1), "Zooming out" if context.car.zoom > BOUNDS["zoom"][0] else "That is all of the map"
