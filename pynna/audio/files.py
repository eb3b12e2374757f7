# SPDX-License-Identifier: Apache-2.0
"""Audio from files and arrays to what the front end takes: int16 PCM, one channel, at the model's rate.

Files are read in blocks, mixed down, resampled and rounded block by block, so that memory is needed for the result
only. Whatever is done to the audio is told in ``Audio.notes``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from pynna.audio.channels import Channel, Mixer, Remarks, channel_index
from pynna.audio.containers import STANDARD_INPUT, how_to_read, mend_wav, reason_of
from pynna.audio.kept_errors import KeptErrors
from pynna.audio.pcm import (
    BLOCK_SAMPLES,
    DEFAULT_RATE,
    FULL_SCALE,
    MAX_RATE,
    MIN_RATE,
    Audio,
    Floats,
    Pcm,
    check_floats,
    check_rate,
    from_array,
    join,
    resample,
    resampling_note,
    to_int16,
)
from pynna.errors import AudioError

if TYPE_CHECKING:
    import soundfile

AudioPath: TypeAlias = str | os.PathLike[str]
AudioSource: TypeAlias = AudioPath | BinaryIO | npt.ArrayLike
_UNKNOWN_SIZE = 0x7FF00000  # what writes to a pipe puts 2^31 or 2^32 less a little into the header: the size is unknown
_OGG_MAX_PAGE, _OGG_LAST = 65307, 4  # bytes; the flag of a stream's last page
_PIECE = 1 << 16  # samples, so that whoever makes floats of them needs little memory
_FRAME = 4096  # samples of a FLAC frame: what is whole before damage is read by itself
_MP3_SLACK = 4 * 1152  # samples, four frames of MP3: its header's length is not exact


def load_audio(audio: AudioSource, source_rate: int | None = None, *, sample_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from a path, an open file or an array, whichever it is.

    Parameters
    ----------
    audio : path, binary file or array
        A file for ``read`` or an array for ``from_array``.
    source_rate : int, optional
        Sample rate in Hz of an array, ``sample_rate`` unless given. A file knows its own.
    sample_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        See ``read`` and ``from_array``.
    """
    if isinstance(audio, (str, os.PathLike)):
        return read(audio, sample_rate=sample_rate)
    if isinstance(audio, (io.RawIOBase, io.BufferedIOBase)) or (hasattr(audio, "read") and hasattr(audio, "seekable")):
        return read(audio, sample_rate=sample_rate)  # type: ignore[arg-type]
    return from_array(audio, sample_rate if source_rate is None else source_rate, sample_rate=sample_rate)


def read(
    source: AudioPath | BinaryIO,
    *,
    sample_rate: int = DEFAULT_RATE,
    channel: Channel = None,
    strict: bool = False,
    raw_sample_rate: int | None = None,
) -> Audio:
    """Audio from a WAV, FLAC, OGG or MP3 file, or another that libsndfile knows.

    What is wrong with a file is told in the result's notes where it can be read all the same: a header that tells a
    wrong length, an end that is missing, channels that cancel each other out.

    Parameters
    ----------
    source : path or binary file
        Of any sample rate from 1000 to 384000 Hz and any number of channels. A pipe is read to its end first.
    sample_rate : int
        Sample rate in Hz of the result.
    channel : int, "left" or "right", optional
        The channel to take, counted from 1: a side of a call. Unless given all are mixed down to their mean.
    strict : bool
        Refuse a file that is cut short, or not as its header says.
    raw_sample_rate : int, optional
        The file is int16 samples of one channel without a header, little-endian, at this rate in Hz.

    Raises
    ------
    AudioError
        The file is missing, no audio, damaged, or holds a NaN or an infinity; the message names it.
    """
    sample_rate = check_rate(sample_rate)
    name, notes = source_name(source), list[str]()
    with _opened(source, name) as openable:
        if raw_sample_rate is not None:
            return _read_raw(openable, raw_sample_rate, sample_rate)
        with _sound(openable, name, strict, notes) as reader:
            return reader.read(sample_rate, channel)


