# SPDX-License-Identifier: Apache-2.0
"""Microphones that are heard while hostile clients do what they can, and what every answer carries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from pathlib import Path

import aiohttp
import pytest
from support.served import served, until

from pynna.assistant import run
from pynna.assistant import server as server_module
from pynna.audio.files import read

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from tests.fuzz.attack import HOSTILE, frames  # noqa: E402
from tests.fuzz.frames import frame  # noqa: E402


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_client_is_dropped_and_the_others_are_heard(what: str) -> None:
    async def scenario() -> None:
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            async with client.ws_connect("/ws") as page:
                await until(page, "hello")
                await HOSTILE[what](url.removeprefix("http://").rstrip("/"))
                await page.send_json({"type": "command", "text": "increase the volume"})
                while (await until(page, "done"))["intent"] != "VolumeUp":
                    pass  # what the other one said is told to all
            await asyncio.sleep(0.1)
            assert not server._sessions

    asyncio.run(scenario())


def test_microphones_are_heard_under_attack() -> None:
    """Four microphones speak while slow, half-open and flooding clients come and go: each is understood."""
    name = "increase_the_volume"
    pcm = read(next(path for path in run.demo_recordings() if path.stem == name)).pcm.tobytes() + bytes(32000)

    async def speak(client: aiohttp.ClientSession) -> str:
        async with client.ws_connect("/ws") as socket:
            me = (await until(socket, "hello"))["name"]
            await socket.send_json({"type": "microphone", "on": True})
            for at in range(0, len(pcm), 640):
                await socket.send_bytes(pcm[at : at + 640])
                await asyncio.sleep(0)
            while (done := await until(socket, "done", 60.0))["from"] != me:
                pass
            return str(done["intent"])

    async def attack(host: str) -> None:
        address, _, port = host.rpartition(":")
        open_ones = []
        try:
            while True:
                for start in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 4000):
                    _, writer = await asyncio.open_connection(address, int(port))
                    writer.write(start)
                    open_ones.append(writer)
                with contextlib.suppress(OSError, AssertionError, TimeoutError):
                    await frames(host, *[frame(9, b"x")] * 50, frame(8, b""))
                for writer in open_ones[:-100]:
                    writer.close()
                del open_ones[:-100]
                await asyncio.sleep(0.02)
        finally:
            for writer in open_ones:
                writer.close()

    async def scenario() -> None:
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            attacker = asyncio.create_task(attack(url.removeprefix("http://").rstrip("/")))
            heard = await asyncio.gather(*(speak(client) for _ in range(4)))
            assert not attacker.done()
            attacker.cancel()
            assert heard == ["VolumeUp"] * 4
            assert len(server.doors) <= server_module.MAX_CONNECTIONS

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "evil.example"}, 403),
        ("/ws", {"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ("/ws", {"Origin": "http://evil.example"}, 403),
        ("/ws", {"Origin": "null"}, 403),
        ("/page/../server.py", {}, 404),
        ("/page/%2e%2e%2fserver.py", {}, 404),
        ("/page/..%5cserver.py", {}, 404),
        ("/page/%00index.html", {}, 404),
        ("//etc/passwd", {}, 404),
        ("/", {}, 200),
        ("/", {"X": "\udc90"}, 400),
        ("/ws", {"Origin": "http://\udc90"}, 400),
    ],
)
def test_every_answer_has_the_headers(path: str, headers: dict[str, str], status: int) -> None:
    async def scenario() -> None:
        async with served() as (_, url):
            host = url.removeprefix("http://").rstrip("/")
            name, _, port = host.rpartition(":")
            reader, writer = await asyncio.open_connection(name, int(port))
            told = "".join(f"{key}: {value}\r\n" for key, value in {"Host": host, **headers}.items())
            writer.write(f"GET {path} HTTP/1.1\r\n{told}Connection: close\r\n\r\n".encode(errors="surrogateescape"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            writer.close()
            assert f" {status} " in head.splitlines()[0]
            for each in ("frame-ancestors 'none'", "x-frame-options: deny", "x-content-type-options: nosniff"):
                assert each in head
            assert "referrer-policy: no-referrer" in head

    asyncio.run(scenario())


def test_guesses_of_the_token_are_slow_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GUESS_SECONDS", 0.1)

    async def scenario() -> None:
        async with served(token="sixteen characters") as (server, url), aiohttp.ClientSession(url) as client:
            loop = asyncio.get_running_loop()
            start = loop.time()
            for guess in ("", "a", "sixteen character", "sixteen characters ", "\ud7ff"):
                async with client.get("/health", params={"token": guess}) as answer:
                    assert answer.status == 401
            assert loop.time() - start >= 0.5
            assert server.metrics.refused.labels("token")._value.get() == 5

    asyncio.run(scenario())


def test_nothing_that_is_said_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with served() as (_, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await until(page, "hello")
            for message in (
                {"type": "command", "text": "increase the volume"},
                {"type": "command", "text": "my secret"},
            ):
                await page.send_str(json.dumps(message))
                await until(page, "done")
            await page.send_str("{my secret")
            await until(page, "error")

    asyncio.run(scenario())
    assert "volume" not in caplog.text.lower() and "secret" not in caplog.text


def test_no_broken_request_is_logged_and_failures_are_no_flood(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with served() as (_, url), aiohttp.ClientSession(url) as client:
            host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
            for request in (
                b"GET /?token=secret HTTP/1.1\r\nHost: x\x04\r\n\r\n",
                b"POST /try HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
                b"POST /try HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
            ):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(request)
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.close()
            async with client.get("/health") as answer:
                assert answer.status == 200

    asyncio.run(scenario())
    assert not caplog.records
    for _ in range(20):
        run.http_log.error("a failure")
    assert len(caplog.records) == 1
