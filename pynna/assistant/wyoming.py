# SPDX-License-Identifier: Apache-2.0
"""Speech to text, intents and wake words for Home Assistant: a server of the Wyoming protocol."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlparse

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.intent import Recognize
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer, AsyncStdioServer, AsyncTcpServer, AsyncUnixServer
from wyoming.wake import Detect, Detection, NotDetected

from pynna.assistant.health import serve_health
from pynna.assistant.scheduler import BusyError, Scheduler
from pynna.assistant.session import MicrophoneSession, RequestSession
from pynna.assistant.stopping import on_sigterm
from pynna.assistant.wyoming_intents import answers
from pynna.assistant.wyoming_programs import Programs
from pynna.audio.converter import PcmConverter
from pynna.errors import ArgumentError, PynnaError
from pynna.events import Event as Heard
from pynna.events import Final
from pynna.grammar import Grammar
from pynna.grammar.normalise import normalise
from pynna.model import Model

MAX_REQUEST_SECONDS = 120.0
"""Seconds of audio in one request."""

CHANNELS = MAX_CONNECTIONS = 32
CATCH_UP = 16  # steps at most in a turn: clients that send a recording need not wait as long as it lasts
MAX_PAYLOAD = 4 << 20  # bytes of one event
LINGER, MAX_UNREAD = 1.0, 1 << 16  # seconds and bytes of a client that is refused, before its connection is closed
IDLE = 300.0  # seconds without an event, or without a reader for an answer, after which a connection ends
MAX_BIAS, NAME_BOOST, TERM_BOOST = 500, 6.0, 3.0
"""Words at most that a client may ask to expect, and the nats that a name and a term get."""

SILENCES = {"default": (0.7, 0.4), "relaxed": (1.25, 0.8), "aggressive": (0.4, 0.25)}
"""Seconds without a new letter after which a request is answered before its audio ends, by the client's
``vad_sensitivity``: without a grammar, and after a whole sentence of the grammar."""

_log = logging.getLogger("pynna.wyoming")


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
    """One connection: describe, ping, audio that becomes text or a wake word, and text that becomes intents."""

    _refused: ClassVar[set[Handler]] = set()

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        scheduler: Scheduler,
        programs: Programs,
        others: set[Handler] | None = None,
    ) -> None:
        super().__init__(_Reader(reader), writer)  # type: ignore[arg-type]
        self._others = set() if others is None else others
        self._scheduler, self._programs = scheduler, programs
        self._program: str | None = None
        self._grammar: Grammar | None = None
        self._request = Transcribe()
        self._session: RequestSession | None = None
        self._wake: MicrophoneSession | None = None
        self._wanted: tuple[str, ...] | None = None  # wake words, while those are asked for
        self._detected: str | None = None
        self._converter = PcmConverter(scheduler.model.sample_rate)
        self._told, self._said, self._said_at = "", "", 0.0
        self._answered = False

    async def run(self) -> None:
        """Answers events until the client has gone, or does what it may not."""
        try:
            most = max(MAX_CONNECTIONS, self._scheduler.channels)
            if len(self._others) >= most:
                self._scheduler.metrics.refused.labels("sessions").inc()
                await self._refuse(Error(text=f"all {most} connections are taken", code="busy").event())
                return
            self._others.add(self)
            await super().run()
        except (
            OSError,
            EOFError,
            asyncio.TimeoutError,
            ArithmeticError,
            LookupError,
            AttributeError,
            TypeError,
            RecursionError,
        ) as error:  # what the protocol's reader makes of a broken event
            _log.debug("a connection ends: %r", error)
        finally:
            self._others.discard(self)
            self.leave()
            self.writer.close()

    async def _refuse(self, event: Event) -> None:
        """Tells why, and waits a moment for the client to go: what it sends meanwhile would reset the connection, and
        what it was told be lost."""
        await self.write_event(event)
        if len(self._refused) < MAX_CONNECTIONS:
            self._refused.add(self)
            try:
                self.writer.write_eof()
                await asyncio.wait_for(self.reader.readexactly(MAX_UNREAD), LINGER)
            finally:
                self._refused.discard(self)

    def leave(self) -> None:
        """Gives the places back that audio under way takes."""
        for session in (self._session, self._wake):
            if session is not None:
                self._scheduler.leave(session)
        self._session = self._wake = None

    async def let_go(self) -> bool:
        """Tells a client that nothing is owed to that the server is being stopped; whether it was one."""
        if self._session is not None or (self._wake is not None and not self._wake.is_quiet):
            return False
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await self.write_event(Error(text="the server is being stopped; connect again", code="draining").event())
        self.writer.close()
        return True

    async def write_event(self, event: Event) -> None:
        """Sends an event; a client that reads nothing for long is given up."""
        await asyncio.wait_for(super().write_event(event), IDLE)

    async def handle_event(self, event: Event) -> bool:
        """Answers an event; False ends the connection."""
        try:
            return await self._handle(event)
        except BusyError as refused:
            text = f"{event.type}: {refused}; again after {refused.retry_after} s"
            await self.write_event(Error(text=text, code=refused.reason).event())
            return False
        except (PynnaError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            await self.write_event(Error(text=f"{event.type}: {error}", code=type(error).__name__).event())
            return False

    async def _handle(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(self._programs.info().event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif event.type == "select-program":
            name = str((event.data or {}).get("name", ""))
            self._programs.get(name)
            self._program = name
        elif Transcribe.is_type(event.type):
            self.leave()
            self._request, self._wanted = Transcribe.from_event(event), None
        elif Detect.is_type(event.type):
            self.leave()
            self._wanted = self._wake_words(Detect.from_event(event).names)
        elif event.type in ("recognize", "transcript"):
            await self._understand(event)
        elif AudioStart.is_type(event.type):
            await self._start()
        elif AudioChunk.is_type(event.type):
            await self._chunk(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._stop()
        else:
            _log.debug("event %s is not for this server", event.type)
        return True

    # ---- intents -----------------------------------------------------------------------------------------------------

    async def _understand(self, event: Event) -> None:
        asked = Recognize.from_event(event)
        grammar = self._programs.get(self._program)
        for answer in answers(grammar, str(asked.text), asked.context, recognize=Recognize.is_type(event.type)):
            await self.write_event(answer)

    # ---- audio -------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self.leave()
        self._converter = PcmConverter(self._scheduler.model.sample_rate)
        self._told, self._said, self._said_at, self._answered = "", "", 0.0, False
        if self._wanted is not None:
            self._detected = None
            self._wake = self._scheduler.open_microphone("wyoming", self._heard, self._programs.wake_grammar)
            return
        self._grammar = self._programs.get(self._program)
        self._session = self._scheduler.open_request("wyoming", self._grammar)
        self._session.stream.hot_words = self._expected()
        await self.write_event(TranscriptStart(language=self._programs.language).event())

    async def _chunk(self, chunk: AudioChunk) -> None:
        if self._answered:
            return
        if self._session is None and self._wake is None:
            await self._start()
        pcm = self._converter.convert(chunk.audio, chunk.rate, chunk.width, chunk.channels)
        if self._wake is not None:
            await self._wake.feed(pcm)
            await self._tell_detection(chunk.timestamp)
            return
        assert self._session is not None
        if self._session.stream.duration > MAX_REQUEST_SECONDS:
            raise ValueError(
                f"more than {MAX_REQUEST_SECONDS:.0f} seconds of audio in a request; send audio-stop before"
            )
        await self._session.feed(pcm)
        await self._hear_end(self._session)

    async def _stop(self) -> None:
        if self._answered:
            self._answered = False
        elif self._wake is not None:
            for event in self._wake.listener.finish():
                self._heard(self._wake, event)
            await self._tell_detection(None)
            if not self._answered:
                await self.write_event(NotDetected().event())
            self.leave()
            self._answered = False
        elif self._session is None:
            raise ValueError("audio-stop came without audio")
        else:
            await self._answer(self._session)
            self._answered = False

    # ---- speech to text ----------------------------------------------------------------------------------------------

    def _expected(self) -> dict[str, float]:
        """The client's names and terms as hot words, those that the model can spell."""
        letters = frozenset("".join(self._scheduler.model.labels))
        found: dict[str, float] = {}
        request = self._request
        for words, boost in ((request.transcript_terms, TERM_BOOST), (request.transcript_names, NAME_BOOST)):
            for word in (words or ())[:MAX_BIAS]:
                spelled = normalise(str(word), self._programs.language, letters).strip()
                if spelled and letters.issuperset(spelled):
                    found[spelled] = boost
        return found

    async def _hear_end(self, session: RequestSession) -> None:
        """Tells what is new, and answers where nothing has been added for a while."""
        partial: Any = session.stream.partial()
        heard_until = session.stream.duration - session.channel.lag
        if partial.text != self._said:
            self._said, self._said_at = partial.text, heard_until
        if self._grammar is None:  # a text that only grows: a grammar's may still change
            await self._tell(partial.text.rpartition(" ")[0])
        silences = SILENCES.get(
            str(getattr(self._request.vad_sensitivity, "value", self._request.vad_sensitivity)), SILENCES["default"]
        )
        needed = silences[0] if self._grammar is None else silences[1]
        if partial.text and heard_until - self._said_at >= needed and getattr(partial, "accepted", True):
            await self._answer(session)

    async def _tell(self, text: str) -> None:
        """The part that is new; one that has changed waits for the end."""
        if text.startswith(self._told) and len(text) > len(self._told):
            await self.write_event(TranscriptChunk(text=text[len(self._told) :]).event())
            self._told = text

    async def _answer(self, session: RequestSession) -> None:
        result: Any = await session.finish()
        self.leave()
        self._answered = True
        text = result.text if getattr(result, "accepted", True) else ""
        await self._tell(text)
        await self.write_event(Transcript(text=text, language=self._programs.language).event())
        await self.write_event(TranscriptStop().event())

    # ---- wake words --------------------------------------------------------------------------------------------------

    def _wake_words(self, names: list[str] | None) -> tuple[str, ...]:
        known = self._programs.wake_words
        wanted = tuple(name for name in names or known if name in known)
        if not wanted:
            raise ValueError(f"the wake words are {', '.join(known) or 'none'}, got {', '.join(names or ()) or 'none'}")
        return wanted

    def _heard(self, session: MicrophoneSession, event: Heard[Any]) -> None:
        if isinstance(event, Final) and event.result.accepted:
            said = event.result.intent
            self._detected = next((w for w in self._wanted or () if normalise(w).strip() == said), self._detected)

    async def _tell_detection(self, timestamp: int | None) -> None:
        if self._detected is not None and not self._answered:
            self._answered = True
            await self.write_event(Detection(name=self._detected, timestamp=timestamp).event())


