"""LSTM speech recognition the way a neural network accelerator does it.

>>> import pynna
>>> model = pynna.load()                                # the model that ships with the package
>>> model.transcribe("clip.wav").text                   # doctest: +SKIP
'increase the volume'
"""

from __future__ import annotations

from typing import Any

from pynna import _core
from pynna.decoder import Decoder, DecoderOptions
from pynna.errors import (
    ArgumentError,
    AudioError,
    FinishedError,
    IsaError,
    MappingError,
    ModelFileError,
    PynnaError,
    StateError,
)
from pynna.model import Model, build_info, load
from pynna.results import Alternative, Result, Word
from pynna.stream import Group, Stream

__version__: str = _core.version()

__all__ = [
    "Alternative",
    "ArgumentError",
    "AudioError",
    "Decoder",
    "DecoderOptions",
    "FinishedError",
    "Group",
    "IsaError",
    "MappingError",
    "Model",
    "ModelFileError",
    "PynnaError",
    "Result",
    "StateError",
    "Stream",
    "Word",
    "build_info",
    "load",
    "map_model",
]


def __getattr__(name: str) -> Any:
    """`map_model` is fetched when first asked for: who only listens needs no importer."""
    if name == "map_model":
        from pynna.mapping import map_model

        return map_model
    raise AttributeError(f"module 'pynna' has no attribute {name!r}")
