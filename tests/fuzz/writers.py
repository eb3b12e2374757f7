# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of files that are written: whatever was said, and at whatever times, a reader that is not ours, or one
that keeps to the format's definition, reads it back."""

from __future__ import annotations

import io
import json
import re
import struct
from collections.abc import Callable
from typing import Any

from pynna.archive.writers import FORMATS, Recording
from pynna.decoding import subtitles
from pynna.decoding.results import Word
from tests.fuzz.registry import Finding, target

_TIMES = (0.0, -1.0, 1e300, float("inf"), float("-inf"), float("nan"), 3599.9995, 0.04, 1e-9, 59.9999999, 86400.0 * 5)


def _drawn(data: bytes) -> tuple[Recording, list[dict[str, Any]]]:
    """A recording and its segments: pieces up to a byte 0xFF are texts, two bytes after each its times."""
    at, segments = 0.0, []
    name, *pieces = data.split(b"\xff")[:40]
    for number, piece in enumerate(pieces):
        kind, length = struct.unpack("<bB", piece[:2].ljust(2, b"\x01"))
        start = at if kind >= 0 else _TIMES[kind % len(_TIMES)]
        end = start + length / 50 if length < 250 else _TIMES[length % len(_TIMES)]
        at = end if 0 <= end < 1e6 else at
        text = piece[2:].decode("utf-8", "surrogateescape" if kind % 2 else "replace")
        sure = _TIMES[length % len(_TIMES)]
        words = [{"text": text, "start": start, "end": end, "confidence": sure}]
        if number % 3 and segments:
            segments[-1]["words"] += words
            segments[-1] |= {"text": segments[-1]["text"] + " " + text, "end": end}
        else:
            segments.append({"start": start, "end": end, "text": text, "confidence": sure, "words": words})
    path = (name.replace(b"\0", b"") or b"a.wav").decode("utf-8", "surrogateescape")
    return Recording(path, at if len(data) % 8 else _TIMES[len(data) % len(_TIMES)], ()), segments


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def _cues(said: list[Word]) -> list[tuple[float, float, str]]:
    return [(cue.start, cue.end, cue.text) for cue in subtitles.cues(said)]


def _same(found: list[tuple[float, float, str]], wanted: list[tuple[float, float, str]]) -> bool:
    """Whether cues are those that were written, to a millisecond."""
    return len(found) == len(wanted) and all(
        abs(a[0] - b[0]) < 2e-3 and abs(a[1] - b[1]) < 2e-3 and a[2].split() == b[2].split() and a[0] <= a[1]
        for a, b in zip(found, wanted, strict=True)
    )


def _srt(text: str, said: list[Word], segments: list[Any]) -> bool:
    import srt

    read = [(s.start.total_seconds(), s.end.total_seconds(), s.content) for s in srt.parse(text)]
    return _same(read, _cues(said))


def _vtt(text: str, said: list[Word], segments: list[Any]) -> bool:
    import webvtt

    def seconds(stamp: str) -> float:
        hours, minutes, rest = stamp.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    read = webvtt.from_buffer(io.StringIO(text)) if said else []
    plain = [(seconds(c.start), seconds(c.end), c.text) for c in read]
    escaped = [(a, b, t.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) for a, b, t in _cues(said)]
    return _same(plain, escaped) or _same(plain, _cues(said))


_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![\w\[])(-?\d+(?:\.\d+)?)(?![\w\]])|<exists>')


def _textgrid(text: str, said: list[Word], segments: list[Any]) -> bool:
    """As Praat reads a text file: strings and numbers that stand by themselves, all else is a comment."""
    tokens = [
        m[1].replace('""', '"') if m[1] is not None else float(m[2])
        for m in _TOKEN.finditer(text)
        if m[0] != "<exists>"
    ]
    if tokens[:2] != ["ooTextFile", "TextGrid"]:
        return False
    rest = iter(tokens[2:])
    low, high, n_tiers = (next(rest) for _ in range(3))
    for _ in range(int(n_tiers)):  # type: ignore[arg-type]
        kind, name, first, last, n = (next(rest) for _ in range(5))
        if (kind, first, last) != ("IntervalTier", low, high):
            return False
        at, texts = low, []
        for _ in range(int(n)):  # type: ignore[arg-type]
            start, end, label = (next(rest) for _ in range(3))
            if start != at or not end > start:  # type: ignore[operator]
                return False
            at, texts = end, [*texts, label]
        if n and at != high or not {t for t in texts if t} <= _labels(name, said, segments):
            return False
    return next(rest, None) is None


def _labels(name: Any, said: list[Word], segments: list[Any]) -> set[Any]:
    if name == "words":
        return {word.text for word in said}
    return {subtitles.one_line(segment["text"]) for segment in segments}


def _ctm(text: str, said: list[Word], segments: list[Any]) -> bool:
    rows = [line.split() for line in _lines(text)]
    return len(rows) == len(said) and all(
        len(row) == 6
        and not row[0].startswith(";;")
        and float(row[2]) >= 0
        and float(row[3]) >= 0
        and 0 <= float(row[5]) <= 1
        for row in rows
    )


def _tsv(text: str, said: list[Word], segments: list[Any]) -> bool:
    rows = [line.split("\t") for line in text.splitlines()]
    return len(rows) == len(segments) and all(len(r) == 5 and 0 <= float(r[1]) <= float(r[2]) <= 1e9 for r in rows)


def _json(text: str, said: list[Word], segments: list[Any]) -> bool:
    def never(name: str) -> None:
        raise Finding(f"{name} is no JSON")

    told = [json.loads(line, parse_constant=never) for line in _lines(text)]
    return [one["text"] for one in told] == [segment["text"] for segment in segments]


_READERS: dict[str, Callable[[str, list[Word], list[Any]], bool]] = {
    "text": lambda text, said, segments: len(text.splitlines()) == len(segments),
    "json": _json, "jsonl": _json, "srt": _srt, "vtt": _vtt, "textgrid": _textgrid, "ctm": _ctm, "tsv": _tsv,
}  # fmt: skip


@target(
    lambda: [
        b"talk.wav\xff\x01\x19turn\xff\x01\x19the\xff\x01\x19lights\xff\x05\x40on",
        b"b \xe9.wav\xff\xfb\xfaa\xff\x01\x02b",
    ],
    b"\xff\x01\x10", b"\n\n", b" --> ", b'"', b'""', b"\t", b"&lt;", b"<c>", b"\xe2\x80\xa8", b"\x1c", b"NOTE", b"\x85",
    b"\r", b"1\n00:00:00,000 --> 00:00:01,000\n", b"WEBVTT", b"\xff\xfd\xfe", b"<exists>", b"{\\an8}", b"\xef\xbb\xbf",
)  # fmt: skip
def _written(data: bytes) -> None:
    """Results as files: text, JSON, subtitles, TextGrid, CTM and TSV."""
    of, segments = _drawn(data)
    said = list(subtitles.writable(Word(**word) for segment in segments for word in segment["words"]))
    for name, form in FORMATS.items():
        text = "".join(form.write(of, lambda: segments))
        try:
            good = _READERS[name](text.encode().decode(), said, segments)  # as it is written: in UTF-8
        except Exception as error:
            raise Finding(f"{name}: {error!r}: {text!r:.2000}") from error
        if not good:
            raise Finding(f"{name} is read as something else: {text!r:.2000}")
