# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, each with a class of its own; all are PynnaError, and also the built-in class one would expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class PynnaError(Exception):
    """The root of all errors that pynna raises on purpose."""


class ArgumentError(PynnaError, ValueError):
    """An argument is out of range, of a wrong shape or of a wrong type."""


class NotFiniteError(ArgumentError):
    """A NaN or an infinity among the inputs."""


class StateError(PynnaError, ValueError):
    """A network or stream state of a wrong shape, of another model or with values that no step can have left."""


class CapacityError(StateError):
    """All places are taken: of a group, or of a server."""


class FileReadError(PynnaError, OSError):
    """A file that cannot be read, though it is there."""


class MissingFileError(PynnaError, FileNotFoundError):
    """A file that is not there."""


class FinishedError(PynnaError, RuntimeError):
    """A stream was fed after its finish."""


class IsaError(PynnaError, RuntimeError):
    """An instruction set was asked for that does not exist or that this processor lacks."""


class AudioError(PynnaError, ValueError):
    """Audio that cannot be read or is not what it should be."""


class GrammarError(PynnaError, ValueError):
    """A sentence file or a grammar is wrong; the message names file, line and word."""


class LanguageModelError(PynnaError, ValueError):
    """A language model that cannot be used, or KenLM is not there."""


class MappingError(PynnaError, ValueError):
    """A trained model that cannot be mapped."""


class ModelFileError(PynnaError, ValueError):
    """A .nna model file that cannot be used; the subclasses say why."""


class ForeignFileError(ModelFileError):
    """Not a .nna file."""


class OldFileError(ModelFileError):
    """Written in an older version of the format that is no longer read."""


class NewFileError(ModelFileError):
    """Written in a newer version of the format than this library reads."""


class ShortFileError(ModelFileError):
    """Cut short."""


class ChecksumError(ModelFileError):
    """Damaged: the checksum differs."""


class LayoutError(ModelFileError):
    """Sections are missing, misplaced or of a wrong size."""


class FileValueError(ModelFileError):
    """A value out of its range."""


# csrc/pynna.h, pynna_status: the class and the sentence of each
_BY_STATUS: dict[int, tuple[type[PynnaError], str]] = {
    1: (ArgumentError, "an argument is missing or out of range"),
    2: (PynnaError, "the memory handed in is too small or not aligned to 64 bytes"),
    3: (NotFiniteError, "the input holds a NaN or an infinity"),
    4: (PynnaError, "a bounded buffer is full"),
    5: (FinishedError, "the stream is finished and takes no more input; start a new one"),
    6: (IsaError, "this processor lacks the instruction set asked for; `pynna info` lists those it has"),
    16: (ForeignFileError, "not a .nna model file; `pynna map` makes one from a trained model"),
    17: (OldFileError, "written in an older version of the format that is no longer read; map the model again"),
    18: (NewFileError, "written in a newer version of the format; a newer pynna reads it"),
    19: (ShortFileError, "the file is cut short; copy it again"),
    20: (ChecksumError, "the file is damaged, its checksum differs; copy it again"),
    21: (LayoutError, "the file's sections are missing, misplaced or of a wrong size"),
    22: (FileValueError, "the file holds a value out of its range"),
}


def several_texts(values: Iterable[str], what: str) -> tuple[str, ...]:
    """The texts of a list or the like.

    Raises
    ------
    ArgumentError
        One text alone, whose letters would count as texts, a mapping, or something that is no text among them.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ArgumentError(f"{what} must be a list of texts, got {values!r}")
    texts = tuple(values)
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None or None in texts:
        raise ArgumentError(f"{what} must be texts, got {wrong!r} among them")
    return texts


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Around what reads a file: what the operating system says against it becomes an error of pynna's.

    Raises
    ------
    MissingFileError
        There is no such file.
    FileReadError
        It is a folder, may not be read, or the like.
    """
    try:
        yield
    except PynnaError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"{error.filename or path}: no such file") from error
    except OSError as error:
        raise FileReadError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error


def error_for_status(status: int, what: str) -> PynnaError:
    """The exception for a status of the C core, to be raised by the caller.

    Parameters
    ----------
    status : int
        A ``pynna_status`` of ``csrc/pynna.h`` other than 0.
    what : str
        What failed, a path or a name, put before the status's sentence.

    Returns
    -------
    PynnaError
        An instance of the class that belongs to the status; PynnaError itself for an unknown number.
    """
    cls, text = _BY_STATUS.get(status, (PynnaError, f"unknown status {status} of the C core"))
    return cls(f"{what}: {text}")
