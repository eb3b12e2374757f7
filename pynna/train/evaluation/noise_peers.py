# SPDX-License-Identifier: Apache-2.0
"""pocketsphinx 5 on the recordings of the noise test, with the same grammars; its figures are kept: it never changes.

It has no threshold: each sentence that it hears is accepted. Utterances are those of its own endpointer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pynna.train.config import Config
from pynna.train.corpora import noise_sets
from pynna.train.corpora.peers import Sphinx, fingerprint
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.kept import Kept
from pynna.train.evaluation.noise_test import FULL, QUICK, Alone, Among, Material, conditions
from pynna.train.evaluation.scores import Judge
from pynna.train.evaluation.tables import table
from pynna.train.voices.base import RATE, Pcm


def utterances(pcm: Pcm) -> list[Pcm]:
    """The stretches that pocketsphinx's endpointer takes for speech."""
    from pocketsphinx import Endpointer

    endpointer = Endpointer(sample_rate=RATE)
    data, found, parts = pcm.tobytes(), [], list[bytes]()
    size = endpointer.frame_bytes
    for at in range(0, len(data), size):
        frame = data[at : at + size]
        speech = (
            endpointer.process(frame)
            if len(frame) == size and at + size < len(data)
            else (endpointer.end_stream(frame))
        )
        if speech:
            parts.append(speech)
        if parts and not endpointer.in_speech:
            found.append(np.frombuffer(b"".join(parts), np.int16))
            parts = []
    if parts:
        found.append(np.frombuffer(b"".join(parts), np.int16))
    return found


def heard_alone(hear: Callable[[Pcm], str], judge: Judge, pcm: Pcm) -> Alone:
    """Its utterances in noise, their letters, and the sentences among them."""
    texts = [hear(part) for part in utterances(pcm)]
    accepted = sum(judge.means(text) is not None for text in texts if text)
    letters = sum(len(text.replace(" ", "")) for text in texts)
    return Alone(len(pcm) / RATE, letters, len(texts), len(texts), accepted)


def heard_among(hear: Callable[[Pcm], str], judge: Judge, clips: Sequence[Clip], title: str) -> Among:
    """Whole recordings, and utterance by utterance, as `noise_test.heard_among`."""
    among = Among(len(clips))
    share = 100 / max(1, len(clips))
    for clip in tqdm(clips, desc=f"pocketsphinx, {title}", leave=False):
        said, parts = judge.means(clip.text), utterances(clip.pcm)
        meanings = {judge.means(text) for text in map(hear, parts) if text} - {None}
        heard = judge.means(hear(clip.pcm))
        among.transcribed += share * (said == heard is not None)
        among.wrong += share * (said != heard is not None)
        among.listened += share * (meanings == {said})
        among.utterances += len(parts) / max(1, len(clips))
        among.lost += share * (not parts)
    among.best = among.transcribed  # all that it hears is accepted
    return among


def _among(sphinx: Callable[[], Sphinx], judge: Judge, clips: Sequence[Clip], title: str) -> dict[str, Any]:
    return asdict(heard_among(sphinx(), judge, clips, title))


def _alone(sphinx: Callable[[], Sphinx], judge: Judge, pcm: Pcm) -> dict[str, Any]:
    return asdict(heard_alone(sphinx(), judge, pcm))


def noise_peers(config: Config, folders: Sequence[Path], quick: bool, output: Path) -> str:
    """Let pocketsphinx hear what is new; its figures as Markdown, kept in `output`, a JSON file."""
    extent = QUICK if quick else FULL
    material, kept = Material.of(config, folders, extent), Kept(output)
    car = material.sentences
    rows: list[list[object]] = []
    for name, clips, judge in material.sets():
        sphinx = functools.cache(functools.partial(Sphinx, judge.grammar))  # made where there is something to hear
        for condition, recordings in conditions(material, clips):
            row = kept.of(
                f"{name}, {condition}",
                fingerprint(recordings, judge.grammar),
                functools.partial(_among, sphinx, judge, recordings, f"{name}, {condition}"),
            )
            rows.append(
                [
                    name,
                    condition,
                    int(row["clips"]),
                    row["transcribed"],
                    row["wrong"],
                    row["listened"],
                    f"{row['utterances']:.2f}",
                    row["lost"],
                ]
            )
    alone: dict[str, Alone] = {}
    sphinx = functools.cache(functools.partial(Sphinx, car.grammar))
    for noise in tqdm(material.noises, desc="pocketsphinx, noise alone"):
        for level in extent.levels:
            pcm = noise_sets.levelled(noise.pcm, level, extent.seconds)
            found = kept.of(
                f"{noise.name}, {level:g} dBFS",
                fingerprint([Clip("", "", pcm)], car.grammar),
                functools.partial(_alone, sphinx, car, pcm),
            )
            alone.setdefault(noise.kind, Alone())
            alone[noise.kind] += Alone(**found)
    lines = [
        [kind, a.seconds / 60, a.a_minute(a.letters), a.a_minute(a.finals), 60 * a.a_minute(a.accepted)]
        for kind, a in alone.items()
    ]
    return "\n".join(
        [
            "## pocketsphinx 5: commands among noise",
            "",
            *table(
                ["clips of", "condition", "clips", "whole", "wrongly", "by its endpointer", "utterances", "lost"], rows
            ),
            "## pocketsphinx 5: noise alone",
            "",
            *table(["what", "minutes", "letters a minute", "utterances a minute", "sentences an hour"], lines),
        ]
    )
