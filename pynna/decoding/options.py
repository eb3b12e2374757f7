"""How a stream is decoded: all options and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pynna.decoding.confidence import DEFAULT_NOISE_COST, DEFAULT_THRESHOLD, GRAMMAR_PRIOR_EXPONENT
from pynna.errors import ArgumentError

if TYPE_CHECKING:
    from pynna.decoding.language_model import LanguageModel, Vocabulary
    from pynna.grammar import Grammar

DEFAULT_BEAM_WIDTH, MAX_BEAM_WIDTH = 64, 4096
MAX_ALTERNATIVES, MAX_GRAMMAR_ALTERNATIVES = 100, 16
MAX_HEARINGS = 7


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """How a stream is decoded.

    Attributes
    ----------
    beam_width : int
        Hypotheses kept, 1 to 4096; 0 for greedy decoding (the best label of each frame).
    alternatives : int
        Transcripts that a result carries, 1 to 100; greedy decoding has one.
    cutoff_prob, cutoff_top_n : float, int
        Labels looked at in a frame: the most probable ones up to this probability in all, and no more than this many.
    prior_exponent : float, optional
        The labels' probabilities are divided by their priors (the model's ``label_priors``) to this power. 0, which is
        all that greedy decoding takes, leaves them as they are; a grammar has its own default, without which its
        shortest sentences would win (`pynna.decoding.confidence.GRAMMAR_PRIOR_EXPONENT`).
    grammar : Grammar, optional
        The sentences that may be said: results are of the best of them, a `GrammarResult`. The search is exact and has
        no beam; ``beam_width`` and the cutoffs do nothing then, but for a language model in its free slots.
    threshold : float
        Confidence from which a grammar's sentence is accepted, 0 to 1.
    hearings : int, optional
        Times that an utterance is heard, 1 to 7, where the first leaves doubt: again with less noise and at other
        speeds, and the hearings vote (`pynna.streaming.rescoring`). It is done at an utterance's end, by streams and
        listeners. Unless given 7 with a grammar, and without one what the model's card says (`Model.hearings`).
    noise_cost : float
        Nats that a letter costs which a noise around a grammar's sentence, or between its words, lets through; infinity
        for none to be let through.
    free_cost, free_entry : float
        Nats that free speech in a grammar (filler, free slots) costs a frame, and at its beginning.
    language_model : LanguageModel, optional
        Words and their probabilities for a beam search; with a grammar, for what is said in its free slots.
    vocabulary : Vocabulary, optional
        The words that may be said, where there is no language model to tell.
    hot_words : mapping of str to float, optional
        Words or phrases that are expected and what each adds in nats (3 to 10 do much); a beam search takes them.
        `Stream.hot_words` changes them while the stream runs.

    Raises
    ------
    ArgumentError
        An option out of range, or two that exclude each other.
    """

    beam_width: int = DEFAULT_BEAM_WIDTH
    alternatives: int = 1
    cutoff_prob: float = 1.0
    cutoff_top_n: int = 40
    prior_exponent: float | None = None
    grammar: Grammar | None = None
    threshold: float = DEFAULT_THRESHOLD
    hearings: int | None = None
    noise_cost: float = DEFAULT_NOISE_COST
    free_cost: float = 0.5
    free_entry: float = 2.0
    language_model: LanguageModel | None = None
    vocabulary: Vocabulary | None = None
    hot_words: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        _check_range("beam_width", self.beam_width, 0, MAX_BEAM_WIDTH)
        _check_range("alternatives", self.alternatives, 1, MAX_ALTERNATIVES)
        if self.hearings is not None:
            _check_range("hearings", self.hearings, 1, MAX_HEARINGS)
        _check_range("cutoff_top_n", self.cutoff_top_n, 1, 1 << 20)
        if not 0.0 < self.cutoff_prob <= 1.0:
            raise ArgumentError(f"cutoff_prob is {self.cutoff_prob}; above 0 and up to 1 is right")
        if not 0.0 <= self.exponent <= 10.0:
            raise ArgumentError(f"prior_exponent is {self.prior_exponent}; 0 to 10 is right")
        if self.exponent > 0.0 and self.beam_width == 0 and self.grammar is None:
            raise ArgumentError("prior_exponent needs a beam search; greedy decoding (beam_width 0) takes no priors")
        if not 0.0 <= self.threshold <= 1.0:
            raise ArgumentError(f"threshold is {self.threshold}; 0 to 1 is right")
        if not (0.0 <= self.free_cost < 1e6 and 0.0 <= self.free_entry < 1e6):
            raise ArgumentError(f"free_cost, free_entry are {self.free_cost}, {self.free_entry}; 0 or more is right")
        if not self.noise_cost >= 0.0:
            raise ArgumentError(f"noise_cost is {self.noise_cost}; 0 or more is right")
        self._check_words()
        if self.grammar is not None and self.alternatives > MAX_GRAMMAR_ALTERNATIVES:
            raise ArgumentError(f"alternatives is {self.alternatives}; with a grammar 1 to {MAX_GRAMMAR_ALTERNATIVES}")

    def _check_words(self) -> None:
        given = [name for name in ("language_model", "vocabulary", "hot_words") if getattr(self, name)]
        if given and self.beam_width == 0:
            raise ArgumentError(f"{given[0]} needs a beam search; greedy decoding (beam_width 0) takes none")
        if len(given) > 1 and given[:2] == ["language_model", "vocabulary"]:
            raise ArgumentError("language_model and vocabulary exclude each other; LanguageModel takes a vocabulary")
        if self.grammar is not None and given and given != ["language_model"]:
            raise ArgumentError(f"{given[-1]} and grammar exclude each other; the grammar knows all that may be said")

    @property
    def most_hearings(self) -> int:
        """The hearings that count."""
        if self.hearings is not None:
            return self.hearings
        return 1 if self.grammar is None else MAX_HEARINGS

    @property
    def exponent(self) -> float:
        """The priors' exponent that counts."""
        if self.prior_exponent is not None:
            return self.prior_exponent
        return 0.0 if self.grammar is None else GRAMMAR_PRIOR_EXPONENT


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ArgumentError(f"{name} is {value!r}; a whole number from {low} to {high} is right")
