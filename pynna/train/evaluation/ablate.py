# SPDX-License-Identifier: Apache-2.0
"""What each augmentation is worth: a model trained on for some minutes without it, beside one that kept all of them."""

from __future__ import annotations

import datetime
from pathlib import Path

from pynna.mapping.npz import import_npz
from pynna.train.config import Config
from pynna.train.evaluation.evaluation import Evaluation, title
from pynna.train.evaluation.recognise import hear_float
from pynna.train.evaluation.scores import Score
from pynna.train.evaluation.tables import table
from pynna.train.network.clips import CHANCES
from pynna.train.network.fit import fit
from pynna.train.network.trainer import Options

CONDITIONS: tuple[float | None, ...] = (None, 10.0)
RATES = {"learning_rate": 6e-4, "final_rate": 3e-5, "hold_share": 0.3}


def variant(config: Config, without: list[str], minutes: float) -> Config:
    """The configuration of one short training, its checkpoints in a folder of their own, on the same features."""
    changed = {**RATES, "minutes": minutes, "without": without}
    fit_settings = {**config["fit"], **changed, "cuda": {**config["fit"]["cuda"], **changed}}
    work = config.folder("ablation") / ("-".join(without).replace(" ", "_") or "all")
    work.mkdir(exist_ok=True)
    if not (work / "features").exists():
        (work / "features").symlink_to(config.folder("features").resolve())
    return Config({**config.settings, "fit": fit_settings}, work)


def hours_heard(work: Path) -> float:
    """Hours of audio that a training went through, of its log's last line."""
    last = (work / "fit.tsv").read_text(encoding="utf-8").splitlines()[-1]
    return float(last.partition("hours ")[2].split()[0])


def error_rates(evaluation: Evaluation, weights: Path) -> list[float]:
    """Character error rates in percent, greedy and heard once: car sentences and real people, in each condition."""
    network, rates = import_npz(weights), []
    for clips in (evaluation.car_clips, evaluation.real):
        for snr in CONDITIONS:
            heard = hear_float(network, evaluation.noisy(clips, snr), None, evaluation.model, passes=1)
            rates.append(Score.of(clips, heard).cer)
    return rates


def ablate(config: Config, model: Path, minutes: float, threads: int, noise: list[Path], output: Path | None) -> None:
    """Train on from `model` without each augmentation in turn; print the table, and write it to `output`."""
    evaluation = Evaluation(config, model, None, noise)
    rows: list[tuple[str, float, list[float]]] = []
    for without in ([], *([name] for name in CHANCES)):
        settings = variant(config, without, minutes)
        weights = settings.folder("export") / "weights.npz"
        if not weights.exists():
            fit(settings, Options(threads=threads, init=model))
        name = f"without {without[0]}" if without else "all"
        rows.append((name, hours_heard(settings.work), error_rates(evaluation, weights)))
        print(rows[-1], flush=True)
    heads = [f"{what}, {title(snr)}" for what in ("car sentences", "real people") for snr in CONDITIONS]
    kept = rows[0][2]
    cells = [
        [name, f"{hours:.1f}", *(f"{rate:.1f} ({rate - base:+.1f})" for rate, base in zip(rates, kept, strict=True))]
        for name, hours, rates in rows
    ]
    text = "\n".join(
        [
            "# What each augmentation is worth",
            "",
            f"`python -m pynna.train ablate --minutes {minutes:g}` on {datetime.date.today():%Y-%m-%d}: the model that "
            f"shipped, trained on for {minutes:g} minutes on {threads} threads without one kind of augmentation. "
            "Character error rates without a grammar, heard once, percent, and the difference to keeping all of "
            "them, on the clips of `accuracy.md`. Leaving one out may seem to help by as much as chance does; "
            "and the table tells what the model forgets in that time, not what it would never have learnt.",
            "",
            *table(["training", "hours heard", *heads], cells),
        ]
    )
    print(text)
    if output:
        output.write_text(text.rstrip() + "\n", encoding="utf-8")
