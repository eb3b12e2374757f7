# SPDX-License-Identifier: Apache-2.0
"""Importer and exporter of .npz files that hold a network under DeepSpeech's variable names.

Besides the arrays a file may hold, each on its own and all with DeepSpeech 0.5.1's value as the default: alphabet
(strings), sample_rate (Hz), feature_win_len and feature_win_step (samples), n_features, n_mel, mel_lower and mel_upper
(Hz), forget_bias, relu_clip, label_priors [labels], feature_range [n_features], name, licence, and card (a JSON object
as text; its passes, 1 to 7, are `pynna.Model.passes`).
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.front_end_settings import ASSUMED
from pynna.mapping.packed import check_sizes
from pynna.mapping.weights import ENGLISH, KERNEL, LSTM_BIAS, NAMES, SPEECH, Weights
from pynna.saving import whole_file

Array = NDArray[Any]

# What later versions call the LSTM; its forget bias is trained, not added.
CUDNN = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/"
CUDNN_NAMES = {CUDNN + "kernel": KERNEL, CUDNN + "bias": LSTM_BIAS}

_FRONT_END = ("sample_rate", "feature_win_len", "feature_win_step", "n_mel", "mel_lower", "mel_upper")


def import_npz(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a network from an .npz file; `alphabet`, if given, goes before the file's own.

    Raises
    ------
    MappingError
        No .npz file, arrays missing or wrong.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as handle:
        try:
            _check_headers(handle)
            with np.load(handle, allow_pickle=False) as file:
                values = {key: np.asarray(file[key]) for key in file.files}
        except Exception as error:  # a damaged archive fails in zipfile, zlib, tokenize or NumPy, each in its way
            raise MappingError(f"{name}: no .npz file of plain arrays ({error}); numpy.savez makes one") from None
    try:
        return _weights(values, alphabet, name)
    except MappingError as error:
        raise MappingError(f"{name}: {error}") from None


def _check_headers(handle: IO[bytes]) -> None:
    """That each array is as long as its header says: NumPy takes that much memory before it looks."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with zipfile.ZipFile(handle) as archive:
        check_sizes(archive)
        for info in archive.infolist():
            with archive.open(info) as file:
                shape, _, dtype = read[np.lib.format.read_magic(file)](file)
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(f"{info.filename} is cut short: shape {list(shape)}")
    handle.seek(0)


def _weights(values: dict[str, Array], alphabet: tuple[str, ...] | None, source: str) -> Weights:
    cudnn = any(key in values for key in CUDNN_NAMES)
    arrays = {CUDNN_NAMES.get(key, key): value for key, value in values.items()}
    features = MfccConfig(
        sample_rate=int(_number(values, "sample_rate", 16000)),
        window=int(_number(values, "feature_win_len", 512)),
        step=int(_number(values, "feature_win_step", 320)),
        n_coefficients=int(_number(values, "n_features", 26)),
        n_mel=int(_number(values, "n_mel", 40)),
        lower_hz=_number(values, "mel_lower", 20.0),
        upper_hz=_number(values, "mel_upper", 4000.0),
    )
    weights = Weights(
        {key: arrays[key] for key in (*NAMES, *SPEECH) if key in arrays},
        alphabet or _alphabet(values, arrays),
        features,
        forget_bias=_number(values, "forget_bias", 0.0 if cudnn else 1.0),
        relu_clip=_number(values, "relu_clip", 20.0),
        label_priors=values.get("label_priors"),
        feature_range=values.get("feature_range"),
        name=_text(values, "name"),
        licence=_text(values, "licence"),
        source=os.path.basename(source),
        metadata=_metadata(values),
        assumed="" if any(key in values for key in _FRONT_END) else ASSUMED,
    )
    if "n_context" in values and int(_number(values, "n_context", 9)) != weights.n_context:
        raise MappingError(f"n_context is {values['n_context']}, but layer_1 takes {weights.n_context} frames a side")
    return weights


def _number(values: dict[str, Array], key: str, default: float) -> float:
    array = values.get(key)
    if array is None:
        return default
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise MappingError(f"{key} is {array.dtype} {list(array.shape)}; one finite number is needed")
    return float(array.reshape(-1)[0])


def _text(values: dict[str, Array], key: str) -> str:
    return str(values[key].reshape(-1)[0]) if key in values and values[key].size == 1 else ""


def _metadata(values: dict[str, Array]) -> dict[str, Any]:
    try:
        metadata = json.loads(_text(values, "card") or "{}")
    except json.JSONDecodeError as error:
        raise MappingError(f"card is no JSON: {error}") from None
    if not isinstance(metadata, dict):
        raise MappingError("card is no JSON object")
    return metadata


def _alphabet(values: dict[str, Array], arrays: dict[str, Array]) -> tuple[str, ...]:
    """The file's labels: an array of strings, or one string of single characters; English where there is none."""
    array = values.get("alphabet")
    if array is None:
        return default_alphabet(len(arrays["layer_6/bias"]) if "layer_6/bias" in arrays else 29)
    if array.dtype.kind != "U":
        raise MappingError(f"alphabet is {array.dtype}; strings are needed")
    labels = tuple(str(label) for label in (array if array.ndim else str(array)))
    blank = len(arrays.get("layer_6/bias", ())) == len(labels) and labels[-1] in ("", "<blank>", "_")
    return labels[:-1] if blank else labels


def default_alphabet(n_labels: int) -> tuple[str, ...]:
    """English, if the number of outputs fits.

    Raises
    ------
    MappingError
        Another number of labels.
    """
    if n_labels != len(ENGLISH) + 1:
        raise MappingError(
            f"the network has {n_labels - 1} labels and the blank, English has {len(ENGLISH)}: give its alphabet file"
        )
    return ENGLISH


def export_npz(weights: Weights, path: str | os.PathLike[str]) -> None:
    """Writes what `import_npz` reads."""
    f = weights.features
    extra: dict[str, Any] = {
        **weights.arrays,
        "alphabet": np.array(weights.alphabet),
        "sample_rate": f.sample_rate,
        "feature_win_len": f.window,
        "feature_win_step": f.step,
        "n_features": f.n_coefficients,
        "n_mel": f.n_mel,
        "n_context": weights.n_context,
        "mel_lower": f.lower_hz,
        "mel_upper": f.upper_hz,
        "forget_bias": weights.forget_bias,
        "relu_clip": weights.relu_clip,
        "name": weights.name,
        "licence": weights.licence,
        "card": json.dumps(weights.metadata),
    }
    if weights.label_priors is not None:
        extra["label_priors"] = weights.label_priors
    if weights.feature_range is not None:
        extra["feature_range"] = weights.feature_range
    name = os.fspath(path)
    with whole_file(name if name.endswith(".npz") else f"{name}.npz", "wb") as out:
        np.savez(out, **extra)
