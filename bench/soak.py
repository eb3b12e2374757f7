# SPDX-License-Identifier: Apache-2.0
"""The assistant's server under load: many microphones at once, in real time, for minutes.

Each connection speaks the recordings that ship, with pauses, as a browser would: 20 ms frames. Every third of them is
in noise, so that it leaves doubt and is rescored: no step may be late for that. The server is a process
of its own; its processor time and memory are the operating system's figures (Linux), its late steps its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from pynna.assistant.run import demo_recordings
from pynna.audio.files import read

Ends = dict[str, tuple[float, bool, bool]]
"""By microphone: when its last sample of speech was sent, whether what is heard now may be of something in noise, and
whether something has been heard since."""

FRAME = 640  # bytes of 20 ms
PAUSE = 1.5  # seconds between two commands
NOISY, SNR_DB = 3, 6.0  # every so many commands one is in noise, of this much less power than speech


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--connections", type=int, default=16, help="microphones at once (16)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the soak; 1 if a step was late, a command without noise was not understood, or one in twenty was late."""
    command = [
        sys.executable,
        "-m",
        "pynna",
        "assistant",
        "--no-browser",
        "--port",
        "0",
        "--channels",
        str(arguments.connections),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            found = asyncio.run(_soak(url, server.pid, server.stdout, arguments))
        finally:
            server.terminate()
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name:32} {value}")
    late = found["end of speech to action, s"]["95%"] > 0.5
    return int(found["late steps"] > 0 or found["understood, of those"] < found["utterances without noise"] or late)


async def _soak(url: str, pid: int, told: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    seconds = 60 * arguments.minutes
    threading.Thread(target=lambda: [None for _ in told], daemon=True).start()  # what it prints is not needed
    async with aiohttp.ClientSession(url) as client:
        sockets = [await client.ws_connect("/ws") for _ in range(arguments.connections)]
        heard: Counter[tuple[bool, bool]] = Counter()  # noisy, understood
        ended: Ends = {}
        waited: list[float] = []
        names = [json.loads((await socket.receive()).data)["name"] for socket in sockets]
        for socket in sockets:
            await socket.send_json({"type": "microphone", "on": True})
        tasks = [
            asyncio.create_task(_listen(sockets[0], heard, ended, waited)),
            *(asyncio.create_task(_drain(socket)) for socket in sockets[1:]),
        ]
        speaking = [
            asyncio.create_task(_speak(socket, name, i, ended))
            for i, (socket, name) in enumerate(zip(sockets, names, strict=True))
        ]
        await asyncio.sleep(min(20.0, seconds / 4))  # until every buffer has its size
        before, cpu, begun = _memory(pid), _cpu(pid), asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        share = (_cpu(pid) - cpu) / (asyncio.get_running_loop().time() - begun)
        after = _memory(pid)
        async with client.get("/metrics") as answer:
            metrics = await answer.text()
        for task in (*speaking, *tasks):
            task.cancel()
        for socket in sockets:
            await socket.close()
    return {
        "connections": arguments.connections,
        "seconds": round(seconds),
        "share of one core, %": round(100 * share, 1),
        "late steps": _metric(metrics, "pynna_late_steps_total"),
        "steps": _metric(metrics, "pynna_steps_total"),
        "utterances without noise": heard[False, False] + heard[False, True],
        "understood, of those": heard[False, True],
        "utterances in noise": heard[True, False] + heard[True, True],
        "understood, of these": heard[True, True],
        "memory before and after, MiB": [round(before, 1), round(after, 1)],
        "end of speech to action, s": spread(waited),
        "last letter to action, share below": _quantiles(metrics, "pynna_latency_seconds"),
        "turn, share below": _quantiles(metrics, "pynna_turn_seconds"),
    }


def in_noise(pcm: npt.NDArray[np.int16], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Samples, and white noise `SNR_DB` below the power of what is loud in them."""
    x = pcm.astype(np.float64)
    power = float(np.mean(np.square(x[np.abs(x) > 0.02 * np.abs(x).max()])))
    noise = rng.normal(0.0, (power / 10 ** (SNR_DB / 10)) ** 0.5, len(x))
    return (x + noise).clip(-32768, 32767).astype(np.int16)


async def _speak(socket: aiohttp.ClientWebSocketResponse, name: str, i: int, ended: Ends) -> None:
    pause = np.zeros(round(16000 * PAUSE), np.int16)
    clips = [read(path).pcm for path in demo_recordings()]
    rng = np.random.default_rng(i)
    ends = [2 * np.flatnonzero(np.abs(clip) > 0.02 * np.abs(clip).max())[-1] for clip in clips]
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.02 * i / 16
    while True:
        for k in range(len(clips)):
            n = (i + k) % len(clips)
            noisy = k % NOISY == NOISY - 1
            clip = np.concatenate([clips[n], pause])
            pcm = (in_noise(clip, rng) if noisy else clip).tobytes()
            if noisy:  # what is heard from here on is heard in noise, before the words end too
                ended[name] = loop.time(), True, False
            for at in range(0, len(pcm), FRAME):
                await socket.send_bytes(pcm[at : at + FRAME])
                if at <= ends[n] < at + FRAME:
                    _, was_noisy, was_heard = ended.get(name, (0.0, False, True))
                    # what was in noise may still be rescored, and what comes after it waits
                    ended[name] = loop.time(), noisy or (was_noisy and not was_heard), False
                due += 0.02
                await asyncio.sleep(max(0.0, due - loop.time()))


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, heard: Counter[tuple[bool, bool]], ended: Ends, waited: list[float]
) -> None:
    async for message in socket:
        if '"type": "done"' in message.data[:40]:
            done = json.loads(message.data)
            if done["from"] in ended:  # not the car's own
                at, noisy, _ = ended[done["from"]]
                ended[done["from"]] = at, noisy, True
                heard[noisy, done["understood"]] += 1
                if not noisy:
                    waited.append(asyncio.get_running_loop().time() - at)


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def spread(values: list[float]) -> dict[str, float]:
    """Median, 95 % and the most."""
    if not values:
        return {"95%": float("inf")}
    return {name: round(float(np.quantile(values, q)), 3) for name, q in (("median", 0.5), ("95%", 0.95), ("most", 1))}


def _cpu(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """MiB resident."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def _metric(text: str, name: str) -> int:
    match = re.search(rf"^{name} (\S+)", text, re.MULTILINE)
    return round(float(match[1])) if match else 0


def _quantiles(text: str, name: str) -> dict[str, float]:
    rows = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)', text, re.MULTILINE)
    total = max(1.0, float(rows[-1][1]))
    return {f"{bound} s": round(float(n) / total, 4) for bound, n in rows if float(n) > 0}
