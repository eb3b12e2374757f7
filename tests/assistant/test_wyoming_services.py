# SPDX-License-Identifier: Apache-2.0
"""Wyoming's intent and wake services, ends that the server hears itself, chunks of any form, standard input."""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.wyoming_client import connected
from wyoming.asr import Transcribe, Transcript, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, read_event, write_event
from wyoming.info import Describe, Info
from wyoming.intent import Intent, IntentsStart, IntentsStop, NotRecognized, Recognize
from wyoming.wake import Detect, Detection, NotDetected

import pynna
from pynna.assistant import run
from pynna.assistant.wyoming import NAME_BOOST, TERM_BOOST, Handler, Programs
from pynna.assistant.wyoming_intents import understood
from pynna.audio.files import read

HOME = {
    "intents": {
        "TurnOn": {"sentences": ["turn on [the] {name}"], "response": "{name} is on"},
        "Louder": {"sentences": ["increase the volume"]},
        "Dim": {"sentences": ["dim [the] lights"], "requires_context": {"area": {"slot": True}}},
    },
    "lists": {"name": {"values": ["lamp", "salt and pepper grinder", "fan"]}},
}


def programs(**grammars: pynna.Grammar) -> contextlib.AbstractAsyncContextManager[AsyncTcpClient]:
    """A server of these sentence files, and a client of it."""
    model = pynna.load()
    return connected(model=model, programs=Programs(model, grammars, wake_words=("call home", "navigate home")))


async def answer(client: AsyncTcpClient, *kinds: str) -> Event:
    """The next event, of these kinds if any are told."""
    while True:
        event = await asyncio.wait_for(client.read_event(), 30)
        assert event is not None
        if not kinds or event.type in kinds:
            return event


async def send(client: AsyncTcpClient, pcm: np.ndarray, size: int = 3200, stop: bool = True) -> None:
    data = pcm.astype("<i2").tobytes()
    await client.write_event(AudioStart(rate=16000, width=2, channels=1).event())
    for at in range(0, len(data), size):
        await client.write_event(AudioChunk(rate=16000, width=2, channels=1, audio=data[at : at + size]).event())
    if stop:
        await client.write_event(AudioStop().event())


def recording(name: str) -> np.ndarray:
    return next(read(path).pcm for path in run.demo_recordings() if name in str(path))


def test_info_tells_all_services_and_that_ends_are_heard_here():
    async def scenario():
        car = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
        async with programs(home=pynna.Grammar.from_dict(HOME), car=car) as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await answer(client))
            assert [program.name for program in info.intent] == ["home", "car"]
            assert [model.name for model in info.wake[0].models] == ["call home", "navigate home"]
            assert not info.asr[0].requires_external_vad and not info.asr[0].prefers_noise_reduction_enabled

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "context", "intents"),
    [
        ("turn on the lamp", None, [("TurnOn", {"name": "lamp"})]),
        ("Turn on lamp and increase the volume!", None, [("TurnOn", {"name": "lamp"}), ("Louder", {})]),
        ("turn on the salt and pepper grinder", None, [("TurnOn", {"name": "salt and pepper grinder"})]),
        ("turn on fan, turn on lamp and then increase the volume", None,
         [("TurnOn", {"name": "fan"}), ("TurnOn", {"name": "lamp"}), ("Louder", {})]),
        ("dim the lights", {"area": "kitchen"}, [("Dim", {"area": "kitchen"})]),
        ("dim the lights", None, []),
        ("turn on the oven", None, []),
        ("turn on the lamp and sing", None, []),
        ("", None, []),
        ("and " * 2000, None, []),
    ],
)  # fmt: skip
def test_sentences_are_understood_one_or_several(text, context, intents):
    found = understood(pynna.Grammar.from_dict(HOME), text, context)
    assert [(match.intent, match.slots) for match in found] == intents


