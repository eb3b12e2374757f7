# SPDX-License-Identifier: Apache-2.0
"""The training's configuration: one TOML file, and the working directory that holds all that is made."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
DEFAULT = Path(__file__).with_name("config.toml")


@dataclass(frozen=True)
class Config:
    """Settings of a run.

    Attributes
    ----------
    settings : dict
        The parsed TOML file.
    work : Path
        Directory of everything that is made: text, clips, features, checkpoints, exports.
    """

    settings: dict[str, Any]
    work: Path
    _folders: dict[str, Path] = field(default_factory=dict, repr=False)

    def __getitem__(self, section: str) -> Any:
        return self.settings[section]

    def folder(self, name: str) -> Path:
        """Folder `name` of the working directory, made if need be."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def load(path: Path | None, work: Path) -> Config:
    """Read a configuration file (the package's own for None)."""
    with open(path or DEFAULT, "rb") as file:
        return Config(tomllib.load(file), Path(work))
