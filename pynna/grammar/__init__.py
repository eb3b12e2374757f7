# SPDX-License-Identifier: Apache-2.0
"""Grammars: the sentences that a stream may hear, and what they mean."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynna.grammar.grammar import CAR_GRAMMAR, Grammar, Match, Sentence

__all__ = ["CAR_GRAMMAR", "Grammar", "Match", "Sentence"]


def __getattr__(name: str) -> Any:
    """Fetched when first asked for: results know the grammar's marks, and need not wait for what reads templates."""
    if name in __all__:
        return getattr(importlib.import_module("pynna.grammar.grammar"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
