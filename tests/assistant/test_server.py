# SPDX-License-Identifier: Apache-2.0
"""The cluster's server, over real sockets: what it serves, who may come in, and what hostile clients cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
from dataclasses import replace

import aiohttp
import numpy as np
import pytest
from support.served import served, until

import pynna
from pynna.assistant import connection_limit, run
from pynna.assistant import server as server_module
from pynna.assistant.access import check_access
from pynna.assistant.connection_limit import MAX_CONNECTIONS
from pynna.assistant.server import MAX_MESSAGE, MAX_SESSIONS
from pynna.audio.files import read

FRAME = 640  # bytes of 20 ms


def _pcm(name: str) -> bytes:
    path = next(path for path in run.demo_recordings() if path.stem == name)
    return read(path).pcm.tobytes() + bytes(16000 * 2)


async def _speak(socket: aiohttp.ClientWebSocketResponse, pcm: bytes) -> None:
    for at in range(0, len(pcm), FRAME):
        await socket.send_bytes(pcm[at : at + FRAME])


def test_pages_health_and_metrics():
    async def scenario():
        async with served() as (_, url), aiohttp.ClientSession(url) as client:
            for path, kind in {
                "/": "text/html",
                "/page/cluster.js": "text/javascript",
                "/map": "application/json",
                "/page/cluster.css": "text/css",
                "/sentences": "application/json",
            }.items():
                async with client.get(path) as answer:
                    assert (answer.status, answer.content_type) == (200, kind)
                    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                    assert await answer.read()
            for path in ("/page/server.py", "/page/..%2fserver.py", "/page/none.js", "/secret"):
                async with client.get(path) as answer:
                    assert answer.status == 404
            async with client.get("/health") as answer:
                assert (await answer.json())["status"] == "ok"
            async with client.get("/metrics") as answer:
                text = await answer.text()
            for name in (
                "steps_total",
                "late_steps_total",
                "channels",
                "latency_seconds_bucket",
                'latency_recent_seconds{quantile="0.95"}',
            ):
                assert f"pynna_{name}" in text

    asyncio.run(scenario())


def test_a_spoken_command_changes_the_car_and_all_pages_see_it():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            async with client.ws_connect("/ws") as speaker, client.ws_connect("/ws") as viewer:
                assert (await until(speaker, "hello"))["car"]["volume"] == 40
                await speaker.send_json({"type": "microphone", "on": True})
                assert (await until(speaker, "microphone"))["on"]
                await _speak(speaker, _pcm("increase_the_volume"))
                heard = await until(viewer, "words")
                assert heard["from"] == "page 1"
                done = await until(viewer, "done")
                assert (done["intent"], done["reply"]) == ("VolumeUp", "Volume 50 percent")
                assert (await until(speaker, "state"))["car"]["volume"] == 50
                assert server.metrics.commands.labels("true")._value.get() == 1
            async with asyncio.timeout(5):
                while server.scheduler.microphones:  # a dropped connection frees its channel
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_commands_are_typed_and_clicked():
    async def scenario():
        async with served() as (_, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await page.send_json({"type": "command", "text": "Set the volume to twenty"})
            assert (await until(page, "state"))["car"]["volume"] == 20
            await page.send_json({"type": "act", "intent": "Undo"})
            assert (await until(page, "state"))["car"]["volume"] == 40
            await page.send_json({"type": "command", "text": "colorless green ideas"})
            assert not (await until(page, "done"))["understood"]

    asyncio.run(scenario())


def test_sixteen_microphones_share_a_group_and_each_hears_its_own():
    names = [path.stem for path in run.demo_recordings()]

    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            sockets = [await client.ws_connect("/ws") for _ in range(16)]
            for socket in sockets:
                await socket.send_json({"type": "microphone", "on": True})
                await until(socket, "microphone")
            assert [len(group) for group in server.scheduler.groups] == [16]
            async with client.ws_connect("/ws") as late:
                await late.send_json({"type": "microphone", "on": True})
                assert "16 microphones are taken" in (await until(late, "error"))["text"]
            said: dict[str, str] = {}

            async def listen() -> None:
                while len(said) < 16:
                    done = await until(sockets[0], "done", 30)
                    said[done["from"]] = done["text"]

            await asyncio.gather(listen(), *(_speak(s, _pcm(names[i % 12])) for i, s in enumerate(sockets)))
            assert [said[f"page {i + 1}"] for i in range(16)] == [names[i % 12].replace("_", " ") for i in range(16)]
            for socket in sockets:
                await socket.close()
            await asyncio.sleep(0.1)
            assert server.scheduler.groups == []

    asyncio.run(scenario())


# ---- who may come in ----


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_other_origins_and_hosts_are_refused(headers):
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await client.ws_connect("/ws", headers=headers)
            assert error.value.status == 403
            assert not server._sessions

    asyncio.run(scenario())


def test_a_token_is_asked_for():
    async def scenario():
        token = "0123456789abcdef"
        async with served(token=token) as (_, url), aiohttp.ClientSession(url) as client:
            for path in ("/", "/ws", "/metrics", "/?token=wrong"):
                async with client.get(path) as answer:
                    assert answer.status == 401
            async with client.get("/", params={"token": token}) as answer:
                assert answer.status == 200
            async with client.get("/health", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("0.0.0.0", None, None, None), "--token"),
        (("0.0.0.0", "short", None, None), "--token"),
        (("192.168.1.2", "0123456789abcdef", None, None), "--certificate"),
        (("127.0.0.1", None, "c.pem", None), "--key"),
        (("127.0.0.1", None, "c.pem", "k.pem"), "c.pem"),
    ],
)
def test_beyond_the_loopback_a_token_and_tls_are_needed(options, named):
    with pytest.raises(pynna.ArgumentError, match=named):
        check_access(*options)


def test_the_loopback_needs_nothing():
    assert check_access("127.0.0.1", None, None, None) is None
    assert check_access("localhost", None, None, None) is None


@pytest.mark.parametrize(
    ("share", "threshold", "aloud"),
    [(1.2, 0.15, True), (0.9, 0.15, True), (0.5, 0.15, True), (0.5, 0.5, True), (0.1, 0.15, False), (0.1, 0.5, False)],
)
def test_a_sentence_just_below_the_threshold_is_answered_aloud(share, threshold, aloud):
    """Whatever the threshold is: what is far below it may not have been said to the car."""

    async def scenario():
        model = pynna.load()
        server, said = server_module.Server(model), []

        async def speak(text: str) -> None:
            said.append(text)

        server.speak = speak
        stream = model.stream(grammar=server.assistant.grammar, threshold=threshold)
        stream.feed(read(next(p for p in run.demo_recordings() if p.stem == "mute" or "volume" in p.stem)).pcm)
        result = stream.finish()
        assert result.complete and result.threshold == threshold
        result = result.voted((replace(result.alternatives[0], confidence=share * threshold),))
        session = server.open_microphone("driver")
        server._heard(session, pynna.events.Final(1.0, 0.0, 1.0, result))
        await asyncio.sleep(0.05)
        assert bool(said) == aloud and (said == ["I didn't get that"]) == (aloud and share < 1)

    asyncio.run(scenario())


# ---- hostile clients ----


async def _alive(client: aiohttp.ClientSession) -> None:
    async with client.get("/health") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "1",
        '{"type": "fly"}',
        '{"type": "command"}',
        '{"type": "command", "text": 3}',
        '{"type": "act", "intent": "VolumeSet"}',
        '{"type": "act", "intent": "VolumeSet", "slots": {"level": NaN}}',
        '{"type": "act", "intent": "VolumeSet", "slots": {"level": "loud"}}',
        '{"type": "act", "intent": "Fly"}',
        '{"type": "act", "intent": "MediaPlay", "slots": {"genre": {"a": 1}}}',
        "[" * 20000,
        b"\x00",
        b"odd",
        b"",
    ],
)
def test_garbage_is_answered_with_an_error_and_changes_nothing(message):
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            before = server.assistant.car
            await (page.send_bytes(message) if isinstance(message, bytes) else page.send_str(message))
            assert (await until(page, "error"))["text"]
            assert server.assistant.car == before
            await page.send_json({"type": "command", "text": "mute"})
            assert (await until(page, "state"))["car"]["muted"]

    asyncio.run(scenario())


def test_noise_for_audio_and_half_samples_do_no_harm():
    async def scenario():
        noise = np.random.default_rng(1).integers(-32768, 32767, 16000).astype("<i2").tobytes()
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await page.send_json({"type": "microphone", "on": True})
            await _speak(page, noise)
            await page.send_bytes(b"odd")
            assert "half a sample" in (await until(page, "error"))["text"]
            assert len(server.scheduler.microphones) == 1
            await _alive(client)

    asyncio.run(scenario())


def test_a_huge_message_ends_its_connection_only():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            page = await client.ws_connect("/ws")
            await page.send_bytes(bytes(MAX_MESSAGE + 2))
            async with asyncio.timeout(5):
                while (await page.receive()).type is not aiohttp.WSMsgType.CLOSE:
                    pass
            await page.close()
            await _alive(client)
            assert not server._sessions

    asyncio.run(scenario())


def test_a_flood_of_messages_is_held_back():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            for _ in range(100):
                await page.send_json({"type": "command", "text": "volume up"})
            assert "messages a second" in (await until(page, "error"))["text"]
            while server.metrics.refused.labels("message")._value.get() < 50:  # all are counted, one is answered
                await asyncio.sleep(0.01)
            await _alive(client)

    asyncio.run(scenario())


def test_more_sessions_than_there_are_places_are_refused_and_leave_nothing_behind():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            sockets = []
            refused = 0
            for _ in range(MAX_SESSIONS + 20):
                try:
                    sockets.append(await client.ws_connect("/ws"))
                except aiohttp.WSServerHandshakeError as error:
                    assert error.status == 503
                    refused += 1
            assert (len(sockets), refused) == (MAX_SESSIONS, 20)
            for socket in sockets:
                await socket.close()
            async with asyncio.timeout(5):
                while server._sessions:
                    await asyncio.sleep(0.01)
            await _alive(client)

    asyncio.run(scenario())


def test_a_slow_reader_is_dropped():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:
            host, port = url.removeprefix("http://").strip("/").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(
                (
                    f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                ).encode()
            )
            await reader.readline()  # and never more
            async with client.ws_connect("/ws") as other:
                async with asyncio.timeout(20):
                    while len(server._sessions) > 1 or not server._sessions:
                        for _ in range(200):
                            server.broadcast({"type": "level", "from": "x" * 5000, "level": 0})
                        await until(other, "level")
                        await asyncio.sleep(0.01)
                        while not next(iter(server._sessions)).queue.empty() and len(server._sessions) == 1:
                            await asyncio.wait_for(other.receive(), 5)
                assert server.metrics.refused.labels("slow")._value.get() == 1
            writer.close()
            await _alive(client)

    asyncio.run(scenario())


async def _idle(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that says nothing."""
    host, port = url.removeprefix("http://").strip("/").split(":")
    return await asyncio.open_connection(host, int(port))


