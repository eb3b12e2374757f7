# SPDX-License-Identifier: Apache-2.0
"""Speech out of games: small archives as theirs, and what is made of what is heard."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile")
pytest.importorskip("tqdm")

import soundfile

import pynna
from pynna.train.corpora import dialogue
from pynna.train.voices.base import RATE
from pynna.train.voices.base import read as read_audio
from pynna.train.voices.synthesise import Pcm

RECORDING = Path(pynna.__file__).parent / "recordings" / "calibration"


def tone(hz: float, rate: int = dialogue.RATE, seconds: float = 0.5) -> np.ndarray:
    return np.asarray(0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate), np.float32)


def pitch(pcm: Pcm) -> float:
    """The strongest frequency, Hz, of samples at 16 kHz."""
    return float(np.abs(np.fft.rfft(pcm)).argmax() * RATE / len(pcm))


def sound(x: np.ndarray, rate: int, kind: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, x, rate, format=kind, subtype=subtype)
    return file.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    """A queen.1c of these files."""
    head = b"QTBL" + b"CEM10\0" + bytes(3) + len(files).to_bytes(2, "big")
    start, table = len(head) + 21 * len(files), b""
    for name, data in files.items():
        table += struct.pack(">12sBII", name.encode(), 1, start, len(data))
        start += len(data)
    return head + table + b"".join(files.values())


def test_queen(tmp_path: Path) -> None:
    lines = b"\0\0\x061At least I don't.*15\0\0\0\0\0\x07*You did, Joe.*03And now?*02\0"
    tmp_path.joinpath("queen.1c").write_bytes(archive({
        "0203B9J1.SB": sound(tone(300), 11025, "MP3", "MPEG_LAYER_III"),
        "0203B9P2.SB": sound(tone(500), 11025, "MP3", "MPEG_LAYER_III"),
        "C21L_141.SB": sound(tone(700), 11025, "MP3", "MPEG_LAYER_III"),
        "JOE00181.SB": b"no sound at all",
        "AND1.DOG": lines,
    }))  # fmt: skip
    clips = list(dialogue.queen(tmp_path))
    assert [(name, speaker) for name, speaker, _ in clips] == [
        ("0203B9J1", "queen:joe"), ("0203B9P2", "queen:02"), ("C21L_141", "queen:C21L"), ("JOE00181", "queen:joe")
    ]  # fmt: skip
    assert len(clips.pop()[2]()) == 0
    for (_, _, read), hz in zip(clips, (300, 500, 700), strict=True):
        pcm = read()
        assert pcm.dtype == np.int16 and pitch(pcm) == pytest.approx(hz, abs=8)
        assert 0.5 < np.abs(pcm.astype(int)).max() / 32768 < 0.7
    assert {"At least I don't.", "You did, Joe.", "And now?"} <= dialogue.queen_subtitles(tmp_path)


def test_another_archive_is_told(tmp_path: Path) -> None:
    tmp_path.joinpath("queen.1c").write_bytes(b"RIFF" + bytes(60))
    with pytest.raises(ValueError, match="no archive of Flight of the Amazon Queen: it must begin with QTBL"):
        list(dialogue.queen(tmp_path))


def test_drascula(tmp_path: Path) -> None:
    english = tmp_path / "en"
    english.mkdir()
    for name, hz in (("1.ALS", 300), ("VB2.ALS", 500)):
        (127 + 100 * tone(hz)).astype(np.uint8).tofile(english / name)
    english.joinpath("3.ALS").write_bytes(bytes(100))  # too short to be speech
    english.joinpath("drascula.dat").write_bytes(b"\0\0\x008THE DOOR IS SHUT\0\0Yes, it is.\0")
    clips = list(dialogue.drascula(tmp_path))
    assert [(name, speaker, len(read()) > 0) for name, speaker, read in clips] == [
        ("1", "drascula:hero", True), ("3", "drascula:hero", False), ("VB2", "drascula:vb", True)
    ]  # fmt: skip
    assert [round(pitch(read()) / 10) for *_, read in clips[::2]] == [30, 50]
    assert {"THE DOOR IS SHUT", "Yes, it is."} <= dialogue.drascula_subtitles(tmp_path)


def crc(data: bytes) -> int:
    """CRC-16/ARC."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def packed(data: bytes) -> bytes:
    """Rob Northen's method 1 with nothing but literals: one run, its length the only symbol of the only code."""
    symbol = len(data).bit_length()
    fields = [
        (0, 2),
        (symbol + 1, 5),
        *[(0, 4)] * symbol,
        (1, 4),
        (0, 5),
        (0, 5),
        (1, 16),
        (0, 1),
        (len(data) & ~(1 << symbol - 1), symbol - 1),
    ]
    bits = "".join(format(value, f"0{n}b")[::-1] for value, n in fields)
    words = [bits[i : i + 16].ljust(16, "0")[::-1] for i in range(0, len(bits), 16)]
    body = b"".join(int(word, 2).to_bytes(2, "little") for word in words) + data
    return b"RNC\x01" + struct.pack(">IIHHBB", len(data), len(body), crc(data), crc(body), 0, 1) + body


