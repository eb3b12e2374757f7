"""What is heard in doubt is heard again, and the hearings vote: without the noise that can be taken out of it
(`pynna.audio.denoise`), and at other speeds, as a tape is played faster or slower.

Of a voice that is a little larger or smaller, of a noise that falls on other frames, or is hardly there any more, a
network gets other things wrong: what was said is what most hearings agree on. With a grammar a sentence's confidence is
then the mean of those that the hearings give it; without one the text is that hearing's which is nearest to all the
others. Where it is quiet most commands leave no doubt and are heard once.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pynna.audio.denoise import denoise
from pynna.audio.pcm import Pcm, from_array
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import GrammarResult, Interpretation, Result
from pynna.distance import edit_distance
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel

AnyResult = TypeVar("AnyResult", bound=Result)
Manner = tuple[float, bool]

MANNERS: tuple[Manner, ...] = ((0.96, True), (0.88, True), (1.12, True), (0.92, False), (1.04, True), (1.04, False))
"""(speed, whether noise is taken out) of the second hearing, the third and so on; formants, fundamental and tempo
change by as much as the speed. They were chosen together, and in this order, on development data;
``python -m pynna.train manners`` tries others."""

LEAST, SURE = 1e-4, 0.98
"""Confidence from which, and below which, a first hearing leaves doubt."""

WEIGHT = 10.0
"""Without a grammar a hearing counts its confidence to this power: what so many letters are worth, each as sure as the
mean of them. Chosen on development data, where 8 to 16 are as good."""

LONGEST = 20.0
"""Seconds; longer utterances are heard once."""


class Tape:
    """The last audio of a stream, kept while it may be heard again.

    Attributes
    ----------
    most : int
        Samples that are kept.
    """

    def __init__(self, sample_rate: int, options: DecoderOptions) -> None:
        self.most = 0
        self._rate = sample_rate
        self._chunks: deque[Pcm] = deque()
        self._first, self._end = 0, 0  # numbers of the first sample that is kept and of the next to come
        self.wanted_by(options)

    def wanted_by(self, options: DecoderOptions) -> None:
        """Keep as much as a decoder with these options may hear again."""
        self.most = round(LONGEST * self._rate) if options.most_hearings > 1 else 0

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


def as_heard_again(pcm: Pcm, rate: int, manners: Sequence[Manner]) -> list[tuple[float, Pcm]]:
    """(speed, samples) of a hearing in each of the manners; samples at a rate in Hz."""
    clean = denoise(pcm, rate) if any(denoised for _, denoised in manners) else pcm
    return [(speed, at_speed(clean if denoised else pcm, speed, rate)) for speed, denoised in manners]


def hear_in(network: Network, pcm: Pcm, manners: Sequence[Manner], options: DecoderOptions,
            first_frame: int = 0) -> list[Result]:
    """A hearing in each of up to 16 manners; the rest as for `hear_again`."""
    batch = Batch(network)  # one step call for all of them
    decoders, channels = [], []
    for speed, again in as_heard_again(pcm, network.sample_rate, manners):
        decoders.append(Decoder(network.labels, label_priors=network.label_priors, options=options,
                                seconds_per_frame=network.seconds_per_step * speed, first_frame=first_frame / speed))
        channels.append(Channel(network, decoders[-1].core, batch))
        channels[-1].feed(again)
    for channel in channels:
        channel.finish()
    return [decoder.finish() for decoder in decoders]


def heard_in_doubt(result: Result) -> bool:
    """Whether hearing again may change a result: no sentence of a grammar, or a confidence that is neither high nor as
    good as none."""
    return (isinstance(result, GrammarResult) and not result.complete) or LEAST <= result.confidence < SURE


def hear_again(network: Network, pcm: Pcm, first: Result, options: DecoderOptions, first_frame: int = 0) -> Result:
    """The vote of `options.most_hearings` hearings, of which the first is done.

    Parameters
    ----------
    network : Network
    pcm : int16 [n_samples]
        The utterance, at the network's rate.
    first : Result
        Returned as it is where it leaves no doubt.
    options : DecoderOptions
    first_frame : int
        The number of the utterance's first frame, which counts in the words' times.
    """
    if not heard_in_doubt(first):
        return first
    return vote([first, *hear_in(network, pcm, MANNERS[: options.most_hearings - 1], options, first_frame)])


def vote(hearings: Sequence[Result]) -> Result:
    """What the hearings of an utterance agree on: `elected` with a grammar, `nearest` without."""
    return elected(hearings) if isinstance(hearings[0], GrammarResult) else nearest(hearings)


def nearest(hearings: Sequence[AnyResult], weights: Sequence[float] | None = None) -> AnyResult:
    """The hearing whose text is the fewest edits from the others', each of its weight: unless given, its confidence to
    the power of `WEIGHT`. The first of equals.

    It makes the expected errors fewest, were the others' texts what may have been said: Goel and Byrne, "Minimum
    Bayes-risk automatic speech recognition", 2000.
    """
    weights = [result.confidence**WEIGHT for result in hearings] if weights is None else weights
    said = [(result.text, weight) for result, weight in zip(hearings, weights, strict=True) if weight > 0.0]
    return min(hearings, key=lambda result: sum(w * edit_distance(result.text, text) for text, w in said))


def elected(hearings: Sequence[Result]) -> Result:
    """What most confidence was put in: of the sentences that mean the same, the sum over all hearings.

    The result is the hearing in that meaning which is the `nearest` to the others in it, and its confidence the mean
    over all hearings of that in its meaning; the very first hearing where none heard a whole sentence.
    """
    together: dict[str, list[GrammarResult]] = defaultdict(list)
    for result in hearings:
        if isinstance(result, GrammarResult) and result.complete:
            together[result.meaning].append(result)
    if not together:
        return hearings[0]
    ballot: list[tuple[GrammarResult, Interpretation]] = []
    for same in together.values():
        sure = [result.confidence for result in same]
        result = nearest(same, sure)
        ballot.append((result, replace(result.alternatives[0], confidence=sum(sure) / len(hearings))))
    ballot.sort(key=lambda pair: -pair[1].confidence)  # among equals in order
    (chosen, best), *others = ballot
    sentences = [sentence for _, sentence in others]
    texts = {best.text, *(sentence.text for sentence in sentences)}
    sentences += [replace(sentence, confidence=min(sentence.confidence, best.confidence))
                  for sentence in chosen.alternatives if sentence.text not in texts]
    sentences.sort(key=lambda sentence: -sentence.confidence)
    return chosen.voted((best, *sentences)[: len(chosen.alternatives)])
