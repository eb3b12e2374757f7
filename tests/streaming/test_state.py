# SPDX-License-Identifier: Apache-2.0
"""Streams and listeners saved at any sample and taken up by another process: the same events, texts and times."""

from __future__ import annotations

import json
import multiprocessing
import random
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nna_models import load_random

import pynna
from pynna.audio.files import read
from pynna.errors import FinishedError, PynnaError, StateError
from pynna.streaming import stream as stream_module
from pynna.streaming.state import SavedState

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RULES = pynna.EndpointRules(trailing_silence_complete=0.2, trailing_silence=0.6, start_timeout=1.0)
KINDS: dict[str, dict[str, Any]] = {
    "greedy": {"beam_width": 0},
    "beam search, no words": {"language_model": None},
    "the model's words": {},
    "hot words": {"hot_words": {"volume": 5.0, "home": -2.0}, "language_model": None},
    "alternatives": {"alternatives": 3, "beam_width": 16},
    "grammar": {"grammar": "car"},
    "grammar in doubt": {"grammar": "car", "passes": 3, "alternatives": 2},
    "grammar with a free slot": {"grammar": "free"},
    "grammar and hot words": {"grammar": "car", "hot_words": {"music": 5.0, "home": -2.0}, "alternatives": 2},
}


def options_of(kind: str) -> dict[str, Any]:
    options = dict(KINDS[kind])
    grammars = {"car": lambda: pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR), "free": free_slot}
    if name := options.get("grammar"):
        options["grammar"] = grammars[name]()
    return options


def free_slot() -> pynna.Grammar:
    return pynna.Grammar.from_dict(
        {
            "intents": {"Play": {"data": [{"sentences": ["play {what}", "navigate [to] {what}"]}]}},
            "lists": {"what": {"wildcard": True}},
        }
    )


def recording() -> np.ndarray:
    """Two commands in noise, silences between them."""
    rng = np.random.default_rng(3)
    clips = [read(RECORDINGS / f"{name}.flac").pcm for name in ("navigate_home", "play_some_music")]
    quiet = np.zeros(14000, np.int16)
    pcm = np.concatenate([quiet, clips[0], quiet, clips[1], quiet]).astype(np.float64)
    return (pcm + rng.normal(0.0, 250.0, len(pcm))).clip(-32768, 32767).astype(np.int16)


PCM = recording()


def told(event: Any) -> str:
    return json.dumps(event.as_dict(), default=str)


def whole(result: Any) -> str:
    exact = [(word.text, word.start, word.end, word.confidence) for word in result.words]
    return json.dumps([result.as_dict(), exact, result.confidence, [a.text for a in result.alternatives]], default=str)


# ---- another process -------------------------------------------------------------------------------------------------


def another_process(pipe: Connection) -> None:
    """Takes up what it is sent, and tells what came of the rest."""
    model = pynna.load()
    known: dict[str, dict[str, Any]] = {}
    while (job := pipe.recv()) is not None:
        what, kind, data, chunks = job
        options = known.setdefault(kind, options_of(kind))
        if what == "listener":
            listener = model.restore_listener(data, **options)
            pipe.send([told(event) for event in listener.listen(chunks)])
            continue
        stream = model.restore_stream(data, **options)
        for chunk in chunks:
            stream.feed(chunk)
        pipe.send(whole(stream.finish()))


@pytest.fixture(scope="module")
def other():
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=another_process, args=(theirs,), daemon=True)
    process.start()
    yield ours
    ours.send(None)
    process.join(10)


UNDISTURBED: dict[tuple[str, str], Any] = {}


def undisturbed(model: pynna.Model, what: str, kind: str) -> Any:
    if (what, kind) not in UNDISTURBED:
        if what == "listener":
            UNDISTURBED[what, kind] = [told(e) for e in model.listen(RULES, **options_of(kind)).listen(steps(PCM))]
        else:
            stream = model.stream(**options_of(kind))
            stream.feed(PCM)
            UNDISTURBED[what, kind] = whole(stream.finish())
    return UNDISTURBED[what, kind]


