# SPDX-License-Identifier: Apache-2.0
"""Recordings as people have them: headers that lie, ends that are missing, channels that cancel each other out."""

from __future__ import annotations

import io
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pynna.audio.channels import Remarks, remarks
from pynna.audio.files import load_audio, read
from pynna.errors import AudioError

RNG = np.random.default_rng(3)
PCM = (RNG.normal(0, 3000, 16000)).astype(np.int16)


def wav(
    pcm: np.ndarray = PCM,
    *,
    size: int | None = None,
    byte_rate: int | None = None,
    behind: bytes = b"",
    channels: int = 1,
) -> bytes:
    """A WAV file whose header may tell another size or byte rate than is right."""
    data = pcm.astype("<i2").tobytes()
    rate = 32000 * channels if byte_rate is None else byte_rate
    fmt = struct.pack("<HHIIHH", 1, channels, 16000, rate, 2 * channels, 16)
    told = len(data) if size is None else size
    return (
        b"RIFF"
        + struct.pack("<I", 36 + told)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", told)
        + data
        + behind
    )


@pytest.mark.parametrize("byte_rate", [0, 1, 16000, 64000, 176400, 0xFFFFFFFF])
def test_a_wrong_byte_rate_does_not_matter(byte_rate):
    audio = read(io.BytesIO(wav(byte_rate=byte_rate)))
    assert np.array_equal(audio.pcm, PCM) and audio.notes == ()


def test_ima_adpcm_is_read(tmp_path):
    tone = 0.5 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)
    soundfile.write(tmp_path / "a.wav", tone, 16000, subtype="IMA_ADPCM")
    audio = read(tmp_path / "a.wav")
    assert audio.notes == ()
    assert np.corrcoef(audio.pcm[:16000], tone)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("content", "n_samples", "note"),
    [
        (wav(size=0), 16000, "tells no length"),
        (wav(size=0, behind=b"\x01"), 16000, "tells no length"),
        (wav(size=32016), 16000, "cut short: 32016 bytes are promised by its header and 32000 are there"),
        (wav()[:-16], 15992, "cut short: 32000 bytes are promised by its header and 31984 are there"),
        (wav()[:-15], 15992, "cut short"),
        (wav()[:-16001], 7999, "cut short"),
        (wav(size=16000), 16000, "promises 16000 bytes and 32000 are there"),
        (wav(size=2), 16000, "promises 2 bytes"),
        (wav(behind=wav(PCM[::-1])), 16000, "another recording follows"),
        (wav(behind=wav()[:100]), 16000, "another recording follows"),
        (wav(behind=b"LIST" + struct.pack("<I", 4) + b"INFO"), 16000, ""),
        (wav(behind=bytes(100)), 16000, ""),
    ],
)
def test_a_header_with_a_wrong_size_is_mended_and_told(content, n_samples, note):
    audio = read(io.BytesIO(content))
    assert np.array_equal(audio.pcm, PCM[:n_samples])
    assert note in "; ".join(audio.notes) and bool(note) == bool(audio.notes)
    if note:
        with pytest.raises(AudioError, match="audio: "):
            read(io.BytesIO(content), strict=True)


