# SPDX-License-Identifier: Apache-2.0
"""The guide's load balancers, where they are installed: their own programs read them, and HAProxy sends microphones to
where there is room."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from support.served import served, until

GUIDE = Path(__file__).parents[2] / "docs/fleets.md"


def snippet(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def haproxy(text: str, folder: Path) -> Iterator[None]:
    path = folder / "haproxy.cfg"
    path.write_text(text)
    with subprocess.Popen(["haproxy", "-f", str(path), "-db"], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_sends_microphones_where_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "guide.cfg"
    path.write_text(snippet("haproxy"))
    assert subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True).returncode == 0
    front, wyoming, first, second = free_ports(4)
    text = snippet("haproxy").replace(":8080", f"127.0.0.1:{front}").replace(":10300", f"127.0.0.1:{wyoming}")
    text = text.replace("inter 1s", "inter 20s")  # a loaded machine is no failure
    text = text.replace("127.0.0.1:8642", f"127.0.0.1:{first}").replace("127.0.0.1:8643", f"127.0.0.1:{second}")

    async def scenario() -> None:
        async with served(first, channels=1) as (one, _), served(second, channels=1) as (other, _):
            with haproxy(text, tmp_path):
                async with aiohttp.ClientSession(f"http://127.0.0.1:{front}") as client:
                    async with asyncio.timeout(60):
                        while not await answers(client):
                            await asyncio.sleep(0.1)
                    sockets = [await client.ws_connect("/ws?microphone=1") for _ in range(2)]
                    for each in sockets:
                        assert (await until(each, "microphone", 60))["on"]
                    assert [len(server.scheduler.microphones) for server in (one, other)] == [1, 1]
                    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                        await client.ws_connect("/ws?microphone=1")
                    assert refused.value.status == 503
                    for each in sockets:
                        await each.close()

    asyncio.run(scenario())


async def answers(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_reads_its_part(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(snippet("nginx"))
    read = subprocess.run(["nginx", "-t", "-c", str(path), "-p", str(tmp_path)], capture_output=True, text=True)
    assert "syntax is ok" in read.stderr
