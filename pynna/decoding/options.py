# SPDX-License-Identifier: Apache-2.0
"""How a stream is decoded: all options and their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from pynna.decoding.confidence import DEFAULT_NOISE_COST, DEFAULT_THRESHOLD, GRAMMAR_PRIOR_SCALE
from pynna.decoding.language_model import LanguageModel, Vocabulary
from pynna.decoding.regional import words_of
from pynna.errors import ArgumentError

if TYPE_CHECKING:
    from pynna.grammar import Grammar

DEFAULT_BEAM_WIDTH, MAX_BEAM_WIDTH = 64, 4096
MAX_ALTERNATIVES, MAX_GRAMMAR_ALTERNATIVES = 100, 16
MAX_PASSES = 7
DICTATION: dict[str, Any] = {"alpha": 0.35, "beta": 0.7, "unknown_score": -3.0, "unknown_letter_score": -2.0}
"""Weights of a model's own `LanguageModel` without a grammar; of 120 short sentences in eight synthetic voices 96 come
out to the letter with these, 89 with DeepSpeech's and no unknown words at most, 55 without a language model."""


class GreedyOptions(TypedDict, total=False):
    """Keywords of greedy decoding, see `DecoderOptions`."""

    beam_width: Literal[0]
    passes: int
    spelling: Literal["british", "american"] | None


class BeamSearchOptions(TypedDict, total=False):
    """Keywords of a beam search, see `DecoderOptions`."""

    beam_width: int
    alternatives: int
    cutoff_prob: float
    cutoff_top_n: int
    prior_scale: float | None
    passes: int | None
    language_model: LanguageModel | None
    vocabulary: Vocabulary | None
    hot_words: Mapping[str, float] | None
    spelling: Literal["british", "american"] | None


class GrammarSearchOptions(TypedDict, total=False):
    """Keywords of a grammar's search besides the grammar, see `DecoderOptions`."""

    alternatives: int
    threshold: float
    prior_scale: float | None
    passes: int | None
    noise_cost: float
    filler_cost: float
    filler_entry_cost: float
    language_model: LanguageModel | None
    beam_width: int
    hot_words: Mapping[str, float] | None


