# SPDX-License-Identifier: Apache-2.0
"""The cluster's server: pages and their microphones, one car."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import WSMessage, WSMsgType, web

from pynna.assistant.access import host_name
from pynna.assistant.assistant import Assistant, Outcome
from pynna.assistant.car import TIRES
from pynna.assistant.connection_limit import ConnectionLimit
from pynna.assistant.examples import EXAMPLES
from pynna.assistant.health import OPEN_PATHS, Health, busy
from pynna.assistant.scheduler import BusyError, Scheduler
from pynna.assistant.session import MicrophoneSession
from pynna.assistant.turnstile import Turnstile
from pynna.assistant.workbench import Workbench
from pynna.decoding.results import GrammarResult
from pynna.errors import ArgumentError, PynnaError
from pynna.events import Event, Final, Partial, SpeechStart
from pynna.grammar import Grammar
from pynna.model import Model
from pynna.streaming.endpointer import EndpointRules

PORT = 8642
MAX_MESSAGE = 32 << 10  # bytes: a second of audio
MAX_SESSIONS = 64
MESSAGES_A_SECOND = 20  # but audio, by a client
GUESS_SECONDS = 0.5  # that the answer to a wrong token waits for
QUEUE = 256  # messages that a slow reader may leave waiting

RULES = EndpointRules(trailing_silence_complete=0.2, trailing_silence=0.6)
"""A whole command is acted on half a second after its end: this pause, and the network's 0.2 s of context."""

_NEARLY = 0.4  # of a result's threshold; below it "I didn't get that" is shown, and not said: others may be talking
_REPLIES = 3  # that may wait to be said; more are only shown
_PAGE = resources.files("pynna.assistant") / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_LONE = re.compile("[\\ud800-\\udfff]")  # what bytes that are no UTF-8 stand as; no answer could quote it
_log = logging.getLogger("pynna.assistant")


class _Page:
    """A connected page: what is to be sent to it, and its microphone if it has opened one."""

    def __init__(self, socket: web.WebSocketResponse, name: str, transport: asyncio.Transport | None) -> None:
        self.socket, self.name, self.transport = socket, name, transport
        self.microphone: MicrophoneSession | None = None
        door = None if transport is None else transport.get_protocol()
        self.door = door if isinstance(door, ConnectionLimit) else None
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self.leaving = False  # it was told that the server is being stopped
        self._allowance, self._asked = float(MESSAGES_A_SECOND), time.monotonic()
        self.told = False  # that it sends too many

    @property
    def audio(self) -> bool:
        """Whether it has a microphone."""
        return self.microphone is not None

    def allowed(self) -> bool:
        """Whether another message is within the rate."""
        now = time.monotonic()
        self._allowance = min(MESSAGES_A_SECOND, self._allowance + (now - self._asked) * MESSAGES_A_SECOND)
        self._asked = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        self.told = False
        return True

    async def write(self, turnstile: Turnstile) -> None:
        """Sends what is queued, for as long as the connection lasts; others' work waits for that."""
        with contextlib.suppress(ConnectionError):
            while True:
                text = await self.queue.get()
                with turnstile.piece():
                    await self.socket.send_str(text)


