# SPDX-License-Identifier: Apache-2.0
"""Networks to time: random weights of DeepSpeech's topology, mapped like any other, and speech to feed them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pynna.mapping
from bench.core import Core, MappedModel, default_cache
from pynna.mapping import Weights, load_clips, map_model
from pynna.mapping.front_end import MfccConfig, mfcc

Array = NDArray[Any]

N_LABELS, N_INPUTS = 29, 19 * 26
FEATURE_SIZE = 0.05  # MFCCs are large: layer 1's weights are that much smaller
LOGIT_SIZE = 6.0


def random_arrays(width: int, n_inputs: int = N_INPUTS, n_labels: int = N_LABELS, seed: int = 0) -> dict[str, Array]:
    """A network that says nothing, under DeepSpeech's names: weights that keep activations in their range."""
    rng = np.random.default_rng(seed)

    def normal(inputs: int, outputs: int, scale: float) -> Array:
        return rng.standard_normal((inputs, outputs), np.float32) * np.float32(scale)

    hidden = (width, width, 1.0)
    shapes = {
        "layer_1": (n_inputs, width, FEATURE_SIZE),
        "layer_2": hidden,
        "layer_3": hidden,
        "layer_5": hidden,
        "layer_6": (width, n_labels, LOGIT_SIZE),
    }
    arrays: dict[str, Array] = {}
    for name, (inputs, outputs, size) in shapes.items():
        arrays[f"{name}/weights"] = normal(inputs, outputs, size * np.sqrt(2 / inputs))
        arrays[f"{name}/bias"] = normal(1, outputs, 0.1)[0]
    arrays["lstm_fused_cell/kernel"] = normal(2 * width, 4 * width, np.sqrt(0.5 / width))
    arrays["lstm_fused_cell/bias"] = normal(1, 4 * width, 0.1)[0]
    return arrays


def random_weights(width: int) -> Weights:
    """The same, to be mapped."""
    return Weights(random_arrays(width), name=f"random, {width} wide", licence="none needed", source="bench")


def mapping_digest() -> str:
    """Of the sources that map: another one, another network."""
    sources = sorted(Path(pynna.mapping.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def mapped_random(
    core: Core, width: int, cache: Path | None, bits4: Sequence[str] = ()
) -> tuple[MappedModel, float | None]:
    """A random network, mapped; kept in the cache for as long as the code that maps is the same. Also how many seconds
    mapping took, None where it was there."""
    name = "-".join([f"random-{width}", *bits4, mapping_digest()])
    path = (cache or default_cache()).expanduser() / f"{name}.nna"
    if path.exists():
        return MappedModel(core, path), None
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = random_weights(width)
    start = time.perf_counter()
    map_model(weights, path, report=False, bits4=bits4)
    return MappedModel(core, path), time.perf_counter() - start


def speech_features(n_frames: int, config: MfccConfig) -> Array:
    """MFCCs of the recordings that ship with the package, repeated as needed: float32 [n_frames, n_coefficients].

    Speech, since the zeros that the ReLUs leave depend on what is heard.
    """
    rows = np.concatenate([mfcc(clip.pcm, config) for clip in load_clips(None, config.sample_rate)])
    return np.ascontiguousarray(np.resize(rows, (n_frames, config.n_coefficients)))