def is_reachable(uri: str) -> bool:
    """Whether other machines reach an address."""
    found = urlparse(uri)
    return (
        found.scheme == "tcp"
        and found.hostname not in (None, "localhost", "::1")
        and (not str(found.hostname).startswith("127."))
    )


async def serve(
    model: Model,
    uri: str,
    *,
    grammar: Grammar | None = None,
    zeroconf: bool = False,
    ready: Callable[[str], None] | None = None,
    programs: Programs | None = None,
    channels: int = CHANNELS,
    metrics: str | None = None,
    drain: float | None = None,
) -> None:
    """Serves until cancelled; over standard input and output until that ends.

    Parameters
    ----------
    uri : str
        "tcp://HOST:PORT", "unix://PATH" or "stdio://".
    grammar : Grammar, optional
        The sentences that may be said: others give an empty transcript.
    zeroconf : bool
        Announces the server in the local network, as Home Assistant looks for it. Only for TCP.
    ready : callable, optional
        Is told the address when clients may come, and then that of the metrics.
    programs : Programs, optional
        Several grammars that clients may select, and wake words; in place of `grammar`.
    channels : int
        Requests and wake words listened for at once; who is one too many gets an `error` event.
    metrics : str, optional
        HOST:PORT at which `/metrics`, `/healthz` and `/readyz` are served.
    drain : float, optional
        After SIGTERM requests under way are answered, in so many seconds at most; then it ends.

    Raises
    ------
    ArgumentError
        Not such an address, one that is taken, or one that is to be announced and that others cannot reach.
    """
    server = _server(uri, zeroconf)
    programs = programs or Programs(model, {} if grammar is None else {"pynna": grammar})
    scheduler = Scheduler(model, channels=channels, catch_up=CATCH_UP)
    stepping = asyncio.create_task(scheduler.run())
    others: set[Handler] = set()
    make = functools.partial(Handler, scheduler=scheduler, programs=programs, others=others)
    health, told, tell = None, list[str](), ready or (lambda _: None)
    try:
        if isinstance(server, AsyncStdioServer):
            await server.run(make)
            return
        health = None if metrics is None else await serve_health(scheduler, metrics, told.append)
        await _start(server, make, zeroconf)
        for address in (uri, *told):
            tell(address)
        await _until_stopped(scheduler, others, drain)
    finally:
        stepping.cancel()
        if health is not None:
            await health.cleanup()
        with contextlib.suppress(Exception):
            await server.stop()