def read_in_pieces(
    source: AudioPath | BinaryIO,
    notes: list[str],
    *,
    sample_rate: int = DEFAULT_RATE,
    channel: Channel = None,
    strict: bool = False,
    raw_sample_rate: int | None = None,
) -> Iterator[Pcm]:
    """The samples that ``read`` gives, in pieces, in memory that does not depend on the file's length.

    Parameters
    ----------
    notes : list of str
        Is added what ``read`` tells in its result's notes, and what looks wrong with the samples, see
        `pynna.audio.channels.Remarks`; complete when the last piece is read.
    source, sample_rate, channel, strict, raw_sample_rate
        As for ``read``. Several channels are read twice: first to see whether they cancel each other out.

    Raises
    ------
    AudioError
        As ``read``, when the piece that is wrong is asked for.
    """
    sample_rate = check_rate(sample_rate)
    name, remarks = source_name(source), Remarks(sample_rate)

    def seen(pieces: Iterator[Pcm]) -> Iterator[Pcm]:
        for block in pieces:
            for at in range(0, len(block), _PIECE):
                remarks.add(piece := block[at : at + _PIECE])
                yield piece

    with _opened(source, name) as openable:
        if raw_sample_rate is not None:
            yield from seen(_raw_pieces(openable, check_rate(raw_sample_rate), sample_rate, notes))
            notes += remarks.told(raw_sample_rate)
            return
        with _sound(openable, name, strict, notes) as reader:
            yield from seen(reader.pieces(sample_rate, channel))
            reader.check_not_empty(remarks.n_samples)
            notes += remarks.told(reader.rate)


ENDINGS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
)  # fmt: skip
"""Of what counts as a recording in a folder."""


def recordings_in(paths: AudioPath | Iterable[AudioPath], *, raw: bool = False) -> list[str]:
    """Files as they are, and for a folder all recordings in it and in the folders there, by name.

    Parameters
    ----------
    paths : path, or sequence of paths
        A folder without a recording stays in the list: reading it tells what is wrong with it.
    raw : bool
        All files of a folder are recordings, but hidden ones.
    """
    found = []
    for path in [os.fspath(each) for each in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if not name.startswith(".") and (raw or name.lower().endswith(ENDINGS))
        )
        found += inside or [path]
    return found


def seconds_of(path: AudioPath) -> float | None:
    """A recording's length as its header tells it; None where that cannot be told."""
    import soundfile

    try:
        with open(path, "rb") as file:
            opened = KeptErrors(file)
            found = soundfile.info(opened)
            opened.check()
    except (soundfile.SoundFileError, OSError, EOFError, TypeError):
        return None
    return found.frames / found.samplerate if 0 < found.frames < _UNKNOWN_SIZE else None


@contextlib.contextmanager
def _opened(source: AudioPath | BinaryIO, name: str) -> Iterator[Any]:
    """What soundfile can open; what goes wrong with it meanwhile is told as an AudioError."""
    import soundfile  # loads libsndfile, which streams of samples do not need

    openable: KeptErrors | None = None
    try:
        openable = KeptErrors(_openable(source, name))
        yield openable
        openable.check()
    except (soundfile.SoundFileError, OSError, EOFError, AudioError) as error:
        kept = None if openable is None else openable.error
        if isinstance(error, AudioError) and kept is None:
            raise
        reason = reason_of(kept or error)
        if reason.startswith("Format not recognised") or "unknown format" in reason:
            raise AudioError(f"{name}: cannot be read as audio: {how_to_read(name, _start(source))}") from error
        raise AudioError(f"{name}: cannot be read as audio: {reason}") from error
    except TypeError as error:  # soundfile asks for the layout of a file whose name says that it has no header
        raise AudioError(f"{name}: {how_to_read(name, _start(source))}") from error
    finally:
        if isinstance(source, (str, os.PathLike)) and openable is not None:
            openable.close()


@contextlib.contextmanager
def _sound(openable: Any, name: str, strict: bool, notes: list[str]) -> Iterator[_Reader]:
    """A reader of an open file."""
    import soundfile

    mended = mend_wav(openable, name, strict)
    notes += mended.notes if mended else ()
    source = openable if mended is None else mended.file
    start = source.tell()

    def opened() -> soundfile.SoundFile:
        source.seek(start)
        return soundfile.SoundFile(source)

    reader = _Reader(opened, name, strict, notes)
    try:
        if reader.format == "OGG":
            reader.check_ogg_end(openable)
        yield reader
    finally:
        reader.close()


