# SPDX-License-Identifier: Apache-2.0
"""A file that keeps its errors: libsndfile, which calls back to read, takes them for the file's end."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class KeptErrors:
    """A binary file to be read. After an error it is at its end, and `error` is what happened first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: Any = file
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readinto(self, room: Any) -> int:
        """Bytes that were read into `room`."""
        try:
            if hasattr(self._file, "readinto"):
                return int(self._file.readinto(room) or 0)
            data = self._file.read(len(room))
        except OSError as error:
            self.error = self.error or error
            return 0
        room[: len(data)] = data
        return len(data)

    def seek(self, at: int, whence: int = io.SEEK_SET) -> int:
        """The place that it is at now."""
        try:
            return int(self._file.seek(at, whence))
        except ValueError:  # before the file's beginning, where libsndfile looks for a damaged header: it stays
            return self.tell()
        except OSError as error:
            self.error = self.error or error
            return 0

    def tell(self) -> int:
        """The place that it is at."""
        try:
            return int(self._file.tell())
        except OSError as error:
            self.error = self.error or error
            return 0

    def check(self) -> None:
        """Raises the OSError that was kept."""
        if self.error is not None:
            raise self.error
