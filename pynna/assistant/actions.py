"""What each intent does to the car, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pynna.assistant.car import BOUNDS, SEATS, STATIONS, TIRES, TRACKS, VIEWS, WINDOWS, ZONES, Car
from pynna.assistant.drive import Drive

Answer: TypeAlias = tuple[Car, str]
Action: TypeAlias = "Callable[[ActionContext], Answer]"


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may look at: the car as it is, the drive, the command's slots and words, the clock."""

    car: Car
    drive: Drive
    slots: Mapping[str, Any]
    text: str
    now: datetime

    @property
    def small(self) -> bool:
        """Whether only a bit of a change is asked for."""
        return any(word in self.text.split() for word in ("bit", "little"))

    @property
    def on(self) -> bool:
        """Whether something is to be on: so it is unless "off" is said."""
        return self.slots.get("state", "on") != "off"

    @property
    def switched(self) -> str:
        """That, in a word."""
        return "on" if self.on else "off"


ACTIONS: dict[str, Action] = {}
"""By the intent's name."""

_PAIRS = (("VolumeUp", "VolumeDown"), ("TemperatureUp", "TemperatureDown"), ("ZoomIn", "ZoomOut"),
          ("MediaNext", "MediaPrevious"), ("RadioNext", "RadioPrevious"))

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


def _on(*intents: str) -> Callable[[Action], Action]:
    def note(action: Action) -> Action:
        ACTIONS.update(dict.fromkeys(intents, action))
        return action

    return note


def distance(km: float, car: Car) -> str:
    """A distance in the driver's units."""
    far, unit = (km / 1.609344, "miles") if car.units == "imperial" else (km, "kilometers")
    return f"{far:.1f} {unit}" if far < 10 else f"{far:.0f} {unit}"


def pace(km_h: float, car: Car) -> str:
    """A speed in the driver's units."""
    imperial = car.units == "imperial"
    return f"{km_h / 1.609344:.0f} miles per hour" if imperial else f"{km_h:.0f} kilometers per hour"


def warmth(celsius: float, car: Car) -> str:
    """A temperature in the driver's degrees."""
    value = celsius * 9 / 5 + 32 if car.degrees == "fahrenheit" else celsius
    return f"{value:.1f}".removesuffix(".0") + " degrees"


def celsius(degrees: float, car: Car, *, apart: bool = False) -> float:
    """A temperature, or how far two are apart, that is told in the driver's degrees."""
    return (degrees - (0 if apart else 32)) * 5 / 9 if car.degrees == "fahrenheit" else float(degrees)


_COMMON = ("home", "work", "school", "mom", "mum", "dad", "roadside assistance", "usb", "bluetooth", "phone", "radio")


def named(name: str) -> str:
    """A place, a contact or a source as it is written: Anna, Victoria Road, but "the airport"."""
    if name in _COMMON or name.startswith(("the ", "my ")):
        return {"usb": "USB", "bluetooth": "Bluetooth"}.get(name, name)
    return name.title()


def clock(when: datetime) -> str:
    """The time of day."""
    return f"{when:%H:%M}"


# ---- sound -----------------------------------------------------------------------------------


def _volume(context: ActionContext, level: float) -> Answer:
    car = context.car.changed(volume=round(level), muted=False)
    return car, f"Volume {car.volume} percent"


@_on("VolumeUp")
def _volume_up(context: ActionContext) -> Answer:
    return _volume(context, context.car.volume + context.slots.get("amount", 5 if context.small else 10))


@_on("VolumeDown")
def _volume_down(context: ActionContext) -> Answer:
    return _volume(context, context.car.volume - context.slots.get("amount", 5 if context.small else 10))


@_on("VolumeSet")
def _volume_set(context: ActionContext) -> Answer:
    return _volume(context, context.slots["level"])


@_on("Mute")
def _mute(context: ActionContext) -> Answer:
    return context.car.changed(muted=True), "Muted"


@_on("Unmute")
def _unmute(context: ActionContext) -> Answer:
    return context.car.changed(muted=False), f"Volume {context.car.volume} percent"