class AnyOptions(BeamSearchOptions, total=False):
    """All keywords there are, see `DecoderOptions`."""

    grammar: Grammar | None
    threshold: float
    noise_cost: float
    filler_cost: float
    filler_entry_cost: float


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
    prior_scale : float, optional
        The labels' probabilities are divided by their priors (the model's ``label_priors``) to this power. 0, which is
        all that greedy decoding takes, leaves them as they are; a grammar has its own default, without which its
        shortest sentences would win (`pynna.decoding.confidence.GRAMMAR_PRIOR_SCALE`).
    grammar : Grammar, optional
        The sentences that may be said: results are of the best of them, a `GrammarResult`. The search is exact and has
        no beam; ``beam_width`` and the cutoffs do nothing then, but for a language model in its free slots.
    threshold : float
        Confidence from which a grammar's sentence is accepted, 0 to 1.
    passes : int, optional
        How often a doubtful utterance is recognised, 1 to 7: again with less noise and at other speeds, and the passes
        are combined (`pynna.streaming.rescoring`). It is done at an utterance's end, by streams and listeners; from 2
        on a stream also cuts what a grammar refuses into utterances, and takes the surest. Unless given 7 with a
        grammar, and without one what the model's metadata says (`Model.passes`).
    noise_cost : float
        Nats that a letter costs which a noise around a grammar's sentence, or between its words, lets through; infinity
        for none to be let through.
    filler_cost, filler_entry_cost : float
        Nats that a frame of the filler costs in a grammar (filler, slots of free text), and its beginning.
    language_model : LanguageModel, optional
        Words and their probabilities for a beam search; with a grammar, for what is said in its free slots. A model's
        own unless told otherwise: None does without.
    vocabulary : Vocabulary, optional
        The words that may be said, where there is no language model to tell.
    hot_words : mapping of str to float, optional
        Words or phrases that are expected and what each adds in nats (3 to 10 do much); a beam search takes them, and
        a grammar, where of sentences that were heard alike the one with more of them wins. `Stream.hot_words` changes
        them while the stream runs.
    spelling : "british" or "american", optional
        How a transcript spells what the two spell differently; the extra ``spelling`` is needed, and no grammar.
        Unless given as it was heard. Words that mean several things stay (`pynna.decoding.regional.AMBIGUOUS`).

    Raises
    ------
    ArgumentError
        An option out of range, or two that exclude each other.
    """

    beam_width: int = DEFAULT_BEAM_WIDTH
    alternatives: int = 1
    cutoff_prob: float = 1.0
    cutoff_top_n: int = 40
    prior_scale: float | None = None
    grammar: Grammar | None = None
    threshold: float = DEFAULT_THRESHOLD
    passes: int | None = None
    noise_cost: float = DEFAULT_NOISE_COST
    filler_cost: float = 0.5
    filler_entry_cost: float = 2.0
    language_model: LanguageModel | None = None
    vocabulary: Vocabulary | None = None
    hot_words: Mapping[str, float] | None = None
    spelling: Literal["british", "american"] | None = None

    def __post_init__(self) -> None:
        self._check_types()
        _check_range("beam_width", self.beam_width, 0, MAX_BEAM_WIDTH)
        _check_range("alternatives", self.alternatives, 1, MAX_ALTERNATIVES)
        if self.passes is not None:
            _check_range("passes", self.passes, 1, MAX_PASSES)
        _check_range("cutoff_top_n", self.cutoff_top_n, 1, 1 << 20)
        if not 0.0 < self.cutoff_prob <= 1.0:
            raise ArgumentError(f"cutoff_prob is {self.cutoff_prob}; above 0 and up to 1 is right")
        if not 0.0 <= self.exponent <= 10.0:
            raise ArgumentError(f"prior_scale is {self.prior_scale}; 0 to 10 is right")
        if self.exponent > 0.0 and self.beam_width == 0 and self.grammar is None:
            raise ArgumentError("prior_scale needs a beam search; greedy decoding (beam_width 0) takes no priors")
        if not 0.0 <= self.threshold <= 1.0:
            raise ArgumentError(f"threshold is {self.threshold}; 0 to 1 is right")
        if not (0.0 <= self.filler_cost < 1e6 and 0.0 <= self.filler_entry_cost < 1e6):
            raise ArgumentError(
                f"filler_cost and filler_entry_cost must be 0 or more, got {self.filler_cost} and "
                f"{self.filler_entry_cost}"
            )
        if not self.noise_cost >= 0.0:
            raise ArgumentError(f"noise_cost must be 0 or more, got {self.noise_cost}")
        self._check_words()
        if self.spelling is not None:
            words_of(self.spelling)  # raises where it is none, or the package is not there
            if self.grammar is not None:
                raise ArgumentError("spelling and grammar exclude each other; a grammar's sentences are as its file")
        if self.grammar is not None and self.alternatives > MAX_GRAMMAR_ALTERNATIVES:
            raise ArgumentError(f"alternatives is {self.alternatives}; with a grammar 1 to {MAX_GRAMMAR_ALTERNATIVES}")

    def _check_types(self) -> None:
        for name in ("cutoff_prob", "threshold", "noise_cost", "filler_cost", "filler_entry_cost", "prior_scale"):
            value = getattr(self, name)
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not number and not (name == "prior_scale" and value is None):
                raise ArgumentError(f"{name} must be a number, got {value!r}")
        kinds: dict[str, type] = {"language_model": LanguageModel, "vocabulary": Vocabulary}
        if self.grammar is not None:
            from pynna.grammar import Grammar  # hassil is loaded where there is a grammar

            kinds["grammar"] = Grammar
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ArgumentError(f"{name} must be a pynna.{kind.__name__}, got {value!r:.60}")
        if self.hot_words is not None and not isinstance(self.hot_words, Mapping):
            raise ArgumentError(f"hot_words must map words to nats, got {self.hot_words!r:.60}")

    def _check_words(self) -> None:
        given = [name for name in ("language_model", "vocabulary", "hot_words") if getattr(self, name)]
        searched = given if self.grammar is None else [name for name in given if name != "hot_words"]
        if searched and self.beam_width == 0:
            raise ArgumentError(f"{searched[0]} needs a beam search; greedy decoding (beam_width 0) takes none")
        if len(given) > 1 and given[:2] == ["language_model", "vocabulary"]:
            raise ArgumentError("language_model and vocabulary exclude each other; LanguageModel takes a vocabulary")
        if self.grammar is not None and "vocabulary" in given:
            raise ArgumentError("vocabulary and grammar exclude each other; the grammar knows all that may be said")

    @property
    def n_passes(self) -> int:
        """The passes that count."""
        if self.passes is not None:
            return self.passes
        return 1 if self.grammar is None else MAX_PASSES

    @property
    def exponent(self) -> float:
        """The priors' exponent that counts."""
        if self.prior_scale is not None:
            return self.prior_scale
        return 0.0 if self.grammar is None else GRAMMAR_PRIOR_SCALE


def resolve(
    given: Mapping[str, Any],
    passes: int,
    slot_model: Callable[[], LanguageModel | None],
    dictation_model: Callable[[], LanguageModel | None],
) -> DecoderOptions:
    """The options of a model's stream: those given, and the model's own where nothing is said.

    Parameters
    ----------
    given : mapping of str to value
        Keywords, by the names of `DecoderOptions`.
    passes : int
        The model's, without a grammar.
    slot_model : callable
        Gives the model's own language model, for a grammar's free slots.
    dictation_model : callable
        And without a grammar.

    Raises
    ------
    ArgumentError
        No such option: the message lists those that there are; and as `DecoderOptions`.
    """
    known = [item.name for item in fields(DecoderOptions)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            meant = f" ({near[0]} is near)" if near else ""
            raise ArgumentError(f"an option must be one of {', '.join(known)}, got {name!r}{meant}")
    options = dict(given)
    if options.get("passes") is None and options.get("grammar") is None:
        options["passes"] = passes
    made = DecoderOptions(**options)
    if made.beam_width == 0 or "language_model" in given or made.vocabulary is not None:
        return made
    if made.grammar is None:
        return replace(made, language_model=dictation_model())
    return replace(made, language_model=slot_model()) if made.grammar.has_free_slots else made


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ArgumentError(f"{name} is {value!r}; a whole number from {low} to {high} is right")
