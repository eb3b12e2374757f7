# SPDX-License-Identifier: Apache-2.0
"""Streams with a grammar: what is heard, what it means, and whether it is believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.decoding.confidence import features, probability
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.errors import ArgumentError
from pynna.streaming.rescoring import vote_by_meaning

RECORDINGS = Path(pynna.__file__).parent / "recordings"


def commands():
    rows = [line.split("\t") for line in (RECORDINGS / "manifest.tsv").read_text().splitlines()[1:]]
    return [(RECORDINGS / path, text) for path, _, text in rows if "/" not in path]


@pytest.mark.parametrize(("path", "text"), commands(), ids=lambda value: getattr(value, "stem", None))
def test_the_recorded_commands_are_understood(model, car, path, text):
    result = model.transcribe(path, grammar=car)
    assert result.text == text
    assert result.accepted and result.complete and result.confidence > 0.8
    assert result.intent == car.parse(text).intent
    assert [word.text for word in result.words] == text.split()
    assert all(0 <= a.start < a.end <= b.end for a, b in zip(result.words, result.words[1:], strict=False))


def test_slots_reply_and_json(model, car):
    result = model.transcribe(RECORDINGS / "set_the_temperature_to_twenty_one_degrees.flac", grammar=car)
    assert (result.intent, result.slots) == ("TemperatureSet", {"temperature": 21})
    assert result.reply == ""  # the car answers by itself
    assert "accepted=True" in repr(result)


def test_alternatives_have_meanings_of_their_own(model, car):
    result = model.transcribe(RECORDINGS / "call_home.flac", grammar=car, alternatives=3)
    assert 2 <= len(result.alternatives) <= 3  # those within the search's margin
    assert result.alternatives[0].slots == {"contact": "home"}
    assert len({a.text for a in result.alternatives}) == len(result.alternatives)
    assert all(a.slots == car.parse(a.text).slots for a in result.alternatives)
    scores = [a.score for a in result.alternatives]
    assert scores == sorted(scores, reverse=True)
    told = json.loads(json.dumps(result.as_dict()))
    assert told["accepted"] is True and told["intent"] == "Call" and told["slots"] == {"contact": "home"}
    assert told["alternatives"][1]["intent"] == result.alternatives[1].intent is not None


def test_what_is_not_in_the_grammar_is_not_accepted(model, car):
    for path in sorted((RECORDINGS / "calibration").glob("*.flac")):
        text = model.transcribe(path).text
        result = model.transcribe(path, grammar=pynna.Grammar.from_sentences(["abracadabra", "open sesame now"]))
        assert not result.accepted, (path.name, text, result)
    silence = model.transcribe(np.zeros(16000, np.int16), grammar=car)
    assert not silence.accepted
    nothing = model.transcribe(np.zeros(0, np.int16), grammar=car)
    assert (nothing.accepted, nothing.intent, nothing.slots) == (False, None, {})


def test_chunks_and_groups_change_nothing(model, car):
    pcm = pynna.audio.load_audio(RECORDINGS / "navigate_home.flac", sample_rate=16000).pcm
    whole = model.transcribe(pcm, grammar=car, alternatives=4).as_dict()
    stream = model.stream(grammar=car, alternatives=4)
    seen = []
    for start in range(0, len(pcm), 777):
        stream.feed(pcm[start : start + 777])
        partial = stream.partial()
        seen.append(partial.text)
    assert stream.finish().as_dict() == whole
    assert any("navigate home".startswith(text) and 0 < len(text) < 13 for text in seen)
    group = model.group()
    streams = [group.stream(grammar=car, alternatives=4) for _ in range(3)]
    for s in streams:
        s.feed(pcm)
    assert [s.finish().as_dict() for s in streams] == [whole] * 3


def test_the_threshold_decides(model, car):
    path = RECORDINGS / "call_home.flac"
    sure = model.transcribe(path, grammar=car).confidence
    assert model.transcribe(path, grammar=car, threshold=0.0).accepted
    assert not model.transcribe(path, grammar=car, threshold=1.0).accepted or sure == 1.0


def test_a_running_stream_keeps_its_lists(model):
    def grammar(places):
        intents = {"Go": {"sentences": ["navigate {place}"]}}
        return pynna.Grammar.from_dict({"intents": intents, "lists": {"place": places}})

    pcm = pynna.audio.load_audio(RECORDINGS / "navigate_home.flac", sample_rate=16000).pcm
    old = grammar(["home", "north"])
    stream = model.stream(grammar=old)
    stream.feed(pcm[:8000])
    new = old.with_lists({"place": [("north", "up"), ("south", "down")]})
    later = model.stream(grammar=new)
    later.feed(pcm)
    stream.feed(pcm[8000:])
    assert stream.finish().slots == {"place": "home"}
    assert later.finish().text != "navigate home"


def test_filler_around_a_command(model, car):
    def pcm(name):
        return pynna.audio.load_audio(RECORDINGS / name, sample_rate=16000).pcm

    audio = np.concatenate([pcm("calibration/pico_10.flac"), pcm("check_battery_levels.flac")])
    result = model.transcribe(audio, grammar=car.with_filler(after=False))
    assert result.intent == "BatteryStatus"
    assert result.text.endswith("check battery levels")
    assert not model.transcribe(audio, grammar=car).accepted


def test_features_of_a_hypothesis():
    tokens = [(0, 0, 0, -0.1, 0.5), (5, 1, 1, -9.0, 3.0), (3, 2, 2, 0.0, 0.25), (1, 3, 3, -0.3, 1.0)]
    # letters 0 and 1, a space, and one of the filler that counts for nothing
    x = features(tokens, 0.25, 3, 4, np.log(40), 0.02)
    assert x == pytest.approx([(0.5 + 0.25 + 1.0 + 0.25) / 2, 1.25 / 3, -0.2, np.log(2), np.log(40), 0.0])
    assert probability(features([], 0.0, 3, 4, 2.0, 0.02)) < 0.01
    sure = np.array([0.0, 0.0, 0.0, 2.5, np.log(1000), 0.1])
    assert probability(sure) > 0.9
    assert probability(sure) > probability(np.array([0.0, 0.0, 0.0, 2.5, np.log(100000), 0.1]))
    assert probability(sure) > probability(np.array([0.0, 0.0, 0.0, 2.5, np.log(1000), 0.8]))
    assert features(tokens, 0.25, 3, 4, np.log(1e9), 0.02)[4] == pytest.approx(np.log(1e6))


def test_the_longest_gap_is_within_a_word():
    def gap(frames, space=3):
        tokens = [(label, frame, frame + 1, -0.1, 0.1) for label, frame in frames]
        return features(tokens, 0.0, space, 4, 1.0, 0.02)[5]

    assert gap([(0, 0), (1, 4), (0, 7)]) == pytest.approx(0.08)
    assert gap([(0, 0), (1, 4), (3, 9), (0, 50), (1, 53)]) == pytest.approx(0.08)  # people pause between words
    assert gap([(0, 0), (1, 4), (5, 60), (0, 90)]) == pytest.approx(0.08)  # and the filler is no part of one
    assert gap([(0, 0), (1, 4), (0, 50)], space=-1) == 0.0  # no telling where words are
    assert gap([(0, 5)]) == gap([]) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"filler_cost": -1.0}, "filler_cost"),
        ({"alternatives": 17}, "alternatives"),
        ({"prior_scale": 11.0}, "prior_scale"),
    ],
)
def test_wrong_options_are_told(model, car, options, message):
    with pytest.raises(ArgumentError, match=message):
        model.stream(grammar=car, **options)


def log_probs_of(*choices):
    """Frames that hold these letters, each a mapping of letter to probability; the rest is blank's."""
    labels = (*" abcdefghijklmnopqrstuvwxyz", "")
    rows = []
    for choice in choices:
        for chances in (choice, {"": 1.0}):
            row = np.full(len(labels), 1e-6)
            for letter, chance in chances.items():
                row[labels.index(letter)] = chance
            rows.append(np.log(row / row.sum()))
    return labels, np.array(rows, np.float32)


