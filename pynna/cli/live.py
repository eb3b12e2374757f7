# SPDX-License-Identifier: Apache-2.0
"""What is heard, on a terminal: a level, what is understood so far, then the utterance and what it nearly was."""

from __future__ import annotations

import math
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import numpy as np

from pynna.cli.terminal import meaning
from pynna.decoding.results import GrammarResult, Result
from pynna.events import Final, Partial, SpeechStart

BARS = " ▁▂▃▄▅▆▇█"
METER = 12
"""Columns of the level meter."""

METER_FROM, METER_TO = -60.0, -10.0
"""Decibels below full scale of the lowest and the highest bar."""

CHUNKS_PER_METER = 4  # chunks of 20 ms between two drawings of the level
MAX_ALTERNATIVES = 2  # alternatives that are told at most


def is_live(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def bar(pcm: bytes) -> str:
    """How loud int16 samples are, as a block of its height."""
    samples = np.frombuffer(pcm[: len(pcm) & ~1], np.int16).astype(np.float64)
    power = float(np.mean(samples**2)) / 32768.0**2 if len(samples) else 0.0
    decibels = 10 * math.log10(max(power, 1e-12))
    share = (decibels - METER_FROM) / (METER_TO - METER_FROM)
    return BARS[max(0, min(len(BARS) - 1, round(share * (len(BARS) - 1))))]


class Live:
    """Draws on a terminal. The last line is overdrawn as long as an utterance goes on.

    Parameters
    ----------
    stream : text file
        The terminal.
    words : bool
        Whether each word's times and confidence are told, too.
    all_texts : bool
        Whether an empty text is told: with a grammar it was refused.
    """

    def __init__(self, stream: TextIO, words: bool = False, all_texts: bool = False) -> None:
        self._stream, self._words, self._all = stream, words, all_texts
        self._colours = "NO_COLOR" not in os.environ
        self._levels: deque[str] = deque(BARS[0] * METER, METER)
        self._partial, self._speaking, self._n = "", False, 0

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, as they pass; the level follows them."""
        for chunk in chunks:
            self._levels.append(bar(chunk))
            self._n += 1
            if self._n % CHUNKS_PER_METER == 0:
                self.draw()
            yield chunk

    def tell(self, event: Any) -> None:
        """What a listener told."""
        if isinstance(event, SpeechStart):
            self._speaking = True
        elif isinstance(event, Partial):
            self._partial = event.result.text
        elif isinstance(event, Final):
            self._speaking, self._partial = False, ""
            if event.result.text or self._all:
                self._final(event.result)
        self.draw()

    def draw(self) -> None:
        """The level, and what is understood so far, in as many columns as there are."""
        width = shutil.get_terminal_size().columns - METER - 5
        mark = self._coloured("1;32", "●") if self._speaking else self._coloured("2", "○")
        text = self._partial if len(self._partial) <= width else "…" + self._partial[-max(1, width - 1) :]
        print(
            f"\r\x1b[K{mark} {''.join(self._levels)}  {self._coloured('2', text)}",
            end="",
            file=self._stream,
            flush=True,
        )

    def close(self) -> None:
        """Leaves an empty line for what comes next."""
        print(end="\r\x1b[K", file=self._stream, flush=True)

    def _coloured(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text

    def _final(self, result: Result) -> None:
        accepted = getattr(result, "accepted", True)
        lines = [self._coloured("1" if accepted else "31", result.text) + self._coloured("36" if accepted else "31",
                 meaning(result) or f"  ({result.confidence:.2f})")]  # fmt: skip
        if self._words:
            lines += [f"{w.start:9.2f} {w.end:9.2f} {w.confidence:6.3f}  {w.text}" for w in result.words]
        nearly = result.alternatives[1 : 1 + MAX_ALTERNATIVES] if isinstance(result, GrammarResult) else ()
        lines += [
            self._coloured("2", f"   nearly  {other.text}  ({other.confidence:.2f})") for other in nearly if other.text
        ]
        print("\r\x1b[K" + "\n".join(lines), file=self._stream, flush=True)