def test_thousands_of_idle_connections_shut_nobody_out_and_leave_nothing_behind():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    n = min(2000, limit - 500)

    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await until(page, "hello")
            tasks = len(asyncio.all_tasks())
            peers = []
            for _ in range(n):
                with contextlib.suppress(ConnectionError):
                    peers.append(await _idle(url))
                assert len(server.doors) <= MAX_CONNECTIONS
            await page.send_json({"type": "command", "text": "mute"})
            assert (await until(page, "state"))["car"]["muted"]
            await _alive(client)
            for _, writer in peers:
                writer.close()
            async with asyncio.timeout(10):
                while len(server.doors) > 1 or len(asyncio.all_tasks()) > tasks + 2:  # the client's own may idle
                    await asyncio.sleep(0.02)

    asyncio.run(scenario())


def test_who_takes_too_long_over_a_request_is_dropped_and_sessions_are_not(monkeypatch):
    monkeypatch.setattr(connection_limit, "MAX_REQUEST_SECONDS", 0.4)

    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            reader, writer = await _idle(url)
            writer.write(b"GET /health HTTP/1.1\r\nHost: local")
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await asyncio.sleep(0.5)
            assert not server.doors
            await page.send_json({"type": "command", "text": "mute"})
            assert (await until(page, "state"))["car"]["muted"]

    asyncio.run(scenario())


