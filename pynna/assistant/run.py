# SPDX-License-Identifier: Apache-2.0
"""Running the assistant: the server with a browser, a demonstration, a local microphone, a voice."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import shutil
import ssl
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

import pynna
from pynna.assistant.connection_limit import ConnectionLimit
from pynna.assistant.server import Server
from pynna.assistant.session import MicrophoneSession
from pynna.assistant.stopping import on_sigterm
from pynna.audio.files import read
from pynna.audio.microphone import CHUNK, open_microphone
from pynna.errors import AudioError

Pcm = npt.NDArray[np.int16]

_FIRST = ("increase_the_volume", "check_battery_levels", "display_navigation")

_WAITING = 250  # chunks of the local microphone: 5 s
_ECHO = 0.3  # seconds that a room goes on to sound after a reply

_OPENING = 40  # tenths of a second that a browser is given to open
_PAUSE = 1.8  # seconds between two commands of a demonstration


def demo_recordings() -> list[Path]:
    """The recordings that ship, the best known commands first."""
    folder = Path(pynna.__file__).parent / "recordings"
    rest = (path.stem for path in sorted(folder.glob("*.flac")))
    return [folder / f"{name}.flac" for name in dict.fromkeys((*_FIRST, *rest))]


def demonstration(server: Server, recordings: Iterable[Path]) -> Callable[[], Awaitable[None]]:
    """A driver who speaks the recordings, in real time, for as long as a page looks on: work for `Server.helpers`.

    Where none has ever come, as on a machine without a screen, the server ends after the last recording.
    """
    rate = server.model.sample_rate
    clips = [read(path, sample_rate=rate).pcm for path in recordings]
    if not clips:
        raise AudioError("a demonstration needs at least one recording")

    async def work() -> None:
        for _ in range(_OPENING if has_screen() else 0):  # so that nothing is missed
            if server.visited:
                break
            await asyncio.sleep(0.1)
        microphone = server.open_microphone("driver")
        pause = np.zeros(round(rate * _PAUSE), np.int16)
        await _play(server, microphone, pause)
        while True:
            for clip in clips:
                await _play(server, microphone, clip)
                await _play(server, microphone, pause)
            if not server.visited:
                server.over.set()
                return

    return work


async def _play(server: Server, microphone: MicrophoneSession, pcm: Pcm) -> None:
    size = round(server.model.sample_rate * CHUNK)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for i, start in enumerate(range(0, len(pcm), size)):
        chunk = pcm[start : start + size]
        await microphone.feed(chunk.tobytes())
        if i % 5 == 0:
            server.tell_level(microphone.name, chunk)
        due += CHUNK
        await asyncio.sleep(max(0.0, due - loop.time()))


def local_microphone(server: Server, device: int | str | None = None) -> Callable[[], Awaitable[None]]:
    """This machine's microphone: work for `Server.helpers`. While replies are spoken it hears nothing, or it would
    hear them."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        microphone = server.open_microphone("driver")

        def put(data: bytes) -> None:  # in the event loop
            if not waiting.full():  # else the machine is too slow
                waiting.put_nowait(data)

        deaf_until = 0.0

        def heard(data: bytes) -> None:
            loop.call_soon_threadsafe(put, data)

        with open_microphone(heard, server.model.sample_rate, device):
            for i in itertools.count():
                data = await waiting.get()
                deaf_until = loop.time() + _ECHO if server.speaking else deaf_until
                data = bytes(len(data)) if loop.time() < deaf_until else data
                await microphone.feed(data)
                if i % 5 == 0:
                    server.tell_level(microphone.name, np.frombuffer(data, np.int16))

    return work


def voice() -> Callable[[str], Awaitable[None]]:
    """Says replies with espeak-ng, one after the other.

    Raises
    ------
    AudioError
        espeak-ng is not installed.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise AudioError("--speak needs espeak-ng (Debian: espeak-ng)")
    one = asyncio.Lock()

    async def say(text: str) -> None:
        async with one:
            process = await asyncio.create_subprocess_exec(
                program, "-v", "en", "--", text, stderr=asyncio.subprocess.DEVNULL
            )
            await process.wait()

    return say


def has_screen() -> bool:
    """Whether a browser can be opened: Linux without a display would open one in the terminal."""
    return sys.platform != "linux" or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))


class HttpLogFilter(logging.Filter):
    """Lets no broken request into the log, in which a token may stand, nobody who is gone before the answer, and other
    failures no faster than one in `seconds`: whoever reaches the port could fill a disk."""

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__()
        self.seconds, self._last = seconds, float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record may pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (HttpProcessingError, ConnectionError)) or record.created - self._last < self.seconds:
            return False
        self._last = record.created
        return True


http_log = logging.getLogger("pynna.assistant.http")
http_log.addFilter(HttpLogFilter())


def runner_of(server: Server, **options: Any) -> web.AppRunner:
    """What runs the server's application: requests are not logged, its own failures are."""
    return web.AppRunner(server.application, access_log=None, logger=http_log, shutdown_timeout=2.0, **options)


async def serve(
    server: Server,
    host: str,
    port: int,
    *,
    context: ssl.SSLContext | None = None,
    browser: bool = False,
    token: str | None = None,
    ready: Callable[[str], None] | None = None,
    drain: float | None = None,
) -> None:
    """Serves until cancelled; `ready` is told the page's address.

    With `drain` SIGTERM lets those who are heard end the sentence, in so many seconds, and then it ends."""
    runner = runner_of(server)
    await runner.setup()
    assert runner.server is not None
    handler = runner.server
    listening: asyncio.Server | None = None
    try:
        listening = await asyncio.get_running_loop().create_server(
            lambda: ConnectionLimit(handler(), server.doors, server.scheduler.turnstile),
            host,
            port,
            ssl=context,
            backlog=128,
            ssl_handshake_timeout=5.0 if context else None,
        )
        bound = listening.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        address = f"{'https' if context else 'http'}://{shown}:{bound}/"
        if ready is not None:
            ready(address)
        if browser and has_screen():
            await asyncio.to_thread(webbrowser.open, f"{address}?token={token}" if token else address)
        told = None if drain is None else on_sigterm(functools.partial(server.drain, drain), server.over.set)
        with told or contextlib.nullcontext():
            await server.over.wait()
    finally:
        if listening is not None:
            listening.close()
        await runner.cleanup()
