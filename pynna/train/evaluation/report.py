# SPDX-License-Identifier: Apache-2.0
"""The evaluation as Markdown: the bars, then a part a question; its summary and its picture."""

from __future__ import annotations

import datetime
from pathlib import Path

from pynna.train.evaluation.false_acceptances import outside, thresholds
from pynna.train.evaluation.record import Record
from pynna.train.evaluation.tables import table
from pynna.train.evaluation.with_grammar import actors, again, car, elsewhere, free_speech, longer, people
from pynna.train.evaluation.without_grammar import without_grammar


class Report(Record):
    """The evaluation as Markdown."""

    def write(self) -> str:
        """The whole report."""
        parts = (
            car,
            people,
            again,
            longer,
            elsewhere,
            actors,
            free_speech,
            outside,
            without_grammar,
            thresholds,
        )
        for part in parts:
            part(self)
        model = self.e.model
        head = [
            "# Accuracy",
            "",
            f"`python -m pynna.train evaluate` on {datetime.date.today():%Y-%m-%d}: "
            f"{model.name}, {model.n_weights / 1e6:.1f} M weights, {model.path.stat().st_size / 1e6:.1f} MB; "
            f"threshold {self.threshold:g}. Voices and people of the tests, but for the actors, are in no "
            "training; noise is added to the samples: recorded for every other clip (recordings that training has "
            "heard too), else synthesised."
            + (" The float network is the int8 one's weights in float." if self.e.dequantised else ""),
            "",
            *table(
                ["test", "bar", "measured", "reached"],
                [[*row, "yes" if reached else "**no**"] for *row, reached in self.bars],
            ),
        ]
        return "\n".join(head + self.lines).rstrip() + "\n"

    def summary(self) -> dict[str, object]:
        """What a model card tells of it, after `write`."""
        rows = [
            {
                "clips": name.rpartition(", ")[0],
                "condition": name.rpartition(", ")[2],
                "best sentence right": verdicts.right(0.0),
                "accepted rightly": verdicts.right(self.threshold),
                "character error rate, greedy": score.cer,
            }
            for name, score, _, verdicts, _ in self.int8_rows
        ]
        outside = self.curve["speech outside the file"]
        return {
            "rows": rows,
            "n_car": len(self.e.car_clips),
            "n_real": len(self.e.real),
            "n_phrases": len(self.e.phrases.grammar.intents) if self.e.phrases else 0,
            "n_outside": len(outside.items),
            "falsely": outside.wrong(self.threshold),
            "int8_float": next(figure for test, _, figure, _ in self.bars if test.startswith("int8 against float")),
        }

    def plot(self, path: Path) -> None:
        """False acceptances against right ones over the threshold, as a picture."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        outside = self.curve["speech outside the file"]
        steps = [i / 200 for i in range(201)]
        figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
        for name, verdicts in self.curve.items():
            if name != "speech outside the file":
                axes.plot([outside.wrong(t) for t in steps], [100 - verdicts.right(t) for t in steps], label=name)
        axes.axvline(outside.wrong(self.threshold), color="0.5", linestyle=":", label="default threshold")
        axes.set(
            xlabel="speech outside the file that is accepted, %",
            ylabel="sentences not accepted rightly, %",
            xlim=(0, 15),
            ylim=(0, 60),
        )
        axes.grid(alpha=0.3)
        figure.legend(fontsize=8, loc="outside right center")
        figure.savefig(path, dpi=110)
