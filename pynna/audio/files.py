"""Audio from files and arrays to what the front end takes: int16 PCM, one channel, at the model's rate.

Files are read in blocks, mixed down, resampled and rounded block by block, so that memory is needed for the result
only. Whatever is done to the audio is told in ``Audio.notes``.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from pynna.errors import AudioError

DEFAULT_RATE = 16000
"""Hz, the rate that a model listens at unless its geometry says otherwise."""

MIN_RATE, MAX_RATE = 1000, 384000
"""Hz, the sample rates that are believed."""

FULL_SCALE = 32768.0
"""int16 steps in 1.0 of a float sample."""

Pcm: TypeAlias = npt.NDArray[np.int16]
Floats: TypeAlias = npt.NDArray[np.float64]
AudioPath: TypeAlias = str | os.PathLike[str]

_BLOCK_SAMPLES = 1 << 20  # read at a time, all channels together
_HALF_TAPS = 10  # of the anti-aliasing filter, in periods of the lower of the two rates
_KAISER_BETA = 5.0
_UNKNOWN_SIZE = 0x7FF00000  # what writes to a pipe puts 2^31 or 2^32 less a little into the header: the size is unknown
_OGG_MAX_PAGE, _OGG_LAST = 65307, 4  # bytes; the flag of a stream's last page
_MP3_SLACK = 4 * 1152  # samples, four frames of MP3: its header's length is not exact

_WANTED = "int16 PCM or float32/float64 in [-1, 1] is needed"
_WRONG_DTYPES = {
    "int32": "for 32-bit PCM (x >> 16).astype(np.int16), for 16-bit values in a wider array x.astype(np.int16)",
    "int64": "for 16-bit values in a wider array x.astype(np.int16)",
    "uint8": "for the bytes of 16-bit PCM np.frombuffer(x, np.int16), for 8-bit PCM (x.astype(np.int16) - 128) << 8",
    "int8": "for 8-bit PCM x.astype(np.int16) << 8",
    "uint16": "for offset 16-bit PCM (x ^ 0x8000).view(np.int16)",
    "float16": "x.astype(np.float32)",
}


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """One channel of PCM and what was done to get it.

    Attributes
    ----------
    pcm : int16 [n_samples]
    rate : int
        Sample rate of ``pcm`` in Hz.
    source_rate : int
        Sample rate in Hz before resampling.
    n_channels : int
        Channels before mixing down.
    notes : tuple of str
        What was done to the audio, one plain sentence each; empty if nothing.
    """

    pcm: Pcm
    rate: int = DEFAULT_RATE
    source_rate: int = DEFAULT_RATE
    n_channels: int = 1
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / self.rate


def load_audio(source: AudioPath | npt.ArrayLike, rate: int | None = None, *, target_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from a path or an array, whichever it is.

    Parameters
    ----------
    source : path or array
        A file for ``read`` or an array for ``from_array``.
    rate : int, optional
        Sample rate in Hz of an array, ``target_rate`` unless given. A file knows its own.
    target_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        See ``read`` and ``from_array``.
    """
    if isinstance(source, (str, os.PathLike)):
        return read(source, target_rate=target_rate)
    return from_array(source, target_rate if rate is None else rate, target_rate=target_rate)


