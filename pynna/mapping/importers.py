"""Which importer reads which file: by its suffix, or else by its first bytes."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pynna.errors import MappingError
from pynna.mapping.deepspeech import import_graph
from pynna.mapping.npz import import_npz
from pynna.mapping.weights import Weights

Read = Callable[..., Weights]


@dataclass(frozen=True)
class Importer:
    """A kind of file.

    Attributes
    ----------
    name : str
        For messages.
    suffixes : tuple of str
        Lower case, with the dot.
    read : callable (path, alphabet=None) -> Weights
    magic : bytes
        First bytes of such a file; empty where there are none to go by.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Read
    magic: bytes = b""


_IMPORTERS: list[Importer] = []


def register(importer: Importer) -> None:
    """Adds a kind of file; the latest is asked first."""
    _IMPORTERS.insert(0, importer)


register(Importer("DeepSpeech graph", (".pb",), import_graph))
register(Importer("NumPy archive", (".npz",), import_npz, b"PK\x03\x04"))


def suffixes() -> tuple[str, ...]:
    """Of all the kinds of file that can be read."""
    return tuple(sorted({suffix for importer in _IMPORTERS for suffix in importer.suffixes}))


def load_weights(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a trained network from a file of any known kind.

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank, where the file does not hold them or they shall be others.

    Raises
    ------
    MappingError
        A file of no known kind, or one that its importer refuses.
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    suffix = Path(path).suffix.lower()
    for importer in _IMPORTERS:
        if suffix in importer.suffixes:
            return importer.read(path, alphabet)
    for importer in _IMPORTERS:
        if importer.magic and head.startswith(importer.magic):
            return importer.read(path, alphabet)
    raise MappingError(f"{os.fspath(path)}: no kind of model known here; {', '.join(suffixes())} files can be mapped")
