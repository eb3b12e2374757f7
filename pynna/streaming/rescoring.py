# SPDX-License-Identifier: Apache-2.0
"""A doubtful result is recognised again in several passes, and the passes are combined: without the noise that can be
taken out (`pynna.audio.denoise`), at other speeds, and in quiet with silence where it is cut tightly.

With a voice that is a little larger or smaller, or a noise that falls on other frames or is hardly there any more, a
network makes other errors: what was said is what most passes agree on. With a grammar a sentence's confidence is then
the mean of those that the passes give it; without one the text is that of the pass nearest to all the others. In quiet
most commands leave no doubt and take one pass.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from pynna.audio.denoise import denoise
from pynna.audio.levels import levels
from pynna.audio.pcm import Pcm, change_speed
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import GrammarResult, Interpretation, Result
from pynna.distance import edit_distance
from pynna.network import Network
from pynna.streaming.channel import Batch, Channel

AnyResult = TypeVar("AnyResult", bound=Result)


class Perturbation(NamedTuple):
    """How a pass hears the audio: formants, fundamental and tempo times `speed`; whether noise is taken out before."""

    speed: float
    denoise: bool


Recognise: TypeAlias = Callable[[Sequence[Perturbation]], Sequence[Result]]
"""Gives a result of the same audio under each of the perturbations."""

PERTURBATIONS: tuple[Perturbation, ...] = tuple(
    Perturbation(speed, denoised)
    for speed, denoised in ((0.96, True), (0.88, True), (1.12, True), (0.92, False), (1.04, True), (1.04, False))
)
"""Of the second pass, the third and so on. They were chosen together, and in this order, on development data;
``python -m pynna.train search-passes`` tries others."""

RESCORE_FROM, RESCORE_BELOW = 1e-4, 0.98
"""Confidence from which, and below which, a first pass leaves doubt."""

MBR_EXPONENT = 10.0
"""Without a grammar a pass counts its confidence to this power: what so many letters are worth, each as sure as the
mean of them. Chosen on development data, where 8 to 16 are as good."""

RESCORE_MAX_SECONDS = 20.0
"""Longer utterances take one pass."""

SILENCE_SECONDS = 0.25
"""Of silence, before and after an utterance in quiet that is cut tightly there, in each further pass: else its first
and last letters meet a network that knows of nothing before, or after, them. Chosen on held-out recordings of people;
half a step more or less than whole steps is better than these."""

QUIET_RANGE = 18.0
"""dB between the speech and what is between it (`pynna.audio.levels`), from which an utterance is in quiet: in noise,
silence beside it begins and ends as a letter does."""

TIGHT_SECONDS = 0.35
"""From an utterance's start to its first word, or from its last word to its end, as the first pass has them: where it
is less, the utterance is cut tightly. A listener leaves more."""


def history_samples(options: DecoderOptions, sample_rate: int) -> int:
    """How many of a stream's samples may be recognised again."""
    return round(RESCORE_MAX_SECONDS * sample_rate) if options.n_passes > 1 else 0


class PerturbedAudio:
    """What further passes hear of an utterance, and where it is in that; noise is taken out once for all of them.

    Parameters
    ----------
    pcm : int16 [n_samples]
    sample_rate : int
    first : Result
        Of the first pass.
    start : float
        Seconds, of its words' times, at which the utterance begins.

    Attributes
    ----------
    silence : tuple of int
        Samples of silence before the utterance and after it; 0 but in quiet, and where it is cut tightly.
    """

    def __init__(self, pcm: Pcm, sample_rate: int, first: Result, start: float = 0.0) -> None:
        self._pcm, self._rate = pcm, sample_rate
        self.silence, words = (0, 0), first.words
        speech, between = levels(pcm, sample_rate)
        if words and speech - between >= QUIET_RANGE:
            n, end = round(SILENCE_SECONDS * sample_rate), start + len(pcm) / sample_rate
            at_start, at_end = words[0].start - start < TIGHT_SECONDS, end - words[-1].end < TIGHT_SECONDS
            self.silence = n * at_start, n * at_end

    @functools.cached_property
    def _clean(self) -> Pcm:
        return denoise(self._pcm, self._rate)

    def under(self, perturbation: Perturbation) -> Pcm:
        """The samples of a pass."""
        pcm = self._clean if perturbation.denoise else self._pcm
        return np.pad(change_speed(pcm, perturbation.speed, self._rate), self.silence)

    def first_frame(self, first_frame: float, speed: float, step: int) -> float:
        """The number of a pass's first frame, of so many samples, where that of the utterance's is `first_frame`."""
        return first_frame / speed - self.silence[0] / step


