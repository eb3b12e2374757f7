# SPDX-License-Identifier: Apache-2.0
"""What hot words are defined to add to a text, and such words drawn at random."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st


def bonus_of(text: str, boosts: Mapping[str, float]) -> float:
    """From the left, at each word the longest phrase that stands there as whole words; its words are used up."""
    words, at, total = text.split(" "), 0, 0.0
    while at < len(words):
        here = [phrase for phrase in boosts if words[at:][: phrase.count(" ") + 1] == phrase.split(" ")]
        longest = max(here, key=len, default=None)
        total += boosts[longest] if longest else 0.0
        at += longest.count(" ") + 1 if longest else 1
    return total


phrases = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3).map(" ".join)
boosts_of_phrases = st.dictionaries(phrases, st.integers(-8, 8).map(float), max_size=6)
