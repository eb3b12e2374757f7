# SPDX-License-Identifier: Apache-2.0
"""The front end of networks whose files hold none: checkpoints, ONNX, PyTorch. Somebody has to tell it.

The file's own properties do, or the ``flags.txt`` that a training of DeepSpeech or Coqui STT writes beside a
checkpoint, or the user; else DeepSpeech's is assumed, and that is said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynna.errors import MappingError
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.weights import Weights

_WINDOW_MS, _STEP_MS = 32, 20
_RATES = ("sample_rate", "audio_sample_rate")
_NUMBERS = (*_RATES, "feature_win_len", "feature_win_step", "n_mel", "mel_lower_hz", "mel_upper_hz")
_MOST = 1e6
ASSUMED = "the file tells no front end: this one is assumed"
_MOST_FLAGS = 1 << 20  # bytes of a flags.txt that are looked at


def front_end(path: Path, properties: Mapping[str, Any] | None = None, *, later: bool = True) -> tuple[MfccConfig, str]:
    """The front end that goes with a file, and what of it is only assumed ("" for nothing).

    Parameters
    ----------
    path : Path
        The file; a ``flags.txt`` is looked for in its folder.
    properties : mapping of str, optional
        What the file says: sample_rate, feature_win_len and feature_win_step (ms), n_mel, mel_lower_hz, mel_upper_hz.
    later : bool
        Whether the network is of DeepSpeech 0.7 or later, whose mel band ends at half the sample rate; else at 4000 Hz.

    Raises
    ------
    MappingError
        A property that is no number.
    """
    told = {**_flags(path.parent / "flags.txt"), **(properties or {})}
    numbers = {name: _number(name, told[name]) for name in _NUMBERS if name in told}
    rate = next((numbers[name] for name in _RATES if name in numbers), 16000.0)
    upper = numbers.get("mel_upper_hz", rate / 2 if later else 4000.0)
    features = MfccConfig(
        sample_rate=int(rate),
        window=round(rate * numbers.get("feature_win_len", _WINDOW_MS) / 1000),
        step=round(rate * numbers.get("feature_win_step", _STEP_MS) / 1000),
        n_mel=int(numbers.get("n_mel", 40)),
        lower_hz=numbers.get("mel_lower_hz", 20.0),
        upper_hz=upper,
    )
    return features, "" if any(name in numbers for name in _RATES) else ASSUMED


def tell_front_end(
    weights: Weights, sample_rate: int | None = None, mel_band: tuple[float, float] | None = None
) -> Weights:
    """The network with the sample rate and mel band that the user tells, where its file told none.

    Raises
    ------
    MappingError
        The file tells another front end, or the numbers are no front end.
    """
    features = weights.features
    rate = features.sample_rate if sample_rate is None else sample_rate
    if rate != features.sample_rate:
        features = replace(
            features,
            sample_rate=rate,
            window=round(rate * features.window / features.sample_rate),
            step=round(rate * features.step / features.sample_rate),
            upper_hz=features.upper_hz * rate / features.sample_rate,
        )
    if mel_band is not None:
        features = replace(features, lower_hz=float(mel_band[0]), upper_hz=float(mel_band[1]))
    if features != weights.features and not weights.assumed:
        f = weights.features
        raise MappingError(
            f"the file tells its front end: {f.sample_rate} Hz, mel band {f.lower_hz:g} to {f.upper_hz:g} Hz; "
            f"got {features.sample_rate} Hz, {features.lower_hz:g} to {features.upper_hz:g} Hz"
        )
    is_told = sample_rate is not None or mel_band is not None
    return replace(weights, features=features, assumed="" if is_told else weights.assumed)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= _MOST:
        raise MappingError(f"{name} must be a number from 0 to {_MOST:g}, got {str(value)[:40]!r}")
    return number


def _flags(path: Path) -> dict[str, Any]:
    """What a training's flags.txt says: JSON, or a line ``--name=value`` each."""
    try:
        text = path.read_bytes()[:_MOST_FLAGS].decode("utf-8", "replace")
    except OSError:
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        lines = [line.strip().removeprefix("--").partition("=") for line in text.splitlines()]
        values = {name: value for name, _, value in lines}
    names = (*_RATES, "feature_win_len", "feature_win_step")
    return {name: values[name] for name in names if name in values} if isinstance(values, dict) else {}
