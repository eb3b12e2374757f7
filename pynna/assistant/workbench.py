# SPDX-License-Identifier: Apache-2.0
"""One's own sentence file, tried in the browser: pasted, spoken to or typed for, with what ``pynna why`` tells."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pynna.assistant.side_process import SideProcess, answer_lines
from pynna.audio import files
from pynna.audio.pcm import Audio
from pynna.diagnosis import diagnose
from pynna.errors import ArgumentError, AudioError, CapacityError, PynnaError
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.grammar.picture import svg
from pynna.model import Model, load

MAX_BODY = 4 << 20  # bytes of a request
MAX_FILE = 64 << 10  # letters of a sentence file
MAX_SECONDS = 20.0
"""Of a recording."""

MAX_WAITING = 8  # requests that wait for the one that is worked on

RECORDINGS = Path(files.__file__).parents[1] / "recordings"

EXAMPLE = """\
intents:
  LightOn:
    data:
      - sentences: ["(turn|switch) on [the] {light} light"]
  VolumeSet:
    data:
      - sentences: ["(set|turn) the volume to {percent:level} [percent]", "increase the volume"]
lists:
  light: {values: [kitchen, bedroom, desk]}
  percent: {range: {from: 0, to: 100}}
"""


class Workbench:
    """Answers the page's questions, one at a time and in a process beside the server's: a sentence file takes a second
    of Python, for which no step is to wait.

    Attributes
    ----------
    side : SideProcess or None
        None: it answers in a thread, as where this is no plain Python that could start another.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._one = asyncio.Semaphore(1)
        self._waiting = 0
        plain = not getattr(sys, "frozen", False)
        self.side = SideProcess(__name__, "answer_beside", str(model.path)) if plain else None

    def join(self, application: web.Application) -> Workbench:
        """Lets a server's application answer, and end what was begun."""
        application.add_routes([web.get("/try/known", self._known), web.post("/try", self._try)])
        application.on_cleanup.append(self._end)
        return self

    async def _end(self, application: web.Application) -> None:
        if self.side is not None:
            await self.side.close()

    async def _known(self, request: web.Request) -> web.Response:
        names = sorted(path.stem for path in RECORDINGS.glob("*.flac"))
        car = Path(CAR_GRAMMAR).read_text(encoding="utf-8")
        return web.json_response({"recordings": names, "example": EXAMPLE, "car": car, "rate": self._model.sample_rate})

    async def _try(self, request: web.Request) -> web.Response:
        if self._waiting >= MAX_WAITING:
            return web.json_response({"error": "too many are being tried; try again soon"}, status=503)
        self._waiting += 1
        try:
            asked = json.loads(await _body(request))
            if not isinstance(asked, dict):
                raise ArgumentError("a question must be an object")
            async with self._one:
                told = await (self.side.ask(asked) if self.side else asyncio.to_thread(self.told, asked))
            return web.json_response(told, status=400 if "error" in told else 200)
        except CapacityError as error:
            return web.json_response({"error": str(error)}, status=503)
        except (PynnaError, ValueError, RecursionError) as error:
            return web.json_response({"error": str(error) or type(error).__name__}, status=400)
        finally:
            self._waiting -= 1

    def told(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer, or an ``error``."""
        try:
            return self.answer(asked)
        except (PynnaError, ValueError, RecursionError) as error:
            return {"error": str(error) or type(error).__name__}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What is to be told of a sentence file, and of a text or a recording by it.

        Parameters
        ----------
        asked : dict
            ``sentences``, a sentence file's text; ``threshold``, where not the usual one; and one of ``text``,
            ``recording`` (the name of one that ships), ``file`` (a recording's bytes in base64) and ``pcm`` (int16
            samples at the model's rate in base64), or none.

        Raises
        ------
        PynnaError
            The sentence file or the recording is wrong; the message says why and where.
        """
        grammar = _grammar(_text(asked, "sentences"))
        graph = grammar.graph(self._model.labels)
        told: dict[str, Any] = {
            "intents": list(grammar.intents), "notes": list(grammar.notes), "picture": svg(grammar),
            "sentences": str(grammar.automaton(self._model.labels).n_sentences()), "states": graph.n_states,
        }  # fmt: skip
        if asked.get("text"):
            match = grammar.parse(_text(asked, "text")[:200])
            told["parse"] = (
                None if match is None else {"intent": match.intent, "slots": match.slots, "reply": match.reply}
            )
        audio = self._audio(asked)
        if audio is not None:
            if len(audio.pcm) > MAX_SECONDS * audio.sample_rate:
                raise AudioError(f"a recording must last {MAX_SECONDS:.0f} s at most")
            threshold = asked.get("threshold")
            if threshold is not None and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
                raise ArgumentError(f"threshold must be a number from 0 to 1, got {threshold!r}")
            told["why"] = diagnose(self._model, audio, grammar, threshold).as_dict()
            told["seconds"] = len(audio.pcm) / audio.sample_rate
        return told

    def _audio(self, asked: dict[str, Any]) -> Audio | None:
        rate = self._model.sample_rate
        if asked.get("recording"):
            name = _text(asked, "recording")
            if not re.fullmatch(r"\w+", name) or not (RECORDINGS / f"{name}.flac").is_file():
                raise ArgumentError(f"recording must be one that ships, got {name!r}")
            return files.read(RECORDINGS / f"{name}.flac", sample_rate=rate)
        if asked.get("file"):
            return files.read(io.BytesIO(_bytes(asked, "file")), sample_rate=rate)
        if asked.get("pcm"):
            data = _bytes(asked, "pcm")
            return Audio(np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int16), rate, rate)
        return None


def answer_beside(path: str) -> None:
    """Answers questions from standard input; what a `SideProcess` runs."""
    answer_lines(Workbench(load(path)).told)


def _grammar(text: str) -> Grammar:
    """A grammar of a sentence file's text, of any kind."""
    if len(text) > MAX_FILE:
        raise ArgumentError(f"a sentence file must have {MAX_FILE} letters at most, got {len(text)}")
    source = io.StringIO(text)
    source.name = "line"  # errors tell "line:3: ..."
    return Grammar.from_file(source)


async def _body(request: web.Request) -> bytes:
    """A request's body, larger than the server takes elsewhere."""
    parts, n = [], 0
    try:
        async for part in request.content.iter_chunked(1 << 16):
            n += len(part)
            if n > MAX_BODY:
                raise ArgumentError(f"a question must have {MAX_BODY >> 20} MB at most")
            parts.append(part)
    except (ConnectionError, web.RequestPayloadError, HttpProcessingError, RuntimeError) as error:
        # aiohttp's own parser raises the last where the client is gone
        raise ArgumentError(f"a question must come whole: {error}") from error
    return b"".join(parts)


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise ArgumentError(f"{name} must be a text, got {value!r}")
    return value


def _bytes(asked: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_text(asked, name), validate=True)
    except binascii.Error as error:
        raise ArgumentError(f"{name} must be base64: {error}") from None
