# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of connections: HTTP requests, WebSocket frames and Wyoming events, through the real servers' own
parsers and handlers in this process. What is right: an answer or a closed connection, no exception that is logged, no
status of 500, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import selectors
import struct
import zlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import pynna
from tests.fuzz.frames import DEFLATE, UPGRADE, frame
from tests.fuzz.registry import Finding, target

SECONDS = 5.0  # that may go by until all that belongs to a connection has ended


class _Pipe(asyncio.Transport):
    """What a protocol writes to: a client that takes all and keeps the beginning of each answer."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._protocol, self._over = protocol, False
        self.got = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if len(self.got) < 1 << 20:
            self.got += bytes(data)[:1000]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._over

    def close(self) -> None:
        if not self._over:
            self._over = True
            asyncio.get_running_loop().call_soon(self.lose)

    abort = close

    def lose(self) -> None:
        """The connection is gone."""
        if not self.ended.done():
            self._over = True
            self._protocol.connection_lost(None)  # type: ignore[attr-defined]
            self.ended.set_result(None)

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _Complaints(logging.Handler):
    """What is logged as an error, which no client may bring about."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


class _Patient(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Asks the system only where the loop would wait: nothing comes from outside, and each question takes time."""

    def select(self, timeout: float | None = None) -> list[Any]:
        return [] if timeout == 0 else super().select(timeout)


class _Running:
    """A loop with the server of pages in it, whose steps are taken when a case wants them."""

    def __init__(self) -> None:
        from pynna.assistant.run import HttpLogFilter, http_log, runner_of
        from pynna.assistant.server import Server

        self.loop = asyncio.SelectorEventLoop(_Patient())
        self.server = Server(pynna.load())
        self.server.application.cleanup_ctx.clear()  # its own clock: turns are taken here
        self.server.workbench.side = None  # what it does is done here
        self.complaints = _Complaints()
        self.log, self.filter = http_log, HttpLogFilter(seconds=0)  # all failures count
        self.web = runner_of(self.server, lingering_time=0.0)
        self.loop.run_until_complete(self.web.setup())

    async def settle(self, at_rest: Callable[[], bool], *, turns: int = 8) -> None:
        """Lets the others work until they wait for the client; then, until `at_rest`."""
        loop = asyncio.get_running_loop()
        late = loop.time() + SECONDS
        n = 0
        while n < turns or not at_rest():
            n += 1
            self.server.scheduler.turn()
            await asyncio.sleep(0 if n < 200 else 0.001)
            if loop.time() > late:
                raise Finding(f"it goes on after {SECONDS:.0f} s: {asyncio.all_tasks()}")

    def run(self, work: Awaitable[None]) -> None:
        """One case; raises Finding for what it leaves behind."""
        before, self.log.filters[:] = self.log.filters[:], [self.filter]
        try:
            self.loop.run_until_complete(work)
        finally:
            self.log.filters[:] = before
        said, self.complaints.said = self.complaints.said, []
        if said:
            raise Finding(said[0])
        if self.server._sessions or self.server.doors or self.server.scheduler.sessions:
            raise Finding("a session, a connection or a microphone stays")


@cache
def running() -> _Running:
    """The one that all cases use."""
    return _Running()


def _receive(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Hands bytes to a protocol, as a transport does."""
    while data:
        room = memoryview(protocol.get_buffer(-1))
        n = min(len(room), len(data))
        room[:n] = data[:n]
        protocol.buffer_updated(n)
        data = data[n:]


def _is_abrupt(data: bytes) -> bool:
    """Whether who asks is gone before anybody has looked at it."""
    return len(data) % 8 == 7


async def _connected(data: bytes) -> bytes:
    """Sends bytes to the server as a connection of its own; what it answered."""
    from pynna.assistant.connection_limit import ConnectionLimit

    here = running()
    others = asyncio.all_tasks()
    protocol = ConnectionLimit(here.web.server(), here.server.doors, here.server.scheduler.turnstile)  # type: ignore[misc]
    pipe = _Pipe(protocol)
    protocol.connection_made(pipe)
    await asyncio.sleep(0)
    half = len(data) // 2
    if _is_abrupt(data):
        _receive(protocol, data[:half])
        pipe.lose()
    for piece in (data[:half], data[half:]):  # in two pieces, for a parser that must go on
        if not pipe.is_closing():
            _receive(protocol, piece)
        await here.settle(lambda: True)
    if not pipe.is_closing():
        protocol.eof_received()
        pipe.close()
    await here.settle(lambda: pipe.ended.done() and asyncio.all_tasks() <= others)
    return bytes(pipe.got)


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode() + body


_QUESTION = json.dumps({"sentences": "intents: {A: {data: [{sentences: [go]}]}}", "text": "go"}).encode()
_CHUNKS = b'5;a=b\r\n{"a":\r\n3\r\n 1}\r\n0\r\nX: y\r\n\r\n'
_REQUESTS = [
    _request("GET / HTTP/1.1"),
    _request("GET /page/page.css?token=a%20b HTTP/1.1", "Authorization: Bearer x", "Cookie: a=b; c"),
    _request("GET /health HTTP/1.0", "Connection: keep-alive") + _request("HEAD /metrics HTTP/1.1", "Range: bytes=0-9"),
    _request("POST /try HTTP/1.1", f"Content-Length: {len(_QUESTION)}", "Expect: 100-continue", body=_QUESTION),
    _request("POST /try HTTP/1.1", "Transfer-Encoding: chunked", body=_CHUNKS),
    _request("POST /try HTTP/1.1", "Content-Encoding: deflate", "Content-Length: 10", body=zlib.compress(b"{}")),
    _request("OPTIONS * HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
    UPGRADE.format(host="localhost", more="Origin: http://localhost\r\n" + DEFLATE).encode() + frame(1, b"{}"),
]
_WORDS = (
    b"\r\n", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n", b"\t", b":",
    b"Origin: null\r\n", b"Content-Encoding: gzip\r\n", b"Content-Encoding: br\r\n", b"Expect: 100-continue\r\n",
    b"%00", b"..%2f", b"http://localhost:99999/", b"[::1", b"FFFFFFFFFFFFFFFF\r\n", b"Sec-WebSocket-Version: 99\r\n",
    b"Sec-WebSocket-Key: a\r\n", b"Content-Type: multipart/form-data; boundary=\r\n", b"CONNECT ", b"PRI * HTTP/2.0",
)  # fmt: skip


@target(lambda: _REQUESTS, *_WORDS)
def _http(data: bytes) -> None:
    """A connection's bytes, requests one after the other."""

    async def told() -> None:
        answer = await _connected(data)
        if re.search(rb"\nExpect:[^\r\n]*[\x80-\xff]", data, re.IGNORECASE):
            running().complaints.said.clear()  # aiohttp's own: it cannot quote what is no UTF-8, and answers 500
        elif re.search(rb"HTTP/1\.[01] 5(?!03|05|01)\d\d", answer):  # busy, another HTTP, another method
            raise Finding(f"answered with {answer[:300]!r}")

    running().run(told())


def _packed(first: int, form: int, payload: bytes) -> bytes:
    """A frame of a fuzzer's input: what `_frames` takes apart."""
    return struct.pack("<BBH", first, form, len(payload)) + payload


def _frames(data: bytes) -> bytes:
    """The frames that an input stands for."""
    sent, at = [], 0
    while at + 4 <= len(data) and len(sent) < 100:
        first, form, size = struct.unpack_from("<BBH", data, at)
        payload = data[at + 4 : at + 4 + size]
        at += 4 + size
        if form & 16:
            packer = zlib.compressobj(wbits=-15)
            payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        sent.append(
            frame(
                first & 15, payload, first=first & 0xF0, mask=None if form & 1 else payload[:4].ljust(4, b"m"),
                length=len(payload) + 7 if form & 2 else None, wide={0: 0, 1: 2, 2: 8, 3: 8}[form >> 2 & 3],
            )
        )  # fmt: skip
    return b"".join(sent)


_MESSAGES = [
    json.dumps(message).encode()
    for message in (
        {"type": "microphone", "on": True},
        {"type": "command", "text": "turn on the lights"},
        {"type": "act", "intent": "Volume", "slots": {"level": 50, "change": "up"}},
        {"type": "microphone", "on": False},
    )
]


def _conversations() -> list[bytes]:
    return [
        b"".join(_packed(0x81, 0, message) for message in _MESSAGES),
        _packed(0x81, 0, _MESSAGES[0]) + _packed(0x82, 4, bytes(640)) * 3 + _packed(0x88, 0, b"\x03\xe8bye"),
        _packed(0x01, 0, _MESSAGES[1][:9]) + _packed(0x89, 0, b"ping") + _packed(0x80, 0, _MESSAGES[1][9:]),
        _packed(0xC1, 16, _MESSAGES[2]) + _packed(0xC2, 16, bytes(9000)) + _packed(0x8A, 0, b""),
        _packed(0x81, 1, b"{}") + _packed(0x82, 2, b"a") + _packed(0x81, 8, b"\xff\xfe"),
    ]


@target(
    _conversations, b"\x81\x00\x02\x00{}", b"\x88\x00\x00\x00", b"\x00\x00\x00\x00", b'"slots":', b'"on": true', b"NaN"
)
def _websocket(data: bytes) -> None:
    """What a page sends: frames, behind a right upgrade."""
    sent = UPGRADE.format(host="localhost", more=DEFLATE if len(data) % 2 else "").encode() + _frames(data)

    async def told() -> None:
        answer = await _connected(sent)
        if not _is_abrupt(sent) and not answer.startswith(b"HTTP/1.1 101 "):
            raise Finding(f"no page: {answer[:300]!r}")

    running().run(told())


@target(
    lambda: _MESSAGES, b'"slots":', b'"level":', b"1e999", b"NaN", b'"\\ud800"', b"[" * 2000, b'"text":', b'"intent":'
)  # fmt: skip
def _message(data: bytes) -> None:
    """A page's text message, thousands a second."""
    from pynna.assistant.server import _Page

    async def told() -> None:
        server = running().server
        session = _Page(None, "fuzz", None)  # type: ignore[arg-type]
        with contextlib.suppress(ValueError, RecursionError, pynna.PynnaError):  # answered by Server._read
            server._command(session, data.decode("utf-8", "replace"))
        if session.microphone is not None:
            server.scheduler.leave(session.microphone)
        while not session.queue.empty():
            json.loads(session.queue.get_nowait())

    running().run(told())


def _event(kind: str, payload: bytes = b"", **data: Any) -> bytes:
    """An event of Wyoming, its data behind the head as its clients send it."""
    more = json.dumps(data).encode() if data else b""
    head: dict[str, Any] = {"type": kind, "version": "1.5.2"}
    head |= {"data_length": len(more)} if more else {}
    head |= {"payload_length": len(payload)} if payload else {}
    return json.dumps(head).encode() + b"\n" + more + payload


_FORMAT = {"rate": 16000, "width": 2, "channels": 1}
_EVENTS = [
    _event("describe"),
    _event("ping", text="a"),
    _event("transcribe", language="en", transcript_names=["Ann"], transcript_terms=["lamp"], vad_sensitivity="relaxed")
    + _event("audio-start", **_FORMAT) + _event("audio-chunk", bytes(640), **_FORMAT, timestamp=5) * 2
    + _event("audio-stop", timestamp=40),
    _event("detect", names=["jarvis"]) + _event("audio-start", **_FORMAT)
    + _event("audio-chunk", bytes(960), rate=48000, width=3, channels=2) + _event("audio-stop"),
    _event("select-program", name="car") + _event("recognize", text="turn on the lights", context={"a": 1}),
    b'{"type": "transcript", "data": {"text": "increase the volume"}}\n',
]  # fmt: skip


class _Client:
    """A StreamWriter's face, of a client that reads all."""

    def __init__(self) -> None:
        self.got = bytearray()

    def write(self, data: bytes) -> None:
        self.got += data[:1000]

    def writelines(self, data: Any) -> None:
        for each in data:
            self.write(each)

    def close(self) -> None: ...
    async def drain(self) -> None: ...


@cache
def _programs() -> Any:
    from pynna.assistant.wyoming import Programs

    server = running().server
    return Programs(server.model, {"car": server.assistant.grammar}, ("jarvis",))


@target(
    lambda: _EVENTS, b'"data_length": ', b'"payload_length": ', b'"rate": ', b'"width": ', b'"context": ', b"\n", b"-1",
    b'{"type": "audio-stop"}\n', b'{"type": "audio-start"}\n', b"1e400", b"null", b"[]", b'"vad_sensitivity": ',
)  # fmt: skip
def _wyoming(data: bytes) -> None:
    """A Wyoming connection's events."""
    from pynna.assistant.wyoming import Handler

    async def told() -> None:
        here = running()
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        client: Any = _Client()
        handler = asyncio.create_task(
            Handler(reader, client, scheduler=here.server.scheduler, programs=_programs()).run()
        )
        await here.settle(handler.done)
        with contextlib.suppress(ValueError):  # "ends a connection", says the reader
            await handler

    running().run(told())
