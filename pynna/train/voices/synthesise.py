# SPDX-License-Identifier: Apache-2.0
"""Synthesise sentences into shards of clips, one NumPy archive each: PCM end to end, offsets, texts, voices."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pynna.train.config import Config
from pynna.train.parallel import run
from pynna.train.text.sampler import Sampler
from pynna.train.voices import engines
from pynna.train.voices.base import RATE, Job
from pynna.train.voices.festival import festival
from pynna.train.voices.foreign import foreign

Pcm = npt.NDArray[np.int16]
SPEAK_MANY = {"festival": festival, "foreign": foreign, "diphone": foreign}
"""Engines that start slowly, and speak all of a shard's sentences at once."""


def trim(pcm: Pcm, margin: int = 1600) -> Pcm:
    """Cut silence before and after the speech, but for `margin` samples."""
    n = len(pcm) // 160
    if n == 0:
        return pcm
    level = np.sqrt((pcm[: n * 160].reshape(n, 160).astype(np.float32) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > max(20.0, 0.01 * level.max()))
    if len(loud) == 0:
        return pcm[:0]
    return pcm[max(0, loud[0] * 160 - margin) : (loud[-1] + 1) * 160 + margin]


def broken(pcm: Pcm, text: str, max_seconds: float) -> str:
    """Why a clip is no use for training, or an empty string."""
    seconds = len(pcm) / RATE
    if len(pcm) == 0 or np.abs(pcm.astype(np.int32)).max() < 300:
        return "silent"
    if seconds > max_seconds:
        return "too long"
    if seconds * 50 < 1.3 * len(text) or seconds < 0.15:
        return "text too long for the audio"
    if seconds > 1.0 + 0.45 * max(len(text), 1):
        return "audio too long for the text"
    return ""


def save_shard(path: Path, clips: list[tuple[Pcm, str, str]]) -> None:
    """Write clips (PCM, text, voice) as one shard, whole or not at all."""
    offsets = np.cumsum([0] + [len(c[0]) for c in clips])
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary, pcm=np.concatenate([c[0] for c in clips]), offsets=offsets,
        text=np.array([c[1] for c in clips]), voice=np.array([c[2] for c in clips]),
    )  # fmt: skip
    os.replace(temporary, path)


def make_shard(config: Config, index: int) -> str:
    """Synthesise shard `index`; what was left out is listed beside it."""
    path = config.folder("clips") / f"synthetic-{index:05d}.npz"
    if path.exists():
        return path.name
    settings = config["synthesise"]
    rng = random.Random(f"{config['seed']}/{index}")
    sampler = Sampler(config["text"])
    shares = settings["engines"]
    spoken: list[tuple[Pcm | None, str, str]] = []
    batches: dict[str, list[tuple[str, Job]]] = {engine: [] for engine in SPEAK_MANY}
    folders = {engine: config.work / settings[engine] for engine in ("tinytts", "kokoro")}
    for _ in range(settings["clips_per_shard"]):
        text = sampler.sample(rng)
        voice, speak = engines.draw(rng.choices(list(shares), list(shares.values()))[0], rng, folders)
        if isinstance(speak, tuple):
            batches[voice.partition(":")[0]].append((voice, (text, *speak)))
            continue
        spoken.append((speak(text), text, voice))
    for engine, batch in batches.items():
        spoken_now = SPEAK_MANY[engine]([job for _, job in batch])
        spoken += [(pcm, job[0], voice) for pcm, (voice, job) in zip(spoken_now, batch, strict=True)]
    clips, left_out = [], []
    for pcm, text, voice in spoken:
        if pcm is None:
            left_out.append(f"{voice}\t{text}\tnot to be said by this engine")
            continue
        pcm = trim(pcm)
        if reason := broken(pcm, text, settings["max_seconds"]):
            left_out.append(f"{voice}\t{text}\t{reason}")
        else:
            clips.append((pcm, text, voice))
    path.with_suffix(".left-out.tsv").write_text("\n".join(left_out))
    save_shard(path, clips)
    return path.name


def synthesise(config: Config, first: int, last: int, jobs: int) -> None:
    """Synthesise shards `first` to `last` - 1 that are not there yet."""
    run([(make_shard, (config, i)) for i in range(first, last)], jobs, "synthesise")
