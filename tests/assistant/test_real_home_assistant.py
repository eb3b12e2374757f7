# SPDX-License-Identifier: Apache-2.0
"""A real Home Assistant and ``pynna serve``: a voice comes in by its Wyoming integration, and a light goes on.

Home Assistant needs a Python of its own. ``PYNNA_HOME_ASSISTANT`` names one that has it:

    python3.13 -m venv ha && ha/bin/pip install homeassistant numpy && ha/bin/pip install \\
        $(ha/bin/python tests/support/home_assistant_process.py requirements)
    PYNNA_HOME_ASSISTANT=ha/bin/python pytest tests/assistant/test_real_home_assistant.py
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pynna.audio.files import read

PROCESS = Path(__file__).parents[1] / "support/home_assistant_process.py"
PYTHON = os.environ.get("PYNNA_HOME_ASSISTANT", "")
ESPEAK = shutil.which("espeak-ng")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="PYNNA_HOME_ASSISTANT names no Python that has homeassistant"),
    pytest.mark.skipif(ESPEAK is None, reason="espeak-ng is not installed"),
]
Ask = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ask, str]]:
    """What asks the Home Assistant that runs, and its address."""
    port = free_port()
    log = tmp_path_factory.mktemp("log") / "home_assistant.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [PYTHON, PROCESS, tmp_path_factory.mktemp("home"), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    told = json.loads(process.stdout.readline() or "{}")
    assert "wyoming" in told.get("available", ()), log.read_text()[-3000:]

    def ask(do: str, **options: Any) -> Any:
        assert process.stdin is not None and process.stdout is not None
        print(json.dumps({"do": do, **options}), file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer
        return answer["result"]

    yield ask, f"http://127.0.0.1:{port}"
    process.stdin.close()
    process.wait(60)


class Served:
    """``pynna serve``; what it tells on standard error comes by and by."""

    def __init__(self, port: int, *options: str, **variables: str) -> None:
        command = [sys.executable, "-m", "pynna", "serve", "--wyoming", f"tcp://127.0.0.1:{port}", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
            cwd=Path(__file__).parent,
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        assert self.process.stdout is not None and self.process.stdout.readline().startswith("tcp://")

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def until(self, part: str, seconds: float = 120.0) -> None:
        """Waits for a line that has it."""
        end = time.monotonic() + seconds
        while not any(part in line for line in self.lines):
            assert time.monotonic() < end and self.process.poll() is None, self.lines
            time.sleep(0.1)


@pytest.fixture(scope="module")
def served(home: tuple[Ask, str]) -> Iterator[tuple[Served, list[str]]]:
    """The server that follows the home, and the entities that Home Assistant makes of it."""
    ask, url = home
    port = free_port()
    server = Served(port, "--home-assistant", url, HOME_ASSISTANT_TOKEN=ask("token"))
    server.until("2 entities")
    yield server, ask("connect", port=port)
    server.process.terminate()
    server.process.wait(30)


def spoken(text: str, path: Path) -> str:
    """A synthetic voice's samples at 16 kHz, in a file."""
    wav = path / "spoken.wav"
    assert ESPEAK is not None
    subprocess.run([ESPEAK, "-v", "en-us", "-s", "150", "-w", wav, text], check=True)
    pcm = read(wav, sample_rate=16000).pcm
    pause = np.zeros(4000, np.int16)
    raw = path / "spoken.raw"
    raw.write_bytes(np.concatenate([pause, pcm, pause]).astype("<i2").tobytes())
    return str(raw)


def test_a_voice_turns_a_light_on(home, served, tmp_path):
    ask, _ = home
    _, entities = served
    stt = next(name for name in entities if name.startswith("stt."))
    assert ask("state", entity="light.kitchen_light") == "off"
    told = ask("hear", pcm=spoken("turn on the kitchen light", tmp_path), stt=stt)
    assert told["stt-end"]["stt_output"]["text"].strip().lower() == "turn on the kitchen light"
    assert told["intent-end"]["intent_output"]["response"]["response_type"] == "action_done"
    assert ask("state", entity="light.kitchen_light") == "on"
    told = ask("hear", pcm=spoken("the weather in paris is lovely", tmp_path), stt=stt)
    assert "intent-end" not in told  # no sentence: nothing is done
    assert ask("state", entity="light.desk_lamp") == "off"


def test_the_intent_service_is_a_conversation_agent(home, served):
    ask, _ = home
    _, entities = served
    agent = next(name for name in entities if name.startswith("conversation.") and "home_assistant" not in name)
    ask("say", text="turn off the kitchen light", agent=agent)
    assert ask("state", entity="light.kitchen_light") == "off"
    refused = ask("say", text="sing a song", agent=agent)
    assert refused["response"]["response_type"] == "error"


def test_names_are_taken_up_without_a_restart(home, served, tmp_path):
    ask, _ = home
    server, entities = served
    stt = next(name for name in entities if name.startswith("stt."))
    ask("rename", entity="light.desk_lamp", aliases=["reading light"], area="Office")
    server.until("2 entities in 1 areas")
    told = ask("hear", pcm=spoken("turn on the reading light", tmp_path), stt=stt)
    assert told["stt-end"]["stt_output"]["text"].strip().lower() == "turn on the reading light"
    assert ask("state", entity="light.desk_lamp") == "on"
    told = ask("hear", pcm=spoken("turn off the lights in the office", tmp_path), stt=stt)
    assert ask("state", entity="light.desk_lamp") == "off", told
    ask("automate", sentence="time for coffee", entity="light.kitchen_light")
    server.until("1 sentences of automations")
    told = ask("hear", pcm=spoken("time for coffee", tmp_path), stt=stt)
    assert ask("state", entity="light.kitchen_light") == "on", told
    ask("expose", entity="light.kitchen_light", exposed=False)
    server.until("1 entities in 1 areas")
