# SPDX-License-Identifier: Apache-2.0
"""How messages tell where something stands, and what it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def where(text: Any, file: str) -> str:
    """ "file:line: " of a text that knows its line."""
    line = getattr(text, "line", None)
    file = getattr(text, "file", "") or file
    return f"{file}:{line}: " if line else f"{file}: " if file else ""


def short(text: Any) -> str:
    """A text in quotes, as a message can tell it."""
    text = str(text)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def bare(name: Any) -> str:
    """A name without quotes, as a message can tell it: in one line, whatever it holds."""
    return short(name)[1:-1]


def are(names: Iterable[str], kind: str) -> str:
    """ "are a, b" of the names that there are."""
    known = sorted(bare(name) for name in names)
    if not known:
        return f"are no {kind}s"
    return f"{'is' if len(known) == 1 else 'are'} {', '.join(known[:12])}" + (", ..." if len(known) > 12 else "")