def source_name(source: object) -> str:
    """What messages call an audio source: its path, or "standard input" or such for an open file."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    if name in ("<stdin>", 0):
        return STANDARD_INPUT
    return name if isinstance(name, str) else "audio"


# ---- files ---------------------------------------------------------------------------------------


def _openable(source: Any, name: str) -> Any:
    """What soundfile can open: a path, a seekable file, or the content of a pipe."""
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "seekable") or isinstance(source, io.TextIOBase):
            raise AudioError(f"audio must be a path or a binary file, got {source!r}")
        return source if source.seekable() else _content(source.read(), name)
    path = Path(source)
    if path.is_dir():
        is_empty = recordings_in(path) == [name]
        raise AudioError(f"{name}: a folder" + (f" without recordings ({', '.join(ENDINGS)})" if is_empty else ""))
    if not path.exists():
        raise AudioError(f"{name}: no such file")
    if not path.is_file():  # a named pipe or a device
        return _content(path.read_bytes(), name)
    opened = path.open("rb")  # libsndfile is handed no name: one that is not UTF-8 it would not take
    if not opened.read(1):
        opened.close()
        raise AudioError(f"{name}: the file is empty")
    opened.seek(0)
    return opened


def _content(data: bytes, name: str) -> io.BytesIO:
    """What came out of a pipe or a device."""
    if not data:
        raise AudioError(f"{name}: nothing came, not a byte")
    return io.BytesIO(data)


def _start(source: AudioPath | BinaryIO) -> bytes:
    """A file's first bytes, as far as they can be had."""
    try:
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as opened:
                return opened.read(16)
        source.seek(0)
        return source.read(16)
    except (OSError, ValueError):
        return b""


def _read_raw(file: BinaryIO, raw_sample_rate: int, sample_rate: int) -> Audio:
    """Samples without a header."""
    data = file.read()
    notes = ("half a sample at its end is left out",) if len(data) % 2 else ()
    samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    made = from_array(samples, raw_sample_rate, sample_rate=sample_rate)
    return replace(made, notes=(*notes, *made.notes))


def _raw_pieces(file: BinaryIO, raw_sample_rate: int, sample_rate: int, notes: list[str]) -> Iterator[Pcm]:
    """The same in pieces."""

    def samples() -> Iterator[Pcm]:
        while data := file.read(2 * BLOCK_SAMPLES):
            if len(data) % 2:
                notes.append("half a sample at its end is left out")
            yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)

    if raw_sample_rate == sample_rate:
        yield from samples()
        return
    yield from map(to_int16, resample((piece.astype(np.float64) for piece in samples()), raw_sample_rate, sample_rate))
    notes.append(resampling_note(raw_sample_rate, sample_rate))


