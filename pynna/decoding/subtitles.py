# SPDX-License-Identifier: Apache-2.0
"""Words with times as subtitles: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pynna.decoding.results import Word

MAX_LINE, MAX_LINES = 42, 2
"""Characters a line and lines a cue, as broadcasters' guidelines have them."""
MAX_SECONDS, MIN_SECONDS, PAUSE = 7.0, 1.0, 0.8
"""A cue lasts no longer, and no shorter where there is room; it ends at a pause of this length."""


MAX_TIME = 1e9
"""Seconds that a file's times can be."""

_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff]+")


def printable(text: str) -> str:
    """A text without control characters, line ends and halves of characters."""
    return _NO_TEXT.sub(" ", text)


def one_line(text: str) -> str:
    """The same with single spaces."""
    return " ".join(printable(text).split())


def in_order(start: float, end: float) -> tuple[float, float]:
    """Times as a file can hold them: finite, from 0 on, the end not before the start, whole microseconds."""
    start, end = (0.0 if math.isnan(t) else round(min(max(0.0, t), MAX_TIME), 6) for t in (start, end))
    return start, max(start, end)


def writable(words: Iterable[Word]) -> Iterator[Word]:
    """Words as files can hold them; those without a text are left out."""
    for word in words:
        if text := one_line(word.text):
            sure = word.confidence if 0.0 <= word.confidence <= 1.0 else 0.0
            yield Word(text, *in_order(word.start, word.end), sure)


@dataclass(frozen=True, slots=True)
class Cue:
    """Text on the screen from `start` to `end` seconds, at most two lines."""

    start: float
    end: float
    text: str


def cues(words: Iterable[Word]) -> Iterator[Cue]:
    """Words put together into cues: a new one after a pause, when the lines are full, or when time is over."""
    group: list[Word] = []
    for word in writable(words):
        if group and not _belongs(group, word):
            yield _cue(group, word.start)
            group = []
        group.append(word)
    if group:
        yield _cue(group, float("inf"))


def _cue(group: Sequence[Word], follows: float) -> Cue:
    """A cue that is over before the next one begins."""
    end = min(max(group[-1].end, group[0].start + MIN_SECONDS), max(follows, group[-1].end))
    return Cue(group[0].start, max(group[0].start, end), "\n".join(_lines([word.text for word in group])))


def _belongs(group: Sequence[Word], word: Word) -> bool:
    if word.start - group[-1].end > PAUSE or word.end - group[0].start > MAX_SECONDS:
        return False
    return len(_lines([*(w.text for w in group), word.text])) <= MAX_LINES


def _lines(words: Sequence[str]) -> list[str]:
    """Words in lines of at most MAX_LINE characters; a longer word has a line of its own."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= MAX_LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _stamp(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"


def srt(words: Iterable[Word]) -> Iterator[str]:
    """A SubRip file, cue by cue."""
    for i, cue in enumerate(cues(words), 1):
        yield f"{i}\n{_stamp(cue.start, ',')} --> {_stamp(cue.end, ',')}\n{cue.text}\n\n"


def vtt(words: Iterable[Word]) -> Iterator[str]:
    """A WebVTT file (W3C, WebVTT: The Web Video Text Tracks Format), cue by cue."""
    texts = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    yield "WEBVTT\n\n"
    for cue in cues(words):
        yield f"{_stamp(cue.start, '.')} --> {_stamp(cue.end, '.')}\n{cue.text.translate(texts)}\n\n"
