# SPDX-License-Identifier: Apache-2.0
"""LSTM speech recognition the way a neural network accelerator does it.

>>> import pynna
>>> model = pynna.load()                                # the model that ships with the package
>>> model.transcribe("clip.wav").text                   # doctest: +SKIP
'increase the volume'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pynna import _core, events
from pynna.decoding.decoder import Decoder
from pynna.decoding.language_model import LanguageModel, Vocabulary
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Alternative, GrammarResult, Interpretation, Result, Word
from pynna.errors import (
    ArgumentError,
    AudioError,
    CapacityError,
    FileReadError,
    FinishedError,
    GrammarError,
    IsaError,
    LanguageModelError,
    MappingError,
    MissingFileError,
    ModelFileError,
    NotFiniteError,
    PynnaError,
    StateError,
)
from pynna.model import Model, Segment, load
from pynna.network import build_info
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.group import Group
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

if TYPE_CHECKING:
    from pynna import audio as audio
    from pynna.archive import transcribe_files as transcribe_files
    from pynna.grammar import CAR_GRAMMAR as CAR_GRAMMAR
    from pynna.grammar import Grammar as Grammar
    from pynna.mapping import map_model as map_model

__version__: str = _core.version()

__all__ = [
    "Alternative",
    "ArgumentError",
    "AudioError",
    "CapacityError",
    "CAR_GRAMMAR",
    "Decoder",
    "DecoderOptions",
    "EndpointRules",
    "FileReadError",
    "FinishedError",
    "Grammar",
    "GrammarError",
    "GrammarResult",
    "Group",
    "Interpretation",
    "IsaError",
    "LanguageModel",
    "LanguageModelError",
    "Listener",
    "MappingError",
    "MissingFileError",
    "Model",
    "ModelFileError",
    "NotFiniteError",
    "PynnaError",
    "RescoringWorker",
    "Result",
    "Segment",
    "StateError",
    "Stream",
    "Vocabulary",
    "Word",
    "build_info",
    "events",
    "load",
    "map_model",
    "transcribe_files",
]


_LATER = {
    "map_model": "pynna.mapping",
    "Grammar": "pynna.grammar",
    "CAR_GRAMMAR": "pynna.grammar",
    "transcribe_files": "pynna.archive",
}


if not TYPE_CHECKING:  # a type checker shall find a name that is none

    def __getattr__(name: str) -> Any:
        """What is fetched when first asked for: who only listens needs no importer, and no sentence file."""
        if name in _LATER:
            return getattr(importlib.import_module(_LATER[name]), name)
        raise AttributeError(f"module 'pynna' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations", "importlib"})
