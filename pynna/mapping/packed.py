# SPDX-License-Identifier: Apache-2.0
"""Releases as they are packed: a zip or a tar (gzip, bzip2, xz) with a model, and often an alphabet, in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pynna.errors import MappingError

MAX_MEMBERS, MAX_BYTES, MAX_HEADER = 10_000, 4 << 30, 1 << 24
MAX_RATIO = 1032  # of what deflate makes shorter
_PREFERRED = (".pb", ".pbmm", ".tflite", ".index", ".onnx", ".pt", ".pth", ".safetensors", ".npz")  # float ones first
_COMPANIONS = ("alphabet.txt",)


class _Tar:
    """A tar's bytes, unpacked: no header is longer than MAX_HEADER, whatever it says."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(6)
        kinds = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
        opened = next((kind for start, kind in kinds if head.startswith(start)), open)
        self.file = cast(IO[bytes], opened(path, "rb"))
        self.seek, self.tell, self.close = self.file.seek, self.file.tell, self.file.close

    def read(self, size: int) -> bytes:
        if size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


def check_sizes(archive: zipfile.ZipFile) -> None:
    """That no file in a zip is longer than the zip can hold.

    Raises
    ------
    zipfile.BadZipFile
    """
    file = archive.fp
    total = 0 if file is None else file.seek(0, 2)
    for info in archive.infolist():
        packed = info.compress_size
        most = packed if info.compress_type == zipfile.ZIP_STORED else packed * MAX_RATIO
        if info.header_offset + packed > total or info.file_size > most:
            raise zipfile.BadZipFile(f"{info.filename} is longer than the archive holds")


def is_tar(head: bytes, path: Path) -> bool:
    """Whether a file is a tar, packed or not."""
    packed = head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))
    return (
        head[257:262] == b"ustar"
        or packed
        and (path.name.lower().endswith((".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz")) or tarfile.is_tarfile(path))
    )


def zip_names(path: Path) -> list[str]:
    """Names in a zip; empty for what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()[:MAX_MEMBERS]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        return []


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The model file of a release, unpacked with its alphabet into a folder that goes away afterwards.

    Raises
    ------
    MappingError
        No model in it, more bytes than 4 GiB, or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="pynna-") as folder:
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    check_sizes(archive)
                    sizes = {
                        info.filename: info.file_size for info in archive.infolist()[:MAX_MEMBERS] if not info.is_dir()
                    }
                    found = _extract(sizes, archive.open, Path(folder))
            else:
                with closing(_Tar(path)) as inner, tarfile.open(fileobj=cast(IO[bytes], inner), mode="r:") as packed:
                    members = {m.name: m for m, _ in zip(packed, range(MAX_MEMBERS), strict=False) if m.isfile()}
                    found = _extract(
                        {n: m.size for n, m in members.items()},
                        lambda name: packed.extractfile(members[name]),
                        Path(folder),
                    )
        except (
            tarfile.TarError,
            zipfile.BadZipFile,
            EOFError,
            OSError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            LookupError,
        ) as error:
            if isinstance(error, MappingError):
                raise
            raise MappingError(f"{path}: the archive is damaged ({error})") from None
        except Exception as error:  # zlib.error and lzma.LZMAError have no common root
            if type(error).__module__ not in ("zlib", "_lzma", "lzma"):
                raise
            raise MappingError(f"{path}: the archive is damaged ({error})") from None
        yield found


def _extract(sizes: dict[str, int], open_member: Callable[[str], IO[bytes] | None], folder: Path) -> Path:
    def rank(name: str) -> tuple[int, int, str]:
        return _PREFERRED.index(PurePosixPath(name).suffix.lower()), len(name), name

    models = sorted((n for n in sizes if PurePosixPath(n).suffix.lower() in _PREFERRED), key=rank)
    if not models:
        few = ", ".join(list(sizes)[:6]) or "nothing"
        raise MappingError(f"no model in the archive, which holds {few}; {', '.join(_PREFERRED)} files can be mapped")
    chosen = models[0]
    stem = PurePosixPath(chosen).with_suffix("")
    wanted = [
        chosen,
        *(n for n in sizes if PurePosixPath(n).name in _COMPANIONS),
        *(n for n in sizes if chosen.endswith(".index") and n.startswith(f"{stem}.data-")),
    ]
    if sum(sizes[name] for name in wanted) > MAX_BYTES:
        raise MappingError(f"{chosen} has more than {MAX_BYTES >> 30} GiB")
    left = MAX_BYTES
    for name in wanted:
        member = open_member(name)
        if member is None:
            raise MappingError(f"{name} cannot be read from the archive")
        with member, (folder / PurePosixPath(name).name).open("wb") as out:
            while chunk := member.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise MappingError(f"{name} is larger than the archive says")
                out.write(chunk)
    return folder / PurePosixPath(chosen).name
