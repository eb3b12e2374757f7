# SPDX-License-Identifier: Apache-2.0
"""From log-probabilities to text: CTC greedy decoding and prefix beam search, streaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.decoding.confidence import GrammarToken
from pynna.decoding.hot_words import HotWords
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import GrammarResult, Result, Spelling, Token
from pynna.decoding.slots import KEPT_SECONDS, respell
from pynna.errors import ArgumentError, FinishedError, NotFiniteError

if TYPE_CHECKING:
    from pynna.grammar import Grammar

N_RIVALS = 4
"""Sentences that a grammar's search keeps at least, so that a result knows one with another meaning."""


class Decoder:
    """A streaming CTC decoder over any network's log-probabilities.

    Parameters
    ----------
    labels : sequence of str
        The labels' texts in order; the blank's is not looked at.
    blank : int, optional
        The blank's index, the last one unless given.
    label_priors : float32 [n_labels], optional
        Needed for a ``prior_scale`` other than 0.
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

    def __init__(
        self,
        labels: Sequence[str],
        *,
        blank: int | None = None,
        label_priors: npt.ArrayLike | None = None,
        seconds_per_frame: float = 0.02,
        first_frame: float = 0,
        options: DecoderOptions | None = None,
    ) -> None:
        self.options = options or DecoderOptions()
        n_labels, blank = len(labels), len(labels) - 1 if blank is None else blank
        self._hot_words: dict[str, float] = {}
        self._tables: HotWords | None = None
        self.hot_word_changes: list[tuple[int, dict[str, float]]] = []  # frames fed before each, and the new ones
        self._blank, self._kept_frames = blank, 0
        if self.options.grammar is not None and self.options.language_model is not None:
            self._kept_frames = round(KEPT_SECONDS / seconds_per_frame)
        self._texts = tuple("" if i == blank else text for i, text in enumerate(labels))
        self._spelling = Spelling(tuple(labels), seconds_per_frame, first_frame, self.options.spelling)
        if self.options.grammar is not None:
            self.core: _core.Decoder = self._graph_decoder(self.options.grammar, labels, blank, label_priors)
        elif self.options.beam_width == 0:
            self.core = _core.GreedyDecoder(n_labels, blank)
        else:
            bias = self._label_bias(label_priors, n_labels)
            self.core = _core.BeamDecoder(
                n_labels,
                blank,
                self.options.beam_width,
                cutoff_prob=self.options.cutoff_prob,
                cutoff_top_n=min(self.options.cutoff_top_n, n_labels),
                label_bias=bias,
                words=self._words(self._texts),
            )
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
            When set: greedy decoding, which takes none; labels without a space; a phrase that the labels cannot spell;
            a boost that is no number of nats up to 1000; too many of them. FinishedError: after ``finish``.
        """
        return MappingProxyType(self._hot_words)

    @hot_words.setter
    def hot_words(self, boosts: Mapping[str, float]) -> None:
        if not isinstance(self.core, (_core.BeamDecoder, _core.GraphDecoder)) or " " not in self._texts:
            raise ArgumentError("hot words need a beam search or a grammar, over labels with a space")
        if self._finished:
            raise FinishedError("the stream is finished; hot words for it come too late")
        options = replace(self.options, hot_words=boosts)
        if dict(boosts) != self._hot_words:
            self._tables = HotWords(boosts, self._texts)
            self.core.set_hot_words(self._tables.next, self._tables.bonus, self._tables.end)
            self._hot_words = dict(boosts)
            self.hot_word_changes.append((self.core.stats["n_frames"], self._hot_words))
            self.options = replace(options, hot_words=self._hot_words)

    @property
    def _n_best(self) -> int:
        """Sentences that the search keeps."""
        return max(self.options.alternatives, N_RIVALS)

    def _graph_decoder(
        self, grammar: Grammar, labels: Sequence[str], blank: int, label_priors: npt.ArrayLike | None
    ) -> _core.GraphDecoder:
        return _core.GraphDecoder(
            grammar.graph(self._texts),
            blank,
            n_best=self._n_best,
            filler_cost=self.options.filler_cost,
            filler_entry_cost=self.options.filler_entry_cost,
            noise_cost=self.options.noise_cost,
            space=self._texts.index(" ") if " " in self._texts else -1,
            label_bias=self._label_bias(label_priors, len(labels)),
            keep_frames=self._kept_frames,
        )

    def _label_bias(self, label_priors: npt.ArrayLike | None, n_labels: int) -> npt.NDArray[np.float32] | None:
        if self.options.exponent == 0.0:
            return None
        if label_priors is None and self.options.prior_scale is None:
            return None
        if label_priors is None:
            raise ArgumentError("prior_scale needs label_priors")
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

    @property
    def complete(self) -> bool:
        """Whether what has been heard is a whole sentence of the grammar; never without one."""
        return isinstance(self.core, _core.GraphDecoder) and bool(self.core.complete)

    def result(self) -> Result:
        """The transcript so far, or after ``finish`` the whole."""
        committed: list[Token] = self.core.committed
        self._committed_text += self._spelling.text(committed[self._n_spelled :])
        self._n_spelled = len(committed)
        if isinstance(self.core, _core.GraphDecoder) and self.options.grammar is not None:
            hypotheses = self.core.hypotheses(self._n_best)
            if self._finished and self._kept_frames:
                shown = self.options.alternatives  # a rival beyond them keeps its letters as they were heard
                hypotheses[:shown] = [
                    (score, self._with_filler(tokens), whole, lost, bonus)
                    for score, tokens, whole, lost, bonus in hypotheses[:shown]
                ]
            return GrammarResult(
                self._spelling,
                committed,
                self._committed_text,
                hypotheses,
                self.core.stats["unconstrained_score"],
                self.options.grammar,
                self.options.threshold,
                self.options.alternatives,
            )
        return Result(self._spelling, committed, self._committed_text, self._tails(self.options.alternatives))

    def _tails(self, n: int) -> list[tuple[float, list[Token]]]:
        """The n best that are other texts: a space at the end makes none."""
        if n == 1:
            return self.core.tails(1)
        texts: dict[str, tuple[float, list[Token]]] = {}
        for score, tokens in self.core.tails(2 * n):
            texts.setdefault(self._spelling.text(tokens).rstrip(), (score, tokens))
        return list(texts.values())[:n]

    def _with_filler(self, tokens: list[GrammarToken]) -> list[GrammarToken]:
        assert isinstance(self.core, _core.GraphDecoder)

        def search(rows: npt.NDArray[np.float32], before: list[int]) -> list[Token]:
            words = "".join(self._texts[label] for label in before).split()
            beam = _core.BeamDecoder(
                self.core.n_labels, self._blank, self.options.beam_width, words=self._words(self._texts, words)
            )
            if self._tables is not None and beam.words is not None:
                beam.set_hot_words(self._tables.next, self._tables.bonus, self._tables.end)
            beam.feed(rows)
            beam.finish()
            heard = [*beam.committed, *beam.tails(1)[0][1]]
            return heard[:-1] if heard and self._texts[heard[-1][0]] == " " else heard

        return respell(tokens, self.core.n_labels, *self.core.kept(), search)

    def finish(self) -> Result:
        """Ends the stream and gives the transcript; again, the same one."""
        if not self._finished:
            self.core.finish()
            self._finished = True
        return self.result()
