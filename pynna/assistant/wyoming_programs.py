# SPDX-License-Identifier: Apache-2.0
"""What a Wyoming server offers: its sentence files, and its wake words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import metadata
from typing import Any

from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    Info,
    IntentModel,
    IntentProgram,
    WakeModel,
    WakeProgram,
)

from pynna.errors import ArgumentError
from pynna.grammar import Grammar
from pynna.model import Model


class Programs:
    """The sentence files that clients may select, by name; they may change while the server runs.

    Attributes
    ----------
    wake_words : tuple of str
    """

    def __init__(
        self, model: Model, grammars: Mapping[str, Grammar] | None = None, wake_words: tuple[str, ...] = ()
    ) -> None:
        self._model = model
        self._grammars: dict[str, Grammar] = {}
        for name, grammar in (grammars or {}).items():
            self.put(name, grammar)
        self.wake_words = wake_words
        if wake_words:
            self.wake_grammar = Grammar.from_sentences(wake_words).with_filler()
            self.wake_grammar.graph(model.labels)

    def put(self, name: str, grammar: Grammar) -> None:
        """Makes a grammar known; requests under way keep what they have. Raises GrammarError as ``Grammar.graph``."""
        grammar.graph(self._model.labels)
        self._grammars[name] = grammar

    def get(self, name: str | None) -> Grammar | None:
        """The grammar of a name, the first one's for none; None where there is none at all.

        Raises
        ------
        ArgumentError
            There is no such program.
        """
        if name is None:
            return next(iter(self._grammars.values()), None)
        if name not in self._grammars and name != "pynna":
            raise ArgumentError(f"the program must be one of {', '.join(self._grammars) or 'pynna'}, got {name!r}")
        return self._grammars.get(name, self.get(None))

    @property
    def language(self) -> str:
        """The first grammar's language, the model's without one."""
        grammar = self.get(None)
        return grammar.language if grammar is not None else str(self._model.metadata.get("language", "en"))

    def info(self) -> Info:
        """What is told of the server."""
        about: dict[str, Any] = {
            "attribution": Attribution(name="pynna", url=""), "installed": True, "version": metadata.version("pynna"),
        }  # fmt: skip
        languages = [self.language]
        asr = AsrModel(name=self._model.name, description=None, languages=languages, **about)
        wishes: dict[str, Any] = {"requires_external_vad": False, "prefers_auto_gain_enabled": True,
                  "prefers_noise_reduction_enabled": False}  # fmt: skip
        known = {field.name for field in fields(AsrProgram)}
        program = AsrProgram(
            name="pynna", models=[asr], description="LSTM speech recognition in 20 ms steps",
            supports_transcript_streaming=True, **{k: v for k, v in wishes.items() if k in known}, **about,
        )  # fmt: skip
        intents = [
            IntentProgram(name=name, description=None, **about,
                          models=[IntentModel(name=name, description=None, languages=[g.language], **about)])
            for name, g in self._grammars.items()
        ]  # fmt: skip
        words = [
            WakeModel(name=word, description=None, languages=languages, phrase=word, **about)
            for word in self.wake_words
        ]
        wake = [WakeProgram(name="pynna", description=None, models=words, **about)] if words else []
        return Info(asr=[program], intent=intents, wake=wake)
