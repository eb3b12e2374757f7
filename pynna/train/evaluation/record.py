# SPDX-License-Identifier: Apache-2.0
"""What the parts of a report write, and what they measure for those after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.evaluation import Evaluation
from pynna.train.evaluation.scores import Score, Verdicts

PEERS = ("pocketsphinx 5, same grammar", "Moonshine tiny", "Moonshine tiny, nearest of the test's sentences")


class Record:
    """What the parts of a report write and measure, for the parts after them."""

    def __init__(self, evaluation: Evaluation, threshold: float) -> None:
        self.e, self.threshold = evaluation, threshold
        self.lines: list[str] = []
        self.bars: list[tuple[str, str, float, bool]] = []
        self.curve: dict[str, Verdicts] = {}
        self.int8_rows: list[tuple[str, Score, Score | None, Verdicts, Verdicts | None]] = []

    def bar(self, test: str, figure: float, bar: float, most: bool = False) -> None:
        """A bar beside what was measured."""
        reached = figure <= bar if most else figure >= bar
        self.bars.append((test, f"{'at most ' if most else ''}{round(bar, 1):g} %", figure, reached))

    def greedy_once(self, clips: Sequence[Clip]) -> Score:
        """The mapped model's greedy decoding of a first pass alone."""
        return Score.of(clips, self.e.hear(clips, None, passes=1))

    def above(self, test: str, figure: float, others: Mapping[str, float]) -> None:
        """Pocketsphinx's figure as a bar, where it has listened."""
        if others:
            best = others.get(PEERS[0], 0.0)
            self.bar(f"{test}: above pocketsphinx ({best:.1f} %)", figure, best)

    def keep(self, name: str, score: Score, verdicts: Verdicts, floating: tuple[Verdicts, Score] | None) -> None:
        """Figures of the mapped model, and of the float network where it has been measured, for later parts."""
        self.curve[name] = verdicts
        verdicts_float, score_float = floating or (None, None)
        self.int8_rows.append((name, score, score_float, verdicts, verdicts_float))
