# SPDX-License-Identifier: Apache-2.0
"""Sets of recorded commands: the forms that people have them in, and the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import pynna
from pynna.errors import ArgumentError
from pynna.train import __main__ as train
from pynna.train.evaluation.recorded import (
    FALSE,
    KINDS,
    REFUSED,
    RIGHT,
    SILENT,
    WRONG,
    Heard,
    Recorded,
    hear_set,
    read_set,
    report,
)

RECORDINGS = Path(pynna.__file__).parent / "recordings"
SENTENCES = pynna.Grammar.from_sentences(["call home", "lock the doors"])


def made(folder: Path, name: str, text: str) -> Path:
    for i in (1, 2):
        (folder / f"{i}.wav").touch()
    (folder / name).write_text(text, encoding="utf-8")
    return folder


FORMS = {
    "manifest.tsv": "path\ttext\tspeaker\tdistance\toutside\n1.wav\tcall home\tanna\t2.5\t\n\n2.wav\t\tradio\t\tyes\n",
    "manifest.csv": "File;Transcript;Client_ID;Distance_m;Negative\n1.wav;call home;anna;2.5;\n2.wav;;radio;;1\n",
    "metadata.csv": 'file_name,sentence,speaker,distance,outside\n1.wav,"call home",anna,2.5,no\n2.wav,,radio,,true\n',
    "manifest.json": json.dumps(
        [{"wav": "1.wav", "command": "call home", "speaker": "anna", "distance": 2.5, "outside": False},
         {"wav": "2.wav", "text": "", "speaker": "radio", "outside": True}]
    ),
    "manifest.jsonl": '{"audio_filepath": "1.wav", "text": "call home", "speaker_id": "anna", "distance": 2.5}\n'
    '{"audio": "2.wav", "speaker": "radio", "negative": true}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_people_have(tmp_path: Path, name: str) -> None:
    first, second = read_set(made(tmp_path, name, FORMS[name]))
    assert (first.path, first.text, first.speaker, first.distance) == (tmp_path / "1.wav", "call home", "anna", "2.5")
    assert not first.outside
    assert second == Recorded(tmp_path / "2.wav", "", None, "radio", "unknown", True)


def test_a_table_without_a_heading_is_a_corpus(tmp_path: Path) -> None:
    [first] = read_set(made(tmp_path, "manifest.tsv", "\ufeff1.wav\tbob\tlock the doors\n"))
    assert first == Recorded(tmp_path / "1.wav", "lock the doors", None, "bob")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("other.txt", "", "must hold one of manifest.tsv"),
        ("manifest.tsv", "", "a recording at least"),
        ("manifest.tsv", "path\ttext\n1.wav\ta\n3.wav\tb\n", r"manifest.tsv:3: there is no .*3\.wav"),
        ("manifest.tsv", "path\ttext\n\ta\n", "manifest.tsv:2: a recording must have a path"),
        ("manifest.csv", "path,outside\n1.wav,perhaps\n", "manifest.csv:2: outside must be yes or no, got 'perhaps'"),
        ("manifest.json", "[1]", "manifest.json:1: a recording must be a table"),
        ("manifest.json", "{", "no such table"),
        ("manifest.jsonl", "{}\n{", "no such table"),
    ],
)
def test_what_is_wrong_with_a_set_is_told(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        read_set(made(tmp_path, name, text))


def result(text: str, accepted: bool = True) -> Any:
    match = SENTENCES.parse(text)
    return SimpleNamespace(
        text=text, complete=match is not None, accepted=accepted, confidence=0.5, intent=match and match.intent
    )


@pytest.mark.parametrize(
    ("recorded", "heard", "kind"),
    [
        ({"text": "call home"}, result("call home"), RIGHT),
        ({"text": "call home"}, result("lock the doors"), WRONG),
        ({"text": "call home"}, result("call home", accepted=False), REFUSED),
        ({"text": "good morning"}, result("call home"), FALSE),
        ({"text": ""}, result("call home", accepted=False), SILENT),
        ({"text": "call home", "outside": True}, result("call home"), FALSE),
        ({"text": "ring my home", "intent": "call home"}, result("call home"), RIGHT),
        ({"text": "ring my home", "intent": "call home"}, result("lock the doors"), WRONG),
    ],
)
def test_kinds(recorded: dict[str, Any], heard: Any, kind: str) -> None:
    [found] = hear_set(pynna.load(), [Recorded(Path("a.wav"), **recorded)], SENTENCES, lambda _: heard)
    assert found.kind == kind


def test_a_command_that_the_file_has_not_is_told() -> None:
    with pytest.raises(ArgumentError, match="must be a sentence of the grammar"):
        hear_set(pynna.load(), [Recorded(Path("a.wav"), "good morning", outside=False)], SENTENCES, result)


def test_the_report_counts_by_speaker_and_distance() -> None:
    heard = [
        Heard(Recorded(Path(f"{i}.wav"), "call home", None, speaker, distance), kind, "call home", "call home", 0.9)
        for i, (speaker, distance, kind) in enumerate(
            [("anna", "1", RIGHT), ("anna", "10", REFUSED), ("bob", "2", RIGHT), ("radio", "2", FALSE)]
        )
    ]
    rows = {line.split(" | ")[0][2:]: line for line in report(heard, "home.yaml", 0.15).splitlines() if "|" in line}
    assert rows["all"] == "| all | 4 | 2 | 0 | 1 | 1 | 0 | 66.7 | 100.0 |"
    assert rows["speaker anna"] == "| speaker anna | 2 | 1 | 0 | 1 | 0 | 0 | 50.0 | - |"
    assert [name for name in rows if name.startswith("distance")] == ["distance 1", "distance 2", "distance 10"]
    assert "1.wav" in rows and "3.wav" in rows and "0.wav" not in rows
    assert len(KINDS) == 5


def test_the_command_hears_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("call_home", "lock_the_doors"):
        shutil.copy(RECORDINGS / f"{name}.flac", tmp_path)
    soundfile.write(tmp_path / "quiet.wav", np.zeros(8000, np.int16), 16000)
    (tmp_path / "manifest.csv").write_text(
        "path,text,distance\ncall_home.flac,call home,1\nlock_the_doors.flac,lock the doors,3\nquiet.wav,,3\n"
    )
    command = ["evaluate", "--recordings", str(tmp_path), "-o", str(tmp_path / "report.md")]
    assert train.main(command) == 0
    printed = capsys.readouterr().out
    assert (
        printed == (tmp_path / "report.md").read_text() and "| all | 3 | 2 | 0 | 0 | 0 | 1 | 100.0 | 0.0 |" in printed
    )
    (tmp_path / "quiet.wav").write_bytes(b"no sound")
    with pytest.raises(SystemExit):
        train.main(command)
    assert "quiet.wav" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(["evaluate"])
