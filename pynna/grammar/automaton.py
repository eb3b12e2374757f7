# SPDX-License-Identifier: Apache-2.0
"""Expressions as one minimal deterministic automaton, without listing their sentences.

It is put together from the ends of the sentences towards their beginnings, by `_core.GraphBuilder`: what an expression
accepts before what follows it. A state that accepts the same as another is made once, so the result is minimal by
construction (the incremental construction of acyclic automata by their right languages).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.errors import GrammarError

from .expression import Alternative, Expression, Sequence, Slot, Text, ValueList, Wildcard
from .normalise import fold

FILLER = -1
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton over labels.

    Attributes
    ----------
    first_arc : int32 [n_states + 1]
        Arcs of state s are first_arc[s] to first_arc[s + 1] - 1.
    arc_label, arc_next : int32 [n_arcs]
        -1 is the filler.
    is_final : uint8 [n_states]
    start : int
    """

    first_arc: I32
    arc_label: I32
    arc_next: I32
    is_final: npt.NDArray[np.uint8]
    start: int

    @property
    def n_states(self) -> int:
        """States."""
        return len(self.is_final)

    @property
    def n_arcs(self) -> int:
        """Arcs."""
        return len(self.arc_label)

    def arcs(self, state: int) -> dict[int, int]:
        """Where each label leads from a state."""
        span = slice(self.first_arc[state], self.first_arc[state + 1])
        return dict(zip(self.arc_label[span].tolist(), self.arc_next[span].tolist(), strict=True))

    @property
    def is_acyclic(self) -> bool:
        """Whether its sentences have a bound: then arcs lead to states of lower numbers."""
        states = np.repeat(np.arange(self.n_states), np.diff(self.first_arc))
        return bool((self.arc_next < states).all())

    def n_sentences(self) -> int | float:
        """How many label sequences it accepts, exactly, infinity with a loop; the filler counts as one."""
        if not self.is_acyclic:
            return math.inf
        counts = [0] * self.n_states
        first, following, final = self.first_arc.tolist(), self.arc_next.tolist(), self.is_final.tolist()
        for s in range(self.n_states):
            counts[s] = final[s] + sum(counts[t] for t in following[first[s] : first[s + 1]])
        return counts[self.start]


class Builder:
    """States under construction; `alphabet` gives the labels of letters. Raises StateError beyond `max_states`."""

    def __init__(self, alphabet: dict[str, int], max_states: int) -> None:
        self._letters = frozenset(alphabet)
        letters = {ord(text): label for text, label in alphabet.items() if len(text) == 1}
        self._has_space = ord(" ") in letters
        self._label_of: I32 = np.full(max(letters, default=0) + 2, -1, np.int32)  # the last: of all letters beyond
        self._label_of[list(letters)] = list(letters.values())
        self._core = _core.GraphBuilder(max_states, letters.get(ord(" "), -1))
        self._built: dict[tuple[int, int], int] = {}
        self._spelled: dict[int, tuple[I32, I32]] = {}
        self._kept: list[object] = []  # what is known by its id must live
        self.end = self._core.end()

    def union(self, states: Iterable[int]) -> int:
        """What any of them accepts."""
        return self._core.union(np.fromiter(states, np.int32))

    def filler(self, then: int) -> int:
        """The filler, then what the state accepts."""
        return self._core.before(np.array([FILLER], np.int32), then)

    def text(self, text: str, then: int, where: str = "") -> int:
        """A literal, then what the state accepts; spaces in a row are one, and none ends a sentence."""
        return self._core.before(self._labels(text, where), then)

    def _labels(self, text: str, where: str = "") -> I32:
        """A text's labels; spaces that the alphabet lacks are left out."""
        text = self._spelled_out(text)
        letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        labels = self._label_of[np.minimum(letters, len(self._label_of) - 1)]
        if len(labels) and labels.min() < 0:
            lacking = text[int(np.argmin(labels))]
            word = next(word for word in text.split() if lacking in word)
            raise GrammarError(f"{where}{word!r}: the model's alphabet has no {lacking!r}")
        return labels

    def _spelled_out(self, text: str) -> str:
        """A text in the alphabet's letters."""
        text = fold(text, self._letters)
        return text if self._has_space else text.replace(" ", "")

    def build(self, expression: Expression | ValueList, then: int) -> int:
        """An expression, then what the state `then` accepts; the same of both is built once."""
        if isinstance(expression, Text):
            return self.text(expression.text, then, expression.where)
        if isinstance(expression, Slot):
            return self.build(expression.values, then)
        key = (id(expression), then)
        if key not in self._built:
            self._kept.append(expression)
            self._built[key] = self._build(expression, then)
        return self._built[key]

    def _build(self, expression: Expression | ValueList, then: int) -> int:
        if isinstance(expression, Sequence):
            for item in reversed(expression.items):
                then = self.build(item, then)
            return then
        if isinstance(expression, Wildcard):
            return self.filler(then)
        if isinstance(expression, Alternative):
            items: Iterable[Expression] = expression.items
        else:
            assert isinstance(expression, ValueList)
            items = expression.spoken()
        texts: list[Text] = []
        states = []
        for item in items:
            if isinstance(item, Text) and item.text == item.text.strip():
                texts.append(item)
            else:
                states.append(self.build(item, then))
        if texts:
            if id(expression) not in self._spelled:
                self._spelled[id(expression)] = self._spell(texts)
            states.append(self._core.texts(*self._spelled[id(expression)], then))
        return self.union(states)

    def _spell(self, texts: Iterable[Text]) -> tuple[I32, I32]:
        """Literals in order, as labels, and where each ends."""
        forms = sorted({self._spelled_out(text.text) for text in texts})
        try:
            labels = self._labels("".join(forms))
        except GrammarError:
            for text in texts:
                self._labels(text.text, text.where)  # tells which it is
            raise
        return labels, np.cumsum([len(form) for form in forms], dtype=np.int32)

    def automaton(self, start: int) -> Automaton:
        """What `start` accepts, spaces in front dropped, with the states that it reaches."""
        first_arc, arc_label, arc_next, is_final = self._core.arrays(self._core.strip(start))
        return Automaton(first_arc, arc_label, arc_next, is_final, len(is_final) - 1)
