# SPDX-License-Identifier: Apache-2.0
"""The report's parts on sentences that a grammar knows: the car's, people's, other domains', free speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pynna.decoding.options import MAX_PASSES
from pynna.decoding.results import GrammarResult
from pynna.streaming import rescoring
from pynna.train.corpora import testsets
from pynna.train.corpora.testsets import FREE_INTENT, Clip, commands
from pynna.train.evaluation.evaluation import CONDITIONS, SOME_CONDITIONS, title
from pynna.train.evaluation.record import PEERS, Record
from pynna.train.evaluation.scores import Judge, Score, Verdicts, accepts
from pynna.train.evaluation.tables import table

AROUND = (2.0, 1.0)  # seconds of noise before speech and after it, in a longer recording


def _conditions(record: Record, which: str, spoken: Sequence[Clip], judge: Judge) -> list[str]:
    """A table of some clips in all conditions."""
    t, rows, peer = record.threshold, list[Sequence[object]](), PEERS[0]
    for snr in CONDITIONS:
        clips = record.e.noisy(spoken, snr)
        verdicts, score = record.e.verdicts(clips, judge)
        others = record.e.peers(f"{which}-{title(snr)}", clips, judge, moonshine=False)
        rows.append(
            [title(snr), verdicts.right(t), verdicts.wrong(t), verdicts.right(0.0), score.cer, others.get(peer, "")]
        )
        record.above(f"{which}, {title(snr)}", verdicts.right(t), others)
    return table(["condition", "accepted rightly", "accepted wrongly", "best sentence right", "CER", peer], rows)


_CELLS = ("condition", "accepted rightly", "accepted wrongly", "best sentence right", "float: accepted rightly")


class _Heard(NamedTuple):
    """Clips in one condition, what became of them, and the row's first cells, of `_CELLS`."""

    clips: Sequence[Clip]
    verdicts: Verdicts
    score: Score
    others: Mapping[str, object]
    cells: Sequence[object]


def _heard(
    record: Record, which: str, name: str, spoken: Sequence[Clip], judge: Judge, snr: float | None, moonshine: bool
) -> _Heard:
    """Clips in one condition by the model, in floating point and by the other engines; the record keeps it."""
    e, t = record.e, record.threshold
    clips = e.noisy(spoken, snr)
    verdicts, score = e.verdicts(clips, judge)
    floating = e.verdicts(clips, judge, True) if snr in SOME_CONDITIONS else None
    others = e.peers(f"{which}-{title(snr)}", clips, judge, moonshine)
    record.keep(f"{name}, {title(snr)}", score, verdicts, floating)
    record.above(f"{name}, {title(snr)}", verdicts.right(t), others)
    in_float = floating[0].right(t) if floating else ""
    cells = [title(snr), verdicts.right(t), verdicts.wrong(t), verdicts.right(0.0), in_float]
    return _Heard(clips, verdicts, score, others, cells)


def _car_bars(record: Record, snr: float | None, clips: Sequence[Clip], verdicts: Verdicts, score: Score) -> None:
    """What the car's sentences must reach in a condition."""
    t = record.threshold
    if snr is None:
        record.bar("car sentences, clean: accepted rightly", verdicts.right(t), 97)
        once = record.greedy_once(clips)
        record.bar(
            f"car sentences, clean, greedy: character error rate (heard once {once.cer:.1f} %)",
            score.cer,
            12,
            True,
        )
        record.bar("car sentences that greedy gets wrong, repaired by the grammar", verdicts.repaired(t), 80)
    if snr == 10:
        record.bar("car sentences, 10 dB: accepted rightly", verdicts.right(t), 93)


def car(record: Record) -> None:
    """Car sentences with the sentence file."""
    e, t = record.e, record.threshold
    record.lines += [
        "## Car sentences, unseen voices, with the car's sentence file",
        "",
        f"{len(e.car_clips)} clips: those of the {len(commands())} fixed commands that the file knows "
        f"and {testsets.SAMPLED_PER_VOICE} drawn from it for each voice. Percent of the clips.",
        "",
    ]
    rows, by_voice = [], []
    for snr in CONDITIONS:
        heard = _heard(record, "car", "car sentences", e.car_clips, e.car, snr, moonshine=snr in SOME_CONDITIONS)
        rows.append([*heard.cells, heard.verdicts.repaired(t), *(heard.others.get(name, "") for name in PEERS)])
        if snr in SOME_CONDITIONS:
            by_voice.append((title(snr), heard.verdicts))
        _car_bars(record, snr, heard.clips, heard.verdicts, heard.score)
    record.lines += table(
        [*_CELLS, "greedy's errors repaired", *PEERS],
        rows,
    )
    voices = sorted({clip.source for clip in e.car_clips})
    record.lines += table(
        ["voice", *(f"{name}: rightly | {name}: wrongly" for name, _ in by_voice)],
        [[v, *(f"{s.of(v).right(t):.1f} | {s.of(v).wrong(t):.1f}" for _, s in by_voice)] for v in voices],
    )


def people(record: Record) -> None:
    """Held-out real recordings with the real part's phrases as the grammar."""
    e, t = record.e, record.threshold
    if e.phrases is None:
        return
    record.lines += [
        "## Real people, held out, the real part's phrases as the grammar",
        "",
        f"{len(e.real)} clips, a grammar of {len(e.phrases.grammar.intents)} phrases.",
        "",
    ]
    rows, corpora = [], sorted({clip.source for clip in e.real})
    for snr in CONDITIONS:
        heard = _heard(record, "real", "real people", e.real, e.phrases, snr, moonshine=snr is None)
        cells = [heard.verdicts.of(corpus).right(t) for corpus in corpora]
        rows.append([*heard.cells, *cells, *(heard.others.get(name, "") for name in PEERS)])
        if snr is None:
            record.bar("held-out real recordings, clean: accepted rightly", heard.verdicts.right(t), 95)
    record.lines += table(
        [*_CELLS, *corpora, *PEERS],
        rows,
    )