@pytest.mark.parametrize("kind", ["recognize", "transcript"])
def test_the_intent_service_answers(kind):
    async def scenario():
        async with programs(home=pynna.Grammar.from_dict(HOME)) as client:

            async def ask(text: str) -> None:
                context = {"area": "kitchen"}
                event = Recognize(text=text, context=context) if kind == "recognize" else Transcript(text, context)
                await client.write_event(event.event())

            await ask("turn on the lamp")
            intent = Intent.from_event(await answer(client))
            assert (intent.name, intent.entities[0].value, intent.text) == ("TurnOn", "lamp", "lamp is on")
            assert intent.context == {"area": "kitchen"}
            await ask("sing a song")
            assert NotRecognized.is_type((await answer(client)).type)
            await ask("turn on the fan and dim the lights")
            kinds = [(await answer(client)).type for _ in range(4)]
            assert IntentsStart.is_type(kinds[0]) and IntentsStop.is_type(kinds[3]) and kinds[1:3] == ["intent"] * 2

    asyncio.run(scenario())


def test_another_program_is_selected():
    async def scenario():
        car = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
        async with programs(home=pynna.Grammar.from_dict(HOME), car=car) as client:
            await client.write_event(Event(type="select-program", data={"name": "car"}))
            await client.write_event(Recognize(text="check battery levels").event())
            assert Intent.from_event(await answer(client)).name == "BatteryStatus"
            await client.write_event(Event(type="select-program", data={"name": "boat"}))
            error = Error.from_event(await answer(client))
            assert "must be one of home, car, got 'boat'" in error.text

    asyncio.run(scenario())


@pytest.mark.parametrize("sensitivity", [None, "default", "relaxed", "aggressive", "unheard of"])
@pytest.mark.parametrize("with_grammar", [True, False])
def test_an_answer_comes_before_the_audio_ends(sensitivity, with_grammar):
    async def scenario():
        grammars = {"car": pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)} if with_grammar else {}
        async with programs(**grammars) as client:
            await client.write_event(Transcribe(vad_sensitivity=sensitivity).event())
            pcm = np.concatenate([recording("increase"), np.zeros(80000, np.int16)])
            await send(client, pcm, stop=False)
            assert Transcript.from_event(await answer(client, "transcript")).text == "increase the volume"
            await client.write_event(AudioStop().event())  # too late, and no error
            await client.write_event(Describe().event())
            assert Info.is_type((await answer(client, "info", "error")).type)

    asyncio.run(scenario())


def test_a_relaxed_client_is_answered_later():
    """Seconds of audio until the answer comes, by the client's ``vad_sensitivity``."""

    async def waited(sensitivity: str) -> float:
        async with programs(car=pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)) as client:
            await client.write_event(Transcribe(vad_sensitivity=sensitivity).event())
            await client.write_event(AudioStart(rate=16000, width=2, channels=1).event())
            pcm = np.concatenate([recording("increase"), np.zeros(64000, np.int16)]).astype("<i2").tobytes()
            told = asyncio.create_task(answer(client, "transcript"))
            for at in range(0, len(pcm), 3200):
                await client.write_event(AudioChunk(16000, 2, 1, pcm[at : at + 3200]).event())
                await asyncio.sleep(0.05)
                if told.done():
                    break
            await told
            return at / 32000

    times = [asyncio.run(waited(sensitivity)) for sensitivity in ("aggressive", "default", "relaxed")]
    assert times[0] <= times[1] <= times[2] and times[2] - times[0] >= 0.3, times


@pytest.mark.parametrize("field", ["transcript_names", "transcript_terms"])
def test_a_clients_list_becomes_hot_words_in_the_models_letters(field):
    handler = Handler.__new__(Handler)
    handler._scheduler = type("Steps", (), {"model": pynna.load()})()
    handler._programs, handler._request = Programs(pynna.load()), Transcribe(**{field: ["Tesla", "C2", ""]})
    found = handler._expected()
    assert set(found) == {"tesla", "c two"} and set(found.values()) == {
        NAME_BOOST if field == "transcript_names" else TERM_BOOST
    }


