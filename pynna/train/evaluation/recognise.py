# SPDX-License-Identifier: Apache-2.0
"""What the mapped model and its float network make of clips, as a user gets it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pynna.decoding.decoder import Decoder
from pynna.decoding.results import GrammarResult, Result
from pynna.events import Final
from pynna.grammar import Grammar
from pynna.mapping.front_end import windows
from pynna.mapping.weights import Weights
from pynna.model import Model
from pynna.streaming import rescoring
from pynna.train.corpora.testsets import Clip
from pynna.train.voices.synthesise import Pcm

CHUNK = 1600  # samples, as a microphone gives them


def hear_int8(
    model: Model, clips: Sequence[Clip], grammar: Grammar | None, beam_width: int = 0, **options: Any
) -> list[Result]:
    """Results of the mapped model, as a user gets them with a grammar; without one those of the network alone, with no
    language model unless given, and of this `beam_width`. Options as of `Model.stream`."""
    if grammar is None:
        options = {"beam_width": beam_width, "language_model": None, **options}
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda clip: model.transcribe(clip.pcm, grammar=grammar, **options), clips))


def listen(model: Model, clips: Sequence[Clip], grammar: Grammar) -> list[list[GrammarResult]]:
    """What a listener makes of each recording, as of a microphone: its utterances' results."""

    def utterances(pcm: Pcm) -> list[GrammarResult]:
        events = model.listen(grammar=grammar).listen(pcm[i : i + CHUNK] for i in range(0, len(pcm), CHUNK))
        finals = (event.result for event in events if isinstance(event, Final))
        return [result for result in finals if isinstance(result, GrammarResult)]

    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda clip: utterances(clip.pcm), clips))


def hear_float(
    weights: Weights, clips: Sequence[Clip], grammar: Grammar | None, model: Model, **options: Any
) -> list[Result]:
    """Results of the float network with the mapped model's decoders, greedy or a grammar's, rescored where they
    leave doubt; options as of `Model.stream`."""
    network = weights.network()
    if grammar is None:
        options["beam_width"] = 0
    made = model.decoder_options(grammar=grammar, **options)

    def hear(recordings: Sequence[Pcm], speed: float = 1.0) -> list[Result]:
        out: dict[int, Result] = {}
        order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
        for start in range(0, len(order), 48):
            batch = order[start : start + 48]
            log_probs = network.run_many([windows(recordings[i], weights.features, weights.n_context) for i in batch])
            for i, p in zip(batch, log_probs, strict=True):
                decoder = Decoder(
                    (*weights.alphabet, ""),
                    label_priors=weights.label_priors,
                    options=made,
                    seconds_per_frame=model.seconds_per_step * speed,
                )
                decoder.feed(p)
                out[i] = decoder.finish()
        return [out[i] for i in range(len(recordings))]

    found = hear([clip.pcm for clip in clips])
    doubted = [i for i, result in enumerate(found) if rescoring.needs_rescoring(result)]
    rate = weights.features.sample_rate
    perturbations = rescoring.PERTURBATIONS[: made.n_passes - 1]
    audio = [rescoring.PerturbedAudio(clips[i].pcm, rate, found[i]) for i in doubted]
    again = [hear([each.under(way) for each in audio], way.speed) for way in perturbations]
    for i, *more in zip(doubted, *again, strict=True):
        found[i] = rescoring.combine([found[i], *more])
    return found
