# SPDX-License-Identifier: Apache-2.0
"""What is heard once and kept in files, so that a long test goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pynna import _core
from pynna.saving import whole_file

Row = dict[str, Any]
Heard = TypeVar("Heard")

PACKAGE = Path(__file__).parents[2]
HEARS = (
    "audio/*.py", "decoding/*.py", "grammar/*.py", "grammar/data/*", "mapping/*.py", "streaming/*.py",
    "distance.py", "model.py", "network.py", "train/evaluation/recognise.py",
)  # fmt: skip
"""Of the package, what its hearing depends on, besides the compiled core; `mapping` has the float network."""


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
                with whole_file(self.path) as file:
                    file.write(json.dumps(self.rows, indent=1) + "\n")
        return self.rows[key]


class KeptResults:
    """Results of recordings, in a folder, a file for each set of recordings that is heard in one way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, what: str, make: Callable[[], list[Heard]]) -> list[Heard]:
        """Those of `what`; made, and written, where there are none."""
        path = self.folder / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.pickle"
        if path.exists():
            return list(pickle.loads(path.read_bytes()))
        results = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path, "wb") as file:
            file.write(pickle.dumps(results))
        return results


def digest_of(*files: Path) -> str:
    """What tells a model's files, the words beside it, and the code that hears with them, from any others: 8
    hexadecimal digits."""
    words = [path for file in files if (path := file.with_suffix(".arpa.gz")).exists()]
    code = sorted(path for pattern in HEARS for path in PACKAGE.glob(pattern))
    digest = hashlib.sha256()
    for path in (*files, *words, *code, Path(_core.__file__)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:8]
