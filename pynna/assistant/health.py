# SPDX-License-Identifier: Apache-2.0
"""What load balancers and Prometheus ask a server: whether it lives, whether it takes more in, and how it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import generate_latest

from pynna.assistant.scheduler import RETRY_AFTER, BusyError, Scheduler
from pynna.errors import ArgumentError

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPEN_PATHS = ("/healthz", "/readyz")
"""What is told without a token: a word, and how many microphones there are."""


class Health:
    """`/healthz`: 200 as long as the event loop runs. `/readyz`: 200, or 503 where nobody is taken in. `/metrics`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def routes(self) -> list[web.RouteDef]:
        """For an application of aiohttp's."""
        return [
            web.get("/healthz", self._live),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._metrics),
        ]

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        refused = self._scheduler.refusal()
        return (
            web.json_response({"status": "ready", **places(self._scheduler)})
            if refused is None
            else busy(refused, self._scheduler)
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        body = generate_latest(self._scheduler.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": PROMETHEUS})


def places(scheduler: Scheduler) -> dict[str, Any]:
    """How many microphones there are, and may be."""
    return {"microphones": len(scheduler.sessions), "limit": scheduler.channels, "load": round(scheduler.load, 3)}


def busy(refused: BusyError, scheduler: Scheduler) -> web.Response:
    """503, with what is wrong in its body and when to come again in its head."""
    told = {"status": refused.reason, "error": str(refused), "retry_after": refused.retry_after, **places(scheduler)}
    return web.Response(
        status=503,
        text=json.dumps(told),
        content_type="application/json",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def host_and_port(text: str) -> tuple[str, int]:
    """HOST:PORT, the host in brackets where it has colons. Raises ArgumentError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ArgumentError(f"an address for metrics must be HOST:PORT, got {text!r}")
    return host.strip("[]") or "0.0.0.0", int(port)


async def serve_health(scheduler: Scheduler, address: str, ready: Callable[[str], None] | None = None) -> web.AppRunner:
    """A server of `/metrics`, `/healthz` and `/readyz` alone, for servers that are no HTTP themselves; `ready` is told
    where it is, and its `cleanup` ends it.

    Raises
    ------
    ArgumentError
        No such address, or somebody else has it.
    """
    host, port = host_and_port(address)
    application = web.Application(client_max_size=0)
    application.add_routes(Health(scheduler).routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ArgumentError(f"an address for metrics must be free, got {address}: {error.strerror or error}") from None
    if ready is not None:
        bound = runner.addresses[0]
        ready(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}/metrics")
    return runner
