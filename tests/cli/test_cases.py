# SPDX-License-Identifier: Apache-2.0
"""The command line with what people bring: options that cannot act, sides of a call, raw samples, pipes, why."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import soundfile

import pynna
from pynna.archive.writers import FORMATS
from pynna.audio.files import read
from pynna.cli.main import main
from pynna.diagnosis import diagnose

RECORDINGS = pynna.CAR_GRAMMAR.parents[2] / "recordings"
CLIP = str(RECORDINGS / "increase_the_volume.flac")
PCM = read(CLIP).pcm


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--wake-word", "computer"], "--wake-word needs --grammar"),
        (["--filler"], "--filler needs --grammar"),
        (["--threshold", "0.5"], "--threshold needs --grammar"),
        (["--alpha", "0.5"], "--alpha needs --lm"),
        (["--beta", "1"], "--beta needs --lm"),
        (["--beam", "0", "--alternatives", "3"], "--alternatives must be 1 with --beam 0, got 3"),
    ],
)
def test_options_that_cannot_act_are_told(options, message, capsys):
    assert main(["transcribe", CLIP, *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_several_files_are_not_one_file(form, capsys):
    assert main(["transcribe", "--format", form, CLIP, CLIP]) == 2
    assert f"--format {form} of several files needs -o FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json", "srt", "vtt"])
def test_each_recording_has_a_file_of_its_own(form, tmp_path, capsys):
    other = str(RECORDINGS / "call_home.flac")
    assert main(["transcribe", "--format", form, CLIP, other, "-o", str(tmp_path), "--passes", "1"]) == 0
    ending = {"text": "txt"}.get(form, form)
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(told) == {f"increase_the_volume.{ending}", f"call_home.{ending}"}
    assert " home" in told[f"call_home.{ending}"] and "increase" not in told[f"call_home.{ending}"]
    assert capsys.readouterr().out == ""


def test_sides_of_a_call_raw_samples_and_cut_files(tmp_path, capsys):
    both = np.stack([PCM, np.zeros_like(PCM)], axis=1)
    soundfile.write(tmp_path / "call.wav", both, 16000)
    (tmp_path / "a.raw").write_bytes(PCM.tobytes())
    whole = (tmp_path / "call.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-16])
    for arguments, code, out, err in [
        (["call.wav", "--channel", "left"], 0, "increase the volume", "channel 1 of 2"),
        (["call.wav", "--channel", "right"], 0, "", "digital silence"),
        (["call.wav", "--channel", "third"], 1, "", "channel must be left, right or 1 to 2, got 'third'"),
        (["a.raw", "--raw", "16000"], 0, "increase the volume", ""),
        (["a.raw"], 1, "", "--raw 16000"),
        (["cut.wav"], 0, "increase the volume", "cut short"),
        (["cut.wav", "--strict"], 1, "", "cut short"),
    ]:
        assert main(["transcribe", str(tmp_path / arguments[0]), *arguments[1:], "--passes", "1"]) == code
        told = capsys.readouterr()
        assert told.out.strip() == out and err in told.err


def test_why_tells_what_was_heard_and_where_it_parts(tmp_path, capsys):
    (tmp_path / "g.yaml").write_text("intents: {A: {sentences: ['increase the distance', 'reduce the volume']}}\n")
    assert main(["why", CLIP, "--grammar", str(tmp_path / "g.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["heard"] == "increase the volume" and not found["accepted"]
    sentences = ("increase the distance", "reduce the volume")
    assert found["sentence"] and any(sentence.startswith(found["sentence"]) for sentence in sentences)
    part = found["differences"][0]
    assert part["heard"] != part["sentence"] and 0 <= part["start"] < part["end"] < 3
    assert found["speech"] and -60 < found["level"] < 0 and found["noise"] < found["level"]
    assert main(["why", CLIP, "--grammar", "car"]) == 0
    text = capsys.readouterr().out
    assert "rival          " in text and " nats lower" in text
    assert "accepted: its confidence" in text and "heard freely   increase the volume" in text
    assert main(["why", str(tmp_path / "none.wav"), "--grammar", "car"]) == 1


@pytest.mark.parametrize("name", ["car", "g.yaml", "g.jsgf", "g.ini"])
def test_a_grammars_picture_is_drawn(name, tmp_path, capsys):
    yaml = "intents: {A: {sentences: ['go [to] {x} & {y}']}}\nlists: {x: [a, b], y: {wildcard: true}}"
    (tmp_path / "g.yaml").write_text(yaml)
    (tmp_path / "g.jsgf").write_text("#JSGF V1.0;\npublic <a> = dial (one | <b>)+ [now]*;\n<b> = x <b> | y;\n")
    (tmp_path / "g.ini").write_text("[A]\nset it to (0..100){level}\n")
    file = name if name == "car" else str(tmp_path / name)
    assert main(["grammar", file, "--graph", str(tmp_path / "out.svg")]) == 0
    texts = [node.text for node in ET.parse(tmp_path / "out.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert len(texts) > 3 and not any(text is None for text in texts)
    assert re.search(r"intents?, ", capsys.readouterr().out)


PICTURED = """
intents: {A: {sentences: ["set {n} {pct} {room} {many}"]}}
lists:
  n: {values: ["-5", "1/2"]}
  pct: {range: {from: -10, to: 30}}
  room: {values: ["[big] hall", "(den|study)"]}
  many: {values: [a, b, c, d, e, f, g, h]}
