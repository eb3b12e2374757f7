# SPDX-License-Identifier: Apache-2.0
"""Counts of what is recognised: characters, words and texts without a grammar, meanings with one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pynna.decoding.results import GrammarResult, Result
from pynna.distance import edit_distance
from pynna.grammar import Grammar
from pynna.train.corpora.testsets import Clip


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


def accepts(result: Result, intent: str | None, threshold: float) -> bool:
    """Whether a result is accepted as this intent, or as any."""
    return (
        isinstance(result, GrammarResult)
        and result.complete
        and result.confidence >= threshold
        and intent in (None, result.intent)
    )
