"""Audio from files and arrays to what the front end takes: int16 PCM, one channel, at the model's rate.

Files are read in blocks, mixed down, resampled and rounded block by block, so that memory is needed for the result
only. Whatever is done to the audio is told in ``Audio.notes``.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy.typing as npt

from pynna.audio.pcm import (
    BLOCK_SAMPLES,
    DEFAULT_RATE,
    FULL_SCALE,
    MAX_RATE,
    MIN_RATE,
    Audio,
    check_finite,
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
_UNKNOWN_SIZE = 0x7FF00000  # what writes to a pipe puts 2^31 or 2^32 less a little into the header: the size is unknown
_OGG_MAX_PAGE, _OGG_LAST = 65307, 4  # bytes; the flag of a stream's last page
_MP3_SLACK = 4 * 1152  # samples, four frames of MP3: its header's length is not exact


def load_audio(audio: AudioPath | npt.ArrayLike, source_rate: int | None = None, *,
               sample_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from a path or an array, whichever it is.

    Parameters
    ----------
    audio : path or array
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
    return from_array(audio, sample_rate if source_rate is None else source_rate, sample_rate=sample_rate)


def read(source: AudioPath | BinaryIO, *, sample_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from a WAV, FLAC, OGG or MP3 file, or another that libsndfile knows.

    Parameters
    ----------
    source : path or binary file
        Of any sample rate from 1000 to 384000 Hz and any number of channels. A pipe is read to its end first.
    sample_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        The file is missing, no audio, damaged or cut short, or holds a NaN or an infinity; the message names it.
    """
    import soundfile  # loads libsndfile, which streams of samples do not need

    sample_rate = check_rate(sample_rate)
    name = source_name(source)
    try:
        openable = _openable(source, name)
        with soundfile.SoundFile(openable) as file:
            if file.format == "OGG":
                _check_ogg_end(openable, name)
            return _read_open(file, name, sample_rate)
    except (soundfile.SoundFileError, OSError, EOFError) as error:
        raise AudioError(f"{name}: cannot be read as audio: {_reason(error)}") from error
    except TypeError as error:  # soundfile asks for the layout of a file whose name says that it has no header
        raise AudioError(f"{name}: no audio format with a header (WAV, FLAC, OGG or MP3 is needed)") from error


def source_name(source: object) -> str:
    """What messages call an audio source: its path, or "standard input" or such for an open file."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    if name in ("<stdin>", 0):
        return "standard input"
    return name if isinstance(name, str) else "audio"


# ---- files ---------------------------------------------------------------------------------------


def _openable(source: AudioPath | BinaryIO, name: str) -> Any:
    """What soundfile can open: a path, a seekable file, or the content of a pipe."""
    if not isinstance(source, (str, os.PathLike)):
        return source if source.seekable() else io.BytesIO(source.read())
    path = Path(source)
    if path.is_dir():
        raise AudioError(f"{name}: a folder, not an audio file")
    if not path.exists():
        raise AudioError(f"{name}: no such file")
    if not path.is_file():  # a named pipe or a device
        return io.BytesIO(path.read_bytes())
    with path.open("rb") as file:  # the operating system's reason is better than libsndfile's
        if not file.read(1):
            raise AudioError(f"{name}: the file is empty")
    return os.fspath(path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    text = re.sub(r"^Error\s*(in [^:]*)?:\s*", "", " ".join(str(text).split()))
    if text.startswith("File does not exist"):  # libsndfile's words for an MP3 without a frame
        text = "Format not recognised."
    return text


def _read_open(file: soundfile.SoundFile, name: str, sample_rate: int) -> Audio:
    if file.format == "RAW":
        raise AudioError(f"{name}: no audio format with a header (WAV, FLAC, OGG or MP3 is needed)")
    rate = file.samplerate
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: its sample rate of {rate} Hz is not one from {MIN_RATE} to {MAX_RATE} Hz")
    _check_header_size(file, name)
    notes = []
    if file.channels > 1:
        notes.append(f"{file.channels} channels mixed down to one")
    if rate != sample_rate:
        notes.append(resampling_note(rate, sample_rate))
    if not notes and file.subtype == "PCM_16":
        pcm = join(_blocks(file, name, "int16"))
    else:
        mono = (block.mean(axis=1) * FULL_SCALE for block in _blocks(file, name, "float64"))
        pcm = join(to_int16(block) for block in (mono if rate == sample_rate else resample(mono, rate, sample_rate)))
    return Audio(pcm, sample_rate, rate, file.channels, tuple(notes))


def _check_header_size(file: soundfile.SoundFile, name: str) -> None:
    """AudioError if the header promises more bytes than the file has; libsndfile only notes it in its log."""
    for said, is_ in re.findall(r": (\d+) \(should be (\d+)\)", file.extra_info):
        if int(is_) < int(said) < _UNKNOWN_SIZE:
            raise AudioError(f"{name}: cut short: {said} bytes are promised by its header and {is_} are there")


def _check_ogg_end(source: str | BinaryIO, name: str) -> None:
    """AudioError unless the file ends with a whole page that is marked as the last; libsndfile does not ask."""
    if isinstance(source, str):
        with open(source, "rb") as opened:
            _check_ogg_end(opened, name)
        return
    here = source.tell()
    source.seek(max(0, source.seek(0, os.SEEK_END) - _OGG_MAX_PAGE))
    tail = source.read()
    source.seek(here)
    page = tail[tail.rfind(b"OggS") :]
    size = 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else 27
    if len(page) < size or not page[5] & _OGG_LAST:
        raise AudioError(f"{name}: cut short: its last page is missing")


def _blocks(file: soundfile.SoundFile, name: str, dtype: str) -> Iterator[npt.NDArray[Any]]:
    """The file's blocks, int16 [n] if it is that and one channel, else float64 [n, n_channels], all finite."""
    n_block = max(1, BLOCK_SAMPLES // file.channels)
    n_read = 0
    while True:
        block = file.read(n_block, dtype=dtype, always_2d=dtype != "int16")
        if not len(block):
            break
        if dtype != "int16":
            check_finite(block, name, n_read)
        n_read += len(block)
        yield block
    slack = _MP3_SLACK if file.format in ("MP3", "MPEG") else 0
    if n_read + slack < file.frames < _UNKNOWN_SIZE:
        raise AudioError(f"{name}: cut short: {file.frames} samples are promised by its header and {n_read} are there")
