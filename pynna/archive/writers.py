# SPDX-License-Identifier: Apache-2.0
"""Segments as files: text, JSON lines, SubRip, WebVTT, TextGrid, CTM and TSV, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pynna.decoding import subtitles
from pynna.decoding.results import Word
from pynna.decoding.telling import meaning, to_json

Segments: TypeAlias = Callable[[], Iterable[dict[str, Any]]]
"""Gives a recording's segments in order, each time from the first."""


class Recording(NamedTuple):
    """What is told of a recording: its name, its length in seconds, what was done to it and looks wrong with it."""

    path: str
    seconds: float
    notes: Sequence[str]


def words_of(segments: Iterable[dict[str, Any]]) -> Iterator[Word]:
    """The words of segments, as files can hold them."""
    return subtitles.writable(Word(**word) for segment in segments for word in segment["words"])


def _name(of: Recording) -> str:
    """What a recording is called in a file."""
    return subtitles.one_line(os.fsencode(of.path).decode("utf-8", "replace"))


def _text(of: Recording, segments: Segments) -> Iterator[str]:
    for segment in segments():
        yield subtitles.printable(segment["text"] + meaning(segment)) + "\n"


def _jsonl(of: Recording, segments: Segments) -> Iterator[str]:
    for segment in segments():
        yield to_json({"file": of.path, **segment}) + "\n"


def _json(of: Recording, segments: Segments) -> Iterator[str]:
    """With the whole recording's length and notes in each object."""
    for segment in segments():
        told = {"file": of.path, **segment, "duration": round(of.seconds, 6), "notes": of.notes}
        yield to_json(told) + "\n"


def _srt(of: Recording, segments: Segments) -> Iterator[str]:
    return subtitles.srt(words_of(segments()))


def _vtt(of: Recording, segments: Segments) -> Iterator[str]:
    return subtitles.vtt(words_of(segments()))


def _ctm(of: Recording, segments: Segments) -> Iterator[str]:
    """NIST's: recording, channel, start, length, word, confidence."""
    name = "_".join(Path(_name(of)).stem.split()).lstrip(";") or "recording"  # ;; would begin a comment
    for word in words_of(segments()):
        text = "_".join(word.text.split())
        yield f"{name} 1 {word.start:.2f} {word.end - word.start:.2f} {text} {word.confidence:.4f}\n"


def _tsv(of: Recording, segments: Segments) -> Iterator[str]:
    """For tables: recording, start, end, confidence, text; without a head, so that the files of several go together."""
    for segment in segments():
        start, end = subtitles.in_order(segment["start"], segment["end"])
        row = (_name(of), f"{start:.2f}", f"{end:.2f}", f"{segment['confidence']:.4f}")
        yield "\t".join((*row, subtitles.one_line(segment["text"]))) + "\n"


Interval: TypeAlias = tuple[float, float, str]


def _textgrid(of: Recording, segments: Segments) -> Iterator[str]:
    """Praat's long text format: a tier of segments and one of words, which leave no gap and do not overlap."""

    def utterances() -> Iterator[Interval]:
        for segment in segments():
            yield *subtitles.in_order(segment["start"], segment["end"]), subtitles.one_line(segment["text"])

    def words() -> Iterator[Interval]:
        return ((word.start, word.end, word.text) for word in words_of(segments()))

    seconds = subtitles.in_order(0.0, of.seconds)[1]
    end = max([seconds, *(stop for _, stop, _ in utterances()), *(stop for _, stop, _ in words())], default=0.0)
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


class Format(NamedTuple):
    """The ending of its files; what makes their content of what is told of a recording and of its segments; whether
    recordings are cut at pauses, even where that is not asked for."""

    ending: str
    write: Writer
    segmented: bool = True


FORMATS: dict[str, Format] = {
    "text": Format("txt", _text, segmented=False),
    "json": Format("json", _json, segmented=False),
    "jsonl": Format("jsonl", _jsonl),
    "srt": Format("srt", _srt),
    "vtt": Format("vtt", _vtt),
    "textgrid": Format("TextGrid", _textgrid),
    "ctm": Format("ctm", _ctm),
    "tsv": Format("tsv", _tsv),
}
"""By name: all that ``pynna transcribe --format`` and ``pynna.transcribe_files`` know."""
