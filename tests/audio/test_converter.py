# SPDX-License-Identifier: Apache-2.0
"""PCM in pieces of any form and size, and what is piped in with a header or without."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from pynna.audio.converter import PcmConverter
from pynna.audio.piped import piped
from pynna.errors import AudioError

PCM = np.random.default_rng(1).integers(-3000, 3000, 4000).astype(np.int16)


@pytest.mark.parametrize("size", [1, 3, 7, 1001, 3201])
@pytest.mark.parametrize("form", [(16000, 2, 1), (16000, 2, 2), (16000, 1, 1), (16000, 4, 3), (16000, 2, 8)])
def test_pieces_may_end_anywhere(form, size):
    rate, width, channels = form
    pcm = np.random.default_rng(1).integers(-3000, 3000, 800).astype(np.int16)
    wide = {1: lambda x: (x.astype(np.int32) // 256 + 128).astype(np.uint8), 2: lambda x: x.astype("<i2"),
            4: lambda x: x.astype("<i4") << 16}[width](np.repeat(pcm, channels)).tobytes()  # fmt: skip
    converter = PcmConverter(16000)
    out = b"".join(converter.convert(wide[at : at + size], rate, width, channels) for at in range(0, len(wide), size))
    expected = pcm if width != 1 else (pcm.astype(np.int32) // 256 * 256).astype(np.int16)
    assert np.array_equal(np.frombuffer(out, "<i2"), expected)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_is_converted_in_pieces_as_in_one(rate):
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype("<i2")

    def converted(size: int) -> np.ndarray:
        converter = PcmConverter(16000)
        data = tone.tobytes()
        chunks = (data[at : at + size] for at in range(0, len(data), size))
        return np.frombuffer(b"".join(converter.convert(chunk, rate, 2, 1) for chunk in chunks), "<i2")

    whole, pieces = converted(1 << 20), converted(777)
    assert abs(len(whole) - 16000) < 20 and abs(len(pieces) - len(whole)) <= 1
    n = min(len(whole), len(pieces))
    assert np.abs(whole[:n].astype(int) - pieces[:n]).max() <= 1
    spectrum = np.abs(np.fft.rfft(whole[:15900] * np.hanning(15900)))
    assert abs(np.argmax(spectrum) * 16000 / 15900 - 440) < 2


@pytest.mark.parametrize("form", [(3999, 2, 1), (16000, 5, 1), (16000, 2, 0), (16000, 2, 9), (200000, 1, 1)])
def test_a_form_that_no_microphone_has_is_told(form):
    with pytest.raises(AudioError, match="audio must have 4000 to 192000 Hz"):
        PcmConverter(16000).convert(bytes(16), *form)
    converter = PcmConverter(16000)
    converter.convert(bytes(16), 16000, 2, 1)
    with pytest.raises(AudioError, match="must stay"):
        converter.convert(bytes(16), 16000, 2, 2)


def head(rate: int, channels: int, bits: int, kind: int = 1, more: bytes = b"") -> bytes:
    """The header of a WAV file whose length is not known, as a recorder writes to a pipe."""
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits)
    return b"RIFF\xff\xff\xff\xffWAVE" + more + b"fmt " + struct.pack("<I", 16) + fmt + b"data\xff\xff\xff\xff"


def heard(data: bytes) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    out = b"".join(piped(io.BytesIO(data), 16000, notes.append))
    return np.frombuffer(out, "<i2"), notes


@pytest.mark.parametrize("cut", [0, 1])
def test_raw_samples_are_taken_to_the_last_whole_one(cut):
    data = PCM.tobytes()
    out, notes = heard(data[: len(data) - cut])
    assert np.array_equal(out, PCM[: 4000 - cut])
    assert notes == (["1 byte of an unfinished sample at the end is left out"] if cut else [])


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (8000, 4), (22050, 2)])
@pytest.mark.parametrize("more", [b"", b"LIST" + struct.pack("<I", 3) + b"abc\0"])
def test_a_header_is_read_and_the_rate_converted(rate, channels, more):
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype("<i2")
    out, notes = heard(head(rate, channels, 16, more=more) + np.repeat(tone, channels).tobytes())
    assert abs(len(out) - 16000) < 30
    spectrum = np.abs(np.fft.rfft(out[:15900] * np.hanning(15900)))
    assert abs(np.argmax(spectrum) * 16000 / 15900 - 440) < 2
    assert len(notes) == ((rate, channels) != (16000, 1))


@pytest.mark.parametrize("data", [head(16000, 1, 20), head(16000, 1, 64, kind=3), head(16000, 1, 4, kind=17)])
def test_a_header_of_other_samples_is_told(data):
    with pytest.raises(AudioError, match="integers of 8, 16, 24 or 32 bits or floats of 32"):
        heard(data + bytes(1000))


@pytest.mark.parametrize("data", [b"", b"R", b"RIFF", head(16000, 1, 16)[:30], head(16000, 1, 16)])
def test_nothing_gives_nothing(data):
    assert len(heard(data)[0]) <= 2
