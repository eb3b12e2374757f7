# SPDX-License-Identifier: Apache-2.0
"""The report's part on decoding without a grammar."""

from __future__ import annotations

from pynna.train.evaluation.evaluation import CONDITIONS, title
from pynna.train.evaluation.record import Record
from pynna.train.evaluation.scores import Score
from pynna.train.evaluation.tables import table


def without_grammar(record: Record) -> None:
    """Greedy and beam, float and int8, heard once and again."""
    lines = [
        "## Without a grammar",
        "",
        "CER and WER: character and word error rates, percent; right: percent of "
        "the clips transcribed exactly. What leaves doubt is rescored here, too, but where a row says "
        "once.",
        "",
    ]
    rows: list[list[object]] = []
    clips_of = {
        f"{name}, {title(snr)}": record.e.noisy(clips, snr) for name, clips, _ in record.e.sets() for snr in CONDITIONS
    }
    for name, score, floating, _, _ in record.int8_rows:
        rows.append([name, "int8, greedy, once", record.greedy_once(clips_of[name]).cells()])
        rows.append(["", "int8, greedy", score.cells()])
        if floating:
            rows.append(["", "float, greedy", floating.cells()])
        if name.endswith(title(None)):
            beam = Score.of(clips_of[name], record.e.hear(clips_of[name], None, 64))
            rows.append(["", "int8, beam 64", beam.cells()])
    record.lines += [*lines, *table(["clips of", "decoding", "clips | CER | WER | right"], rows)]
    worst = max(
        (abs(v.right(record.threshold) - f.right(record.threshold)) for _, _, _, v, f in record.int8_rows if f),
        default=0.0,
    )
    worst = max([worst, *(abs(s.cer - f.cer) for _, s, f, _, _ in record.int8_rows if f)])
    record.bar("int8 against float, the largest difference in points", worst, 0.3, True)
