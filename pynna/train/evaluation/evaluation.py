# SPDX-License-Identifier: Apache-2.0
"""All clips that are evaluated, in noise, and what the models and the peers make of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pynna.decoding.results import GrammarResult, Result
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.mapping.dequantise import dequantise
from pynna.mapping.npz import import_npz
from pynna.model import load
from pynna.train.config import Config
from pynna.train.corpora import peers, testsets
from pynna.train.corpora.peers import fingerprint
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.kept import KeptResults, digest_of
from pynna.train.evaluation.recognise import hear_float, hear_int8, listen
from pynna.train.evaluation.scores import Judge, Score, Verdicts
from pynna.train.voices.base import read
from pynna.train.voices.synthesise import Pcm

CONDITIONS: tuple[float | None, ...] = (None, 20.0, 10.0, 5.0, 0.0)
SOME_CONDITIONS: tuple[float | None, ...] = (None, 10.0)


def title(snr: float | None) -> str:
    """A condition's name."""
    return "clean" if snr is None else f"{snr:g} dB"


class Evaluation:
    """All that is heard, and the report. What a model and the same code have heard already is kept."""

    def __init__(
        self, config: Config, model: Path, weights: Path | None, noise: list[Path], figures: Path | None = None
    ) -> None:
        self.config, self.model, self.figures = config, load(model), peers.Figures(figures)
        self.dequantised = weights is None
        self.weights = dequantise(model) if weights is None else import_npz(weights)
        files = [path for path in (model, weights) if path is not None]
        self._kept = KeptResults(config.folder("evaluation") / f"heard-{digest_of(*files)}")
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

        hear = functools.partial(self.hear_float if floating else self.hear, clips)
        greedy, results = hear(None), hear(judge.grammar)
        pairs = zip(clips, results, greedy, strict=True)
        verdicts = [judge.verdict(c, r, g.text) for c, r, g in pairs if isinstance(r, GrammarResult)]
        return Verdicts(verdicts), Score.of(clips, greedy)

    def hear(self, clips: Sequence[Clip], grammar: Grammar | None, beam_width: int = 0, **options: Any) -> list[Result]:
        """What the mapped model makes of clips, as of `hear_int8`."""
        what = f"int8 {fingerprint(clips, grammar)} {beam_width} {sorted(options.items())}"
        return self._kept.of(what, lambda: hear_int8(self.model, clips, grammar, beam_width, **options))

    def hear_float(self, clips: Sequence[Clip], grammar: Grammar | None) -> list[Result]:
        """What the float network makes of them."""
        what = f"float {fingerprint(clips, grammar)}"
        return self._kept.of(what, lambda: hear_float(self.weights, clips, grammar, self.model))

    def listen(self, clips: Sequence[Clip], grammar: Grammar) -> list[list[GrammarResult]]:
        """The utterances that a listener finds in each."""
        return self._kept.of(f"listener {fingerprint(clips, grammar)}", lambda: listen(self.model, clips, grammar))

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
