# SPDX-License-Identifier: Apache-2.0
"""What decoder options amount to, by content: two processes that have the same decode alike."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pynna.decoding.language_model import LanguageModel, Vocabulary
from pynna.decoding.options import DecoderOptions
from pynna.errors import reading

if TYPE_CHECKING:
    from pynna.grammar import Grammar

WHOLE_FILE = 64 << 20
"""Bytes of a language model's file up to which all of it counts; of a larger one the size and both ends."""

_known: WeakKeyDictionary[Any, dict[tuple[str, ...], str]] = WeakKeyDictionary()


def checksum(data: bytes) -> str:
    """BLAKE2b of 16 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def fingerprint(options: DecoderOptions, labels: Sequence[str]) -> dict[str, Any]:
    """Each option but the hot words, which may change, as JSON can hold it.

    Numbers stand as they are, grammars, language models and vocabularies as checksums of what they hold.

    Raises
    ------
    FileReadError, MissingFileError
        A language model's file is not there any more.
    GrammarError
        As ``Grammar.graph``.
    """
    return {
        item.name: _content(getattr(options, item.name), tuple(labels))
        for item in fields(options)
        if item.name != "hot_words"
    }


def _content(value: Any, labels: tuple[str, ...]) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Vocabulary):
        return _once(value, (), lambda: json.dumps(value.words).encode())
    if isinstance(value, LanguageModel):
        return _once(value, (), lambda: _language_model(value))
    if hasattr(value, "graph"):
        return _once(value, labels, lambda: _grammar(value, labels))
    return float(value)


def _once(value: Any, key: tuple[str, ...], content: Callable[[], bytes]) -> str:
    """The checksum of what never changes, made once."""
    known = _known.setdefault(value, {})
    if key not in known:
        known[key] = checksum(content())
    return known[key]


def _grammar(grammar: Grammar, labels: tuple[str, ...]) -> bytes:
    """The sentences as the search has them, and what examples of them mean."""
    meanings = []
    for text in grammar.examples().values():
        match = grammar.parse(text)
        meanings.append([text, None if match is None else [match.intent, match.slots, match.reply]])
    meant = json.dumps([grammar.intents, grammar.lists, meanings], sort_keys=True, default=str)
    return grammar.graph(labels).to_bytes() + meant.encode()


def _language_model(model: LanguageModel) -> bytes:
    weights = model.alpha, model.beta, model.unknown_score, model.unknown_letter_score
    words = checksum(json.dumps(model.vocabulary.words).encode())
    return json.dumps([weights, words, _file(model.path)]).encode()


def _file(path: Path) -> list[Any]:
    with reading(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= WHOLE_FILE:
            return [size, checksum(file.read())]
        first = checksum(file.read(1 << 20))
        file.seek(size - (1 << 20))
        return [size, first, checksum(file.read())]