def test_microphones_that_break_off_leave_nothing_behind():
    async def scenario():
        noise = np.random.default_rng(1).integers(-9000, 9000, 16000).astype("<i2").tobytes()
        async with served() as (server, url), aiohttp.ClientSession(url) as client:

            async def once() -> None:
                page = await client.ws_connect("/ws")
                await page.send_json({"type": "microphone", "on": True})
                await until(page, "microphone")
                for at in range(0, len(noise), FRAME):
                    await page.send_bytes(noise[at : at + FRAME])
                page._response.connection.transport.abort()  # as if the cable were pulled

            await once()
            before = len(asyncio.all_tasks())
            for _ in range(40):
                await once()
            async with asyncio.timeout(10):
                while server.scheduler.microphones or server._sessions or len(asyncio.all_tasks()) > before + 1:
                    await asyncio.sleep(0.02)
            assert server.scheduler.groups == []
            await _alive(client)

    asyncio.run(scenario())


def test_fahrenheit_is_heard_by_microphones_that_are_open():
    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await page.send_json({"type": "microphone", "on": True})
            await until(page, "microphone")
            await page.send_json({"type": "command", "text": "use fahrenheit"})
            await until(page, "state")
            grammar = server.scheduler.microphones[0].listener.options.grammar
            assert grammar.parse("set the temperature to seventy degrees")
            await page.send_json({"type": "act", "intent": "Undo"})
            await until(page, "state")
            grammar = server.scheduler.microphones[0].listener.options.grammar
            assert not grammar.parse("set the temperature to seventy degrees")

    asyncio.run(scenario())


def test_what_is_said_is_bounded():
    async def scenario():
        said, go_on = [], asyncio.Event()

        async def speak(text: str) -> None:
            said.append(text)
            await go_on.wait()

        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            server.speak = speak
            for _ in range(10):
                await page.send_json({"type": "command", "text": "volume up"})
                await until(page, "state")
            assert (len(said), server.speaking) == (3, 3)
            go_on.set()
            await asyncio.sleep(0.05)
            assert server.speaking == 0

    asyncio.run(scenario())


def test_messages_hold_only_what_json_knows():
    async def scenario():
        async with served() as (_, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            for sentence in ("take me to the airport", "set a timer for five minutes", "defrost the windshield"):
                await page.send_json({"type": "command", "text": sentence})
                text = json.dumps(await until(page, "state"), allow_nan=False)
                assert json.loads(text)["car"]

    asyncio.run(scenario())
