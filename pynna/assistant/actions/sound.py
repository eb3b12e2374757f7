# SPDX-License-Identifier: Apache-2.0
"""Volume."""

from __future__ import annotations

from pynna.assistant.actions.base import ActionContext, Answer, action


def _volume(context: ActionContext, level: float) -> Answer:
    car = context.car.changed(volume=round(level), muted=False)
    return car, f"Volume {car.volume} percent"


@action("VolumeUp")
def _volume_up(context: ActionContext) -> Answer:
    return _volume(context, context.car.volume + context.slots.get("amount", 5 if context.small else 10))


@action("VolumeDown")
def _volume_down(context: ActionContext) -> Answer:
    return _volume(context, context.car.volume - context.slots.get("amount", 5 if context.small else 10))


@action("VolumeSet")
def _volume_set(context: ActionContext) -> Answer:
    return _volume(context, context.slots["level"])


@action("Mute")
def _mute(context: ActionContext) -> Answer:
    return context.car.changed(muted=True), "Muted"


@action("Unmute")
def _unmute(context: ActionContext) -> Answer:
    return context.car.changed(muted=False), f"Volume {context.car.volume} percent"
