# SPDX-License-Identifier: Apache-2.0
"""Displays, clock, timers, help."""

from __future__ import annotations

from datetime import timedelta

from pynna.assistant.actions.base import ActionContext, Answer, action, clock, pace, warmth
from pynna.assistant.car import VIEWS


@action("TimeTell")
def _time(context: ActionContext) -> Answer:
    return context.car, f"It is {clock(context.now)}"


@action("DateTell")
def _date(context: ActionContext) -> Answer:
    return context.car, f"{context.now:%A, %B} {context.now.day}"


@action("WeatherTell")
def _weather(context: ActionContext) -> Answer:
    return context.car, f"{warmth(context.drive.outside, context.car)} outside; I have no forecast without a network"


@action("SpeedTell")
def _speed(context: ActionContext) -> Answer:
    if "limit" in context.text.split():
        return context.car, f"The limit is {pace(context.drive.limit, context.car)}"
    return context.car, pace(context.drive.speed, context.car)


@action("BrightnessSet")
def _brightness(context: ActionContext) -> Answer:
    step = context.slots.get("change", {"up": 15, "down": -15}.get(context.slots.get("direction", ""), 0))
    car = context.car.changed(brightness=context.slots.get("level", context.car.brightness + step))
    return car, f"Brightness {car.brightness} percent"


@action("UnitsSet")
def _units(context: ActionContext) -> Answer:
    units = context.slots["units"]
    if units in ("celsius", "fahrenheit"):
        return context.car.changed(degrees=units), f"Degrees {units.capitalize()}"
    return context.car.changed(units=units), f"Distances in {'miles' if units == 'imperial' else 'kilometers'}"


@action("NightMode")
def _night(context: ActionContext) -> Answer:
    night = (context.slots.get("theme", "night") == "night") == context.on
    return context.car.changed(night=night), "Night display" if night else "Day display"


_VIEWS = {"home": "is the home screen", "media": "is the music", "body": "is the car", "settings": "are the settings"}


@action("ViewShow")
def _view(context: ActionContext) -> Answer:
    view = context.slots.get("view", "home")
    view = view if view in VIEWS else "home"
    return context.car.changed(view=view), f"Here {_VIEWS.get(view, f'is the {view}')}"


@action("TimerSet")
def _timer(context: ActionContext) -> Answer:
    minutes = context.slots["minutes"]
    return context.car.changed(timer=context.now + timedelta(minutes=minutes)), (
        f"Timer for {minutes} minute{'s' * (minutes != 1)}, until {clock(context.now + timedelta(minutes=minutes))}"
    )


@action("TimerCancel")
def _timer_cancel(context: ActionContext) -> Answer:
    return context.car.changed(timer=None), "There is no timer" if context.car.timer is None else "Timer cancelled"


@action("Reminder")
def _reminder(context: ActionContext) -> Answer:
    task = context.slots["task"]
    if not isinstance(task, str):
        raise ValueError(f"task is {task!r}; words are right")
    return context.car.changed(reminder=task[:80]), f"I will remind you to {task[:80]} when we arrive"


@action("Help")
def _help(context: ActionContext) -> Answer:
    return context.car.changed(view="help"), "Say, for example, increase the volume"


@action("Cancel")
def _cancel(context: ActionContext) -> Answer:
    return context.car.changed(view="home"), "All right"
