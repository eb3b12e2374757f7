# SPDX-License-Identifier: Apache-2.0
"""The Wyoming server, with the protocol's own client as its peer."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from support.wyoming_client import connected, next_event, say
from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

import pynna
from pynna.assistant import run
from pynna.assistant.wyoming import MAX_CONNECTIONS, serve


def _text(events: list[Event]) -> str:
    return next(Transcript.from_event(event).text for event in events if Transcript.is_type(event.type))


def test_it_describes_itself_and_answers_pings():
    async def scenario():
        async with connected() as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await next_event(client))
            assert info.asr[0].name == "pynna"
            assert info.asr[0].models[0].languages == ["en"]
            assert info.asr[0].supports_transcript_streaming
            await client.write_event(Ping(text="hello").event())
            assert Pong.from_event(await next_event(client)).text == "hello"

    asyncio.run(scenario())


@pytest.mark.parametrize("form", [{}, {"rate": 48000, "channels": 2}, {"rate": 22050}, {"width": 4}])
def test_audio_of_any_form_becomes_the_grammars_sentence(form):
    async def scenario():
        async with connected(pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)) as client:
            assert _text(await say(client, run.demo_recordings()[0], **form)) == "increase the volume"

    asyncio.run(scenario())


def test_streaming_chunks_put_together_are_the_transcript():
    async def scenario():
        async with connected() as client:
            for path in run.demo_recordings()[:3]:  # several requests on a connection
                events = await say(client, path)
                assert TranscriptStart.is_type(events[0].type)
                chunks = [TranscriptChunk.from_event(e).text for e in events if TranscriptChunk.is_type(e.type)]
                assert "".join(chunks) == _text(events) == pynna.load().transcribe(path).text

    asyncio.run(scenario())


def test_speech_outside_of_the_grammar_is_an_empty_transcript():
    async def scenario():
        async with connected(pynna.Grammar.from_sentences(["xylophone quartet"])) as client:
            assert _text(await say(client, run.demo_recordings()[1])) == ""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "events",
    [
        [AudioStop().event()],
        [Event(type="audio-chunk", data={}, payload=b"12")],
        [AudioChunk(rate=1, width=2, channels=1, audio=bytes(2000)).event()],
        [AudioChunk(rate=0, width=2, channels=1, audio=bytes(2000)).event()],
        [AudioChunk(rate=16000, width=5, channels=1, audio=bytes(2005)).event()],
        [AudioChunk(rate=16000, width=2, channels=0, audio=bytes(2000)).event()],
    ],
)
def test_what_is_wrong_is_told_as_an_error(events):
    async def scenario():
        async with connected() as client:
            for event in events:
                await client.write_event(event)
            answer = await next_event(client)
            while TranscriptStart.is_type(answer.type):
                answer = await next_event(client)
            assert Error.is_type(answer.type)
            assert Error.from_event(answer).text.startswith(events[-1].type)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff garbage\n",
        b"[]\n",
        b"{}\n",
        b"[" * 60000 + b"\n",
        b"x" * 100000,
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n' + bytes(1000),
        b'{"type": "audio-chunk", "data_length": "x"}\n',
        b'{"type": "ping", "data": [1]}\n',
        b'{"type": "audio-chunk", "payload_length": 100}\n',
    ],
)
def test_a_broken_event_ends_its_connection_only(data):
    async def scenario():
        async with connected() as client:
            host, port = client.host, client.port
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(data)
            writer.write_eof()
            assert b"transcript" not in await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await client.write_event(Ping(text="well").event())
            assert Pong.from_event(await next_event(client)).text == "well"

    asyncio.run(scenario())


def test_more_connections_than_there_are_places_are_told_so_and_leave_nothing_behind():
    async def scenario():
        async with connected() as client:
            before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
            peers = [AsyncTcpClient(client.host, client.port) for _ in range(MAX_CONNECTIONS + 8)]
            for peer in peers:
                await peer.connect()
                await peer.write_event(Ping(text="x").event())
            answers = [(await next_event(peer)).type for peer in peers]
            assert answers.count("error") == 9  # one place was taken
            for peer in peers:
                await peer.disconnect()
            async with asyncio.timeout(5):
                while sys.platform == "linux" and len(os.listdir("/proc/self/fd")) > before:
                    await asyncio.sleep(0.02)
            await client.write_event(Ping(text="well").event())
            assert Pong.from_event(await next_event(client)).text == "well"

    asyncio.run(scenario())


def test_a_wrong_address_is_named():
    with pytest.raises(pynna.ArgumentError, match="nowhere"):
        asyncio.run(serve(pynna.load(), "nowhere"))
    with pytest.raises(pynna.ArgumentError, match="0.0.0.0"):
        asyncio.run(serve(pynna.load(), "tcp://127.0.0.1:10300", zeroconf=True))


def test_it_is_found_in_the_local_network():
    from zeroconf import ServiceStateChange
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    async def scenario():
        try:
            network = AsyncZeroconf()
        except OSError as error:
            pytest.skip(f"this machine's network does no multicast: {error}")
        found: asyncio.Queue[str] = asyncio.Queue()

        def note(name: str, state_change: ServiceStateChange, **_: object) -> None:
            found.put_nowait(name)

        browser = AsyncServiceBrowser(network.zeroconf, "_wyoming._tcp.local.", handlers=[note])
        async with connected(zeroconf=True):
            async with asyncio.timeout(15):
                while not (await found.get()).startswith("pynna-"):
                    pass
        await browser.async_cancel()
        await network.async_close()

    asyncio.run(scenario())
