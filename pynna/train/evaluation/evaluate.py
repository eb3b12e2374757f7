# SPDX-License-Identifier: Apache-2.0
"""Accuracy on voices and people that training never saw, with a grammar and without, in noise, beside other engines."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pynna.decoding.decoder import Decoder
from pynna.decoding.options import MAX_PASSES
from pynna.decoding.results import GrammarResult, Result
from pynna.distance import edit_distance
from pynna.events import Final
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.mapping.dequantise import dequantise
from pynna.mapping.npz import import_npz
from pynna.mapping.reference import windows
from pynna.mapping.weights import Weights
from pynna.model import Model, load
from pynna.streaming import rescoring
from pynna.train.config import Config
from pynna.train.corpora import peers, testsets
from pynna.train.corpora.testsets import FREE_INTENT, Clip, commands
from pynna.train.voices.base import read
from pynna.train.voices.synthesise import Pcm

CONDITIONS: tuple[float | None, ...] = (None, 20.0, 10.0, 5.0, 0.0)
SOME_CONDITIONS: tuple[float | None, ...] = (None, 10.0)
CHUNK = 1600  # samples, as a microphone gives them
AROUND = (2.0, 1.0)  # seconds of noise before speech and after it, in a longer recording
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def title(snr: float | None) -> str:
    """A condition's name."""
    return "clean" if snr is None else f"{snr:g} dB"


@dataclass
class Score:
    """Counts of a set of clips without a grammar."""

    clips: int = 0
    right: int = 0
    characters: int = 0
    character_errors: int = 0
    words: int = 0
    word_errors: int = 0

    @classmethod
    def of(cls, clips: Sequence[Clip], results: Sequence[Result]) -> Score:
        """Of as many clips and what was heard of them."""
        score = cls()
        for clip, result in zip(clips, results, strict=True):
            score.add(clip.text, result.text)
        return score

    def add(self, text: str, heard: str) -> None:
        """Count one clip."""
        self.clips += 1
        self.right += text == heard
        self.characters += len(text)
        self.character_errors += edit_distance(text, heard)
        self.words += len(text.split())
        self.word_errors += edit_distance(text.split(), heard.split())

    @property
    def cer(self) -> float:
        """Character error rate, percent."""
        return 100 * self.character_errors / max(1, self.characters)

    def cells(self) -> str:
        """Cells of a Markdown table: clips, CER, WER, exactly right."""
        wer = 100 * self.word_errors / max(1, self.words)
        return f"{self.clips} | {self.cer:.1f} | {wer:.1f} | {100 * self.right / max(1, self.clips):.1f}"


@dataclass(frozen=True)
class Verdict:
    """One clip with a grammar: whether the best sentence means what was said, and how sure the search is of it."""

    source: str
    right: bool
    confidence: float  # 0 where no sentence is complete
    greedy_right: bool = False

    def accepted(self, threshold: float) -> bool:
        """Whether it is believed."""
        return self.confidence >= threshold


@dataclass
class Verdicts:
    """Many of them."""

    items: list[Verdict] = field(default_factory=list)

    def share(self, test: Callable[[Verdict], bool]) -> float:
        """Percent of the clips that pass."""
        return 100 * sum(map(test, self.items)) / max(1, len(self.items))

    def right(self, threshold: float) -> float:
        """Percent accepted rightly."""
        return self.share(lambda v: v.right and v.accepted(threshold))

    def wrong(self, threshold: float) -> float:
        """Percent accepted wrongly."""
        return self.share(lambda v: not v.right and v.accepted(threshold))

    def repaired(self, threshold: float) -> float:
        """Of the clips that greedy decoding gets wrong, the percent that the grammar accepts rightly."""
        return Verdicts([v for v in self.items if not v.greedy_right]).right(threshold)

    def of(self, source: str) -> Verdicts:
        """Those of one source."""
        return Verdicts([v for v in self.items if v.source == source])


