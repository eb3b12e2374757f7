# SPDX-License-Identifier: Apache-2.0
"""A running server for the tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

import pynna
from pynna.assistant import run
from pynna.assistant.server import Server


@contextlib.asynccontextmanager
async def served(port: int = 0, helpers: Any = (), **options: Any) -> AsyncIterator[tuple[Server, str]]:
    """A server on the loopback, and its address."""
    server = Server(pynna.load(), **options)
    server.helpers.extend(helper(server) for helper in helpers)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run.serve(server, "127.0.0.1", port, ready=address.set_result))
    done, _ = await asyncio.wait([running, address], return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        running.result()
    try:
        yield server, address.result()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str, seconds: float = 10.0) -> dict[str, Any]:
    """The next message of a kind."""
    async with asyncio.timeout(seconds):
        while (message := await socket.receive_json())["type"] != kind:
            pass
    return message