def again(record: Record) -> None:
    """What rescoring is worth, after `car` and `people`."""
    e, t = record.e, record.threshold
    rows = []
    for name, clips, judge in e.sets():
        for snr in CONDITIONS:
            heard = e.noisy(clips, snr)
            results = e.hear(heard, judge.grammar, passes=1)
            once = Verdicts(
                [judge.verdict(c, r, "") for c, r in zip(heard, results, strict=True) if isinstance(r, GrammarResult)]
            )
            doubted = 100 * sum(map(rescoring.needs_rescoring, results)) / len(results)
            cells = [[v.right(0.0), v.right(t), v.wrong(t)] for v in (once, record.curve[f"{name}, {title(snr)}"])]
            rows.append([f"{name}, {title(snr)}", doubted, *(x for pair in zip(*cells, strict=True) for x in pair)])
    record.lines += [
        "## Rescoring",
        "",
        "Percent of the clips that the first pass leaves in doubt, which are "
        f"heard {MAX_PASSES - 1} times more; what became of all clips, heard once and as above.",
        "",
        *table(
            [
                "clips",
                "in doubt",
                "best right, once",
                "again",
                "accepted rightly, once",
                "again",
                "accepted wrongly, once",
                "again",
            ],
            rows,
        ),
    ]


def longer(record: Record) -> None:
    """The same clips within longer recordings, after `car` and `people`: noise before and after what is said."""
    e, t = record.e, record.threshold
    rows = []
    for name, clips, judge in e.sets():
        for snr in SOME_CONDITIONS:
            longer = e.noisy(clips, snr, AROUND)
            verdicts, score = e.verdicts(longer, judge)
            alone = record.curve[f"{name}, {title(snr)}"]
            heard = zip(clips, e.listen(longer, judge.grammar), strict=True)
            accepted = [
                [judge.verdict(clip, r, "").right for r in results if accepts(r, None, t)] for clip, results in heard
            ]
            rows.append(
                [
                    f"{name}, {title(snr)}",
                    alone.right(t),
                    verdicts.right(t),
                    verdicts.wrong(t),
                    verdicts.right(0.0),
                    score.cer,
                    100 * sum(map(any, accepted)) / len(clips),
                    100 * sum(not all(rights) for rights in accepted) / len(clips),
                ]
            )
    record.lines += [
        "## In a longer recording",
        "",
        f"The same clips after {AROUND[0]:g} seconds of silence or "
        f"noise and before {AROUND[1]:g} of it. Percent of the clips; CER: character error rate without "
        "the grammar. A listener cuts utterances out, as of what a microphone hears; there may be more "
        "than one.",
        "",
        *table(
            [
                "clips",
                "alone: accepted rightly",
                "accepted rightly",
                "accepted wrongly",
                "best sentence right",
                "CER",
                "by a listener: accepted rightly",
                "accepted wrongly",
            ],
            rows,
        ),
    ]


def elsewhere(record: Record) -> None:
    """Commands of other domains with a sentence file of their own: nothing of it is the car's."""
    judge, spoken = record.e.other_lines, record.e.other
    record.lines += [
        "## Commands of other domains, unseen voices, with a sentence file of their own",
        "",
        f"{len(spoken)} clips, a grammar of {len(judge.grammar.intents)} sentences. Percent of the "
        "clips; CER: character error rate without the grammar.",
        "",
        *_conditions(record, "other domains", spoken, judge),
    ]


def actors(record: Record) -> None:
    """Held-out lines of actors (`dialogue`), where there are some, with these lines as the grammar."""
    judge, spoken = record.e.acted_lines, record.e.acted
    if judge is None:
        return
    record.lines += [
        "## Actors' lines out of games, held out",
        "",
        f"{len(spoken)} clips, their texts found by listening, a grammar of "
        f"{len(judge.grammar.intents)} sentences. Training has heard other lines by the same actors. "
        "Percent of the clips; CER: character error rate without the grammar.",
        "",
        *_conditions(record, "actors", spoken, judge),
    ]


def free_speech(record: Record) -> None:
    """Sentences of the car's file that end in free speech."""
    e, t, rows = record.e, record.threshold, list[Sequence[object]]()
    for snr in CONDITIONS:
        clips = e.noisy(e.free, snr)
        once, again = (e.hear(clips, e.car.grammar, passes=n) for n in (1, MAX_PASSES))
        score = Score.of(clips, again)
        rows.append(
            [
                title(snr),
                *(100 * sum(accepts(r, FREE_INTENT, t) for r in results) / len(clips) for results in (once, again)),
                100 * sum(accepts(r, None, t) and not accepts(r, FREE_INTENT, t) for r in again) / len(clips),
                score.cer,
                100 * score.right / len(clips),
            ]
        )
    record.lines += [
        "## Free speech in a sentence, unseen voices, with the car's sentence file",
        "",
        f'{len(e.free)} clips: "remind me to", and one of {len(testsets.lines("tasks.txt"))} tasks in '
        "free words, which the small language model that ships spells. Percent of the clips; CER: "
        "character error rate of the whole sentence.",
        "",
        *table(
            [
                "condition",
                "accepted as a reminder, heard once",
                "again",
                "accepted as another command",
                "CER",
                "every letter right",
            ],
            rows,
        ),
    ]
