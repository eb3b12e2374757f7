"""Grammars: the sentences that a stream may hear, and what they mean."""

from .grammar import CAR_GRAMMAR, Grammar, Match, Sentence

__all__ = ["CAR_GRAMMAR", "Grammar", "Match", "Sentence"]