# ---- media -----------------------------------------------------------------------------------


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


@_on("MediaPlay")
def _media_play(context: ActionContext) -> Answer:
    car, genre = context.car, context.slots.get("genre")
    if "radio" in context.text.split():
        return _play(car, source="radio", station=f"{genre} radio")
    if genre:
        return _play(car, source="usb", genre=genre, track=sum(map(ord, genre)) % len(TRACKS))
    tracks = {"music", "song", "track", "playlist", "podcast", "audiobook"} & set(context.text.split())
    return _play(car, source="usb" if tracks and car.source == "radio" else car.source)


@_on("MediaPause")
def _media_pause(context: ActionContext) -> Answer:
    return context.car.changed(playing=False), "Paused"


@_on("MediaNext")
def _media_next(context: ActionContext) -> Answer:
    return _tune(context.car, 1) if context.car.source == "radio" else _play(context.car, track=context.car.track + 1)


@_on("MediaPrevious")
def _media_previous(context: ActionContext) -> Answer:
    car = context.car
    return _tune(car, -1) if car.source == "radio" else _play(car, track=(car.track - 1) % len(TRACKS))


@_on("MediaRepeat")
def _media_repeat(context: ActionContext) -> Answer:
    return context.car.changed(view="media", repeat=not context.car.repeat), (
        "No longer repeating" if context.car.repeat else "Repeating")


@_on("MediaShuffle")
def _media_shuffle(context: ActionContext) -> Answer:
    return context.car.changed(view="media", shuffle=context.on), f"Shuffle {context.switched}"


@_on("MediaInfo")
def _media_info(context: ActionContext) -> Answer:
    return context.car.changed(view="media"), playing(context.car)


@_on("RadioOn")
def _radio_on(context: ActionContext) -> Answer:
    return _play(context.car, source="radio")


@_on("RadioOff")
def _radio_off(context: ActionContext) -> Answer:
    return context.car.changed(playing=False), "Radio off"


def _frequency(station: str) -> float:
    return round(88 + sum(map(ord, station)) % 200 / 10, 1)


def _tune(car: Car, step: int) -> Answer:
    at = STATIONS.index(car.station) if car.station in STATIONS else 0
    station = STATIONS[(at + step) % len(STATIONS)]
    return _play(car, source="radio", station=station, frequency=_frequency(station))


@_on("RadioTune")
def _radio_tune(context: ActionContext) -> Answer:
    slots = context.slots
    if "frequency" in slots:
        return _play(context.car, source="radio", station="", frequency=float(slots["frequency"]))
    station = slots["station"]
    return _play(context.car, source="radio", station=station, frequency=_frequency(station))


@_on("RadioNext")
def _radio_next(context: ActionContext) -> Answer:
    return _tune(context.car, 1)


@_on("RadioPrevious")
def _radio_previous(context: ActionContext) -> Answer:
    return _tune(context.car, -1)


@_on("SourceSet")
def _source_set(context: ActionContext) -> Answer:
    return _play(context.car, source=context.slots["source"])[0], f"Switched to {named(context.slots['source'])}"


# ---- battery, charging, trip -----------------------------------------------------------------


@_on("BatteryStatus")
def _battery_status(context: ActionContext) -> Answer:
    reach = distance(context.drive.range, context.car)
    return context.car.changed(view="battery"), f"{context.drive.battery:.0f} percent, enough for {reach}"


@_on("RangeStatus")
def _range_status(context: ActionContext) -> Answer:
    return context.car.changed(view="battery"), f"Enough for {distance(context.drive.range, context.car)}"


def _charging_time(context: ActionContext) -> timedelta:
    return timedelta(hours=context.drive.charging_hours(context.car.charge_limit))


@_on("ChargingStart")
def _charging_start(context: ActionContext) -> Answer:
    if context.drive.moving:
        return context.car.changed(view="battery"), "I can charge when we are parked"
    car = context.car.changed(view="battery", charging=True)
    return car, f"Charging to {car.charge_limit} percent, until {clock(context.now + _charging_time(context))}"