@pytest.mark.parametrize(
    ("names", "said", "detected"),
    [
        (None, "call_home", "call home"), (["call home"], "call_home", "call home"),
        (["navigate home"], "call_home", None), (None, "navigate", "navigate home"), (None, "play", None),
    ],
)  # fmt: skip
def test_the_wake_service_detects_its_words(names, said, detected):
    async def scenario():
        async with programs() as client:
            await client.write_event(Detect(names=names).event())
            await send(client, np.concatenate([recording(said), np.zeros(16000, np.int16)]))
            event = await answer(client)
            if detected is None:
                assert NotDetected.is_type(event.type)
            else:
                assert Detection.from_event(event).name == detected

    asyncio.run(scenario())


def test_a_wake_word_that_is_not_known_is_told():
    async def scenario():
        async with programs() as client:
            await client.write_event(Detect(names=["computer"]).event())
            told = Error.from_event(await answer(client)).text
            assert "the wake words are call home, navigate home, got computer" in told

    asyncio.run(scenario())


@pytest.mark.parametrize("channels", [3, 4, 6, 8])
def test_microphone_arrays_are_heard(channels):
    async def scenario():
        async with programs(car=pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)) as client:
            data = np.repeat(recording("increase"), channels).astype("<i2").tobytes()
            await client.write_event(AudioStart(rate=16000, width=2, channels=channels).event())
            for at in range(0, len(data), 5001):
                await client.write_event(AudioChunk(16000, 2, channels, data[at : at + 5001]).event())
            await client.write_event(AudioStop().event())
            assert Transcript.from_event(await answer(client, "transcript")).text == "increase the volume"

    asyncio.run(scenario())


def test_a_clients_names_and_terms_are_expected():
    async def scenario():
        async with programs() as client:
            request = Transcribe(transcript_names=["Zoë's №5", "東京"], transcript_terms=["volume", ""])
            await client.write_event(request.event())
            await send(client, recording("increase"))
            assert Transcript.from_event(await answer(client, "transcript")).text == "increase the volume"

    asyncio.run(scenario())


@pytest.mark.parametrize(("names", "heard"), [([], "volume"), (["vollume"], "vollume")])
def test_a_clients_names_decide_between_sentences_that_sound_alike(names, heard, monkeypatch):
    monkeypatch.setattr("pynna.assistant.wyoming.NAME_BOOST", 20.0)
    sentences = pynna.Grammar.from_sentences(["increase the volume", "increase the vollume"])

    async def scenario():
        async with programs(car=sentences) as client:
            await client.write_event(Transcribe(transcript_names=names).event())
            await send(client, recording("increase"))
            assert Transcript.from_event(await answer(client, "transcript")).text == f"increase the {heard}"

    asyncio.run(scenario())


def test_over_standard_input_the_protocol_is_alone_and_ends_with_it():
    asked = io.BytesIO()
    for event in (
        Describe().event(),
        AudioStart(16000, 2, 1).event(),
        AudioChunk(16000, 2, 1, recording("increase").astype("<i2").tobytes()).event(),
        AudioStop().event(),
    ):
        write_event(event, asked)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-m", "pynna", "serve", "--wyoming", "stdio://", "--grammar", "car"],
        input=asked.getvalue(),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parent,
    )  # not the source tree, which holds no built extension
    assert done.returncode == 0, done.stderr.decode()
    told, kinds = io.BytesIO(done.stdout), []
    while (event := read_event(told)) is not None:  # type: ignore[arg-type]
        kinds.append(event.type)
        if Transcript.is_type(event.type):
            assert Transcript.from_event(event).text == "increase the volume"
    assert kinds[0] == "info" and TranscriptStop.is_type(kinds[-1])
