# SPDX-License-Identifier: Apache-2.0
"""Listening to an endless stream: where utterances begin and end, what is heard, and that nothing piles up."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna.errors import ArgumentError, StateError
from pynna.events import Final, Partial, SpeechStart, Timeout
from pynna.streaming.endpointer import Endpointer, EndpointRules

RECORDINGS = Path(pynna.__file__).parent / "recordings"
NAMES = ("call_home", "check_battery_levels", "open_the_window", "play_some_music", "what_time_is_it", "lock_the_doors")


def pcm(name):
    return pynna.audio.load_audio(RECORDINGS / f"{name}.flac", sample_rate=16000).pcm


def room(names, gap, level, seed=1):
    """Recordings with silence before, between and after, in a quiet room."""
    silence = np.zeros(int(gap * 16000), np.int16)
    parts = [silence]
    for name in names:
        parts += [pcm(name), silence]
    audio = np.concatenate([*parts, np.zeros(16000, np.int16)])
    return (audio + np.random.default_rng(seed).normal(0, level, len(audio)).round()).astype(np.int16)


def listen(listener, audio, chunk=640):
    return list(listener.listen(audio[i : i + chunk] for i in range(0, len(audio), chunk)))


def finals(events):
    return [event for event in events if isinstance(event, Final)]


@pytest.mark.parametrize(("gap", "level"), [(0.7, 0), (0.73, 20), (2.0, 60), (9.0, 5)])
@pytest.mark.parametrize("with_grammar", [False, True])
def test_every_utterance_comes_out_as_it_does_alone(model, gap, level, with_grammar):
    options = {"grammar": pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)} if with_grammar else {}
    events = listen(model.listen(**options), room(NAMES, gap, level))
    heard = [str(event.result) for event in finals(events)]
    alone = [model.transcribe(pcm(name), **options).text for name in NAMES]
    if with_grammar:
        assert heard == alone
    else:  # what was before, and the room, may cost a letter
        assert all(SequenceMatcher(None, *texts).ratio() > 0.85 for texts in zip(heard, alone, strict=True))
    at = gap
    for event, name in zip(finals(events), NAMES, strict=True):
        length = len(pcm(name)) / 16000
        assert at - 0.3 < event.start < event.end < at + length + 0.3
        assert event.time - event.end < (0.4 if with_grammar else 0.7) + 0.02 + 1e-6
        words = event.result.words
        assert event.start - 0.02 <= words[0].start and words[-1].end <= event.time
        at += length + gap


def test_events_come_in_order_and_speak_json(model):
    car = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
    events = listen(model.listen(grammar=car), room(NAMES[:2], 1.0, 5))
    kinds = [type(event) for event in events]
    first = kinds.index(Final)
    assert kinds[0] is SpeechStart and Partial in kinds[1:first] and kinds[first + 1] is SpeechStart
    assert [event.time for event in events[1:first]] == sorted(event.time for event in events[1:first])
    told = json.loads(json.dumps(events[first].as_dict()))
    assert (told["event"], told["intent"], told["accepted"]) == ("final", "Call", True)
    assert told["slots"] == {"contact": "home"}
    assert json.loads(json.dumps([e.as_dict() for e in events]))[0]["event"] == "start"


def test_an_utterance_starts_with_its_words_not_with_a_noise_before_them(model):
    rules = EndpointRules(speech_threshold=1e-6, trailing_silence=3.0)  # all is taken for letters
    begun, *_, said = listen(model.listen(rules), room(["navigate_home"], 2.0, 5))
    assert 1.0 < begun.time <= said.result.words[0].start  # but the network tells that nobody speaks
    assert str(said.result) == "navigate home"
    assert 1.4 < said.start == pytest.approx(said.result.words[0].start - rules.pre_roll)


def test_a_whole_sentence_ends_sooner(model):
    audio = room(["call_home"], 1.0, 5)
    rules = EndpointRules(trailing_silence=1.2, trailing_silence_complete=0.3)
    (free,) = finals(listen(model.listen(rules), audio))
    (whole,) = finals(listen(model.listen(rules, grammar=pynna.Grammar.from_sentences(["call home"])), audio))
    (longer,) = finals(listen(model.listen(rules, grammar=pynna.Grammar.from_sentences(["call home now"])), audio))
    assert whole.time - whole.end == pytest.approx(0.3, abs=0.05)
    assert free.time - free.end >= 1.2 - 0.02 <= longer.time - longer.end
    assert not longer.result.accepted  # an utterance that is not understood is told, too


@settings(max_examples=8, deadline=None)
@given(st.integers(100, 5000))
def test_chunks_of_any_size_give_the_same_utterances(model, chunk):
    audio = room(NAMES[:2], 0.8, 10)
    whole = [event.as_dict() for event in finals(listen(model.listen(), audio, len(audio)))]
    pieces = [event.as_dict() for event in finals(listen(model.listen(), audio, chunk))]
    assert [(p["text"], p["start"], p["end"], p["words"]) for p in pieces] == [
        (w["text"], w["start"], w["end"], w["words"]) for w in whole
    ]


def test_groups_listen_too(model):
    group = model.group()
    listeners = [group.listen() for _ in range(16)]
    with pytest.raises(StateError):
        group.listen()
    audio = [room([NAMES[i % 6]], 0.5 + 0.03 * i, 5) for i in range(16)]
    heard = [[] for _ in listeners]
    for start in range(0, max(map(len, audio)), 1600):
        for listener, samples, events in zip(listeners, audio, heard, strict=True):
            events += listener.feed(samples[start : start + 1600])
        group.run()
    for listener, events in zip(listeners, heard, strict=True):
        events += listener.poll()
        events += listener.finish()
    assert [[str(e.result) for e in finals(events)] for events in heard] == [
        [str(e.result) for e in finals(listen(model.listen(), alone, 1600))] for alone in audio
    ]
    assert all(len(finals(events)) == 1 for events in heard)
    assert len(group) == 0


def test_silence_before_and_at_most(model):
    rules = EndpointRules(start_timeout=0.5)
    events = listen(model.listen(rules), np.zeros(32000, np.int16))
    assert [type(event) for event in events] == [Timeout] * 3 or [type(event) for event in events] == [Timeout] * 4
    rules = EndpointRules(max_utterance=0.8, pre_roll=0.2)
    short = finals(listen(model.listen(rules, language_model=None), room(["check_battery_levels"], 0.5, 5)))
    assert len(short) == 2 and str(short[1].result).split()[-1] == "levels"  # speech cut off is heard to its end
    assert all(event.time - event.start <= 0.8 + 0.021 for event in short)


def test_the_networks_state_is_carried_through_speech_cut_off_but_not_for_ever(model):
    listener = model.listen(EndpointRules(max_utterance=2.0, pre_roll=0.2))
    resets, reset = [], listener.channel.reset_state
    listener.channel.reset_state = lambda: (resets.append(listener._endpointer.frame * 0.02), reset())
    speech = np.concatenate([pcm(name)[4000:-8000] for name in NAMES[1:]] * 42)  # nobody takes a breath, for 134 s
    assert len(finals(listen(listener, speech))) > 60
    assert resets == [pytest.approx(61, abs=2), pytest.approx(122, abs=4)]


def test_an_utterance_under_way_ends_with_the_stream(model):
    (event,) = finals(listen(model.listen(), pcm("open_the_window")))
    assert str(event.result) == "open the window"


def test_hours_of_sound_take_no_more_memory(model):
    listener = model.listen(EndpointRules(start_timeout=60.0))
    rng = np.random.default_rng(3)
    speech = room(NAMES[:2], 0.9, 10)
    quiet = rng.normal(0, 5, 16000 * 20).round().astype(np.int16)
    n_finals, sizes = 0, []
    for _ in range(30):  # ten minutes of it
        n_finals += len(finals(listener.feed(speech)))
        listener.feed(quiet)
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert n_finals >= 59
    assert sizes[-1] - sizes[4] < 4000  # KiB


letters = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(letters, st.floats(0.1, 1.5), st.floats(0.1, 3.0))
def test_rules_hold_for_any_speech(runs, trailing_silence, at_most_more):
    rules = EndpointRules(
        trailing_silence=trailing_silence, trailing_silence_complete=trailing_silence, max_utterance=0.5 + at_most_more
    )
    point, frame, begun, ended = Endpointer(rules, 0.02), 0, None, 0
    for length, spoken in runs:
        for _ in range(length):
            happened = point.process(0.9 if spoken else 0.1, 100.0)
            if happened == "start":
                assert spoken and begun is None
                begun = point.start
                assert 0 <= frame - begun <= 20 and begun >= ended  # no two utterances have a frame in common
            elif happened in ("end", "cut"):
                silent = frame - point.last
                most = round((0.5 + at_most_more) / 0.02) - 1
                assert silent >= round(trailing_silence / 0.02) - 1 if happened == "end" else frame - begun >= most
                begun, ended = None, frame + 1
            elif begun is not None:
                assert frame - point.last <= round(trailing_silence / 0.02) + 1
            frame += 1


@pytest.mark.parametrize(("after", "ends"), [(3.0, False), (300.0, False), (1e5, True)])
def test_a_letter_in_silence_does_not_go_on_with_an_utterance(after, ends):
    point = Endpointer(EndpointRules(trailing_silence=0.5), 0.02)
    happened = [point.process(0.9, 1e6) for _ in range(20)]  # 0.4 s of speech, then only false letters, all 0.3 s
    happened += [point.process(0.9 if i % 15 == 14 else 0.0, 1e6 / after) for i in range(60)]
    assert happened[0] == "start" and ("end" in happened) == ends


def test_a_clatter_begins_no_utterance_where_speech_is_improbable():
    clatter = [(0.9 if i % 9 == 0 else 0.0, 1e6, 0.1) for i in range(200)]  # letters, loud, no speech
    speech = [(0.9 if i % 6 == 3 else 0.0, 1e5, 0.95) for i in range(60)]
    point, happened = Endpointer(EndpointRules(), 0.02), {}
    for frame, (letter, power, probability) in enumerate([*clatter, *speech, *clatter]):
        if told := point.process(letter, power, False, probability):
            happened[told] = frame
    assert list(happened) == ["start", "end"]
    assert 200 <= happened["start"] <= 203 + 25  # half a second after the first letter at the latest
    assert point.start == 203 - point.frames(point.rules.pre_roll)
    assert happened["end"] <= 260 + 35 + 12 + 9  # the silence after, however loud and whatever its letters are


def test_speech_that_goes_on_without_letters_delays_an_end():
    def end(probability):
        point = Endpointer(EndpointRules(trailing_silence=0.5), 0.02)
        told = [point.process(0.9 if i < 20 else 0.0, 1e5, False, 1.0 if i < 20 else probability) for i in range(90)]
        return told.index("end")

    assert end(0.0) < 20 + 26 < end(1.0) <= 20 + 51


@pytest.mark.parametrize(
    "wrong",
    [
        {"trailing_silence": 0},
        {"trailing_silence": "1"},
        {"speech_threshold": 1.0},
        {"pre_roll": 30.0},
        {"max_utterance": float("inf")},
        {"start_timeout": -1.0},
        {"speech_threshold": float("nan")},
    ],
)
def test_wrong_rules_are_told(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        EndpointRules(**wrong)


def test_grammar_and_hot_words_change_between_utterances(model):
    said = room(["call_home"], 0.7, 5)

    def grammar(*contacts):
        return pynna.Grammar.from_dict(
            {"intents": {"Call": {"sentences": ["call {contact}"]}}, "lists": {"contact": list(contacts)}}
        )

    listener = model.listen(grammar=grammar("home", "robert"))
    heard = [finals(listen_on(listener, said))[0].result]
    listener.options = replace(listener.options, grammar=grammar("work", "robert"))
    heard.append(finals(listen_on(listener, said))[0].result)
    assert [(r.slots, r.accepted) for r in heard[:1]] == [({"contact": "home"}, True)]
    assert heard[1].slots != {"contact": "home"}

    listener = model.listen()
    assert finals(listen_on(listener, said))[0].result.text.endswith(" home")
    listener.hot_words = {"homer": 40}
    assert finals(listen_on(listener, said))[0].result.text.endswith(" homer")
    with pytest.raises(ArgumentError, match="東"):
        listener.hot_words = {"東": 1}
    assert dict(listener.hot_words) == {"homer": 40}


def listen_on(listener, audio):
    return [event for i in range(0, len(audio), 640) for event in listener.feed(audio[i : i + 640])]


def test_options_that_do_not_fit_are_told_at_once(model):
    foreign = pynna.Grammar.from_sentences(["go to 東京"])
    with pytest.raises(pynna.GrammarError, match="東"):
        model.listen(grammar=foreign)
    listener = model.listen()
    with pytest.raises(pynna.GrammarError, match="東"):
        listener.options = replace(listener.options, grammar=foreign)
    assert listener.options.grammar is None


def test_buffers_hold_a_fraction_of_a_second(model):
    listener = model.listen(EndpointRules(max_utterance=2.0, pre_roll=0.2))
    speech, rng = room(NAMES[:3], 0.5, 10), np.random.default_rng(0)
    for sound in [speech, rng.normal(0, 2000, 60000).astype(np.int16)] * 5:
        for at in range(0, len(sound), 777):
            listener.feed(sound[at : at + 777])
            assert len(listener._recent) <= 36 and len(listener._left) < 320
            assert len(listener._powers) <= 20  # the network's look-ahead
            assert not listener._events and not listener.channel.n_waiting
            assert not listener._collector.take()
            if listener._decoder is not None:  # 2 s: 100 frames, a label each at most
                assert len(listener._decoder.result().text) <= 110
