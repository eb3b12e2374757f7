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
        with beside.open(mode, encoding=encoding) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