@_on("ChargingStop")
def _charging_stop(context: ActionContext) -> Answer:
    was = context.car.charging
    return context.car.changed(view="battery", charging=False), "Charging stopped" if was else "We are not charging"


@_on("ChargingLimit")
def _charging_limit(context: ActionContext) -> Answer:
    level = context.car.charge_limit + context.slots["change"] if "change" in context.slots else context.slots["level"]
    car = context.car.changed(view="battery", charge_limit=level)
    return car, f"Charging up to {car.charge_limit} percent"


@_on("ChargingStatus")
def _charging_status(context: ActionContext) -> Answer:
    minutes = _charging_time(context).total_seconds() / 60
    limit = context.car.charge_limit
    told = f"{minutes:.0f} minutes to {limit} percent" if minutes >= 1 else "The battery is full enough"
    return context.car.changed(view="battery"), told


@_on("TripShow")
def _trip_show(context: ActionContext) -> Answer:
    driven = distance(context.drive.trip(context.car), context.car)
    return context.car.changed(view="trip"), f"{driven} on this trip"


@_on("TripReset")
def _trip_reset(context: ActionContext) -> Answer:
    return context.car.changed(view="trip", trip_start=context.drive.odometer), "Trip reset"


@_on("ConsumptionShow")
def _consumption_show(context: ActionContext) -> Answer:
    used = context.drive.consumption
    told = f"{used * 1.609344:.1f} kilowatt hours per 100 miles" if context.car.units == "imperial" else (
        f"{used:.1f} kilowatt hours per 100 kilometers")
    return context.car.changed(view="trip"), told


# ---- navigation ------------------------------------------------------------------------------


@_on("NavigationShow")
def _navigation_show(context: ActionContext) -> Answer:
    return context.car.changed(view="navigation"), "Here is the map"


@_on("NavigationStop")
def _navigation_stop(context: ActionContext) -> Answer:
    was = context.car.destination
    return context.car.changed(destination="", avoid=""), "Guidance ended" if was else "There is no route"


def _route(context: ActionContext, place: str) -> Answer:
    km, minutes = context.drive.way_to(place)
    car = context.car.changed(view="navigation", destination=place, zoom=context.car.zoom)
    there = clock(context.now + timedelta(minutes=minutes))
    return car, f"To {named(place)}: {distance(km, car)}, there at {there}"


@_on("RouteTo")
def _route_to(context: ActionContext) -> Answer:
    return _route(context, context.slots["place"])


@_on("ChargingStationFind")
def _charging_station(context: ActionContext) -> Answer:
    return _route(context, "the nearest charging station")


@_on("ParkingFind")
def _parking(context: ActionContext) -> Answer:
    return _route(context, "the nearest parking garage")


@_on("ArrivalTime")
def _arrival(context: ActionContext) -> Answer:
    car = context.car.changed(view="navigation")
    if not car.destination:
        return car, "No destination is set"
    km, minutes = context.drive.remaining
    return car, f"{distance(km, car)}, there at {clock(context.now + timedelta(minutes=minutes))}"


@_on("TrafficShow")
def _traffic(context: ActionContext) -> Answer:
    avoided = context.slots.get("avoid", "")
    car = context.car.changed(view="navigation", traffic=True, avoid=avoided or context.car.avoid)
    return car, f"Avoiding {avoided}" if avoided else "Traffic is light"


@_on("PositionTell")
def _position(context: ActionContext) -> Answer:
    return context.car.changed(view="navigation"), context.drive.address


@_on("TurnAdd")
def _turn(context: ActionContext) -> Answer:
    turned = context.drive.turn(context.slots["side"])
    car = context.car.changed(view="navigation")
    return car, f"Turning {context.slots['side']}" if turned else f"No street goes {context.slots['side']} there"


def _zoom(car: Car, by: int) -> Car:
    return car.changed(view="navigation", zoom=car.zoom + by)


@_on("ZoomIn")
def _zoom_in(context: ActionContext) -> Answer:
    return _zoom(context.car, 1), "Zooming in" if context.car.zoom < BOUNDS["zoom"][1] else "That is as near as it gets"


