# SPDX-License-Identifier: Apache-2.0
"""What a recogniser says: text, words with their times, confidence, alternatives."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from pynna.decoding.confidence import features, probability
from pynna.decoding.regional import respell
from pynna.grammar.marks import FIRST_FILLER, LAST_FILLER, filler_text

if TYPE_CHECKING:
    from pynna.grammar import Grammar

Token: TypeAlias = tuple[int, int, int, float]
"""(label, first frame of its run, frame of its highest probability, natural log of the probability there)"""

NEAR = 10.0
"""Nats behind the best within which a sentence counts against it."""


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
    first_frame: float = 0
    """Below 0 where silence was put before a recording: a word begins at 0 at the earliest."""
    regional: str | None = None
    """British or American, see `pynna.decoding.regional`."""

    def text(self, tokens: Sequence[Token]) -> str:
        """The labels' texts, put together."""
        return "".join(map(self.letter, tokens))

    def letter(self, token: Token) -> str:
        """A label's text, be it a grammar's or heard in the filler."""
        return self.labels[token[0] % len(self.labels)]

    def words(self, tokens: Sequence[Token]) -> tuple[Word, ...]:
        """The runs of labels between spaces."""
        words: list[Word] = []
        run: list[Token] = []
        for token in tokens:
            if self.letter(token) != " ":
                run.append(token)
            elif run:
                words.append(self._word(run))
                run = []
        if run:
            words.append(self._word(run))
        return tuple(words)

    def _word(self, run: Sequence[Token]) -> Word:
        start, end = (max(0.0, self.first_frame + frame) for frame in (run[0][1], run[-1][2] + 1))
        return Word(
            respell(self.text(run), self.regional),
            round(start * self.seconds_per_frame, 6),
            round(end * self.seconds_per_frame, 6),
            confidence(run),
        )


def confidence(tokens: Sequence[Token]) -> float:
    """The geometric mean of the tokens' probabilities, 0 where there is none."""
    return math.exp(min(0.0, sum(token[3] for token in tokens) / len(tokens))) if tokens else 0.0


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
    notes : tuple of str
        What was done to a recording before it was transcribed, a plain sentence each, as "resampled from 8000 Hz to
        16000 Hz".
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        spelling: Spelling,
        committed: Sequence[Token],
        committed_text: str,
        tails: Sequence[tuple[float, list[Token]]],
    ) -> None:
        self._spelling = spelling
        self._committed = committed  # a list that only grows: as much of it is ours as there is now
        self._n_committed = len(committed)
        self._committed_text = committed_text
        self._tails = tails

    def _tokens(self, tail: list[Token]) -> list[Token]:
        return [*self._committed[: self._n_committed], *tail]

    def _text(self, tail: list[Token]) -> str:
        return respell((self._committed_text + self._spelling.text(tail)).strip(), self._spelling.regional)

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
        return tuple(
            Alternative(self._text(tail), confidence(self._tokens(tail)), score) for score, tail in self._tails
        )

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


ResultT = TypeVar("ResultT", bound=Result, covariant=True)
"""A `Result`, or with a grammar a `GrammarResult`."""


@dataclass(frozen=True, slots=True)
class Interpretation(Alternative):
    """A sentence of a grammar and what it means.

    Attributes
    ----------
    text, score : str, float
        As of an `Alternative`; the score is of the best path, the priors divided out, what hot words add included.
    confidence : float
        0 to 1, calibrated: the probability that this is what was said.
    intent : str or None
        None where the sentence is not complete yet.
    slots : dict of str to value
    reply : str
    """

    intent: str | None
    slots: dict[str, Any]
    reply: str


