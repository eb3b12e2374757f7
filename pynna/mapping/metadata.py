# SPDX-License-Identifier: Apache-2.0
"""What a DeepSpeech or Coqui STT model file says of itself, and alphabets as they lie in files."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pynna.errors import MappingError
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.weights import ENGLISH, read_alphabet

BYTE_LABELS = tuple(chr(byte) for byte in range(1, 256))
"""The labels of a bytes-output model: label i is the byte i + 1, written as the character of that number."""

FEATURE_RANGE = "metadata_feature_range"
"""Where features were clipped in training: pynna's own, which DeepSpeech's clients ignore."""

GENERATIONS = {None: "DeepSpeech 0.5", 5: "DeepSpeech 0.6", 6: "DeepSpeech 0.7 to 0.9 or Coqui STT 1.x"}
"""By the number in ``metadata_version``."""


def parse_alphabet(data: bytes | memoryview) -> tuple[str, ...]:
    """The labels of a ``metadata_alphabet``: uint16 count, then {uint16 label, uint16 length, UTF-8} in any order.

    Raises
    ------
    MappingError
        Cut short, a label missing or twice, or text that is no UTF-8 (but for a bytes-output model's).
    """
    data = bytes(data)
    if len(data) < 2:
        raise MappingError("metadata_alphabet is empty; a count and labels are needed")
    count, at = struct.unpack_from("<H", data)[0], 2
    labels: dict[int, bytes] = {}
    for _ in range(count):
        if at + 4 > len(data):
            raise MappingError(f"metadata_alphabet is cut short: {len(labels)} of {count} labels")
        label, length = struct.unpack_from("<HH", data, at)
        if at + 4 + length > len(data):
            raise MappingError(f"metadata_alphabet is cut short within label {label}")
        labels[label] = data[at + 4 : at + 4 + length]
        at += 4 + length
    if sorted(labels) != list(range(count)):
        raise MappingError(
            f"metadata_alphabet has labels {sorted(labels)[:8]}...; 0 to {count - 1}, each once, are needed"
        )
    return label_texts([labels[i] for i in range(count)])


def label_texts(labels: Sequence[bytes]) -> tuple[str, ...]:
    """Labels as texts; those of a bytes-output model as `BYTE_LABELS`.

    Raises
    ------
    MappingError
        A label that is no UTF-8.
    """
    if list(labels) == [bytes([i + 1]) for i in range(255)]:
        return BYTE_LABELS
    try:
        return tuple(label.decode("utf-8") for label in labels)
    except UnicodeDecodeError:
        raise MappingError("metadata_alphabet has a label that is no UTF-8") from None


def serialise_alphabet(labels: Sequence[str]) -> bytes:
    """Labels in the form of ``metadata_alphabet``."""
    as_bytes = (
        [bytes([ord(label)]) for label in labels]
        if tuple(labels) == BYTE_LABELS
        else [label.encode("utf-8") for label in labels]
    )
    return struct.pack("<H", len(labels)) + b"".join(
        struct.pack("<HH", i, len(label)) + label for i, label in enumerate(as_bytes)
    )


def milliseconds(features: MfccConfig) -> dict[str, int]:
    """Sample rate, window and step as graphs count them, the latter two in milliseconds.

    Raises
    ------
    MappingError
        A window or a step that is no whole number of them.
    """
    for length in (features.window, features.step):
        if length * 1000 % features.sample_rate:
            raise MappingError(f"{length} samples at {features.sample_rate} Hz: the file needs whole milliseconds")
    return {
        "sample_rate": features.sample_rate,
        "feature_win_len": features.window * 1000 // features.sample_rate,
        "feature_win_step": features.step * 1000 // features.sample_rate,
    }


def choose_alphabet(
    given: tuple[str, ...] | None, inside: tuple[str, ...] | None, path: Path | None, n_labels: int
) -> tuple[str, ...]:
    """The labels but the blank: those given, else the file's own, else ``alphabet.txt`` beside it, else what fits.

    Raises
    ------
    MappingError
        Nothing of that is there, and the network is neither English nor a bytes-output one.
    """
    for labels in (given, inside, None if path is None else beside(path)):
        if labels is not None:
            return labels
    if n_labels == len(BYTE_LABELS) + 1:
        return BYTE_LABELS
    if n_labels != len(ENGLISH) + 1:
        raise MappingError(
            f"the network has {n_labels - 1} labels and the blank, English has {len(ENGLISH)}: "
            f"its alphabet.txt is needed, with --alphabet or beside it"
        )
    return ENGLISH


def beside(path: Path) -> tuple[str, ...] | None:
    """The labels of the ``alphabet.txt`` in a file's folder; None where there is none that can be read."""
    try:
        data = (path.parent / "alphabet.txt").read_bytes()
        return read_alphabet(data[: 1 << 20].decode("utf-8"))
    except (OSError, UnicodeDecodeError, MappingError):
        return None


def metadata_of(number: Callable[[str], int | None], string: Callable[[str], bytes | None]) -> dict[str, Any]:
    """What goes into a mapped model's metadata: beam width and language, where the file tells them."""
    metadata: dict[str, Any] = {}
    beam, language = number("metadata_beam_width"), string("metadata_language")
    if beam is not None and 0 < beam <= 4096:
        metadata["beam_width"] = beam
    if language:
        metadata["language"] = bytes(language[:64]).decode("utf-8", "replace")
    return metadata
