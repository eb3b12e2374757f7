"""Speech to text for Home Assistant: a server of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any
from urllib.parse import urlparse

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer, AsyncTcpServer

from pynna.assistant.scheduler import Scheduler
from pynna.assistant.session import RequestSession
from pynna.errors import ArgumentError, PynnaError
from pynna.grammar import Grammar
from pynna.model import Model

LONGEST = 120.0
"""Seconds of audio in one request."""

MAX_CONNECTIONS = 32
CATCH_UP = 16  # steps at most in a turn: clients that send a recording need not wait as long as it lasts
MAX_PAYLOAD = 4 << 20  # bytes of one event
IDLE = 300.0  # seconds without an event, or without a reader for an answer, after which a connection ends
_RATES, _WIDTHS, _CHANNELS = range(4000, 192001), (1, 2, 4), range(1, 9)

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


class _Reader:
    """A StreamReader that takes no event larger than is right; ValueError ends a connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.feed_eof = reader.feed_eof

    async def readline(self) -> bytes:
        return await asyncio.wait_for(self._reader.readline(), IDLE)

    async def readexactly(self, n: int) -> bytes:
        if not isinstance(n, int) or n > MAX_PAYLOAD:
            raise ValueError(f"an event of {n} bytes; at most {MAX_PAYLOAD} are right")
        return await asyncio.wait_for(self._reader.readexactly(n), IDLE)


class Handler(AsyncEventHandler):
    """One connection: describe, ping, and audio that becomes text, partial texts while it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, scheduler: Scheduler,
                 grammar: Grammar | None = None, others: set[Handler] | None = None) -> None:
        super().__init__(_Reader(reader), writer)  # type: ignore[arg-type]
        self._others = set() if others is None else others
        self._scheduler = scheduler
        self._grammar = grammar
        self._session: RequestSession | None = None
        self._converter = self._new_converter()
        self._told = ""
        self._over = False

    async def run(self) -> None:
        """Answers events until the client has gone, or does what it may not."""
        try:
            if len(self._others) >= MAX_CONNECTIONS:
                await self.write_event(Error(text=f"all {MAX_CONNECTIONS} connections are taken", code="busy").event())
                self.writer.close()
                return
            self._others.add(self)
            await super().run()
        except (OSError, EOFError, asyncio.TimeoutError, ArithmeticError, LookupError, AttributeError, TypeError,
                RecursionError) as error:  # what the protocol's reader makes of a broken event
            _log.debug("a connection ends: %r", error)
        finally:
            self._others.discard(self)
            self._leave()
            self.writer.close()

    def _leave(self) -> None:
        if self._session is not None:
            self._scheduler.leave(self._session)
            self._session = None

    def _new_converter(self) -> AudioChunkConverter:
        return AudioChunkConverter(rate=self._scheduler.model.sample_rate, width=2, channels=1)

    async def write_event(self, event: Event) -> None:
        """Sends an event; a client that reads nothing for long is given up."""
        await asyncio.wait_for(super().write_event(event), IDLE)

    async def handle_event(self, event: Event) -> bool:
        """Answers an event; False ends the connection."""
        try:
            return await self._handle(event)
        except (PynnaError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            await self.write_event(Error(text=f"{event.type}: {error}", code=type(error).__name__).event())
            return False

    async def _handle(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(info(self._scheduler.model).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._leave()
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
        self._leave()
        self._session = self._scheduler.open_request("wyoming", self._grammar)
        self._told, self._over = "", False
        self._converter = self._new_converter()
        await self.write_event(TranscriptStart(language="en").event())

    async def _chunk(self, chunk: AudioChunk) -> None:
        if self._session is None:
            await self._start()
        assert self._session is not None
        if self._session.stream.duration > LONGEST:
            raise ValueError(f"more than {LONGEST:.0f} seconds of audio in a request; send audio-stop before")
        if chunk.rate not in _RATES or chunk.width not in _WIDTHS or chunk.channels not in _CHANNELS:
            raise ValueError(f"audio of {chunk.rate} Hz, {chunk.width} bytes, {chunk.channels} channels; "
                             "4000 to 192000 Hz, 1, 2 or 4 bytes, 1 to 8 channels are right")
        pcm = self._converter.convert(chunk).audio
        await self._session.feed(pcm)
        if self._grammar is None:  # a text that only grows: a grammar's may still change
            await self._tell(self._session.stream.partial().text.rpartition(" ")[0])

    async def _tell(self, text: str) -> None:
        """The part that is new; one that has changed waits for the end."""
        if text.startswith(self._told) and len(text) > len(self._told):
            await self.write_event(TranscriptChunk(text=text[len(self._told) :]).event())
            self._told = text

    async def _stop(self) -> None:
        if self._session is None:
            raise ValueError("audio-stop came without audio")
        result: Any = await self._session.finish()
        self._leave()
        text = result.text if getattr(result, "accepted", True) else ""
        await self._tell(text)
        await self.write_event(Transcript(text=text, language="en").event())
        await self.write_event(TranscriptStop().event())


def is_reachable(uri: str) -> bool:
    """Whether other machines reach an address."""
    found = urlparse(uri)
    return found.scheme == "tcp" and found.hostname not in (None, "localhost", "::1") and (
        not str(found.hostname).startswith("127."))


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
        Not such an address, or one that is to be announced and that others cannot reach.
    """
    if zeroconf and not is_reachable(uri):
        raise ArgumentError(f"nobody in the network reaches {uri}; to be found, serve at tcp://0.0.0.0:10300")
    if grammar is not None:
        grammar.graph(model.labels)
    try:
        server = AsyncServer.from_uri(uri)
    except ValueError as error:
        raise ArgumentError(f"{uri!r} is no address to serve at: {error}; tcp://127.0.0.1:10300 is one") from None
    scheduler = Scheduler(model, channels=MAX_CONNECTIONS, catch_up=CATCH_UP)
    stepping = asyncio.create_task(scheduler.run())
    await server.start(functools.partial(Handler, scheduler=scheduler, grammar=grammar, others=set()))
    try:
        if zeroconf and isinstance(server, AsyncTcpServer):
            from wyoming.zeroconf import HomeAssistantZeroconf

            await HomeAssistantZeroconf(name=f"pynna-{server.port}", port=server.port, host=None).register_server()
        if ready is not None:
            ready(uri)
        await asyncio.Event().wait()
    finally:
        stepping.cancel()
        with contextlib.suppress(Exception):
            await server.stop()
