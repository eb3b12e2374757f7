"""What is heard in doubt is heard again: at other speeds, as a tape is played faster or slower, and the hearings vote.

Of a voice that is a little larger or smaller, of a noise that falls on other frames, a network gets other things wrong:
what was said is what most hearings agree on. A sentence's confidence is then the mean of those that the hearings give
it. Most utterances are not in doubt and are heard once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pynna.audio import from_array
from pynna.decoder import Decoder, DecoderOptions
from pynna.results import GrammarResult, Result

if TYPE_CHECKING:
    from pynna.model import Model

Pcm = npt.NDArray[np.int16]

SPEEDS = (0.92, 1.08, 0.96, 1.04)
"""Of the second hearing, the third and so on; formants, fundamental and tempo change by as much."""

LEAST, SURE = 1e-4, 0.95
"""Confidence from which, and below which, a first hearing leaves doubt."""

LONGEST = 20.0
"""Seconds; longer utterances are heard once."""


class Tape:
    """The last audio of a stream, kept while it may be heard again.

    Attributes
    ----------
    most : int
        Samples that are kept.
    """

    def __init__(self, model: Model, options: DecoderOptions) -> None:
        self.most = 0
        self._rate = model.sample_rate
        self._chunks: deque[Pcm] = deque()
        self._first, self._end = 0, 0  # numbers of the first sample that is kept and of the next to come
        self.wanted_by(options)

    def wanted_by(self, options: DecoderOptions) -> None:
        """Keep as much as a decoder with these options may hear again."""
        self.most = round(LONGEST * self._rate) if options.grammar is not None and options.hearings > 1 else 0

    def feed(self, pcm: Pcm) -> None:
        """Takes the next samples."""
        if self.most:
            self._chunks.append(pcm.copy())
        self._end += len(pcm)
        self.forget(self._end - self.most)

    def forget(self, before: int) -> None:
        """Whole chunks before a sample are not wanted any more."""
        while self._chunks and self._first + len(self._chunks[0]) <= before:
            self._first += len(self._chunks.popleft())
        if not self._chunks:
            self._first = self._end

    def audio(self, first: int, end: int) -> Pcm | None:
        """The samples from `first` to before `end`, or to the last; None where not all of them are kept."""
        if not self._chunks or first < self._first or end - first > self.most:
            return None
        return np.concatenate(self._chunks)[first - self._first : end - self._first]


def at_speed(pcm: Pcm, speed: float, rate: int) -> Pcm:
    """Samples at a rate in Hz as of a tape at `speed` times its own: [n_samples] to [n_samples / speed]."""
    return from_array(pcm, round(rate * speed), target_rate=rate).pcm


def heard_in_doubt(result: Result) -> bool:
    """Whether hearing again may change what a grammar's result is worth."""
    return isinstance(result, GrammarResult) and (not result.complete or LEAST <= result.confidence < SURE)


def hear_again(model: Model, pcm: Pcm, first: Result, options: DecoderOptions, first_frame: int = 0) -> Result:
    """The vote of `options.hearings` hearings, of which the first is done.

    Parameters
    ----------
    model : Model
    pcm : int16 [n_samples]
        The utterance, at the model's rate.
    first : Result
        Returned as it is where it leaves no doubt.
    options : DecoderOptions
    first_frame : int
        The number of the utterance's first frame, which counts in the words' times.
    """
    if not heard_in_doubt(first):
        return first
    group = model.group()  # one step call for all of them
    for speed in SPEEDS[: options.hearings - 1]:
        decoder = Decoder(model.labels, label_priors=model.label_priors, options=options,
                          seconds_per_frame=model.seconds_per_step * speed, first_frame=first_frame / speed)
        group._join(decoder, options).feed(at_speed(pcm, speed, model.sample_rate))
    return vote([first, *(stream.finish() for stream in group.streams)])


def vote(hearings: Sequence[Result]) -> Result:
    """The hearing whose sentence has the largest summed confidence, with the mean confidence of all.

    The first of those that heard this sentence; the first of all where none heard a whole one.
    """
    results = [result for result in hearings if isinstance(result, GrammarResult) and result.complete]
    shares: dict[str, float] = {}
    for result in results:
        shares[result.text] = shares.get(result.text, 0.0) + result.confidence / len(hearings)
    if not shares:
        return hearings[0]
    best = max(shares, key=lambda text: shares[text])
    chosen = next(result for result in results if result.text == best)
    elected = {text: next(r for r in results if r.text == text).alternatives[0] for text in shares}
    others = [a for a in chosen.alternatives if a.text not in shares]
    ballot = [replace(a, confidence=shares[text]) for text, a in elected.items()]
    ballot += [replace(a, confidence=min(a.confidence, shares[best])) for a in others]
    ballot.sort(key=lambda a: (a.text != best, -a.confidence))
    return chosen.voted(tuple(ballot[: len(chosen.alternatives)]))
