# SPDX-License-Identifier: Apache-2.0
"""Many recordings to text: on all cores, resumable, each output whole."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynna.archive.jobs import run_here, run_jobs
from pynna.archive.journal import Journal, Parts, write_whole
from pynna.archive.recogniser import AllRead, Failed, Message, PartDone, Settings, Unit
from pynna.archive.writers import FORMATS, Recording
from pynna.audio.files import recordings_in, seconds_of
from pynna.decoding.language_model import LanguageModel, Vocabulary
from pynna.decoding.options import AnyOptions
from pynna.errors import ArgumentError
from pynna.model import Model, load
from pynna.streaming.endpointer import EndpointRules

if TYPE_CHECKING:
    from typing_extensions import Unpack

_READING = ("channel", "strict", "raw_sample_rate")

DIVIDE_FROM = 0.25
"""Share of a job's audio from which a recording is divided between the jobs."""


@dataclass(frozen=True)
class Transcript:
    """What became of a recording.

    Attributes
    ----------
    path : str
    segments : list of dict
        start, end, text, words, confidence and so on; empty where an output was written.
    seconds : float
    notes : tuple of str
    output : Path or None
        The file that was written, or was there already.
    error : str
        Why it could not be transcribed; empty if it was.
    """

    path: str
    segments: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    output: Path | None = None
    error: str = ""

    @property
    def text(self) -> str:
        """All that was said."""
        return " ".join(segment["text"] for segment in self.segments if segment["text"])


@dataclass(frozen=True)
class Progress:
    """Seconds of audio that are done and that there are, as far as headers tell; seconds that the rest will take."""

    done: float
    total: float
    left: float


class _Item:
    """A recording on its way."""

    def __init__(self, path: str, output: Path | None, parts: Parts) -> None:
        self.path, self.output, self.parts = path, output, parts
        self.n_shares = 1
        self.read: list[AllRead] = []
        self.error = ""

    @property
    def through(self) -> bool:
        """Whether all of it is there."""
        return len(self.read) == self.n_shares and len(self.parts) >= self.read[0].n_parts


def transcribe_files(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: Model | None = None,
    *,
    jobs: int = 1,
    output: str | os.PathLike[str] | None = None,
    format: str = "jsonl",
    resume: bool = False,
    rules: EndpointRules | None = None,
    whole: bool = False,
    ordered: bool = False,
    progress: Callable[[Progress], None] | None = None,
    reading: dict[str, Any] | None = None,
    **options: Unpack[AnyOptions],
) -> Iterator[Transcript]:
    """The transcripts of recordings, as they come; each is what the recording gives alone.

    Parameters
    ----------
    paths : path, or sequence of paths
        A folder stands for all recordings in it.
    model : Model, optional
        The one that ships unless given.
    jobs : int
        Processes; 1: this one alone.
    output : path, optional
        A folder, where each recording gets a file of its own.
    format : str
        Of these files, one of `pynna.archive.writers.FORMATS`.
    resume : bool
        Go on with what a run before has left in `output`.
    rules : EndpointRules, optional
        Where recordings are cut.
    whole : bool
        A recording is one utterance, as for ``Model.transcribe``; else it is cut at its pauses.
    ordered : bool
        In the order of `paths`.
    progress : callable, optional
        Is told a `Progress` after each part.
    reading : dict, optional
        `channel`, `strict`, `raw_sample_rate` of `pynna.audio.read`.
    **options
        As for ``Model.stream``.

    Raises
    ------
    ArgumentError
        No such format, fewer than one job, to be resumed without a folder or with other settings, a wrong option.
    """
    _check(format, jobs, resume, output is not None, model, reading or {})
    model = load(threads=1) if model is None else model
    model.decoder_options(**options)
    cut = not whole or FORMATS[format].segmented and output is not None
    settings = Settings((rules or EndpointRules()) if cut else None, dict(options), dict(reading or {}))
    folder = None if output is None else Path(output)
    journal = None if folder is None else Journal(folder, _about(model, settings, format), resume=resume)
    run = _Run(model, settings, jobs, format, journal, progress)
    files = recordings_in(paths, raw=bool(reading and reading.get("raw_sample_rate")))
    return run.transcripts(files, folder, ordered)


def _check(
    format: str, jobs: int, resume: bool, has_output: bool, model: Model | None, reading: dict[str, Any]
) -> None:
    """Raises ArgumentError for what cannot be asked for."""
    if not isinstance(model, (Model, type(None))):
        raise ArgumentError(f"model must be a pynna.Model, got {model!r}")
    if format not in FORMATS or isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= 1024:
        raise ArgumentError(
            f"format must be one of {', '.join(FORMATS)} and jobs an integer from 1 to 1024, "
            f"got {format!r} and {jobs!r}"
        )
    if unknown := [name for name in reading if name not in _READING]:
        raise ArgumentError(f"reading must hold {', '.join(_READING)} alone, got {', '.join(map(repr, unknown))}")
    if resume and not has_output:
        raise ArgumentError("resume needs an output: the folder of the run before")