def heard(grammar, *choices, **options):
    labels, rows = log_probs_of(*choices)
    decoder = Decoder(labels, options=DecoderOptions(grammar=grammar, prior_scale=0, **options))
    decoder.feed(rows)
    return decoder.finish()


LIFT = {"intents": {"Up": {"data": [{"sentences": ["(lift|lint)"]}]}, "Down": {"data": [{"sentences": ["gift"]}]}}}


def test_a_result_knows_its_rival():
    grammar = pynna.Grammar.from_dict(LIFT)
    even = heard(grammar, {"l": 0.5, "g": 0.5}, {"i": 1.0}, {"f": 1.0}, {"t": 1.0})
    assert {even.text, even.rival} == {"lift", "gift"} and even.margin == pytest.approx(0.0, abs=1e-4)
    doubtful = heard(grammar, {"l": 0.6, "g": 0.3}, {"i": 1.0}, {"f": 0.55, "n": 0.45}, {"t": 1.0})
    # "lint" is nearer, but means the same
    assert (doubtful.text, doubtful.rival) == ("lift", "gift")
    assert doubtful.margin == pytest.approx(np.log(2), abs=1e-3)
    assert [a.text for a in doubtful.alternatives] == ["lift"]  # as many as asked for
    more = heard(grammar, {"l": 0.6, "g": 0.3}, {"i": 1.0}, {"f": 0.55, "n": 0.45}, {"t": 1.0}, alternatives=3)
    assert more.confidence == doubtful.confidence and more.rival == "gift"
    told = json.loads(json.dumps(doubtful.as_dict()))
    assert told["rival"] == "gift" and told["margin"] == doubtful.margin