"""


@pytest.mark.parametrize(
    "label",
    ["n: minus five, one half", "pct: minus ten to thirty, 41 numbers", "room: big hall, den",
     "many: a, b, c, d, e, f, and 2 more"],
)  # fmt: skip
def test_a_picture_shows_each_value_once(label, tmp_path, capsys):
    (tmp_path / "g.yaml").write_text(PICTURED)
    assert main(["grammar", str(tmp_path / "g.yaml"), "--graph", str(tmp_path / "out.svg")]) == 0
    assert f">{label}</text>" in (tmp_path / "out.svg").read_text()
    assert "1 intent, " in capsys.readouterr().out


def test_a_loop_has_sentences_without_end(tmp_path, capsys):
    (tmp_path / "g.jsgf").write_text("#JSGF V1.0;\npublic <a> = dial (one | two)+;\n")
    assert main(["grammar", str(tmp_path / "g.jsgf")]) == 0
    assert "1 intent, sentences without end; " in capsys.readouterr().out
    assert main(["grammar", str(tmp_path / "g.jsgf"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sentences"] is None


@pytest.mark.parametrize(
    ("sentences", "reason"),
    [
        (
            ["xylophone quartet"],
            "refused: 'increase the volume' is no sentence of the grammar, and none begins like it",
        ),
        (["guten morgen zusammen", "licht an"], "none begins like it"),
        (
            ["increase the volume now please"],
            "refused: 'increase the volume' is the beginning of a sentence, whose end",
        ),
        (
            ["increase the distance"],
            "is no sentence; the nearest begins with 'increase the', and its end was not heard",
        ),
        (["increase the volume"], "accepted: its confidence of"),
    ],
)
def test_why_a_sentence_is_refused(sentences, reason):
    found = diagnose(pynna.load(), read(CLIP), pynna.Grammar.from_sentences(sentences), threshold=0.15)
    assert reason in found.reason


@pytest.mark.parametrize(("rate", "channels", "cut"), [(16000, 1, 1), (48000, 2, 0), (44100, 2, 3)])
def test_what_is_piped_to_listen_may_have_a_header_and_end_anywhere(rate, channels, cut, monkeypatch, capsys):
    from scipy.signal import resample_poly

    pcm = np.concatenate([PCM, np.zeros(16000, np.int16)])
    there = resample_poly(pcm.astype(float), rate // 100, 160).astype("<i2") if rate != 16000 else pcm
    frame = 2 * channels
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack(
        "<IHHIIHH4sI", 16, 1, channels, rate, rate * frame, frame, 16, b"data", 0xFFFFFFFF
    )
    data = np.repeat(there, channels).tobytes()
    data = (data if rate == 16000 else head + data)[: -cut or None]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["listen", "-", "--grammar", "car"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("increase the volume  [VolumeUp")
    assert ("unfinished sample" in told.err) == bool(cut) and ("converted" in told.err) == (rate != 16000)


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_is_silent(form, tmp_path, capsys):
    assert main(["transcribe", "--format", form, CLIP]) == 0
    assert "volume" in capsys.readouterr().out
    assert main(["transcribe", "--format", form, CLIP, "-o", str(tmp_path)]) == 0
    (file,) = (path for path in tmp_path.iterdir() if path.name != ".pynna")  # the log to resume from
    assert file.stat().st_size >= 20


@pytest.mark.parametrize("more", ([], ["--jobs", "1"]))
def test_recordings_of_one_name_get_files_of_their_own(more, tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(CLIP, tmp_path / folder / "x.flac")
    assert main(["transcribe", "-o", str(tmp_path / "out"), *more, str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.txt"))
    assert written == ["a/x.flac.txt", "b/x.flac.txt"]


def test_words_are_refused_where_they_would_be_left_out(capsys):
    assert main(["transcribe", "--words", "--format", "srt", CLIP]) == 2
    assert "--words must stand without --format srt" in capsys.readouterr().err


def test_json_tells_the_same_with_jobs(tmp_path, capsys):
    pcm = (soundfile.read(CLIP, dtype="int16")[0] * 40.0).clip(-32768, 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", np.stack([pcm, pcm], axis=1), 16000)
    found = []
    for more in ([], ["--jobs", "1"]):
        assert main(["transcribe", "--json", str(tmp_path / "a.wav"), *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1] and len(found[0]["notes"]) > 1 and found[0]["duration"] > 1


def test_the_assistant_does_not_start_without_the_microphone_that_it_shall_hear(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["assistant", "--microphone", "--no-browser", "--port", "0"]) == 1
    told = capsys.readouterr()
    assert "pip install 'pynna[mic]'" in told.err and "http" not in told.out
