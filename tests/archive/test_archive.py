# SPDX-License-Identifier: Apache-2.0
"""Archives: long recordings, many of them, several processes, and what is left after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pynna
from pynna.archive import jobs
from pynna.archive.cutting import Cutter
from pynna.archive.jobs import _EARLY, start_early
from pynna.archive.journal import Journal, Parts
from pynna.archive.processes import FORKS, Forks
from pynna.archive.writers import FORMATS, Recording
from pynna.audio.channels import remarks
from pynna.audio.files import recordings_in

RECORDINGS = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
RATE = 16000


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All recordings twice, with pauses and a little noise between them."""
    rng = np.random.default_rng(5)
    parts = []
    for path in RECORDINGS * 2:
        parts += [np.zeros(RATE, np.int16), pynna.audio.read(path).pcm]
    pcm = np.concatenate([*parts, np.zeros(RATE, np.int16)]) + rng.normal(0, 3, sum(map(len, parts)) + RATE)
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, pcm.clip(-32768, 32767).astype(np.int16), RATE)
    return path


def test_whole_recordings_give_what_each_gives_alone(model: pynna.Model) -> None:
    found = list(pynna.transcribe_files(RECORDINGS, model, whole=True, ordered=True))
    assert [transcript.path for transcript in found] == [str(path) for path in RECORDINGS]
    for transcript in found:
        (segment,) = transcript.segments
        assert model.transcribe(transcript.path).as_dict().items() <= segment.items()


def test_a_long_recording_is_cut_at_its_pauses(model: pynna.Model, long: Path) -> None:
    (found,) = pynna.transcribe_files([long], model)
    told = [segment["text"] for segment in found.segments]
    want = [segment.text for segment in model.segments(long)]
    assert len(told) == len(want) and sum(a == b for a, b in zip(told, want, strict=True)) >= len(want) - 3
    assert all(a["end"] <= b["start"] for a, b in zip(found.segments, found.segments[1:], strict=False))


def test_texts_do_not_depend_on_what_else_is_done(model: pynna.Model, long: Path) -> None:
    alone = [next(pynna.transcribe_files([path], model)) for path in (*RECORDINGS, long)]
    shares: list[float] = []
    together = list(
        pynna.transcribe_files(
            [*RECORDINGS, long], model, jobs=2, ordered=True, progress=lambda at: shares.append(at.done / at.total)
        )
    )
    assert together == alone
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)


def test_a_file_that_fails_is_told_and_the_rest_goes_on(model: pynna.Model, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"bad")
    found = list(pynna.transcribe_files([RECORDINGS[0], tmp_path / "bad.wav", RECORDINGS[1]], model, ordered=True))
    assert [bool(each.error) for each in found] == [False, True, False] and found[2].text


