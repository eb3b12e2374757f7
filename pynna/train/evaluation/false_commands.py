# SPDX-License-Identifier: Apache-2.0
"""Commands that nobody said: what a listener with the car's file accepts in hours of noise, music and foreign speech.

Eight parts of five minutes are heard at once, and kept when they are over, with all sentences that were heard in
them, so that ten hours may be heard with breaks and other thresholds looked at afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm

from pynna.decoding.results import GrammarResult
from pynna.events import Event, Final, SpeechStart
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.streaming.worker import RescoringWorker
from pynna.train.config import Config
from pynna.train.corpora import noise_hours, noise_sets
from pynna.train.corpora.noise_hours import PART, Stretch
from pynna.train.corpora.peers import fingerprint
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.kept import Kept, Row, digest_of
from pynna.train.evaluation.recognise import CHUNK
from pynna.train.evaluation.tables import table
from pynna.train.voices.base import Pcm

Part: TypeAlias = tuple[Pcm, Sequence[Stretch]]
"""Samples, and what is in them."""
MAX_CHANNELS = 8
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7)
TITLES = {"noise": "recorded noise", "made": "synthesised noise", "music": "music", "foreign": "foreign speech"}


def _at(stretches: Sequence[Stretch], time: float) -> Stretch:
    """The stretch that is heard at a time."""
    return next(stretch for stretch in reversed(stretches) if stretch.start <= time)


def heard(model: Model, parts: Sequence[Part], grammar: Grammar) -> list[Row]:
    """What is heard in each of up to 16 parts: seconds and utterances begun by group, and each sentence, with its
    confidence and what sounded there."""
    rows: list[Row] = [
        {"seconds": dict.fromkeys(TITLES, 0.0), "begun": dict.fromkeys(TITLES, 0), "sentences": []} for _ in parts
    ]
    for row, (_, stretches) in zip(rows, parts, strict=True):
        for stretch in stretches:
            row["seconds"][stretch.group] += stretch.seconds
    events: list[list[Event[GrammarResult]]] = [[] for _ in parts]
    with RescoringWorker(max_pending=1 << 30) as worker:  # nothing is heard in one pass that users would hear in seven
        group = model.group()
        listeners = [group.listen(worker=worker, grammar=grammar) for _ in parts]
        for start in range(0, max(len(pcm) for pcm, _ in parts), CHUNK):
            for listener, (pcm, _) in zip(listeners, parts, strict=True):
                listener.take(pcm[start : start + CHUNK])
            group.run()
        for told, listener in zip(events, listeners, strict=True):
            told += listener.finish()
    for row, told, (_, stretches) in zip(rows, events, parts, strict=True):
        for event in told:
            _count(row, event, stretches)
    return rows


def _count(row: Row, event: Event[GrammarResult], stretches: Sequence[Stretch]) -> None:
    """A start, or a sentence."""
    if isinstance(event, SpeechStart):
        row["begun"][_at(stretches, event.time).group] += 1
    elif isinstance(event, Final) and event.result.complete:
        stretch = _at(stretches, (event.start + event.end) / 2)
        where = {name: getattr(stretch, name) for name in ("group", "names", "level")}
        said = {name: getattr(event.result, name) for name in ("text", "confidence", "accepted")}
        row["sentences"].append({"start": event.start, "end": event.end, **said, **where})


def report(rows: Sequence[Row]) -> str:
    """The hours as Markdown."""
    hours = sum(sum(row["seconds"].values()) for row in rows) / 3600
    sentences = [sentence for row in rows for sentence in row["sentences"]]
    accepted = [sentence for sentence in sentences if sentence["accepted"]]
    lines: list[list[object]] = []
    for group in [*TITLES, ""]:
        of = {name for name in TITLES if group in ("", name)}
        lines.append(
            [
                TITLES.get(group, "**all**"),
                sum(row["seconds"][name] for row in rows for name in of) / 3600,
                sum(row["begun"][name] for row in rows for name in of),
                sum(sentence["group"] in of for sentence in sentences),
                sum(sentence["group"] in of for sentence in accepted),
            ]
        )
    found = [
        [s["text"], f"{s['confidence']:.2f}", TITLES[s["group"]], ", ".join(s["names"]), f"{s['level']:.0f}"]
        for s in accepted
    ]
    curve = [[f"{t:g}", sum(s["confidence"] >= t for s in sentences)] for t in THRESHOLDS]
    return "\n".join([
        "## Hours without a command", "", f"{len(accepted)} commands accepted in {hours:.2f} hours.", "",
        *table(["what", "hours", "utterances begun", "sentences heard", "accepted"], lines),
        *table(["accepted", "confidence", "in", "that is", "dBFS"], found),
        *table(["threshold", "accepted"], curve),
    ])  # fmt: skip


def false_commands(
    config: Config, path: Path, folders: Sequence[Path], hours: float, output: Path | None, seconds: float = PART
) -> str:
    """Listen to so many hours, as far as they have not been heard; returns the report, and writes it to `output`.

    Parameters
    ----------
    config : Config
    path : path
        The model.
    folders : sequence of paths
        Recordings that training has not heard, FLAC, named by kind (`noise_sets.kind_of`).
    hours : float
    output : path, optional
        A Markdown file.
    seconds : float
        Of each part: fewer in tests.
    """
    model, grammar = load(path), Grammar.from_yaml(CAR_GRAMMAR)
    recordings = noise_sets.held_out(folders)
    sources = noise_hours.by_group(recordings)
    digest = fingerprint([Clip("", "", noise.pcm) for noise in recordings], grammar)
    kept = Kept(config.folder("evaluation") / f"false-commands-{digest_of(path)}.json")
    rows: list[Row] = []
    numbers = range(math.ceil(3600 * hours / PART))
    for first in tqdm(numbers[::MAX_CHANNELS], desc="hours without a command"):
        some = numbers[first : first + MAX_CHANNELS]

        def listened(some: Sequence[int] = some) -> Row:
            parts = [noise_hours.part(sources, number, seconds) for number in some]
            return {"parts": heard(model, parts, grammar)}

        rows += kept.of(f"parts {some[0]} to {some[-1]}, {seconds:g} s", digest, listened)["parts"]
    text = report(rows)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    return text
