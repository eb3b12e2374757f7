# SPDX-License-Identifier: Apache-2.0
"""The time that clients may take between two turns of the steps."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections import OrderedDict
from pathlib import Path

import aiohttp
import pytest
from support.served import served, until

import pynna
from pynna.assistant.connection_limit import READ, ConnectionLimit
from pynna.assistant.scheduler import Scheduler
from pynna.assistant.turnstile import Turnstile

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from tests.fuzz.frames import UPGRADE, frame  # noqa: E402


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_pieces_wait_while_a_turn_is_due_and_who_speaks_goes_first() -> None:
    async def scenario() -> None:
        gate, done = Turnstile(), list[str]()
        gate.due = 0.0
        assert not gate.is_open() and not gate.is_open(audio=True)
        for name in ("page", "other page"):
            gate.call(lambda name=name: done.append(name))  # type: ignore[misc]
        gate.call(lambda: done.append("microphone"), audio=True)
        await asyncio.sleep(0.02)
        assert done == []
        gate.due = float("inf")
        gate.turned()
        await asyncio.sleep(0.02)
        assert done == ["microphone", "page", "other page"]

    asyncio.run(scenario())


def test_clients_have_their_time_of_a_turn_and_who_speaks_has_more() -> None:
    async def scenario() -> None:
        gate, done = Turnstile(seconds=0.002), list[int]()

        async def client(i: int) -> None:
            for _ in range(20):
                await gate.enter()
                with gate.piece():
                    busy(0.001)
                done.append(i)

        clients = [asyncio.create_task(client(i)) for i in range(3)]
        await asyncio.sleep(0.05)
        assert 1 <= len(done) <= 3
        assert gate.is_open(audio=True) and not gate.is_open()
        for _ in range(80):
            n = len(done)
            gate.turned()
            await asyncio.sleep(0.005)
            assert len(done) - n <= 4
        assert len(set(done[:6])) == 3  # one by one
        await asyncio.wait_for(asyncio.gather(*clients), 10)

    asyncio.run(scenario())


def test_one_piece_is_let_through_even_where_all_turns_are_late() -> None:
    async def scenario() -> None:
        gate, done = Turnstile(), list[int]()
        gate.due = 0.0
        for i in range(3):
            gate.call(lambda i=i: done.append(i))  # type: ignore[misc]
        for n in range(1, 4):
            gate.turned()
            await asyncio.sleep(0.005)
            assert done == list(range(n))

    asyncio.run(scenario())


def test_who_asks_is_answered_even_where_all_turns_are_late_and_others_speak_all_the_time() -> None:
    async def scenario() -> None:
        gate, done = Turnstile(), list[str]()
        gate.due = 0.0

        def speak() -> None:
            done.append("microphone")
            gate.call(speak, audio=True)

        for _ in range(3):
            gate.call(speak, audio=True)
        gate.call(lambda: done.append("page"))
        for _ in range(4):
            gate.turned()
            await asyncio.sleep(0.005)
        assert done.count("page") == 1 and done.count("microphone") == 3

    asyncio.run(scenario())


def test_who_has_gone_is_no_hindrance() -> None:
    async def scenario() -> None:
        gate = Turnstile()
        gate.due = 0.0
        gone = asyncio.create_task(gate.enter())
        stays = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gone.cancel()
        gate.due = float("inf")
        gate.turned()
        await asyncio.wait_for(stays, 5)

    asyncio.run(scenario())


class _Parser(asyncio.Protocol):
    """What stands behind the limit."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.got.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(None)


@pytest.mark.parametrize("is_due", [False, True])
def test_what_comes_is_handed_on_whole_in_small_pieces(is_due: bool) -> None:
    async def scenario() -> None:
        gate, doors, parsers = Turnstile(), OrderedDict[ConnectionLimit, None](), list[_Parser]()

        def made() -> ConnectionLimit:
            parsers.append(_Parser())
            return ConnectionLimit(parsers[-1], doors, gate)

        gate.due = 0.0 if is_due else float("inf")
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = bytes(range(256)) * 100
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.05)
        if is_due:
            assert parsers[0].got == []
            gate.due = float("inf")
            gate.turned()
        writer.close()
        await asyncio.wait_for(parsers[0].ended, 10)
        assert b"".join(parsers[0].got) == sent and len(parsers[0].got) >= len(sent) // READ
        assert not doors
        server.close()

    asyncio.run(scenario())


def test_a_flood_of_pings_holds_nobody_up() -> None:
    """Four clients send 5,000 each at once: the loop goes round all the while, and some of them are answered."""

    def flood(host: str) -> int:
        name, _, port = host.rpartition(":")
        with socket.create_connection((name, int(port)), 20) as page:
            page.sendall(UPGRADE.format(host=host, more="").encode())
            page.sendall(frame(9, b"x") * 5000 + frame(8, b""))
            got = b""
            while piece := page.recv(65536):
                got += piece
        return got.count(b"\x8a\x01x")

    async def scenario() -> None:
        async with served() as (server, url), aiohttp.ClientSession(url) as client, client.ws_connect("/ws") as page:
            await until(page, "hello")
            host = url.removeprefix("http://").rstrip("/")
            floods = [asyncio.create_task(asyncio.to_thread(flood, host)) for _ in range(4)]
            gc.freeze()  # as the command does
            longest, last = 0.0, time.thread_time()
            while not all(each.done() for each in floods):
                await asyncio.sleep(0)
                now = time.thread_time()
                longest, last = max(longest, now - last), now
            gc.unfreeze()
            assert longest < 0.03  # of the processor: 0.1 and more where each is answered at once
            assert all(1 <= each.result() <= 500 for each in floods)
            assert server.metrics.refused.labels("message")._value.get() > 10_000
            await page.send_json({"type": "command", "text": "increase the volume"})
            assert (await until(page, "done"))["intent"] == "VolumeUp"

    asyncio.run(scenario())


class _Group:
    """A group with so many steps to take, each of which lasts."""

    def __init__(self, n_waiting: int, seconds: float) -> None:
        self.n_waiting, self._seconds, self.taken = n_waiting, seconds, 0

    def step(self) -> int:
        if not self.n_waiting:
            return 0
        busy(self._seconds)
        self.n_waiting -= 1
        self.taken += 1
        return 1

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(("seconds", "most"), [(0.0001, 4), (0.006, 2), (0.03, 1)])
def test_a_turn_catches_up_as_far_as_its_time_reaches(model: pynna.Model, seconds: float, most: int) -> None:
    scheduler = Scheduler(model)
    groups = [_Group(5, seconds), _Group(1, 0.0001)]
    scheduler.groups = groups  # type: ignore[assignment]
    assert 1 <= scheduler.turn() <= most
    assert groups[1].taken == 1  # each has one before another has its second
    for _ in range(5):
        scheduler.turn()
    assert [group.n_waiting for group in groups] == [0, 0]
    assert scheduler.turn() == 0
    scheduler.worker.close()