def steps(pcm: np.ndarray, size: int = 320) -> list[np.ndarray]:
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def cut(pcm: np.ndarray, start: int, end: int) -> list[np.ndarray]:
    """The samples from `start` to `end` in the steps of the whole, the first and the last of which may be parts.

    Partial results depend on when they are asked for."""
    inner = range((start // 320 + 1) * 320, end, 320)
    places = [start, *inner, end]
    return [pcm[a:b] for a, b in zip(places, places[1:], strict=False) if a < b]


@pytest.mark.parametrize("kind", KINDS)
def test_a_listener_goes_on_in_another_process(model: pynna.Model, other: Connection, kind: str) -> None:
    """Saved at samples drawn at random, within steps and within words, twice in a row."""
    rng = random.Random(kind)
    expected = undisturbed(model, "listener", kind)
    assert sum('"final"' in event for event in expected) >= 1
    options = options_of(kind)
    at, then = sorted(rng.sample(range(len(PCM)), 2))
    listener = model.listen(RULES, **options)
    events = [told(event) for chunk in cut(PCM, 0, at) for event in listener.feed(chunk)]
    listener = model.restore_listener(listener.save(), **options)
    events += [told(event) for chunk in cut(PCM, at, then) for event in listener.feed(chunk)]
    other.send(("listener", kind, listener.save(), cut(PCM, then, len(PCM))))
    assert other.poll(120)
    assert events + other.recv() == expected, f"saved at samples {at} and {then}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_goes_on_in_another_process(model: pynna.Model, other: Connection, kind: str) -> None:
    rng = random.Random(kind)
    options = options_of(kind)
    at = rng.randrange(len(PCM))
    stream = model.stream(**options)
    for chunk in steps(PCM[:at], rng.randrange(1, 5000)):
        stream.feed(chunk)
    other.send(("stream", kind, stream.save(), steps(PCM[at:], rng.randrange(1, 5000))))
    assert other.poll(120)
    assert other.recv() == undisturbed(model, "stream", kind), f"saved at sample {at}"


def test_the_state_of_what_was_taken_up_is_the_state_that_was_saved(model: pynna.Model) -> None:
    options = options_of("grammar in doubt")
    listener, stream = model.listen(RULES, **options), model.stream(**options)
    for chunk in steps(PCM[:40000], 1111):
        listener.feed(chunk)
        stream.feed(chunk)
        assert model.restore_listener(data := listener.save(), **options).save() == data
        assert model.restore_stream(data := stream.save(), **options).save() == data


def test_hot_words_that_change_while_somebody_speaks(model: pynna.Model) -> None:
    def heard(save_at: int) -> tuple[list[str], str]:
        listener, stream = model.listen(RULES, hot_words={"home": 3.0}), model.stream()
        events = []
        for i, chunk in enumerate(steps(PCM)):
            if i in (50, 80, 100):
                listener.hot_words = stream.hot_words = {"music": 0.1 * i}
            if i == save_at:
                listener, stream = model.restore_listener(listener.save()), model.restore_stream(stream.save())
            events += [told(event) for event in listener.feed(chunk)]
            stream.feed(chunk)
        return [*events, *map(told, listener.finish())], whole(stream.finish())

    plain = heard(-1)
    for at in (10, 81):
        assert heard(at) == plain


def test_groups_save_and_take_up_what_waits(model: pynna.Model, car: pynna.Grammar) -> None:
    """A machine is emptied in the middle of everything: sixteen listeners go to another group, audio that waits too."""
    expected = undisturbed(model, "listener", "grammar")
    finals = [event for event in expected if '"final"' in event]
    with pynna.RescoringWorker() as worker:
        old, new = model.group(), model.group()
        listeners = [old.listen(RULES, grammar=car) for _ in range(16)]
        events: list[list[str]] = [[] for _ in listeners]
        for i, listener in enumerate(listeners):
            listener.take(PCM[: 30000 + 777 * i])
        for _ in range(70 + 5):
            old.step()
        states = []
        for i, listener in enumerate(listeners):
            events[i] += map(told, listener.poll())
            assert listener.n_pending == 0
            states.append(listener.save())
            old.remove(listener)
        taken = [new.restore_listener(state, worker, grammar=car) for state in states]
        assert len(new) == 16 and len(old) == 0
        for i, listener in enumerate(taken):
            assert listener.lag > 0
            listener.take(PCM[30000 + 777 * i :])
        new.run()
        for i, listener in enumerate(taken):
            events[i] += map(told, listener.finish())
            assert [event for event in events[i] if '"final"' in event] == finals
        with pytest.raises(pynna.StateError):
            for _ in range(17):
                new.restore_stream(model.stream().save())


def test_what_is_being_rescored_stays_with_the_old_one(model: pynna.Model, car: pynna.Grammar) -> None:
    options: dict[str, Any] = {"grammar": car, "passes": 7}
    expected = [event for event in undisturbed(model, "listener", "grammar") if '"final"' in event]
    with pynna.RescoringWorker() as worker:
        old = model.listen(RULES, worker, **options)
        events = []
        for at, chunk in enumerate(steps(PCM)):
            events += map(told, old.feed(chunk))
            if at > 100 and (old.n_pending or any('"final"' in event for event in events)):
                break
        new = model.restore_listener(old.save(), worker, **options)
        while old.n_pending:
            events += map(told, old.poll())
        for chunk in steps(PCM[320 * (at + 1) :]):
            events += map(told, new.feed(chunk))
        events += map(told, new.finish())
    assert [event for event in events if '"final"' in event] == expected


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_other_models_options_grammars_versions_kinds(model: pynna.Model, car: pynna.Grammar, tmp_path: Path) -> None:
    stream = model.stream(grammar=car)
    stream.feed(PCM[:20000])
    data = stream.save()
    other = pynna.Grammar.from_sentences(["open the window"])
    renamed = pynna.Grammar.from_dict({"intents": {"A": {"data": [{"sentences": ["go"]}]}}})
    same_sentences = pynna.Grammar.from_dict({"intents": {"B": {"data": [{"sentences": ["go"]}]}}})
    refused: list[tuple[str, Any]] = [
        ("grammar must be", lambda: model.restore_stream(data, grammar=other)),
        ("grammar must be", lambda: model.restore_stream(data)),
        ("threshold must be 0.15, got 0.5", lambda: model.restore_stream(data, grammar=car, threshold=0.5)),
        ("of a listener, got one of a stream", lambda: model.restore_listener(data, grammar=car)),
        ("of the model", lambda: load_random(tmp_path, 48).restore_stream(data, grammar=car)),
        ("version 1, got 2", lambda: model.restore_stream(data[:8] + b"\2" + data[9:], grammar=car)),
        ("cut short or damaged", lambda: model.restore_stream(data[:-1], grammar=car)),
        ("cut short or damaged", lambda: model.restore_stream(data + b"\0", grammar=car)),
        ("must begin with", lambda: model.restore_stream(b"")),
        ("must begin with", lambda: model.restore_stream(b"RIFF" + bytes(100))),
        ("grammar must be", lambda: model.restore_stream(model.stream(grammar=renamed).save(), grammar=same_sentences)),
        ("language_model", lambda: model.restore_stream(model.stream().save(), language_model=None)),
    ]
    for message, restore in refused:
        with pytest.raises(StateError, match=message):
            restore()
    with pytest.raises(pynna.ArgumentError, match="must be bytes, got str"):
        model.restore_stream("x")  # type: ignore[arg-type]
    assert model.restore_stream(data, grammar=pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)).duration == 1.25


def test_what_is_finished_or_too_long_is_not_saved(model: pynna.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, listener = model.stream(), model.listen()
    stream.finish()
    listener.finish()
    for each in (stream, listener):
        with pytest.raises(FinishedError):
            each.save()
    monkeypatch.setattr(stream_module, "SAVED_SECONDS", 1.0)
    stream.reset()
    stream.feed(PCM[:16000])
    stream.save()
    stream.feed(PCM[:16000])
    with pytest.raises(StateError, match="1 s at most to be saved, got 2 s"):
        stream.save()
    assert stream.finish() is not None


def test_a_stream_that_is_too_long_keeps_no_changes_of_hot_words(
    model: pynna.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "SAVED_SECONDS", 1.0)
    stream = model.stream()
    kept = []
    for i in range(4):
        stream.feed(PCM[:12000])
        stream.hot_words = {"volume": 1.0 + i}
        kept.append(len(stream.decoder.hot_word_changes))
    assert kept == [1, 0, 0, 0] and stream.hot_words == {"volume": 4.0}


def test_another_grammar_in_the_middle_of_an_utterance_has_to_wait(model: pynna.Model, car: pynna.Grammar) -> None:
    listener = model.listen(RULES, grammar=car)
    chunks = iter(steps(PCM))
    while not any(isinstance(event, pynna.events.SpeechStart) for event in listener.feed(next(chunks))):
        pass
    listener.options = replace(listener.options, grammar=free_slot())
    with pytest.raises(StateError, match="options, and has those of before"):
        listener.save()
    while not any(isinstance(event, pynna.events.Final) for event in listener.feed(next(chunks))):
        pass
    assert model.restore_listener(listener.save(), **options_of("grammar with a free slot")).lag >= 0


# ---- what is damaged, or hostile -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(model: pynna.Model, car: pynna.Grammar) -> dict[str, bytes]:
    stream, listener = model.stream(grammar=car, passes=1), model.listen(RULES, grammar=car, passes=1)
    stream.feed(PCM[:3000])
    chunks = iter(steps(PCM))
    while not listener.speaking:
        listener.feed(next(chunks))
    for _ in range(5):
        listener.feed(next(chunks))
    assert listener._decoder is not None  # in the middle of an utterance
    return {"stream": stream.save(), "listener": listener.save()}


def restore(model: pynna.Model, car: pynna.Grammar, kind: str, data: bytes) -> None:
    if kind == "stream":
        stream = model.restore_stream(data, grammar=car, passes=1)
        stream.feed(PCM[:2000])
        stream.finish()
    else:
        listener = model.restore_listener(data, grammar=car, passes=1)
        listener.feed(PCM[:2000])
        listener.finish()


@pytest.mark.parametrize("kind", ["stream", "listener"])
def test_each_flipped_byte_is_seen(model: pynna.Model, car: pynna.Grammar, small: dict[str, bytes], kind: str) -> None:
    data = small[kind]
    places = {*range(min(len(data), 700)), *random.Random(1).sample(range(len(data)), 300), len(data) - 1}
    for at in sorted(places):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(StateError):
            SavedState.from_bytes(damaged, kind)
        if at % 97 == 0:
            with pytest.raises(StateError):
                restore(model, car, kind, bytes(damaged))
    for n in range(0, len(data), 997):
        with pytest.raises(StateError):
            SavedState.from_bytes(data[:n], kind)


STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    7,
    1 << 40,
    1 << 70,
    1.5,
    float("nan"),
    float("inf"),
    "x",
    [],
    [1],
    [[]],
    {},
]


@given(seed=st.integers(0, 1 << 30))
def test_a_state_that_was_made_up_is_refused_or_goes_on(
    model: pynna.Model, car: pynna.Grammar, small: dict[str, bytes], seed: int
) -> None:
    """Values and arrays are changed and the checksum made anew: an error of pynna's, or a stream that can be fed."""
    rng = random.Random(seed)
    kind = rng.choice(["stream", "listener"])
    state = SavedState.from_bytes(small[kind], kind)
    values = dict(state.values)
    if isinstance(values.get("endpointer"), dict):
        values["endpointer"] = dict(values["endpointer"])
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    for _ in range(rng.randrange(1, 4)):
        if rng.random() < 0.5:
            within = values["endpointer"] if "endpointer" in values and rng.random() < 0.5 else values
            if isinstance(within, dict):
                within[rng.choice(sorted(within))] = rng.choice(STRANGE)
        else:
            name = rng.choice(sorted(arrays))
            flat = arrays[name].reshape(-1)
            if rng.random() < 0.3:
                arrays[name] = arrays[name][: rng.randrange(len(arrays[name]) + 1)]
            elif len(flat):
                at = rng.randrange(min(len(flat), rng.choice([64, 1 << 20])))
                strange = [0, -1, 1, 127, rng.randrange(-128, 128)]
                if flat.dtype.kind == "f":
                    strange += [np.nan, np.inf, -np.inf, 1e30]
                flat[at] = np.array(rng.choice(strange)).astype(flat.dtype)
    try:
        restore(model, car, kind, SavedState(values, arrays).to_bytes())
    except PynnaError as error:
        assert str(error)
