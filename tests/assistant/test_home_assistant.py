# SPDX-License-Identifier: Apache-2.0
"""Names and sentences of a home, read from a server that talks Home Assistant's websocket protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

import pynna
from pynna.assistant.home_assistant import TRIGGERS, Entity, Home, HomeAssistant, HomeAssistantError
from pynna.assistant.wyoming import Programs, follow_home

pytest.importorskip("home_assistant_intents")
TOKEN = "a long-lived one"
LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


class FakeHome:
    """What a Home Assistant answers, over a real websocket."""

    def __init__(self) -> None:
        self.names = {"light.desk": "Desk lamp", "lock.front": "Front door", "light.off": "Hidden",
                      "fan.x": "C₂ fan 東",
                      "switch.plain": "(Old) pump"}  # fmt: skip
        self.refused: set[str] = set()
        self.sockets: list[web.WebSocketResponse] = []
        self.asked: list[str] = []

    def result(self, kind: str) -> Any:
        if kind == "get_states":
            kinds = {"lock.front": {"device_class": "door"}}
            return [{"entity_id": key, "attributes": {"friendly_name": name, **kinds.get(key, {})}}
                    for key, name in self.names.items()]  # fmt: skip
        if kind == "homeassistant/expose_entity/list":
            told = {key: {"conversation": key != "light.off"} for key in self.names}
            return {"exposed_entities": {**told, "light.gone": {"conversation": True}}}
        if kind == "config/entity_registry/get_entries":
            return {"light.desk": {"aliases": ["reading light"], "area_id": "office"}, "lock.front": None,
                    "fan.x": {"aliases": []},
                    "light.gone": {"disabled_by": "user", "original_name": "gone"}}  # fmt: skip
        return {
            "get_config": {"language": "en"},
            "config/area_registry/list": [{"area_id": "office", "name": "Office", "aliases": ["study"]}],
            "config/floor_registry/list": [],
            "conversation/sentences/list": {"trigger_sentences": ["time for [a] coffee", "time for [a] coffee"]},
        }.get(kind)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "auth_required", "ha_version": "2026.11.0"})
        if (await socket.receive_json()).get("access_token") != TOKEN:
            await socket.send_json({"type": "auth_invalid", "message": "Invalid access token"})
            return socket
        await socket.send_json({"type": "auth_ok"})
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = message.json()
                self.asked.append(asked["type"])
                if asked["type"] in self.refused:
                    answer: dict[str, Any] = {"success": False, "error": {"message": "Unknown command."}}
                else:
                    answer = {"success": True, "result": self.result(asked["type"])}
                await socket.send_json({"id": asked["id"], "type": "result", **answer})
        return socket


@contextlib.asynccontextmanager
async def running(home: FakeHome) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/api/websocket", home.socket)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


def read_home(fake: FakeHome, token: str = TOKEN) -> Home:
    async def scenario() -> Home:
        async with running(fake) as url, HomeAssistant(url, token) as connection:
            return await connection.home()

    return asyncio.run(scenario())


def test_a_home_is_read():
    home = read_home(FakeHome())
    assert home.language == "en" and home.sentences == ("time for [a] coffee",)
    assert home.areas == (("Office", "study"),) and home.floors == ()
    assert home.entities == (
        Entity("light.desk", ("Desk lamp", "reading light"), "office"),
        Entity("lock.front", ("Front door",), "", "door"),
        Entity("fan.x", ("C₂ fan 東",)), Entity("switch.plain", ("(Old) pump",)),
    )  # fmt: skip


@pytest.mark.parametrize(
    "odd", [None, 7, "text", [None], [{}], {"exposed_entities": 1}, {"exposed_entities": {"a.b": 1}}]
)
def test_answers_that_are_none_are_as_if_nothing_were_told(odd: Any) -> None:
    class Odd(HomeAssistant):
        async def ask(self, kind: str, **_: Any) -> Any:
            return odd

    home = asyncio.run(Odd("http://a", "b").home())
    assert home == Home("en") and home.fingerprint()


def test_names_are_said_with_what_their_domains_can_do():
    grammar = read_home(FakeHome()).grammar()
    spoken = set(grammar.graph(LABELS) and grammar.left_out(LABELS))
    assert any("東" in note for note in spoken)  # told, and the rest works
    for text, intent, slots in [
        ("turn on the desk lamp", "HassTurnOn", {"name": "Desk lamp"}),
        ("switch the reading light off", "HassTurnOff", {"name": "reading light"}),
        ("lock the front door", "HassTurnOn", {"name": "Front door"}),
        ("turn on the old pump", "HassTurnOn", {"name": "(Old) pump"}),
        ("turn on the lights in the study", "HassTurnOn", {"area": "Office", "domain": "light"}),
        ("time for a coffee", TRIGGERS, {}),
    ]:
        match = grammar.parse(text)
        assert match is not None and (match.intent, match.slots) == (intent, slots), text
    for text in ("turn on the front door", "turn on hidden", "turn on the lights on the ground floor", "turn on gone"):
        assert grammar.parse(text) is None, text
    assert grammar.parse("turn on the lights").slots["domain"] == "light"  # wherever the microphone is


def test_more_sentences_are_added():
    grammar = read_home(FakeHome()).grammar({"intents": {"Tea": {"data": [{"sentences": ["make tea in {area}"]}]}}})
    knock = {"sentences": ["knock at [the] {name}"], "requires_context": {"device_class": "door"}}
    more = read_home(FakeHome()).grammar({"intents": {"Knock": {"data": [knock]}}})
    assert more.parse("knock at the front door").slots == {"name": "Front door"}
    assert more.parse("knock at the desk lamp") is None
    assert grammar.parse("make tea in study").slots == {"area": "Office"}
    assert grammar.parse("turn on the desk lamp") is not None


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        ({}, False), ({"language": "de"}, True), ({"sentences": ("go",)}, True), ({"areas": ()}, True),
        ({"entities": (Entity("light.desk", ("Desk",)),)}, True),
        ({"entities": (Entity("fan.desk", ("Lamp",)),)}, True),
    ],
)  # fmt: skip
def test_a_fingerprint_tells_whether_a_grammar_is_stale(change, is_other):
    known = {"language": "en", "entities": (Entity("light.desk", ("Lamp",)),), "areas": (("hall",),)}
    assert (Home(**known).fingerprint() != Home(**{**known, **change}).fingerprint()) is is_other
    assert Home(**known).fingerprint(LABELS) != Home(**known).fingerprint(LABELS[1:])


def test_what_goes_wrong_is_told():
    with pytest.raises(HomeAssistantError, match="refuses the token: Invalid access token"):
        read_home(FakeHome(), "wrong")
    fake = FakeHome()
    fake.refused = {"conversation/sentences/list"}
    assert read_home(fake).sentences == ()  # an older Home Assistant
    fake.refused = {"get_states"}
    with pytest.raises(HomeAssistantError, match="get_states is refused: Unknown command"):
        read_home(fake)
    for url, token, message in [("homeassistant", "x", "must begin with http"), ("http://h", "", "long-lived access")]:
        with pytest.raises(pynna.ArgumentError, match=message):
            HomeAssistant(url, token)
    with pytest.raises(HomeAssistantError, match="cannot be reached"):

        async def nobody() -> None:
            async with HomeAssistant("http://127.0.0.1:9", "x"):
                pass

        asyncio.run(nobody())
    with pytest.raises(pynna.ArgumentError, match="got 'xx'"):
        Home("xx").grammar()
    alone = Home("xx").grammar({"intents": {"Tea": {"data": [{"sentences": ["make tea"]}]}}})
    assert alone.parse("make tea").intent == "Tea"


def test_changes_are_taken_up_without_a_restart(monkeypatch):
    monkeypatch.setattr("pynna.assistant.home_assistant.SETTLE", 0.05)

    async def scenario() -> None:
        fake, told = FakeHome(), asyncio.Queue[str]()
        programs = Programs(pynna.load())
        async with running(fake) as url:
            following = asyncio.create_task(follow_home(programs, url, TOKEN, told=told.put_nowait))
            assert "4 entities in 1 areas" in await asyncio.wait_for(told.get(), 60)
            assert programs.get(None).parse("turn on the piano lamp") is None
            fake.names["light.piano"] = "Piano lamp"
            await fake.sockets[-1].send_json({"id": 1, "type": "event", "event": {}})
            assert "5 entities" in await asyncio.wait_for(told.get(), 60)
            assert programs.get("pynna").parse("turn on the piano lamp").slots == {"name": "Piano lamp"}
            await fake.sockets[-1].close()  # the connection is lost, and taken up again
            assert "ended the connection" in await asyncio.wait_for(told.get(), 60)
            assert "5 entities" in await asyncio.wait_for(told.get(), 60)
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    asyncio.run(scenario())
