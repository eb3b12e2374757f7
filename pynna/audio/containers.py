# SPDX-License-Identifier: Apache-2.0
"""What is wrong with audio files that people have, and what to do about it: WAV headers that lie, formats that are not
read here."""

from __future__ import annotations

import io
import os
import re
import shlex
import struct
from typing import Any, BinaryIO, NamedTuple

from pynna.errors import AudioError

_FOREIGN = (
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (4, b"ftyp", "MP4 or M4A"),
    (0, b"\x30\x26\xb2\x75", "Windows Media Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"FORM", ""),  # AIFF is read
)
_UNKNOWN_SIZE = 0x7FF00000  # what writes to a pipe puts 2^31 or 2^32 less a little into the header
_CHUNK_LETTERS = frozenset(b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


STANDARD_INPUT = "standard input"
"""What messages call it."""


class Mended(NamedTuple):
    """A WAV file with a header that is true, and what was wrong, one sentence each."""

    file: BinaryIO
    notes: tuple[str, ...]


def foreign_format(start: bytes) -> str:
    """The format of a file that libsndfile does not read, by its first bytes; empty if it is none of those known."""
    return next((name for at, magic, name in _FOREIGN if start[at : at + len(magic)] == magic), "")


def how_to_read(name: str, start: bytes) -> str:
    """What is right for a file that is no audio with a header."""
    found = foreign_format(start)
    source = "-" if name == STANDARD_INPUT else shlex.quote(name)
    convert = f"`ffmpeg -i {source} -ar 16000 -ac 1 out.wav` makes a file that is read"
    if found:
        return f"{found} is not read here; {convert}"
    if os.path.splitext(name)[1].lower() in (".raw", ".pcm", ".s16", ".sw", ".snd"):
        return "raw samples have no header that tells their rate; `--raw 16000` does"
    return (
        f"no audio format with a header (WAV, FLAC, OGG or MP3 is needed); {convert}, and `--raw 16000` reads raw PCM"
    )


def reason_of(error: Exception) -> str:
    """What is told of an error of the system's or of libsndfile's."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    text = re.sub(r"^Error\s*(in [^:]*)?:\s*", "", " ".join(str(text).split()))
    if text.startswith("File does not exist"):  # libsndfile's words for an MP3 without a frame
        text = "Format not recognised."
    return text


def mend_wav(file: BinaryIO, name: str, strict: bool = False) -> Mended | None:
    """A WAV file whose header tells a wrong size, with a right one; None where there is nothing to mend.

    Parameters
    ----------
    file : binary file, seekable
        Its position is put back.
    name : str
        For messages.
    strict : bool
        Refuse what can be mended.

    Raises
    ------
    AudioError
        Strictly: the file is not as its header says.
    """
    here = file.tell()
    try:
        mended = _mended(file, here)
    finally:
        file.seek(here)
    if mended is not None and strict:
        raise AudioError(f"{name}: {mended.notes[0]}")
    return mended


def _mended(file: BinaryIO, start: int) -> Mended | None:
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    end = file.seek(0, os.SEEK_END)
    file.seek(start + 12)
    fmt = b""
    while len(chunk := file.read(8)) == 8:
        kind, size = chunk[:4], int(struct.unpack("<I", chunk[4:])[0])
        if kind == b"data":
            return _mended_data(file, fmt, size, end) if len(fmt) >= 16 else None
        if kind == b"fmt ":
            fmt = file.read(size)
            file.seek(size & 1, os.SEEK_CUR)
        else:
            file.seek(size + (size & 1), os.SEEK_CUR)
    return None


def _mended_data(file: BinaryIO, fmt: bytes, size: int, end: int) -> Mended | None:
    at = file.tell()
    n_there, block = end - at, max(1, struct.unpack_from("<H", fmt, 12)[0])
    if size == 0 and n_there:
        note = "its header tells no length, as when a recorder is stopped: all that follows is taken"
        return _rewritten(file, fmt, n_there, block, note)
    if size >= _UNKNOWN_SIZE or n_there == 0:
        return None
    if size > n_there:
        note = f"cut short: {size} bytes are promised by its header and {n_there} are there"
        return _rewritten(file, fmt, n_there, block, note)
    after = at + size + (size & 1)
    if after >= end:
        return None
    file.seek(at + size)
    behind = file.read(9)[size & 1 :][:8]
    if behind[:4] == b"RIFF":
        file.seek(at)
        return _rewritten(file, fmt, size, block, "another recording follows in the same file: only the first is taken")
    if len(behind) == 8 and _is_chunk(behind, end - after):
        return None
    if not any(behind) and end - after < 4096:  # padding
        return None
    file.seek(at)
    note = f"its header promises {size} bytes and {n_there} are there: all of them are taken"
    return _rewritten(file, fmt, n_there, block, note)


def _is_chunk(head: bytes, n_left: int) -> bool:
    """Whether bytes begin a further chunk."""
    size = int(struct.unpack("<I", head[4:])[0])
    return _CHUNK_LETTERS.issuperset(head[:4]) and size <= n_left


def _rewritten(file: BinaryIO, fmt: bytes, size: int, block: int, note: str) -> Mended:
    """The samples behind a header that is true."""
    at, n_left = file.tell(), size % block
    notes = [note]
    if n_left:
        n, are = ("1 byte", "is") if n_left == 1 else (f"{n_left} bytes", "are")
        notes.append(f"{n} of an unfinished sample at its end {are} left out")
    size -= n_left
    fmt += b"\0" * (len(fmt) & 1)
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", min(size, 0xFFFFFFFF))
    riff = b"RIFF" + struct.pack("<I", min(len(head) + size, 0xFFFFFFFF))
    return Mended(io.BufferedReader(_Headed(riff + head, file, at, size)), tuple(notes))


class _Headed(io.RawIOBase):
    """A header, and behind it a stretch of a file, read from there when it is asked for."""

    def __init__(self, head: bytes, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._head, self._file, self._start, self._size = head, file, start, len(head) + size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        if self._at < len(self._head):
            data = self._head[self._at : self._at + wanted]
        else:
            self._file.seek(self._start + self._at - len(self._head))
            data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
