# SPDX-License-Identifier: Apache-2.0
"""A home's names and sentences, read from Home Assistant's websocket API, and the grammar that they make."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from pynna.errors import ArgumentError, PynnaError
from pynna.grammar.grammar import Grammar
from pynna.grammar.sentence_file import merge

TIMEOUT = 30.0
"""Seconds for an answer."""

SETTLE = 1.0
"""Seconds that changes may follow each other in before the home is read anew."""

TRIGGERS = "HassTriggerSentence"
"""The intent of sentences that start automations."""

CHANGES = (
    "entity_registry_updated",
    "area_registry_updated",
    "floor_registry_updated",
    "device_registry_updated",
    "automation_reloaded",
    "core_config_updated",
)
"""Home Assistant's events after which names may be others."""

_SIGNS = re.compile(r"[(){}<>\[\]|\\;]")
_log = logging.getLogger("pynna.home_assistant")


class HomeAssistantError(PynnaError):
    """Home Assistant cannot be reached, refuses the token or an answer."""


@dataclass(frozen=True)
class Entity:
    """A thing that commands may name: its names, the domain before the dot of its id, its area and device class."""

    entity_id: str
    names: tuple[str, ...]
    area: str = ""
    device_class: str = ""

    @property
    def domain(self) -> str:
        return self.entity_id.partition(".")[0]

    @property
    def context(self) -> dict[str, str]:
        """What sentences may require of it: ``requires_context``."""
        return {"domain": self.domain, **({"device_class": self.device_class} if self.device_class else {})}


@dataclass(frozen=True)
class Home:
    """What a home calls its things.

    Attributes
    ----------
    language : str
    entities : tuple of Entity
        Those that are exposed to conversation.
    areas, floors : tuple of tuple of str
        Each one's name and aliases.
    sentences : tuple of str
        Templates of sentences that start automations.
    """

    language: str
    entities: tuple[Entity, ...] = ()
    areas: tuple[tuple[str, ...], ...] = ()
    floors: tuple[tuple[str, ...], ...] = ()
    sentences: tuple[str, ...] = ()

    def lists(self) -> dict[str, list[Any]]:
        """The lists that sentence files of Home Assistant name: of names with their domains, areas, floors."""
        names = [
            (spoken, name, entity.context)
            for entity in self.entities
            for name in entity.names
            if (spoken := _plain(name))
        ]
        return {
            "name": names,
            "area": [(_plain(name), names[0]) for names in self.areas for name in names if _plain(name)],
            "floor": [(_plain(name), names[0]) for names in self.floors for name in names if _plain(name)],
        }

    def fingerprint(self, labels: tuple[str, ...] = ()) -> str:
        """Changes when a grammar of this home, for a model with these labels, would be another one."""
        known = [self.language, self.lists(), sorted(self.sentences), labels]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def grammar(self, document: Mapping[str, Any] | None = None) -> Grammar:
        """The sentences that can be said in this home.

        Parameters
        ----------
        document : mapping, optional
            More sentences, as a sentence file holds them; they are added to those that Home Assistant understands.

        Raises
        ------
        ArgumentError
            The package with Home Assistant's sentences is not there; it has none in this language, and there is no
            document.
        GrammarError
            The document is wrong.
        """
        merged: dict[Any, Any] = {}
        merge(merged, _sentences(self.language, needed=document is None), "")
        if self.sentences:
            merge(merged, {"intents": {TRIGGERS: {"data": [{"sentences": list(self.sentences)}]}}}, "")
        if document is not None:
            merge(merged, document, "")
        return Grammar.from_dict(
            merged, f"Home Assistant, {self.language}", lists=self.lists(), context={"area": ""},
            language=self.language, skip_unspeakable=True,
        )  # fmt: skip


def _plain(name: str) -> str:
    """A name without signs of the template language; empty where nothing of it can be said."""
    text = " ".join(_SIGNS.sub(" ", name).split())
    return text if any(c.isalnum() for c in text) else ""


def _sentences(language: str, needed: bool) -> Mapping[str, Any]:
    """Home Assistant's own sentences in a language or its family; none where they are not needed."""
    try:
        from home_assistant_intents import get_intents
    except ImportError:
        raise ArgumentError("Home Assistant's sentences are not there: pip install home-assistant-intents") from None
    for name in (language, language.partition("-")[0]):
        found = get_intents(name)
        if found is not None:
            return dict(found)
    if not needed:
        return {}
    raise ArgumentError(f"language must be one that Home Assistant has sentences in, got {language!r}")