def recognise(
    network: Network,
    pcm: Pcm,
    first: Result,
    perturbations: Sequence[Perturbation],
    options: DecoderOptions,
    first_frame: int = 0,
) -> list[Result]:
    """Results of an utterance under each of up to 16 perturbations.

    Parameters
    ----------
    network : Network
    pcm : int16 [n_samples]
        The utterance, at the network's rate.
    first : Result
        Of the first pass.
    perturbations : sequence of Perturbation
    options : DecoderOptions
    first_frame : int
        The number of the utterance's first frame, which counts in the words' times.
    """
    batch = Batch(network)  # one step call for all of them
    decoders, channels = [], []
    audio = PerturbedAudio(pcm, network.sample_rate, first, first_frame * network.seconds_per_step)
    step = int(network.geometry["step"])
    for perturbation in perturbations:
        decoders.append(
            Decoder(
                network.labels,
                label_priors=network.label_priors,
                options=options,
                seconds_per_frame=network.seconds_per_step * perturbation.speed,
                first_frame=audio.first_frame(first_frame, perturbation.speed, step),
            )
        )
        channels.append(Channel(network, decoders[-1].core, batch))
        channels[-1].feed(audio.under(perturbation))
    for channel in channels:
        channel.finish()
    return [decoder.finish() for decoder in decoders]


def needs_rescoring(result: Result) -> bool:
    """Whether more passes may change a result: no sentence of a grammar, or a confidence that is neither high nor as
    good as none."""
    unfinished = isinstance(result, GrammarResult) and not result.complete
    return unfinished or RESCORE_FROM <= result.confidence < RESCORE_BELOW


def rescore(first: Result, n_passes: int, again: Recognise) -> Result:
    """The combination of `n_passes` passes, of which the first is done; the first as it is where it leaves no doubt."""
    if n_passes < 2 or not needs_rescoring(first):
        return first
    return combine([first, *again(PERTURBATIONS[: n_passes - 1])])


def rescore_audio(network: Network, pcm: Pcm, first: Result, options: DecoderOptions, first_frame: int = 0) -> Result:
    """`rescore` of an utterance's audio by the network that made its first pass; parameters as of `recognise`."""
    return rescore(
        first,
        options.n_passes,
        lambda perturbations: recognise(network, pcm, first, perturbations, options, first_frame),
    )


def combine(results: Sequence[Result]) -> Result:
    """What the passes agree on: `vote_by_meaning` with a grammar, `select_mbr` without."""
    return vote_by_meaning(results) if isinstance(results[0], GrammarResult) else select_mbr(results)


def select_mbr(results: Sequence[AnyResult], weights: Sequence[float] | None = None) -> AnyResult:
    """The pass whose text is the fewest edits from the others', each of its weight: unless given, its confidence to the
    power of `MBR_EXPONENT`. The first of equals.

    It makes the expected errors fewest, were the others' texts what may have been said: Goel and Byrne, "Minimum
    Bayes-risk automatic speech recognition", 2000.
    """
    weights = [result.confidence**MBR_EXPONENT for result in results] if weights is None else weights
    said = [(result.text, weight) for result, weight in zip(results, weights, strict=True) if weight > 0.0]
    return min(results, key=lambda result: sum(w * edit_distance(result.text, text) for text, w in said))


def vote_by_meaning(results: Sequence[Result]) -> Result:
    """What most confidence was put in: of the sentences that mean the same, the sum over all passes.

    The result is that pass in the meaning which `select_mbr` takes of those in it, and its confidence the mean over all
    passes of that in its meaning; the very first pass where none found a whole sentence. So vote words in ROVER
    (Fiscus, "A post-processing system to yield reduced word error rates", 1997); here meanings do.
    """
    together: dict[str, list[GrammarResult]] = defaultdict(list)
    for result in results:
        if isinstance(result, GrammarResult) and result.complete:
            together[result.meaning].append(result)
    if not together:
        return results[0]
    ballot: list[tuple[GrammarResult, Interpretation]] = []
    for same in together.values():
        sure = [result.confidence for result in same]
        result = select_mbr(same, sure)
        ballot.append((result, replace(result.alternatives[0], confidence=sum(sure) / len(results))))
    ballot.sort(key=lambda pair: -pair[1].confidence)  # among equals in order
    (chosen, best), *others = ballot
    sentences = [sentence for _, sentence in others]
    texts = {best.text, *(sentence.text for sentence in sentences)}
    sentences += [
        replace(sentence, confidence=min(sentence.confidence, best.confidence))
        for sentence in chosen.alternatives
        if sentence.text not in texts
    ]
    sentences.sort(key=lambda sentence: -sentence.confidence)
    return chosen.voted((best, *sentences)[: len(chosen.alternatives)], others[0][0] if others else None)
