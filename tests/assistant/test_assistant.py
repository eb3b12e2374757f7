# SPDX-License-Identifier: Apache-2.0
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
from pynna.assistant.examples import EXAMPLES

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


@settings(max_examples=40, deadline=None)
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


@pytest.mark.parametrize(
    ("commands", "name", "value"),
    [
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
        (
            ["set the temperature to twenty one point five degrees"],
            "temperature",
            {"driver": 21.5, "passenger": 21.5, "rear": 21.5},
        ),
        (
            ["increase the driver temperature by two degrees"],
            "temperature",
            {"driver": 23, "passenger": 21, "rear": 21},
        ),
        (["turn on the passenger seat heating"], "seat_heating", {"driver": False, "passenger": True, "rear": False}),
        (
            ["open the rear windows"],
            "windows",
            {"front left": 0, "front right": 0, "rear left": 100, "rear right": 100},
        ),
        (
            ["open the windows fifty percent", "close all windows"],
            "windows",
            dict.fromkeys(["front left", "front right", "rear left", "rear right"], 0),
        ),
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
        (["set a timer for one minute", "cancel the timer"], "timer", None),
        (["increase the volume by thirty percent", "a bit more"], "volume", 75),
        (["set the volume to twenty", "what time is it", "a bit more please"], "volume", 25),
        (["set cruise control to ninety", "a bit more"], "cruise", 95),
        (["set the charge limit to ninety percent", "less"], "charge_limit", 85),
        (["set the fan to five", "a bit less"], "fan", 4),
        (["open the window fifty percent", "more"], "windows", {"front left": 75}),
        (["close the window", "a bit less"], "windows", {"front left": 25}),
        (["make the screen darker", "more"], "brightness", 55),
        (["move my seat back", "more", "less"], "seats", {"driver seat": 45}),
        (["wipers faster", "more", "less"], "wiper_speed", 2),
        (["call mom", "a bit more"], "volume", 40),
        (["turn off the radio", "resume"], "source", "radio"),
        (["next"], "station", "rock radio"),
        (["tune to one hundred one point five"], "frequency", 101.5),
    ],
)
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


@pytest.mark.parametrize(
    ("intent", "slots", "named"),
    [
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
    ],
)
def test_a_wrong_intent_or_slot_is_named_and_changes_nothing(assistant, intent, slots, named):
    before = assistant.car
    with pytest.raises(pynna.ArgumentError, match=named):
        assistant.act(intent, slots)
    assert assistant.car == before


def test_replies_are_in_the_drivers_units(assistant):
    assert assistant.read("remaining range").reply.endswith("kilometers")
    assistant.read("switch to miles")
    assert assistant.read("remaining range").reply.endswith("miles")
    assistant.read("switch to fahrenheit")
    assert assistant.read("set the temperature to seventy degrees").reply == "Cabin 70 degrees"
    assert assistant.car.temperature["driver"] == pytest.approx(21.11, abs=0.01)
    assert assistant.read("increase the temperature by two degrees").reply == "Cabin 72 degrees"
    assert not assistant.read("set the temperature to twenty degrees").understood
    assistant.read("use celsius")
    assert assistant.read("set the temperature to twenty degrees").reply == "Cabin 20 degrees"
    assert assistant.read("set the driver temperature to nineteen").reply == "Driver 19 degrees"
    assert assistant.read("make it warmer").reply == "Cabin 20 to 21 degrees"


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


def test_undo_tells_what_is_undone_and_leaves_what_has_happened_since():
    now = [NOON]
    assistant = Assistant(GRAMMAR, now=lambda: now[0])
    assistant.read("increase the volume")
    assistant.read("set a timer for five minutes")
    assistant.read("mute")
    now[0] += timedelta(minutes=6)
    assert assistant.tick(0.1) == "The timer has run out"
    assert assistant.read("undo").reply == "Undone: mute"
    assert (assistant.car.muted, assistant.car.timer) == (False, None)
    assistant.act("LightsSet", {"light": "headlights"})
    assert assistant.act("Undo").reply == "Undone: lights set"


def test_a_route_is_known_at_once_and_a_turn_keeps_it(assistant):
    assistant.read("take me to the airport")
    told = assistant.read("when will we arrive").reply
    assert not told.startswith("0.0")
    assistant.read("turn left at the next corner")
    assert assistant.car.destination == "the airport"
    assert assistant.drive.way[-1] == assistant.drive.city.find("the airport")
    assistant.read("undo")
    assert assistant.drive.destination == ""


def test_the_nearest_charging_station_is_near(assistant):
    assistant.read("find the nearest charging station")
    assert 0 < assistant.drive.remaining[0] < 1.6
    way = assistant.drive.way
    assistant.tick(0.1)
    assert assistant.drive.way[-1] == way[-1]


def test_who_was_sent_a_message_calls_back(assistant):
    assert assistant.read("text anna").reply == "I will tell Anna that you are on the way"
    said = [assistant.tick(1.0) for _ in range(15)]
    assert "Anna is calling" in said
    assert assistant.car.ringing
    assert assistant.read("answer the call").reply == "Call accepted"
    assert (assistant.car.call, assistant.car.ringing) == ("anna", False)
    assert not any(assistant.tick(1.0) for _ in range(15))


def test_a_reminder_is_told_on_arrival(assistant):
    assistant.read("remind me to buy milk")
    assistant.read("find the nearest charging station")
    said = ""
    while not said and assistant.drive.odometer < 12500:
        said = assistant.tick(0.2)
    assert said == "You have arrived: the nearest charging station. Remember to buy milk"
    assert assistant.car.reminder == ""


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("tune to one hundred one point five", "101.5 FM"),
        ("switch to bluetooth", "Switched to Bluetooth"),
        ("call john smith", "Calling John Smith"),
        ("call the doctor", "Calling the doctor"),
        ("open the left window", "Opening the front left window"),
        ("more", "More of what?"),
    ],
)
def test_replies(assistant, command, reply):
    assert assistant.read(command).reply == reply


def test_the_examples_show_each_intent():
    intents = {}
    for sentence in (sentence for family in EXAMPLES.values() for sentence in family):
        match = GRAMMAR.parse(sentence)
        assert match is not None, sentence
        intents[match.intent] = sentence
    assert set(intents) == set(GRAMMAR.intents)


@pytest.mark.parametrize("sentence", [sentence for family in EXAMPLES.values() for sentence in family])
def test_every_example_is_acted_on(assistant, sentence):
    answer = assistant.read(sentence)
    assert answer.understood and answer.reply, sentence


@pytest.mark.parametrize(
    "text", ["please increase the volume", "Could you increase the volume, please?", "increase the volume please"]
)
def test_typed_commands_may_be_polite(assistant, text):
    assert assistant.read(text).intent == "VolumeUp"


def test_a_window_that_is_partly_open_tells_how_far(assistant):
    assert assistant.read("open the rear windows").reply == "Opening the rear windows"
    assert assistant.read("a bit less").reply == "The rear windows 75 percent open"
    assert assistant.read("close all windows").reply == "Closing all windows"
