# SPDX-License-Identifier: Apache-2.0
"""The command `pynna` as a shell and a script see it: subprocesses, real files, exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.metadata
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import srt
from support.float_networks import random_arrays

import pynna

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RECORDING = RECORDINGS / "increase_the_volume.flac"
WORDS = "increase the volume"
CAR = pynna.CAR_GRAMMAR


def run(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The finished command; output as text."""
    command = [sys.executable, "-m", "pynna", *args]
    cwd = options.pop("cwd", Path(__file__).parent)  # not the source tree, which holds no built extension
    return subprocess.run(command, capture_output=True, text="input" not in options, timeout=300, cwd=cwd, **options)


def assert_one_line_error(done: subprocess.CompletedProcess[str], *parts: str, code: int = 1) -> None:
    """That exit code, and one line on standard error that has all the parts."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("pynna: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """The recording as stereo at 44.1 kHz."""
    pcm, rate = soundfile.read(RECORDING)
    assert rate == 16000
    from scipy import signal as dsp

    path = tmp_path / "stereo.wav"
    resampled = dsp.resample_poly(pcm, 441, 160)
    soundfile.write(path, np.stack([resampled, resampled], axis=1), 44100)
    return path


# ---- transcribe ----------------------------------------------------------------------------------


def test_one_file_gives_its_text_alone() -> None:
    done = run("transcribe", RECORDING)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{WORDS}\n", "")


def test_several_files_give_a_line_each_in_their_order() -> None:
    files = sorted(RECORDINGS.glob("*.flac"))
    done = run("transcribe", *files)
    assert done.returncode == 0
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [str(file) for file in files]
    assert f"{RECORDING}: {WORDS}" in done.stdout.splitlines()


def test_a_failing_file_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    done = run("transcribe", tmp_path / "missing.wav", RECORDING, tmp_path / "text.wav")
    assert done.returncode == 1
    assert done.stdout == f"{RECORDING}: {WORDS}\n"
    assert [line[: line.find(": ", 7)] for line in done.stderr.splitlines()] == [
        f"pynna: {tmp_path}/missing.wav",
        f"pynna: {tmp_path}/text.wav",
    ]


def test_json_has_words_with_times_and_confidence(clip: Path) -> None:
    done = run("transcribe", "--json", "--alternatives", "3", clip, RECORDING)
    assert done.returncode == 0
    resampled, plain = (json.loads(line) for line in done.stdout.splitlines())
    assert list(plain) == ["file", "start", "end", "text", "words", "confidence", "alternatives", "duration", "notes"]
    assert (plain["file"], plain["text"], plain["notes"]) == (str(RECORDING), WORDS, [])
    assert (plain["start"], plain["end"]) == (0.0, pytest.approx(plain["duration"], abs=1e-6))
    assert plain["duration"] == pytest.approx(soundfile.info(RECORDING).duration, abs=0.001)
    assert 0 <= plain["confidence"] <= 1
    assert [word["text"] for word in plain["words"]] == WORDS.split()
    times = [time for word in plain["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= plain["duration"] + 0.2
    assert all(0 <= word["confidence"] <= 1 for word in plain["words"])
    assert len(plain["alternatives"]) == 3
    assert plain["alternatives"][0]["text"] == WORDS
    assert len({alternative["text"] for alternative in plain["alternatives"]}) == 3
    assert resampled["text"] == WORDS
    assert resampled["notes"] == ["2 channels mixed down to one", "resampled from 44100 Hz to 16000 Hz"]


def test_resampling_is_told_on_standard_error(clip: Path) -> None:
    done = run("transcribe", clip)
    assert (done.returncode, done.stdout) == (0, f"{WORDS}\n")
    assert done.stderr == f"{clip}: 2 channels mixed down to one\n{clip}: resampled from 44100 Hz to 16000 Hz\n"


@pytest.mark.parametrize("ending", ["ogg", "mp3"])
def test_lossy_files_are_heard(tmp_path: Path, ending: str) -> None:
    pcm, rate = soundfile.read(RECORDING)
    soundfile.write(tmp_path / f"clip.{ending}", pcm, rate)
    done = run("transcribe", tmp_path / f"clip.{ending}")
    assert (done.returncode, done.stdout) == (0, f"{WORDS}\n")


def test_words_are_a_line_each() -> None:
    lines = run("transcribe", "--words", RECORDING).stdout.splitlines()
    assert lines[0] == WORDS
    assert [line.split()[-1] for line in lines[1:]] == WORDS.split()
    assert all(len(line.split()) == 4 for line in lines[1:])


def test_a_recording_from_standard_input() -> None:
    done = run("transcribe", "-", input=RECORDING.read_bytes())
    assert (done.returncode, done.stdout) == (0, f"{WORDS}\n".encode())


def test_silence_and_nothing_give_an_empty_text(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, np.int16), 16000)
    done = run("transcribe", tmp_path / "nothing.wav")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.parametrize("options", [["--beam", "0"], ["--beam", "40"], ["--threads", "2"]])
def test_beam_and_threads_leave_a_clear_recording_its_text(options: list[str]) -> None:
    assert run("transcribe", *options, RECORDING).stdout == f"{WORDS}\n"


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "not.nna").write_bytes(bytes(1000))
    assert_one_line_error(run("transcribe", "--model", tmp_path / "not.nna", RECORDING), "not.nna", "not a .nna")
    assert_one_line_error(run("transcribe", "--model", tmp_path / "missing.nna", RECORDING), "missing.nna")


def test_an_instruction_set_that_is_none_is_one_line() -> None:
    done = run("transcribe", RECORDING, env={**os.environ, "PYNNA_ISA": "abacus"})
    assert_one_line_error(done, "abacus")


# ---- usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["hear"],
        ["listen", "a.wav"],
        ["assistant", "--port", "70000"],
        ["serve"],
        ["transcribe"],
        ["transcribe", "--beam", "-1", "a.wav"],
        ["transcribe", "--threads", "many", "a.wav"],
        ["transcribe", "--loud", "a.wav"],
        ["info", "a", "b"],
    ],
)
def test_a_wrong_command_line_is_2_and_told(args: list[str]) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert "usage: pynna" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["transcribe"], ["map"], ["export"], ["info"]])
def test_help_teaches_by_examples_and_tells_the_exit_codes(command: list[str]) -> None:
    done = run(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("usage: pynna", "examples:", "exit codes:", "  2    the command line is wrong"):
        assert part in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"pynna {importlib.metadata.version('pynna')}\n"


# ---- grammars, utterances, words -------------------------------------------------------------------


def test_a_grammar_tells_what_was_meant() -> None:
    done = run("transcribe", "--grammar", CAR, "--json", RECORDINGS / "set_the_temperature_to_twenty_one_degrees.flac")
    told = json.loads(done.stdout)
    assert (told["intent"], told["slots"], told["accepted"]) == ("TemperatureSet", {"temperature": 21}, True)
    strict = run("transcribe", "--grammar", CAR, "--threshold", "1", "--json", RECORDING)
    assert json.loads(strict.stdout)["accepted"] is False


def test_subtitles_of_utterances(tmp_path: Path) -> None:
    pcm, rate = soundfile.read(RECORDING, dtype="int16")
    path = tmp_path / "two.wav"
    pause = np.zeros(2 * rate, np.int16)
    soundfile.write(path, np.concatenate([pcm, pause, pcm, pause]), rate)
    found = list(srt.parse(run("transcribe", "--format", "srt", path).stdout))
    assert [subtitle.content for subtitle in found] == [WORDS, WORDS]
    apart = found[1].start.total_seconds() - found[0].start.total_seconds()
    assert apart == pytest.approx(len(pcm) / rate + 2, abs=0.1)
    lines = run("transcribe", "--utterances", "--grammar", CAR, path).stdout.splitlines()
    assert len(lines) == 2
    assert all(WORDS in line for line in lines)


def test_vocabulary_and_hot_words(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("decrease\nthe volume\n")
    assert run("transcribe", "--vocabulary", words, RECORDING).stdout == "decrease the volume\n"
    assert run("transcribe", "--hot-word", "vollume=30", RECORDING).stdout == "increase the vollume\n"
    assert_one_line_error(run("transcribe", "--hot-word", "東=4", RECORDING), "東", code=2)
    assert_one_line_error(run("transcribe", "--vocabulary", tmp_path / "none.txt", RECORDING), "none.txt")


def test_listening_to_standard_input() -> None:
    pcm = soundfile.read(RECORDING, dtype="int16")[0].tobytes() + bytes(32000)
    heard = run("listen", "-", input=pcm * 2)
    assert (heard.returncode, heard.stdout.decode()) == (0, f"{WORDS}\n{WORDS}\n")
    meant = run("listen", "--grammar", "car", "-", input=pcm)
    assert meant.stdout.decode().startswith(f"{WORDS}  [VolumeUp")
    events = [json.loads(line) for line in run("listen", "--json", "-", input=pcm).stdout.splitlines()]
    assert [event["event"] for event in (events[0], events[-1])] == ["start", "final"]
    assert {event["event"] for event in events[1:-1]} == {"partial"}


def test_listening_takes_what_transcribing_takes(tmp_path: Path) -> None:
    pcm = soundfile.read(RECORDING, dtype="int16")[0].tobytes() + bytes(32000)
    sentences = tmp_path / "volume.yaml"
    sentences.write_text("intents: {Volume: {sentences: [the volume]}}")
    options = ("--grammar", sentences, "--wake-word", "increase", "--words", "--silence", "0.3")
    heard = run("listen", *options, "-", input=pcm)
    first, *words = heard.stdout.decode().splitlines()
    assert first.startswith(f"{WORDS}  [Volume,")
    assert [line.split()[-1] for line in words] == WORDS.split()
    assert run("listen", "--max-utterance", "0.5", "-", input=pcm).stdout.count(b"\n") > 1
    meant = run("transcribe", "--grammar", sentences, "--filler", "--threshold", "0", RECORDING).stdout
    assert meant.startswith(f"{WORDS}  [Volume,")


def test_texts_that_are_none_are_told_with_their_place(tmp_path: Path) -> None:
    latin, out = tmp_path / "latin.txt", tmp_path / "out.arpa"
    latin.write_bytes("caf\xe9\n".encode("latin-1"))
    assert_one_line_error(run("lm", latin, "-o", out), "latin.txt", "UTF-8")
    assert_one_line_error(run("transcribe", "--vocabulary", latin, RECORDING), "latin.txt", "UTF-8")
    odd = tmp_path / "odd.yaml"
    odd.write_text("intents:\n  A:\n    sentences:\n      - go to 東京\n")
    for command in (["transcribe", RECORDING], ["listen", "-"]):
        assert_one_line_error(run(*command, "--grammar", odd), "odd.yaml:4: '東京'")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--certificate", "none.pem", "--key", "none.pem"], "none.pem"),
        (["--model", "none.nna"], "none.nna"),
    ],
)
def test_an_assistant_that_cannot_start_says_why(options: list[str], named: str) -> None:
    assert_one_line_error(run("assistant", "--no-browser", "--port", "0", *options), named)


def test_a_language_model_of_ones_own(tmp_path: Path) -> None:
    text, arpa = tmp_path / "text.txt", tmp_path / "own.arpa"
    text.write_text("Decrease the volume!\nThe volume, 2 times.\n")
    done = run("lm", text, "-o", arpa)
    assert (done.returncode, done.stdout.split()[1:]) == (0, ["23", "n-grams"])
    assert "two times" in arpa.read_text()
    assert_one_line_error(run("lm", tmp_path / "none.txt", "-o", arpa), "none.txt")
    heard = run("transcribe", "--lm", arpa, RECORDING)
    try:
        import kenlm  # noqa: F401
    except ImportError:
        assert_one_line_error(heard, "pynna[lm]")
    else:
        assert heard.stdout == "decrease the volume\n"


def test_the_grammar_command(tmp_path: Path) -> None:
    told = json.loads(run("grammar", CAR, "--json").stdout)
    assert told["sentences"] > 10_000
    assert run("grammar", CAR, "--parse", "increase the volume").stdout.startswith("VolumeUp")
    assert len(run("grammar", CAR, "--sample", "5").stdout.splitlines()) == 5
    broken = tmp_path / "broken.yaml"
    broken.write_text("intents:\n  Go:\n    data:\n      - sentences: ['go {nowhere}']\n")
    assert_one_line_error(run("grammar", broken), "broken.yaml:4", "nowhere")


# ---- info ----------------------------------------------------------------------------------------


def test_info_tells_the_build_and_the_models_metadata() -> None:
    done = run("info")
    assert (done.returncode, done.stderr) == (0, "")
    for part in (importlib.metadata.version("pynna"), "isa", "name", "licence", "source", "calibration"):
        assert part in done.stdout


def test_info_as_json_is_one_object() -> None:
    told = json.loads(run("info", "--json").stdout)
    assert told["build"]["isa"] in told["build"]["isa_available"]
    assert told["model"]["geometry"]["sample_rate"] == 16000
    assert told["build"]["version"] == importlib.metadata.version("pynna")


def test_info_tells_the_build_even_if_the_model_is_none(tmp_path: Path) -> None:
    done = run("info", tmp_path / "missing.nna")
    assert_one_line_error(done, "missing.nna")
    assert "isa available" in done.stdout


# ---- map -----------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small trained network, untrained."""
    np.savez(tmp_path / "net.npz", **random_arrays(24))
    return tmp_path / "net.npz"


