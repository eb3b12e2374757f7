# SPDX-License-Identifier: Apache-2.0
"""A running Wyoming server for the tests, and its protocol's own client."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from wyoming.asr import Transcribe, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

import pynna
from pynna.assistant.wyoming import serve
from pynna.audio.files import read


@contextlib.asynccontextmanager
async def connected(grammar=None, zeroconf=False, model=None, **options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ready = asyncio.Event()
    host = "0.0.0.0" if zeroconf else "127.0.0.1"
    running = asyncio.create_task(
        serve(
            model or pynna.load(),
            f"tcp://{host}:{port}",
            grammar=grammar,
            zeroconf=zeroconf,
            ready=lambda _: ready.set(),
            **options,
        )
    )
    await asyncio.wait_for(ready.wait(), 20)
    try:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            yield client
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def next_event(client: AsyncTcpClient) -> Event:
    event = await asyncio.wait_for(client.read_event(), 10)
    assert event is not None
    return event


async def say(client: AsyncTcpClient, path, rate: int = 16000, width: int = 2, channels: int = 1) -> list[Event]:
    audio = read(path, sample_rate=rate)
    pcm = audio.pcm.repeat(channels)
    data = pcm.tobytes() if width == 2 else (pcm.astype("<i4") << 16).tobytes()
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(rate=rate, width=width, channels=channels).event())
    size = rate // 10 * width * channels
    for at in range(0, len(data), size):
        await client.write_event(
            AudioChunk(rate=rate, width=width, channels=channels, audio=data[at : at + size]).event()
        )
    await client.write_event(AudioStop().event())
    events = [await next_event(client)]
    while not TranscriptStop.is_type(events[-1].type):
        events.append(await next_event(client))
    return events