class _Reader:
    """Reads an open file, and notes what is wrong with it."""

    def __init__(self, opened: Callable[[], soundfile.SoundFile], name: str, strict: bool, notes: list[str]) -> None:
        self._opened, self._name, self._strict, self._notes = opened, name, strict, notes
        self._file = opened()

    def close(self) -> None:
        """Ends reading."""
        self._file.close()

    def _again(self) -> None:
        """Reads from the first sample: opened anew, for in a damaged MP3 seeking there leads elsewhere."""
        self._file.close()
        self._file = self._opened()

    @property
    def format(self) -> str:
        """The file's, as libsndfile names it."""
        return str(self._file.format)

    @property
    def rate(self) -> int:
        """The file's, in Hz."""
        return int(self._file.samplerate)

    def read(self, sample_rate: int, channel: Channel) -> Audio:
        """The file as one channel at a rate."""
        rate, index = self._check(channel)
        if self._is_plain(sample_rate) or index is not None or self._file.channels == 1:
            pcm = join(self._one_channel(index, rate, sample_rate))
        else:
            pcm = self._mixed(rate, sample_rate)
        self.check_not_empty(len(pcm))
        self._notes += [resampling_note(rate, sample_rate)] if rate != sample_rate else []
        return Audio(pcm, sample_rate, rate, self._file.channels, tuple(self._notes))

    def pieces(self, sample_rate: int, channel: Channel) -> Iterator[Pcm]:
        """The same in pieces."""
        rate, index = self._check(channel)
        n_channels = self._file.channels
        if index is None and n_channels > 1 and self._file.seekable():
            mixer = Mixer(n_channels)
            for _ in mixer.mix(self._blocks("float64")):
                pass
            self._again()
            if mixer.is_cancelled:
                index = mixer.louder
                self._note_cancelled(index)
            else:
                self._notes.append(f"{n_channels} channels mixed down to one")
                yield from self._resampled(Mixer(n_channels).mix(self._blocks("float64")), rate, sample_rate)
                self._notes += [resampling_note(rate, sample_rate)] if rate != sample_rate else []
                return
            yield from self._resampled((block[:, index] for block in self._blocks("float64")), rate, sample_rate)
        else:
            yield from self._one_channel(index, rate, sample_rate)
        self._notes += [resampling_note(rate, sample_rate)] if rate != sample_rate else []

    def _check(self, channel: Channel) -> tuple[int, int | None]:
        """The file's rate, and the index of the channel that is asked for."""
        file, name = self._file, self._name
        if file.format == "RAW":
            raise AudioError(f"{name}: {how_to_read(name, b'')}")
        rate = file.samplerate
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioError(f"{name}: its sample rate of {rate} Hz is not one from {MIN_RATE} to {MAX_RATE} Hz")
        self._check_header_size()
        return rate, channel_index(channel, file.channels, name)

    def check_not_empty(self, n_samples: int) -> None:
        """Raises AudioError for a file that is cut short before its first sample."""
        if not n_samples and any(note.startswith("cut short") for note in self._notes):
            raise AudioError(f"{self._name}: {self._notes[-1]}; nothing of it can be read")

    def _is_plain(self, sample_rate: int) -> bool:
        file = self._file
        return bool(file.channels == 1 and file.samplerate == sample_rate and file.subtype == "PCM_16")

    def _one_channel(self, index: int | None, rate: int, sample_rate: int) -> Iterator[Pcm]:
        if self._is_plain(sample_rate):
            yield from self._blocks("int16")
            return
        yield from self._resampled((block[:, index or 0] for block in self._blocks("float64")), rate, sample_rate)
        if index is not None:
            self._notes.append(f"channel {index + 1} of {self._file.channels}")

    def _mixed(self, rate: int, sample_rate: int) -> Pcm:
        """All channels as one: their mean, or the loudest where they cancel each other out."""
        n_channels, mixer = self._file.channels, Mixer(self._file.channels)
        pcm = join(self._resampled(mixer.mix(self._blocks("float64")), rate, sample_rate))
        if not mixer.is_cancelled or not self._file.seekable():
            self._notes.append(f"{n_channels} channels mixed down to one")
            return pcm
        self._again()
        louder = mixer.louder
        self._note_cancelled(louder)
        return join(self._resampled((block[:, louder] for block in self._blocks("float64")), rate, sample_rate))

    def _note_cancelled(self, louder: int) -> None:
        self._notes.append(
            f"{self._file.channels} channels cancel each other out, one is inverted: channel {louder + 1} is taken"
        )

    def _resampled(self, mono: Iterator[Floats], rate: int, sample_rate: int) -> Iterator[Pcm]:
        scaled = (block * FULL_SCALE for block in mono)
        blocks = scaled if rate == sample_rate else resample(scaled, rate, sample_rate)
        return (to_int16(block) for block in blocks)

    def _cut_short(self, how: str) -> None:
        """Notes that an end is missing; strictly it is an error."""
        if self._strict:
            raise AudioError(f"{self._name}: cut short: {how}")
        if f"cut short: {how}" not in self._notes:
            self._notes.append(f"cut short: {how}")

    def _check_header_size(self) -> None:
        """Looks whether the header promises more bytes than the file has; libsndfile only notes it in its log."""
        for said, is_ in re.findall(
            r"(?m)^\s*(?:RIFF|RIFX|RF64|FORM|data|SSND) ?: (\d+) \(should be (\d+)\)", self._file.extra_info
        ):
            if int(is_) == 0 < int(said) < _UNKNOWN_SIZE:
                raise AudioError(f"{self._name}: cut short: none of its {said} bytes is there")
            if int(is_) < int(said) < _UNKNOWN_SIZE:
                self._cut_short(f"{said} bytes are promised by its header and {is_} are there")

    def check_ogg_end(self, source: BinaryIO) -> None:
        """Looks whether the file ends with a whole page that is marked as the last; libsndfile does not ask."""
        here = source.tell()
        source.seek(max(0, source.seek(0, os.SEEK_END) - _OGG_MAX_PAGE))
        tail = source.read()
        source.seek(here)
        page = tail[tail.rfind(b"OggS") :]
        size = 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else 27
        if len(page) < size or not page[5] & _OGG_LAST:
            self._cut_short("its last page is missing")

    def _blocks(self, dtype: str) -> Iterator[npt.NDArray[Any]]:
        """The file's blocks, int16 [n] if it is that and one channel, else float64 [n, n_channels], all finite."""
        import soundfile

        file = self._file
        n_block = _FRAME if file.format in ("FLAC", "OGG") else max(1, BLOCK_SAMPLES // file.channels)
        n_read = 0
        while True:
            try:
                block = file.read(n_block, dtype=dtype, always_2d=dtype != "int16")
            except soundfile.SoundFileError as error:
                if not n_read:
                    raise
                self._cut_short(f"it is damaged behind {n_read / file.samplerate:.2f} s: {reason_of(error)}")
                return
            if not len(block):
                break
            if dtype != "int16":
                check_floats(block, self._name, n_read)
            n_read += len(block)
            yield block
        slack = _MP3_SLACK if file.format in ("MP3", "MPEG") else 0
        if n_read + slack < file.frames < _UNKNOWN_SIZE:
            if not n_read:
                raise AudioError(f"{self._name}: cut short: none of its {file.frames} samples is there")
            self._cut_short(f"{file.frames} samples are promised by its header and {n_read} are there")