@_on("ZoomOut")
def _zoom_out(context: ActionContext) -> Answer:
    return _zoom(context.car, -1), "Zooming out" if context.car.zoom > BOUNDS["zoom"][0] else "That is all of the map"


# ---- phone -----------------------------------------------------------------------------------


def _call(car: Car, contact: str) -> Answer:
    if not contact:
        return car.changed(view="phone"), "Nobody was called yet"
    return car.changed(view="phone", call=contact, last_call=contact, ringing=False), f"Calling {named(contact)}"


@_on("Call")
def _call_contact(context: ActionContext) -> Answer:
    return _call(context.car, context.slots["contact"])


@_on("CallRedial")
def _redial(context: ActionContext) -> Answer:
    return _call(context.car, context.car.last_call)


@_on("CallAnswer")
def _answer(context: ActionContext) -> Answer:
    if not context.car.ringing:
        return context.car.changed(view="phone"), "Nobody is calling"
    return _call(context.car, context.car.last_call)[0], "Call accepted"


@_on("CallEnd")
def _hang_up(context: ActionContext) -> Answer:
    was = context.car.call or context.car.ringing
    return context.car.changed(view="phone", call="", ringing=False), "Call ended" if was else "There is no call"


@_on("ContactsShow")
def _contacts(context: ActionContext) -> Answer:
    return context.car.changed(view="phone"), "Here are your contacts"


@_on("MessageRead")
def _messages(context: ActionContext) -> Answer:
    return context.car.changed(view="phone"), "There are no new messages"


@_on("MessageSend")
def _message(context: ActionContext) -> Answer:
    contact = context.slots["contact"]
    return context.car.changed(view="phone", told=contact), f"I will tell {named(contact)} that you are on the way"


# ---- climate ---------------------------------------------------------------------------------


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


@_on("TemperatureSet")
def _temperature_set(context: ActionContext) -> Answer:
    return _temperature(context, None)


@_on("TemperatureUp")
def _temperature_up(context: ActionContext) -> Answer:
    return _temperature(context, _amount(context))


@_on("TemperatureDown")
def _temperature_down(context: ActionContext) -> Answer:
    return _temperature(context, -_amount(context))


@_on("TemperatureTell")
def _temperature_tell(context: ActionContext) -> Answer:
    inside, outside = (warmth(t, context.car) for t in (context.car.temperature["driver"], context.drive.outside))
    return context.car.changed(view="climate"), f"{inside} inside, {outside} outside"


@_on("AirConditioning")
def _air_conditioning(context: ActionContext) -> Answer:
    return context.car.changed(view="climate", climate=context.on), f"Air conditioning {context.switched}"


@_on("FanSpeed")
def _fan(context: ActionContext) -> Answer:
    level = context.car.fan + context.slots["change"] if "change" in context.slots else context.slots["level"]
    level = {"low": 2, "medium": 5, "high": 8, "maximum": 9}.get(level, level)
    car = context.car.changed(view="climate", climate=True, fan=int(level))
    return car, f"Fan {car.fan}"


@_on("Defrost")
def _defrost(context: ActionContext) -> Answer:
    place = "rear" if context.slots.get("window_place") == "rear" else "front"
    panes = context.car.defrost | {place} if context.on else context.car.defrost - {place}
    car = context.car.changed(view="climate", defrost=frozenset(panes))
    return car, f"{place.capitalize()} defroster {context.switched}"


@_on("SeatHeating")
def _seat_heating(context: ActionContext) -> Answer:
    seats = _seats(context.slots)
    car = context.car.changed(view="climate", seat_heating=dict.fromkeys(seats, context.on))
    return car, f"{' and '.join(seats).capitalize()} seat heating {context.switched}"


def _seats(slots: Mapping[str, Any]) -> tuple[str, ...]:
    seat = {"left": "driver", "right": "passenger"}.get(slots.get("seat", "driver"), slots.get("seat", "driver"))
    return ("driver", "passenger") if seat == "front" else (seat if seat in SEATS else "driver",)


