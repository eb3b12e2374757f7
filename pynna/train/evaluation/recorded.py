# SPDX-License-Identifier: Apache-2.0
"""A set of recorded commands, as they come from a satellite's microphone: what is accepted, by speaker and by distance.

The set is a folder with recordings and a manifest; `docs/recordings.md` tells its form.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynna.decoding.results import GrammarResult
from pynna.errors import ArgumentError, PynnaError, reading
from pynna.grammar import Grammar
from pynna.model import Model
from pynna.train.evaluation.scores import Judge

MANIFESTS = ("manifest.tsv", "manifest.csv", "manifest.json", "manifest.jsonl", "metadata.csv", "metadata.jsonl")
"""Names of manifests, the first that is there counts."""

COLUMNS = {
    "path": ("path", "file", "file_name", "filename", "audio", "audio_filepath", "wav"),
    "text": ("text", "sentence", "transcript", "transcription", "command"),
    "intent": ("intent",),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "distance": ("distance", "distance_m"),
    "outside": ("outside", "negative"),
}
"""What a recording has, and the names that people give it."""

_TRUE, _FALSE = ("1", "true", "yes", "y"), ("", "0", "false", "no", "n")
UNKNOWN = "unknown"
RIGHT, WRONG, REFUSED, FALSE, SILENT = (
    "accepted rightly", "accepted wrongly", "refused", "outside, accepted", "outside, refused",
)  # fmt: skip
KINDS = (RIGHT, WRONG, REFUSED, FALSE, SILENT)


@dataclass(frozen=True)
class Recorded:
    """A recording of a set: `text` is what was said, `intent` what it means where the manifest tells, `outside` whether
    it is no command (None: the sentence file tells), `distance` in metres or in words."""

    path: Path
    text: str
    intent: str | None = None
    speaker: str = UNKNOWN
    distance: str = UNKNOWN
    outside: bool | None = None


@dataclass(frozen=True)
class Heard:
    """A recording and what was made of it: one of `KINDS`, and the nearest sentence with its confidence."""

    recorded: Recorded
    kind: str
    text: str
    intent: str | None
    confidence: float


def read_set(folder: Path) -> list[Recorded]:
    """The recordings of a folder with a manifest.

    Raises
    ------
    ArgumentError
        No manifest, no such form of one, or a recording that it names and that is not there: with file and line.
    """
    manifest = next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)
    if manifest is None:
        raise ArgumentError(f"{folder} must hold one of {', '.join(MANIFESTS)}")
    try:
        with reading(manifest):
            rows = _rows(manifest)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ArgumentError(f"{manifest}: no such table: {error}") from None
    if not rows:
        raise ArgumentError(f"{manifest} must name a recording at least")
    return [_recorded(folder, row, f"{manifest}:{line}") for line, row in rows]


def _rows(manifest: Path) -> list[tuple[int, Any]]:
    """The rows of a manifest and their lines, of a JSON list their numbers."""
    text = manifest.read_text("utf-8-sig")
    if manifest.suffix == ".json":
        return list(enumerate(json.loads(text), 1))
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if manifest.suffix == ".jsonl":
        return [(i, json.loads(line)) for i, line in lines]
    delimiter = "\t" if manifest.suffix == ".tsv" else max(",;\t", key=lines[0][1].count) if lines else ","
    table = list(csv.reader((line for _, line in lines), delimiter=delimiter))
    if len(table) != len(lines):
        raise csv.Error("a field must be on one line")
    names = [name.strip().lower() for name in table[0]] if table else []
    if table and not set(names) & set(COLUMNS["path"]):  # no heading: path, speaker, text, as corpora have it
        names, table = ["path", "speaker", "text"], [[], *table]
        lines = [(0, ""), *lines]
    return [(lines[i][0], dict(zip(names, row, strict=False))) for i, row in enumerate(table) if i > 0]


def _recorded(folder: Path, row: Any, at: str) -> Recorded:
    if not isinstance(row, Mapping):
        raise ArgumentError(f"{at}: a recording must be a table of names and values, got {row!r:.40}")
    values = {str(name).strip().lower(): value for name, value in row.items() if value not in (None, "")}
    found = {kind: next((values[n] for n in names if n in values), None) for kind, names in COLUMNS.items()}
    if found["path"] is None:
        raise ArgumentError(f"{at}: a recording must have a path ({', '.join(COLUMNS['path'])})")
    path = folder / str(found["path"])
    if not path.is_file():
        raise ArgumentError(f"{at}: there is no {path}")
    outside = None if found["outside"] is None else str(found["outside"]).strip().lower()
    if outside is not None and outside not in _TRUE + _FALSE:
        raise ArgumentError(f"{at}: outside must be yes or no, got {outside!r:.40}")
    return Recorded(
        path,
        str(found["text"] or "").strip(),
        None if found["intent"] is None else str(found["intent"]).strip(),
        str(found["speaker"] or UNKNOWN).strip(),
        str(found["distance"] or UNKNOWN).strip(),
        None if outside is None else outside in _TRUE,
    )


def hear_set(
    model: Model, recordings: Iterable[Recorded], grammar: Grammar, hear: Callable[[Path], GrammarResult] | None = None
) -> list[Heard]:
    """What a model makes of each recording.

    Parameters
    ----------
    model : Model
    recordings : iterable of Recorded
    grammar : Grammar
        The sentence file.
    hear : callable, optional
        Gives the result of a recording; unless given as ``model.transcribe`` with the grammar does.

    Raises
    ------
    ArgumentError
        A command that the sentence file has not, and that is not told to be outside of it: the set or the file is
        wrong. AudioError and others for a recording that cannot be read, with its path.
    """
    judge = Judge(grammar)
    hear = hear or (lambda path: model.transcribe(path, grammar=grammar))
    return [_heard(recorded, judge, hear) for recorded in recordings]


def _heard(recorded: Recorded, judge: Judge, hear: Callable[[Path], GrammarResult]) -> Heard:
    said = judge.means(recorded.text) if recorded.text else None
    intent = recorded.intent or (None if said is None else said[0])
    outside = intent is None if recorded.outside is None else recorded.outside
    if not outside and intent is None:
        raise ArgumentError(f"{recorded.path}: {recorded.text!r} must be a sentence of the grammar, or told as outside")
    try:
        result = hear(recorded.path)
    except PynnaError as error:
        raise type(error)(f"{recorded.path}: {error}") from None
    means = judge.means(result.text) if result.complete else None
    if not result.accepted:
        kind = SILENT if outside else REFUSED
    elif outside:
        kind = FALSE
    else:  # what the manifest tells alone says nothing of the slots
        kind = RIGHT if (means == said if said is not None else result.intent == intent) else WRONG
    return Heard(recorded, kind, result.text, result.intent, result.confidence)


def report(heard: Sequence[Heard], grammar_name: str, threshold: float) -> str:
    """The figures as Markdown: all, by speaker, by distance, and what went wrong."""
    lines = [
        f"# {len(heard)} recordings, sentences of {grammar_name}, threshold {threshold:g}",
        "",
        f"| | recordings | {' | '.join(KINDS)} | rightly, % of commands | accepted, % of outside |",
        f"|---|{'---|' * (len(KINDS) + 3)}",
        _row("all", heard),
    ]
    for kind in ("speaker", "distance"):
        groups: dict[str, list[Heard]] = {}
        for h in heard:
            groups.setdefault(getattr(h.recorded, kind), []).append(h)
        if set(groups) != {UNKNOWN}:
            lines += [_row(f"{kind} {group}", groups[group]) for group in sorted(groups, key=_natural)]
    wrong = [h for h in heard if h.kind in (WRONG, REFUSED, FALSE)]
    if wrong:
        lines += ["", "| recording | said | | nearest sentence | confidence |", "|---|---|---|---|---|"]
        lines += [
            f"| {h.recorded.path.name} | {h.recorded.text or '-'} | {h.kind} | {h.text or '-'} | {h.confidence:.3f} |"
            for h in sorted(wrong, key=lambda h: (KINDS.index(h.kind), -h.confidence))
        ]
    return "\n".join(lines) + "\n"


def _natural(name: str) -> tuple[float, str]:
    """Numbers by their size, then words."""
    try:
        return float(name.removesuffix("m").strip().replace(",", ".")), name
    except ValueError:
        return float("inf"), name


def _row(name: str, heard: Sequence[Heard]) -> str:
    counts = Counter(h.kind for h in heard)
    inside = counts[RIGHT] + counts[WRONG] + counts[REFUSED]
    outside = counts[FALSE] + counts[SILENT]
    shares = [f"{100 * n / of:.1f}" if of else "-" for n, of in ((counts[RIGHT], inside), (counts[FALSE], outside))]
    return f"| {name} | {len(heard)} | {' | '.join(str(counts[kind]) for kind in KINDS)} | {' | '.join(shares)} |"


def evaluate_set(folder: Path, model: Path, sentences: str, output: Path | None, threshold: float) -> None:
    """Print the report on a folder of recordings, and write it to `output`."""
    import pynna
    from pynna.grammar import CAR_GRAMMAR

    grammar = Grammar.from_file(CAR_GRAMMAR if sentences == "car" else sentences)
    loaded = pynna.load(model)

    def hear(path: Path) -> GrammarResult:
        return loaded.transcribe(path, grammar=grammar, threshold=threshold)

    text = report(hear_set(loaded, read_set(folder), grammar, hear), sentences, threshold)
    print(text, end="")
    if output is not None:
        output.write_text(text, encoding="utf-8")