class Judge:
    """A grammar, and when two sentences mean the same."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._known: dict[str, tuple[str, str] | None] = {}

    def means(self, text: str) -> tuple[str, str] | None:
        """Intent and slots as they can be compared; None for what is not in the grammar."""
        if text not in self._known:
            match = self.grammar.parse(text)
            self._known[text] = None if match is None else (match.intent, json.dumps(match.slots, sort_keys=True))
        return self._known[text]

    def verdict(self, clip: Clip, result: GrammarResult, greedy: str) -> Verdict:
        """What a result is worth."""
        said, heard = self.means(clip.text), self.means(result.text) if result.complete else None
        return Verdict(
            clip.source, said is not None and said == heard, result.confidence if heard else 0.0, greedy == clip.text
        )


def hear_int8(
    model: Model, clips: Sequence[Clip], grammar: Grammar | None, beam_width: int = 0, **options: Any
) -> list[Result]:
    """Results of the mapped model, as a user gets them with a grammar; without one those of the network alone, with no
    language model unless given, and of this `beam_width`. Options as of `Model.stream`."""
    if grammar is None:
        options = {"beam_width": beam_width, "language_model": None, **options}
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda clip: model.transcribe(clip.pcm, grammar=grammar, **options), clips))


def listen(model: Model, clips: Sequence[Clip], grammar: Grammar) -> list[list[GrammarResult]]:
    """What a listener makes of each recording, as of a microphone: its utterances' results."""

    def utterances(pcm: Pcm) -> list[GrammarResult]:
        events = model.listen(grammar=grammar).listen(pcm[i : i + CHUNK] for i in range(0, len(pcm), CHUNK))
        finals = (event.result for event in events if isinstance(event, Final))
        return [result for result in finals if isinstance(result, GrammarResult)]

    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda clip: utterances(clip.pcm), clips))


def hear_float(
    weights: Weights, clips: Sequence[Clip], grammar: Grammar | None, model: Model, **options: Any
) -> list[Result]:
    """Results of the float network with the mapped model's decoders, greedy or a grammar's, heard again where they
    leave doubt; options as of `Model.stream`."""
    network = weights.network()
    if grammar is None:
        options["beam_width"] = 0
    made = model.decoder_options(grammar=grammar, **options)

    def hear(recordings: Sequence[Pcm], speed: float = 1.0) -> list[Result]:
        out: dict[int, Result] = {}
        order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
        for start in range(0, len(order), 48):
            batch = order[start : start + 48]
            log_probs = network.run_many([windows(recordings[i], weights.features, weights.n_context) for i in batch])
            for i, p in zip(batch, log_probs, strict=True):
                decoder = Decoder(
                    (*weights.alphabet, ""),
                    label_priors=weights.label_priors,
                    options=made,
                    seconds_per_frame=model.seconds_per_step * speed,
                )
                decoder.feed(p)
                out[i] = decoder.finish()
        return [out[i] for i in range(len(recordings))]

    found = hear([clip.pcm for clip in clips])
    doubted = [i for i, result in enumerate(found) if rescoring.needs_rescoring(result)]
    rate = weights.features.sample_rate
    manners = rescoring.PERTURBATIONS[: made.n_passes - 1]
    others = [rescoring.perturbed(clips[i].pcm, rate, manners) for i in doubted]
    again = [hear([pcm for _, pcm in same], same[0][0]) for same in zip(*others, strict=True)]
    for i, *more in zip(doubted, *again, strict=True):
        found[i] = rescoring.combine([found[i], *more])
    return found


def accepts(result: Result, intent: str | None, threshold: float) -> bool:
    """Whether a result is accepted as this intent, or as any."""
    return (
        isinstance(result, GrammarResult)
        and result.complete
        and result.confidence >= threshold
        and intent in (None, result.intent)
    )


