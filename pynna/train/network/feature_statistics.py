# SPDX-License-Identifier: Apache-2.0
"""Mean, deviation and range of the features, which the network begins with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pynna.mapping import load_clips
from pynna.mapping.calibration import feature_ranges
from pynna.mapping.front_end import MfccConfig, windows
from pynna.train.config import Config
from pynna.train.network.augment import Augmenter
from pynna.train.network.batches import Data
from pynna.train.network.clips import Source
from pynna.train.network.surroundings import Sounds


def statistics(config: Config, data: Data, sounds: Sounds) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each coefficient over some augmented speech, made once."""
    path = config.folder("features") / "stats.npz"
    if not path.exists():
        rng = random.Random(config["seed"])
        augmenter = Augmenter(sounds, torch.device("cpu"), config["features"]["mel_upper"])
        drawn = [data.draw(rng, 0.1, 400) for _ in range(400)]
        augmenter.keep([data.spectrum(clip) for clip, _ in drawn])
        starts = np.cumsum([0] + [clip.frames for clip, _ in drawn]).tolist()
        rows = [[Source(start, clip.frames, rate)] for start, (clip, rate) in zip(starts, drawn, strict=False)]
        features, lengths, *_ = augmenter.augment(rows, [config["seed"]], 0.7)
        frames = features[torch.arange(len(features))[:, None] < lengths].numpy()
        frames = frames[frames[:, 0] > -60.0]  # digital silence would blow up the deviations
        np.savez(path, mean=frames.mean(axis=0), std=frames.std(axis=0))
    with np.load(path) as stats:
        return torch.from_numpy(stats["mean"].astype(np.float32)), torch.from_numpy(stats["std"].astype(np.float32))


def feature_range(settings: dict[str, Any]) -> Tensor:
    """Where the mapping will clip each coefficient [coefficients], measured as it does and on what it calibrates with.

    `settings` are `features` of the configuration.
    """
    front_end = MfccConfig(
        window=settings["window"], step=settings["step"], n_coefficients=settings["coefficients"],
        n_mel=settings["channels"], lower_hz=settings["mel_lower"], upper_hz=settings["mel_upper"],
    )  # fmt: skip
    clips = load_clips(None, front_end.sample_rate)
    frames = np.concatenate([windows(clip.pcm, front_end, 0)[:, 0] for clip in clips])
    return torch.from_numpy(feature_ranges(frames).astype(np.float32))
