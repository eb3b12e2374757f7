# SPDX-License-Identifier: Apache-2.0
"""Samples as the front end takes them: int16 PCM, one channel, at the model's rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pynna.errors import AudioError

DEFAULT_RATE = 16000
"""Hz, the rate that a model listens at unless its geometry says otherwise."""

MIN_RATE, MAX_RATE = 1000, 384000
"""Hz, the sample rates that are believed."""

FULL_SCALE = 32768.0
"""int16 steps in 1.0 of a float sample."""

Pcm: TypeAlias = npt.NDArray[np.int16]
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_FLOAT = 256.0
"""Float samples beyond this are in another range than [-1, 1]."""

BLOCK_SAMPLES = 1 << 20  # read at a time, all channels together
_HALF_TAPS = 10  # of the anti-aliasing filter, in periods of the lower of the two rates
_KAISER_BETA = 5.0
_GROUP = 32  # samples of the result that are one product of matrices

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
    sample_rate : int
        Sample rate of ``pcm`` in Hz.
    source_rate : int
        Sample rate in Hz before resampling.
    n_channels : int
        Channels before mixing down.
    notes : tuple of str
        What was done to the audio, one plain sentence each; empty if nothing.
    """

    pcm: Pcm
    sample_rate: int = DEFAULT_RATE
    source_rate: int = DEFAULT_RATE
    n_channels: int = 1
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / self.sample_rate


def from_array(audio: npt.ArrayLike, source_rate: int = DEFAULT_RATE, *, sample_rate: int = DEFAULT_RATE) -> Audio:
    """Audio from samples.

    Parameters
    ----------
    audio : int16 or float32 or float64 [n_samples] or [n_samples, 1]
        int16 is taken as it is; floats are in [-1, 1], scaled by 32768, rounded and saturated.
    source_rate : int
        Sample rate in Hz of ``audio``, 1000 to 384000.
    sample_rate : int
        Sample rate in Hz of the result.

    Raises
    ------
    AudioError
        A wrong dtype, shape or rate, a NaN or an infinity; the message tells what would be right, or where.
    """
    samples = _as_samples(audio)
    source_rate, sample_rate = check_rate(source_rate), check_rate(sample_rate)
    notes = _loudness_notes(samples)
    if source_rate == sample_rate:
        return Audio(_to_pcm(samples), sample_rate, source_rate, 1, notes)
    scaled = samples.astype(np.float64)
    if samples.dtype.kind == "f":
        scaled *= FULL_SCALE
    pcm = join(to_int16(block) for block in resample([scaled], source_rate, sample_rate))
    return Audio(pcm, sample_rate, source_rate, 1, (*notes, resampling_note(source_rate, sample_rate)))


def change_speed(pcm: Pcm, speed: float, sample_rate: int) -> Pcm:
    """Samples played at `speed` times their own: [n_samples] to [n_samples / speed]."""
    return from_array(pcm, round(sample_rate * speed), sample_rate=sample_rate).pcm


def as_pcm(audio: npt.ArrayLike) -> Pcm:
    """Samples as int16, contiguous; what a stream does with each chunk.

    Parameters
    ----------
    audio : int16 or float32 or float64 [n_samples] or [n_samples, 1]
        See ``from_array``.

    Raises
    ------
    AudioError
        See ``from_array``.
    """
    return _to_pcm(_as_samples(audio))


def chunk_as_pcm(pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> Pcm:
    """What `Stream.feed` takes, as int16."""
    if isinstance(pcm, (bytes, bytearray)) or (isinstance(pcm, memoryview) and pcm.itemsize == 1):
        data = bytes(pcm)
        if len(data) % 2:
            raise AudioError(f"{len(data)} bytes of PCM are half a sample too many; int16 samples have two bytes each")
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    return as_pcm(pcm)


def check_rate(sample_rate: object) -> int:
    """The sample rate in Hz if it is an int from 1000 to 384000, else AudioError."""
    if (
        isinstance(sample_rate, (int, np.integer))
        and not isinstance(sample_rate, bool)
        and MIN_RATE <= sample_rate <= MAX_RATE
    ):
        return int(sample_rate)
    raise AudioError(f"sample rate {sample_rate!r}: an int from {MIN_RATE} to {MAX_RATE} Hz is needed")


# ---- arrays --------------------------------------------------------------------------------------


def _as_samples(audio: npt.ArrayLike) -> npt.NDArray[Any]:
    """The array as int16, float32 or float64 [n_samples], checked."""
    if isinstance(audio, (bytes, bytearray)):
        raise AudioError(f"samples are {type(audio).__name__}: for 16-bit PCM np.frombuffer(x, np.int16) is needed")
    try:
        samples = np.asarray(audio)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, a tensor that NumPy cannot take
        raise AudioError(f"samples are no array: {error}; {_WANTED}") from error
    if samples.size == 0 and samples.ndim == 1 and isinstance(audio, (list, tuple)):
        return np.zeros(0, np.int16)  # an empty list has no dtype to be wrong
    _check_dtype(samples.dtype)
    if samples.ndim == 2 and 1 in samples.shape:  # one channel, as soundfile or as torchaudio has it
        samples = samples.reshape(-1)
    if samples.ndim != 1:
        raise AudioError(_shape_error(samples.shape))
    samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("="))
    if samples.dtype.kind == "f":
        check_floats(samples, "samples", 0)
    return samples


