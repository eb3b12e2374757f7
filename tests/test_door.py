# SPDX-License-Identifier: Apache-2.0
"""The door to the package: what is asked for in a wrong way is told, and what came of a recording is told with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.errors import PynnaError

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RATE = 16000


@pytest.fixture
def grammar() -> pynna.Grammar:
    return pynna.Grammar.from_sentences(["lights on", "lights off"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beam": 3}, r"an option must be one of beam_width, .*, got 'beam' \(beam_width is near\)"),
        ({"colour": 3}, r"an option must be one of beam_width, .*hot_words, spelling, got 'colour'$"),
        ({"vocabulary": ["a"]}, r"vocabulary must be a pynna.Vocabulary, got \['a'\]"),
        ({"language_model": "mine.arpa"}, "language_model must be a pynna.LanguageModel, got 'mine.arpa'"),
        ({"grammar": "car"}, "grammar must be a pynna.Grammar, got 'car'"),
        ({"hot_words": ["tesla"]}, r"hot_words must map words to nats, got \['tesla'\]"),
        ({"threshold": "high"}, "threshold must be a number, got 'high'"),
        ({"prior_scale": True}, "prior_scale must be a number, got True"),
    ],
)
@pytest.mark.parametrize("method", ["stream", "listen", "transcribe", "segments"])
def test_a_wrong_option_is_told_with_the_right_ones(model, method, options, told):
    arguments = [np.zeros(RATE, np.int16)] if method in ("transcribe", "segments") else []
    for door in (model, model.group()):
        if hasattr(door, method):
            with pytest.raises(pynna.ArgumentError, match=told):
                getattr(door, method)(*arguments, **options)


def test_a_file_that_is_not_there_is_an_error_of_pynnas(tmp_path, model):
    missing = tmp_path / "none"
    for ask in (
        pynna.load,
        model.transcribe,
        model.segments,
        pynna.Grammar.from_yaml,
        pynna.Grammar.from_jsgf,
        lambda path: pynna.map_model(path, tmp_path / "out.nna"),
    ):
        with pytest.raises(PynnaError, match="none"):
            ask(missing)
    with pytest.raises(FileNotFoundError):
        pynna.load(missing)


def test_a_folder_in_a_files_place_is_an_error_of_pynnas(tmp_path, model):
    for ask in (pynna.load, model.transcribe, model.segments, pynna.Grammar.from_jsgf):
        with pytest.raises(PynnaError, match=tmp_path.name):
            ask(tmp_path)


def test_the_page_of_names_lists_what_the_package_offers():
    page = Path(__file__).parents[1] / "docs" / "names.md"
    told = re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8").split("\n| `pynna.", 2)[1], re.MULTILINE)
    assert sorted(told) == sorted(pynna.__all__)
    errors = {n: e for n, e in vars(pynna.errors).items() if isinstance(e, type) and issubclass(e, PynnaError)}
    whys = {name for name, error in errors.items() if pynna.ModelFileError in error.__bases__}
    assert errors.keys() - whys <= set(pynna.__all__)


def test_what_was_done_to_a_recording_is_told_with_its_result(model):
    tone = np.zeros(8000, np.float32)
    tone[5] = 1.5
    notes = ("1 samples beyond [-1, 1] saturated", "resampled from 8000 Hz to 16000 Hz")
    assert model.transcribe(tone, 8000).notes == notes
    assert (
        model.transcribe(
            RECORDINGS / "mute.flac" if (RECORDINGS / "mute.flac").exists() else RECORDINGS / "call_home.flac"
        ).notes
        == ()
    )
    assert model.stream().finish().notes == ()


def test_the_utterances_of_a_long_recording(model, car):
    names = ("call_home", "increase_the_volume", "navigate_home")
    quiet = np.zeros(RATE, np.int16)
    pcm = np.concatenate(
        [part for name in names for part in (quiet, pynna.audio.read(RECORDINGS / f"{name}.flac").pcm)] + [quiet]
    )
    shares: list[float] = []
    found = list(model.segments(pcm, grammar=car, progress=shares.append))
    assert [segment.text for segment in found] == [name.replace("_", " ") for name in names]
    assert all(0.5 < a.start < a.end < b.start for a, b in zip(found, found[1:], strict=False))
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert found[0].result.intent == "Call"


def test_progress_does_not_change_the_text(model):
    shares: list[float] = []
    path = RECORDINGS / "set_the_temperature_to_twenty_one_degrees.flac"
    assert model.transcribe(path, progress=shares.append).as_dict() == model.transcribe(path).as_dict()
    assert shares == [1.0]


@pytest.mark.parametrize("group", [False, True])
def test_a_stream_that_is_reset_is_a_new_one(model, car, group):
    pcm = pynna.audio.read(RECORDINGS / "call_home.flac").pcm
    want = model.transcribe(pcm, grammar=car).as_dict()
    stream = (model.group() if group else model).stream(grammar=car)
    for before in (pcm[:5000], pcm):
        stream.feed(before)
        stream.reset()
        assert (stream.duration, stream.finished, stream.partial().text) == (0.0, False, "")
        stream.feed(pcm)
        assert stream.finish().as_dict() == want
        stream.reset()


def test_a_listener_that_is_reset_is_a_new_one(model, car):
    pcm = np.concatenate([pynna.audio.read(RECORDINGS / "call_home.flac").pcm, np.zeros(RATE, np.int16)])
    want = [event.as_dict() for event in model.listen(grammar=car).listen([pcm])]
    listener = model.listen(grammar=car)
    listener.feed(pcm[:9000])
    listener.reset()
    assert [event.as_dict() for event in listener.listen([pcm])] == want


def test_an_asynchronous_source_gives_the_same_events(model, car):
    pcm = np.concatenate([pynna.audio.read(RECORDINGS / "call_home.flac").pcm, np.zeros(RATE, np.int16)])
    chunks = [pcm[at : at + 4000] for at in range(0, len(pcm), 4000)]

    async def microphone() -> AsyncIterator[np.ndarray]:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    async def events() -> list[dict]:
        return [event.as_dict() async for event in model.listen(grammar=car).listen_async(microphone())]

    assert asyncio.run(events()) == [event.as_dict() for event in model.listen(grammar=car).listen(chunks)]


def test_a_full_group_has_an_error_of_its_own(model):
    group = model.group()
    streams = [group.stream(beam_width=0) for _ in range(16)]
    with pytest.raises(pynna.CapacityError, match="full with 16 streams"):
        group.stream()
    streams[0].finish()
    group.stream()
    with pytest.raises(pynna.CapacityError):
        streams[0].reset()


def test_one_text_is_not_taken_for_its_letters(grammar):
    for ask in (pynna.Grammar.from_sentences, grammar.with_wake_words, pynna.Vocabulary):
        for wrong in ("computer", b"computer", {"computer": ["on"]}, None, 5):
            with pytest.raises(pynna.ArgumentError, match=r"must be a list of texts, got "):
                ask(wrong)
        with pytest.raises(pynna.ArgumentError, match=r"must be texts, got 5 among them"):
            ask(["computer", 5])
        assert ask(iter(["computer", "lights"])) is not None


def test_one_path_is_not_taken_for_its_letters(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "." is a letter of "a.flac", and a folder
    (tmp_path / "a.flac").write_bytes((RECORDINGS / "call_home.flac").read_bytes())
    (tmp_path / "other.flac").write_bytes((RECORDINGS / "call_home.flac").read_bytes())
    for path in ("a.flac", tmp_path / "a.flac"):
        assert [found.path for found in pynna.transcribe_files(path, model)] == [str(path)]


def test_what_is_no_model_rules_path_or_sentence_is_told(model, grammar):
    for ask, told in (
        (lambda: list(pynna.transcribe_files([], "pynna-en-car")), "model must be a pynna.Model, got 'pynna-en-car'"),
        (lambda: model.listen(5), "rules must be a pynna.EndpointRules, got 5"),
        (lambda: model.group().listen(5), "rules must be a pynna.EndpointRules, got 5"),
        (
            lambda: list(pynna.transcribe_files([], model, reading={"rate": 1})),
            "reading must hold .* alone, got 'rate'",
        ),
        (lambda: setattr(model.stream(), "hot_words", ["a"]), r"hot_words must map words to nats, got \['a'\]"),
        (lambda: setattr(model.listen(), "hot_words", ["a"]), r"hot_words must map words to nats, got \['a'\]"),
        (lambda: pynna.Grammar.from_yaml(5), "a sentence file must be a path or an open file, got 5"),
        (lambda: pynna.Grammar.from_jsgf(None), "a sentence file must be a path or an open file, got None"),
        (lambda: pynna.load(5), "path must be a path, got 5"),
        (lambda: grammar.parse(None), "a sentence must be a text, got None"),
    ):
        with pytest.raises(pynna.ArgumentError, match=told):
            ask()


def test_all_names_are_listed_and_none_besides():
    assert {*pynna.__all__, "audio"} <= set(dir(pynna))
    assert not {"Any", "TYPE_CHECKING", "importlib"} & set(dir(pynna))


def test_what_is_no_audio_file_is_told(tmp_path):
    (tmp_path / "a.wav").write_text("text")
    with (tmp_path / "a.wav").open() as text:
        for wrong in (None, 5, text):
            with pytest.raises(pynna.AudioError, match="audio must be a path or a binary file, got"):
                pynna.audio.read(wrong)