def test_a_folder_stands_for_its_recordings(model: pynna.Model, tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("b/c/z.FLAC", "b/a.flac"):
        (tmp_path / name).write_bytes(RECORDINGS[0].read_bytes())
    (tmp_path / "b/notes.txt").write_text("none")
    (tmp_path / "b/.hidden.flac").write_text("none")
    found = list(pynna.transcribe_files([tmp_path / "b", RECORDINGS[1], tmp_path / "empty"], model, ordered=True))
    names = ["b/a.flac", "b/c/z.FLAC"]
    assert [each.path for each in found] == [
        *(str(tmp_path / name) for name in names), str(RECORDINGS[1]), str(tmp_path / "empty"),
    ]  # fmt: skip
    assert [bool(each.error) for each in found] == [False, False, False, True]
    assert recordings_in([tmp_path / "b"], raw=True)[-1].endswith("notes.txt")


@pytest.mark.parametrize("whole", [True, False])
def test_what_looks_wrong_with_a_recording_is_told(model: pynna.Model, tmp_path: Path, whole: bool) -> None:
    pcm = (pynna.audio.read(RECORDINGS[0]).pcm * 40.0).clip(-32768, 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", np.stack([pcm, pcm], axis=1), RATE)
    (found,) = pynna.transcribe_files([tmp_path / "a.wav"], model, whole=whole)
    assert found.notes[0] == "2 channels mixed down to one" and found.notes[1].startswith("it is clipped")
    assert found.notes[1:] == remarks(pcm, RATE, RATE)


def test_no_part_is_cut_in_a_sound() -> None:
    rng = np.random.default_rng(1)
    sound, pause = rng.normal(0, 3000, 5 * RATE), rng.normal(0, 3, RATE)
    pcm = np.concatenate([part for _ in range(9) for part in (sound, pause)]).astype(np.int16)
    for size in (777, 320, len(pcm)):
        cutter = Cutter(pynna.EndpointRules(), 320, RATE)
        parts = list(cutter.cut(pcm[at : at + size] for at in range(0, len(pcm), size)))
        assert np.array_equal(np.concatenate([part.pcm for part in parts]), pcm)
        assert len(parts) >= 9  # the first sound may be taken for the floor
        for part in parts[1:]:
            second = part.first_frame * 0.02 % 6
            assert 5.0 < second < 6.0


def test_outputs_are_the_same_when_resumed_after_kills(long: Path, tmp_path: Path) -> None:
    """At random moments, of two processes; test_kills.py has all places and formats."""
    files = [long, *RECORDINGS[:3]]

    def command(folder: str) -> list[str]:
        return [
            sys.executable, "-m", "pynna", "transcribe", *map(str, files), "--jobs", "2", "--format", "jsonl",
            "--utterances", "--resume", "-o", str(tmp_path / folder),
        ]  # fmt: skip

    environment = {**os.environ, "PYTHONPATH": str(Path(pynna.__file__).parents[1])}
    subprocess.run(command("calm"), check=True, env=environment, cwd=tmp_path)
    rng = random.Random(7)
    for _ in range(4):
        running = subprocess.Popen(command("killed"), env=environment, cwd=tmp_path)
        time.sleep(rng.uniform(0.5, 2.5))
        running.send_signal(signal.SIGKILL)
        running.wait()
    subprocess.run(command("killed"), check=True, env=environment, cwd=tmp_path)
    calm = {path.name: path.read_bytes() for path in (tmp_path / "calm").iterdir() if path.is_file()}
    assert len(calm) == len(files) and all(calm.values())
    assert {path.name: path.read_bytes() for path in (tmp_path / "killed").iterdir() if path.is_file()} == calm
    assert sorted(path.name for path in (tmp_path / "killed/.pynna").iterdir()) == ["done.jsonl", "run.json"]


def test_tsv_has_a_line_a_segment_and_four_tabs_in_it() -> None:
    segments = [
        {"start": 0.0, "end": 1.284, "text": "call home", "confidence": 0.75},
        {"start": 2.0, "end": 3.0, "text": "a\tb\nc", "confidence": 1.0},
    ]
    told = "".join(FORMATS["tsv"].write(Recording("my\tclip.wav", 3.0, ()), lambda: segments))
    assert told == "my clip.wav\t0.00\t1.28\t0.7500\tcall home\nmy clip.wav\t2.00\t3.00\t1.0000\ta b c\n"


WAYS = ["programs", "forks", "forks of this process"]
"""That workers are started in."""


@pytest.fixture(params=WAYS)
def started(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pynna.Model:
    """A model whose workers are started in each of the ways."""
    if request.param != "programs" and not FORKS:
        pytest.skip("no forks on this system")
    monkeypatch.setattr(jobs, "FORKS", request.param != "programs")
    return pynna.load(threads=1 if request.param == WAYS[2] else 2)


def test_processes_that_are_started_early_are_taken_or_end(started: pynna.Model) -> None:
    start_early(3, started)
    ((_, other),) = _EARLY
    start_early(2, started)  # as many as are wanted now
    ((_, crew),) = _EARLY
    assert all(each.wait() == -signal.SIGKILL for each in other.processes)
    found = list(pynna.transcribe_files(RECORDINGS[:2], started, jobs=2, beam_width=0, passes=1))
    assert len(found) == 2 and not any(each.error for each in found)
    assert not _EARLY and all(each.wait() == -signal.SIGKILL for each in crew.processes)


@pytest.mark.skipif(not FORKS, reason="no forks on this system")
def test_a_fork_ends_that_leads_no_group_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setsid", lambda: time.sleep(600))
    forks = Forks(1, lambda source, out, files: None)
    forks.end()
    assert forks.processes[0].wait() == -signal.SIGKILL


@pytest.mark.parametrize("way", WAYS)
def test_processes_end_with_the_one_that_has_started_them(way: str, tmp_path: Path) -> None:
    if way != "programs" and not FORKS:
        pytest.skip("no forks on this system")
    program = (
        "import os, sys, time, pynna; from pynna.archive import jobs; jobs.FORKS = sys.argv[1] != 'programs';"
        "jobs.start_early(2, pynna.load(threads=1 if 'of this' in sys.argv[1] else 2));"
        "time.sleep(float(sys.argv[2])); os.kill(os.getpid(), 9)"
    )
    for seconds in ("0", "1"):
        # its processes have the standard error, too: it is at its end when the last of them has ended
        command = [sys.executable, "-c", program, way, seconds]
        environment = {**os.environ, "PYTHONPATH": str(Path(pynna.__file__).parents[1])}
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=environment) as running:
            assert running.communicate(timeout=60)[1] == b"" and running.returncode == -signal.SIGKILL


@pytest.mark.parametrize("forks", [True, False])
def test_a_process_that_ends_is_started_again_and_what_ended_it_is_told(
    model: pynna.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forks: bool
) -> None:
    if forks and not FORKS:
        pytest.skip("no forks on this system")
    monkeypatch.setattr(jobs, "FORKS", forks)
    # a worker imports it at its start: reading a recording of that name ends its process
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os\n"
        "plain = builtins.open\n"
        "def opened(file, *args, **named):\n"
        "    if 'ends.flac' in str(file):\n"
        "        os._exit(7)\n"
        "    return plain(file, *args, **named)\n"
        "import io, pathlib\n"
        "builtins.open = io.open = opened\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("ends.flac", "good.flac"):
        (tmp_path / name).write_bytes(RECORDINGS[0].read_bytes())
    files = [tmp_path / "ends.flac", tmp_path / "good.flac", *RECORDINGS[1:4]]
    found = list(pynna.transcribe_files(files, model, jobs=2, ordered=True, beam_width=0, passes=1))
    assert [each.error for each in found] == ["the process that worked on it ended with exit code 7", "", "", "", ""]
    assert all(each.text for each in found[1:])


def test_a_line_that_was_cut_short_counts_as_not_written(tmp_path: Path) -> None:
    about = {"path": "a"}
    parts = Parts(tmp_path / "a.parts", about)
    for index in (2, 0):
        parts.add(index, 1.0, [{"text": str(index)}])
    parts.close()
    with (tmp_path / "a.parts").open("ab") as file:
        file.write(json.dumps({"part": 1, "seconds": 1.0, "segments": []}).encode()[:-4])
    again = Parts(tmp_path / "a.parts", about)
    assert again.indices == {0, 2} and again.seconds == 2.0
    again.add(1, 1.0, [{"text": "1"}])
    assert [segment["text"] for segment in again.segments()] == ["0", "1", "2"]
    again.close()
    assert not Parts(tmp_path / "a.parts", {"path": "b"}).indices


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"part": "1", "seconds": 1, "segments": []}', '{"part": 1, "seconds": 1}']
)
def test_lines_that_are_no_parts_count_as_not_written(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parts"
    path.write_text(json.dumps({"about": {}}) + "\n" + line + "\n")
    parts = Parts(path, {})
    parts.add(0, 1.0, [{"text": "a"}])
    assert list(parts.segments()) == [{"text": "a"}]
    parts.close()


@pytest.mark.parametrize("line", ["[]", "{}", "7", "{"])
def test_what_another_program_has_left_in_the_journal_does_no_harm(line: str, tmp_path: Path) -> None:
    (tmp_path / ".pynna").mkdir()
    (tmp_path / ".pynna/done.jsonl").write_text(line + "\n")
    journal = Journal(tmp_path, {"a": 1}, resume=True)
    assert not journal.is_done("b", tmp_path / "b.txt")
    journal.close()
    (tmp_path / ".pynna/run.json").write_text(line)
    with pytest.raises(pynna.PynnaError, match="resume"):
        Journal(tmp_path, {"a": 1}, resume=True)
    Journal(tmp_path, {"a": 1}, resume=False).close()


def test_names_that_are_no_utf8_make_files_of_every_format() -> None:
    word = {"text": "a", "start": 0.0, "end": 1.0, "confidence": 1.0}
    segment = {"text": "a\nb", "start": float("nan"), "end": 1e300, "confidence": 1.0, "words": [word]}
    for name, form in FORMATS.items():
        of = Recording(os.fsdecode(b"caf\xe9\t.wav"), float("inf"), ())
        text = "".join(form.write(of, lambda: [segment])).encode().decode()
        assert name not in ("text", "json", "jsonl", "ctm", "tsv") or len(text.splitlines()) == 1, name
        assert "nan" not in text and "inf" not in text, name


def test_what_is_done_is_not_done_again(model: pynna.Model, tmp_path: Path) -> None:
    (first,) = pynna.transcribe_files(RECORDINGS[:1], model, output=tmp_path)
    assert first.output is not None and first.seconds > 0
    (again,) = pynna.transcribe_files(RECORDINGS[:1], model, output=tmp_path, resume=True)
    assert again.output == first.output and again.seconds == 0
    with pytest.raises(pynna.ArgumentError, match="same model and options as before; other: format"):
        pynna.transcribe_files(RECORDINGS[:1], model, output=tmp_path, resume=True, format="srt")


def test_a_run_is_told_from_another_by_the_content_of_its_options(model: pynna.Model, tmp_path: Path) -> None:
    def run(sentence: str, word: str, folder: str) -> None:
        options = {"grammar": pynna.Grammar.from_sentences([sentence])} if sentence else {}
        words = {"vocabulary": pynna.Vocabulary(["turn", word])} if word else {}
        list(pynna.transcribe_files(RECORDINGS[:1], model, output=tmp_path / folder, resume=True, **options, **words))

    for folder, same, other in (("g", ("call home", ""), ("call mary", "")), ("v", ("", "on"), ("", "off"))):
        run(*same, folder)
        run(*same, folder)  # objects of their own, of the same content
        with pytest.raises(pynna.ArgumentError, match="same model and options as before; other: options"):
            run(*other, folder)
