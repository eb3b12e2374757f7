# SPDX-License-Identifier: Apache-2.0
"""Audio that is piped in: raw samples, or a WAV file whose header tells what it holds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from pynna.audio.containers import STANDARD_INPUT, foreign_format
from pynna.audio.converter import PcmConverter
from pynna.errors import AudioError

PIECE = 0.02
"""Seconds of audio that are read at a time."""

_INTEGERS, _FLOATS, _EXTENSIBLE = 1, 3, 0xFFFE
"""A WAV file's format tags; the last one's true tag stands further on."""

_FILES = ((b"fLaC", "FLAC"), (b"OggS", "OGG"), (b"ID3", "MP3"), (b"FORM", "AIFF"), (b"caff", "CAF"))


class _Form(NamedTuple):
    """Rate in Hz, bytes of a sample, channels, and whether samples are floats."""

    rate: int
    width: int
    channels: int
    floats: bool


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
        A file of another format, a WAV file whose samples are no integers of 8 to 32 bits and no floats of 32, or of an
        unbelievable rate.
    """
    plain = _Form(sample_rate, 2, 1, False)
    converter, form, left = PcmConverter(sample_rate), plain, file.read(12)
    if left[:4] == b"RIFF" and left[8:] == b"WAVE":
        form, left = _form(file), b""
        if form != plain:
            n, kind = form.channels, "floats" if form.floats else f"{8 * form.width} bits"
            channels = "1 channel" if n == 1 else f"{n} channels"
            told(f"{form.rate} Hz, {kind}, {channels}: converted to one channel of {sample_rate} Hz")
    elif found := _file_format(left):
        raise AudioError(
            f"{STANDARD_INPUT} is {found}: int16 samples or a WAV file are needed; "
            f"`ffmpeg -i - -f s16le -ac 1 -ar {sample_rate} -` makes them of it, `pynna transcribe -` reads files"
        )
    size = max(1, int(PIECE * form.rate)) * form.width * form.channels
    while True:
        piece = left + file.read(size)
        if not piece:
            break
        left = b""
        pcm = converter.convert(piece, *form)
        if pcm:
            yield pcm
    if converter.is_cancelled:
        told(f"{form.channels} channels cancel each other out, one is inverted: the louder one was taken")
    if converter.n_left:
        n = converter.n_left
        told(f"{n} byte{'s' if n > 1 else ''} of an unfinished sample at the end {'are' if n > 1 else 'is'} left out")


def _file_format(start: bytes) -> str:
    """The format that a file's first bytes tell; empty for samples."""
    is_mp3 = start[:1] == b"\xff" and start[1:2] in (b"\xfb", b"\xf3", b"\xf2", b"\xe3") and start[4:12] == bytes(8)
    known = next((name for magic, name in _FILES if start.startswith(magic)), "MP3" if is_mp3 else "")
    return known or foreign_format(start)


def _form(file: BinaryIO) -> _Form:
    """What a header tells, up to its data."""
    form = _Form(16000, 2, 1, False)
    while len(head := file.read(8)) == 8:
        kind, size = head[:4], int(struct.unpack("<I", head[4:])[0])
        if kind == b"data":
            break
        body = file.read(size + (size & 1))
        if kind == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if tag == _EXTENSIBLE and len(body) >= 26:
                tag = struct.unpack_from("<H", body, 24)[0]
            floats = tag == _FLOATS and bits == 32
            if not floats and (tag not in (_INTEGERS, _EXTENSIBLE) or bits not in (8, 16, 24, 32)):
                raise AudioError(
                    "piped audio must be integers of 8, 16, 24 or 32 bits or floats of 32, "
                    f"got format {tag} of {bits} bits"
                )
            form = _Form(rate, bits // 8, channels, floats)
    return form
