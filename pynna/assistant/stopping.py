# SPDX-License-Identifier: Apache-2.0
"""Stopping without a loss: SIGTERM empties a server, a second one ends it at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator

DRAIN_SECONDS = 10.0
"""What those who are being heard get to end their sentence, unless told otherwise."""


@contextlib.contextmanager
def on_sigterm(drain: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> Iterator[None]:
    """Within it SIGTERM runs `drain`, and a second one calls `stop`; outside of the main thread nothing changes."""
    loop = asyncio.get_running_loop()
    draining: list[asyncio.Future[None]] = []

    def told() -> None:
        if draining:
            stop()
        else:
            draining.append(asyncio.ensure_future(drain()))

    try:
        loop.add_signal_handler(signal.SIGTERM, told)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows has no signal handlers; or another thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        for each in draining:
            each.cancel()
