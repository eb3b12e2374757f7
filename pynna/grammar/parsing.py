# SPDX-License-Identifier: Apache-2.0
"""Text to meaning: the template that fits a sentence best."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pynna.errors import ArgumentError

from .contexts import Context, allows, context_slots, is_given
from .expression import NOTHING, Capture, Clauses, Reading, is_filler
from .normalise import ENGLISH, fold, spoken_forms
from .sentence_file import Template

NAME = "name"
"""The slot of what is called by its name: a sentence that names something means that before all else."""

MAX_FORMS = 8
"""Ways to say a text that was typed, of which each is tried."""

Meaning = tuple[Template, dict[str, Any], dict[str, Any]]
"""A template, its slots, and what only its reply knows."""


class Parser:
    """Finds what sentences mean.

    Of several templates that fit, one counts that fills the slot `NAME` from a list, the longest of them; then the one
    with the fewest wildcards, then the one with the most literal letters, then the one whose wildcards take the least,
    then the intent whose name comes first, then the first of the file: Home Assistant's order.
    """

    def __init__(
        self, templates: Sequence[Template], skip_words: Sequence[str], language: str, context: Context | None
    ) -> None:
        self.templates, self.language, self._context = templates, language, dict(context or {})
        words = "|".join(re.escape(word) for word in sorted(skip_words, key=len, reverse=True))
        self._skip = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None
        self._skip_first = re.compile(rf"^(?:(?:{words})(?: |$))+") if words else None
        self._skip_last = re.compile(rf"(?:(?:^| )(?:{words}))+$") if words else None
        self._has_accents: bool | None = None
        self._variant_of = tuple(_variant_of(template) for template in templates)  # not asked anew for each sentence

    def parse(self, text: str, strip: Callable[[str], str], context: Context) -> tuple[str, Meaning] | None:
        """The sentence without what `strip` takes off, and its meaning; None if it is no sentence."""
        if not isinstance(text, str):
            raise ArgumentError(f"a sentence must be a text, got {text!r}")
        for sentence in self._sentences(text):
            for folded in (False, True):
                said = strip(fold(sentence, ENGLISH) if folded else sentence)
                meaning = self._meaning(said, folded, context)
                if meaning is not None:
                    return said, meaning
        return None

    def _sentences(self, text: str) -> Iterator[str]:
        """A text as it may be said; as it stands where the filler is marked in it."""
        if any(is_filler(c) for c in text):
            yield " ".join(text.split())
            return
        for form in spoken_forms(text, self.language)[:MAX_FORMS]:
            yield " ".join(form.split())

    def _variants(self, sentence: str) -> dict[str, str]:
        """A sentence as it is, and without skip words: everywhere, at its beginning, or at its end."""
        variants = {"": sentence}
        if self._skip is not None and self._skip_first is not None and self._skip_last is not None:
            variants["all"] = " ".join(self._skip.sub(" ", sentence).split())
            variants["first"] = self._skip_first.sub("", sentence).strip()
            variants["last"] = self._skip_last.sub("", sentence).strip()
        return {name: variant for name, variant in variants.items() if name == "" or variant != sentence}

    def _meaning(self, sentence: str, folded: bool, context: Context) -> Meaning | None:
        variants = {name: Reading(text, folded) for name, text in self._variants(sentence).items() if text}
        best: tuple[tuple[int, int, str, int], Template, tuple[Capture, ...]] | None = None
        is_known = context == self._context
        for i, template in enumerate(self.templates):
            expression = template.expression if is_known or template.whole is None else template.whole
            if expression is NOTHING or not (is_known or allows(template.requires, template.excludes, context)):
                continue
            for name in ("", self._variant_of[i]):
                reading = variants.get(name)
                if reading is None or not _has_clauses(template, reading):
                    continue
                for end, cost, captures in reading.ends(expression, 0):
                    rank = (-_named(captures), cost, template.intent, i)
                    is_better = end == len(reading.text) and (best is None or rank < best[0])
                    if is_better and _fits(template, captures, context):
                        best = rank, template, captures
        return None if best is None else (best[1], *_values(best[1], best[2], context))

    def slots(self, template: Template, captures: Sequence[Capture], context: Context) -> dict[str, Any]:
        """The slots of a sentence of a template."""
        return _values(template, captures, context)[0]


def _variant_of(template: Template) -> str:
    """The variant of a sentence that a template takes beside the sentence as it is."""
    return "last" if template.starts_free() else "first" if template.ends_free() else "all"


def _has_clauses(template: Template, reading: Reading) -> bool:
    """Whether a sentence holds what the template needs."""
    if template.keywords and template.keywords.isdisjoint(reading.words):
        return False
    text = reading.text
    for clause in _folded(template.clauses) if reading.folded else template.clauses:
        for choice in clause:
            if choice in text:
                break
        else:
            return False
    return True


@functools.lru_cache(maxsize=4096)
def _folded(clauses: Clauses) -> Clauses:
    """Clauses in the letters of English alone."""
    return frozenset(frozenset(fold(choice, ENGLISH) for choice in clause) for clause in clauses)


def _merged(captures: Sequence[Capture], context: Context) -> dict[str, Any]:
    merged = dict(context)
    for capture in captures:
        merged.update(capture.context or {})
    return merged


def _named(captures: Sequence[Capture]) -> int:
    """Letters of what is called by its name."""
    return max((capture.letters for capture in captures if capture.name == NAME and not capture.reply_only), default=0)


def _fits(template: Template, captures: Sequence[Capture], context: Context) -> bool:
    return not template.requires or is_given(template.requires, _merged(captures, context))


def _values(template: Template, captures: Sequence[Capture], context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """Slots: what was said, what the context gives, what the block says; and what only the reply knows."""
    given = context_slots(template.requires, _merged(captures, context)) if template.requires else {}
    said = {capture.name: capture.value for capture in captures if not capture.reply_only}
    only = {capture.name: capture.value for capture in captures if capture.reply_only}
    return {**template.slots, **given, **said}, only
