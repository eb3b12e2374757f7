# SPDX-License-Identifier: Apache-2.0
"""Words with times as subtitles: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pynna.decoding.results import Word

MAX_LINE, MAX_LINES = 42, 2
"""Characters a line and lines a cue, as broadcasters' guidelines have them."""
MAX_SECONDS, MIN_SECONDS, PAUSE = 7.0, 1.0, 0.8
"""A cue lasts no longer, and no shorter where there is room; it ends at a pause of this length."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Text on the screen from `start` to `end` seconds, at most two lines."""

    start: float
    end: float
    text: str


def cues(words: Iterable[Word]) -> list[Cue]:
    """Words put together into cues: a new one after a pause, when the lines are full, or when time is over."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and _belongs(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    made = []
    for i, group in enumerate(groups):
        follows = groups[i + 1][0].start if i + 1 < len(groups) else float("inf")
        end = min(max(group[-1].end, group[0].start + MIN_SECONDS), max(follows, group[-1].end))
        made.append(Cue(group[0].start, end, "\n".join(_lines([word.text for word in group]))))
    return made


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


def srt(words: Iterable[Word]) -> str:
    """A SubRip file."""
    return "".join(
        f"{i}\n{_stamp(cue.start, ',')} --> {_stamp(cue.end, ',')}\n{cue.text}\n\n"
        for i, cue in enumerate(cues(words), 1)
    )


def vtt(words: Iterable[Word]) -> str:
    """A WebVTT file (W3C, WebVTT: The Web Video Text Tracks Format)."""
    texts = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n\n" + "".join(
        f"{_stamp(cue.start, '.')} --> {_stamp(cue.end, '.')}\n{cue.text.translate(texts)}\n\n" for cue in cues(words)
    )
