# SPDX-License-Identifier: Apache-2.0
"""Marks that a result and the grammar that reads it share: letters heard in the filler."""

from __future__ import annotations

FIRST_FILLER, LAST_FILLER = 0xE000, 0xF8FF
"""The first is added to the code of a letter that was heard in the filler, for `Grammar.parse`: Unicode's private use
area, which ends at the second."""


def filler_text(text: str) -> str:
    """Text marked as heard in the filler."""
    return "".join(chr(FIRST_FILLER + ord(c)) for c in text)