@_on("SteeringWheelHeating")
def _wheel_heating(context: ActionContext) -> Answer:
    return context.car.changed(view="climate", wheel_heating=context.on), f"Steering wheel heating {context.switched}"


# ---- body ------------------------------------------------------------------------------------


@_on("SeatMove")
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
        names, "the " + " and ".join(names) + " window" + "s" * (len(names) > 1))
    now = car.windows[names[0]]
    if 0 < now < 100:
        return car, f"{which.capitalize()} {now} percent open"
    return car, f"{'Opening' if now else 'Closing'} {which}"


@_on("WindowOpen")
def _window_open(context: ActionContext) -> Answer:
    if "change" not in context.slots:
        return _move_windows(context, context.slots.get("level", 100))
    first = _windows(context.slots, context.text)[0]
    return _move_windows(context, context.car.windows[first] + context.slots["change"])


@_on("WindowClose")
def _window_close(context: ActionContext) -> Answer:
    return _move_windows(context, 0)


@_on("SunroofOpen")
def _sunroof_open(context: ActionContext) -> Answer:
    return context.car.changed(view="body", sunroof=True), "Opening the sunroof"


@_on("SunroofClose")
def _sunroof_close(context: ActionContext) -> Answer:
    return context.car.changed(view="body", sunroof=False), "Closing the sunroof"


@_on("TrunkOpen")
def _trunk_open(context: ActionContext) -> Answer:
    if context.drive.moving:
        return context.car.changed(view="body"), "The trunk stays closed while we drive"
    return context.car.changed(view="body", trunk=True), "Opening the trunk"


@_on("TrunkClose")
def _trunk_close(context: ActionContext) -> Answer:
    return context.car.changed(view="body", trunk=False), "Closing the trunk"


@_on("LightsSet")
def _lights(context: ActionContext) -> Answer:
    light = context.slots["light"]
    return context.car.changed(lights={light: context.on}), f"{light.capitalize()} {context.switched}"


@_on("WipersSet")
def _wipers(context: ActionContext) -> Answer:
    change = context.slots.get("change")
    if change == "wash":
        return context.car.changed(wipers=True, wiper_speed=2), "Washing the windshield"
    if change:
        car = context.car.changed(wipers=True, wiper_speed=context.car.wiper_speed + (1 if change == "faster" else -1))
        return car, f"Wipers {change}"
    return context.car.changed(wipers=context.on), f"Wipers {context.switched}"


@_on("DoorsLock")
def _lock(context: ActionContext) -> Answer:
    return context.car.changed(view="body", locked=True), "Doors locked"


@_on("DoorsUnlock")
def _unlock(context: ActionContext) -> Answer:
    return context.car.changed(view="body", locked=False), "Doors unlocked"


@_on("DoorsStatus")
def _doors(context: ActionContext) -> Answer:
    car = context.car.changed(view="body")
    return car, f"Doors {'locked' if car.locked else 'unlocked'}, trunk {'open' if car.trunk else 'closed'}"


@_on("MirrorsFold")
def _mirrors(context: ActionContext) -> Answer:
    state = {"fold": "folded", "unfold": "unfolded"}.get(context.slots.get("change", ""), "adjusted")
    return context.car.changed(view="body", mirrors=state), f"Mirrors {state}"


@_on("TirePressure")
def _tires(context: ActionContext) -> Answer:
    low, high = min(TIRES), max(TIRES)
    if context.car.units == "imperial":
        return context.car.changed(view="body"), f"{low * 14.504:.0f} to {high * 14.504:.0f} PSI"
    return context.car.changed(view="body"), f"{low} to {high} bar"


@_on("OilLevel")
def _oil(context: ActionContext) -> Answer:
    return context.car.changed(view="body"), "An electric motor needs none"


# ---- driving ---------------------------------------------------------------------------------


@_on("EngineStart")
def _start(context: ActionContext) -> Answer:
    return context.car.changed(engine=True, charging=False), "Ready to drive"


@_on("EngineStop")
def _stop(context: ActionContext) -> Answer:
    return context.car.changed(engine=False, cruise=None), "Stopping" if context.drive.moving else "The motor is off"


