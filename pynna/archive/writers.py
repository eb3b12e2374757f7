# SPDX-License-Identifier: Apache-2.0
"""Segments as files: text, JSON lines, SubRip, WebVTT, TextGrid and CTM, piece by piece."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pynna.decoding import subtitles
from pynna.decoding.results import Word

Segments: TypeAlias = Callable[[], Iterable[dict[str, Any]]]
"""Gives a recording's segments in order, each time from the first."""


class Recording(NamedTuple):
    """What is told of a recording: its name, its length in seconds, what was done to it and looks wrong with it."""

    path: str
    seconds: float
    notes: Sequence[str]


def words_of(segments: Iterable[dict[str, Any]]) -> Iterator[Word]:
    """The words of segments."""
    return (Word(**word) for segment in segments for word in segment["words"])


def _text(of: Recording, segments: Segments) -> Iterator[str]:
    for segment in segments():
        yield segment["text"] + _meaning(segment) + "\n"


def _meaning(segment: dict[str, Any]) -> str:
    if "intent" not in segment:
        return ""
    if not segment["accepted"]:
        return f"  (not accepted, {segment['confidence']:.2f})"
    slots = "".join(f" {name}={value}" for name, value in segment["slots"].items())
    return f"  [{segment['intent']}{slots}, {segment['confidence']:.2f}]"


def _known(item: Any) -> Any:
    """JSON knows no infinity."""
    if isinstance(item, dict):
        return {key: _known(part) for key, part in item.items()}
    if isinstance(item, list):
        return [_known(part) for part in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _jsonl(of: Recording, segments: Segments) -> Iterator[str]:
    for segment in segments():
        yield json.dumps({"file": of.path, **_known(segment)}, allow_nan=False) + "\n"


def _json(of: Recording, segments: Segments) -> Iterator[str]:
    """As without jobs: the whole recording's length and notes in each object."""
    for segment in segments():
        told = {"file": of.path, **_known(segment), "duration": round(of.seconds, 6), "notes": list(of.notes)}
        yield json.dumps(told, allow_nan=False) + "\n"


def _srt(of: Recording, segments: Segments) -> Iterator[str]:
    return subtitles.srt_pieces(words_of(segments()))


def _vtt(of: Recording, segments: Segments) -> Iterator[str]:
    return subtitles.vtt_pieces(words_of(segments()))


def _ctm(of: Recording, segments: Segments) -> Iterator[str]:
    """NIST's: recording, channel, start, length, word, confidence."""
    name = "_".join(Path(of.path).stem.split()) or "recording"
    for word in words_of(segments()):
        yield f"{name} 1 {word.start:.2f} {max(0.0, word.end - word.start):.2f} {word.text} {word.confidence:.4f}\n"


Interval: TypeAlias = tuple[float, float, str]


def _textgrid(of: Recording, segments: Segments) -> Iterator[str]:
    """Praat's long text format: a tier of segments and one of words, which leave no gap and do not overlap."""

    def utterances() -> Iterator[Interval]:
        return ((segment["start"], segment["end"], segment["text"]) for segment in segments())

    def words() -> Iterator[Interval]:
        return ((word.start, word.end, word.text) for word in words_of(segments()))

    end = max([of.seconds, *(stop for _, stop, _ in utterances()), *(stop for _, stop, _ in words())], default=0.0)
    yield (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0\nxmax = {end:.6f}\ntiers? <exists>\nsize = 2\nitem []:\n"
    )
    for number, (name, intervals) in enumerate((("segments", utterances), ("words", words)), 1):
        count = sum(1 for _ in _filled(intervals(), end))
        yield (
            f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
            f"        xmin = 0\n        xmax = {end:.6f}\n        intervals: size = {count}\n"
        )
        for i, (start, stop, text) in enumerate(_filled(intervals(), end), 1):
            quoted = text.replace('"', '""')
            yield (
                f"        intervals [{i}]:\n            xmin = {start:.6f}\n            xmax = {stop:.6f}\n"
                f'            text = "{quoted}"\n'
            )


def _filled(intervals: Iterable[Interval], end: float) -> Iterator[Interval]:
    """Intervals, with empty ones between them; one that begins before the one before it has ended begins there."""
    at = 0.0
    for start, stop, text in intervals:
        start = max(at, start)
        if stop <= start:
            continue
        if start > at:
            yield at, start, ""
        yield start, stop, text
        at = stop
    if at < end:
        yield at, end, ""


Writer: TypeAlias = Callable[[Recording, Segments], Iterator[str]]

WRITERS: dict[str, tuple[str, Writer]] = {
    "text": ("txt", _text),
    "json": ("json", _json),
    "jsonl": ("jsonl", _jsonl),
    "srt": ("srt", _srt),
    "vtt": ("vtt", _vtt),
    "textgrid": ("TextGrid", _textgrid),
    "ctm": ("ctm", _ctm),
}
"""By the format's name: the ending of its files, and what makes their content of what is told of a recording and
its segments."""

SEGMENTED = ("jsonl", "srt", "vtt", "textgrid", "ctm")
"""Formats of recordings that are cut at pauses, whether or not that is asked for."""