def test_a_mapped_model_has_the_metadata_it_was_given_and_transcribes(source: Path) -> None:
    mapped = source.with_suffix(".nna")
    clips = sorted(RECORDINGS.glob("c*.flac"))
    done = run("map", source, "-o", mapped, "--name", "Tiny", "--licence", "CC0-1.0", "--calibrate", *clips)
    assert done.returncode == 0 and done.stderr.startswith("network: ")
    assert "layer_1" in done.stdout
    metadata = json.loads(run("info", mapped, "--json").stdout)["model"]["metadata"]
    assert (metadata["name"], metadata["licence"]) == ("Tiny", "CC0-1.0")
    assert run("transcribe", "-m", mapped, RECORDING).returncode == 0


def test_the_report_as_json_is_one_object(source: Path) -> None:
    done = run("map", source, "-o", source.with_suffix(".nna"), "--bits4", "layer_1,lstm_x", "--json")
    bits = {layer["name"]: layer["weight_bits"] for layer in json.loads(done.stdout)["layers"]}
    assert (bits["layer_1"], bits["layer_5"], bits["gates"]) == ([4], [8], [4, 8])


def test_a_size_decides_which_layers_get_4_bits(source: Path) -> None:
    mapped = source.with_suffix(".nna")
    assert_one_line_error(run("map", source, "-o", mapped, "--size", "4 apples"), "size must be like 4MB")
    assert not mapped.exists()
    done = run("map", source, "-o", mapped, "--size", "36kB", "--json")
    report = json.loads(done.stdout)
    assert len(report["bit_costs"]) == 7 and mapped.stat().st_size == report["file_bytes"] <= 36_000


