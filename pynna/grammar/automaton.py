"""Expressions as one minimal deterministic automaton, without listing their sentences.

It is put together from the ends of the sentences towards their beginnings. A state is nothing but whether a sentence
may end in it and where each label leads, and is made once: two states that accept the same are the same. So what
sentences have in common at their ends is shared at once, and the union of two states, made once too, shares their
beginnings.
The result is minimal by construction (the incremental construction of acyclic automata by their right languages).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pynna.errors import GrammarError

from .expression import Alternative, Expression, Sequence, Slot, Text, ValueList, Wildcard

ANY = -1
MAX_STATES = 1_000_000

Arcs = tuple[tuple[int, int], ...]
Tree: TypeAlias = "dict[str, Tree]"
"""Letters to what follows; an empty key where a text ends."""


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton over labels.

    Attributes
    ----------
    first_arc : int32 [n_states + 1]
        Arcs of state s are first_arc[s] to first_arc[s + 1] - 1.
    arc_label, arc_next : int32 [n_arcs]
        -1 is free speech.
    is_final : uint8 [n_states]
    start : int
    """

    first_arc: npt.NDArray[np.int32]
    arc_label: npt.NDArray[np.int32]
    arc_next: npt.NDArray[np.int32]
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

    def n_sentences(self) -> int:
        """How many label sequences it accepts, exactly; free speech counts as one."""
        counts = [0] * self.n_states  # arcs lead to states of lower numbers
        for s in range(self.n_states):
            counts[s] = int(self.is_final[s]) + sum(counts[t] for t in self.arcs(s).values())
        return counts[self.start]


class Builder:
    """States under construction; labels are indices into `alphabet`, whose spaces must be label `space`."""

    def __init__(self, alphabet: dict[str, int], max_states: int = MAX_STATES) -> None:
        self.alphabet, self.max_states = alphabet, max_states
        self.space = alphabet.get(" ")
        self._numbers: dict[tuple[bool, Arcs], int] = {}
        self._states: list[tuple[bool, Arcs]] = []
        self._unions: dict[tuple[int, int], int] = {}
        self._built: dict[tuple[int, int], int] = {}
        self._after_space: dict[int, int] = {}
        self._kept: list[object] = []  # what `_built` names by its id must live
        self.end = self._state(True, ())

    def _state(self, final: bool, arcs: Arcs) -> int:
        key = (final, arcs)
        number = self._numbers.get(key)
        if number is None:
            if len(self._states) >= self.max_states:
                raise GrammarError(
                    f"the grammar takes more than {self.max_states:,} states; split it, or make its lists "
                    "shorter: fewer optional parts in a row help most"
                )
            number = self._numbers[key] = len(self._states)
            self._states.append(key)
        return number

    def union(self, a: int, b: int) -> int:
        """What either accepts."""
        if a == b:
            return a
        key = (a, b) if a < b else (b, a)
        known = self._unions.get(key)
        if known is None:
            (final_a, arcs_a), (final_b, arcs_b) = self._states[a], self._states[b]
            arcs = dict(arcs_a)
            for label, following in arcs_b:
                arcs[label] = self.union(arcs[label], following) if label in arcs else following
            known = self._unions[key] = self._state(final_a or final_b, tuple(sorted(arcs.items())))
        return known

    def _stripped(self, state: int) -> int:
        """What a state accepts, without a space in front."""
        final, arcs = self._states[state]
        for label, following in arcs:
            if label == self.space:
                others = tuple(arc for arc in arcs if arc[0] != self.space)
                after = self._stripped(following)
                return self.union(self._state(final, others), after) if others or final else after
        return state

    def _before(self, label: int, state: int) -> int:
        """The label, then what the state accepts; spaces in a row are one, and none ends a sentence."""
        if label != self.space:
            return self._state(False, ((label, state),))
        known = self._after_space.get(state)
        if known is None:
            stripped = self._stripped(state)
            final, arcs = self._states[stripped]
            rest = self._state(False, arcs) if final else stripped
            known = self._state(final, ((label, rest),) if arcs else ())
            self._after_space[state] = known
        return known

    def free(self, then: int) -> int:
        """Free speech, then what the state accepts."""
        return self._state(False, ((ANY, then),))

    def text(self, text: str, then: int, where: str = "") -> int:
        """A literal."""
        for word in text.split():
            lacking = next((c for c in word if c not in self.alphabet), None)
            if lacking:
                raise GrammarError(f"{where}{word!r}: the model's alphabet has no {lacking!r}")
        for c in reversed(text):
            if c in self.alphabet:  # all but a space that an alphabet lacks
                then = self._before(self.alphabet[c], then)
        return then

    def build(self, expression: Expression | ValueList, then: int) -> int:
        """An expression, then what the state `then` accepts; the same of both is built once."""
        if isinstance(expression, Text):
            return self.text(expression.text, then, expression.where)
        if isinstance(expression, Slot):
            return self.build(expression.values, then)
        key = (id(expression), then)
        known = self._built.get(key)
        if known is None:
            self._kept.append(expression)
            known = self._built[key] = self._build(expression, then)
        return known

    def _build(self, expression: Expression | ValueList, then: int) -> int:
        if isinstance(expression, Sequence):
            for item in reversed(expression.items):
                then = self.build(item, then)
            return then
        if isinstance(expression, Wildcard):
            return self.free(then)
        if isinstance(expression, Alternative):
            items: list[Expression] = list(expression.items)
        else:
            assert isinstance(expression, ValueList)
            items = [form for form, _ in expression.values]
        texts = [item for item in items if isinstance(item, Text)]
        states = [self.build(item, then) for item in items if not isinstance(item, Text)]
        if texts:
            states.append(self._tree(texts, then))
        total = states[0]
        for state in states[1:]:
            total = self.union(total, state)
        return total

    def _tree(self, texts: list[Text], then: int) -> int:
        """Many literals: first as a tree of their letters, then folded from its leaves."""
        if len(texts) < 8 or any(text.text != text.text.strip() for text in texts):
            total = self.text(texts[0].text, then, texts[0].where)
            for text in texts[1:]:
                total = self.union(total, self.text(text.text, then, text.where))
            return total
        root: Tree = {}
        for text in texts:
            node = root
            for c in text.text:
                if c not in self.alphabet:
                    self.text(text.text, then, text.where)  # tells what is wrong
                node = node.setdefault(c, {})
            node[""] = {}
        return self._fold(root, then)

    def _fold(self, node: Tree, then: int) -> int:
        arcs = tuple(sorted((self.alphabet[c], self._fold(child, then)) for c, child in node.items() if c))
        if "" not in node:
            return self._state(False, arcs)
        return self.union(self._state(False, arcs), then) if arcs else then

    def automaton(self, start: int) -> Automaton:
        """What `start` accepts, spaces in front dropped, with the states that it reaches."""
        start = self._stripped(start)
        reached, stack = {start}, [start]
        while stack:
            for _, following in self._states[stack.pop()][1]:
                if following not in reached:
                    reached.add(following)
                    stack.append(following)
        order = sorted(reached)  # a state is made after those that it leads to
        number = {state: i for i, state in enumerate(order)}
        arcs = [self._states[state][1] for state in order]
        return Automaton(
            first_arc=np.cumsum([0] + [len(a) for a in arcs]).astype(np.int32),
            arc_label=np.array([label for a in arcs for label, _ in a], np.int32),
            arc_next=np.array([number[following] for a in arcs for _, following in a], np.int32),
            is_final=np.array([self._states[state][0] for state in order], np.uint8),
            start=number[start],
        )
