# SPDX-License-Identifier: Apache-2.0
"""The evaluation of a model, from the command line, and the peers' listening for it."""

from __future__ import annotations

import json
from pathlib import Path

from pynna.train.config import Config
from pynna.train.evaluation.evaluation import CONDITIONS, SOME_CONDITIONS, Evaluation, title
from pynna.train.evaluation.report import Report


def figures_beside(output: Path | None) -> Path | None:
    """Where a report's figures of the peers are kept."""
    return output.with_name(f"{output.stem}-peers.json") if output else None


def hear_peers(config: Config, model: Path, noise: list[Path], output: Path | None = None) -> None:
    """Let the peers listen, so that a report finds their transcripts; their figures are written beside `output`."""
    e = Evaluation(config, model, None, noise, figures_beside(output))
    for snr in CONDITIONS:
        e.peers(f"car-{title(snr)}", e.noisy(e.car_clips, snr), e.car, snr in SOME_CONDITIONS, True)
        e.peers(f"other domains-{title(snr)}", e.noisy(e.other, snr), e.other_lines, False, True)
        if e.phrases:
            e.peers(f"real-{title(snr)}", e.noisy(e.real, snr), e.phrases, snr is None, True)
        if e.acted_lines:
            e.peers(f"actors-{title(snr)}", e.noisy(e.acted, snr), e.acted_lines, False, True)


def evaluate(config: Config, model: Path, weights: Path | None, noise: list[Path], output: Path | None) -> None:
    """Print the report, and write it and its plot to `output` and beside it."""
    from pynna.decoding.confidence import DEFAULT_THRESHOLD

    report = Report(Evaluation(config, model, weights, noise, figures_beside(output)), DEFAULT_THRESHOLD)
    text = report.write()
    print(text)
    config.folder("evaluation").joinpath("report.json").write_text(json.dumps(report.summary(), indent=1))
    if output:
        output.write_text(text, encoding="utf-8")
        report.plot(output.with_suffix(".png"))
