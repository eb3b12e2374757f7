# SPDX-License-Identifier: Apache-2.0
"""Recordings of any length, of those that ship: in another order each time, at other levels, over a little noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pynna

RATE = 16000


def sound(seed: int) -> Iterator[NDArray[np.int16]]:
    """Commands with a pause of one to three seconds behind each, int16, without end."""
    paths = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
    clips: list[NDArray[Any]] = [pynna.audio.read(path, sample_rate=RATE).pcm for path in paths]
    rng = np.random.default_rng(seed)
    while True:
        for i in rng.permutation(len(clips)):
            whole = np.concatenate([clips[i] * rng.uniform(0.3, 1.0), np.zeros(int(rng.uniform(1, 3) * RATE))])
            whole += rng.normal(0, 4, len(whole))
            yield whole.clip(-32768, 32767).astype(np.int16)


def write(path: Path, seconds: float, seed: int) -> Path:
    """A file of that length, unless it is there; written in pieces."""
    import soundfile

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    left, beside = round(seconds * RATE), path.with_name(f"part-{path.name}")
    with soundfile.SoundFile(beside, "w", RATE, 1, "PCM_16") as file:
        for piece in sound(seed):
            file.write(piece[:left])
            if (left := left - len(piece)) <= 0:
                break
    beside.replace(path)
    return path


def lengths(n: int, seconds: float) -> list[float]:
    """Of `n` files of mixed length, seconds in all: the longest about thirty times the shortest."""
    sizes = np.exp(np.random.default_rng(n).uniform(0, np.log(30), n))
    return [float(size) for size in sizes * seconds / sizes.sum()]