class GrammarResult(Result):
    """What a stream with a grammar has heard: a `Result` with a meaning.

    Attributes
    ----------
    intent : str or None
        What the best sentence means; None while it is not complete.
    slots : dict of str to value
    reply : str
        The grammar's answer.
    complete : bool
        Whether the text is a whole sentence of the grammar.
    confidence : float
        0 to 1, calibrated: the probability that this sentence is what was said, shared with the sentences that mean
        something else and were heard as well; of several passes the mean (`pynna.streaming.rescoring`).
    threshold : float
        The confidence from which a sentence is accepted.
    accepted : bool
        Whether it is complete and its confidence reaches the threshold. What is not accepted is not to be acted on.
    alternatives : tuple of Interpretation
        The best sentences, best first; the first one is this one.
    rival : str or None
        The best sentence that means something else, of those that the search kept or another pass took; None where
        there is none, or this one is not complete.
    margin : float or None
        Nats in all by which the rival scores lower; None where there is no rival, or the pass whose sentence this is
        did not keep it.
    """

    def __init__(
        self,
        spelling: Spelling,
        committed: Sequence[Any],
        committed_text: str,
        tails: Sequence[tuple[float, list[Any], bool, float, float]],
        unconstrained_score: float,
        grammar: Grammar,
        threshold: float,
        n_alternatives: int,
    ) -> None:
        super().__init__(spelling, committed, committed_text, [(score, tokens) for score, tokens, *_ in tails])
        self._n_alternatives = n_alternatives
        self._complete = [complete for _, _, complete, *_ in tails]
        self._noise_losses = [noise_loss for *_, noise_loss, _ in tails]
        self._bonuses = [bonus for *_, bonus in tails]
        self._unconstrained_score, self._grammar, self._threshold = unconstrained_score, grammar, threshold
        self._ballot: tuple[Interpretation, ...] = ()
        self._outvoted: tuple[str, str] | None = None

    def _text(self, tail: list[Any]) -> str:
        return " ".join(super()._text(tail).split())

    def _features(self, i: int) -> npt.NDArray[np.float64]:
        score, tail = self._tails[i]
        tokens: list[Any] = self._tokens(tail)
        noise, fit = self._noise_losses[i], score - self._bonuses[i]
        trailing = self._unconstrained_score - fit - sum(token[4] for token in tokens) - noise
        labels = self._spelling.labels
        space = labels.index(" ") if " " in labels else -1
        return features(
            tokens, trailing, space, len(labels), self._grammar.size(labels), self._spelling.seconds_per_frame, noise
        )

    def voted(self, ballot: tuple[Interpretation, ...], outvoted: GrammarResult | None = None) -> GrammarResult:
        """The same sentence with the confidence, and the alternatives, that several passes agreed on; `outvoted` is
        the best of those that mean something else."""
        result = copy.copy(self)
        result._ballot = ballot
        result._outvoted = None if outvoted is None else (outvoted.text, outvoted.meaning)
        for name in ("alternatives", "confidence", "_best", "_rival"):
            result.__dict__.pop(name, None)
        return result

    def _letters(self, i: int) -> str:
        """The text of an alternative, what was heard in the filler marked."""
        n_labels, tokens = len(self._spelling.labels), self._tokens(self._tails[i][1])
        return "".join(
            self._spelling.letter(t) if t[0] < n_labels else filler_text(self._spelling.letter(t)) for t in tokens
        )

    @cached_property
    def meaning(self) -> str:
        """Intent and slots as they can be compared, the text where it is no sentence; words of the filler count as the
        same, whatever they are."""
        return self._meaning(0)

    def _meaning(self, i: int) -> str:
        if i not in self._meanings:
            self._meanings[i] = self._meaning_of(i)
        return self._meanings[i]

    @cached_property
    def _meanings(self) -> dict[int, str]:
        """Those that have been asked for: a sentence is parsed once."""
        return {}

    def _meaning_of(self, i: int) -> str:
        filler_word = re.sub(f"[{chr(FIRST_FILLER)}-{chr(LAST_FILLER)}]+", filler_text("x"), self._letters(i))
        match = self._grammar.parse(filler_word) if self._complete[i] else None
        if match is None:
            return self._text(self._tails[i][1])
        return json.dumps([match.intent, match.slots], sort_keys=True)

    @cached_property
    def _rival(self) -> tuple[str | None, float | None]:
        """The rival and its margin."""
        if not self.complete:
            return None, None
        wanted = None if self._outvoted is None else self._outvoted[1]
        for i in range(1, len(self._tails)):
            if not self._complete[i]:
                continue
            meaning = self._meaning(i)
            if meaning == wanted or (wanted is None and meaning != self.meaning):
                return self._text(self._tails[i][1]), self._tails[0][0] - self._tails[i][0]
        return (None if self._outvoted is None else self._outvoted[0]), None

    @property
    def rival(self) -> str | None:
        return self._rival[0]

    @property
    def margin(self) -> float | None:
        return self._rival[1]

    def _probability(self, i: int) -> float:
        """The calibrated probability of an alternative, its share of what else was heard as well."""
        sure, near = probability(self._features(i)), self._near
        if not self._complete[i] or near == [i]:
            return sure
        shares, behind = self._shares, self._tails[i][0] - self._tails[0][0]
        own = shares.get(self._meaning(i), math.exp(max(behind, -100.0)))
        return sure * own / max(own, sum(shares.values()))

    @cached_property
    def _near(self) -> list[int]:
        """The whole sentences that are near enough to the best to count against it."""
        best = self._tails[0][0]
        return [i for i, (score, _) in enumerate(self._tails) if self._complete[i] and best - score < NEAR]

    @cached_property
    def _shares(self) -> dict[str, float]:
        """The probability of each of their meanings, against the best's."""
        shares: dict[str, float] = {}
        for i in self._near:
            shares.setdefault(self._meaning(i), math.exp(self._tails[i][0] - self._tails[0][0]))
        return shares

    def _interpret(self, i: int) -> Interpretation:
        score, tail = self._tails[i]
        match = self._grammar.parse(self._letters(i)) if self._complete[i] else None
        sure = self._probability(i)
        if match is None:
            return Interpretation(self._text(tail), sure, score, None, {}, "")
        return Interpretation(self._text(tail), sure, score, match.intent, match.slots, match.reply)

    @cached_property
    def alternatives(self) -> tuple[Interpretation, ...]:  # type: ignore[override]
        return self._ballot or tuple(self._interpret(i) for i in range(min(self._n_alternatives, len(self._tails))))

    @property
    def complete(self) -> bool:
        return self._complete[0]

    @property
    def features(self) -> npt.NDArray[np.float64]:
        """What the confidence is made of: `pynna.decoding.confidence.FEATURES`, float64 [6]."""
        return self._features(0)

    @cached_property
    def confidence(self) -> float:
        return self._ballot[0].confidence if self._ballot else self._probability(0)

    @cached_property
    def _best(self) -> Interpretation:
        return self._ballot[0] if self._ballot else self._interpret(0)

    @property
    def intent(self) -> str | None:
        return self._best.intent

    @property
    def slots(self) -> dict[str, Any]:
        return self._best.slots

    @property
    def reply(self) -> str:
        return self._best.reply

    @property
    def threshold(self) -> float:
        return self._threshold

    @property
    def accepted(self) -> bool:
        return self._best.intent is not None and self.confidence >= self._threshold

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it: those of `Result`, intent, slots, reply, complete, accepted, rival,
        margin."""
        return {
            **super().as_dict(),
            "intent": self.intent,
            "slots": self.slots,
            "reply": self.reply,
            "complete": self.complete,
            "accepted": self.accepted,
            "rival": self.rival,
            "margin": self.margin,
        }

    def __repr__(self) -> str:
        return (
            f"GrammarResult({self.text!r}, intent={self.intent!r}, slots={self.slots!r}, "
            f"confidence={self.confidence:.3f}, accepted={self.accepted})"
        )