@pytest.mark.skipif(not shutil.which("ancient"), reason="Debian's ancient is not installed")
def test_sky(tmp_path: Path) -> None:
    speech = packed((128 + 90 * tone(400)).astype(np.uint8).tobytes())
    picture = packed(bytes(range(64)) * 100)
    table, data = (3).to_bytes(4, "little"), bytes(32)
    for number, body in ((51000, speech), (60000, speech), (52000, picture)):
        file = bytes(22) + body
        table += number.to_bytes(2, "little") + len(data).to_bytes(3, "little") + len(file).to_bytes(3, "little")
        data += file
    tmp_path.joinpath("sky.dnr").write_bytes(table)
    tmp_path.joinpath("sky.dsk").write_bytes(data)
    clips = list(dialogue.sky(tmp_path))
    assert [(name, speaker) for name, speaker, _ in clips] == [("51000", "sky:unknown"), ("52000", "sky:unknown")]
    assert pitch(clips[0][2]()) == pytest.approx(400, abs=8) and len(clips[1][2]()) == 0


def games(folder: Path) -> None:
    """The folders and archives of `shouts`, with a call in each."""
    for place in dialogue.CALLS:
        folder.joinpath(place).parent.mkdir(parents=True, exist_ok=True)
    ogg = sound(tone(400, 22050), 22050, "OGG", "VORBIS")
    with zipfile.ZipFile(folder / "warzone2100/base.wz", "w") as file:
        file.writestr("audio/tutorial/Build It.ogg", ogg)
        file.writestr("audio/sfx/gun.ogg", ogg)
    with zipfile.ZipFile(folder / "nexuiz/data/data.pk3", "w") as file:
        file.writestr("sound/player/marine/coms/attack.ogg", ogg)
    for path in (
        "hedgewars/Data/Sounds/voices/Pirate/Ahoy.ogg",
        "hedgewars/Data/Sounds/voices/Robot/Beep.ogg",
        "redeclipse/data/sounds/voice/yes.ogg",
    ):
        folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(path).write_bytes(ogg)


def test_shouts(tmp_path: Path) -> None:
    games(tmp_path)
    clips = list(dialogue.shouts(tmp_path))
    assert [(name, speaker) for name, speaker, _ in clips] == [
        ("warzone2100-audio-tutorial-build-it", "shouts:warzone2100/audio/tutorial"),
        ("nexuiz-sound-player-marine-coms-attack", "shouts:nexuiz/sound/player/marine/coms"),
        ("hedgewars-pirate-ahoy", "shouts:hedgewars/Pirate"),
        ("redeclipse-yes", "shouts:redeclipse"),
    ]
    assert all(pitch(read()) == pytest.approx(400, abs=8) for *_, read in clips)


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "rapidfuzz" else True)
    with pytest.raises(ModuleNotFoundError, match=r"rapidfuzz: pip install 'pynna\[train,accuracy\]'"):
        dialogue.make(tmp_path / "out", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with pytest.raises(FileNotFoundError, match="flight-of-the-amazon-queen.*apt-get install flight-of"):
        dialogue.make(tmp_path / "out", tmp_path)
    games(tmp_path)
    shutil.rmtree(tmp_path / "hedgewars")
    with pytest.raises(FileNotFoundError, match="hedgewars.*apt-get install warzone2100-data nexuiz-data"):
        list(dialogue.shouts(tmp_path))


class Scripted(dialogue.Listener):
    """A listener that hears what it is told to hear, the clip first and then the clip played faster."""

    def __init__(self, subtitles: set[str], *heard: str) -> None:
        self.subtitles, self.heard = sorted(map(dialogue.normalise, subtitles)), list(heard)

    def hear(self, pcm: Pcm) -> str:
        return self.heard.pop(0)


def spoken() -> Pcm:
    return read_audio(sorted(RECORDING.glob("*.flac"))[0])


def test_subtitles_are_taken_where_they_are_near() -> None:
    pytest.importorskip("rapidfuzz")
    listen = Scripted({"That poor disguise doesn't fool me!", "Hello again."}, "that poor disguise doesn't foo me")
    assert listen(spoken()) == "that poor disguise doesn't fool me" and not listen.heard


def test_what_is_heard_twice_is_taken() -> None:
    pytest.importorskip("rapidfuzz")
    assert Scripted(set(), "", "")(spoken()) == ""
    assert Scripted({"Good bye."}, "what do you want", "what do you want")(spoken()) == "what do you want"
    assert Scripted({"Good bye."}, "what do you want", "why don't we run")(spoken()) == ""


def test_of_a_doubtful_subtitle_and_what_is_heard_the_one_that_fits() -> None:
    pytest.importorskip("rapidfuzz")
    pytest.importorskip("torch")
    pcm = spoken()
    said = pynna.load().transcribe(pcm).text
    other = said[::-1][: len(said) // 4] + said[len(said) // 4 :]
    assert dialogue.fits(pcm, said) > dialogue.fits(pcm, other)
    assert Scripted({said}, other, "another thing")(pcm) == said
    assert Scripted({other}, said, said)(pcm) == said