@_on("LaneAssist")
def _lane_assist(context: ActionContext) -> Answer:
    return context.car.changed(lane_assist=context.on), f"Lane assist {context.switched}"


@_on("CruiseSet")
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


@_on("CruiseOff")
def _cruise_off(context: ActionContext) -> Answer:
    return context.car.changed(cruise=None), "Cruise control off"


@_on("ModeSet")
def _mode(context: ActionContext) -> Answer:
    mode = {"economy": "eco", "normal": "comfort"}.get(context.slots["mode"], context.slots["mode"])
    return context.car.changed(mode=mode), f"{mode.capitalize()} mode"


@_on("CameraShow")
def _camera(context: ActionContext) -> Answer:
    side = "front" if context.slots.get("camera") == "front" else "rear"
    return context.car.changed(view="camera", camera=side), f"Here is the {side} camera"


# ---- the assistant itself --------------------------------------------------------------------


@_on("TimeTell")
def _time(context: ActionContext) -> Answer:
    return context.car, f"It is {clock(context.now)}"


@_on("DateTell")
def _date(context: ActionContext) -> Answer:
    return context.car, f"{context.now:%A, %B} {context.now.day}"


@_on("WeatherTell")
def _weather(context: ActionContext) -> Answer:
    return context.car, f"{warmth(context.drive.outside, context.car)} outside; I have no forecast without a network"


@_on("SpeedTell")
def _speed(context: ActionContext) -> Answer:
    if "limit" in context.text.split():
        return context.car, f"The limit is {pace(context.drive.limit, context.car)}"
    return context.car, pace(context.drive.speed, context.car)


@_on("BrightnessSet")
def _brightness(context: ActionContext) -> Answer:
    step = context.slots.get("change", {"up": 15, "down": -15}.get(context.slots.get("direction", ""), 0))
    car = context.car.changed(brightness=context.slots.get("level", context.car.brightness + step))
    return car, f"Brightness {car.brightness} percent"


@_on("UnitsSet")
def _units(context: ActionContext) -> Answer:
    units = context.slots["units"]
    if units in ("celsius", "fahrenheit"):
        return context.car.changed(degrees=units), f"Degrees {units.capitalize()}"
    return context.car.changed(units=units), f"Distances in {'miles' if units == 'imperial' else 'kilometers'}"


@_on("NightMode")
def _night(context: ActionContext) -> Answer:
    night = (context.slots.get("theme", "night") == "night") == context.on
    return context.car.changed(night=night), "Night display" if night else "Day display"


_VIEWS = {"home": "is the home screen", "media": "is the music", "body": "is the car", "settings": "are the settings"}


@_on("ViewShow")
def _view(context: ActionContext) -> Answer:
    view = context.slots.get("view", "home")
    view = view if view in VIEWS else "home"
    return context.car.changed(view=view), f"Here {_VIEWS.get(view, f'is the {view}')}"


@_on("TimerSet")
def _timer(context: ActionContext) -> Answer:
    minutes = context.slots["minutes"]
    return context.car.changed(timer=context.now + timedelta(minutes=minutes)), (
        f"Timer for {minutes} minute{'s' * (minutes != 1)}, until {clock(context.now + timedelta(minutes=minutes))}")


@_on("TimerCancel")
def _timer_cancel(context: ActionContext) -> Answer:
    return context.car.changed(timer=None), "There is no timer" if context.car.timer is None else "Timer cancelled"


@_on("Reminder")
def _reminder(context: ActionContext) -> Answer:
    task = context.slots["task"]
    if not isinstance(task, str):
        raise ValueError(f"task is {task!r}; words are right")
    return context.car.changed(reminder=task[:80]), f"I will remind you to {task[:80]} when we arrive"


@_on("Help")
def _help(context: ActionContext) -> Answer:
    return context.car.changed(view="help"), "Say, for example, increase the volume"


@_on("Cancel")
def _cancel(context: ActionContext) -> Answer:
    return context.car.changed(view="home"), "All right"
