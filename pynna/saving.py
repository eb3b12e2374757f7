# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pynna.errors import ArgumentError, MissingFileError


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """A file to be written, "w" (UTF-8) or "wb", that takes its place by a rename when all of it is on the disk.

    Until then, and after an error or the process's end, there is what was there before. A terminal, a pipe or a device
    is written to as it stands.

    Raises
    ------
    OSError
        The place cannot be written.
    """
    encoding = None if "b" in mode else "utf-8"
    target = Path(os.path.realpath(path))  # a link stays one
    if target.exists() and not target.is_file():
        with target.open(mode, encoding=encoding) as out:
            yield out
        return
    beside = target.with_name(f".pynna-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        try:
            out = beside.open(mode, encoding=encoding)
        except OSError as error:  # what stands beside it is nobody's business
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        with out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def check_place(path: str | os.PathLike[str], *sources: Any) -> None:
    """Raises before work is done for a file that could not be written, or that would take the place of what it is made
    of; a source that is no path is passed over.

    Raises
    ------
    MissingFileError
        There is no such folder.
    ArgumentError
        One of the sources is the same file.
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise MissingFileError(f"{place}: no such folder as {place.parent}")
    for source in sources:
        is_file = isinstance(source, (str, os.PathLike)) and place.is_file() and Path(source).is_file()
        if is_file and place.samefile(Path(source)):
            raise ArgumentError(f"what is written must be another file than what is read, got {place} for both")
