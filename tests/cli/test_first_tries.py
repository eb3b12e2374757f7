# SPDX-License-Identifier: Apache-2.0
"""What people try next: options that conflict, standard streams that are closed, pipes of other formats."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pynna
from pynna.audio.files import read
from pynna.audio.piped import piped
from pynna.cli.main import main
from pynna.errors import AudioError

CLIP = Path(pynna.__file__).parent / "recordings" / "call_home.flac"
PCM = read(CLIP).pcm


def told_by(capsys, *command: str | Path) -> tuple[int, str]:
    """Exit code, and what standard error was told in one line."""
    code = main([str(word) for word in command])
    told = capsys.readouterr().err
    assert told.startswith("pynna: ") and told.count("\n") == 1, told
    return code, told


# ---- the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["transcribe", CLIP, "--threshold", "0.5"], "--threshold needs --grammar: free text is not accepted"),
        (["transcribe", CLIP, "--resume"], "--resume needs -o FOLDER"),
        (["transcribe", "-", "--jobs", "2"], 'need files, got "-"'),
        (["transcribe", CLIP, "--grammar", "car", "--spelling", "british"], "spelling and grammar exclude each other"),
        (["transcribe", CLIP, "--hot-word", "home=5000"], "its boost is 5000"),
        (["listen", "-", "--device", "3"], "--device is a microphone's"),
        (["assistant", "--device", "3"], "--device needs --microphone"),
        (["serve", "--wyoming", "tcp://127.0.0.1:1", "--seconds", "3"], "--seconds does nothing with --wyoming"),
        (["serve", "--wyoming", "tcp://127.0.0.1:1", "--processes", "3"], "--processes does nothing with --wyoming"),
        (["serve", "--measure", "--zeroconf"], "--zeroconf does nothing with --measure"),
        (["serve", "--measure", "--grammar", "car", "--grammar", "car"], "--measure takes one --grammar"),
        (["serve", "--print-unit", "--processes", "3"], "--processes does nothing with --print-unit"),
        (["serve", "--write-addon", "addon", "--grammar", "car"], "--grammar does nothing with --write-addon"),
    ],
)
def test_options_that_cannot_act_together_are_a_wrong_command_line(command, message, capsys):
    code, told = told_by(capsys, *command)
    assert code == 2 and message in told


def test_a_file_to_listen_to_is_sent_to_the_command_that_reads_files(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["listen", "a.wav"])
    assert ended.value.code == 2 and "`pynna transcribe --utterances` hears files" in capsys.readouterr().err


def test_a_unit_serves_with_all_that_was_asked_for(capsys):
    assert main(["serve", "--print-unit", "--channels", "64", "--metrics", "127.0.0.1:9100", "--drain", "5"]) == 0
    assert "--channels 64 --metrics 127.0.0.1:9100 --drain 5\n" in capsys.readouterr().out


# ---- files and folders -------------------------------------------------------------------------------------------


def test_a_folder_without_recordings_says_what_is_looked_for(tmp_path, capsys):
    for command in (["transcribe", tmp_path], ["why", tmp_path, "--grammar", "car"]):
        code, told = told_by(capsys, *command)
        assert code == 1 and f"{tmp_path}: a folder without recordings (.wav, .flac" in told


def test_why_finds_in_a_folder_what_transcribe_finds(tmp_path, capsys):
    soundfile.write(tmp_path / "a.caf", PCM, 16000)
    soundfile.write(tmp_path / "b.au", PCM, 16000, format="AU")
    assert main(["why", str(tmp_path), "--grammar", "car", "--json"]) == 0
    assert capsys.readouterr().out.count('"sentence": "call home"') == 2


def test_why_names_no_letters_where_nothing_was_said(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    assert main(["why", str(tmp_path / "a.wav"), "--grammar", "car"]) == 0
    told = capsys.readouterr().out
    assert "no speech was found" in told and "\n  or " not in told


def test_the_line_for_ffmpeg_can_be_pasted(tmp_path, capsys):
    path = tmp_path / "my film.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    assert f"`ffmpeg -i '{path}' -ar" in told_by(capsys, "transcribe", path)[1]


def test_floats_in_the_range_of_int16_are_told(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", PCM.astype(np.float32), 16000, subtype="FLOAT")
    assert "float samples must be in [-1, 1], got" in told_by(capsys, "transcribe", tmp_path / "a.wav")[1]


# ---- standard input and output -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed", "command", "code"),
    [
        (">&-", "info", 0),
        ("2>&-", f"info {CLIP}", 1),
        ("<&-", "transcribe -", 1),
        ("<&-", "listen -", 0),
        ("<&- >&- 2>&-", "info", 0),
        (">/dev/full", "--version", 1),
    ],
)
def test_streams_that_are_closed_or_full_are_no_traceback(closed, command, code, tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m pynna {command} {closed}', sys.executable],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and done.returncode == code, done.stderr


def test_nothing_on_standard_input_is_told_as_that(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "r") as empty:
        monkeypatch.setattr(sys, "stdin", empty)
        assert "nothing came, not a byte" in told_by(capsys, "transcribe", "-")[1]


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3", "AIFF"])
def test_a_file_of_another_format_is_not_heard_as_samples(form, monkeypatch, capsys):
    file = io.BytesIO()
    soundfile.write(file, PCM, 16000, format=form)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.getvalue())))
    code, told = told_by(capsys, "listen", "-")
    assert code == 1 and f"standard input is {form}" in told and "`ffmpeg -i - -f s16le" in told


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("form", ["24 bits", "floats"])
def test_samples_of_24_bits_and_floats_are_heard(form, extensible):
    tag, width = (1, 3) if form == "24 bits" else (3, 4)
    wide = (PCM.astype("<i4") << 8).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    data = wide if tag == 1 else (PCM / 32768).astype("<f4").tobytes()
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, 1, 16000, 16000 * width, width, 8 * width)
    fmt += struct.pack("<HHIH14x", 22, 8 * width, 4, tag) if extensible else b""
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data\xff\xff\xff\xff"
    notes: list[str] = []
    heard = np.frombuffer(b"".join(piped(io.BytesIO(head + data), 16000, notes.append)), "<i2")
    assert np.abs(heard.astype(int) - PCM).max() <= 1
    assert notes == [f"16000 Hz, {form}, 1 channel: converted to one channel of 16000 Hz"]


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_inverted_channel_does_not_cancel_the_other(sign):
    fmt = struct.pack("<HHIIHH", 1, 2, 16000, 64000, 4, 16)
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data\xff\xff\xff\xff"
    quieter = PCM // 2
    both = np.stack([np.clip(PCM.astype(int) * sign, -32767, 32767), quieter if sign > 0 else PCM], axis=1)
    notes: list[str] = []
    heard = np.frombuffer(b"".join(piped(io.BytesIO(head + both.astype("<i2").tobytes()), 16000, notes.append)), "<i2")
    wanted = both.mean(axis=1) if sign > 0 else np.clip(-PCM.astype(int), -32767, 32767)
    assert np.abs(heard - wanted).max() <= 1
    assert any("one is inverted" in note for note in notes) == (sign < 0)


def test_piped_floats_in_the_range_of_int16_are_told():
    fmt = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data\xff\xff\xff\xff"
    with pytest.raises(AudioError, match="float samples must be in"):
        list(piped(io.BytesIO(head + PCM.astype("<f4").tobytes()), 16000, print))


# ---- where a server listens --------------------------------------------------------------------------------------


def test_a_socket_takes_no_files_place(tmp_path, capsys):
    pytest.importorskip("wyoming")
    mine = tmp_path / "notes.txt"
    mine.write_text("mine")
    code, told = told_by(capsys, "serve", "--wyoming", f"unix://{mine}")
    assert code == 1 and "a file that is no socket" in told and mine.read_text() == "mine"
    assert "there is no folder" in told_by(capsys, "serve", "--wyoming", f"unix://{tmp_path}/no/a.sock")[1]


def test_a_socket_that_was_left_is_taken_over():
    wyoming = pytest.importorskip("pynna.assistant.wyoming")
    with tempfile.TemporaryDirectory() as folder:  # its name is short enough for a socket's address, tmp_path's is not
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{folder}/s")
        assert wyoming._server(f"unix://{folder}/s", False) is not None


def test_stdio_without_pipes_is_told(tmp_path):
    pytest.importorskip("wyoming")
    with (tmp_path / "in").open("w+") as file:
        done = subprocess.run(
            [sys.executable, "-m", "pynna", "serve", "--wyoming", "stdio://"],
            stdin=file, stdout=file, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1 and "stdio:// needs pipes" in done.stderr and "Traceback" not in done.stderr