@pytest.mark.parametrize("share", [0.51, 0.6, 0.75, 0.9, 0.99])
def test_a_confidence_knows_its_rival(share):
    """Two sentences share what one of them alone would have; what means the same takes nothing away."""
    rows = ({"i": 1.0}, {"f": 1.0}, {"t": 1.0})
    grammar = pynna.Grammar.from_dict(LIFT)
    both = heard(grammar, {"l": share, "g": 1 - share}, *rows, alternatives=2)
    alone = heard(
        pynna.Grammar.from_dict({"intents": {"Up": LIFT["intents"]["Up"]}}), {"l": share, "g": 1 - share}, *rows
    )
    assert both.confidence == pytest.approx(share * alone.confidence, rel=0.05)
    assert [a.text for a in both.alternatives] == ["lift", "gift"]
    assert sum(a.confidence for a in both.alternatives) <= 1
    same = heard(grammar, {"l": 1.0}, {"i": 1.0}, {"f": share, "n": 1 - share}, {"t": 1.0}, alternatives=2)
    assert {a.text for a in same.alternatives} == {"lift", "lint"} and same.alternatives[
        1
    ].confidence > 1 - share - 0.05
    only = pynna.Grammar.from_dict({"intents": {"Up": {"data": [{"sentences": ["lift"]}]}}})
    assert heard(only, {"l": share, "g": 1 - share}, *rows).confidence == pytest.approx(alone.confidence, rel=0.1)


def test_a_result_without_a_rival():
    alone = heard(
        pynna.Grammar.from_sentences(["(lift|lint)"]), {"l": 1.0}, {"i": 1.0}, {"f": 0.6, "n": 0.4}, {"t": 1.0}
    )
    assert (alone.text, alone.rival, alone.margin) == ("lift", None, None)
    begun = heard(pynna.Grammar.from_dict(LIFT), {"l": 0.6, "g": 0.4}, {"i": 1.0})
    assert (begun.complete, begun.rival, begun.margin) == (False, None, None)


def test_the_rival_of_several_passes_is_what_another_took():
    grammar = pynna.Grammar.from_dict(LIFT)
    first = heard(grammar, {"l": 0.7, "g": 0.3}, {"i": 1.0}, {"f": 1.0}, {"t": 1.0})
    second = heard(grammar, {"l": 0.45, "g": 0.55}, {"i": 1.0}, {"f": 1.0}, {"t": 1.0})
    sure = heard(grammar, {"l": 1.0}, {"i": 1.0}, {"f": 1.0}, {"t": 1.0})
    voted = vote_by_meaning([first, sure, second])
    assert (voted.text, voted.rival) == ("lift", "gift") and voted.margin > 0
    assert vote_by_meaning([first]).rival == "gift"


def test_the_rival_costs_no_alternatives(model, car):
    result = model.transcribe(RECORDINGS / "lock_the_doors.flac", grammar=car)
    assert car.has_free_slots and len(result.alternatives) == 1
    assert car.parse(result.rival).intent != result.intent and result.margin > 1  # not "lock the door"
    more = model.transcribe(RECORDINGS / "lock_the_doors.flac", grammar=car, alternatives=4)
    assert (more.rival, more.margin, more.confidence) == (result.rival, result.margin, result.confidence)