def test_an_alphabet_of_the_wrong_size_is_one_line_and_writes_nothing(source: Path) -> None:
    (source.parent / "alphabet.txt").write_text("a\nb\nc\n")
    done = run("map", source, "-o", source.with_suffix(".nna"), "--alphabet", source.parent / "alphabet.txt")
    assert_one_line_error(done, "net.npz", "alphabet")
    assert not source.with_suffix(".nna").exists()


def test_a_source_that_cannot_be_mapped_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(b"\x00" * 100)
    assert_one_line_error(run("map", tmp_path / "a.pb", "-o", tmp_path / "a.nna"), "a.pb")
    assert_one_line_error(run("map", tmp_path / "missing.npz", "-o", tmp_path / "a.nna"), "missing.npz")
    assert not (tmp_path / "a.nna").exists()


# ---- a process among processes -------------------------------------------------------------------


def test_a_model_goes_out_for_other_runtimes(source: Path) -> None:
    for name, options, found in (
        ("a.pb", ["--release", "0.5.1"], "DeepSpeech 0.5, frozen graph"),
        ("a.pbmm", [], "DeepSpeech 0.7 to 0.9 or Coqui STT 1.x, "),
        ("a.tflite", ["--int8"], ".tflite"),
    ):
        out = source.with_name(name)
        assert run("export", source, out, *options).returncode == 0
        assert found in run("map", out).stdout
    assert_one_line_error(run("export", source, source.with_suffix(".h5")), "net.h5", ".pbmm, .tflite")