def _check_dtype(dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    if native not in (np.int16, np.float32, np.float64):
        hint = _WRONG_DTYPES.get(native.name)
        raise AudioError(f"samples are {native.name}: {_WANTED}" + (f" ({hint})" if hint else ""))


def _shape_error(shape: tuple[int, ...]) -> str:
    text = f"samples have shape {shape}: [n_samples] is needed"
    if len(shape) == 2:
        form, axis = ("[n_channels, n_samples]", 0) if shape[0] < shape[1] else ("[n_samples, n_channels]", 1)
        text += f", one channel; mix down first, x.mean(axis={axis}) for floats {form}, or pick a channel"
    return text


def check_floats(samples: npt.NDArray[Any], name: str, start: int) -> None:
    """AudioError if a sample is not finite or in another range; start is the index of the first of them, in frames."""
    if np.isfinite(samples).all():
        if samples.size and (peak := float(np.abs(samples).max())) > MAX_FLOAT:
            raise AudioError(
                f"{name}: float samples must be in [-1, 1], got {peak:g}: "
                "for samples in int16's range (x / 32768) is right"
            )
        return
    frame = int(np.argmin(np.isfinite(samples).reshape(len(samples), -1).all(axis=1)))
    raise AudioError(f"{name}: the sample at index {start + frame} is not finite (NaN or infinity)")


def _to_pcm(samples: npt.NDArray[Any]) -> Pcm:
    """int16, float32 or float64 samples as int16."""
    if samples.dtype == np.int16:
        return samples
    return to_int16(np.clip(samples, -1.0, 1.0) * FULL_SCALE)


def to_int16(audio: npt.NDArray[np.floating[Any]]) -> Pcm:
    """To the nearest int16, ties to even, saturated."""
    pcm: Pcm = np.clip(np.rint(audio), -32768, 32767).astype(np.int16)
    return pcm


def _loudness_notes(samples: npt.NDArray[Any]) -> tuple[str, ...]:
    if samples.dtype.kind != "f" or not samples.size:
        return ()
    n_clipped = int(np.count_nonzero(np.abs(samples) > 1.0))
    return (f"{n_clipped} samples beyond [-1, 1] saturated",) if n_clipped else ()


# ---- resampling ----------------------------------------------------------------------------------


def resampling_note(source_rate: int, sample_rate: int) -> str:
    return f"resampled from {source_rate} Hz to {sample_rate} Hz"


class _Polyphase:
    """A low pass, and samples of it at another rate: `_GROUP` neighbours of the result are a product of the samples
    that they depend on and a matrix of taps, the same one each `up` samples of the result, or a multiple of these.
    """

    def __init__(self, up: int, down: int) -> None:
        most = max(up, down)
        half = _HALF_TAPS * most
        taps = np.sinc(np.arange(-half, half + 1) / most) * np.kaiser(2 * half + 1, _KAISER_BETA)
        taps *= up / taps.sum()
        self._reach = half // up  # samples before the one at hand
        self._span = (_GROUP - 1) * down // up + 2 * self._reach + 3
        times = max(-(-_GROUP // up), -(-self._span // down))  # rows that do not overlap are multiplied without a copy
        self._up, self._down = up * times, down * times
        self._taps, self._half, self._ratio = taps, half, (up, down)
        self._matrices = [self._matrix(first) for first in range(0, self._up, _GROUP)]

    def _matrix(self, first: int) -> Floats:
        """Taps from the samples that results `first`, `first` + 1... depend on, [span, n]."""
        up, down = self._ratio
        results = np.arange(first, min(first + _GROUP, self._up))
        samples = first * down // up - self._reach + np.arange(self._span)
        at = results * down - samples[:, None] * up + self._half
        return np.where((at >= 0) & (at < len(self._taps)), self._taps[at.clip(0, len(self._taps) - 1)], 0.0)

    def __call__(self, x: Floats, start: int, n_out: int) -> Floats:
        """Results from the one at sample `start` of x on, a multiple of `down`."""
        up, down = self._ratio
        n_rows = -(-n_out // self._up)
        first = start - self._reach
        padded = np.zeros(max(0, -first) + max(len(x), start + n_rows * self._down + self._down + self._span))
        padded[max(0, -first) :][: len(x)] = x
        windows = np.lib.stride_tricks.sliding_window_view(padded[max(0, first) :], self._span)
        out = np.empty((n_rows, self._up))
        for i, matrix in enumerate(self._matrices):
            at = i * _GROUP
            out[:, at : at + matrix.shape[1]] = windows[at * down // up :: self._down][:n_rows] @ matrix
        return out.reshape(-1)[:n_out]


def resample(blocks: Iterable[Floats], source_rate: int, sample_rate: int) -> Iterator[Floats]:
    """Blocks of any lengths, resampled: what scipy.signal.resample_poly gives for all of them in one.

    Each piece is resampled with as much of its neighbours as the filter reaches, and starts at a multiple of `down`
    samples, where the polyphase filter is at its first phase.
    """
    divisor = math.gcd(source_rate, sample_rate)
    up, down = sample_rate // divisor, source_rate // divisor
    margin = down * math.ceil((_HALF_TAPS * max(up, down) / up + 1) / down)
    hop = down * max(1, BLOCK_SAMPLES // 4 // down)
    polyphase = _Polyphase(up, down)

    def piece(x: Floats, n_out: int) -> Floats:
        return polyphase(x, margin, n_out)

    waiting = np.zeros(margin)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= hop + 2 * margin:
            yield piece(waiting[: hop + 2 * margin], hop // down * up)
            waiting = waiting[hop:]
    n_left = len(waiting) - margin
    # more may be left than one hop: the margin on the right is only now known to be silence
    yield piece(np.concatenate([waiting, np.zeros(margin)]), -(-n_left * up // down))


def join(blocks: Iterable[Pcm]) -> Pcm:
    return np.concatenate([np.zeros(0, np.int16), *blocks])
