# SPDX-License-Identifier: Apache-2.0
"""In what passes doubtful speech is best rescored: sets of them (`rescoring.PERTURBATIONS`) tried on no test's data.

The development set is that of `calibrate`, and people's recordings played a fifth to a quarter faster or slower, so
that none is one that training knows. What leaves doubt is heard once in every pass; then each set of passes votes as
it would in use. A set is worth the mean, over the parts of the development set, of the sentences heard rightly and of
those accepted, less a tenth of the sentences outside of the car's file that are accepted.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pynna.audio.pcm import change_speed
from pynna.decoding.confidence import DEFAULT_THRESHOLD
from pynna.decoding.results import GrammarResult, Result
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.streaming.rescoring import PERTURBATIONS, Perturbation, combine, needs_rescoring, recognise
from pynna.train.config import Config
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.calibrate import SEED, development, people
from pynna.train.evaluation.scores import Judge
from pynna.train.voices.base import RATE, read

CANDIDATES: tuple[Perturbation, ...] = tuple(
    Perturbation(speed, denoised) for speed in (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12) for denoised in (True, False)
    if (speed, denoised) != (1.0, False)
)  # fmt: skip
STRANGE = (0.78, 0.82, 1.22, 1.28)
"""Speeds of people's recordings."""
FALSE_ACCEPTANCE_WEIGHT = 0.1
"""What a percent of false acceptances counts beside one of sentences heard rightly."""


@dataclass(frozen=True)
class Heard:
    """A recording's first pass, and the others where that leaves doubt."""

    clip: Clip
    first: Result
    others: dict[Perturbation, Result]

    def vote_by_meaning(self, passes: Iterable[Perturbation]) -> Result:
        """The vote of the first pass and of these."""
        return combine([self.first, *(self.others[m] for m in passes)]) if self.others else self.first


@dataclass(frozen=True)
class Part:
    """Recordings of one kind, and what their sentences are; `inside` are those that can be heard rightly."""

    name: str
    judge: Judge
    heard: Sequence[Heard]
    inside: bool = True

    def shares(self, passes: Sequence[Perturbation]) -> tuple[float, float]:
        """Percent heard rightly, whatever the confidence, and accepted: rightly, or at all where none is inside."""
        verdicts = [
            self.judge.verdict(one.clip, result, "")
            for one in self.heard
            if isinstance(result := one.vote_by_meaning(passes), GrammarResult)
        ]
        accepted = [v.confidence >= DEFAULT_THRESHOLD and (v.right or not self.inside) for v in verdicts]
        return 100 * sum(v.right for v in verdicts) / len(self.heard), 100 * sum(accepted) / len(self.heard)


def hear(
    model: Model, clips: Sequence[Clip], judge: Judge, candidates: Sequence[Perturbation] = CANDIDATES
) -> list[Heard]:
    """Each recording in all passes, up to 16 of them."""
    options, heard = model.decoder_options(grammar=judge.grammar), []
    for clip in tqdm(clips, desc="passes"):
        first = model.transcribe(clip.pcm, grammar=judge.grammar, passes=1)
        others = recognise(model, clip.pcm, first, candidates, options) if needs_rescoring(first) else []
        heard.append(Heard(clip, first, dict(zip(candidates, others, strict=False))))
    return heard


def worth(parts: Sequence[Part], passes: Sequence[Perturbation]) -> float:
    """Of a set of passes, as the module's text says, in percent."""
    good = [share for part in parts if part.inside for share in part.shares(passes)]
    bad = [part.shares(passes)[1] for part in parts if not part.inside]
    return float(np.mean(good)) - FALSE_ACCEPTANCE_WEIGHT * sum(bad)


def ordered(parts: Sequence[Part], passes: Sequence[Perturbation]) -> tuple[Perturbation, ...]:
    """A set's passes, so that the first of them are worth most without the others."""
    left, order = list(passes), list[Perturbation]()
    while left:
        best = max(left, key=lambda each: worth(parts, [*order, each]))
        order.append(best)
        left.remove(best)
    return tuple(order)


def best_sets(
    parts: Sequence[Part],
    size: int,
    candidates: Sequence[Perturbation] = CANDIDATES,
) -> list[tuple[float, tuple[Perturbation, ...]]]:
    """All sets of `size` of the candidates and what they are worth, the best first."""
    sets = list(itertools.combinations(candidates, size))
    tried = [(worth(parts, passes), passes) for passes in tqdm(sets, desc="sets of passes")]
    return sorted(tried, key=lambda pair: -pair[0])


def _strange(clips: Sequence[Clip]) -> list[Clip]:
    rng = random.Random(SEED)
    return [Clip(c.source, c.text, change_speed(c.pcm, rng.choice(STRANGE), RATE)) for c in clips]


def search_passes(config: Config, path: Path, noise: list[Path], corpora: list[Path]) -> None:
    """Print the best sets of passes beside those in use."""
    model, car = load(path), Judge(Grammar.from_yaml(CAR_GRAMMAR))
    noises = [read(file) for folder in noise for file in sorted(folder.glob("*.flac"))]
    inside, outside = development(config, car.grammar, 400, noises)
    real = people(config, corpora, 500, noises)
    sets = [
        (f"car, {ratio}", [c for c in inside if c.source == ratio], car)
        for ratio in ("clean", "20 dB", "10 dB", "5 dB", "0 dB")
    ]
    if real:
        phrases = Judge(Grammar.from_sentences({clip.text for clip in real}))
        sets += [("people", real, phrases), ("people at other speeds", _strange(real), phrases)]
    parts = [Part(name, judge, hear(model, clips, judge)) for name, clips, judge in sets]
    strangers = outside + [clip for clip in real if car.means(clip.text) is None]
    parts.append(Part("outside", car, hear(model, strangers, car), inside=False))
    for value, found in [(worth(parts, PERTURBATIONS), PERTURBATIONS), *best_sets(parts, len(PERTURBATIONS))[:5]]:
        print(f"{value:.2f}: {found if found is PERTURBATIONS else ordered(parts, found)}")
        shares = [(part.name, *part.shares(found)) for part in parts]
        print(
            "  "
            + "; ".join(f"{name}: {right:.1f} rightly, {accepted:.1f} accepted" for name, right, accepted in shares)
        )
