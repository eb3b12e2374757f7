"""What the assistant does with commands: every intent acts, everything can be undone, nothing leaves its bounds."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna.assistant import Assistant, Car, Drive
from pynna.assistant.actions import ACTIONS
from pynna.assistant.car import BOUNDS, VIEWS
from pynna.assistant.city import City

GRAMMAR = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
NOON = datetime(2024, 5, 6, 12, 0)


@pytest.fixture
def assistant():
    return Assistant(GRAMMAR, now=lambda: NOON)


def test_every_intent_of_the_sentence_file_has_an_action():
    assert set(GRAMMAR.intents) == set(ACTIONS) | {"Undo", "More", "Less", "Repeat"}
    assert len(GRAMMAR.intents) >= 40


def _check_bounds(car: Car) -> None:
    for name, (least, most) in BOUNDS.items():
        value = getattr(car, name)
        for number in value.values() if isinstance(value, Mapping) else [value]:
            assert number is None or least <= number <= most, name
    assert car.view in VIEWS


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 12))
def test_any_commands_keep_the_car_in_bounds_and_can_be_undone(seed, n):
    assistant, rng = Assistant(GRAMMAR, now=lambda: NOON), random.Random(seed)
    begun = assistant.car
    for _ in range(n):
        sentence = GRAMMAR.sample(rng)
        if sentence.intent == "Undo":
            continue
        outcome = assistant.act(sentence.intent, sentence.slots, sentence.text)
        assert outcome.understood
        assert outcome.reply
        assert "{" not in outcome.reply
        _check_bounds(assistant.car)
        json.dumps({**assistant.as_dict(), **outcome.as_dict()}, allow_nan=False)
        assistant.tick(0.1)
    for _ in range(n):
        assistant.act("Undo")
    assert assistant.car.changed(view=begun.view) == begun
    assert assistant.act("Undo").reply == "There is nothing to undo"


@pytest.mark.parametrize(("commands", "name", "value"), [
    (["increase the volume"], "volume", 50),
    (["increase the volume a bit"], "volume", 45),
    (["increase the volume", "a bit more"], "volume", 55),
    (["increase the volume", "more", "more"], "volume", 70),
    (["increase the volume", "less"], "volume", 40),
    (["set the volume to twenty", "undo"], "volume", 40),
    (["decrease the volume by fifty", "lower the volume by fifty"], "volume", 0),
    (["maximum volume", "louder"], "volume", 100),
    (["mute"], "muted", True),
    (["mute", "volume up"], "muted", False),
    (["set the temperature to twenty one point five degrees"], "temperature",
     {"driver": 21.5, "passenger": 21.5, "rear": 21.5}),
    (["increase the driver temperature by two degrees"], "temperature", {"driver": 23, "passenger": 21, "rear": 21}),
    (["turn on the passenger seat heating"], "seat_heating", {"driver": False, "passenger": True, "rear": False}),
    (["open the rear windows"], "windows",
     {"front left": 0, "front right": 0, "rear left": 100, "rear right": 100}),
    (["open the windows fifty percent", "close all windows"], "windows",
     dict.fromkeys(["front left", "front right", "rear left", "rear right"], 0)),
    (["turn on the headlights"], "lights", {"headlights": True}),
    (["turn on the headlights", "turn off the headlights"], "lights", {"headlights": False}),
    (["wipers faster", "wipers faster", "wipers faster", "wipers faster"], "wiper_speed", 3),
    (["unlock the doors"], "locked", False),
    (["day mode"], "night", False),
    (["day mode", "turn on dark mode"], "night", True),
    (["switch to miles"], "units", "imperial"),
    (["sport mode"], "mode", "sport"),
    (["set cruise control to ninety"], "cruise", 90),
    (["set cruise control to ninety", "cancel cruise control"], "cruise", None),
    (["make the screen darker"], "brightness", 65),
    (["call mom"], "call", "mom"),
    (["call mom", "hang up"], "call", ""),
    (["take me to the airport"], "destination", "the airport"),
    (["take me to the airport", "stop navigation"], "destination", ""),
    (["display navigation", "zoom in", "zoom in", "a bit less"], "zoom", 4),
    (["check battery levels"], "view", "battery"),
    (["play some jazz"], "genre", "jazz"),
    (["next station"], "station", "rock radio"),
    (["avoid tolls"], "avoid", "tolls"),
    (["set a timer for five minutes"], "timer", NOON + timedelta(minutes=5)),
])
def test_commands(assistant, commands, name, value):
    for command in commands:
        assert assistant.read(command).understood, command
    found = getattr(assistant.car, name)
    assert ({**found, **value} if isinstance(value, dict) else value) == found


def test_what_is_not_understood_changes_nothing(assistant):
    before = assistant.car
    outcome = assistant.read("colorless green ideas")
    assert (outcome.understood, outcome.intent, outcome.reply) == (False, None, "I didn't get that")
    assert assistant.car == before


@pytest.mark.parametrize(("intent", "slots", "named"), [
    ("Fly", {}, "Fly"),
    ("VolumeSet", {}, "level"),
    ("VolumeSet", {"level": "loud"}, "loud"),
    ("SeatMove", {"seat": "driver"}, "direction"),
    ("TemperatureSet", {"temperature": 20, "zone": "roof"}, "roof"),
    ("LightsSet", {"light": "disco ball"}, "disco ball"),
    ("WindowOpen", {"level": None}, "windows"),
    ("VolumeSet", {"level": float("nan")}, "nan"),
    ("RadioTune", {"frequency": float("nan")}, "frequency"),
    ("ChargingLimit", {"level": None}, "charge_limit"),
    ("TimerSet", {"minutes": 1e300}, "minutes"),
])
def test_a_wrong_intent_or_slot_is_named_and_changes_nothing(assistant, intent, slots, named):
    before = assistant.car
    with pytest.raises(pynna.ArgumentError, match=named):
        assistant.act(intent, slots)
    assert assistant.car == before


def test_replies_are_in_the_drivers_units(assistant):
    assert assistant.read("remaining range").reply.endswith("kilometers to go")
    assistant.read("switch to miles")
    assert assistant.read("remaining range").reply.endswith("miles to go")
    assistant.read("switch to fahrenheit")
    assert assistant.read("set the temperature to twenty degrees").reply == "Cabin 68 degrees"


def test_repeat_says_the_last_reply_again(assistant):
    reply = assistant.read("check battery levels").reply
    assert assistant.read("repeat that").reply == reply


def test_hearing_acts_only_on_what_is_accepted(assistant):
    model = pynna.load()
    heard = model.transcribe("pynna/recordings/increase_the_volume.flac", grammar=GRAMMAR)
    assert assistant.hear(heard).intent == "VolumeUp"
    doubtful = model.transcribe("pynna/recordings/increase_the_volume.flac", grammar=GRAMMAR, threshold=1.0)
    assert not assistant.hear(doubtful).understood
    assert assistant.car.volume == 50


# ---- the drive ----


def test_a_route_is_driven_to_its_end(assistant):
    assistant.read("take me to the airport")
    said = ""
    while not said and assistant.drive.odometer < 12500:
        said = assistant.tick(0.2)
    assert said == "You have arrived: the airport"
    end = assistant.drive.city.nodes[assistant.drive.city.find("the airport")]
    assert assistant.drive.position == pytest.approx(tuple(end), abs=15)


def test_the_drive_keeps_to_physics(assistant):
    drive, speeds = assistant.drive, []
    for _ in range(3000):
        assistant.tick(0.1)
        speeds.append(drive.speed)
        assert 0 <= drive.speed <= 75
        assert -60 <= drive.power <= 161
    assert max(speeds) > 45
    assert max(abs(a - b) for a, b in zip(speeds, speeds[1:], strict=False)) / 3.6 < 0.31
    assert drive.battery < 78
    assert drive.odometer > 12480.5


def test_charging_only_when_parked(assistant):
    for _ in range(100):
        assistant.tick(0.1)
    assert assistant.read("start charging").reply == "I can charge when we are parked"
    assistant.read("stop the engine")
    for _ in range(300):
        assistant.tick(0.1)
    assistant.read("set the charge limit to eighty percent")
    before = assistant.drive.battery
    assistant.read("start charging")
    for _ in range(600):
        assistant.tick(1.0)
    assert before < assistant.drive.battery <= 80.1


def test_a_timer_runs_out_once():
    now = [NOON]
    assistant = Assistant(GRAMMAR, now=lambda: now[0])
    assistant.read("set a timer for five minutes")
    assert assistant.tick(0.1) == ""
    now[0] += timedelta(minutes=5)
    assert assistant.tick(0.1) == "The timer has run out"
    assert assistant.tick(0.1) == ""


def test_every_place_can_be_reached():
    city = City()
    for place in GRAMMAR.lists["place"]:
        way = city.route(city.middle, city.find(str(place)))
        assert way[-1] == city.find(str(place))
        assert all(pair in city.streets for pair in zip(way, way[1:], strict=False))


def test_the_same_seed_is_the_same_drive():
    one, other = Drive(3), Drive(3)
    for drive in (one, other):
        for _ in range(500):
            drive.tick(0.1, Car())
    assert one.as_dict(Car()) == other.as_dict(Car())
