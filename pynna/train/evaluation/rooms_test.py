# SPDX-License-Identifier: Apache-2.0
"""Commands near a microphone and across a room, as makers of voice chips tell it: test voices in simulated rooms.

A room is a shoebox of its own for each recording, walls as dull as its reverberation time asks for (Sabine), its
response by images of the source (Allen and Berkley, "Image method for efficiently simulating small-room acoustics",
1979) out of `pyroomacoustics`. Noise is added at the microphone, so that the ratio is the same at any distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from pynna.audio.pcm import Pcm
from pynna.decoding.results import GrammarResult
from pynna.grammar import Grammar
from pynna.model import load
from pynna.train.config import Config
from pynna.train.corpora import testsets
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.tables import table
from pynna.train.voices.base import RATE, read

DISTANCES = (0.5, 1.0, 3.0)
"""Metres from the mouth to the microphone."""
RATIOS = (None, 20.0, 10.0)
"""Decibels of speech over noise; None: no noise."""
PASSES = (1, 7)
"""A microcontroller hears once; a board may hear a doubtful command again."""


def response(distance: float, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The response of a room, with its direct sound at 1, of one microphone at a distance in metres."""
    import pyroomacoustics  # of the extra `train`

    rng = np.random.default_rng([17, seed])
    size = rng.uniform((4.5, 4.0, 2.4), (7.0, 6.0, 3.0))
    absorption, order = pyroomacoustics.inverse_sabine(float(rng.uniform(0.3, 0.6)), size)
    room = pyroomacoustics.ShoeBox(size, fs=RATE, materials=pyroomacoustics.Material(absorption), max_order=order)
    while True:
        microphone = rng.uniform((0.5, 0.5, 0.8), size - (0.5, 0.5, 0.8))
        angle = rng.uniform(0, 2 * np.pi)
        mouth = microphone + distance * np.array([np.cos(angle), np.sin(angle), 0.0])
        if np.all(mouth > 0.4) and np.all(mouth < size - 0.4):
            break
    room.add_source(mouth)
    room.add_microphone(microphone)
    room.compute_rir()
    found = np.asarray(room.rir[0][0], np.float64)
    start = int(np.abs(found).argmax())  # the direct sound
    return found[max(0, start - 40) :] / np.abs(found[start])


def far(clip: Clip, distance: float, seed: int) -> Clip:
    """A clip as it arrives across a room, as loud as it was."""
    heard = fftconvolve(clip.pcm.astype(np.float64), response(distance, seed))
    heard *= np.sqrt(np.mean(clip.pcm.astype(np.float64) ** 2) / max(np.mean(heard**2), 1e-9))
    return Clip(clip.source, clip.text, np.clip(np.rint(heard), -32768, 32767).astype(np.int16))


def rooms_test(config: Config, path: Path, sentences: Sequence[str], noise: Sequence[Path]) -> str:
    """The table, Markdown: percent of the commands, each by every test voice, and of other people's speech.

    Parameters
    ----------
    config : Config
    path : path
        The model.
    sentences : sequence of str
        The commands; the grammar knows nothing else.
    noise : sequence of paths
        Folders of recorded noise that training has not heard.
    """
    model, grammar = load(path), Grammar.from_sentences(sentences)
    clips = testsets.sentence_clips(config, sentences)
    noises: list[Pcm] = [read(file) for folder in noise for file in sorted(folder.glob("*.flac"))]
    others = [clip for clip in testsets.real_clips(config) if grammar.parse(clip.text) is None]
    others = others[:: max(1, len(others) // 400)]

    def heard(pcm: Pcm, passes: int) -> GrammarResult:
        result = model.transcribe(pcm, grammar=grammar, passes=passes)
        assert isinstance(result, GrammarResult)
        return result

    rows: list[list[object]] = []
    for distance in DISTANCES:
        there = [far(clip, distance, i) for i, clip in enumerate(clips)]
        for ratio in RATIOS if noises else RATIOS[:1]:
            row: list[object] = [f"{distance:g} m", "quiet" if ratio is None else f"{ratio:g} dB", len(clips)]
            recordings = [testsets.noisy(clip.pcm, ratio, i, noises) for i, clip in enumerate(there)]
            for passes in PASSES:
                results = [heard(pcm, passes) for pcm in recordings]
                right = [r.text == clip.text for r, clip in zip(results, clips, strict=True)]
                accepted = [r.accepted for r in results]
                row += [
                    100 * float(np.mean(right)),
                    100 * float(np.mean(np.logical_and(right, accepted))),
                    100 * float(np.mean(np.logical_and(np.logical_not(right), accepted))),
                ]
            rows.append(row)
    shares = [100 * float(np.mean([heard(clip.pcm, passes).accepted for clip in others])) for passes in PASSES]
    rows.append(["other speech", "quiet", len(others), *(x for share in shares for x in ("", "", share))])
    head = ["right", "accepted rightly", "wrongly"]
    return "\n".join(
        table(
            [
                "distance",
                "noise",
                "clips",
                *(f"{name}, {p} pass{'es' if p > 1 else ''}" for p in PASSES for name in head),
            ],
            rows,
        )
    )
