"""Speech to text for Home Assistant: a server of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer, AsyncTcpServer

from pynna.errors import ArgumentError, PynnaError
from pynna.grammar import Grammar
from pynna.model import Model
from pynna.stream import Stream

LONGEST = 120.0
"""Seconds of audio in one request."""

_log = logging.getLogger("pynna.wyoming")


def info(model: Model) -> Info:
    """What is told of this server."""
    attribution = Attribution(name="pynna", url="")
    version = metadata.version("pynna")
    asr = AsrModel(name=model.name, attribution=attribution, installed=True, description=None, version=version,
                   languages=["en"])
    program = AsrProgram(name="pynna", attribution=attribution, installed=True, version=version, models=[asr],
                         description="LSTM speech recognition in 20 ms steps", supports_transcript_streaming=True)
    return Info(asr=[program])


class Handler(AsyncEventHandler):
    """One connection: describe, ping, and audio that becomes text, partial texts while it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, model: Model,
                 grammar: Grammar | None = None) -> None:
        super().__init__(reader, writer)
        self._model = model
        self._options = {} if grammar is None else {"grammar": grammar}
        self._stream: Stream | None = None
        self._converter = AudioChunkConverter(rate=model.sample_rate, width=2, channels=1)
        self._told = ""
        self._over = False

    async def handle_event(self, event: Event) -> bool:
        """Answers an event; False ends the connection."""
        try:
            return await self._handle(event)
        except (PynnaError, ValueError, KeyError, TypeError) as error:
            await self.write_event(Error(text=f"{event.type}: {error}", code=type(error).__name__).event())
            return False

    async def _handle(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(info(self._model).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._stream = None
        elif AudioStart.is_type(event.type):
            await self._start()
        elif AudioChunk.is_type(event.type):
            await self._chunk(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._stop()
        else:
            _log.debug("event %s is not for speech to text", event.type)
        return True

    async def _start(self) -> None:
        self._stream, self._told, self._over = self._model.stream(**self._options), "", False
        self._converter = AudioChunkConverter(rate=self._model.sample_rate, width=2, channels=1)
        await self.write_event(TranscriptStart(language="en").event())

    async def _chunk(self, chunk: AudioChunk) -> None:
        if self._stream is None:
            await self._start()
        assert self._stream is not None
        if self._stream.duration > LONGEST:
            raise ValueError(f"more than {LONGEST:.0f} seconds of audio in a request; send audio-stop before")
        pcm = self._converter.convert(chunk).audio
        await asyncio.to_thread(self._stream.feed, pcm)
        if not self._options:  # a text that only grows: a grammar's may still change
            await self._tell(self._stream.partial().text.rpartition(" ")[0])

    async def _tell(self, text: str) -> None:
        """The part that is new; one that has changed waits for the end."""
        if text.startswith(self._told) and len(text) > len(self._told):
            await self.write_event(TranscriptChunk(text=text[len(self._told) :]).event())
            self._told = text

    async def _stop(self) -> None:
        if self._stream is None:
            raise ValueError("audio-stop came without audio")
        result: Any = await asyncio.to_thread(self._stream.finish)
        self._stream = None
        text = result.text if getattr(result, "accepted", True) else ""
        await self._tell(text)
        await self.write_event(Transcript(text=text, language="en").event())
        await self.write_event(TranscriptStop().event())


async def serve(model: Model, uri: str, *, grammar: Grammar | None = None, zeroconf: bool = False,
                ready: Callable[[str], None] | None = None) -> None:
    """Serves until cancelled.

    Parameters
    ----------
    uri : str
        "tcp://HOST:PORT" or "unix://PATH".
    grammar : Grammar, optional
        The sentences that may be said: others give an empty transcript.
    zeroconf : bool
        Announces the server in the local network, as Home Assistant looks for it. Only for TCP.

    Raises
    ------
    ArgumentError
        Not such an address.
    """
    if grammar is not None:
        grammar.graph(model.labels)
    try:
        server = AsyncServer.from_uri(uri)
    except ValueError as error:
        raise ArgumentError(f"{uri!r} is no address to serve at: {error}; tcp://127.0.0.1:10300 is one") from None
    await server.start(functools.partial(Handler, model=model, grammar=grammar))
    try:
        if zeroconf and isinstance(server, AsyncTcpServer):
            from wyoming.zeroconf import HomeAssistantZeroconf

            await HomeAssistantZeroconf(name=f"pynna-{server.port}", port=server.port, host=None).register_server()
        if ready is not None:
            ready(uri)
        await asyncio.Event().wait()
    finally:
        with contextlib.suppress(Exception):
            await server.stop()
