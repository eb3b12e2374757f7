# SPDX-License-Identifier: Apache-2.0
"""What training reads: the feature shards, and an endless, seeded series of batches out of them."""

from __future__ import annotations

import functools
import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pynna.train.config import DATA, Config
from pynna.train.network.augment import Augmenter, Heard
from pynna.train.network.clips import Source
from pynna.train.text.sampler import Grammar


@dataclass(frozen=True)
class Clip:
    """Where a clip's spectra are, and its labels."""

    shard: int
    start: int
    frames: int
    labels: tuple[int, ...]
    kept: float = 1.0  # chance of being kept when drawn


def encode(text: str, alphabet: str) -> tuple[int, ...]:
    """Label indices of a text."""
    return tuple(alphabet.index(c) for c in text)


def join(texts: Sequence[tuple[int, ...]], space: int) -> tuple[int, ...]:
    """Label indices of texts with a space between them."""
    return sum(((space, *text) for text in texts[1:]), texts[0]) if texts else ()


@functools.lru_cache(maxsize=1)
def _car_words() -> frozenset[str]:
    """The vocabulary of the car's sentences, by sampling."""
    grammar, rng = Grammar(DATA / "car.txt", DATA / "slots.txt"), random.Random(1)
    return frozenset(word for _ in range(20000) for word in grammar.sample(rng).split())


class Data:
    """The feature shards, mapped into memory; new ones are picked up as they appear."""

    def __init__(self, folder: Path, alphabet: str, kept: dict[str, float] | None = None) -> None:
        self.folder, self.alphabet, self.kept = folder, alphabet, kept or {}
        self.space = alphabet.index(" ")
        self.spectra: list[npt.NDArray[np.float16]] = []
        self.first: list[int] = [0]  # frames in all shards before each
        self.seen: set[str] = set()
        self.synthetic: list[Clip] = []
        self.real: dict[str, list[Clip]] = defaultdict(list)
        self.weights: dict[str, float] = {}  # of the real corpora, when one is drawn
        self.car_words = _car_words()

    def refresh(self) -> None:
        """Take in shards that were not there before, in the order of their names."""
        for path in sorted(self.folder.glob("*.json")):
            if path.stem in self.seen or path.stem == "stats":
                continue
            self.seen.add(path.stem)
            self.spectra.append(np.load(path.with_suffix(".npy"), mmap_mode="r"))
            self.first.append(self.first[-1] + len(self.spectra[-1]))
            for start, frames, text, voice in json.loads(path.read_text()):
                kept = self.kept.get(voice.partition(":")[0], 1.0)
                if not self.car_words.issuperset(text.split()):
                    kept *= self.kept.get("broad", 1.0)
                clip = Clip(len(self.spectra) - 1, start, frames, encode(text, self.alphabet), kept)
                if path.stem.startswith("synthetic"):
                    self.synthetic.append(clip)
                else:
                    self.real[voice.partition(":")[0]].append(clip)
        self.weights = {name: len(self.real[name]) ** (1 / 3) for name in sorted(self.real)}

    def spectrum(self, clip: Clip) -> npt.NDArray[np.float16]:
        """Spectra of a clip."""
        return self.spectra[clip.shard][clip.start : clip.start + clip.frames]

    def draw(self, rng: random.Random, real_share: float, max_frames: int) -> tuple[Clip, float]:
        """A clip and a tempo for it; each real corpus weighs the cube root of its size."""
        while True:
            if self.real and rng.random() < real_share:
                name = rng.choices(list(self.weights), list(self.weights.values()))[0]
                clip = rng.choice(self.real[name])
            else:
                clip = rng.choice(self.synthetic)
                if rng.random() >= clip.kept:
                    continue
            rate = math.exp(rng.uniform(-0.2, 0.22))
            if clip.frames / rate <= max_frames and clip.frames / rate > 1.25 * len(clip.labels) + 4:
                return clip, rate