def from_array(x: npt.ArrayLike, rate: int = DEFAULT_RATE, *, target_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from samples.

    Parameters
    ----------
    x : int16 or float32 or float64 [n_samples] or [n_samples, 1]
        int16 is taken as it is; floats are in [-1, 1], scaled by 32768, rounded and saturated.
    rate : int
        Sample rate in Hz of ``x``, 1000 to 384000.
    target_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        A wrong dtype, shape or rate, a NaN or an infinity; the message tells what would be right, or where.
    """
    samples, rate, target_rate = _as_samples(x), check_rate(rate), check_rate(target_rate)
    notes = _loudness_notes(samples)
    if rate == target_rate:
        return Audio(_to_pcm(samples), target_rate, rate, 1, notes)
    scaled = samples.astype(np.float64)
    if samples.dtype.kind == "f":
        scaled *= FULL_SCALE
    pcm = _join(_round(block) for block in _resample([scaled], rate, target_rate))
    return Audio(pcm, target_rate, rate, 1, (*notes, _resampling_note(rate, target_rate)))


def as_pcm(x: npt.ArrayLike) -> Pcm:
    """Samples as int16, contiguous; what a stream does with each chunk.

    Parameters
    ----------
    x : int16 or float32 or float64 [n_samples] or [n_samples, 1]
        See ``from_array``.

    Raises
    ------
    AudioError
        See ``from_array``.
    """
    return _to_pcm(_as_samples(x))


def read(source: AudioPath | BinaryIO, *, target_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from a WAV, FLAC, OGG or MP3 file, or another that libsndfile knows.

    Parameters
    ----------
    source : path or binary file
        Of any sample rate from 1000 to 384000 Hz and any number of channels. A pipe is read to its end first.
    target_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        The file is missing, no audio, damaged or cut short, or holds a NaN or an infinity; the message names it.
    """
    target_rate = check_rate(target_rate)
    name = source_name(source)
    try:
        openable = _openable(source, name)
        with soundfile.SoundFile(openable) as file:
            if file.format == "OGG":
                _check_ogg_end(openable, name)
            return _read_open(file, name, target_rate)
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


def check_rate(rate: object) -> int:
    """The sample rate in Hz if it is an int from 1000 to 384000, else AudioError."""
    if isinstance(rate, (int, np.integer)) and not isinstance(rate, bool) and MIN_RATE <= rate <= MAX_RATE:
        return int(rate)
    raise AudioError(f"sample rate {rate!r}: an int from {MIN_RATE} to {MAX_RATE} Hz is needed")


# ---- arrays --------------------------------------------------------------------------------------


def _as_samples(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """The array as int16, float32 or float64 [n_samples], checked."""
    if isinstance(x, (bytes, bytearray)):
        raise AudioError(f"samples are {type(x).__name__}: for 16-bit PCM np.frombuffer(x, np.int16) is needed")
    try:
        samples = np.asarray(x)
    except ValueError as error:  # rows of unequal length
        raise AudioError(f"samples are no array: {error}; {_WANTED}") from error
    if samples.size == 0 and samples.ndim == 1 and isinstance(x, (list, tuple)):
        return np.zeros(0, np.int16)  # an empty list has no dtype to be wrong
    _check_dtype(samples.dtype)
    if samples.ndim == 2 and samples.shape[1] == 1:
        samples = samples[:, 0]
    if samples.ndim != 1:
        raise AudioError(_shape_error(samples.shape))
    samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
    if samples.dtype.kind == "f":
        _check_finite(samples, "samples", 0)
    return samples


def _check_dtype(dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    if native not in (np.int16, np.float32, np.float64):
        hint = _WRONG_DTYPES.get(native.name)
        raise AudioError(f"samples are {native.name}: {_WANTED}" + (f" ({hint})" if hint else ""))


def _shape_error(shape: tuple[int, ...]) -> str:
    text = f"samples have shape {shape}: [n_samples] is needed"
    if len(shape) == 2:
        text += ", one channel; mix down first, x.mean(axis=1) for floats [n_samples, n_channels], or pick a channel"
    return text


def _check_finite(samples: npt.NDArray[Any], name: str, start: int) -> None:
    """AudioError if a sample is not finite; start is the index of the first of them, in frames."""
    if np.isfinite(samples).all():
        return
    frame = int(np.argmin(np.isfinite(samples).reshape(len(samples), -1).all(axis=1)))
    raise AudioError(f"{name}: the sample at index {start + frame} is not finite (NaN or infinity)")


def _to_pcm(samples: npt.NDArray[Any]) -> Pcm:
    """int16, float32 or float64 samples as int16."""
    if samples.dtype == np.int16:
        return samples
    return _round(np.clip(samples, -1.0, 1.0) * FULL_SCALE)


def _round(x: npt.NDArray[np.floating[Any]]) -> Pcm:
    """To the nearest int16, ties to even, saturated."""
    pcm: Pcm = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    return pcm


def _loudness_notes(samples: npt.NDArray[Any]) -> tuple[str, ...]:
    if samples.dtype.kind != "f" or not samples.size:
        return ()
    n_clipped = int(np.count_nonzero(np.abs(samples) > 1.0))
    return (f"{n_clipped} samples beyond [-1, 1] saturated",) if n_clipped else ()


# ---- resampling ----------------------------------------------------------------------------------


def _resampling_note(rate: int, target_rate: int) -> str:
    return f"resampled from {rate} Hz to {target_rate} Hz"


def _resample(blocks: Iterable[Floats], rate: int, target_rate: int) -> Iterator[Floats]:
    """Blocks of any lengths, resampled: what scipy.signal.resample_poly gives for all of them in one.

    Each piece is resampled with as much of its neighbours as the filter reaches, and starts at a multiple of `down`
    samples, where the polyphase filter is at its first phase.
    """
    from scipy import signal  # as long to import as all else together, and most audio needs no resampling

    divisor = math.gcd(rate, target_rate)
    up, down = target_rate // divisor, rate // divisor
    half = _HALF_TAPS * max(up, down)
    taps = signal.firwin(2 * half + 1, 1.0 / max(up, down), window=("kaiser", _KAISER_BETA))
    margin = down * math.ceil((half / up + 1) / down)
    hop = down * max(1, _BLOCK_SAMPLES // 4 // down)

    def piece(x: Floats, n_out: int) -> Floats:
        start = margin // down * up
        resampled: Floats = signal.resample_poly(x, up, down, window=taps)[start : start + n_out]
        return resampled

    waiting = np.zeros(margin)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= hop + 2 * margin:
            yield piece(waiting[: hop + 2 * margin], hop // down * up)
            waiting = waiting[hop:]
    n_left = len(waiting) - margin
    # more may be left than one hop: the margin on the right is only now known to be silence
    yield piece(np.concatenate([waiting, np.zeros(margin)]), -(-n_left * up // down))


def _join(blocks: Iterable[Pcm]) -> Pcm:
    return np.concatenate([np.zeros(0, np.int16), *blocks])


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


def _read_open(file: soundfile.SoundFile, name: str, target_rate: int) -> Audio:
    if file.format == "RAW":
        raise AudioError(f"{name}: no audio format with a header (WAV, FLAC, OGG or MP3 is needed)")
    rate = file.samplerate
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: its sample rate of {rate} Hz is not one from {MIN_RATE} to {MAX_RATE} Hz")
    _check_header_size(file, name)
    notes = []
    if file.channels > 1:
        notes.append(f"{file.channels} channels mixed down to one")
    if rate != target_rate:
        notes.append(_resampling_note(rate, target_rate))
    if not notes and file.subtype == "PCM_16":
        pcm = _join(_blocks(file, name, "int16"))
    else:
        mono = (block.mean(axis=1) * FULL_SCALE for block in _blocks(file, name, "float64"))
        pcm = _join(_round(block) for block in (mono if rate == target_rate else _resample(mono, rate, target_rate)))
    return Audio(pcm, target_rate, rate, file.channels, tuple(notes))


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
    n_block = max(1, _BLOCK_SAMPLES // file.channels)
    n_read = 0
    while True:
        block = file.read(n_block, dtype=dtype, always_2d=dtype != "int16")
        if not len(block):
            break
        if dtype != "int16":
            _check_finite(block, name, n_read)
        n_read += len(block)
        yield block
    slack = _MP3_SLACK if file.format in ("MP3", "MPEG") else 0
    if n_read + slack < file.frames < _UNKNOWN_SIZE:
        raise AudioError(f"{name}: cut short: {file.frames} samples are promised by its header and {n_read} are there")
