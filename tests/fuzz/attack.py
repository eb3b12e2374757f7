# SPDX-License-Identifier: Apache-2.0
"""Attacks the assistant's server while microphones speak: `python -m tests.fuzz.attack --minutes 60`.

The server is a process of its own; sixteen microphones speak the recordings that ship in real time, and a third process
keeps 200 hostile connections: broken frames, compressed bombs, floods, slow and half-open ones, commands that are none.
It is right when no step is late, no microphone is dropped, what was said without noise is understood, and memory and
file descriptors are after the attack what they were before: of memory, a tenth more is allowed, for what lies in pieces
in the allocator, which is asked to give back the rest. Both are told before the attack, in its middle, at its end and
15 s after it; before and after while nobody speaks, since who speaks has a search of his own for as long as he does.

The server has the first processor to itself, as far as the machine is quiet; the microphones and the attackers share
the others, the attackers with what the microphones leave. With `--nice N` the microphones' priority is lower by N than
the server's, as on a machine of two processors that are one core's the microphones and attackers take of the server's
time too. The report is a table; a shorter attack (`--minutes 20`) has the same one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from pynna import CAR_GRAMMAR
from tests.fuzz.frames import DEFLATE, UPGRADE, bomb, frame

SERVER = """
import ctypes, gc, signal, sys
from pynna.cli.main import main

def trim(*_):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    print("trimmed", flush=True)

signal.signal(signal.SIGUSR1, trim)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: it ends with who attacks it
sys.exit(main(sys.argv[1:]))
"""
"""The assistant, which on SIGUSR1 gives back what its allocator keeps for later."""

GROWTH = 1.1  # of memory, from before the attack to after it, where the allocator has given back what it can

PIPES = 3  # of the process that answers `/try`, which ends a minute after the last question
SAMPLES = 4  # of memory, half a second apart
WARM_SECONDS, AFTER_SECONDS = 20, 15  # of speech before the attack, until every buffer has its size; and after it
SETTLE_SECONDS = 60.0  # that may go by until nothing waits any more, before the attack and after it

ATTACKERS_NICE = 10  # at least: a flood is the network's to stop, and here it takes the microphones' processor


async def opened(host: str, more: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the page's socket."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(UPGRADE.format(host=host, more=more).encode())
    assert b"101" in await reader.readline()
    return reader, writer


async def frames(host: str, *sent: bytes, more: str = "") -> bytes:
    """Sends frames; what comes until the server closes, which it must within seconds."""
    reader, writer = await opened(host, more)
    with contextlib.suppress(ConnectionError):
        for each in sent:
            writer.write(each)
        await writer.drain()
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while piece := await reader.read(65536):
                got = (got + piece)[-65536:]
    writer.close()
    return got


async def posted(host: str, question: bytes) -> bytes:
    """Sends a question to the page's workbench; what comes."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"POST /try HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(question)}\r\n\r\n".encode() + question)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(20):
            return await reader.read(65536)
    writer.close()
    return b""


TRIED = json.dumps({"sentences": Path(CAR_GRAMMAR).read_text("utf-8"), "text": "increase the volume"}).encode()

_ON = frame(1, b'{"type": "microphone", "on": true}')

HOSTILE: dict[str, Callable[[str], Awaitable[object]]] = {
    "not masked": lambda host: frames(host, frame(1, b"{}", mask=None), frame(8, b"")),
    "bad UTF-8": lambda host: frames(host, frame(1, b"\xff\xfe\xc0")),
    "reserved opcode": lambda host: frames(host, frame(5, b"x")),
    "reserved bits": lambda host: frames(host, frame(1, b"x", first=0xF0)),
    "a length of 2^63": lambda host: frames(host, frame(2, b"x", length=(1 << 63) - 1)),
    "a long ping": lambda host: frames(host, frame(9, b"x" * 300)),
    "continued from nothing": lambda host: frames(host, frame(0, b"x")),
    "a compressed bomb": lambda host: frames(host, frame(2, bomb(), first=0xC0), more=DEFLATE),
    "huge JSON": lambda host: frames(host, frame(1, b"[" * 100_000)),
    "pings": lambda host: frames(host, *[frame(9, b"x")] * 5000, frame(8, b"")),
    "microphones on and off": lambda host: frames(host, *[_ON, frame(2, bytes(641))] * 20, frame(8, b"")),
    "a sentence file to be tried": lambda host: posted(host, TRIED),
    "commands": lambda host: frames(host, *[frame(1, b'{"type": "command", "text": "a"}')] * 50, frame(8, b"")),
}
"""What a hostile client does; each ends with the connection."""


async def _waits(host: str, rng: random.Random) -> None:
    """A connection that says little and stays: slow, half-open, or a page that reads nothing."""
    name, _, port = host.rpartition(":")
    _, writer = await asyncio.open_connection(name, int(port))
    try:
        for letter in rng.choice((b"", b"GET / HTTP/1.1\r\nHost: x\r\n", UPGRADE.format(host=host, more="").encode())):
            writer.write(bytes([letter]))
            await asyncio.sleep(rng.choice((0, 0, 0.2)))
        await asyncio.sleep(rng.uniform(0, 10))
    finally:
        writer.close()


