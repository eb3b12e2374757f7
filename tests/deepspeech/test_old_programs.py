# SPDX-License-Identifier: Apache-2.0
"""Whole programs in the manner of those that people have, run unchanged under the packages' names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from support.nna_models import ENGLISH

from pynna.audio import load_audio
from pynna.deepspeech.scorers import words_of, write_scorer

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
OWN = ROOT / "pynna/models/pynna-en-car.nna"
LM = ROOT / "tests/golden/three.trie.binary"
LETTERS = [*" abcdefghijklmnopqrstuvwxyz'"]


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    pcm = load_audio(ROOT / "pynna/recordings/open_the_window.flac").pcm
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(pcm.tobytes())
    return tmp_path / "a.wav"


def _run(tmp_path: Path, program: str, *arguments: object) -> str:
    start = (
        "import pynna.deepspeech, runpy, sys; pynna.deepspeech.install(); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-W", "error", "-c", start, str(PROGRAMS / program), *map(str, arguments)]
    environment = {**os.environ, "PYNNA_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("engine", "version"), [("deepspeech", "0.9.3"), ("stt", "1.4.0")])
def test_a_client_with_metadata_candidates_and_hot_words(wav: Path, tmp_path: Path, engine: str, version: str) -> None:
    write_scorer(LM, words_of(LM), [c.encode() for c in ENGLISH], tmp_path / "a.scorer", alpha=0.75, beta=1.85)
    told = json.loads(_run(tmp_path, "client.py", engine, "--model", OWN, "--audio", wav))
    assert told["text"] == "open the window" and told["version"] == told["package"] == version and told["beam"] == 200
    assert [w["word"] for w in told["transcripts"][0]["words"]] == ["open", "the", "window"]
    confidences = [t["confidence"] for t in told["transcripts"]]
    assert len(confidences) == 3 and confidences == sorted(confidences, reverse=True)
    options = ["--scorer", tmp_path / "a.scorer", "--hot_words", "open:3.5,window:-2"]
    scored = json.loads(_run(tmp_path, "client.py", engine, "--model", OWN, "--audio", wav, *options))
    assert scored["transcripts"][0]["confidence"] != confidences[0]


def test_a_microphone_loop(wav: Path, tmp_path: Path) -> None:
    lines = _run(tmp_path, "streaming.py", OWN, wav).splitlines()
    assert lines.count("final: open the window True") == lines.count("candidates: 2") == 2
    assert any(line.startswith("partial: open") for line in lines)
    assert lines[-1].startswith("both: open the window")


@pytest.mark.parametrize("release", ["0.5", "0.6"])
def test_programs_of_0_5_and_0_6(wav: Path, tmp_path: Path, release: str) -> None:
    (tmp_path / "alphabet.txt").write_text("".join(f"{letter}\n" for letter in LETTERS))
    lines = _run(tmp_path, "legacy.py", release, OWN, tmp_path / "alphabet.txt", wav, LM).splitlines()
    assert lines[1:] == ["open the window|open the window", "open the window|True|True", "True"]


def test_names_of_the_packages_modules_and_of_the_old_arguments(wav: Path, tmp_path: Path) -> None:
    (tmp_path / "alphabet.txt").write_text("".join(f"{letter}\n" for letter in LETTERS))
    lines = _run(tmp_path, "modules.py", OWN, tmp_path / "alphabet.txt", wav, LM).splitlines()
    assert lines[:3] == ["open the window", "open the window", "open|the|window"]
    assert lines[3:] == ["8000 True", "2 open", "True", "open the window", "0", "open the window"]


@pytest.mark.parametrize("engine", ["deepspeech", "stt"])
def test_a_server_with_utterances_cut_by_a_voice_detector(wav: Path, tmp_path: Path, engine: str) -> None:
    lines = _run(tmp_path, "server.py", engine, OWN, wav).splitlines()
    assert lines == ["1 open the window", "2 open the window", "both at once True", "refused True"]
