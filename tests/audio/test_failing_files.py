# SPDX-License-Identifier: Apache-2.0
"""A file that cannot be read on is no file that is cut short: the error is told."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pynna.audio import files
from pynna.audio.files import read, read_in_pieces
from pynna.audio.kept_errors import KeptErrors
from pynna.errors import AudioError


class Failing(io.BytesIO):
    """A file whose calls fail from a number on."""

    def __init__(self, data: bytes, left: int) -> None:
        super().__init__(data)
        self.left = left

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, "Input/output error")

    def readinto(self, room: Any) -> int:
        self._count()
        return super().readinto(room)

    def read(self, n: int | None = -1) -> bytes:
        self._count()
        return super().read(n)

    def seek(self, at: int, whence: int = 0) -> int:
        self._count()
        return super().seek(at, whence)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.filterwarnings("error")  # none that is told on standard error alone
def test_an_error_in_the_middle_is_told(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 9000), 16000, format=kind)
    data, want = path.read_bytes(), read(path).pcm
    for left in range(1000):
        for pieces in (False, True):
            file = Failing(data, left)
            try:
                got = np.concatenate(list(read_in_pieces(file, []))) if pieces else read(file).pcm
            except AudioError as error:
                assert "Input/output error" in str(error)
            else:
                assert np.array_equal(got, want)
        if file.left >= 0:
            break
    assert left > 3


@pytest.mark.filterwarnings("error")
def test_a_length_that_the_disk_refuses_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile calls back to ask where a file ends: what is raised there would be printed, and taken for its end."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1600, np.int16), 16000)
    assert files.seconds_of(path) == 0.1

    class Broken(io.FileIO):
        def tell(self) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "open", lambda path, mode: Broken(path), raising=False)
    assert files.seconds_of(path) is None


def test_who_looks_before_a_files_beginning_stays_where_he_is() -> None:
    """libsndfile does in damaged MP3 files; what is raised there would be printed."""
    file = KeptErrors(io.BytesIO(b"abc"))
    assert file.seek(2) == 2 and file.seek(-1) == 2 and file.seek(-9, io.SEEK_END) in (0, 2)
    file.check()