async def assault(host: str, connections: int, pause: float = 0.5) -> None:
    """Keeps so many hostile connections, until cancelled."""

    async def one(seed: int) -> None:
        rng = random.Random(seed)
        ways = [name for name in HOSTILE if name != "a compressed bomb" or seed % 8 == 0]
        while True:
            with contextlib.suppress(OSError, AssertionError, TimeoutError, asyncio.IncompleteReadError):
                await (_waits(host, rng) if rng.random() < 0.6 else HOSTILE[rng.choice(ways)](host))
            await asyncio.sleep(rng.uniform(0, 2 * pause))

    await asyncio.gather(*(one(i) for i in range(connections)))


def _tell(what: str) -> None:
    print(f"== {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def _hush(speaking: list[asyncio.Task[None]], sockets: list[Any]) -> None:
    """Ends what is said, and lets it be silent for three seconds."""
    for task in speaking:
        task.cancel()
    await asyncio.gather(*speaking, return_exceptions=True)
    for _ in range(150):
        for socket in sockets:
            with contextlib.suppress(OSError):  # it was dropped: the report tells that
                await socket.send_bytes(bytes(640))
        await asyncio.sleep(0.02)


async def _at_rest(client: Any) -> bool:
    """Whether all that has come is heard, so that no step is taken any more, and nothing waits to be rescored, within
    SETTLE_SECONDS."""
    import aiohttp

    from bench import soak

    before = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                with contextlib.suppress(aiohttp.ClientError):  # the server has more to do than to answer
                    async with client.get("/metrics") as answer:
                        metrics = await answer.text()
                    steps = soak._metric(metrics, "pynna_steps_total")
                    if steps == before and not soak._metric(metrics, "pynna_rescoring_pending"):
                        return True
                    before = steps
                await asyncio.sleep(0.5)
    return False


async def _settled(client: Any, pid: int, trimmed: threading.Event) -> tuple[float, int, bool]:
    """Memory and descriptors when nothing waits to be heard or rescored, and the allocator has given back what it can;
    and whether that came to be."""
    from bench import soak

    rests = await _at_rest(client)
    least = float("inf")
    for _ in range(SAMPLES):
        trimmed.clear()
        os.kill(pid, signal.SIGUSR1)
        rests &= await asyncio.to_thread(trimmed.wait, SETTLE_SECONDS / SAMPLES)
        least = min(least, soak._memory(pid))
        await asyncio.sleep(0.5)
    return least, _descriptors(pid), rests


async def _through(minutes: float, pid: int) -> tuple[float, int]:
    """Lets time go by and tells of each minute; memory and descriptors at its end."""
    from bench import soak

    for minute in range(math.ceil(minutes)):
        await asyncio.sleep(60 * min(1.0, minutes - minute))
        _tell(f"{soak._memory(pid):.0f} MiB, {_descriptors(pid)} descriptors")
    return soak._memory(pid), _descriptors(pid)


async def _counts(client: Any) -> dict[str, int]:
    """What the server has counted so far."""
    from bench import soak

    async with client.get("/metrics") as answer:
        metrics = await answer.text()
    refused = sum(float(n) for n in re.findall(r"^pynna_refused_total{.*} (\S+)", metrics, re.MULTILINE))
    late, steps = (soak._metric(metrics, f"pynna_{name}_total") for name in ("late_steps", "steps"))
    return {"late steps": late, "steps": steps, "refused messages and connections": int(refused)}


@contextlib.contextmanager
def _attackers(url: str, connections: int, nice: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of hostile clients, as long as the block lasts."""
    hostile = [sys.executable, "-m", "tests.fuzz.attack", "--of", url, "--connections", str(connections)]
    hostile += ["--nice", str(max(nice, ATTACKERS_NICE) - nice)]  # beside what it has of this process
    with subprocess.Popen(hostile, stderr=subprocess.DEVNULL, start_new_session=True) as attacker:
        try:
            yield attacker
        finally:
            attacker.kill()


async def _microphones(
    url: str, pid: int, trimmed: threading.Event, minutes: float, connections: int, n: int, nice: int
) -> dict[str, Any]:
    import aiohttp

    from bench import soak

    heard: Counter[tuple[bool, bool]] = Counter()
    ended: soak.Ends = {}
    waited: list[float] = []
    async with aiohttp.ClientSession(url) as client:
        sockets = [await client.ws_connect("/ws") for _ in range(n)]
        named = [(socket, json.loads((await socket.receive()).data)["name"]) for socket in sockets]
        for socket in sockets:
            await socket.send_json({"type": "microphone", "on": True})
        tasks = [
            asyncio.create_task(soak._listen(sockets[0], heard, ended, waited)),
            *(asyncio.create_task(soak._drain(socket)) for socket in sockets[1:]),
        ]

        def speak() -> list[asyncio.Task[None]]:
            return [asyncio.create_task(soak._speak(s, name, i, ended)) for i, (s, name) in enumerate(named)]

        speaking = speak()
        _tell("microphones speak")
        await asyncio.sleep(WARM_SECONDS)
        await _hush(speaking, sockets)
        _tell("measured before the attack")
        before = await _settled(client, pid, trimmed)
        heard.clear()
        waited.clear()
        counted = await _counts(client)  # while nobody speaks: who speaks goes before who asks
        cpu, begun = soak._cpu(pid), asyncio.get_running_loop().time()
        speaking = speak()
        _tell("attack")
        with _attackers(url, connections, nice) as attacker:
            half = await _through(minutes / 2, pid)
            end = await _through(minutes / 2, pid)
            still = attacker.poll() is None
        await asyncio.sleep(AFTER_SECONDS)  # until what has gone is forgotten
        share = (soak._cpu(pid) - cpu) / (asyncio.get_running_loop().time() - begun)
        heard, waited = Counter(heard), list(waited)  # not what is cut off now
        await _hush(speaking, sockets)
        _tell("measured after the attack")
        after = await _settled(client, pid, trimmed)
        counted = {name: n - counted[name] for name, n in (await _counts(client)).items()}
        for task in tasks:
            task.cancel()
    return {
        "minutes": minutes, "microphones": n, "hostile connections": connections, "attacked to the end": still,
        "priority of the microphones below the server's": nice,
        "priority of the attackers below the server's": max(nice, ATTACKERS_NICE),
        **counted, "share of one core, %": round(100 * share, 1),
        "said without noise": heard[False, True] + heard[False, False], "understood": heard[False, True],
        "end of speech to action, s": soak.spread(waited),
        "memory, MiB": [round(each[0], 1) for each in (before, half, end, after)],
        "descriptors": [each[1] for each in (before, half, end, after)],
        "at rest when memory was measured": before[2] and after[2],
        "microphones that were dropped": sum(socket.closed for socket in sockets),
    }  # fmt: skip


def _apart(command: list[str]) -> subprocess.Popen[str]:
    """A process on the first processor, which this one and its others leave to it, where there are more."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    os.sched_setaffinity(0, others or {first})
    return server


def _stand_back(nice: int) -> None:
    """This process gets what others leave, its session's share of the machine as well."""
    now = os.nice(nice)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as share:
        share.write(str(now))


def _report(found: dict[str, Any]) -> tuple[list[str], bool]:
    """The table, with what is asked for, and whether all of that is met."""
    memory, descriptors = found["memory, MiB"], found["descriptors"]
    asked: dict[str, tuple[str, bool]] = {
        "attacked to the end": ("True", found["attacked to the end"]),
        "late steps": ("0", found["late steps"] == 0),
        "understood": ("all", found["understood"] == found["said without noise"] > 0),
        "microphones that were dropped": ("0", found["microphones that were dropped"] == 0),
        "memory, MiB": (f"after at most {GROWTH} of before", memory[-1] <= GROWTH * memory[0]),
        "at rest when memory was measured": ("True", found["at rest when memory was measured"]),
        "descriptors": (f"after within {PIPES} of before", abs(descriptors[-1] - descriptors[0]) <= PIPES),
    }
    lines = ["| what | measured | asked for | met |", "|---|---|---|---|"]
    for name, value in found.items():
        if name in ("memory, MiB", "descriptors"):
            value = ", ".join(
                f"{when} {n}" for when, n in zip(("before", "middle", "end", "after"), value, strict=True)
            )
        bar, met = asked.get(name, ("", None))
        lines.append(f"| {name} | {value} | {bar} | {'' if met is None else 'yes' if met else 'no'} |")
    return lines, all(met for _, met in asked.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.attack", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--connections", type=int, default=200, help="hostile ones")
    parser.add_argument("--microphones", type=int, default=16)
    parser.add_argument("--nice", type=int, default=0, help="how far the microphones' priority is below the server's")
    parser.add_argument("--of", metavar="URL", help="attack a server that runs, and do no more")
    told = parser.parse_args()
    if told.of:
        _stand_back(told.nice)
        asyncio.run(assault(told.of.removeprefix("http://").rstrip("/"), told.connections))
    least = 60 * told.minutes + WARM_SECONDS + AFTER_SECONDS + 15
    _tell(f"{least:.0f} s at least, {least + 2 * SETTLE_SECONDS:.0f} s at most on a machine that keeps pace")
    command = [sys.executable, "-c", SERVER, "assistant", "--no-browser", "--port", "0", "--channels", "32"]
    with _apart(command) as server:
        assert server.stdout is not None
        if told.nice:
            _stand_back(told.nice)
        try:
            url, out = server.stdout.readline().strip(), server.stdout
            trimmed = threading.Event()
            threading.Thread(target=lambda: [trimmed.set() for line in out if "trimmed" in line], daemon=True).start()
            found = asyncio.run(
                _microphones(url, server.pid, trimmed, told.minutes, told.connections, told.microphones, told.nice)
            )
        finally:
            server.terminate()
    lines, is_well = _report(found)
    print("\n".join(lines))
    return int(not is_well)


if __name__ == "__main__":
    sys.exit(main())