def _about(model: Model, settings: Settings, format: str) -> dict[str, Any]:
    """What a run's outputs follow from: a later run has to have the same, by content, to go on with them."""
    return {
        "model": _checksum(model.path.read_bytes()),
        "options": {name: _content(value, model) for name, value in sorted(settings.options.items())},
        "rules": repr(settings.rules),
        "reading": settings.reading,
        "format": format,
    }


def _checksum(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _content(value: Any, model: Model) -> Any:
    """An option by its content."""
    if hasattr(value, "intents"):  # a Grammar, whose module is loaded where there is one only
        return [_checksum(value.graph(model.labels).to_bytes()), _checksum("\0".join(value.intents).encode())]
    if isinstance(value, Vocabulary):
        return _checksum("\0".join(value.words).encode())
    if isinstance(value, LanguageModel):
        weights = value.alpha, value.beta, value.unknown_score, value.unknown_letter_score
        return [_checksum(value.path.read_bytes()), repr(weights), _content(value.vocabulary, model)]
    return repr(value)


def output_names(paths: Sequence[str], folder: Path, ending: str) -> list[Path]:
    """A file of its own for each recording: its stem, with as many of its folders as tell it from the others."""
    stems: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        stems.setdefault(Path(path).stem, []).append(path)
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths]) if paths else ""
    return [
        folder / f"{Path(path).stem}.{ending}"
        if len(stems[Path(path).stem]) == 1
        else folder / f"{os.path.relpath(os.path.abspath(path), common)}.{ending}"
        for path in paths
    ]


class _Run:
    """One call of `transcribe_files`."""

    def __init__(
        self,
        model: Model,
        settings: Settings,
        jobs: int,
        format: str,
        journal: Journal | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._model, self._settings, self._jobs, self._journal = model, settings, jobs, journal
        self._format = FORMATS[format]
        self._progress, self._began = progress, time.monotonic()
        self._done = self._here = self._total = 0.0

    def transcripts(self, paths: list[str], folder: Path | None, ordered: bool) -> Iterator[Transcript]:
        """All of them."""
        outputs = [None] * len(paths) if folder is None else output_names(paths, folder, self._format.ending)
        waiting: dict[int, Transcript] = {}
        told = 0
        for number, transcript in self._unordered(paths, list(outputs)):
            if not ordered:
                yield transcript
                continue
            waiting[number] = transcript
            while told in waiting:
                yield waiting.pop(told)
                told += 1

    def _unordered(self, paths: list[str], outputs: list[Path | None]) -> Iterator[tuple[int, Transcript]]:
        items: dict[int, _Item] = {}
        try:
            for number, (path, output) in enumerate(zip(paths, outputs, strict=True)):
                if self._journal is not None and output is not None and self._journal.is_done(path, output):
                    yield number, Transcript(path, output=output)
                else:
                    items[number] = _Item(path, output, Parts() if self._journal is None else self._journal.parts(path))
            units = self._units(items)
            here = self._jobs == 1
            messages = (
                run_here(self._model, self._settings, units)
                if here
                else run_jobs(self._model, self._settings, units, self._jobs)
            )
            for message in messages:
                number = message.unit.number
                if number in items and self._note(items[number], message):
                    yield number, self._finished(items.pop(number))
        finally:
            for item in items.values():
                item.parts.close()
            if self._journal is not None:
                self._journal.close()

    def _units(self, items: dict[int, _Item]) -> list[Unit]:
        """Longest first; the very long are divided between the jobs."""
        lengths = {number: seconds_of(item.path) or 0.0 for number, item in items.items()}
        self._total = sum(lengths.values())
        self._done = sum(item.parts.seconds for item in items.values())
        units = []
        for number in sorted(items, key=lambda number: -lengths[number]):
            item = items[number]
            if self._settings.rules is not None and lengths[number] > DIVIDE_FROM * self._total / self._jobs:
                item.n_shares = self._jobs
            done = tuple(item.parts.indices)
            units += [Unit(number, item.path, share, item.n_shares, done) for share in range(item.n_shares)]
        return units

    def _note(self, item: _Item, message: Message) -> bool:
        """Takes a message in; whether the recording is through."""
        if isinstance(message, Failed):
            item.error = message.text
            return True
        if isinstance(message, AllRead):
            if all(message.unit.share != read.unit.share for read in item.read):
                item.read.append(message)
        else:
            assert isinstance(message, PartDone)
            item.parts.add(message.number, message.seconds, message.segments)
            self._here += message.seconds
            if self._progress is not None:
                done = self._done + self._here
                left = max(0.0, self._total - done) * (time.monotonic() - self._began) / max(self._here, 1e-9)
                self._progress(Progress(done, max(done, self._total), left))
        return item.through

    def _finished(self, item: _Item) -> Transcript:
        if item.error:
            item.parts.close()
            return Transcript(item.path, error=item.error)
        read = item.read[0]
        if self._journal is None or item.output is None:
            return Transcript(item.path, list(item.parts.segments()), read.seconds, tuple(read.notes))
        write_whole(
            item.output, self._format.write(Recording(item.path, read.seconds, read.notes), item.parts.segments)
        )
        self._journal.finish(item.path, item.output, item.parts)
        return Transcript(item.path, [], read.seconds, tuple(read.notes), item.output)