def _server(uri: str, zeroconf: bool) -> AsyncServer:
    if zeroconf and not is_reachable(uri):
        raise ArgumentError(f"nobody in the network reaches {uri}; to be found, serve at tcp://0.0.0.0:10300")
    try:
        server = AsyncServer.from_uri(uri)
    except ValueError as error:
        raise ArgumentError(f"{uri!r} is no address to serve at: {error}; tcp://127.0.0.1:10300 is one") from None
    if isinstance(server, AsyncUnixServer):  # which would remove whatever file stands there
        path = server.socket_path
        if path.exists() and not path.is_socket():
            raise ArgumentError(f"{uri}: a file that is no socket must not stand there")
        if not path.parent.is_dir():
            raise ArgumentError(f"{uri}: there is no folder {path.parent}")
    if isinstance(server, AsyncStdioServer) and not all(map(_is_pipe, (0, 1))):
        raise ArgumentError(f"{uri} needs pipes: a program that starts it and talks over standard input and output")
    return server


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


async def _start(server: AsyncServer, make: Callable[..., Handler], zeroconf: bool) -> None:
    await server.start(make)
    if zeroconf and isinstance(server, AsyncTcpServer):
        from wyoming.zeroconf import HomeAssistantZeroconf

        await HomeAssistantZeroconf(name=f"pynna-{server.port}", port=server.port, host=None).register_server()


