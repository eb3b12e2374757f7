"""From log-probabilities to text: CTC greedy decoding and prefix beam search, streaming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.errors import ArgumentError, FinishedError, NotFiniteError
from pynna.results import Result, Spelling, Token

DEFAULT_BEAM_WIDTH, MAX_BEAM_WIDTH = 64, 4096
MAX_ALTERNATIVES = 100


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
    prior_exponent : float
        The labels' probabilities are divided by their priors (the model's ``label_priors``) to this power; 0 leaves
        them as they are, and is all that greedy decoding takes.
    """

    beam_width: int = DEFAULT_BEAM_WIDTH
    alternatives: int = 1
    cutoff_prob: float = 1.0
    cutoff_top_n: int = 40
    prior_exponent: float = 0.0

    def __post_init__(self) -> None:
        _check_range("beam_width", self.beam_width, 0, MAX_BEAM_WIDTH)
        _check_range("alternatives", self.alternatives, 1, MAX_ALTERNATIVES)
        _check_range("cutoff_top_n", self.cutoff_top_n, 1, 1 << 20)
        if not 0.0 < self.cutoff_prob <= 1.0:
            raise ArgumentError(f"cutoff_prob is {self.cutoff_prob}; above 0 and up to 1 is right")
        if not 0.0 <= self.prior_exponent <= 10.0:
            raise ArgumentError(f"prior_exponent is {self.prior_exponent}; 0 to 10 is right")
        if self.prior_exponent > 0.0 and self.beam_width == 0:
            raise ArgumentError("prior_exponent needs a beam search; greedy decoding (beam_width 0) takes no priors")


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
    options : DecoderOptions

    Raises
    ------
    ArgumentError
        An option out of range.
    """

    def __init__(self, labels: Sequence[str], *, blank: int | None = None, label_priors: npt.ArrayLike | None = None,
                 seconds_per_frame: float = 0.02, options: DecoderOptions | None = None) -> None:
        self.options = options or DecoderOptions()
        n_labels, blank = len(labels), len(labels) - 1 if blank is None else blank
        self._spelling = Spelling(tuple(labels), seconds_per_frame)
        if self.options.beam_width == 0:
            self.core: _core.Decoder = _core.GreedyDecoder(n_labels, blank)
        else:
            bias = self._label_bias(label_priors, n_labels)
            self.core = _core.BeamDecoder(
                n_labels, blank, self.options.beam_width, cutoff_prob=self.options.cutoff_prob,
                cutoff_top_n=min(self.options.cutoff_top_n, n_labels), label_bias=bias)
        self._committed_text = ""
        self._n_spelled = 0
        self._finished = False

    def _label_bias(self, label_priors: npt.ArrayLike | None, n_labels: int) -> npt.NDArray[np.float32] | None:
        if self.options.prior_exponent == 0.0:
            return None
        if label_priors is None:
            raise ArgumentError("prior_exponent needs label_priors")
        priors = np.asarray(label_priors, np.float64)
        if priors.shape != (n_labels,) or not ((priors > 0.0) & (priors <= 1.0)).all():
            raise ArgumentError(f"label_priors are {priors.shape}; {n_labels} numbers above 0 and up to 1 are right")
        return (-self.options.prior_exponent * np.log(priors)).astype(np.float32)

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
        tails = self.core.tails(self.options.alternatives)
        committed: list[Token] = self.core.committed
        self._committed_text += self._spelling.text(committed[self._n_spelled :])
        self._n_spelled = len(committed)
        return Result(self._spelling, committed, self._committed_text, tails)

    def finish(self) -> Result:
        """Ends the stream and gives the transcript; again, the same one."""
        if not self._finished:
            self.core.finish()
            self._finished = True
        return self.result()
