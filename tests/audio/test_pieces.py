# SPDX-License-Identifier: Apache-2.0
"""A recording read in pieces is the recording read at once, to the bit, with the same notes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pynna.audio.containers import mend_wav
from pynna.audio.files import read, read_in_pieces, seconds_of
from pynna.errors import AudioError


def noise(n: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.1, (n, channels))


FORMS = [(16000, 1), (22050, 1), (44100, 2), (8000, 3)]
CASES = [(name, *form) for name in ("a.wav", "a.flac", "a.ogg", "a.mp3") for form in FORMS]
CASES.remove(("a.mp3", 8000, 3))  # MP3 has two channels at most


@pytest.mark.parametrize(("name", "rate", "channels"), CASES)
def test_pieces_are_what_is_read_at_once(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    soundfile.write(tmp_path / name, noise(3 * rate + 7, channels), rate)
    notes: list[str] = []
    pieces = list(read_in_pieces(tmp_path / name, notes))
    whole = read(tmp_path / name)
    assert np.array_equal(np.concatenate(pieces), whole.pcm) and tuple(notes) == whole.notes
    length = seconds_of(tmp_path / name)
    assert length is not None and abs(length - 3) < 0.2


def test_channels_that_cancel_each_other_out(tmp_path: Path) -> None:
    one = noise(20000)
    soundfile.write(tmp_path / "a.wav", np.hstack([one, -one]), 8000)
    notes: list[str] = []
    pieces = list(read_in_pieces(tmp_path / "a.wav", notes))
    whole = read(tmp_path / "a.wav")
    assert np.array_equal(np.concatenate(pieces), whole.pcm) and tuple(notes) == whole.notes and len(notes) == 2


def test_raw_samples(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes((noise(9000)[:, 0] * 3e4).astype("<i2").tobytes() + b"x")
    for rate in (16000, 11025):
        notes: list[str] = []
        pieces = list(read_in_pieces(tmp_path / "a.raw", notes, raw_sample_rate=rate))
        whole = read(tmp_path / "a.raw", raw_sample_rate=rate)
        assert np.array_equal(np.concatenate(pieces), whole.pcm) and tuple(notes) == whole.notes


def test_a_header_without_a_length_is_mended_without_reading_the_file_into_memory(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(50000), 16000, subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = bytes(4)
    (tmp_path / "b.wav").write_bytes(data)
    with open(tmp_path / "b.wav", "rb") as file:
        mended = mend_wav(file, "b.wav")
        assert mended is not None and not isinstance(mended.file, io.BytesIO)
    notes: list[str] = []
    pieces = list(read_in_pieces(tmp_path / "b.wav", notes))
    assert np.array_equal(np.concatenate(pieces), read(tmp_path / "a.wav").pcm) and "no length" in notes[0]


def test_what_is_no_audio_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"nothing")
    with pytest.raises(AudioError, match="cannot be read as audio"):
        list(read_in_pieces(tmp_path / "a.wav", []))
    assert seconds_of(tmp_path / "a.wav") is None