async def _until_stopped(scheduler: Scheduler, handlers: set[Handler], drain: float | None) -> None:
    """Waits until it is cancelled; with `drain` until SIGTERM, and those who are being heard have been answered."""
    over = asyncio.Event()
    if drain is None:
        await over.wait()
        return
    seconds = drain

    async def empty() -> None:
        await scheduler.drain(seconds, lambda: all(session.is_quiet for session in scheduler.sessions))
        await asyncio.gather(*(handler.let_go() for handler in tuple(handlers)))
        over.set()

    with on_sigterm(empty, over.set):
        await over.wait()


async def follow_home(
    programs: Programs,
    url: str,
    token: str,
    document: Mapping[str, Any] | None = None,
    told: Callable[[str], None] | None = None,
) -> None:
    """Keeps the first program's sentences those of a home, for as long as the server runs.

    A connection that is lost is tried again, after longer and longer pauses; meanwhile what was known last counts.

    Parameters
    ----------
    url, token, document
        As for `pynna.assistant.home_assistant.HomeAssistant` and ``Home.grammar``.
    told : callable, optional
        Is told a sentence about each change.
    """
    from pynna.assistant.home_assistant import HomeAssistant

    pause = 1.0
    while True:
        try:
            async with HomeAssistant(url, token) as connection:
                async for home in connection.changes():
                    grammar = await asyncio.to_thread(home.grammar, document)
                    await asyncio.to_thread(programs.put, "pynna", grammar)
                    pause = 1.0
                    if told is not None:
                        told(
                            f"{len(home.entities)} entities in {len(home.areas)} areas, "
                            f"{len(home.sentences)} sentences of automations"
                        )
        except PynnaError as error:
            (_log.warning if told is None else told)(str(error))
        await asyncio.sleep(pause)
        pause = min(2 * pause, 60.0)