def start(*args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """The running command with pipes, in a folder that is not the source tree."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "pynna", *args], cwd=Path(__file__).parent, **streams)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The first line of standard output; what went wrong instead if there is none within a minute."""
    assert process.stdout is not None
    assert process.stderr is not None
    readable, _, _ = select.select([process.stdout, process.stderr], [], [], 60)
    assert readable == [process.stdout], process.stderr.readline() if readable else "nothing for a minute"
    return process.stdout.readline()


def test_a_closed_pipe_ends_quietly() -> None:
    with start("transcribe", *[RECORDING] * 20) as process:
        assert first_line(process).endswith(f": {WORDS}\n".encode())
        process.stdout.close()  # type: ignore[union-attr]
        assert process.wait(60) == 0
        assert process.stderr.read() == b""  # type: ignore[union-attr]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full, start("transcribe", RECORDING, stdout=full) as process:
        assert process.stderr is not None
        errors = process.stderr.read().decode()
    assert (process.returncode, errors.count("\n")) == (1, 1)
    assert "No space left" in errors


def test_interruption_is_130_without_a_traceback() -> None:
    # whoever starts the tests in the background may have switched interruption off for all their children
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with start("transcribe", RECORDING, "-", preexec_fn=listening) as process:
        try:
            assert first_line(process).endswith(f": {WORDS}\n".encode())
            time.sleep(0.2)  # now it waits for standard input
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert process.stderr.read() == b""  # type: ignore[union-attr]
        finally:
            process.kill()


def test_long_work_shows_a_progress_bar_on_a_terminal_alone(tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, np.zeros(16000 * 1200, np.int16), 16000)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, 80, 0, 0))
    shown = b""
    with start("transcribe", "--model", "pynna-en-micro", long, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # the other end of a pseudo-terminal is closed
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"long.wav" in shown
    assert b" % |" in shown
    done = run("transcribe", "--model", "pynna-en-micro", long)
    assert done.returncode == 0 and done.stderr.endswith("it is digital silence: is the microphone muted?\n")
    assert "%" not in done.stderr
