# SPDX-License-Identifier: Apache-2.0
"""The report's parts on what the car's sentence file does not know, and on the threshold."""

from __future__ import annotations

from pynna.decoding.results import GrammarResult
from pynna.train.corpora import testsets
from pynna.train.evaluation.evaluation import CONDITIONS, title
from pynna.train.evaluation.record import Record
from pynna.train.evaluation.scores import Verdicts
from pynna.train.evaluation.tables import table

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def outside(record: Record) -> None:
    """False acceptances with the car's file."""
    e, t = record.e, record.threshold
    sets = {
        "commands of other domains, test voices": e.other,
        "broad English, test voices": testsets.broad_clips(e.config),
        "real people": e.real,
        **({"actors' lines": e.acted} if e.acted else {}),
    }
    for kind in ("music", "noise alone", "silence"):
        sets[kind] = [clip for clip in testsets.sounds(e.noises) if clip.source == kind]
    rows: list[list[object]] = []
    speech = {snr: Verdicts() for snr in CONDITIONS}
    for name, clips in sets.items():
        outside = [clip for clip in clips if e.car.means(clip.text) is None]
        row: list[object] = [name, len(outside)]
        for snr in CONDITIONS if outside and outside[0].text else CONDITIONS[:1]:
            noisy = e.noisy(outside, snr)
            heard = zip(noisy, e.hear(noisy, e.car.grammar), strict=True)
            verdicts = Verdicts(
                [e.car.verdict(clip, result, "") for clip, result in heard if isinstance(result, GrammarResult)]
            )
            row.append(verdicts.wrong(t))
            if outside and outside[0].text:
                speech[snr].items += verdicts.items
        rows.append(row + [""] * (2 + len(CONDITIONS) - len(row)))
    n = len(speech[None].items)
    rows.append(["**all speech**", n, *(verdicts.wrong(t) for verdicts in speech.values())])
    record.lines += [
        "## False acceptances: what is not in the car's sentence file",
        "",
        f"Percent of the clips that are accepted as some command at the default threshold, {t:g}; of "
        "speech in noise, too.",
        "",
        *table(["what", "clips", *map(title, CONDITIONS)], rows),
    ]
    record.bar("false acceptance of speech outside the sentence file", speech[None].wrong(t), 3, True)
    record.curve["speech outside the file"] = speech[None]


def thresholds(record: Record) -> None:
    """The trade between the two kinds of error."""
    outside = record.curve["speech outside the file"]
    names = [name for name in record.curve if name.endswith(("clean", "10 dB"))]
    rows = [[f"{t:g}", outside.wrong(t), *(record.curve[name].right(t) for name in names)] for t in THRESHOLDS]
    record.lines += [
        "## The threshold",
        "",
        "Percent accepted falsely of the speech outside the file, and rightly "
        "of the rest, by threshold (`threshold=` of a stream).",
        "",
        *table(["threshold", "falsely", *names], rows),
    ]