@pytest.mark.parametrize("cut", [16, 100, 1001, 5000, 9000])
@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.wav", "a.aiff"])
def test_of_a_file_cut_short_is_taken_what_is_there(tmp_path, name, cut):
    path = tmp_path / name
    soundfile.write(path, np.tile(PCM, 5), 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    audio = read(path)
    assert 40000 < len(audio.pcm) <= 80000 + 4608
    if name not in ("a.mp3",):  # its length is not exact
        assert any("cut short" in note for note in audio.notes)
        with pytest.raises(AudioError, match="cut short|cannot be read"):
            read(path, strict=True)


@pytest.mark.parametrize("gains", [(1, -1), (-1, 1), (0.7, -0.72), (1, -1, 1, -1), (0.3, -0.31)])
def test_channels_that_cancel_each_other_out_are_not_mixed(gains):
    pcm = np.stack([np.rint(PCM * gain) for gain in gains], axis=1).astype(np.int16)
    audio = read(io.BytesIO(wav(pcm.reshape(-1), channels=len(gains))))
    best = int(np.argmax(np.abs(gains)))
    assert np.array_equal(audio.pcm, pcm[:, best])
    assert len(audio.notes) == 1
    assert audio.notes[0].startswith(f"{len(gains)} channels cancel") and f"channel {best + 1} is" in audio.notes[0]


@pytest.mark.parametrize("gains", [(1, 1), (1, 0), (1, 0.5), (1, -0.2), (0, 0)])
def test_other_channels_are_mixed(gains):
    pcm = np.stack([np.rint(PCM * gain) for gain in gains], axis=1).astype(np.int16)
    assert read(io.BytesIO(wav(pcm.reshape(-1), channels=2))).notes == ("2 channels mixed down to one",)


@pytest.mark.parametrize(("channel", "index"), [("left", 0), ("right", 1), (1, 0), (2, 1), ("2", 1)])
def test_a_side_of_a_call_is_taken_alone(channel, index):
    pcm = np.stack([PCM, PCM[::-1]], axis=1)
    audio = read(io.BytesIO(wav(pcm.reshape(-1), channels=2)), channel=channel)
    assert np.array_equal(audio.pcm, pcm[:, index]) and audio.notes == (f"channel {index + 1} of 2",)


@pytest.mark.parametrize("channel", [0, 3, "middle", "rite", -1])
def test_a_channel_that_is_not_there_is_told(channel):
    with pytest.raises(AudioError, match="channel must be left, right or 1 to 2, got"):
        read(io.BytesIO(wav(np.repeat(PCM, 2), channels=2)), channel=channel)


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("a.webm", b"\x1a\x45\xdf\xa3", "WebM or Matroska is not read here; `ffmpeg -i .*a.webm -ar 16000 -ac 1"),
        ("a.m4a", b"\0\0\0\x20ftypM4A ", "MP4 or M4A is not read here; `ffmpeg"),
        ("a.mp4", b"\0\0\0\x18ftypmp42", "MP4 or M4A"),
        ("a.wma", b"\x30\x26\xb2\x75\x8e\x66", "Windows Media Audio"),
        ("a.amr", b"#!AMR\n", "AMR is not read here"),
        ("a.raw", b"", "raw samples have no header that tells their rate; `--raw 16000`"),
        ("a.pcm", b"", "`--raw 16000`"),
        ("a.txt", b"hello", "no audio format with a header .* `--raw 16000` reads raw PCM"),
    ],
)
def test_of_other_formats_is_told_what_would_be_right(tmp_path, name, start, message):
    (tmp_path / name).write_bytes(start + PCM.tobytes())
    with pytest.raises(AudioError, match=message):
        read(tmp_path / name)


def test_raw_samples_are_read_at_the_rate_that_is_told(tmp_path):
    (tmp_path / "a.raw").write_bytes(PCM.tobytes() + b"x")
    audio = read(tmp_path / "a.raw", raw_sample_rate=16000)
    assert np.array_equal(audio.pcm, PCM) and audio.notes == ("half a sample at its end is left out",)
    assert len(read(tmp_path / "a.raw", raw_sample_rate=8000).pcm) == 32000


@pytest.mark.parametrize("make", [io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_open_files_are_taken_as_paths_are(make, tmp_path):
    assert np.array_equal(load_audio(make(wav())).pcm, PCM)
    (tmp_path / "a.wav").write_bytes(wav())
    with (tmp_path / "a.wav").open("rb") as file:
        assert np.array_equal(load_audio(file).pcm, PCM)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes")
def test_a_file_name_need_not_be_utf8(tmp_path: Path):
    path: Any = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    with open(path, "wb") as file:
        file.write(wav())
    assert np.array_equal(read(os.fsdecode(path)).pcm, PCM)


@pytest.mark.parametrize(
    ("pcm", "remark"),
    [
        (np.zeros(16000, np.int16), "digital silence"),
        (np.tile(np.array([0, 3], np.int16), 8000), "very quiet: its loudest sample is 3"),
        (np.clip(PCM * 20.0, -32768, 32767).astype(np.int16), "clipped"),
        ((PCM // 4 + 9000).astype(np.int16), "constant voltage"),
        ((8000 * np.sin(np.arange(32000) * 0.2)).astype(np.int16), "nothing is in it above"),
        (PCM, ""),
        (PCM[:0], ""),
    ],
)
def test_what_looks_wrong_is_remarked(pcm, remark):
    found = remarks(pcm, 16000, 16000)
    assert remark in "; ".join(found) and bool(remark) == bool(found)


def test_remarks_do_not_depend_on_the_pieces():
    pcm = np.tile(PCM, 40)
    whole, pieces, rng = Remarks(16000), Remarks(16000), np.random.default_rng(0)
    whole.add(pcm)
    for piece in np.split(pcm, np.sort(rng.integers(0, len(pcm), 60))):
        pieces.add(piece)
    assert np.allclose(whole._power, pieces._power) and len(pcm) > 2 * 200 * 1024
    assert (whole._n_looked_at, whole._stride) == (pieces._n_looked_at, pieces._stride)
    assert whole.told(16000) == pieces.told(16000) == ()
