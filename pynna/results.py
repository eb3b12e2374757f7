"""What a recogniser says: text, words with their times, confidence, alternatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

Token: TypeAlias = tuple[int, int, int, float]
"""(label, first frame of its run, frame of its highest probability, natural log of the probability there)"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said.

    Attributes
    ----------
    text : str
    start, end : float
        Seconds from the stream's start: the first frame of the first letter, the end of the last letter's strongest
        frame.
    confidence : float
        0 to 1: the geometric mean of the letters' probabilities. It is not calibrated.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another transcript that the search kept.

    Attributes
    ----------
    text : str
    confidence : float
        As for a word.
    score : float
        Natural logarithm of the summed probability of all its alignments.
    """

    text: str
    confidence: float
    score: float


@dataclass(frozen=True, slots=True)
class Spelling:
    """How labels become text and frames seconds."""

    labels: tuple[str, ...]
    seconds_per_frame: float

    def text(self, tokens: Sequence[Token]) -> str:
        """The labels' texts, put together."""
        return "".join(self.labels[token[0]] for token in tokens)

    def words(self, tokens: Sequence[Token]) -> tuple[Word, ...]:
        """The runs of labels between spaces."""
        words: list[Word] = []
        run: list[Token] = []
        for token in tokens:
            if self.labels[token[0]] != " ":
                run.append(token)
            elif run:
                words.append(self._word(run))
                run = []
        if run:
            words.append(self._word(run))
        return tuple(words)

    def _word(self, run: Sequence[Token]) -> Word:
        start, end = run[0][1] * self.seconds_per_frame, (run[-1][2] + 1) * self.seconds_per_frame
        return Word(self.text(run), round(start, 6), round(end, 6), confidence(run))


def confidence(tokens: Sequence[Token]) -> float:
    """The geometric mean of the tokens' probabilities, 0 where there is none."""
    return math.exp(sum(token[3] for token in tokens) / len(tokens)) if tokens else 0.0


class Result:
    """A transcript, partial or final. What is asked for is put together then, so that a partial result costs little.

    Attributes
    ----------
    text : str
    words : tuple of Word
    confidence : float
        0 to 1, the geometric mean of the letters' probabilities; 0 for an empty text.
    alternatives : tuple of Alternative
        The best transcripts, best first; the first one is this one.
    """

    def __init__(self, spelling: Spelling, committed: Sequence[Token], committed_text: str,
                 tails: Sequence[tuple[float, list[Token]]]) -> None:
        self._spelling = spelling
        self._committed = committed  # a list that only grows: as much of it is ours as there is now
        self._n_committed = len(committed)
        self._committed_text = committed_text
        self._tails = tails

    def _tokens(self, tail: list[Token]) -> list[Token]:
        return [*self._committed[: self._n_committed], *tail]

    def _text(self, tail: list[Token]) -> str:
        return (self._committed_text + self._spelling.text(tail)).strip()

    @cached_property
    def text(self) -> str:
        return self._text(self._tails[0][1])

    @cached_property
    def words(self) -> tuple[Word, ...]:
        return self._spelling.words(self._tokens(self._tails[0][1]))

    @cached_property
    def confidence(self) -> float:
        return confidence(self._tokens(self._tails[0][1]))

    @cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        return tuple(Alternative(self._text(tail), confidence(self._tokens(tail)), score)
                     for score, tail in self._tails)

    @property
    def score(self) -> float:
        """Natural logarithm of the probability of the text, its alignments summed (greedy: of the best path)."""
        return self._tails[0][0]

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it: text, words, confidence, alternatives."""
        return {
            "text": self.text,
            "words": [asdict(word) for word in self.words],
            "confidence": self.confidence,
            "alternatives": [asdict(alternative) for alternative in self.alternatives],
        }

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Result({self.text!r}, confidence={self.confidence:.3f})"
