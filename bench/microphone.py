# SPDX-License-Identifier: Apache-2.0
"""Ten commands of ten voices through a browser's microphone: how many are done rightly.

Each voice speaks all commands into a headless Chromium whose microphone is the recording; the server is a process of
its own. A command is done rightly when the car was told the intent and the slots that the words mean, and nothing else
was done before the next command.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

import pynna
from bench.soak import spread
from pynna.train.voices import engines
from pynna.train.voices.base import RATE
from pynna.train.voices.espeak import espeak
from pynna.train.voices.flite import flite
from pynna.train.voices.held_out import test_voice
from pynna.train.voices.pico import pico
from tests.support.browser import Browser

VOICES = (*engines.TEST_VOICES, "espeak:en-us", "flite:slt", "pico:en-GB")
COMMANDS = (
    "increase the volume",
    "check battery levels",
    "display navigation",
    "turn on the air conditioning",
    "set the temperature to twenty one degrees",
    "open the window",
    "play some music",
    "call home",
    "lock the doors",
    "take me to the airport",
)
PAUSE = 2.0  # seconds after each command
_WATCH = """(() => {
  let loud = 0;
  window.waited_ = [];
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => {
        if (/^{"type": "done".*"understood": true/.test(data)) waited_.push((performance.now() - loud) / 1000);
      });
    }
    send(data) {
      if (typeof data !== "string" && new Int16Array(data).some((v) => Math.abs(v) > 400)) loud = performance.now();
      super.send(data);
    }
  };
})()"""
LEAD = 2.0  # before the first: echo cancellation and gain control settle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--voices", nargs="+", default=VOICES, metavar="V", help=f"of {', '.join(VOICES)}")
    parser.add_argument("--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="voices at once (1); on a quiet machine with two cores 2 take 4 minutes",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the recordings in a folder")


def run(arguments: argparse.Namespace) -> int:
    """Runs it; 1 if fewer than 95 of 100 were done rightly."""
    command = [sys.executable, "-m", "pynna", "assistant", "--no-browser", "--port", "0"]
    command += ["--model", arguments.model] if arguments.model else []
    rows: list[dict[str, Any]] = []
    waited: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        measure = functools.partial(_serve, command, arguments.keep or Path(folder))
        for voice, (found, waits) in zip(arguments.voices, pool.map(measure, arguments.voices), strict=True):
            rows += found
            waited += waits
            if not arguments.json:
                _print(voice, found)
    right = sum(row["right"] for row in rows)
    if arguments.json:
        print(
            json.dumps(
                {"right": right, "of": len(rows), "end of speech to action, s": spread(waited), "commands": rows},
                indent=1,
            )
        )
    else:
        print(f"\n{right} of {len(rows)} rightly done; end of speech to action, s: {spread(waited)}")
    return int(right < 0.95 * len(rows))


def _serve(command: list[str], folder: Path, voice: str) -> tuple[list[dict[str, Any]], list[float]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            return asyncio.run(_voice(voice, server.stdout.readline().strip(), folder))
        finally:
            server.terminate()


def _print(voice: str, rows: list[dict[str, Any]]) -> None:
    print(f"{voice:14} {sum(row['right'] for row in rows):2} of {len(rows)}", flush=True)
    for row in rows:
        if not row["right"]:
            print(f"    {row['said']} -> {', '.join(row['heard']) or 'nothing'}", flush=True)


def speak(voice: str, text: str) -> NDArray[np.int16]:
    """16 kHz samples of a voice."""
    engine, _, name = voice.partition(":")
    if engine == "espeak":
        return espeak()(text, name, 155, 50)
    if engine == "flite":
        return flite()(text, name, 1.0, 1.0)
    return pico(text, name, 100, 100) if engine == "pico" else test_voice(text, voice)


def recording(voice: str, path: Path) -> list[tuple[float, float]]:
    """Writes a voice's commands as a WAV file for Chromium; seconds at which each begins and ends."""
    parts, times, at = [np.zeros(round(LEAD * RATE))], [], LEAD
    for text in COMMANDS:
        pcm = speak(voice, text) / 32768
        loud = np.flatnonzero(np.abs(pcm) > 0.02)
        pcm = pcm[loud[0] : loud[-1] + 1] * (0.35 / np.abs(pcm).max())
        parts += [pcm, np.zeros(round(PAUSE * RATE))]
        times.append((at, at + len(pcm) / RATE))
        at = times[-1][1] + PAUSE
    soundfile.write(path, resample_poly(np.concatenate(parts), 3, 1), 3 * RATE, subtype="PCM_16")
    return times


async def _voice(voice: str, url: str, folder: Path) -> tuple[list[dict[str, Any]], list[float]]:
    path = folder / f"{voice.replace(':', '-')}.wav"
    times = recording(voice, path)
    told: list[tuple[float, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with (
            aiohttp.ClientSession(url) as client,
            client.ws_connect("/ws") as socket,
            Browser(Path(profile), size=(480, 270), recording=path) as browser,
        ):
            await browser.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
            await browser.open(url)
            await browser.until("document.querySelector('#lost').hidden")
            await browser.ask("document.querySelector('#microphone').click()")
            await browser.until("document.querySelector('#microphone').ariaPressed == 'true'")
            clicked = time.monotonic()
            listening = asyncio.create_task(_note(socket, told))
            length = times[-1][1] + PAUSE
            await asyncio.sleep(length)
            first = next((at for at, message in told if message["type"] == "words"), clicked + times[0][0])
            begun = first - times[0][0]
            await asyncio.sleep(max(0.0, begun + length - time.monotonic()))  # the browser may have begun late
            listening.cancel()
            waited = await browser.ask("waited_")
            assert not browser.complaints, browser.complaints
    return [
        _judge(
            voice,
            text,
            [message for at, message in told if message["type"] == "done" and _belongs(at - begun, i, times)],
        )
        for i, text in enumerate(COMMANDS)
    ], waited


async def _note(socket: aiohttp.ClientWebSocketResponse, told: list[tuple[float, dict[str, Any]]]) -> None:
    async for message in socket:
        if message.data.startswith(('{"type": "done"', '{"type": "words"')):
            told.append((time.monotonic(), json.loads(message.data)))


def _belongs(at: float, i: int, times: list[tuple[float, float]]) -> bool:
    """Whether something was done from a command's beginning to the next one's."""
    return (i == 0 or times[i][0] <= at) and (i + 1 == len(times) or at < times[i + 1][0])


def _judge(voice: str, text: str, done: list[dict[str, Any]]) -> dict[str, Any]:
    meant = _grammar().parse(text)
    assert meant is not None
    right = [(d["intent"], d["slots"]) for d in done if d["understood"]] == [(meant.intent, dict(meant.slots))]
    heard = [f"{d['text']} ({d['confidence']:.2f}{'' if d['understood'] else ', not accepted'})" for d in done]
    return {"voice": voice, "said": text, "right": right, "heard": heard}


@functools.cache
def _grammar() -> pynna.Grammar:
    return pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
