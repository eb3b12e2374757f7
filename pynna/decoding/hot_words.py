# SPDX-License-Identifier: Apache-2.0
"""Words and phrases that are expected: a boost for each, spread over its letters so that they survive the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pynna.errors import ArgumentError
from pynna.grammar.normalise import normalise

START, INSIDE = 0, 1  # states: at the start of a word; in a word that begins no phrase
MAX_LETTERS, MAX_BOOST = 100_000, 1000


@dataclass
class _Node:
    """A phrase as far as it was heard."""

    text: str
    depth: int = 0
    boost: float | None = None  # of the phrase that ends here
    potential: float = 0.0  # added so far, to be taken back unless a phrase is completed
    kept: float = 0.0  # the boost of the longest phrase completed on the way here, a space behind it
    kept_end: int = 0  # where that phrase ends, its space included
    children: dict[int, int] = field(default_factory=dict)
    resume: int = INSIDE  # where matching goes on if the text turns out to be no phrase
    resume_bonus: float = 0.0  # and what has been added then for the text behind the words that are used up


class HotWords:
    """An automaton over labels, for the words of `_core.Words`.

    A phrase counts where it stands as whole words, as often as it is said; of phrases that begin at the same word the
    longest, and words that it took are not looked at again. A letter adds its share of the boost, and what was added
    is taken back as soon as the phrase can no longer come.

    Parameters
    ----------
    boosts : mapping of str to float
        Words or phrases, as the labels spell them, and what each adds in nats; less than 0 makes it less likely.
    labels : sequence of str
        The network's labels in order; the blank's is empty.

    Attributes
    ----------
    next, bonus, end : int32 [n_states, n_labels], float64 [n_states, n_labels], float64 [n_states]
        The state after a label, the nats that it adds, and those of the text's end.

    Raises
    ------
    ArgumentError
        An empty phrase, one with letters that the labels lack, a boost that is no number of nats up to 1000, too many.
    """

    def __init__(self, boosts: Mapping[str, float], labels: Sequence[str]) -> None:
        self._index = {text: i for i, text in enumerate(labels) if text}
        self._space = self._index.get(" ", -1)
        if self._space < 0:
            raise ArgumentError("hot words need labels with a space, which tells words apart")
        self._nodes = [_Node(""), _Node("")]
        for phrase, boost in boosts.items():
            self._add(self._spelled(phrase), boost)
        shape = (len(self._nodes), len(labels))
        self.next: npt.NDArray[np.int32] = np.zeros(shape, np.int32)
        self.bonus: npt.NDArray[np.float64] = np.zeros(shape)
        self.end: npt.NDArray[np.float64] = np.zeros(len(self._nodes))
        for i in sorted(range(len(self._nodes)), key=lambda i: self._nodes[i].depth):
            self._fill(i)

    def _spelled(self, phrase: str) -> str:
        """A phrase in the labels' letters, numbers as words; as it stands where they spell it so."""
        phrase = " ".join(phrase.split())
        if set(phrase) <= set(self._index):
            return phrase
        return " ".join(normalise(phrase, letters=frozenset(self._index)).split())

    def _add(self, phrase: str, boost: float) -> None:
        number = isinstance(boost, (int, float)) and not isinstance(boost, bool)
        if not number or not -MAX_BOOST <= boost <= MAX_BOOST:  # a NaN is neither
            raise ArgumentError(
                f"hot word {phrase!r}: its boost is {str(boost)[:20]}; -{MAX_BOOST} to {MAX_BOOST} nats is right"
            )
        unknown = sorted(set(phrase) - set(self._index))
        if not phrase or unknown:
            raise ArgumentError(f"hot word {phrase!r}: " + (f"no label is {unknown[0]!r}" if phrase else "empty"))
        at = START
        for depth, letter in enumerate(phrase, 1):
            label = self._index[letter]
            if label not in self._nodes[at].children:
                if len(self._nodes) >= MAX_LETTERS:
                    raise ArgumentError(f"the hot words have more than {MAX_LETTERS:,} letters")
                self._nodes[at].children[label] = len(self._nodes)
                self._nodes.append(_Node(phrase[:depth], depth))
            at = self._nodes[at].children[label]
            share = boost * depth / len(phrase)
            if abs(share) > abs(self._nodes[at].potential):
                self._nodes[at].potential = share
        self._nodes[at].boost = boost

    def _fill(self, i: int) -> None:
        """The row of a state; those of shorter texts are there."""
        node = self._nodes[i]
        if i not in (START, INSIDE):
            self._find_resume(node)
        for label in range(self.next.shape[1]):
            self.next[i, label], self.bonus[i, label] = self._step(i, label)
        if i not in (START, INSIDE):
            rest = node.kept + node.resume_bonus + float(self.end[node.resume])
            self.end[i] = (rest if node.boost is None else node.boost) - node.potential

    def _find_resume(self, node: _Node) -> None:
        """Reads again, from the start of a word, what follows the words that are used up: kept, or just the first."""
        used = node.kept_end or node.text.find(" ") + 1
        if not used:
            return
        node.resume = START
        for letter in node.text[used:]:
            label = self._index[letter]
            node.resume_bonus += float(self.bonus[node.resume, label])
            node.resume = int(self.next[node.resume, label])

    def _step(self, i: int, label: int) -> tuple[int, float]:
        node = self._nodes[i]
        below = node.children.get(label)
        if below is not None:
            child = self._nodes[below]
            if label == self._space and node.boost is not None:
                child.kept, child.kept_end = node.boost, child.depth
            else:
                child.kept, child.kept_end = node.kept, node.kept_end
            return below, child.potential - node.potential
        if i in (START, INSIDE):
            return (START if label == self._space else INSIDE), 0.0
        if label == self._space and node.boost is not None:
            return START, node.boost - node.potential
        back = node.kept - node.potential + node.resume_bonus
        return int(self.next[node.resume, label]), back + float(self.bonus[node.resume, label])