class Evaluation:
    """All that is heard, and the report."""

    def __init__(
        self, config: Config, model: Path, weights: Path | None, noise: list[Path], figures: Path | None = None
    ) -> None:
        self.config, self.model, self.figures = config, load(model), peers.Figures(figures)
        self.dequantised = weights is None
        self.weights = dequantise(model) if weights is None else import_npz(weights)
        folders = [*map(Path, config["corpora"]["noise"]), *noise]
        self.noises = [read(path) for folder in folders for path in sorted(folder.glob("*.flac"))]
        self.car = Judge(Grammar.from_yaml(CAR_GRAMMAR))
        self.fixed, self.sampled = testsets.command_clips(config), testsets.sampled_clips(config)
        self.real, self.acted = testsets.real_clips(config), testsets.real_clips(config, acted=True)
        self.phrases = Judge(Grammar.from_sentences(testsets.real_phrases(config))) if self.real else None
        self.car_clips = [clip for clip in self.fixed if self.car.means(clip.text)] + self.sampled
        self.other, self.free = testsets.other_clips(config), testsets.free_clips(config)
        self.other_lines = Judge(Grammar.from_sentences(testsets.lines("other.txt")))
        self.acted_lines = Judge(Grammar.from_sentences({clip.text for clip in self.acted})) if self.acted else None

    def sets(self) -> list[tuple[str, list[Clip], Judge]]:
        """The car's sentences and, where there are recordings of people, these: name, clips, and their grammar."""
        people = [("real people", self.real, self.phrases)] if self.phrases else []
        return [("car sentences", self.car_clips, self.car), *people]

    def noisy(self, clips: Sequence[Clip], snr: float | None, around: tuple[float, float] = (0.0, 0.0)) -> list[Clip]:
        """The clips in noise, which begins and ends so many seconds before and after them."""
        return [Clip(c.source, c.text, testsets.noisy(c.pcm, snr, i, self.noises, around)) for i, c in enumerate(clips)]

    def verdicts(self, clips: Sequence[Clip], judge: Judge, floating: bool = False) -> tuple[Verdicts, Score]:
        """With the grammar, and greedy without it."""

        def hear(grammar: Grammar | None) -> list[Result]:
            if floating:
                return hear_float(self.weights, clips, grammar, self.model)
            return hear_int8(self.model, clips, grammar)

        greedy, results = hear(None), hear(judge.grammar)
        pairs = zip(clips, results, greedy, strict=True)
        verdicts = [judge.verdict(c, r, g.text) for c, r, g in pairs if isinstance(r, GrammarResult)]
        return Verdicts(verdicts), Score.of(clips, greedy)

    # ---- the peers ----------------------------------------------------------------------

    def peer(
        self, name: str, which: str, clips: Sequence[Clip], make: Callable[[], Callable[[Pcm], str]] | None
    ) -> list[str] | None:
        """A peer's transcripts, kept: they never change. None if it has not listened, and is not to or not there."""
        path = self.config.folder("evaluation") / f"{name}-{which}.json"
        if not path.exists():
            if make is None:
                return None
            try:
                hear = make()
            except ImportError:
                return None
            heard = [hear(clip.pcm) for clip in tqdm(clips, desc=f"{name}, {which}")]
            path.write_text(json.dumps(heard))
        heard = json.loads(path.read_text())
        if len(heard) != len(clips):
            raise ValueError(f"{path} is of {len(heard)} clips, not {len(clips)}; delete it")
        return list(heard)

    def peers(
        self, which: str, clips: Sequence[Clip], judge: Judge, moonshine: bool, listen: bool = False
    ) -> dict[str, float]:
        """Percent rightly understood by each peer that has listened; `listen`: those that have not do now.

        Where no transcripts are kept, the file of figures tells what peers have made of the very same clips.
        """
        found: dict[str, float] = {}
        if not listen and not any(self.config.folder("evaluation").glob(f"*-{which}.json")):
            return self.figures.of(which, clips, judge.grammar)
        said = [judge.means(clip.text) for clip in clips]

        def right(heard: Sequence[str]) -> float:
            pairs = zip(said, heard, strict=True)
            return 100 * sum(s is not None and s == judge.means(h) for s, h in pairs) / len(clips)

        sphinx = self.peer("pocketsphinx", which, clips, (lambda: peers.Sphinx(judge.grammar)) if listen else None)
        if sphinx is not None:
            found["pocketsphinx 5, same grammar"] = right(sphinx)
        heard = self.peer("moonshine", which, clips, peers.Moonshine if listen else None) if moonshine else None
        if heard is not None:
            found["Moonshine tiny"] = right(heard)
            known = sorted({clip.text for clip in clips})
            nearest = [(get_close_matches(h, known, 1, 0.6) or [""])[0] for h in heard]
            found["Moonshine tiny, nearest of the test's sentences"] = right(nearest)
        self.figures.keep(which, clips, judge.grammar, found)
        return found


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table, an empty one behind it."""

    def cell(value: object) -> str:
        return f"{value:.1f}" if isinstance(value, float) else str(value)

    title_row = "| " + " | ".join(head) + " |"  # a head may be of several columns
    lines = [title_row, "|---" * (title_row.count("|") - 1) + "|"]
    return [*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]


class Report:
    """The evaluation as Markdown."""

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
        """The mapped model's greedy decoding of a first hearing alone."""
        return Score.of(clips, hear_int8(self.e.model, clips, None, passes=1))

    def above(self, test: str, figure: float, others: Mapping[str, float]) -> None:
        """Pocketsphinx's figure as a bar, where it has listened."""
        if others:
            best = others.get(PEERS[0], 0.0)
            self.bar(f"{test}: above pocketsphinx ({best:.1f} %)", figure, best)

    def car(self) -> None:
        """Car sentences with the sentence file."""
        e, t = self.e, self.threshold
        self.lines += [
            "## Car sentences, unseen voices, with the car's sentence file",
            "",
            f"{len(e.car_clips)} clips: those of the {len(commands())} fixed commands that the file knows "
            f"and {testsets.SAMPLED_PER_VOICE} drawn from it for each voice. Percent of the clips.",
            "",
        ]
        rows, by_voice = [], []
        for snr in CONDITIONS:
            clips = e.noisy(e.car_clips, snr)
            verdicts, score = e.verdicts(clips, e.car)
            floating = e.verdicts(clips, e.car, True) if snr in SOME_CONDITIONS else None
            others = e.peers(f"car-{title(snr)}", clips, e.car, snr in SOME_CONDITIONS)
            rows.append(
                [
                    title(snr),
                    verdicts.right(t),
                    verdicts.wrong(t),
                    verdicts.right(0.0),
                    floating[0].right(t) if floating else "",
                    verdicts.repaired(t),
                    *(others.get(name, "") for name in PEERS),
                ]
            )
            self.curve[f"car sentences, {title(snr)}"] = verdicts
            self.int8_rows.append(
                (
                    f"car sentences, {title(snr)}",
                    score,
                    floating[1] if floating else None,
                    verdicts,
                    floating[0] if floating else None,
                )
            )
            if snr in SOME_CONDITIONS:
                by_voice.append((title(snr), verdicts))
            if snr is None:
                self.bar("car sentences, clean: accepted rightly", verdicts.right(t), 97)
                once = self.greedy_once(clips)
                self.bar(
                    f"car sentences, clean, greedy: character error rate (heard once {once.cer:.1f} %)",
                    score.cer,
                    12,
                    True,
                )
                self.bar("car sentences that greedy gets wrong, repaired by the grammar", verdicts.repaired(t), 80)
            if snr == 10:
                self.bar("car sentences, 10 dB: accepted rightly", verdicts.right(t), 93)
            self.above(f"car sentences, {title(snr)}", verdicts.right(t), others)
        self.lines += table(
            [
                "condition",
                "accepted rightly",
                "accepted wrongly",
                "best sentence right",
                "float: accepted rightly",
                "greedy's errors repaired",
                *PEERS,
            ],
            rows,
        )
        voices = sorted({clip.source for clip in e.car_clips})
        self.lines += table(
            ["voice", *(f"{name}: rightly | {name}: wrongly" for name, _ in by_voice)],
            [[v, *(f"{s.of(v).right(t):.1f} | {s.of(v).wrong(t):.1f}" for _, s in by_voice)] for v in voices],
        )

    def people(self) -> None:
        """Held-out real recordings with the real part's phrases as the grammar."""
        e, t = self.e, self.threshold
        if e.phrases is None:
            return
        self.lines += [
            "## Real people, held out, the real part's phrases as the grammar",
            "",
            f"{len(e.real)} clips, a grammar of {len(e.phrases.grammar.intents)} phrases.",
            "",
        ]
        rows, corpora = [], sorted({clip.source for clip in e.real})
        for snr in CONDITIONS:
            clips = e.noisy(e.real, snr)
            verdicts, score = e.verdicts(clips, e.phrases)
            floating = e.verdicts(clips, e.phrases, True) if snr in SOME_CONDITIONS else None
            others = e.peers(f"real-{title(snr)}", clips, e.phrases, snr is None)
            rows.append(
                [
                    title(snr),
                    verdicts.right(t),
                    verdicts.wrong(t),
                    verdicts.right(0.0),
                    floating[0].right(t) if floating else "",
                    *(verdicts.of(c).right(t) for c in corpora),
                    *(others.get(name, "") for name in PEERS),
                ]
            )
            self.curve[f"real people, {title(snr)}"] = verdicts
            self.int8_rows.append(
                (
                    f"real people, {title(snr)}",
                    score,
                    floating[1] if floating else None,
                    verdicts,
                    floating[0] if floating else None,
                )
            )
            if snr is None:
                self.bar("held-out real recordings, clean: accepted rightly", verdicts.right(t), 95)
            self.above(f"real people, {title(snr)}", verdicts.right(t), others)
        self.lines += table(
            [
                "condition",
                "accepted rightly",
                "accepted wrongly",
                "best sentence right",
                "float: accepted rightly",
                *corpora,
                *PEERS,
            ],
            rows,
        )

    def again(self) -> None:
        """What hearing again is worth, after `car` and `people`."""
        e, t = self.e, self.threshold
        rows = []
        for name, clips, judge in e.sets():
            for snr in CONDITIONS:
                heard = e.noisy(clips, snr)
                results = hear_int8(e.model, heard, judge.grammar, passes=1)
                once = Verdicts(
                    [
                        judge.verdict(c, r, "")
                        for c, r in zip(heard, results, strict=True)
                        if isinstance(r, GrammarResult)
                    ]
                )
                doubted = 100 * sum(map(rescoring.needs_rescoring, results)) / len(results)
                cells = [[v.right(0.0), v.right(t), v.wrong(t)] for v in (once, self.curve[f"{name}, {title(snr)}"])]
                rows.append([f"{name}, {title(snr)}", doubted, *(x for pair in zip(*cells, strict=True) for x in pair)])
        self.lines += [
            "## Heard again",
            "",
            "Percent of the clips that the first hearing leaves in doubt, which are "
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

    def longer(self) -> None:
        """The same clips within longer recordings, after `car` and `people`: noise before and after what is said."""
        e, t = self.e, self.threshold
        rows = []
        for name, clips, judge in e.sets():
            for snr in SOME_CONDITIONS:
                longer = e.noisy(clips, snr, AROUND)
                verdicts, score = e.verdicts(longer, judge)
                alone = self.curve[f"{name}, {title(snr)}"]
                heard = zip(clips, listen(e.model, longer, judge.grammar), strict=True)
                accepted = [
                    [judge.verdict(clip, r, "").right for r in results if accepts(r, None, t)]
                    for clip, results in heard
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
        self.lines += [
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

    def elsewhere(self) -> None:
        """Commands of other domains with a sentence file of their own: nothing of it is the car's."""
        judge, spoken = self.e.other_lines, self.e.other
        self.lines += [
            "## Commands of other domains, unseen voices, with a sentence file of their own",
            "",
            f"{len(spoken)} clips, a grammar of {len(judge.grammar.intents)} sentences. Percent of the "
            "clips; CER: character error rate without the grammar.",
            "",
            *self._conditions("other domains", spoken, judge),
        ]

    def actors(self) -> None:
        """Held-out lines of actors (`dialogue`), where there are some, with these lines as the grammar."""
        judge, spoken = self.e.acted_lines, self.e.acted
        if judge is None:
            return
        self.lines += [
            "## Actors' lines out of games, held out",
            "",
            f"{len(spoken)} clips, their texts found by listening, a grammar of "
            f"{len(judge.grammar.intents)} sentences. Training has heard other lines by the same actors. "
            "Percent of the clips; CER: character error rate without the grammar.",
            "",
            *self._conditions("actors", spoken, judge),
        ]

    def _conditions(self, which: str, spoken: Sequence[Clip], judge: Judge) -> list[str]:
        """A table of some clips in all conditions."""
        t, rows, peer = self.threshold, list[Sequence[object]](), PEERS[0]
        for snr in CONDITIONS:
            clips = self.e.noisy(spoken, snr)
            verdicts, score = self.e.verdicts(clips, judge)
            others = self.e.peers(f"{which}-{title(snr)}", clips, judge, moonshine=False)
            rows.append(
                [title(snr), verdicts.right(t), verdicts.wrong(t), verdicts.right(0.0), score.cer, others.get(peer, "")]
            )
            self.above(f"{which}, {title(snr)}", verdicts.right(t), others)
        return table(["condition", "accepted rightly", "accepted wrongly", "best sentence right", "CER", peer], rows)

    def free_speech(self) -> None:
        """Sentences of the car's file that end in free speech."""
        e, t, rows = self.e, self.threshold, list[Sequence[object]]()
        for snr in CONDITIONS:
            clips = e.noisy(e.free, snr)
            once, again = (hear_int8(e.model, clips, e.car.grammar, passes=n) for n in (1, MAX_PASSES))
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
        self.lines += [
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

    def outside(self) -> None:
        """False acceptances with the car's file."""
        e, t = self.e, self.threshold
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
                heard = zip(noisy, hear_int8(e.model, noisy, e.car.grammar), strict=True)
                verdicts = Verdicts(
                    [e.car.verdict(clip, result, "") for clip, result in heard if isinstance(result, GrammarResult)]
                )
                row.append(verdicts.wrong(t))
                if outside[0].text:
                    speech[snr].items += verdicts.items
            rows.append(row + [""] * (2 + len(CONDITIONS) - len(row)))
        n = len(speech[None].items)
        rows.append(["**all speech**", n, *(verdicts.wrong(t) for verdicts in speech.values())])
        self.lines += [
            "## False acceptances: what is not in the car's sentence file",
            "",
            f"Percent of the clips that are accepted as some command at the default threshold, {t:g}; of "
            "speech in noise, too.",
            "",
            *table(["what", "clips", *map(title, CONDITIONS)], rows),
        ]
        self.bar("false acceptance of speech outside the sentence file", speech[None].wrong(t), 3, True)
        self.curve["speech outside the file"] = speech[None]

    def without_grammar(self) -> None:
        """Greedy and beam, float and int8, heard once and again."""
        lines = [
            "## Without a grammar",
            "",
            "CER and WER: character and word error rates, percent; right: percent of "
            "the clips transcribed exactly. What leaves doubt is heard again here, too, but where a row says "
            "once.",
            "",
        ]
        rows: list[list[object]] = []
        clips_of = {
            f"{name}, {title(snr)}": self.e.noisy(clips, snr) for name, clips, _ in self.e.sets() for snr in CONDITIONS
        }
        for name, score, floating, _, _ in self.int8_rows:
            rows.append([name, "int8, greedy, once", self.greedy_once(clips_of[name]).cells()])
            rows.append(["", "int8, greedy", score.cells()])
            if floating:
                rows.append(["", "float, greedy", floating.cells()])
            if name.endswith(title(None)):
                beam = Score.of(clips_of[name], hear_int8(self.e.model, clips_of[name], None, 64))
                rows.append(["", "int8, beam 64", beam.cells()])
        self.lines += [*lines, *table(["clips of", "decoding", "clips | CER | WER | right"], rows)]
        worst = max(
            (abs(v.right(self.threshold) - f.right(self.threshold)) for _, _, _, v, f in self.int8_rows if f),
            default=0.0,
        )
        worst = max([worst, *(abs(s.cer - f.cer) for _, s, f, _, _ in self.int8_rows if f)])
        self.bar("int8 against float, the largest difference in points", worst, 0.3, True)

    def thresholds(self) -> None:
        """The trade between the two kinds of error."""
        outside = self.curve["speech outside the file"]
        names = [name for name in self.curve if name.endswith(("clean", "10 dB"))]
        rows = [[f"{t:g}", outside.wrong(t), *(self.curve[name].right(t) for name in names)] for t in THRESHOLDS]
        self.lines += [
            "## The threshold",
            "",
            "Percent accepted falsely of the speech outside the file, and rightly "
            "of the rest, by threshold (`threshold=` of a stream).",
            "",
            *table(["threshold", "falsely", *names], rows),
        ]

    def write(self) -> str:
        """The whole report."""
        parts = (
            self.car,
            self.people,
            self.again,
            self.longer,
            self.elsewhere,
            self.actors,
            self.free_speech,
            self.outside,
            self.without_grammar,
            self.thresholds,
        )
        for part in parts:
            part()
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


PEERS = ("pocketsphinx 5, same grammar", "Moonshine tiny", "Moonshine tiny, nearest of the test's sentences")


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
