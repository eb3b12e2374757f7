# SPDX-License-Identifier: Apache-2.0
"""Figures that are made once and kept in a file, so that a long test goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Kept:
    """Figures in a JSON file, each by a name and a digest of what was heard."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self.rows: dict[str, Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def of(self, name: str, digest: str, make: Callable[[], Row]) -> Row:
        """A row; made, and written, where there is none. Threads may ask for different rows at once."""
        key = f"{name} {digest}"
        if key not in self.rows:
            row = make()
            with self._lock:
                self.rows[key] = row
                temporary = self.path.with_suffix(".tmp")
                temporary.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
                os.replace(temporary, self.path)
        return self.rows[key]


def digest_of(path: Path) -> str:
    """What tells a file from any other: 8 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