@dataclass
class HomeAssistant:
    """A connection to Home Assistant's websocket API; an asynchronous context manager.

    Parameters
    ----------
    url : str
        Where it is, ``http://homeassistant.local:8123`` for instance, or its websocket's address itself.
    token : str
        A long-lived access token; an add-on has one in ``SUPERVISOR_TOKEN``.
    """

    url: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not re.match(r"(https?|wss?)://[^/]", self.url):
            raise ArgumentError(f"url must begin with http:// or https://, got {self.url!r}")
        if not self.token:
            raise ArgumentError("token must be a long-lived access token of Home Assistant, got nothing")
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._id = 0
        self._events: asyncio.Queue[None] = asyncio.Queue()

    @property
    def address(self) -> str:
        """The websocket's address."""
        address = re.sub("^http", "ws", self.url.rstrip("/"))
        return address if address.endswith("/websocket") else f"{address}/api/websocket"

    async def __aenter__(self) -> HomeAssistant:
        self._session = aiohttp.ClientSession()
        try:
            self._socket = await asyncio.wait_for(self._session.ws_connect(self.address, max_msg_size=0), TIMEOUT)
            await self._log_in()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            await self._session.close()
            raise HomeAssistantError(f"{self.address} cannot be reached: {error or type(error).__name__}") from None
        except PynnaError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    async def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        message = await asyncio.wait_for(self._socket.receive(), TIMEOUT)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise HomeAssistantError(f"{self.address} ended the connection")
        try:
            answer = json.loads(message.data)
        except ValueError:
            raise HomeAssistantError(f"{self.address} sent what is no JSON") from None
        if not isinstance(answer, dict):
            raise HomeAssistantError(f"{self.address} sent a message that is no object")
        return answer

    async def _log_in(self) -> None:
        assert self._socket is not None
        if (await self._receive()).get("type") != "auth_required":
            raise HomeAssistantError(f"{self.address} is no Home Assistant: it asks for no token")
        await self._socket.send_json({"type": "auth", "access_token": self.token})
        answer = await self._receive()
        if answer.get("type") != "auth_ok":
            raise HomeAssistantError(f"{self.address} refuses the token: {answer.get('message', 'no reason is told')}")

    async def ask(self, kind: str, **options: Any) -> Any:
        """The result of a command.

        Raises
        ------
        HomeAssistantError
            The command is refused, or the connection ends.
        """
        assert self._socket is not None
        self._id += 1
        number = self._id
        try:
            await self._socket.send_json({"id": number, "type": kind, **options})
            while True:
                answer = await self._receive()
                if answer.get("type") == "event":
                    self._events.put_nowait(None)
                elif answer.get("id") == number:
                    break
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise HomeAssistantError(f"{self.address}: {kind}: {error or type(error).__name__}") from None
        if not answer.get("success"):
            reason = _mapping(answer.get("error")).get("message", "no reason is told")
            raise HomeAssistantError(f"{self.address}: {kind} is refused: {reason}")
        return answer.get("result")

    async def home(self) -> Home:
        """Entities that are exposed to conversation, with areas, floors, aliases, and sentences of automations."""
        config = _mapping(await self.ask("get_config"))
        exposed = _mapping(_mapping(await self.ask("homeassistant/expose_entity/list")).get("exposed_entities"))
        ids = [str(name) for name, told in exposed.items() if _mapping(told).get("conversation")]
        states = {str(state.get("entity_id")): state for state in _mappings(await self.ask("get_states"))}
        entries = _mapping(await self.ask("config/entity_registry/get_entries", entity_ids=ids) if ids else {})
        areas = _mappings(await self.ask("config/area_registry/list"))
        floors = _mappings(await self.ask("config/floor_registry/list"))
        entities = (_entity(name, _mapping(entries.get(name)), _mapping(states.get(name))) for name in ids)
        return Home(
            language=str(config.get("language") or "en"),
            entities=tuple(entity for entity in entities if entity is not None and entity.names),
            areas=tuple(names for area in areas if (names := _names(area))),
            floors=tuple(names for floor in floors if (names := _names(floor))),
            sentences=await self._trigger_sentences(),
        )

    async def _trigger_sentences(self) -> tuple[str, ...]:
        try:
            told = await self.ask("conversation/sentences/list")
        except HomeAssistantError as error:  # older ones do not know it
            _log.info("sentences of automations are not told: %s", error)
            return ()
        return tuple(dict.fromkeys(map(str, _list(_mapping(told).get("trigger_sentences")))))

    async def changes(self) -> AsyncIterator[Home]:
        """The home now, and again whenever names have changed; ends with the connection."""
        for event in CHANGES:
            await self.ask("subscribe_events", event_type=event)
        home = await self.home()
        yield home
        while True:
            await self._change()
            new = await self.home()
            if new.fingerprint() != home.fingerprint():
                home = new
                yield home

    async def _change(self) -> None:
        """Waits for a change, and for those that follow it at once."""
        assert self._socket is not None
        while self._events.empty():
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise HomeAssistantError(f"{self.address} ended the connection")
            if '"event"' in message.data:
                self._events.put_nowait(None)
        await asyncio.sleep(SETTLE)
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._events.get_nowait()


def _mapping(told: Any) -> Mapping[str, Any]:
    """What Home Assistant tells where names and values are wanted; nothing where it tells something else."""
    return told if isinstance(told, Mapping) else {}


def _list(told: Any) -> list[Any]:
    """The same where a list is wanted."""
    return told if isinstance(told, list) else []


def _mappings(told: Any) -> list[Mapping[str, Any]]:
    """The same where a list of mappings is wanted."""
    return [each for each in _list(told) if isinstance(each, Mapping)]


def _entity(entity_id: str, entry: Mapping[str, Any], state: Mapping[str, Any]) -> Entity | None:
    """An entity; None for one that is disabled or hidden."""
    if entry.get("disabled_by") or entry.get("hidden_by"):
        return None
    attributes = _mapping(state.get("attributes"))
    names = [attributes.get("friendly_name") or entry.get("name") or entry.get("original_name"),
             *_list(entry.get("aliases"))]  # fmt: skip
    known = dict.fromkeys(str(name).strip() for name in names if name)
    return Entity(entity_id, tuple(known), str(entry.get("area_id") or ""), str(attributes.get("device_class") or ""))


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The name of an area or floor, and its aliases."""
    names = [entry.get("name"), *_list(entry.get("aliases"))]
    return tuple(dict.fromkeys(str(name).strip() for name in names if name))
