# SPDX-License-Identifier: Apache-2.0
"""The table of what is fuzzed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynna.errors import PynnaError

CORPUS = Path(__file__).parent / "corpus"


class Finding(Exception):
    """Something that must not happen."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed: how it is run, what it starts from, the words of its format."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()


TARGETS: dict[str, Target] = {}


def target(own_seeds: Callable[[], list[bytes]], *words: bytes) -> Callable[[Callable[[bytes], Any]], None]:
    """Registers a function: what it raises beside PynnaError is a finding."""

    def register(function: Callable[[bytes], Any]) -> None:
        name = function.__name__.lstrip("_")

        def run(data: bytes) -> None:
            with warnings.catch_warnings(), contextlib.suppress(PynnaError):
                warnings.simplefilter("ignore")
                function(data)

        def kept() -> list[bytes]:
            folder = CORPUS / name
            return own_seeds() + [path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()]

        TARGETS[name] = Target(name, run, kept, words)

    return register
