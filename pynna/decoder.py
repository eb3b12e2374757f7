"""From log-probabilities to text: CTC greedy decoding and prefix beam search, streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.confidence import DEFAULT_NOISE_COST, DEFAULT_THRESHOLD, GRAMMAR_PRIOR_EXPONENT, GrammarToken
from pynna.errors import ArgumentError, FinishedError, NotFiniteError
from pynna.free_speech import KEPT_SECONDS, hear_again
from pynna.hot_words import HotWords
from pynna.results import GrammarResult, Result, Spelling, Token

if TYPE_CHECKING:
    from pynna.grammar import Grammar
    from pynna.language_model import LanguageModel, Vocabulary

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
        shortest sentences would win (`pynna.confidence.GRAMMAR_PRIOR_EXPONENT`).
    grammar : Grammar, optional
        The sentences that may be said: results are of the best of them, a `GrammarResult`. The search is exact and has
        no beam; ``beam_width`` and the cutoffs do nothing then, but for a language model in its free slots.
    threshold : float
        Confidence from which a grammar's sentence is accepted, 0 to 1.
    hearings : int, optional
        Times that an utterance is heard, 1 to 7, where the first leaves doubt: again with less noise and at other
        speeds, and the hearings vote (`pynna.hearings`). It is done at an utterance's end, by streams and listeners.
        Unless given 7 with a grammar, and without one what the model's card says (`Model.hearings`).
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


class Decoder:
    """A streaming CTC decoder over any network's log-probabilities.

    Parameters
    ----------
    labels : sequence of str
        The labels' texts in order; the blank's is not looked at.
    blank : int, optional
        The blank's index, the last one unless given.
    label_priors : float32 [n_labels], optional
        Needed for a ``prior_exponent`` other than 0.
    seconds_per_frame : float
        What a frame stands for in the words' times.
    first_frame : float
        The number of the first frame, which counts in the words' times.
    options : DecoderOptions

    Raises
    ------
    ArgumentError
        Labels or priors that the options do not fit: no priors, words without a space, a phrase that cannot be spelled.
    GrammarError
        A grammar with letters that the labels lack, or too large a one.
    """

    def __init__(self, labels: Sequence[str], *, blank: int | None = None, label_priors: npt.ArrayLike | None = None,
                 seconds_per_frame: float = 0.02, first_frame: float = 0,
                 options: DecoderOptions | None = None) -> None:
        self.options = options or DecoderOptions()
        n_labels, blank = len(labels), len(labels) - 1 if blank is None else blank
        self._hot_words: dict[str, float] = {}
        self._blank, self._kept_frames = blank, 0
        if self.options.grammar is not None and self.options.language_model is not None:
            self._kept_frames = round(KEPT_SECONDS / seconds_per_frame)
        self._texts = tuple("" if i == blank else text for i, text in enumerate(labels))
        self._spelling = Spelling(tuple(labels), seconds_per_frame, first_frame)
        if self.options.grammar is not None:
            self.core: _core.Decoder = self._graph_decoder(self.options.grammar, labels, blank, label_priors)
        elif self.options.beam_width == 0:
            self.core = _core.GreedyDecoder(n_labels, blank)
        else:
            bias = self._label_bias(label_priors, n_labels)
            self.core = _core.BeamDecoder(
                n_labels, blank, self.options.beam_width, cutoff_prob=self.options.cutoff_prob,
                cutoff_top_n=min(self.options.cutoff_top_n, n_labels), label_bias=bias, words=self._words(self._texts))
        self._committed_text = ""
        self._n_spelled = 0
        self._finished = False
        if self.options.hot_words:
            self.hot_words = self.options.hot_words

    def _words(self, texts: tuple[str, ...], before: Sequence[str] = ()) -> _core.Words | None:
        """What the beam search asks about words that follow those `before`."""
        lm, vocabulary = self.options.language_model, self.options.vocabulary
        if " " not in texts:
            if lm or vocabulary or self.options.hot_words:
                raise ArgumentError("words need labels with a space, which tells them apart")
            return None
        if lm:
            return lm.words(texts, texts.index(" "), before)
        tree = vocabulary.tree(texts) if vocabulary else None
        return _core.Words(len(texts), texts.index(" "), vocabulary=tree)

    @property
    def hot_words(self) -> Mapping[str, float]:
        """Words or phrases that are expected, and the nats that each adds; a new mapping may be set at any time.

        Raises
        ------
        ArgumentError
            When set: greedy decoding or a grammar, which take none; a phrase that the labels cannot spell; a boost that
            is no number of nats up to 1000; too many of them. FinishedError: after ``finish``.
        """
        return MappingProxyType(self._hot_words)

    @hot_words.setter
    def hot_words(self, boosts: Mapping[str, float]) -> None:
        if not isinstance(self.core, _core.BeamDecoder) or self.core.words is None:
            raise ArgumentError("hot words need a beam search over labels with a space, without a grammar")
        if self._finished:
            raise FinishedError("the stream is finished; hot words for it come too late")
        if dict(boosts) != self._hot_words:
            hot = HotWords(boosts, self._texts)
            self.core.set_hot_words(hot.next, hot.bonus, hot.end)
            self._hot_words = dict(boosts)
            self.options = replace(self.options, hot_words=self._hot_words)

    def _graph_decoder(self, grammar: Grammar, labels: Sequence[str], blank: int,
                       label_priors: npt.ArrayLike | None) -> _core.GraphDecoder:
        n_best = max(self.options.alternatives, 1)
        return _core.GraphDecoder(grammar.graph(self._texts), blank, n_best=n_best, any_cost=self.options.free_cost,
                                  any_entry=self.options.free_entry, noise_cost=self.options.noise_cost,
                                  space=self._texts.index(" ") if " " in self._texts else -1,
                                  label_bias=self._label_bias(label_priors, len(labels)),
                                  keep_frames=self._kept_frames)

    def _label_bias(self, label_priors: npt.ArrayLike | None, n_labels: int) -> npt.NDArray[np.float32] | None:
        if self.options.exponent == 0.0:
            return None
        if label_priors is None and self.options.prior_exponent is None:
            return None
        if label_priors is None:
            raise ArgumentError("prior_exponent needs label_priors")
        priors = np.asarray(label_priors, np.float64)
        if priors.shape != (n_labels,) or not ((priors > 0.0) & (priors <= 1.0)).all():
            raise ArgumentError(f"label_priors are {priors.shape}; {n_labels} numbers above 0 and up to 1 are right")
        return (-self.options.exponent * np.log(priors)).astype(np.float32)

    def feed(self, log_probs: npt.ArrayLike) -> None:
        """Takes natural-log probabilities, float32 [n_frames, n_labels].

        Raises
        ------
        ArgumentError
            A wrong shape. NotFiniteError: a NaN or +infinity, or a frame without any finite value (minus infinity is
            probability 0). Nothing of what was handed in is taken then.
        FinishedError
            After ``finish``.
        """
        frames = np.ascontiguousarray(log_probs, np.float32)
        if frames.ndim != 2 or frames.shape[1] != self.core.n_labels:
            raise ArgumentError(f"log_probs has shape {frames.shape}; [n_frames, {self.core.n_labels}] is right")
        if self._finished:
            raise FinishedError("the decoder is finished and takes no more frames; start a new one")
        good = np.isfinite(frames.max(axis=1))
        if not good.all():
            raise NotFiniteError(f"log_probs: frame {np.argmin(good)} holds a NaN or +infinity, or no finite value")
        self.core.feed(frames)

    def result(self) -> Result:
        """The transcript so far, or after ``finish`` the whole."""
        committed: list[Token] = self.core.committed
        self._committed_text += self._spelling.text(committed[self._n_spelled :])
        self._n_spelled = len(committed)
        if isinstance(self.core, _core.GraphDecoder) and self.options.grammar is not None:
            hypotheses = self.core.hypotheses(self.options.alternatives)
            if self._finished and self._kept_frames:
                hypotheses = [(score, self._with_free_speech(tokens), *rest) for score, tokens, *rest in hypotheses]
            return GrammarResult(self._spelling, committed, self._committed_text, hypotheses,
                                 self.core.stats["free_score"],
                                 self.options.grammar, self.options.threshold)
        tails = self.core.tails(self.options.alternatives)
        return Result(self._spelling, committed, self._committed_text, tails)

    def _with_free_speech(self, tokens: list[GrammarToken]) -> list[GrammarToken]:
        assert isinstance(self.core, _core.GraphDecoder)

        def search(rows: npt.NDArray[np.float32], before: list[int]) -> list[Token]:
            words = "".join(self._texts[label] for label in before).split()
            beam = _core.BeamDecoder(self.core.n_labels, self._blank, self.options.beam_width,
                                     words=self._words(self._texts, words))
            beam.feed(rows)
            beam.finish()
            heard = [*beam.committed, *beam.tails(1)[0][1]]
            return heard[:-1] if heard and self._texts[heard[-1][0]] == " " else heard

        return hear_again(tokens, self.core.n_labels, *self.core.kept(), search)

    def finish(self) -> Result:
        """Ends the stream and gives the transcript; again, the same one."""
        if not self._finished:
            self.core.finish()
            self._finished = True
        return self.result()
