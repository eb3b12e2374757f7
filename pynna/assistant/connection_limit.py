# SPDX-License-Identifier: Apache-2.0
"""A bound on connections: in number and time on those that are no session, on all in what is read at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from pynna.assistant.turnstile import Turnstile

MAX_CONNECTIONS = 128  # without a session, at once: then the oldest is dropped
MAX_REQUEST_SECONDS = 30.0  # after which a connection without a session is dropped
READ = 2048  # bytes at most that are parsed in one piece: a millisecond or two of the smallest frames


class ConnectionLimit(asyncio.BufferedProtocol):
    """Stands before aiohttp's protocol, so that idle and slow connections are bounded in number and time, and what
    comes is handed on in pieces, when the turnstile lets them through.

    Attributes
    ----------
    audio : bool
        Its client speaks: what it sends waits for the steps alone.
    """

    def __init__(
        self, protocol: asyncio.Protocol, doors: OrderedDict[ConnectionLimit, None], turnstile: Turnstile
    ) -> None:
        self._protocol, self._doors, self._turnstile = protocol, doors, turnstile
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray(READ)
        self._held = b""  # what waits for the turnstile
        self._over = False
        self.audio = False

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
        self._over = True
        self.keep()
        # what has just been handed on is looked at first: aiohttp cannot begin with a request whose connection is gone
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        is_waiting = bool(self._held)
        self._held += self._buffer[:nbytes]
        if is_waiting:
            self._pause()
        elif self._turnstile.is_open(audio=self.audio):
            self._hand_on()
        else:
            self._pause()
            self._turnstile.call(self._go_on, audio=self.audio)

    def _pause(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()

    def _go_on(self) -> None:
        """What was held is handed on; who reads too slowly asks for a pause itself then."""
        if self._held and not self._over:
            assert self._transport is not None
            self._transport.resume_reading()
            self._hand_on()

    def _hand_on(self) -> None:
        data, self._held = self._held, b""
        with self._turnstile.piece(audio=self.audio):
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        if self._held and not self._over:
            self._hand_on()
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
