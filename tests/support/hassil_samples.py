# SPDX-License-Identifier: Apache-2.0
"""Sentences drawn at random from hassil's own parse trees, and what hassil makes of them."""

from __future__ import annotations

import random
from typing import Any

from hassil import expression as parsed
from hassil.intents import Intents, RangeSlotList, TextSlotList, TextSlotValue
from hassil.numbers import get_rbnf_engine
from hassil.parse_expression import parse_sentence
from hassil.recognize import recognize_best
from hassil.util import is_template

Meaning = tuple[str, dict[str, Any]] | None
WILD = ["something nice", "milk", "let it be", "on", "the second album", "seven"]


def slot_list(values: list[Any]) -> TextSlotList:
    """A list of texts, or of tuples (spoken, what it stands for, context)."""
    made = []
    for value in values:
        spoken, out, context = (*value, None)[:3] if isinstance(value, tuple) else (value, value, None)
        chunk = parse_sentence(spoken).expression if is_template(spoken) else parsed.TextChunk(spoken)
        made.append(TextSlotValue(chunk, out, context))
    return TextSlotList("", made)


class Sampler:
    """Draws sentences of hassil's intents, and tells what hassil makes of a sentence."""

    def __init__(
        self, document: dict[str, Any], lists: dict[str, list[Any]], context: dict[str, Any], seed: int
    ) -> None:
        self.intents = Intents.from_dict(document)
        self.lists = {name: slot_list(values) for name, values in lists.items()}
        self.context, self.rng = context, random.Random(seed)
        self.blocks = [block for intent in self.intents.intents.values() for block in intent.data]

    def draw(self) -> str:
        """A sentence."""
        block = self.rng.choice(self.blocks)
        sentence = self.rng.choice(block.sentences)
        text = " ".join(self._draw(sentence.expression, block).split())
        if self.intents.skip_words and self.rng.random() < 0.2:
            skipped = self.rng.choice(self.intents.skip_words)
            text = f"{skipped} {text}" if self.rng.random() < 0.5 else f"{text} {skipped}"
        return text

    def _draw(self, e: Any, block: Any) -> str:
        if isinstance(e, parsed.TextChunk):
            return e.original_text
        if isinstance(e, parsed.Alternative):
            return self._draw(self.rng.choice(e.items), block)
        if isinstance(e, parsed.Permutation):
            items = list(e.items)
            self.rng.shuffle(items)
            return "".join(self._draw(item, block) for item in items)
        if isinstance(e, parsed.Group):
            return "".join(self._draw(item, block) for item in e.items)
        if isinstance(e, parsed.RuleReference):
            rules = {**self.intents.expansion_rules, **block.expansion_rules}
            return self._draw(rules[e.rule_name].expression, block)
        lists = {**self.intents.slot_lists, **self.lists, **block.slot_lists}
        found = lists.get(e.list_name)
        if isinstance(found, TextSlotList):
            return self._draw(self.rng.choice(found.values).text_in, block)
        if found is None or isinstance(found, RangeSlotList):
            numbers = range(*e.get_inline_range()[:2]) if found is None else list(found.get_numbers())
            number = self.rng.choice(numbers)
            if self.rng.random() < 0.5:
                return str(number)
            return get_rbnf_engine(self.intents.language).format_number(number).text.replace("-", " ")
        return self.rng.choice(WILD)

    def meaning(self, text: str) -> Meaning:
        """hassil's intent and slots of a sentence, asked as Home Assistant asks it."""
        found = recognize_best(
            text, self.intents, slot_lists=self.lists, intent_context=self.context, best_slot_name="name"
        )
        if found is None:
            return None
        return found.intent.name, {name: entity.value for name, entity in found.entities.items()}


def ours(grammar: Any, text: str) -> Meaning:
    """Our intent and slots of a sentence."""
    match = grammar.parse(text)
    return None if match is None else (match.intent, match.slots)
