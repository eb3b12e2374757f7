# SPDX-License-Identifier: Apache-2.0
"""Marks that a result and the grammar that reads it share: letters heard in free speech."""

from __future__ import annotations

FREE, LAST_FREE = 0xE000, 0xF8FF
"""The first is added to the code of a letter that was heard in free speech, for `Grammar.parse`: Unicode's private use
area, which ends at the second."""


def free_text(text: str) -> str:
    """Text marked as heard in free speech."""
    return "".join(chr(FREE + ord(c)) for c in text)
