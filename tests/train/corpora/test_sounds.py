# SPDX-License-Identifier: Apache-2.0
"""Recorded noise out of packages: what is of which kind, what is left out, and files of a minute at most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pynna.train.corpora import sounds


@pytest.mark.parametrize(("path", "kind"), [
    ("vehicles/EngineStart2.wav", "engines"), ("LrgExpl.ogg", "explosions"), ("door_close.wav", "doors"),
    ("musics/level1.ogg", "music"), ("a/0017.wav", "effects"), ("Bark2.wav", "animals"),
])  # fmt: skip
def test_the_name_tells_the_kind(path: str, kind: str) -> None:
    assert sounds.kind(path) == kind


@pytest.mark.parametrize("path", [
    "voices/Default/Hello.ogg", "tux_hello.ogg", "countdown.wav",  # speech
    "FootStepGrass1.ogg", "thunder_far.wav", "typing.wav", "birds1.ogg", "water/splash.wav", "jackhammer.wav",
])  # fmt: skip
def test_speech_and_the_kinds_of_the_evaluation_are_left_out(path: str) -> None:
    assert sounds.kind(path) == ""


def test_a_folder_of_one_kind_may_say_so() -> None:
    assert sounds.kind("Big_City_Lights.ogg", "music") == "music"


@pytest.mark.parametrize(("path", "given", "kind"), [
    ("FootStepGrass1.ogg", "*", "footsteps"), ("thunder_far.wav", "*", "storm"), ("water/splash.wav", "*", "kitchen"),
    ("door_close.wav", "*", ""), ("birds/owl_hello.ogg", "*", ""), ("one.wav", sounds.FOREIGN, sounds.FOREIGN),
    ("batcave.ogg", sounds.UNHEARD_MUSIC, sounds.UNHEARD_MUSIC), ("Big_City_Lights.ogg", "music", ""),
])  # fmt: skip
def test_what_only_the_evaluation_hears_is_of_kinds_of_its_own(path: str, given: str, kind: str) -> None:
    assert sounds.kind(path, given, held_out=True) == kind
    assert not kind or sounds.kind(path, given) == ""


def test_the_table_is_whole() -> None:
    known = {"*", "music", "ambience", "ringtones", "electronic", *sounds.EVALUATED, *sounds.KINDS}
    for source in sounds.sources():
        assert source.kind in known and source.licence and source.folder.startswith(("share/", "lib/"))


@pytest.fixture
def usr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "usr" / "share" / "thing"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, seconds in (("engine-1", 70.0), ("engine-2", 3.0), ("hello", 3.0), ("silent", 0.0)):
        noise = rng.normal(size=int(8000 * max(seconds, 1))) * 0.05 * (seconds > 0)
        soundfile.write(folder / f"{name}.wav", noise, 8000)
    (folder / "broken.wav").write_bytes(b"no sound")
    monkeypatch.setattr(sounds, "sources", lambda: (sounds.Source("thing", "share/thing", "*", "CC0-1.0"),))
    return tmp_path / "usr"


def test_what_is_collected(usr: Path, tmp_path: Path) -> None:
    assert sounds.make(tmp_path / "out", usr, 1) == {"engines": 2}
    rows = [line.split("\t") for line in (tmp_path / "out" / "manifest.tsv").read_text().splitlines()]
    assert rows[0][:4] == ["path", "kind", "package", "licence"]
    assert {row[0] for row in rows[1:]} == {path.name for path in (tmp_path / "out").glob("*.flac")}
    for path in (tmp_path / "out").glob("*.flac"):
        x, rate = soundfile.read(path)
        assert rate == 16000 and len(x) <= 60 * rate
        loud = np.sqrt((x**2).mean())
        assert 20 * np.log10(loud) == pytest.approx(-28, abs=3)


def test_nothing_installed_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"apt-get install .*wesnoth"):
        sounds.make(tmp_path / "out", tmp_path)
