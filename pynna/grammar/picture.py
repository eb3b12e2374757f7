# SPDX-License-Identifier: Apache-2.0
"""Pictures of grammars: a railroad diagram of each intent's sentences, as SVG."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from html import escape

from .expression import EMPTY, Alternative, Expression, Loop, Reference, Sequence, Slot, Text, ValueList, Wildcard
from .grammar import Grammar

LETTER, HEIGHT, GAP, RADIUS = 7.5, 30, 14, 8
MAX_VALUES = 6
"""Values of a list that are shown, and alternatives within a sentence before the rest is told by number."""

_STYLE = (
    "text{font:13px sans-serif}.w{fill:#eef3fb;stroke:#5b7db1}.s{fill:#fdf3e1;stroke:#b98a35}"
    ".f{fill:#f3e9f7;stroke:#8d5aa5}path{fill:none;stroke:#666}h,.h{font-weight:bold}"
)


@dataclass(frozen=True)
class Box:
    """A part of a diagram: its size, and what is drawn of it at a place; the track goes through its middle."""

    width: float
    height: float
    draw: str  # SVG with {x} as its left end at 0, and its track at y = 0

    def at(self, x: float, y: float) -> str:
        """The part at a place."""
        return f'<g transform="translate({x:.1f},{y:.1f})">{self.draw}</g>'


def svg(grammar: Grammar) -> str:
    """A grammar's sentences as a picture: words in blue, lists in yellow, the filler in violet."""
    rows, y, width = [], 30.0, 300.0
    for intent, expressions in grammar.expressions().items():
        rows.append(f'<text class="h" x="10" y="{y:.0f}">{escape(intent)}</text>')
        y += 24
        for expression in expressions:
            box = _box(expression)
            y += box.height / 2
            rows.append(f'<path d="M10,{y:.1f} h10"/>{box.at(20, y)}<path d="M{20 + box.width:.1f},{y:.1f} h10"/>')
            y += box.height / 2 + GAP
            width = max(width, box.width + 40)
        y += GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y:.0f}"><style>{_STYLE}</style>'
    return f'{head}<rect width="100%" height="100%" fill="white"/>{"".join(rows)}</svg>\n'


def _label(text: str, kind: str) -> Box:
    width = max(24.0, LETTER * len(text) + 16)
    rect = f'<rect class="{kind}" x="0" y="-11" width="{width:.1f}" height="22" rx="{RADIUS}"/>'
    return Box(width, HEIGHT, f'{rect}<text x="8" y="4">{escape(text)}</text>')


def _box(expression: Expression) -> Box:
    if isinstance(expression, Text):
        text = expression.text.strip()
        return _label(text, "w") if text else Box(12, HEIGHT, '<path d="M0,0 h12"/>')
    if isinstance(expression, Slot):
        return _label(f"{expression.name}: {_values(expression.values)}", "s")
    if isinstance(expression, Wildcard):
        return _label(f"{expression.name}: ...", "f")
    if isinstance(expression, Reference):
        return _label(f"<{expression.name.strip('<>')}>", "s")
    if isinstance(expression, Sequence):
        return _row([_box(item) for item in expression.items if item is not EMPTY])
    if isinstance(expression, Loop):
        inner = _box(expression.body)
        back = f'<path d="M{inner.width + 16:.1f},0 v{inner.height / 2 + 6:.1f} h-{inner.width + 8:.1f} V0"/>'
        skip = [] if expression.least else [Box(12, HEIGHT, '<path d="M0,0 h12"/>')]
        looped = Box(inner.width + 24, inner.height + 16,
                     f'<path d="M0,0 h8"/>{inner.at(8, 0)}<path d="M{inner.width + 8:.1f},0 h16"/>{back}')  # fmt: skip
        return _column([looped, *skip]) if skip else looped
    assert isinstance(expression, Alternative)
    items = list(expression.items)
    boxes = [_box(item) for item in items[: 2 * MAX_VALUES]]
    if len(items) > len(boxes):
        boxes.append(_label(f"and {len(items) - len(boxes)} more", "w"))
    return _column(boxes)


def _values(values: ValueList) -> str:
    """The first values of a list, each in its usual form, and how many there are more; of numbers the ends."""
    n = len(values.values)
    if values.are_numbers and n > MAX_VALUES:
        return f"{_said(values.values[0].spoken)} to {_said(values.values[-1].spoken)}, {n:,} numbers"
    more = f", and {n - MAX_VALUES:,} more" if n > MAX_VALUES else ""
    return ", ".join(_said(value.spoken) for value in values.values[:MAX_VALUES]) + more


def _said(expression: Expression) -> str:
    """A value as it is usually said: the first of its forms."""
    if isinstance(expression, Text):
        return " ".join(expression.text.split())
    if isinstance(expression, Alternative):
        return next((said for item in expression.items if (said := _said(item))), "")
    if isinstance(expression, Sequence):
        return " ".join(filter(None, map(_said, expression.items)))
    return f"{{{expression.name}}}" if isinstance(expression, (Slot, Wildcard)) else ""


def _row(boxes: Many[Box]) -> Box:
    x, drawn = 0.0, []
    for box in boxes:
        drawn.append(f'{box.at(x, 0)}<path d="M{x + box.width:.1f},0 h8"/>')
        x += box.width + 8
    return Box(x, max((box.height for box in boxes), default=HEIGHT), "".join(drawn))


def _column(boxes: Many[Box]) -> Box:
    width = max(box.width for box in boxes)
    height = sum(box.height for box in boxes)
    y, drawn = -height / 2, []
    for box in boxes:
        middle = y + box.height / 2
        drawn.append(
            f'<path d="M0,0 C{RADIUS},0 {RADIUS},{middle:.1f} 16,{middle:.1f}"/>{box.at(16, middle)}'
            f'<path d="M{16 + box.width:.1f},{middle:.1f} H{width + 16:.1f} C{width + 24:.1f},{middle:.1f} '
            f'{width + 24:.1f},0 {width + 32:.1f},0"/>'
        )
        y += box.height
    return Box(width + 32, height, "".join(drawn))
