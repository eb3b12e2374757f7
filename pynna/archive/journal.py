# SPDX-License-Identifier: Apache-2.0
"""What is done already, on the disk: after the process is killed at any moment nothing is lost, and nothing done twice.

A recording under way has a file of its own in the output's folder `.pynna`: a line of JSON for each part that is done,
appended when it is. When all parts are there the output is written beside its place, synced, and put there by a rename;
then a line in `done.jsonl` says so, and the file of parts goes. A line that is cut short counts as not written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pynna.errors import ArgumentError, FileReadError, reading

FOLDER, DONE, RUN = ".pynna", "done.jsonl", "run.json"


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Writes a file that is there whole or not at all, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8", newline="") as out:
        for piece in pieces:
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _open_lines(path: Path) -> tuple[BinaryIO, list[Any]]:
    """A file of JSON lines, open to be appended to, and the lines that are whole, as (place, value); what stands behind
    the last of them is taken away."""
    file = path.open("a+b")
    file.seek(0)
    found, end = [], 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        try:
            found.append((end, json.loads(line)))
        except ValueError:
            break
        end += len(line)
    file.truncate(end)
    return file, found


def _settings(run: Path) -> dict[str, Any]:
    """What a run before was asked for."""
    try:
        with reading(run):
            found = json.loads(run.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileReadError(f"{run}: damaged ({error}); without --resume it is begun anew") from None
    return found if isinstance(found, dict) else {}


def _is_part(line: Any) -> bool:
    """Whether a line is one of a part that is done; another one counts as not written."""
    return (
        isinstance(line, dict)
        and type(line.get("part")) is int
        and isinstance(line.get("seconds"), (int, float))
        and isinstance(line.get("segments"), list)
    )


class Parts:
    """The parts of one recording that are done, in memory or in a file.

    Parameters
    ----------
    path : Path, optional
        Where they are kept; in memory unless given.
    about : dict
        What the recording was when it was begun; parts of another one are not taken up.
    """

    def __init__(self, path: Path | None = None, about: dict[str, Any] | None = None) -> None:
        self.path, self._lines, self._places = path, dict[int, bytes](), dict[int, int]()
        self.seconds = 0.0  # of the parts that were there already
        self.total: dict[str, Any] | None = None
        self._file: BinaryIO | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, found = _open_lines(path)
        if found and found[0][1] != {"about": about}:
            self._file.truncate(0)
            found = []
        if not found:
            self._write({"about": about})
        for place, line in found[1:]:
            if _is_part(line):
                self._places[line["part"]] = place
                self.seconds += line["seconds"]

    @property
    def indices(self) -> frozenset[int]:
        """Numbers of the parts that are there."""
        return frozenset(self._places if self._file is not None else self._lines)

    def __len__(self) -> int:
        return len(self._places if self._file is not None else self._lines)

    def _write(self, line: dict[str, Any]) -> int:
        assert self._file is not None
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()  # what is handed to the system outlives the process
        return place

    def add(self, index: int, seconds: float, segments: list[dict[str, Any]]) -> None:
        """A part that is done."""
        line = {"part": index, "seconds": seconds, "segments": segments}
        if self._file is None:
            self._lines[index] = json.dumps(line).encode()
        elif index not in self._places:
            self._places[index] = self._write(line)

    def segments(self) -> Iterator[dict[str, Any]]:
        """The segments of all parts in order, one part in memory at a time."""
        if self._file is None:
            for index in sorted(self._lines):
                yield from json.loads(self._lines[index])["segments"]
            return
        for index in sorted(self._places):
            self._file.seek(self._places[index])
            yield from json.loads(self._file.readline())["segments"]

    def close(self, *, remove: bool = False) -> None:
        """Closes the file, which is not wanted any more or is taken up again later."""
        if self._file is not None and self.path is not None:
            self._file.close()
            if remove:
                self.path.unlink(missing_ok=True)


class Journal:
    """The folder of a run: which recordings are done, and the parts of those under way.

    Parameters
    ----------
    folder : Path
        The output's.
    settings : dict
        What texts depend on: model, options, format.
    resume : bool
        Take up what is there; else it begins anew.

    Raises
    ------
    ArgumentError
        It is to be resumed with other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, resume: bool) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        run = self.folder / RUN
        settings = json.loads(json.dumps(settings))
        before = _settings(run) if resume and run.exists() else None
        if before is not None and before != settings:
            other = ", ".join(key for key in settings if before.get(key) != settings[key])
            raise ArgumentError(f"{folder}: --resume needs the same model and options as before; other: {other}")
        if not resume:
            for path in self.folder.iterdir():
                path.unlink()
        write_whole(run, [json.dumps(settings)])
        self._file, found = _open_lines(self.folder / DONE)
        self._done = {str(line.get("output")): line.get("about") for _, line in found if isinstance(line, dict)}

    def is_done(self, source: str, output: Path) -> bool:
        """Whether the recording, as it is now, is done, and what was made of it is there."""
        if self._done.get(str(output)) != about(source) or not output.exists():
            return False
        self._parts_path(source).unlink(missing_ok=True)  # of who was killed before it could
        return True

    def parts(self, source: str) -> Parts:
        """What is done of a recording. Raises FileReadError where its parts cannot be kept."""
        path = self._parts_path(source)
        try:
            return Parts(path, about(source))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileReadError(f"{path}: the parts of {source} cannot be kept: {error}") from error

    def _parts_path(self, source: str) -> Path:
        name = hashlib.blake2b(os.fsencode(os.path.abspath(source)), digest_size=12).hexdigest()
        return self.folder / f"{name}.parts"

    def finish(self, source: str, output: Path, parts: Parts) -> None:
        """The output is there."""
        self._file.write(json.dumps({"output": str(output), "about": about(source)}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        parts.close(remove=True)

    def close(self) -> None:
        """Closes its file."""
        self._file.close()


def about(source: str) -> dict[str, Any]:
    """What tells whether a recording is still the same."""
    try:
        found = os.stat(source)
    except OSError:
        return {"path": os.path.abspath(source)}
    return {"path": os.path.abspath(source), "size": found.st_size, "time": found.st_mtime_ns}
