# SPDX-License-Identifier: Apache-2.0
"""Expressions whose sentences have no bound: `*`, `+` and rules that end in themselves, as one minimal automaton.

Thompson's construction gives a nondeterministic automaton with loops; the subset construction a deterministic one, in
which spaces in a row are one and none begins or ends a sentence; and partition refinement (Moore) the minimal one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from pynna.errors import GrammarError

from .automaton import FILLER, Automaton
from .expression import Alternative, Expression, Loop, Reference, Sequence, Slot, Text, Wildcard
from .normalise import fold

MAX_STATES = 200_000
START, WORD, GAP, OPENED = range(4)
"""Where in a sentence: before its first word, within one, in a gap, at a word's beginning after the gap's space."""

Place = tuple[int, int]


class LoopBuilder:
    """A nondeterministic automaton under construction, from the ends of its sentences to their beginnings."""

    def __init__(self, alphabet: dict[str, int]) -> None:
        self._letters, self._label_of = frozenset(alphabet), alphabet
        self.space = alphabet.get(" ", -2)
        self.arcs: list[list[tuple[int, int]]] = [[]]
        self.free: list[list[int]] = [[]]  # what a state leads to without a letter
        self.end = 0
        self._made: dict[tuple[int, int], int] = {}
        self._kept: list[object] = []
        self._open: dict[int, int] = {}

    def _state(self) -> int:
        if len(self.arcs) >= MAX_STATES:
            raise GrammarError(f"the grammar takes more than {MAX_STATES:,} states; split it or make its lists shorter")
        self.arcs.append([])
        self.free.append([])
        return len(self.arcs) - 1

    def union(self, states: Iterable[int]) -> int:
        """What any of the states accepts."""
        made = self._state()
        self.free[made] += states
        return made

    def filler(self, then: int) -> int:
        """The filler, then what the state accepts."""
        made = self._state()
        self.arcs[made].append((FILLER, then))
        return made

    def text(self, text: str, then: int, where: str = "") -> int:
        """A literal, then what the state accepts."""
        for c in reversed(fold(text, self._letters)):
            if c not in self._label_of:
                if c == " ":
                    continue
                raise GrammarError(f"{where}{text.strip()!r}: the model's alphabet has no {c!r}")
            made = self._state()
            self.arcs[made].append((self._label_of[c], then))
            then = made
        return then

    def build(self, expression: Expression, then: int) -> int:
        """An expression, then what the state accepts."""
        if isinstance(expression, Text):
            return self.text(expression.text, then, expression.where)
        key = (id(expression), then)
        if key in self._made:
            return self._made[key]
        self._kept.append(expression)
        if isinstance(expression, Reference):
            return self._reference(expression, then)
        made = self._made[key] = self._build(expression, then)
        return made

    def _build(self, expression: Expression, then: int) -> int:
        if isinstance(expression, Sequence):
            for item in reversed(expression.items):
                then = self.build(item, then)
            return then
        if isinstance(expression, Wildcard):
            return self.filler(then)
        if isinstance(expression, Loop):
            again = self._state()
            first = self.build(expression.body, again)
            self.free[again] += [first, then]
            return first if expression.least else again
        if isinstance(expression, Slot):
            return self.union([self.build(form, then) for form in expression.values.spoken()])
        assert isinstance(expression, Alternative)
        return self.union([self.build(item, then) for item in expression.items])

    def _reference(self, reference: Reference, then: int) -> int:
        """A rule that contains itself: at its end it is a loop, before its end it would have to count."""
        if self._open.get(id(reference), then) != then:
            raise GrammarError(
                f"the rule {reference.name} contains itself before its end; only at the end of a rule may it do so"
            )
        made = self._made[id(reference), then] = self._state()
        self._open[id(reference)] = then
        assert reference.target is not None
        self.free[made].append(self.build(reference.target, then))
        del self._open[id(reference)]
        return made

    # ---- from there to a minimal automaton ------------------------------------------------------------------------

    def automaton(self, start: int) -> Automaton:
        """What a state accepts."""
        arcs, final = self._deterministic(start)
        return _arrays(*_minimal(arcs, final))

    def _closure(self, places: Iterable[Place]) -> frozenset[Place]:
        """The places with those that they lead to without a label, spaces taken as gaps."""
        found = set(places)
        stack = list(found)
        while stack:
            state, kind = stack.pop()
            following = [(other, kind) for other in self.free[state]]
            gap = GAP if kind in (WORD, GAP) else kind
            following += [(other, gap) for label, other in self.arcs[state] if label == self.space]
            for place in following:
                if place not in found:
                    found.add(place)
                    stack.append(place)
        return frozenset(found)

    def _deterministic(self, start: int) -> tuple[list[dict[int, int]], list[bool]]:
        first = self._closure([(start, START)])
        number, waiting = {first: 0}, deque([first])
        arcs: list[dict[int, int]] = []
        final: list[bool] = []
        while waiting:
            subset = waiting.popleft()
            final.append(any(state == self.end and kind in (WORD, GAP) for state, kind in subset))
            leads: dict[int, set[Place]] = {}
            for state, kind in subset:
                for label, other in self.arcs[state]:
                    if label == self.space:
                        continue
                    if kind == GAP:
                        leads.setdefault(self.space, set()).add((state, OPENED))
                    else:
                        leads.setdefault(label, set()).add((other, WORD))
            arcs.append({})
            for label, places in leads.items():
                following = frozenset(places) if label == self.space else self._closure(places)
                if following not in number:
                    if len(number) >= MAX_STATES:
                        raise GrammarError(f"the grammar takes more than {MAX_STATES:,} states")
                    number[following] = len(number)
                    waiting.append(following)
                arcs[-1][label] = number[following]
        return arcs, final


def _minimal(arcs: list[dict[int, int]], final: list[bool]) -> tuple[list[dict[int, int]], list[bool], int]:
    """States that accept the same as one, those from which no sentence ends left out; and the start."""
    arcs, alive = _useful(arcs, final)
    block = [int(f) for f in final]
    n_blocks = 0
    while True:
        names: dict[object, int] = {}
        refined = [
            names.setdefault((block[s], tuple(sorted((label, block[t]) for label, t in arcs[s].items()))), len(names))
            for s in range(len(arcs))
        ]
        if len(names) == n_blocks:
            break
        block, n_blocks = refined, len(names)
    made: list[dict[int, int]] = [{} for _ in range(n_blocks)]
    is_final = [False] * n_blocks
    keep = [False] * n_blocks
    for s, leads in enumerate(arcs):
        made[block[s]] = {label: block[t] for label, t in leads.items()}
        is_final[block[s]] = final[s]
        keep[block[s]] = keep[block[s]] or s in alive
    number = {b: i for i, b in enumerate(b for b in range(n_blocks) if keep[b])}
    kept = [{label: number[t] for label, t in made[b].items()} for b in number]
    return kept, [is_final[b] for b in number], number[block[0]]


def _useful(arcs: list[dict[int, int]], final: list[bool]) -> tuple[list[dict[int, int]], set[int]]:
    """The arcs to states from which a sentence can end, and these states with the start."""
    before: list[list[int]] = [[] for _ in arcs]
    for s, leads in enumerate(arcs):
        for t in leads.values():
            before[t].append(s)
    stack = [s for s, ends in enumerate(final) if ends]
    alive = set(stack)
    while stack:
        for s in before[stack.pop()]:
            if s not in alive:
                alive.add(s)
                stack.append(s)
    kept = [{label: t for label, t in leads.items() if t in alive} for leads in arcs]
    return kept, alive | {0}


def _arrays(arcs: list[dict[int, int]], final: list[bool], start: int) -> Automaton:
    pairs = [sorted(leads.items()) for leads in arcs]
    first = np.cumsum([0, *map(len, pairs)], dtype=np.int32)
    flat = np.array([pair for row in pairs for pair in row], np.int32).reshape(-1, 2)
    return Automaton(
        first, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]), np.array(final, np.uint8), start
    )
