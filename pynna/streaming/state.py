# SPDX-License-Identifier: Apache-2.0
"""A live stream as bytes: a version, a checksum, a JSON object, and arrays; nothing in it is run, all of it is checked.

    offset  bytes
    0       8      "pynna.st"
    8       4      version, little-endian as all that follows
    12      32     BLAKE2b of all that follows
    44      4      length of the JSON object
    48      ...    the object, UTF-8; its "arrays" maps names to [dtype, shape]
    ...     ...    the arrays, one behind the other in that order

What a search has found is not in it: it is made again from the log-probabilities of the utterance. So no bytes from
outside become the inside of a decoder, and the numbers that a process gives to its language model's contexts stay its
own.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna.decoding.decoder import Decoder
from pynna.decoding.fingerprint import fingerprint
from pynna.decoding.options import DecoderOptions
from pynna.errors import ArgumentError, StateError
from pynna.network import Network
from pynna.streaming.channel import Channel
from pynna.streaming.history import AudioHistory

MAGIC, VERSION = b"pynna.st", 1
_HEAD = struct.Struct("<8sI32sI")
_DTYPES = {"int16": np.int16, "int8": np.int8, "uint8": np.uint8, "float32": np.float32, "float64": np.float64}
_MOST = 1 << 53  # of an integer: samples of ten thousand years

HotWordChanges = list[tuple[int, dict[str, float]]]
Array = npt.NDArray[Any]


class SavedState:
    """What is saved, by name; what is taken out of it has been checked.

    Parameters
    ----------
    values : dict
        What JSON can hold.
    arrays : dict of str to array
    """

    def __init__(self, values: dict[str, Any], arrays: dict[str, Array]) -> None:
        self.values, self.arrays = values, arrays

    # ---- bytes -----------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """All of it."""
        arrays = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for name, a in self.arrays.items()}
        shapes = {name: [a.dtype.name, list(a.shape)] for name, a in arrays.items()}
        text = json.dumps({**self.values, "arrays": shapes}).encode()
        rest = struct.pack("<I", len(text)) + text + b"".join(a.tobytes() for a in arrays.values())
        return _HEAD.pack(MAGIC, VERSION, _checksum(rest), len(text)) + rest[4:]

    @classmethod
    def from_bytes(cls, data: Any, kind: str) -> SavedState:
        """What `to_bytes` wrote of a "stream" or a "listener".

        Raises
        ------
        ArgumentError
            No bytes. StateError: no saved state, one of another kind or version, cut short, or damaged.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentError(f"a saved state must be bytes, got {type(data).__name__}")
        data = bytes(data)
        if len(data) < _HEAD.size or data[: len(MAGIC)] != MAGIC:
            raise StateError(f"a saved state must begin with {MAGIC!r} and its head, got {data[:8]!r}")
        _, version, checksum, n_text = _HEAD.unpack_from(data)
        if version != VERSION:
            raise StateError(f"a saved state must be of version {VERSION}, got {version}; save it with the same pynna")
        if _checksum(data[_HEAD.size - 4 :]) != checksum:
            raise StateError("a saved state must be as it was written; this one is cut short or damaged")
        try:
            values = json.loads(data[_HEAD.size : _HEAD.size + n_text].decode())
            arrays = _read_arrays(values.pop("arrays"), data[_HEAD.size + n_text :])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise StateError(f"a saved state must hold an object and its arrays: {error}") from None
        state = cls(values, arrays)
        if values.get("kind") != kind:
            raise StateError(f"the saved state must be of a {kind}, got one of a {values.get('kind')!s:.20}")
        return state

    # ---- what is in it ---------------------------------------------------------------------------------------------

    def integer(self, name: str, least: int = 0, most: int = _MOST) -> int:
        """A whole number; StateError for anything else."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise StateError(f"the saved state's {name} must be an integer from {least} to {most}, got {value!r:.40}")
        return value

    def number(self, name: str, least: float = 0.0) -> float:
        """A number from `least` on, infinity included; StateError for anything else."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
            raise StateError(f"the saved state's {name} must be a number from {least} on, got {value!r:.40}")
        return float(value)

    def integers(self, name: str, least: int = 0, most: int = _MOST) -> list[int]:
        """Whole numbers; StateError for anything else."""
        values = self.values.get(name)
        good = isinstance(values, list) and all(type(v) is int and least <= v <= most for v in values)
        if not good or values is None:
            raise StateError(f"the saved state's {name} must be integers from {least} to {most}, got {values!r:.40}")
        return list(values)

    def flag(self, name: str) -> bool:
        """True or false; StateError for anything else."""
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise StateError(f"the saved state's {name} must be true or false, got {value!r:.40}")
        return value

    def text(self, name: str) -> str:
        """A text; StateError for anything else."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise StateError(f"the saved state's {name} must be a text, got {value!r:.40}")
        return value

    def array(self, name: str, dtype: type[np.generic], *shape: int) -> Array:
        """An array of a dtype and a shape, -1 for any length; StateError for anything else."""
        found = self.arrays.get(name)
        fits = found is not None and found.dtype == dtype and found.ndim == len(shape)
        if found is None or not fits or any(w not in (-1, n) for w, n in zip(shape, found.shape, strict=True)):
            got = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise StateError(f"the saved state's {name} must be {np.dtype(dtype)} {shape}, got {got}")
        return found

    # ---- whose it is -----------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, kind: str, channel: Channel, options: DecoderOptions) -> SavedState:
        """What streams and listeners have in common."""
        network = channel.network
        c, h = channel.state
        values = {
            "kind": kind,
            "model": network.fingerprint,
            "model_name": network.name,
            "options": fingerprint(options, network.labels),
            "n_samples": channel.n_samples,
        }
        arrays: dict[str, Array] = {
            "c": c,
            "h": h,
            "frames": np.frombuffer(channel.core.frames_block, np.uint8),
            "waiting": channel.waiting,
        }
        return cls(values, arrays)

    def check(self, network: Network, options: DecoderOptions) -> None:
        """Raises StateError where it is of another model, or was decoded otherwise: the message says what is other."""
        if self.values.get("model") != network.fingerprint:
            raise StateError(
                f"the saved state must be of the model {network.name!r} with the fingerprint {network.fingerprint}, "
                f"got {self.values.get('model_name')!r:.60} with {self.values.get('model')!r:.60}"
            )
        saved, now = self.values.get("options"), fingerprint(options, network.labels)
        if not isinstance(saved, dict):
            raise StateError("the saved state must tell its options")
        for name, value in now.items():
            if saved.get(name) != value:
                raise StateError(
                    f"the options must be those of the saved stream: {name} must be {saved.get(name)!r:.40}, got "
                    f"{value!r:.40}"
                )

    def put_into(self, channel: Channel) -> None:
        """Gives a fresh channel what the saved one had. Raises StateError where it does not fit."""
        n_cell = int(channel.network.geometry["n_cell"])
        c, h = self.array("c", np.int16, n_cell), self.array("h", np.int8, n_cell)
        frames, waiting = self.array("frames", np.uint8, -1), self.array("waiting", np.int16, -1)
        channel.core.frames_block = frames.tobytes()
        channel.core.state = c, h
        channel.take_up(self.integer("n_samples"), waiting)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def _read_arrays(shapes: Mapping[str, Any], data: bytes) -> dict[str, Array]:
    """Arrays that make up all of the bytes."""
    found: dict[str, Array] = {}
    at = 0
    for name, (dtype, shape) in shapes.items():
        kind = np.dtype(_DTYPES[dtype])
        if not all(type(n) is int and 0 <= n <= len(data) for n in shape):
            raise ValueError(f"{name} has the shape {shape!r:.40}")
        size = math.prod(shape) * kind.itemsize
        if size > len(data) - at:
            raise ValueError(f"{name} takes more bytes than there are")
        found[name] = np.frombuffer(data[at : at + size], kind.newbyteorder("<")).astype(kind).reshape(shape)
        at += size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")
    return found


# ---- parts of a stream ----------------------------------------------------------------------------------------------


def hot_words_as_json(changes: HotWordChanges) -> list[Any]:
    """Changes of hot words, each with the number of frames fed before it."""
    return [[frame, list(map(list, words.items()))] for frame, words in changes]


def hot_words_of(state: SavedState, n_frames: int) -> HotWordChanges:
    """The same again. Raises StateError where they are none, or not within so many frames."""
    found: HotWordChanges = []
    try:
        for frame, words in state.values["hot_words"]:
            before = found[-1][0] if found else 0
            if type(frame) is not int or not before <= frame <= n_frames:
                raise ValueError(f"frame {frame!r:.20} is out of order")
            found.append((frame, {str(word): float(boost) for word, boost in words}))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StateError(f"the saved state's hot_words must be changes in order: {error}") from None
    return found


def replay(decoder: Decoder, rows: npt.NDArray[np.float32], changes: HotWordChanges) -> None:
    """Feeds a fresh decoder what another one was fed, and changes its hot words when the other's were.

    Raises StateError where it cannot be.
    """
    done = 0
    try:
        for frame, words in changes:
            decoder.feed(rows[done:frame])
            decoder.hot_words = words
            done = frame
        decoder.feed(rows[done:])
    except ArgumentError as error:
        raise StateError(f"the saved state's log-probabilities and hot words must be a decoder's: {error}") from None


def history_values(history: AudioHistory) -> tuple[dict[str, Any], Array]:
    """The audio that may be recognised again: where it stands, and the samples."""
    first, end, chunks = history.kept()
    audio = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
    return {"history_first": first, "history_end": end, "history_chunks": list(map(len, chunks))}, audio


def restore_history(history: AudioHistory, state: SavedState) -> None:
    """The same again. Raises StateError where it does not add up."""
    first, end = state.integer("history_first"), state.integer("history_end")
    lengths, audio = state.integers("history_chunks"), state.array("history", np.int16, -1)
    if sum(lengths) != len(audio) or end - first != len(audio):
        raise StateError(f"the saved state's history must have {end - first} samples, got {len(audio)} and {lengths}")
    history.take_up(first, [chunk.copy() for chunk in np.split(audio, np.cumsum(lengths)[:-1])] if lengths else [])
