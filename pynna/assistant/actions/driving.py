# SPDX-License-Identifier: Apache-2.0
"""The motor, cruise control, modes."""

from __future__ import annotations

from pynna.assistant.actions.base import ActionContext, Answer, action, pace


@action("EngineStart")
def _start(context: ActionContext) -> Answer:
    return context.car.changed(engine=True, charging=False), "Ready to drive"


@action("EngineStop")
def _stop(context: ActionContext) -> Answer:
    return context.car.changed(engine=False, cruise=None), "Stopping" if context.drive.moving else "The motor is off"


@action("LaneAssist")
def _lane_assist(context: ActionContext) -> Answer:
    return context.car.changed(lane_assist=context.on), f"Lane assist {context.switched}"


@action("CruiseSet")
def _cruise(context: ActionContext) -> Answer:
    said = context.text.split()
    speed = context.slots.get("speed")
    if "change" in context.slots:
        step = context.slots["change"] * (1.609344 if context.car.units == "imperial" else 1.0)
        speed = (context.car.cruise or context.drive.speed) + step
    elif speed is None:
        speed = context.drive.speed
    elif "miles" in said or ("kilometers" not in said and context.car.units == "imperial"):
        speed = speed * 1.609344
    car = context.car.changed(cruise=round(speed))
    return car, f"Cruise control at {pace(car.cruise or 0, car)}"


@action("CruiseOff")
def _cruise_off(context: ActionContext) -> Answer:
    return context.car.changed(cruise=None), "Cruise control off"


@action("ModeSet")
def _mode(context: ActionContext) -> Answer:
    mode = {"economy": "eco", "normal": "comfort"}.get(context.slots["mode"], context.slots["mode"])
    return context.car.changed(mode=mode), f"{mode.capitalize()} mode"


@action("CameraShow")
def _camera(context: ActionContext) -> Answer:
    side = "front" if context.slots.get("camera") == "front" else "rear"
    return context.car.changed(view="camera", camera=side), f"Here is the {side} camera"
