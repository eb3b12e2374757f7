# SPDX-License-Identifier: Apache-2.0
"""What a command prints: plain tables, or everything as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any


class Table:
    """Rows of texts under headings; all but the first column to the right where they are numbers."""

    def __init__(self, *headings: str) -> None:
        self.headings = headings
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """A row, a cell for each heading."""
        self.rows.append(cells)

    def __str__(self) -> str:
        rows = [self.headings, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.headings))]
        numeric = [all(_is_number(row[i]) for row in self.rows) for i in range(len(self.headings))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            ).rstrip()
            for row in rows
        )


def _is_number(cell: str) -> bool:
    return not cell.strip("-") or cell[0].isdigit() or cell[0] == "-"


def emit(arguments: argparse.Namespace, values: dict[str, Any], *parts: object) -> None:
    """Prints `values` as JSON, or else the parts, a blank line between them and a table."""
    if arguments.json:
        print(json.dumps({"machine": machine(), **values}, indent=1, default=float))
        return
    for part in parts:
        print(f"\n{part}\n" if isinstance(part, Table) else part)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def machine_line() -> str:
    """The same in a line."""
    m = machine()
    return f"{m['processor']}, {m['cores']} cores, {m['system']}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith(("model name", "Model", "Hardware")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
