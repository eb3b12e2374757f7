# SPDX-License-Identifier: Apache-2.0
"""Audio that is piped in: raw samples, or a WAV file whose header tells what it holds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pynna.audio.converter import PcmConverter
from pynna.errors import AudioError

PIECE = 0.02
"""Seconds of audio that are read at a time."""


def piped(file: BinaryIO, sample_rate: int, told: Callable[[str], None]) -> Iterator[bytes]:
    """Int16 PCM of one channel at a rate, of raw PCM that is that already, or of a WAV file of any rate.

    Parameters
    ----------
    file : binary file
    sample_rate : int
        In Hz.
    told : callable
        Is told what was done, or left out, one sentence each.

    Raises
    ------
    AudioError
        A WAV file whose samples are no integers of 8, 16 or 32 bits, or of an unbelievable rate.
    """
    converter, form, left = PcmConverter(sample_rate), (sample_rate, 2, 1), file.read(12)
    if left[:4] == b"RIFF" and left[8:] == b"WAVE":
        form, left = _form(file), b""
        if form != (sample_rate, 2, 1):
            rate, width, channels = form
            told(f"{rate} Hz, {8 * width} bits, {channels} channels: converted to one channel of {sample_rate} Hz")
    rate, width, channels = form
    size = max(1, int(PIECE * rate)) * width * channels
    while True:
        piece = left + file.read(size)
        if not piece:
            break
        left = b""
        pcm = converter.convert(piece, rate, width, channels)
        if pcm:
            yield pcm
    if converter.n_left:
        n = converter.n_left
        told(f"{n} byte{'s' if n > 1 else ''} of an unfinished sample at the end {'are' if n > 1 else 'is'} left out")


def _form(file: BinaryIO) -> tuple[int, int, int]:
    """Rate in Hz, bytes of a sample and channels, of a header up to its data."""
    form = (16000, 2, 1)
    while len(head := file.read(8)) == 8:
        kind, size = head[:4], int(struct.unpack("<I", head[4:])[0])
        if kind == b"data":
            break
        body = file.read(size + (size & 1))
        if kind == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if tag not in (1, 0xFFFE) or bits not in (8, 16, 32):
                raise AudioError(f"piped audio must have samples of 8, 16 or 32 bits, got format {tag} of {bits} bits")
            form = (rate, bits // 8, channels)
    return form
