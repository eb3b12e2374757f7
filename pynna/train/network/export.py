# SPDX-License-Identifier: Apache-2.0
"""Export of a checkpoint as ``weights.npz``, DeepSpeech's variable names and the facts of the network beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from pynna.decoding.options import MAX_PASSES
from pynna.mapping import load_weights
from pynna.mapping.dequantise import dequantise
from pynna.train.config import Config


def write_weights(config: Config, saved: dict[str, Any], path: Path, average: bool = True) -> None:
    """Write the (averaged) weights of a checkpoint; the file is replaced whole."""
    import torch

    from pynna.train.network.model import Network

    network, features = config["network"], config["features"]
    net = Network(saved["width"], saved["net"]["mean"], saved["net"]["std"], features["context"],
                  quantise=saved.get("quantise", False))  # fmt: skip
    net.load_state_dict(saved["net"])
    if average:
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), saved["ema"], strict=True):
                parameter.copy_(value)
    arrays: dict[str, Any] = {name: value.numpy() for name, value in net.arrays().items()}
    priors = saved["priors"].numpy().astype(np.float32)
    arrays.update(
        label_priors=priors / priors.sum(), sample_rate=np.int32(16000), feature_win_len=np.int32(features["window"]),
        feature_win_step=np.int32(features["step"]), n_features=np.int32(features["coefficients"]),
        n_context=np.int32(features["context"]), mel_lower=np.float32(features["mel_lower"]),
        mel_upper=np.float32(features["mel_upper"]), forget_bias=np.float32(network["forget_bias"]),
        relu_clip=np.float32(network["relu_clip"]), alphabet=np.array(network["alphabet"]),
        card=np.array(json.dumps({"passes": MAX_PASSES})),  # trained on other speeds and vocal tracts, too
    )  # fmt: skip
    if torch.isfinite(net.feature_range).all():
        arrays["feature_range"] = net.feature_range.numpy()
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    os.replace(temporary, path)


def average(path: Path, model: Path, share: float, quantise: bool = False) -> None:
    """Replace the weights in `path` by their average with a model's, which counts `share`; rounded with `quantise`.

    A network and what it was trained on from are near enough for the average to be better than either: Wortsman et al.,
    "Robust fine-tuning of zero-shot models", 2022.

    Raises
    ------
    ValueError
        A model of another shape.
    """
    with np.load(path) as file:
        ours = dict(file)
    theirs = dequantise(model) if model.suffix == ".nna" else load_weights(model)
    for name, value in {**theirs.arrays, "label_priors": theirs.label_priors}.items():
        if value is None or ours[name].shape != value.shape:
            raise ValueError(f"{model}: {name} is not {list(ours[name].shape)} as in {path}; its descendant is right")
        ours[name] = ((1 - share) * ours[name].astype(np.float64) + share * value).astype(np.float32)
    if quantise:
        import torch

        from pynna.train.network.model import rounded_arrays

        rounded = rounded_arrays({name: torch.from_numpy(ours[name]) for name in theirs.arrays})
        ours.update({name: value.numpy() for name, value in rounded.items()})
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **ours)
    os.replace(temporary, path)


def export(config: Config, checkpoint: Path | None, output: Path | None, model: Path | None, share: float) -> None:
    """Export a checkpoint (default: the last); with a `model`, its weights' average with that, which counts `share`."""
    import torch

    saved = torch.load(checkpoint or config.folder("checkpoints") / "last.pt", weights_only=False)
    path = output or config.folder("export") / "weights.npz"
    write_weights(config, saved, path)
    if model is not None:
        average(path, model, share, saved.get("quantise", False))
    print(f"{path}: step {saved['step']}, {saved['audio_seconds'] / 3600:.1f} audio hours seen")
