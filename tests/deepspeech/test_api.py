# SPDX-License-Identifier: Apache-2.0
"""DeepSpeech's and Coqui STT's Python interfaces: names, values, errors as recorded from the real packages."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.float_networks import random_weights

import pynna.deepspeech
from pynna.audio import load_audio
from pynna.deepspeech import Model, commands, stt
from pynna.deepspeech.cache import mapped_model, read_metadata
from pynna.deepspeech.scorers import words_of, write_scorer
from pynna.mapping import export_tflite, map_model
from pynna.mapping.front_end import MfccConfig

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "pynna/models/pynna-en-car.nna"
CLIP = ROOT / "pynna/recordings/open_the_window.flac"
GOLDEN = ROOT / "tests/golden"
LABELS = [letter.encode() for letter in (" ", *"abcdefghijklmnopqrstuvwxyz", "'")]


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    return load_audio(CLIP).pcm


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(str(OWN))


@pytest.fixture
def scorer(tmp_path: Path) -> str:
    lm = GOLDEN / "three.trie.binary"
    write_scorer(lm, words_of(lm), LABELS, tmp_path / "a.scorer", alpha=0.75, beta=1.85)
    return str(tmp_path / "a.scorer")


def _raised(call: Any, kind: type[BaseException] = RuntimeError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_a_recording_is_transcribed_whole_and_in_pieces(model: Model, pcm: np.ndarray) -> None:
    assert model.stt(pcm) == "open the window"
    whole = model.sttWithMetadata(pcm, 3)
    assert len(whole.transcripts) == 3 and whole.transcripts[0].confidence > whole.transcripts[1].confidence
    for step in (320, 777, 4096):
        stream = model.createStream()
        for start in range(0, len(pcm), step):
            stream.feedAudioContent(pcm[start : start + step])
        told = stream.finishStreamWithMetadata()
        assert told.transcripts[0].confidence == whole.transcripts[0].confidence
        assert [t.timestep for t in told.transcripts[0].tokens] == [t.timestep for t in whole.transcripts[0].tokens]
    first = whole.transcripts[0].tokens[0]
    assert first.text == "o" and first.start_time == np.float32(first.timestep) * np.float32(0.02)


def test_streams_are_independent(model: Model, pcm: np.ndarray) -> None:
    a, b = model.createStream(), model.createStream()
    for start in range(0, len(pcm), 999):
        a.feedAudioContent(pcm[start : start + 999])
        b.feedAudioContent(pcm[::-1][start : start + 999])
    assert a.finishStream() == "open the window" != b.finishStream()


def test_any_number_of_threads_may_use_a_model(model: Model, pcm: np.ndarray) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(model.stt(pcm))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["open the window"] * 4


def test_what_is_no_audio_is_refused_as_the_package_does(model: Model, pcm: np.ndarray) -> None:
    assert model.stt(pcm[:0]) == model.stt(pcm[:511]) == model.stt(np.zeros(16000, np.int16)) == ""
    assert model.stt(pcm.tolist()) == model.stt(pcm.astype(">i2")) == "open the window"
    assert model.sttWithMetadata(pcm, 0).transcripts == []
    assert _raised(lambda: model.stt(pcm / 32768), TypeError) == (
        "Cannot cast array data from dtype('float64') to dtype('int16') according to the rule 'safe'"
    )
    assert _raised(lambda: model.stt(pcm[:, None]), TypeError) == (
        "Array must have 1 dimensions.  Given array has 2 dimensions"
    )
    assert "invalid literal for int() with base 10: 'abc'" in _raised(lambda: model.stt("abc"), ValueError)
    _raised(lambda: model.stt(pcm.tobytes()), ValueError)


def test_a_used_up_stream_raises_and_never_crashes(model: Model, pcm: np.ndarray) -> None:
    stream = model.createStream()
    assert stream.finishStream() == ""
    for doing, call in (
        ("finish", stream.finishStream),
        ("finish", stream.finishStreamWithMetadata),
        ("decode", stream.intermediateDecode),
        ("free", stream.freeStream),
        ("feed", lambda: stream.feedAudioContent(pcm)),
    ):
        assert _raised(call) == f"Stream object is not valid. Trying to {doing} an already finished stream?"
    other = Model(str(OWN))
    living = other.createStream()
    del other  # the stream keeps what it needs
    living.feedAudioContent(pcm)
    assert living.finishStream() == "open the window"


def test_scorers_and_hot_words_answer_as_the_package_does(pcm: np.ndarray, scorer: str) -> None:
    model = Model(str(OWN))
    assert model.setScorerAlphaBeta(1.0, 1.0) == model.disableExternalScorer() == 8196
    for name, call in (
        ("AddHotWord", lambda: model.addHotWord("a", 1.0)),
        ("EraseHotWord", lambda: model.eraseHotWord("a")),
        ("ClearHotWords", model.clearHotWords),
    ):
        assert _raised(call) == f"{name} failed with 'External scorer is not enabled.' (0x2004)"
    assert _raised(lambda: model.enableExternalScorer(__file__)) == (
        "EnableExternalScorer failed with 'Invalid scorer file.' (0x2002)"
    )
    assert model.stt(pcm) == "open the window"
    model.enableExternalScorer(scorer)
    before = model.sttWithMetadata(pcm).transcripts[0].confidence
    assert model.setScorerAlphaBeta(0.1, 0.0) == 0
    assert model.sttWithMetadata(pcm).transcripts[0].confidence != before
    model.enableExternalScorer(scorer)  # alpha and beta are the file's again
    assert model.sttWithMetadata(pcm).transcripts[0].confidence == before
    model.addHotWord("two words", 2)
    assert _raised(lambda: model.addHotWord("two words", 3.0)) == (
        "AddHotWord failed with 'Could not insert hot-word.' (0x3008)"
    )
    model.eraseHotWord("two words")
    assert "0x3010" in _raised(lambda: model.eraseHotWord("two words"))
    model.clearHotWords()
    stream = model.createStream()
    assert model.disableExternalScorer() == 0  # the stream keeps its own
    stream.feedAudioContent(pcm)
    assert stream.finishStreamWithMetadata().transcripts[0].confidence == before
    assert model.stt(pcm) == "open the window"


def test_missing_and_wrong_files_have_the_interfaces_errors(tmp_path: Path) -> None:
    mapped, proto = (
        "Failed to initialize memory mapped model.' (0x3000)",
        "Error reading the proto buffer model file.' (0x3005)",
    )
    assert _raised(lambda: Model("/nonexistent/x.pbmm")) == f"CreateModel failed with '{mapped}"
    assert _raised(lambda: Model("/nonexistent/x.tflite")) == f"CreateModel failed with '{proto}"
    assert _raised(lambda: stt.Model("/nonexistent/x.tflite")) == f"CreateModel failed with '{mapped}"
    assert _raised(lambda: Model(__file__)) == f"CreateModel failed with '{proto}"
    assert "(0x1000)" in _raised(lambda: Model(""))
    assert _raised(lambda: Model(b"x"), TypeError) == "in method 'CreateModel', argument 1 of type 'char const *'"
    (tmp_path / "cut.nna").write_bytes(OWN.read_bytes()[:5000])
    assert "CreateModel failed" in _raised(lambda: Model(str(tmp_path / "cut.nna")))


def test_the_interfaces_of_0_5_and_0_6(pcm: np.ndarray, tmp_path: Path) -> None:
    alphabet = tmp_path / "alphabet.txt"
    alphabet.write_text("".join(f"{label.decode()}\n" for label in LABELS))
    old = Model(str(OWN), 26, 9, str(alphabet), 500)
    assert old.stt(pcm, 16000) == "open the window"
    told = old.sttWithMetadata(pcm, 16000)
    assert "".join(item.character for item in told.items) == "open the window" and told.num_items == 15
    assert told.probability > 0  # a cost
    context = old.setupStream(sample_rate=16000)
    old.feedAudioContent(context, pcm)
    assert old.finishStream(context) == "open the window"
    later = Model(str(OWN), 100)
    assert later.beamWidth() == 100 and later.sampleRate() == 16000
    context = later.createStream()
    later.feedAudioContent(context, pcm)
    later.freeStream(context)
    with pytest.raises(TypeError, match="got 3 arguments"):
        Model(str(OWN), 1, 2)


def test_lm_binary_and_trie_are_taken_and_a_missing_trie_is_made(
    pcm: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYNNA_CACHE", str(tmp_path))
    model = Model(str(OWN), 500)
    assert model.enableDecoderWithLM(str(GOLDEN / "three.trie.binary"), str(tmp_path / "none"), 0.75, 1.85) == 0
    assert model.enableDecoderWithLM("alphabet", str(GOLDEN / "three.trie.binary"), "", 0.75, 1.85) == 0
    assert model.enableDecoderWithLM(__file__, "", 0.75, 1.85) == 0x2002


def test_coqui_tells_emissions_flushes_and_reads_buffers(pcm: np.ndarray, scorer: str) -> None:
    model = stt.Model.fromBuffer(OWN.read_bytes())
    told = model.sttWithEmissions(pcm)
    assert told.emissions is not None and told.emissions.shape[1] == 29
    np.testing.assert_allclose(told.emissions.sum(axis=1), 1.0, atol=1e-4)
    stream = model.createStream()
    stream.feedAudioContent(pcm)
    assert len(stream.intermediateDecodeFlushBuffers()) >= len("open the")
    assert len(stream.intermediateDecodeWithMetadataFlushBuffers(2).transcripts) == 2
    assert stream.finishStream() == "open the window"
    model.enableExternalScorerFromBuffer(Path(scorer).read_bytes())
    assert "0x2002" in _raised(lambda: model.enableExternalScorerFromBuffer(b"no scorer"))
    assert "0x3000" in _raised(lambda: stt.Model.fromBuffer(b"no model"))
    assert stt.version() == "1.4.0" and pynna.deepspeech.version() == "0.9.3"


@pytest.fixture
def own_file(tmp_path: Path) -> Iterator[Path]:
    """A .tflite of a small network."""
    folder = tmp_path / "models"
    folder.mkdir()
    export_tflite(random_weights(12, features=MfccConfig(upper_hz=8000.0), forget_bias=0.0), folder / "model.tflite")
    yield folder / "model.tflite"


def test_a_model_file_is_mapped_once_and_kept(
    own_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYNNA_CACHE", str(tmp_path / "cache"))
    Model(str(own_file))
    kept = own_file.with_name("model.tflite.nna")
    assert "maps model.tflite once" in capsys.readouterr().err
    metadata = read_metadata(kept)
    assert metadata is not None and len(metadata["source_sha256"]) == 64
    written = kept.stat().st_mtime_ns
    Model(str(own_file))
    assert capsys.readouterr().err == "" and kept.stat().st_mtime_ns == written
    own_file.touch()  # the same bytes at another time
    assert mapped_model(own_file) == kept and capsys.readouterr().err == ""
    export_tflite(random_weights(12, seed=7, features=MfccConfig(upper_hz=8000.0), forget_bias=0.0), own_file)
    mapped_model(own_file)
    assert "once" in capsys.readouterr().err  # other bytes: mapped anew


def test_commands_tell_why_a_model_cannot_be_read(tmp_path, capsys):
    (tmp_path / "cut.pbmm").write_bytes(b"none")
    assert commands.deepspeech_command(["--model", str(tmp_path / "cut.pbmm"), "--audio", "a.wav"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert "(0x3000): " in told and "not a TensorFlow graph" in told
    assert commands.posteriors_command([str(tmp_path / "cut.pbmm")]) == 1
    assert "(0x3000): " in capsys.readouterr().err


def test_commands_print_what_the_clients_print(pcm: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.deepspeech_command(["--model", str(OWN), "--audio", str(CLIP)]) == 0
    out, err = capsys.readouterr()
    assert out == "open the window\n" and "Loading model from file" in err and "Inference took" in err
    assert (
        commands.stt_command(["--model", str(OWN), "--audio", str(CLIP), "--json", "--candidate_transcripts", "2"]) == 0
    )
    told = json.loads(capsys.readouterr().out)["transcripts"]
    assert len(told) == 2 and [w["word"] for w in told[0]["words"]] == ["open", "the", "window"]
    assert set(told[0]["words"][0]) == {"word", "start_time", "duration"}
    assert commands.deepspeech_command(["--model", str(OWN), "--audio", str(CLIP), "--extended", "--stream"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "open the window"
    assert commands.deepspeech_command(["--model", "none.pbmm", "--audio", str(CLIP)]) == 1
    assert "0x3000" in capsys.readouterr().err


def test_posteriors_go_out_line_by_line(
    pcm: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pcm.tobytes()
    source = io.TextIOWrapper(io.BytesIO(len(data).to_bytes(4, "little") + data + bytes(4)))
    monkeypatch.setattr(sys, "stdin", source)
    assert commands.posteriors_command([str(OWN)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[-2] == "" and len(lines[0].split()) == 29


def test_programs_run_unchanged_after_install(tmp_path: Path) -> None:
    program = (
        "import pynna.deepspeech; pynna.deepspeech.install()\n"
        "import deepspeech, stt\nfrom deepspeech import Model, version\nfrom stt import Model as Other\n"
        f"import soundfile; pcm, _ = soundfile.read({str(CLIP)!r}, dtype='int16')\n"
        f"print(Model({str(OWN)!r}).stt(pcm), Other({str(OWN)!r}).stt(pcm), version(), stt.version())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout == "open the window open the window 0.9.3 1.4.0\n"


def test_the_mapped_model_is_the_one_that_map_makes(own_file: Path, tmp_path: Path) -> None:
    map_model(own_file, own_file.with_name("model.tflite.nna"), report=False)  # by hand, before
    assert mapped_model(own_file) == own_file.with_name("model.tflite.nna")


def test_the_pipe_of_speech_to_phrase():
    """Chunks with their lengths in, lines of probabilities out, and the process lives on for the next utterance."""
    pcm = load_audio(CLIP, sample_rate=16000).pcm
    model = pynna.load()
    expected = np.exp(model.log_probs(pcm, 16000))

    def utterance(size):
        data = pcm.astype("=i2").tobytes()
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        return b"".join(struct.pack("=I", len(part)) + part for part in parts) + struct.pack("=I", 0)

    command = [
        sys.executable,
        "-c",
        "from pynna.deepspeech.commands import posteriors_command as p; raise SystemExit(p())",
    ]
    done = subprocess.run(
        [*command, str(OWN)], input=utterance(1001) + utterance(3200) + struct.pack("=I", 0),
        capture_output=True, timeout=120, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    first, second, empty, rest = done.stdout.decode().split("\n\n")
    assert first == second and empty.count("\n") < first.count("\n") and rest == ""
    rows = np.array([[float(value) for value in line.split()] for line in first.splitlines()])
    assert rows.shape == expected.shape and np.abs(rows - expected).max() < 1e-5
    missing = subprocess.run(
        [*command, "none.tflite"], input=b"", capture_output=True, timeout=60, cwd=Path(__file__).parent
    )
    assert missing.returncode == 1 and missing.stderr.startswith(b"stt_onlyprobs: ")
