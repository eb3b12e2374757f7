# SPDX-License-Identifier: Apache-2.0
"""Model files of DeepSpeech's and Coqui's, mapped the first time they are opened and kept from then on.

What comes of NAME is kept as NAME.nna beside it, where libdeepspeech.so finds it, too, or in the user's cache under the
checksum of NAME. Its metadata tell the source's size, time and SHA-256: as long as size and time are the same the file
is not read again; else its checksum decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynna.saving import whole_file

MAGIC = b"\x89NNA\r\n\x1a\n"
_MAX_METADATA = 1 << 20


def user_cache() -> Path:
    """The folder that ``PYNNA_CACHE`` names, or pynna's own in the user's cache."""
    named = os.environ.get("PYNNA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "pynna"


def mapped_model(path: Path, alphabet: Path | None = None) -> Path:
    """The mapped model of a file: itself, what was made of it before, or what is made of it now.

    Parameters
    ----------
    path : Path
        A .nna file, or of any kind that `pynna.mapping.load_weights` reads.
    alphabet : Path, optional
        DeepSpeech 0.5's alphabet.txt, of models that hold none.

    Raises
    ------
    OSError
        No such file.
    PynnaError
        It cannot be mapped.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return path
    key = _Key(path, alphabet)
    for place in (key.beside, key.noted()):
        if place is not None and key.made(place):
            return place
    kept = user_cache() / f"{key.checksum}.nna"
    if not kept.is_file():
        kept = _map(path, alphabet, key)
    if kept != key.beside:
        key.note()
    return kept


def mapped_buffer(data: bytes) -> bytes:
    """The bytes of a mapped model: those given, or what is made of them once and kept in the user's cache.

    Raises
    ------
    PynnaError
        They are of no model that can be mapped.
    """
    if data.startswith(MAGIC):
        return data
    kept = user_cache() / f"{hashlib.sha256(data).hexdigest()}.nna"
    if not kept.is_file():
        from pynna.mapping import map_model

        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "buffer"
            source.write_bytes(data)
            kept.parent.mkdir(parents=True, exist_ok=True)
            map_model(source, kept, report=False)
    return kept.read_bytes()


class _Key:
    """What tells one state of a source from another."""

    def __init__(self, path: Path, alphabet: Path | None) -> None:
        self.path, self.alphabet = path, alphabet
        about = path.stat()
        self.stat = [about.st_size, about.st_mtime_ns]
        self.labels = "" if alphabet is None else hashlib.sha256(alphabet.read_bytes()).hexdigest()
        self.beside = path.with_name(path.name + ".nna")
        self._checksum = ""

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, and of the alphabet that goes with it; computed when first asked for."""
        if not self._checksum:
            digest = hashlib.sha256()
            with self.path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            digest.update(self.labels.encode())
            self._checksum = digest.hexdigest()
        return self._checksum

    def metadata(self) -> dict[str, Any]:
        """What a mapped model's metadata say of its source."""
        return {"source_sha256": self.checksum, "source_stat": self.stat, "source_labels": self.labels}

    def made(self, place: Path) -> bool:
        """Whether a mapped model was made of this."""
        metadata = read_metadata(place)
        if metadata is None:
            return False
        if "source_sha256" not in metadata:  # by hand, with `pynna map`
            return place == self.beside and place.stat().st_mtime_ns >= self.stat[1]
        if metadata.get("source_labels", "") != self.labels:
            return False
        return metadata.get("source_stat") == self.stat or metadata["source_sha256"] == self.checksum

    def _note_path(self) -> Path:
        seen = json.dumps([str(self.path.absolute()), self.stat, self.labels])
        return user_cache() / f"{hashlib.sha256(seen.encode()).hexdigest()[:32]}.key"

    def noted(self) -> Path | None:
        """Where this state of the file was found to be kept before, without reading all of it again."""
        try:
            checksum = self._note_path().read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return user_cache() / f"{Path(checksum).name}.nna"

    def note(self) -> None:
        """Remembers its checksum."""
        try:
            user_cache().mkdir(parents=True, exist_ok=True)
            with whole_file(self._note_path()) as out:
                out.write(self.checksum)
        except OSError:
            return  # it is computed again next time


def _map(path: Path, alphabet: Path | None, key: _Key) -> Path:
    from pynna.mapping import load_weights, map_model, read_alphabet

    labels = None if alphabet is None else read_alphabet(alphabet.read_text("utf-8"))
    weights = load_weights(path, labels)
    print(f"pynna: maps {path.name} once ({weights.n_parameters / 1e6:.0f} M weights)", file=sys.stderr)
    weights = replace(weights, metadata={**weights.metadata, **key.metadata()})
    kept = user_cache() / f"{key.checksum}.nna"
    for place in (key.beside, kept):
        if place == key.beside and not os.access(path.parent, os.W_OK):
            continue
        if place == key.beside and place.exists() and read_metadata(place) is None:
            continue  # somebody else's file
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            map_model(weights, place, report=False)
            return place
        except OSError:
            if place == kept:
                raise
    return kept


def read_metadata(path: Path) -> dict[str, Any] | None:
    """The metadata of a .nna file, without checking the rest of it; None for what is none."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
            if len(head) < 32 or not head.startswith(MAGIC):
                return None
            for _ in range(min(struct.unpack_from("<I", head, 24)[0], 64)):
                name, offset, size = struct.unpack("<32sQQ", file.read(48))
                if name.rstrip(b"\0") in (b"metadata", b"provenance") and size <= _MAX_METADATA:
                    file.seek(offset)
                    metadata = json.loads(file.read(size) or b"{}")
                    return metadata if isinstance(metadata, dict) else None
    except (OSError, ValueError, struct.error):
        return None
    return None