class Server:
    """One car with its pages and microphones; `application` is the aiohttp application that serves it.

    Parameters
    ----------
    model : Model
    grammar : Grammar
        The sentences; the car's unless given.
    channels : int
        Microphones at once.
    token : str, optional
        What clients must know: as ``?token=`` or as a bearer.
    hosts : tuple of str
        The names that a browser may know this server by, against rebound names; empty: any, which a token protects.
    """

    def __init__(
        self,
        model: Model,
        grammar: Grammar | None = None,
        *,
        channels: int = 16,
        token: str | None = None,
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
    ) -> None:
        from pynna import CAR_GRAMMAR

        self.model = model
        self.assistant = Assistant(grammar or Grammar.from_yaml(CAR_GRAMMAR))
        for each in self.assistant.grammars.values():
            each.graph(model.labels)  # compiled now, not in the first command
        self.scheduler = Scheduler(model, channels=channels)
        self.max_sessions = max(MAX_SESSIONS, channels)
        self.metrics = self.scheduler.metrics
        self.speak: Callable[[str], Awaitable[None]] | None = None  # says replies aloud
        self.speaking = 0  # replies that are being said, or wait for it
        self.on_outcome: Callable[[Outcome], None] | None = None  # is told what was done
        self.over = asyncio.Event()  # set by a helper that ends it all
        self._token, self._hosts = token, hosts
        self._files = {file.name: file.read_bytes() for file in _PAGE.iterdir() if Path(file.name).suffix in _TYPES}
        self.doors: OrderedDict[ConnectionLimit, None] = OrderedDict()
        self._sessions: set[_Page] = set()
        self._names = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.helpers: list[Callable[[], Awaitable[None]]] = []  # that run as long as the server: a demonstration
        self.application = web.Application(middlewares=[self._guard], client_max_size=MAX_MESSAGE)
        self.application.add_routes(
            [
                web.get("/", self._file),
                web.get("/page/{name}", self._file),
                web.get("/{name:try}", self._file),
                web.get("/map", self._map),
                web.get("/sentences", self._sentences),
                web.get("/ws", self._connect),
                web.get("/health", self._health),
                *Health(self.scheduler).routes(),
            ]
        )
        self.workbench = Workbench(model).join(self.application)
        self.application.cleanup_ctx.append(self._run)

    # ---- who may come in ----

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if _LONE.search(request.path + "".join(request.headers.values())):
            return self._refuse(400, "header", "a request's line and headers must be UTF-8")
        host = host_name(request.headers.get("Host", ""))
        if self._hosts and host not in self._hosts:
            return self._refuse(403, "host", f"this server is not known as {host!r}")
        await self.scheduler.turnstile.enter()
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
            return self._refuse(403, "origin", f"pages of {origin!r} may not use this server")
        is_open = request.path.startswith("/page/") or request.path in OPEN_PATHS
        if self._token is not None and not is_open and not self._knows_token(request):
            await asyncio.sleep(GUESS_SECONDS)
            return self._refuse(401, "token", "the token is missing or wrong: open /?token=...")
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPException as refused:
            refused.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _knows_token(self, request: web.Request) -> bool:
        assert self._token is not None
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token", "")
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _refuse(self, status: int, reason: str, text: str) -> web.Response:
        self.metrics.refused.labels(reason).inc()
        return web.Response(status=status, text=text + "\n", headers=_HEADERS)

    # ---- pages ----

    async def _file(self, request: web.Request) -> web.Response:
        name = {"try": "try.html"}.get(name := request.match_info.get("name", "index.html"), name)
        if name not in self._files:
            raise web.HTTPNotFound(text="there is no such page\n")
        return web.Response(body=self._files[name], content_type=_TYPES[Path(name).suffix], charset="utf-8")

    async def _map(self, request: web.Request) -> web.Response:
        return web.json_response(self.assistant.drive.city.as_dict())

    async def _sentences(self, request: web.Request) -> web.Response:
        return web.json_response(_known_sentences(self.assistant.grammar))

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "model": self.model.name,
                "sessions": len(self._sessions),
                "microphones": len(self.scheduler.microphones),
                "channels": self.scheduler.channels,
            }
        )

    # ---- sessions ----

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        """A page, or with ``?microphone=1`` a microphone from the start; who is too many is told before the upgrade."""
        wants_microphone = request.query.get("microphone") == "1"
        if (refused := self._refusal(wants_microphone)) is not None:
            self.metrics.refused.labels(refused.reason).inc()
            return busy(refused, self.scheduler)
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, heartbeat=20.0, autoping=False)
        self._names += 1  # of all that ever came
        session = _Page(socket, f"page {self._names}", request.transport)
        self._sessions.add(session)  # before anything is waited for, so that the bound holds
        self.metrics.sessions.set(len(self._sessions))
        writer: asyncio.Task[None] | None = None
        answer: web.StreamResponse = web.Response()  # to who has gone before the upgrade
        try:
            if session.door is not None:
                session.door.keep()
            await socket.prepare(request)
            answer = socket
            self._send(
                session,
                {
                    "type": "hello",
                    "name": session.name,
                    "model": self.model.name,
                    "rate": self.model.sample_rate,
                    "tires": TIRES,
                    **self.assistant.as_dict(),
                },
            )
            writer = asyncio.create_task(session.write(self.scheduler.turnstile))
            if wants_microphone:
                self._switch_microphone(session, True)
            await self._read(session)
        except ConnectionError:
            pass  # it has gone in the middle of something
        finally:
            self._sessions.discard(session)
            self.metrics.sessions.set(len(self._sessions))
            if session.microphone is not None:
                self.scheduler.leave(session.microphone)
            if writer is not None:
                writer.cancel()
        return answer

    def _refusal(self, wants_microphone: bool) -> BusyError | None:
        if self.scheduler.draining or wants_microphone:
            return self.scheduler.refusal()
        if len(self._sessions) >= self.max_sessions:
            return BusyError("sessions", f"all {self.max_sessions} places are taken; try again later")
        return None

    async def _read(self, session: _Page) -> None:
        turnstile = self.scheduler.turnstile
        async for message in session.socket:
            await turnstile.enter(audio=session.audio)
            try:
                if message.type is WSMsgType.BINARY and session.microphone is not None:
                    await session.microphone.feed(message.data)
                elif session.allowed():
                    with turnstile.piece():
                        await self._answer(session, message)
                else:
                    self._drop(session)
            except BusyError as refused:
                self._send(session, _told(refused))
            except (PynnaError, ValueError, RecursionError) as error:
                self.metrics.refused.labels("message").inc()
                self._send(session, {"type": "error", "text": str(error)})
            if not session.socket.closed and session not in self._sessions:
                break

    def _drop(self, session: _Page) -> None:
        """A message beyond the rate; the first of them is answered."""
        self.metrics.refused.labels("message").inc()
        if not session.told:
            session.told = True
            text = f"more than {MESSAGES_A_SECOND} messages a second; some are dropped"
            self._send(session, {"type": "error", "text": text})

    async def _answer(self, session: _Page, message: WSMessage) -> None:
        if message.type is WSMsgType.TEXT:
            self._command(session, message.data)
        elif message.type is WSMsgType.PING:
            await session.socket.pong(message.data)
        elif message.type is WSMsgType.BINARY:
            raise ArgumentError('audio came before {"type": "microphone", "on": true}')

    def _command(self, session: _Page, text: str) -> None:
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ArgumentError("a message is an object with a type")
        kind = message.get("type")
        if kind == "microphone":
            self._switch_microphone(session, bool(message.get("on")))
        elif kind == "command" and isinstance(message.get("text"), str):
            self._done(self.assistant.read(message["text"][:200]), session.name)
        elif kind == "act" and isinstance(message.get("intent"), str) and isinstance(message.get("slots", {}), dict):
            self._done(self.assistant.act(message["intent"], message.get("slots", {})), session.name)
        else:
            raise ArgumentError("a message's type is microphone (on), command (text) or act (intent, slots)")

    def _switch_microphone(self, session: _Page, on: bool) -> None:
        if on and session.microphone is None:
            session.microphone = self.open_microphone(session.name)
        elif not on and session.microphone is not None:
            self.scheduler.leave(session.microphone)
            session.microphone = None
        if session.door is not None:
            session.door.audio = session.audio
        self._send(session, {"type": "microphone", "on": session.microphone is not None})

    # ---- what is heard and done ----

    def open_microphone(self, name: str) -> MicrophoneSession:
        """A microphone whose commands the car obeys. Raises CapacityError where all are taken."""
        return self.scheduler.open_microphone(name, self._heard, self.assistant.grammar, RULES)

    def _heard(self, microphone: MicrophoneSession, event: Event[GrammarResult]) -> None:
        name = microphone.name
        if isinstance(event, SpeechStart):
            self.broadcast({"type": "words", "from": name, "text": ""})
        elif isinstance(event, Partial):
            self.broadcast({"type": "words", "from": name, "text": event.result.text})
        elif isinstance(event, Final):
            result = event.result
            self._done(
                self.assistant.hear(result),
                name,
                result.confidence,
                meant=result.confidence >= _NEARLY * result.threshold,
            )
            self.metrics.observe_latency(microphone.since(event.end))

    def _done(self, outcome: Outcome, name: str, confidence: float | None = None, *, meant: bool = True) -> None:
        """Tells all what became of a command; `meant`: it was one to answer aloud, even if it was not understood."""
        if outcome.text or outcome.intent:
            self.metrics.commands.labels(str(outcome.understood).lower()).inc()
        self.broadcast({"type": "done", "from": name, "confidence": confidence, **outcome.as_dict()})
        if outcome.understood:
            self.broadcast({"type": "state", **self.assistant.as_dict()})
        if "degrees" in outcome.changed:  # other numbers are said now
            for microphone in self.scheduler.microphones:
                listener = microphone.listener
                listener.options = replace(listener.options, grammar=self.assistant.grammar)
        if self.on_outcome is not None:
            self.on_outcome(outcome)
        if outcome.understood or meant:
            self._say(outcome.reply)

    def _say(self, reply: str) -> None:
        if self.speak is not None and reply and self.speaking < _REPLIES:
            self.speaking += 1
            task = asyncio.create_task(self._speak(self.speak(reply)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _speak(self, spoken: Awaitable[None]) -> None:
        try:
            await spoken
        finally:
            self.speaking -= 1

    def tell_level(self, name: str, pcm: np.ndarray[Any, Any]) -> None:
        """How loud a microphone is that is not the page's own, 0 to 1."""
        power = float(np.mean(np.square(pcm, dtype=np.float64))) if len(pcm) else 0.0
        self.broadcast({"type": "level", "from": name, "level": min(1.0, (power**0.5) / 6000)})

    def broadcast(self, message: dict[str, Any]) -> None:
        """To all pages."""
        if self._sessions:
            text = json.dumps(message)
            for session in tuple(self._sessions):
                self._queue(session, text)

    @property
    def visited(self) -> bool:
        """Whether a page has ever been connected."""
        return self._names > 0

    def _send(self, session: _Page, message: dict[str, Any]) -> None:
        self._queue(session, json.dumps(message))

    def _queue(self, session: _Page, text: str) -> None:
        try:
            session.queue.put_nowait(text)
        except asyncio.QueueFull:  # it reads too slowly: it may come again
            self.metrics.refused.labels("slow").inc()
            self._sessions.discard(session)
            if session.transport is not None:
                session.transport.abort()

    # ---- running ----

    async def _run(self, application: web.Application) -> AsyncIterator[None]:
        running = [asyncio.create_task(_for_ever(work)) for work in (self.scheduler.run, self._go_on, *self.helpers)]
        yield
        for task in running:
            task.cancel()
        for session in tuple(self._sessions):
            with contextlib.suppress(Exception):
                await session.socket.close(code=1001, message=b"the server stops")
        await asyncio.gather(*running, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Takes nobody in any more; who is heard may end the sentence, in so many seconds; then all are told, and it is
        `over`."""
        _log.info("draining: %d microphones", len(self.scheduler.sessions))
        await self.scheduler.drain(seconds, self._close_quiet_ones)
        self.over.set()

    def _close_quiet_ones(self) -> bool:
        """Lets the pages go that nobody speaks into; whether there is no microphone left but quiet ones."""
        for session in tuple(self._sessions):
            if not session.leaving and (session.microphone is None or session.microphone.is_quiet):
                session.leaving = True
                self._send(session, _told(BusyError("draining", "the server is being stopped; connect again")))
                task = asyncio.create_task(self._let_go(session))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return not self._sessions and all(session.is_quiet for session in self.scheduler.sessions)

    async def _let_go(self, session: _Page) -> None:
        """Sends what a page is still to be told, and closes its connection."""
        with contextlib.suppress(Exception):
            for _ in range(100):
                if session.queue.empty():
                    break
                await asyncio.sleep(0.01)
            await asyncio.wait_for(session.socket.close(code=1001, message=b"the server is being stopped"), 1.0)

    async def _go_on(self) -> None:
        """Ten times a second the drive goes on and the pages see it."""
        period = 0.1
        last = time.monotonic()
        while True:
            await asyncio.sleep(period)
            now = time.monotonic()
            reply = self.assistant.tick(min(1.0, now - last))
            last = now
            self.broadcast({"type": "drive", "drive": self.assistant.as_dict()["drive"], "way": self._way()})
            if reply:
                self._done(Outcome("", None, reply=reply, understood=True), "car")

    def _way(self) -> list[int]:
        return self.assistant.drive.way if self.assistant.car.destination else []


@functools.lru_cache(maxsize=4)
def _known_sentences(grammar: Grammar) -> dict[str, Any]:
    """Examples of what can be said, by family, and the values of the lists."""
    examples = {family: [text for text in texts if grammar.parse(text)] for family, texts in EXAMPLES.items()}
    if not any(examples.values()):  # another sentence file
        examples = {"": list(grammar.examples().values())}
    return {"examples": examples, "lists": grammar.lists}


def _told(refused: BusyError) -> dict[str, Any]:
    """A refusal as a message."""
    text, after = str(refused), refused.retry_after
    return {"type": "error", "text": text, "reason": refused.reason, "retry_after": after}


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise
    except Exception:
        _log.exception("the server's work failed")
        raise
