# SPDX-License-Identifier: Apache-2.0
"""Commands that nobody said: what a listener with the car's file accepts in hours of noise, music and foreign speech.

Each quarter of an hour is kept when it is over, with all sentences that were heard in it, so that ten hours may be
heard in parts and other thresholds looked at afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from pynna.decoding.results import GrammarResult
from pynna.events import Final, SpeechStart
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.train.config import Config
from pynna.train.corpora import noise_hours, noise_sets
from pynna.train.corpora.noise_hours import QUARTER, Stretch
from pynna.train.corpora.peers import fingerprint
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.kept import Kept, Row, digest_of
from pynna.train.evaluation.recognise import CHUNK
from pynna.train.evaluation.tables import table
from pynna.train.voices.base import Pcm

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7)
TITLES = {"noise": "recorded noise", "made": "synthesised noise", "music": "music", "foreign": "foreign speech"}


def _at(stretches: Sequence[Stretch], time: float) -> Stretch:
    """The stretch that is heard at a time."""
    return next(stretch for stretch in reversed(stretches) if stretch.start <= time)


def heard(model: Model, pcm: Pcm, stretches: Sequence[Stretch], grammar: Grammar) -> Row:
    """Seconds and utterances begun by group, and each sentence that was heard, with its confidence and what it was."""
    seconds = dict.fromkeys(TITLES, 0.0)
    for stretch in stretches:
        seconds[stretch.group] += stretch.seconds
    begun: Counter[str] = Counter()
    sentences = []
    for event in model.listen(grammar=grammar).listen(pcm[i : i + CHUNK] for i in range(0, len(pcm), CHUNK)):
        if isinstance(event, SpeechStart):
            begun[_at(stretches, event.time).group] += 1
        elif isinstance(event, Final) and isinstance(event.result, GrammarResult) and event.result.complete:
            stretch = _at(stretches, (event.start + event.end) / 2)
            where = {name: getattr(stretch, name) for name in ("group", "names", "level")}
            said = {name: getattr(event.result, name) for name in ("text", "confidence", "accepted")}
            sentences.append({"start": event.start, "end": event.end, **said, **where})
    return {"seconds": seconds, "begun": dict(begun), "sentences": sentences}


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
                sum(row["begun"].get(name, 0) for row in rows for name in of),
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
    config: Config, path: Path, folders: Sequence[Path], hours: float, output: Path | None, seconds: float = QUARTER
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
        Of each quarter of an hour: fewer in tests.
    """
    model, grammar = load(path), Grammar.from_yaml(CAR_GRAMMAR)
    sources = noise_hours.by_group(noise_sets.held_out(folders))
    kept = Kept(config.folder("evaluation") / f"false-commands-{digest_of(path)}.json")
    rows = []
    for number in tqdm(range(round(4 * hours)), desc="quarters of an hour without a command"):
        pcm, stretches = noise_hours.quarter(sources, number, seconds)
        digest = fingerprint([Clip("", "", pcm)], grammar)
        rows.append(kept.of(f"quarter {number}", digest, lambda p=pcm, s=stretches: heard(model, p, s, grammar)))  # type: ignore[misc]
    text = report(rows)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    return text
