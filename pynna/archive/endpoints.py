# SPDX-License-Identifier: Apache-2.0
"""Utterances of a part of a recording, by the endpointer, once the network has said all it has to say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pynna.archive.seams import Stretch
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Result
from pynna.network import Network
from pynna.streaming.endpointer import Endpointer, EndpointRules

F32 = npt.NDArray[np.float32]


class Utterance(NamedTuple):
    """Frames `first` to before `stop` of a part are decoded; it is told to last from `start` to before `end`."""

    first: int
    stop: int
    start: int
    end: int


def utterances(
    network: Network, part: Stretch, rows: F32, speech: F32 | None, rules: EndpointRules, options: DecoderOptions
) -> list[Utterance]:
    """Where utterances begin and end in a part, as a `Listener` finds them; none is cut while speech goes on.

    What the network is given before the part and behind it is listened to, but belongs to none of them.

    Parameters
    ----------
    part : Stretch
    rows : float32 [n_frames, n_labels]
        The network's log-probabilities of it.
    speech : float32 [n_frames], optional
        How probable speech is, of a network that tells it.
    """
    step = int(network.geometry["step"])
    n_whole = len(part.pcm) // step
    powers = (part.pcm[: n_whole * step].reshape(n_whole, step).astype(np.float64) ** 2).mean(axis=1)
    powers = np.pad(powers, (0, max(0, len(rows) - n_whole)))
    silent = [len(network.labels) - 1, *(i for i, text in enumerate(network.labels) if text == " ")]
    letters = 1.0 - np.exp(rows[:, silent]).sum(axis=1, dtype=np.float64)
    point = Endpointer(replace(rules, max_utterance=3599.0), network.seconds_per_step)
    found: list[Utterance] = []
    rows, stop = rows[: part.stop], len(rows[: part.stop])
    first, recent = part.lead, part.lead  # frame of the utterance under way; first that may belong to the next one
    decoder: Decoder | None = None  # knows, with a grammar, whether a sentence is whole

    def add(end: int) -> None:
        if point.last >= part.lead:
            found.append(Utterance(first, end, max(point.start, part.lead), min(end, point.last + 1)))

    for frame, (letter, power) in enumerate(zip(letters[:stop].tolist(), powers.tolist(), strict=False)):
        if decoder is not None and frame >= part.lead:
            decoder.feed(rows[frame : frame + 1])
        complete = decoder is not None and decoder.complete
        happened = point.process(letter, power, complete, None if speech is None else float(speech[frame]))
        if happened == "start":
            first = max(recent, point.start)
            if options.grammar is not None:
                decoder = Decoder(network.labels, label_priors=network.label_priors, options=options)
                decoder.feed(rows[first : frame + 1])
        elif happened == "end":
            add(frame + 1)
            recent, decoder = max(frame + 1, part.lead), None
    if point.speaking:
        add(stop)
    return found


def decode(decoder: Decoder, rows: F32) -> Result:
    """The result of an utterance's frames."""
    decoder.feed(np.ascontiguousarray(rows))
    return decoder.finish()
