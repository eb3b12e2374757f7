# SPDX-License-Identifier: Apache-2.0
"""The model card, put together from what was trained on, the checkpoint, and the evaluation."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from pynna.mapping.npz import import_npz
from pynna.model import Model, load
from pynna.train.config import DATA, Config
from pynna.train.evaluation.tables import table

LIMITS = """\
* Trained mostly on synthetic voices: real people, accents, and loud surroundings are heard less well than the best
  synthetic test voices.
* Of voices it never heard, statistical ones (RHVoice) are heard well in quiet, and diphone ones (MBROLA) less so.
* Single letters and single short words, out of a large grammar, are often mistaken for each other.
* Without a grammar, words outside of the car's sentences, names above all, are spelled by ear.
* Noise recordings of the tests are those that training has heard, too; half of the test clips have synthesised noise.
* The people in the held-out part of corpora that name no speakers (the wake words) may be in the training part too.
* Actors whose lines are held out are heard in training in other scenes and parts.
"""


def heard_clips(config: Config) -> tuple[Counter[str], Counter[str], float]:
    """Training clips by synthesiser and by corpus, and hours of synthetic speech, from the features' indices."""
    synthetic: Counter[str] = Counter()
    real: Counter[str] = Counter()
    frames = 0
    for path in sorted(config.folder("features").glob("*.json")):
        counts = synthetic if path.stem.startswith("synthetic") else real
        if path.stem.startswith("test-"):
            continue
        for _, n, _, voice in json.loads(path.read_text()):
            counts[voice.partition(":")[0]] += 1
            frames += n if counts is synthetic else 0
    return synthetic, real, frames * config["features"]["step"] / 16000 / 3600


def _sources(kind: dict[str, Any], counts: Counter[str]) -> list[str]:
    unknown = sorted(set(counts) - set(kind))
    if unknown:
        raise ValueError(f"{DATA / 'sources.toml'} tells nothing of {', '.join(unknown)}; its licence belongs there")
    total = sum(counts.values())
    rows = [
        [kind[name]["what"], n, f"{100 * n / total:.0f} %", kind[name]["licence"]] for name, n in counts.most_common()
    ]
    return table(["what", "clips", "share", "licence, and whom it is due to"], rows)


def _made(kind: dict[str, str]) -> list[str]:
    return table(["what", "licence"], [list(item) for item in kind.items()])


def _accuracy(config: Config) -> list[str]:
    path = config.folder("evaluation") / "report.json"
    if not path.exists():
        return ["Not evaluated yet: `python -m pynna.train evaluate`.", ""]
    report = json.loads(path.read_text())
    rows = report["rows"]
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    cells = []
    for name in dict.fromkeys(row["clips"] for row in rows):
        by = {row["condition"]: row for row in rows if row["clips"] == name}
        for figure in ("best sentence right", "accepted rightly", "character error rate, greedy"):
            cells.append([f"{name}: {figure}, %", *(f"{by[c][figure]:.1f}" for c in conditions)])
    return [
        f"{report['n_car']} clips of car sentences in seven synthetic voices with the car's sentence file, "
        f"{report['n_real']} recordings of real people with the {report['n_phrases']} phrases of their corpora as the "
        "grammar; voices and people that training never heard; int8 as it ships, what leaves doubt rescored. "
        "`bench/accuracy.md` in the project's repository holds all of it.",
        "",
        *table(["", *conditions], cells),
        f"Of {report['n_outside']} recordings of speech outside of the car's sentence file {report['falsely']:.1f} % "
        "are accepted as some command of it at the default threshold. int8 and float differ by at most "
        f"{report['int8_float']:.1f} points in any of these.",
        "",
    ]


def model_card(config: Config, path: Path, notes: str) -> str:
    """The card of a mapped model as Markdown; `notes` tell how it was trained.

    Raises
    ------
    ValueError
        Clips from a source that ``data/sources.toml`` does not know.
    """
    model: Model = load(path)
    g, weights = model.geometry, import_npz(config.folder("export") / "weights.npz")
    with open(DATA / "sources.toml", "rb") as file:
        sources = tomllib.load(file)
    synthetic, real, hours = heard_clips(config)
    lines = [
        f"# {model.name}",
        "",
        "A small English speech recogniser of DeepSpeech's topology for the sentences of a car assistant and for "
        f"sentence files of one's own: {(2 * g['n_context'] + 1) * g['n_coefficients']} inputs, three dense layers, an "
        f"LSTM and a dense layer of {g['n_cell']} units each, {g['n_labels']} labels; {model.n_weights / 1e6:.1f} "
        f"million weights, int8 in the `.nna`. Front end: {g['n_coefficients']} MFCC of {g['n_mel']} mel channels from "
        f"{g['mel_lower_hz']:g} Hz to {g['mel_upper_hz']:g} Hz, {1000 * g['window'] // g['sample_rate']} ms windows "
        f"every {1000 * g['step'] // g['sample_rate']} ms, context of {g['n_context']} frames on each side. It is made "
        "for use with a grammar; plain greedy or prefix-beam transcription works for clear speech.",
        "",
        f"* Licence: {weights.licence or 'Apache-2.0'}. Made by `python -m pynna.train`; `pynna/train/config.toml` is "
        "the configuration.",
        "* Meant for: short commands in English. Not for dictation: it knows the car's sentences, and requests like "
        "them, far better than other English.",
        "",
        "## Training",
        "",
        notes.strip(),
        "",
        "## Accuracy",
        "",
        *_accuracy(config),
        "## Limits",
        "",
        LIMITS,
        "## Data",
        "",
        f"Of the last training: {sum(synthetic.values()):,} synthetic clips ({hours:.0f} hours) and "
        f"{sum(real.values()):,} clips of recordings; {config['corpora']['test_share']:.0%} of the people in these (of "
        "the clips where speakers are not named) were kept out for testing.",
        "",
        "Text, of the language model for free slots (`python -m pynna.train slot-lm`), too:",
        "",
        *_made(sources["text"]),
        "Synthetic voices, Debian packages where nothing else is said:",
        "",
        *_sources(sources["voices"], synthetic),
        "Recordings:",
        "",
        *_sources(sources["corpora"], real),
        "Noise and rooms:",
        "",
        *_made(sources["sounds"]),
    ]
    return "\n".join(lines).rstrip() + "\n"
