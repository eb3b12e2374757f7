"""Export of a checkpoint as ``weights.npz``, DeepSpeech's variable names and the facts of the network beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config


def write_weights(config: Config, saved: dict[str, Any], path: Path, average: bool = True) -> None:
    """Write the (averaged) weights of a checkpoint; the file is replaced whole."""
    import torch

    from .model import Network

    network, features = config["network"], config["features"]
    net = Network(saved["width"], saved["net"]["mean"], saved["net"]["std"], features["context"])
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
    )  # fmt: skip
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    os.replace(temporary, path)


def export(config: Config, checkpoint: Path | None, output: Path | None) -> None:
    """Export a checkpoint (default: the last)."""
    import torch

    saved = torch.load(checkpoint or config.folder("checkpoints") / "last.pt", weights_only=False)
    path = output or config.folder("export") / "weights.npz"
    write_weights(config, saved, path)
    print(f"{path}: step {saved['step']}, {saved['audio_seconds'] / 3600:.1f} audio hours seen")
