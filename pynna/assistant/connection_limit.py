# SPDX-License-Identifier: Apache-2.0
"""A bound on connections that are no session: in number and in time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

MAX_CONNECTIONS = 128  # without a session, at once: then the oldest is dropped
MAX_REQUEST_SECONDS = 30.0  # after which a connection without a session is dropped


class ConnectionLimit(asyncio.Protocol):
    """Stands before aiohttp's protocol, so that idle and slow connections are bounded in number and time."""

    def __init__(self, protocol: asyncio.Protocol, doors: OrderedDict[ConnectionLimit, None]) -> None:
        self._protocol, self._doors = protocol, doors
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._doors[self] = None
        self._timer = asyncio.get_running_loop().call_later(MAX_REQUEST_SECONDS, transport.abort)
        self._protocol.connection_made(transport)
        if len(self._doors) > MAX_CONNECTIONS:
            oldest, _ = self._doors.popitem(last=False)
            assert oldest._transport is not None
            oldest._transport.abort()

    def keep(self) -> None:
        """The connection has become a session, which is counted elsewhere and may last."""
        self._doors.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, error: Exception | None) -> None:
        self.keep()
        self._protocol.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
