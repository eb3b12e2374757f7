# SPDX-License-Identifier: Apache-2.0
"""Music, radio and other sources."""

from __future__ import annotations

from typing import Any

from pynna.assistant.actions.base import ActionContext, Answer, action, named
from pynna.assistant.car import STATIONS, TRACKS, Car


def playing(car: Car) -> str:
    """What is on."""
    if not car.playing:
        return "Nothing is playing"
    if car.source == "radio":
        return f"{car.station.capitalize()}, {car.frequency:.1f}" if car.station else f"{car.frequency:.1f} FM"
    return TRACKS[car.track % len(TRACKS)] + (f", {car.genre}" if car.genre else "")


def _play(car: Car, **values: Any) -> Answer:
    car = car.changed(view="media", playing=True, **values)
    return car, playing(car)


@action("MediaPlay")
def _media_play(context: ActionContext) -> Answer:
    car, genre = context.car, context.slots.get("genre")
    if "radio" in context.text.split():
        return _play(car, source="radio", station=f"{genre} radio")
    if genre:
        return _play(car, source="usb", genre=genre, track=sum(map(ord, genre)) % len(TRACKS))
    tracks = {"music", "song", "track", "playlist", "podcast", "audiobook"} & set(context.text.split())
    return _play(car, source="usb" if tracks and car.source == "radio" else car.source)


@action("MediaPause")
def _media_pause(context: ActionContext) -> Answer:
    return context.car.changed(playing=False), "Paused"


@action("MediaNext")
def _media_next(context: ActionContext) -> Answer:
    return _tune(context.car, 1) if context.car.source == "radio" else _play(context.car, track=context.car.track + 1)


@action("MediaPrevious")
def _media_previous(context: ActionContext) -> Answer:
    car = context.car
    return _tune(car, -1) if car.source == "radio" else _play(car, track=(car.track - 1) % len(TRACKS))


@action("MediaRepeat")
def _media_repeat(context: ActionContext) -> Answer:
    return context.car.changed(view="media", repeat=not context.car.repeat), (
        "No longer repeating" if context.car.repeat else "Repeating"
    )


@action("MediaShuffle")
def _media_shuffle(context: ActionContext) -> Answer:
    return context.car.changed(view="media", shuffle=context.on), f"Shuffle {context.switched}"


@action("MediaInfo")
def _media_info(context: ActionContext) -> Answer:
    return context.car.changed(view="media"), playing(context.car)


@action("RadioOn")
def _radio_on(context: ActionContext) -> Answer:
    return _play(context.car, source="radio")


@action("RadioOff")
def _radio_off(context: ActionContext) -> Answer:
    return context.car.changed(playing=False), "Radio off"


def _frequency(station: str) -> float:
    return round(88 + sum(map(ord, station)) % 200 / 10, 1)


def _tune(car: Car, step: int) -> Answer:
    at = STATIONS.index(car.station) if car.station in STATIONS else 0
    station = STATIONS[(at + step) % len(STATIONS)]
    return _play(car, source="radio", station=station, frequency=_frequency(station))


@action("RadioTune")
def _radio_tune(context: ActionContext) -> Answer:
    slots = context.slots
    if "frequency" in slots:
        return _play(context.car, source="radio", station="", frequency=float(slots["frequency"]))
    station = slots["station"]
    return _play(context.car, source="radio", station=station, frequency=_frequency(station))


@action("RadioNext")
def _radio_next(context: ActionContext) -> Answer:
    return _tune(context.car, 1)


@action("RadioPrevious")
def _radio_previous(context: ActionContext) -> Answer:
    return _tune(context.car, -1)


@action("SourceSet")
def _source_set(context: ActionContext) -> Answer:
    return _play(context.car, source=context.slots["source"])[0], f"Switched to {named(context.slots['source'])}"
