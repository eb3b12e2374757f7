"""What each intent does to the car, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pynna.assistant.car import BOUNDS, SEATS, STATIONS, TIRES, TRACKS, VIEWS, WINDOWS, ZONES, Car
from pynna.assistant.drive import Drive

Answer: TypeAlias = tuple[Car, str]
Action: TypeAlias = "Callable[[Scene], Answer]"


@dataclass(frozen=True, slots=True)
class Scene:
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


def further(intent: str, slots: Mapping[str, Any], more: bool) -> tuple[str, dict[str, Any]] | None:
    """What "more" or "less" means after a command: an intent and its slots, or None where it means nothing."""
    if intent in _OPPOSITE:
        return (intent if more else _OPPOSITE[intent]), dict(slots)
    if intent in ("VolumeSet", "TemperatureSet"):
        zone = {name: value for name, value in slots.items() if name == "zone"}
        return intent.replace("Set", "Up" if more else "Down"), zone
    if intent == "WindowClose":
        return further("WindowOpen", slots, not more)
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


def _volume(scene: Scene, level: float) -> Answer:
    car = scene.car.changed(volume=round(level), muted=False)
    return car, f"Volume {car.volume} percent"


@_on("VolumeUp")
def _volume_up(scene: Scene) -> Answer:
    return _volume(scene, scene.car.volume + scene.slots.get("amount", 5 if scene.small else 10))


@_on("VolumeDown")
def _volume_down(scene: Scene) -> Answer:
    return _volume(scene, scene.car.volume - scene.slots.get("amount", 5 if scene.small else 10))


@_on("VolumeSet")
def _volume_set(scene: Scene) -> Answer:
    return _volume(scene, scene.slots["level"])


@_on("Mute")
def _mute(scene: Scene) -> Answer:
    return scene.car.changed(muted=True), "Muted"


@_on("Unmute")
def _unmute(scene: Scene) -> Answer:
    return scene.car.changed(muted=False), f"Volume {scene.car.volume} percent"


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
def _media_play(scene: Scene) -> Answer:
    car, genre = scene.car, scene.slots.get("genre")
    if "radio" in scene.text.split():
        return _play(car, source="radio", station=f"{genre} radio")
    if genre:
        return _play(car, source="usb", genre=genre, track=sum(map(ord, genre)) % len(TRACKS))
    tracks = {"music", "song", "track", "playlist", "podcast", "audiobook"} & set(scene.text.split())
    return _play(car, source="usb" if tracks and car.source == "radio" else car.source)


@_on("MediaPause")
def _media_pause(scene: Scene) -> Answer:
    return scene.car.changed(playing=False), "Paused"


@_on("MediaNext")
def _media_next(scene: Scene) -> Answer:
    return _tune(scene.car, 1) if scene.car.source == "radio" else _play(scene.car, track=scene.car.track + 1)


@_on("MediaPrevious")
def _media_previous(scene: Scene) -> Answer:
    car = scene.car
    return _tune(car, -1) if car.source == "radio" else _play(car, track=(car.track - 1) % len(TRACKS))


@_on("MediaRepeat")
def _media_repeat(scene: Scene) -> Answer:
    return scene.car.changed(view="media", repeat=not scene.car.repeat), (
        "No longer repeating" if scene.car.repeat else "Repeating")


@_on("MediaShuffle")
def _media_shuffle(scene: Scene) -> Answer:
    return scene.car.changed(view="media", shuffle=scene.on), f"Shuffle {scene.switched}"


@_on("MediaInfo")
def _media_info(scene: Scene) -> Answer:
    return scene.car.changed(view="media"), playing(scene.car)


@_on("RadioOn")
def _radio_on(scene: Scene) -> Answer:
    return _play(scene.car, source="radio")


@_on("RadioOff")
def _radio_off(scene: Scene) -> Answer:
    return scene.car.changed(playing=False), "Radio off"


def _frequency(station: str) -> float:
    return round(88 + sum(map(ord, station)) % 200 / 10, 1)


def _tune(car: Car, step: int) -> Answer:
    at = STATIONS.index(car.station) if car.station in STATIONS else 0
    station = STATIONS[(at + step) % len(STATIONS)]
    return _play(car, source="radio", station=station, frequency=_frequency(station))


@_on("RadioTune")
def _radio_tune(scene: Scene) -> Answer:
    slots = scene.slots
    if "frequency" in slots:
        return _play(scene.car, source="radio", station="", frequency=float(slots["frequency"]))
    station = slots["station"]
    return _play(scene.car, source="radio", station=station, frequency=_frequency(station))


@_on("RadioNext")
def _radio_next(scene: Scene) -> Answer:
    return _tune(scene.car, 1)


@_on("RadioPrevious")
def _radio_previous(scene: Scene) -> Answer:
    return _tune(scene.car, -1)


@_on("SourceSet")
def _source_set(scene: Scene) -> Answer:
    return _play(scene.car, source=scene.slots["source"])[0], f"Switched to {named(scene.slots['source'])}"


# ---- battery, charging, trip -----------------------------------------------------------------


@_on("BatteryStatus")
def _battery_status(scene: Scene) -> Answer:
    reach = distance(scene.drive.range, scene.car)
    return scene.car.changed(view="battery"), f"{scene.drive.battery:.0f} percent, enough for {reach}"


@_on("RangeStatus")
def _range_status(scene: Scene) -> Answer:
    return scene.car.changed(view="battery"), f"Enough for {distance(scene.drive.range, scene.car)}"


def _charging_time(scene: Scene) -> timedelta:
    return timedelta(hours=scene.drive.charging_hours(scene.car.charge_limit))


@_on("ChargingStart")
def _charging_start(scene: Scene) -> Answer:
    if scene.drive.moving:
        return scene.car.changed(view="battery"), "I can charge when we are parked"
    car = scene.car.changed(view="battery", charging=True)
    return car, f"Charging to {car.charge_limit} percent, until {clock(scene.now + _charging_time(scene))}"


@_on("ChargingStop")
def _charging_stop(scene: Scene) -> Answer:
    was = scene.car.charging
    return scene.car.changed(view="battery", charging=False), "Charging stopped" if was else "We are not charging"


@_on("ChargingLimit")
def _charging_limit(scene: Scene) -> Answer:
    level = scene.car.charge_limit + scene.slots["change"] if "change" in scene.slots else scene.slots["level"]
    car = scene.car.changed(view="battery", charge_limit=level)
    return car, f"Charging up to {car.charge_limit} percent"


@_on("ChargingStatus")
def _charging_status(scene: Scene) -> Answer:
    minutes = _charging_time(scene).total_seconds() / 60
    return scene.car.changed(view="battery"), (
        f"{minutes:.0f} minutes to {scene.car.charge_limit} percent" if minutes >= 1 else "The battery is full enough")


@_on("TripShow")
def _trip_show(scene: Scene) -> Answer:
    driven = distance(scene.drive.trip(scene.car), scene.car)
    return scene.car.changed(view="trip"), f"{driven} on this trip"


@_on("TripReset")
def _trip_reset(scene: Scene) -> Answer:
    return scene.car.changed(view="trip", trip_start=scene.drive.odometer), "Trip reset"


@_on("ConsumptionShow")
def _consumption_show(scene: Scene) -> Answer:
    used = scene.drive.consumption
    told = f"{used * 1.609344:.1f} kilowatt hours per 100 miles" if scene.car.units == "imperial" else (
        f"{used:.1f} kilowatt hours per 100 kilometers")
    return scene.car.changed(view="trip"), told


# ---- navigation ------------------------------------------------------------------------------


@_on("NavigationShow")
def _navigation_show(scene: Scene) -> Answer:
    return scene.car.changed(view="navigation"), "Here is the map"


@_on("NavigationStop")
def _navigation_stop(scene: Scene) -> Answer:
    was = scene.car.destination
    return scene.car.changed(destination="", avoid=""), "Guidance ended" if was else "There is no route"


def _route(scene: Scene, place: str) -> Answer:
    km, minutes = scene.drive.way_to(place)
    car = scene.car.changed(view="navigation", destination=place, zoom=scene.car.zoom)
    there = clock(scene.now + timedelta(minutes=minutes))
    return car, f"To {named(place)}: {distance(km, car)}, there at {there}"


@_on("RouteTo")
def _route_to(scene: Scene) -> Answer:
    return _route(scene, scene.slots["place"])


@_on("ChargingStationFind")
def _charging_station(scene: Scene) -> Answer:
    return _route(scene, "the nearest charging station")


@_on("ParkingFind")
def _parking(scene: Scene) -> Answer:
    return _route(scene, "the nearest parking garage")


@_on("ArrivalTime")
def _arrival(scene: Scene) -> Answer:
    car = scene.car.changed(view="navigation")
    if not car.destination:
        return car, "No destination is set"
    km, minutes = scene.drive.remaining
    return car, f"{distance(km, car)}, there at {clock(scene.now + timedelta(minutes=minutes))}"


@_on("TrafficShow")
def _traffic(scene: Scene) -> Answer:
    avoided = scene.slots.get("avoid", "")
    car = scene.car.changed(view="navigation", traffic=True, avoid=avoided or scene.car.avoid)
    return car, f"Avoiding {avoided}" if avoided else "Traffic is light"


@_on("PositionTell")
def _position(scene: Scene) -> Answer:
    return scene.car.changed(view="navigation"), scene.drive.address


@_on("TurnAdd")
def _turn(scene: Scene) -> Answer:
    turned = scene.drive.turn(scene.slots["side"])
    car = scene.car.changed(view="navigation")
    return car, f"Turning {scene.slots['side']}" if turned else f"No street goes {scene.slots['side']} there"


def _zoom(car: Car, by: int) -> Car:
    return car.changed(view="navigation", zoom=car.zoom + by)


@_on("ZoomIn")
def _zoom_in(scene: Scene) -> Answer:
    return _zoom(scene.car, 1), "Zooming in" if scene.car.zoom < BOUNDS["zoom"][1] else "That is as near as it gets"


@_on("ZoomOut")
def _zoom_out(scene: Scene) -> Answer:
    return _zoom(scene.car, -1), "Zooming out" if scene.car.zoom > BOUNDS["zoom"][0] else "That is all of the map"


# ---- phone -----------------------------------------------------------------------------------


def _call(car: Car, contact: str) -> Answer:
    if not contact:
        return car.changed(view="phone"), "Nobody was called yet"
    return car.changed(view="phone", call=contact, last_call=contact, ringing=False), f"Calling {named(contact)}"


@_on("Call")
def _call_contact(scene: Scene) -> Answer:
    return _call(scene.car, scene.slots["contact"])


@_on("CallRedial")
def _redial(scene: Scene) -> Answer:
    return _call(scene.car, scene.car.last_call)


@_on("CallAnswer")
def _answer(scene: Scene) -> Answer:
    if not scene.car.ringing:
        return scene.car.changed(view="phone"), "Nobody is calling"
    return _call(scene.car, scene.car.last_call)[0], "Call accepted"


@_on("CallEnd")
def _hang_up(scene: Scene) -> Answer:
    was = scene.car.call or scene.car.ringing
    return scene.car.changed(view="phone", call="", ringing=False), "Call ended" if was else "There is no call"


@_on("ContactsShow")
def _contacts(scene: Scene) -> Answer:
    return scene.car.changed(view="phone"), "Here are your contacts"


@_on("MessageRead")
def _messages(scene: Scene) -> Answer:
    return scene.car.changed(view="phone"), "There are no new messages"


@_on("MessageSend")
def _message(scene: Scene) -> Answer:
    contact = scene.slots["contact"]
    return scene.car.changed(view="phone", told=contact), f"I will tell {named(contact)} that you are on the way"


# ---- climate ---------------------------------------------------------------------------------


def _zones(slots: Mapping[str, Any]) -> tuple[str, ...]:
    zone = slots.get("zone", "cabin")
    return {"cabin": ZONES, "front": ("driver", "passenger")}.get(zone, (zone,))


def _temperature(scene: Scene, change: float | None) -> Answer:
    car, zones = scene.car, _zones(scene.slots)
    if change is None:
        wished = dict.fromkeys(zones, celsius(scene.slots["temperature"], car))
    else:
        by = celsius(change, car, apart=True)
        wished = {zone: round(car.temperature[zone] + by, 2) for zone in zones}
    car = car.changed(view="climate", climate=True, temperature=wished)
    where = scene.slots.get("zone", "cabin")
    least, most = (warmth(pick(car.temperature[zone] for zone in zones), car) for pick in (min, max))
    told = most if least == most else f"{least.removesuffix(' degrees')} to {most}"
    return car, f"{where.capitalize()} {told}"


def _amount(scene: Scene) -> float:
    return float(scene.slots.get("amount", 0.5 if scene.small else 1.0))


@_on("TemperatureSet")
def _temperature_set(scene: Scene) -> Answer:
    return _temperature(scene, None)


@_on("TemperatureUp")
def _temperature_up(scene: Scene) -> Answer:
    return _temperature(scene, _amount(scene))


@_on("TemperatureDown")
def _temperature_down(scene: Scene) -> Answer:
    return _temperature(scene, -_amount(scene))


@_on("TemperatureTell")
def _temperature_tell(scene: Scene) -> Answer:
    inside, outside = (warmth(t, scene.car) for t in (scene.car.temperature["driver"], scene.drive.outside))
    return scene.car.changed(view="climate"), f"{inside} inside, {outside} outside"


@_on("AirConditioning")
def _air_conditioning(scene: Scene) -> Answer:
    return scene.car.changed(view="climate", climate=scene.on), f"Air conditioning {scene.switched}"


@_on("FanSpeed")
def _fan(scene: Scene) -> Answer:
    level = scene.car.fan + scene.slots["change"] if "change" in scene.slots else scene.slots["level"]
    level = {"low": 2, "medium": 5, "high": 8, "maximum": 9}.get(level, level)
    car = scene.car.changed(view="climate", climate=True, fan=int(level))
    return car, f"Fan {car.fan}"


@_on("Defrost")
def _defrost(scene: Scene) -> Answer:
    place = "rear" if scene.slots.get("window_place") == "rear" else "front"
    panes = scene.car.defrost | {place} if scene.on else scene.car.defrost - {place}
    car = scene.car.changed(view="climate", defrost=frozenset(panes))
    return car, f"{place.capitalize()} defroster {scene.switched}"


@_on("SeatHeating")
def _seat_heating(scene: Scene) -> Answer:
    seats = _seats(scene.slots)
    car = scene.car.changed(view="climate", seat_heating=dict.fromkeys(seats, scene.on))
    return car, f"{' and '.join(seats).capitalize()} seat heating {scene.switched}"


def _seats(slots: Mapping[str, Any]) -> tuple[str, ...]:
    seat = {"left": "driver", "right": "passenger"}.get(slots.get("seat", "driver"), slots.get("seat", "driver"))
    return ("driver", "passenger") if seat == "front" else (seat if seat in SEATS else "driver",)


@_on("SteeringWheelHeating")
def _wheel_heating(scene: Scene) -> Answer:
    return scene.car.changed(view="climate", wheel_heating=scene.on), f"Steering wheel heating {scene.switched}"


# ---- body ------------------------------------------------------------------------------------


@_on("SeatMove")
def _seat_move(scene: Scene) -> Answer:
    (seat, *_), way = _seats(scene.slots), scene.slots["direction"]
    axis, by = {"up": ("height", 5), "down": ("height", -5), "forward": ("seat", 5)}.get(way, ("seat", -5))
    place = f"{seat} {axis}"
    return scene.car.changed(view="body", seats={place: scene.car.seats[place] + by}), f"{seat.capitalize()} seat {way}"


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


def _move_windows(scene: Scene, level: int) -> Answer:
    names = _windows(scene.slots, scene.text)
    car = scene.car.changed(view="body", windows=dict.fromkeys(names, level))
    which = {WINDOWS: "all windows", WINDOWS[:2]: "the front windows", WINDOWS[2:]: "the rear windows"}.get(
        names, "the " + " and ".join(names) + " window" + "s" * (len(names) > 1))
    now = car.windows[names[0]]
    if 0 < now < 100:
        return car, f"{which.capitalize()} {now} percent open"
    return car, f"{'Opening' if now else 'Closing'} {which}"


@_on("WindowOpen")
def _window_open(scene: Scene) -> Answer:
    if "change" not in scene.slots:
        return _move_windows(scene, scene.slots.get("level", 100))
    return _move_windows(scene, scene.car.windows[_windows(scene.slots, scene.text)[0]] + scene.slots["change"])


@_on("WindowClose")
def _window_close(scene: Scene) -> Answer:
    return _move_windows(scene, 0)


@_on("SunroofOpen")
def _sunroof_open(scene: Scene) -> Answer:
    return scene.car.changed(view="body", sunroof=True), "Opening the sunroof"


@_on("SunroofClose")
def _sunroof_close(scene: Scene) -> Answer:
    return scene.car.changed(view="body", sunroof=False), "Closing the sunroof"


@_on("TrunkOpen")
def _trunk_open(scene: Scene) -> Answer:
    if scene.drive.moving:
        return scene.car.changed(view="body"), "The trunk stays closed while we drive"
    return scene.car.changed(view="body", trunk=True), "Opening the trunk"


@_on("TrunkClose")
def _trunk_close(scene: Scene) -> Answer:
    return scene.car.changed(view="body", trunk=False), "Closing the trunk"


@_on("LightsSet")
def _lights(scene: Scene) -> Answer:
    light = scene.slots["light"]
    return scene.car.changed(lights={light: scene.on}), f"{light.capitalize()} {scene.switched}"


@_on("WipersSet")
def _wipers(scene: Scene) -> Answer:
    change = scene.slots.get("change")
    if change == "wash":
        return scene.car.changed(wipers=True, wiper_speed=2), "Washing the windshield"
    if change:
        car = scene.car.changed(wipers=True, wiper_speed=scene.car.wiper_speed + (1 if change == "faster" else -1))
        return car, f"Wipers {change}"
    return scene.car.changed(wipers=scene.on), f"Wipers {scene.switched}"


@_on("DoorsLock")
def _lock(scene: Scene) -> Answer:
    return scene.car.changed(view="body", locked=True), "Doors locked"


@_on("DoorsUnlock")
def _unlock(scene: Scene) -> Answer:
    return scene.car.changed(view="body", locked=False), "Doors unlocked"


@_on("DoorsStatus")
def _doors(scene: Scene) -> Answer:
    car = scene.car.changed(view="body")
    return car, f"Doors {'locked' if car.locked else 'unlocked'}, trunk {'open' if car.trunk else 'closed'}"


@_on("MirrorsFold")
def _mirrors(scene: Scene) -> Answer:
    state = {"fold": "folded", "unfold": "unfolded"}.get(scene.slots.get("change", ""), "adjusted")
    return scene.car.changed(view="body", mirrors=state), f"Mirrors {state}"


@_on("TirePressure")
def _tires(scene: Scene) -> Answer:
    low, high = min(TIRES), max(TIRES)
    if scene.car.units == "imperial":
        return scene.car.changed(view="body"), f"{low * 14.504:.0f} to {high * 14.504:.0f} PSI"
    return scene.car.changed(view="body"), f"{low} to {high} bar"


@_on("OilLevel")
def _oil(scene: Scene) -> Answer:
    return scene.car.changed(view="body"), "An electric motor needs none"


# ---- driving ---------------------------------------------------------------------------------


@_on("EngineStart")
def _start(scene: Scene) -> Answer:
    return scene.car.changed(engine=True, charging=False), "Ready to drive"


@_on("EngineStop")
def _stop(scene: Scene) -> Answer:
    return scene.car.changed(engine=False, cruise=None), "Stopping" if scene.drive.moving else "The motor is off"


@_on("LaneAssist")
def _lane_assist(scene: Scene) -> Answer:
    return scene.car.changed(lane_assist=scene.on), f"Lane assist {scene.switched}"


@_on("CruiseSet")
def _cruise(scene: Scene) -> Answer:
    speed = scene.slots.get("speed")
    if "change" in scene.slots:
        step = scene.slots["change"] * (1.609344 if scene.car.units == "imperial" else 1.0)
        speed = (scene.car.cruise or scene.drive.speed) + step
    elif speed is None:
        speed = scene.drive.speed
    elif "miles" in scene.text.split() or ("kilometers" not in scene.text.split() and scene.car.units == "imperial"):
        speed = speed * 1.609344
    car = scene.car.changed(cruise=round(speed))
    return car, f"Cruise control at {pace(car.cruise or 0, car)}"


@_on("CruiseOff")
def _cruise_off(scene: Scene) -> Answer:
    return scene.car.changed(cruise=None), "Cruise control off"


@_on("ModeSet")
def _mode(scene: Scene) -> Answer:
    mode = {"economy": "eco", "normal": "comfort"}.get(scene.slots["mode"], scene.slots["mode"])
    return scene.car.changed(mode=mode), f"{mode.capitalize()} mode"


@_on("CameraShow")
def _camera(scene: Scene) -> Answer:
    side = "front" if scene.slots.get("camera") == "front" else "rear"
    return scene.car.changed(view="camera", camera=side), f"Here is the {side} camera"


# ---- the assistant itself --------------------------------------------------------------------


@_on("TimeTell")
def _time(scene: Scene) -> Answer:
    return scene.car, f"It is {clock(scene.now)}"


@_on("DateTell")
def _date(scene: Scene) -> Answer:
    return scene.car, f"{scene.now:%A, %B} {scene.now.day}"


@_on("WeatherTell")
def _weather(scene: Scene) -> Answer:
    return scene.car, f"{warmth(scene.drive.outside, scene.car)} outside; I have no forecast without a network"


@_on("SpeedTell")
def _speed(scene: Scene) -> Answer:
    if "limit" in scene.text.split():
        return scene.car, f"The limit is {pace(scene.drive.limit, scene.car)}"
    return scene.car, pace(scene.drive.speed, scene.car)


@_on("BrightnessSet")
def _brightness(scene: Scene) -> Answer:
    step = scene.slots.get("change", {"up": 15, "down": -15}.get(scene.slots.get("direction", ""), 0))
    car = scene.car.changed(brightness=scene.slots.get("level", scene.car.brightness + step))
    return car, f"Brightness {car.brightness} percent"


@_on("UnitsSet")
def _units(scene: Scene) -> Answer:
    units = scene.slots["units"]
    if units in ("celsius", "fahrenheit"):
        return scene.car.changed(degrees=units), f"Degrees {units.capitalize()}"
    return scene.car.changed(units=units), f"Distances in {'miles' if units == 'imperial' else 'kilometers'}"


@_on("NightMode")
def _night(scene: Scene) -> Answer:
    night = (scene.slots.get("theme", "night") == "night") == scene.on
    return scene.car.changed(night=night), "Night display" if night else "Day display"


_VIEWS = {"home": "is the home screen", "media": "is the music", "body": "is the car", "settings": "are the settings"}


@_on("ViewShow")
def _view(scene: Scene) -> Answer:
    view = scene.slots.get("view", "home")
    view = view if view in VIEWS else "home"
    return scene.car.changed(view=view), f"Here {_VIEWS.get(view, f'is the {view}')}"


@_on("TimerSet")
def _timer(scene: Scene) -> Answer:
    minutes = scene.slots["minutes"]
    return scene.car.changed(timer=scene.now + timedelta(minutes=minutes)), (
        f"Timer for {minutes} minute{'s' * (minutes != 1)}, until {clock(scene.now + timedelta(minutes=minutes))}")


@_on("TimerCancel")
def _timer_cancel(scene: Scene) -> Answer:
    return scene.car.changed(timer=None), "There is no timer" if scene.car.timer is None else "Timer cancelled"


@_on("Reminder")
def _reminder(scene: Scene) -> Answer:
    task = scene.slots["task"]
    if not isinstance(task, str):
        raise ValueError(f"task is {task!r}; words are right")
    return scene.car.changed(reminder=task[:80]), f"I will remind you to {task[:80]} when we arrive"


@_on("Help")
def _help(scene: Scene) -> Answer:
    return scene.car.changed(view="help"), "Say, for example, increase the volume"


@_on("Cancel")
def _cancel(scene: Scene) -> Answer:
    return scene.car.changed(view="home"), "All right"