class Batches:
    """An endless, seeded series of batches; `state` and `restore` allow an exact resume.

    Batches are augmented by an `augmenter`. One on a CUDA device keeps the shards that are there at the beginning, all
    of them; one in main memory takes the clips of a batch in, and new shards are picked up as they appear.
    """

    def __init__(self, data: Data, config: Config, rank: int, augmenter: Augmenter) -> None:
        self.data, self.config, self.rank, self.augmenter = data, config, rank, augmenter
        self.resident = augmenter.device.type != "cpu"
        if self.resident:
            augmenter.keep(data.spectra)
        self.views = 2 if config["fit"]["consistency"] > 0 else 1
        self.pool_index, self.position = -1, 0
        self.pool: list[list[tuple[Clip, float]]] = []
        self.easy = True

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {"pool": self.pool_index, "position": self.position, "easy": self.easy}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.easy = state["easy"]
        self._fill(state["pool"])
        self.position = state["position"]

    def _fill(self, index: int) -> None:
        if not self.resident:
            self.data.refresh()
        settings = self.config["fit"]
        rng = random.Random(f"{self.config['seed']}/{self.rank}/{index}")
        longest = settings["easy_frames"] if self.easy else settings["max_frames"]
        frames = settings["batch_frames"] if not self.easy else 900
        real_share = 0.0 if self.easy else settings["real_share"]
        drawn = [self.data.draw(rng, real_share, longest) for _ in range(settings["pool"] if not self.easy else 1000)]
        drawn.sort(key=lambda d: d[0].frames / d[1])
        batches: list[list[tuple[Clip, float]]] = []
        batch: list[tuple[Clip, float]] = []
        for item in drawn:
            batch.append(item)
            if self.views * len(batch) * (item[0].frames / item[1] + 18) >= frames:
                batches.append(batch)
                batch = []
        rng.shuffle(batches)
        self.pool, self.pool_index, self.position = batches, index, 0

    def next(self, hard: float) -> tuple[Heard, Tensor, Tensor]:
        """What is heard, on the augmenter's device; labels one after the other, and their counts.

        Where `fit.consistency` of the configuration is more than 0, the second half of the batch is the first heard
        elsewhere: the same clips, frame by frame, coloured otherwise. In some batches the speech lies anywhere within
        up to ten seconds of its surroundings, in some two clips are one recording, and some recordings hold nothing
        but surroundings: what is around a sentence is not to disturb the network.
        """
        if self.position >= len(self.pool):
            self._fill(self.pool_index + 1)
        items = self.pool[self.position]
        seed = [self.config["seed"], self.rank, self.pool_index + 1, self.position]
        rng = np.random.default_rng(seed)
        self.position += 1
        settings = self.config["fit"]
        # for a whole batch: long silences for one clip would pad all of them
        late, pairs = (rng.random(2) < (settings["late"], settings["joined"])) & (not self.easy)
        extra = 0
        if late and not pairs:
            extra = int(math.exp(rng.uniform(math.log(30), math.log(settings["late_frames"]))))
            items = self._fewer(items, extra, rng)
        nothing = (rng.random(len(items)) < settings["nothing"]) & (not self.easy)
        texts = [() if silent else c.labels for (c, _), silent in zip(items, nothing, strict=True)]
        rows = [[i] for i in range(len(items))]
        if pairs:
            order = rng.permutation(len(items)).tolist()
            rows = [order[i : i + 2] for i in range(0, len(items), 2)]
            texts = [join([texts[i] for i in row if texts[i]], self.data.space) for row in rows]
        starts = [self.data.first[c.shard] + c.start for c, _ in items]
        if not self.resident:
            self.augmenter.keep([self.data.spectrum(c) for c, _ in items])
            starts = np.cumsum([0] + [c.frames for c, _ in items[:-1]]).tolist()
        sources = [
            Source(start, c.frames, rate, bool(silent))
            for start, (c, rate), silent in zip(starts, items, nothing, strict=True)
        ]
        recordings = [[sources[i] for i in row] for row in rows]
        heard = self.augmenter.augment(
            recordings,
            [*seed, 1],
            hard,
            10,
            settings.get("without", ()),
            self.views,
            extra,
            clean=settings["distil"] > 0 and not extra,
        )
        labels = torch.tensor([label for text in texts for label in text] * self.views, dtype=torch.long)
        return heard, labels, torch.tensor([len(text) for text in texts] * self.views)

    def _fewer(self, items: list[tuple[Clip, float]], extra: int, rng: np.random.Generator) -> list[tuple[Clip, float]]:
        """As many of a batch's clips as fit into twice its frames when each is so many frames longer."""
        longest = max(clip.frames / rate for clip, rate in items)
        room = int(2 * self.config["fit"]["batch_frames"] / (longest + extra))
        chosen = sorted(rng.permutation(len(items))[: max(4, room)].tolist())
        return [items[i] for i in chosen]
