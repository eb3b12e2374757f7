# SPDX-License-Identifier: Apache-2.0
"""Splitting, checking and storing of clips, and the scores of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile")
pytest.importorskip("tqdm")

import soundfile

from pynna.train.config import Config
from pynna.train.corpora.corpora import is_test, read_manifest, save_features
from pynna.train.corpora.recordings import COMMANDS
from pynna.train.corpora.testsets import commands, real_clips, real_phrases
from pynna.train.evaluation.scores import Score
from pynna.train.voices.base import to_rate
from pynna.train.voices.engines import TEST_VOICES
from pynna.train.voices.synthesise import broken, trim


def test_a_speaker_is_wholly_in_training_or_in_test() -> None:
    assert len({is_test("fsdd:george", f"{i}.flac", 0.15) for i in range(50)}) == 1


def test_unknown_speakers_are_split_by_clip_at_the_share() -> None:
    share = np.mean([is_test("corpus:unknown", f"{i}.flac", 0.15) for i in range(4000)])
    assert share == pytest.approx(0.15, abs=0.02)


def test_manifest_is_normalised_and_headers_are_skipped(tmp_path: Path) -> None:
    tmp_path.joinpath("manifest.tsv").write_text("path\tspeaker\ttext\na.flac\tc:x\tTURN ON 2\nbroken line\n")
    assert read_manifest(tmp_path) == [("a.flac", "c:x", "turn on two")]


def test_broken_clips_are_named() -> None:
    second = (np.sin(np.arange(16000) * 0.1) * 8000).astype(np.int16)
    assert broken(second, "open the window", 8.0) == ""
    assert broken(second * 0, "open the window", 8.0) == "silent"
    assert broken(second, "o" * 60, 8.0) == "text too long for the audio"
    assert broken(np.tile(second, 9), "open the window", 8.0) == "too long"
    assert broken(np.tile(second, 5), "no", 8.0) == "audio too long for the text"


def test_trim_leaves_a_margin_around_the_speech() -> None:
    pcm = np.zeros(48000, np.int16)
    pcm[16000:32000] = 5000
    assert len(trim(pcm)) == 16000 + 2 * 1600
    assert len(trim(np.zeros(5000, np.int16))) == 0


def test_resampling_keeps_length_and_level() -> None:
    stereo = np.stack([np.sin(np.arange(22050) * 0.05)] * 2, axis=1).astype(np.float32) * 0.5
    out = to_rate(stereo, 22050)
    assert out.dtype == np.int16
    assert len(out) == 16000
    assert np.abs(out.astype(int)).max() == pytest.approx(16384, rel=0.02)


def test_feature_shard_holds_every_clip(tmp_path: Path) -> None:
    clips = [(np.full(n, 100, np.int16), f"text {n}", "v") for n in (1000, 5000)]
    save_features(tmp_path, "shard", clips)
    rows = json.loads((tmp_path / "shard.json").read_text())
    assert [r[2:] for r in rows] == [["text 1000", "v"], ["text 5000", "v"]]
    assert np.load(tmp_path / "shard.npy").shape == (sum(r[1] for r in rows), 257)


def test_a_shard_without_clips_can_be_read(tmp_path: Path) -> None:
    save_features(tmp_path, "shard", [])
    assert json.loads((tmp_path / "shard.json").read_text()) == []
    assert np.load(tmp_path / "shard.npy", mmap_mode="r").shape[1] == 257


def test_actors_are_told_apart_from_other_people(tmp_path: Path) -> None:
    config = Config({"corpora": {"acted": ["play"]}}, tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(1600, np.int16), 16000)
    for corpus in ("play", "people"):
        row = f"{tmp_path / 'a.wav'}\t{corpus}:x\t{corpus} held out"
        config.folder("heldout").joinpath(f"{corpus}.tsv").write_text(row)
        shard = config.folder("features") / f"real-{corpus}.json"
        shard.write_text(json.dumps([[0, 5, f"{corpus} trained on", f"{corpus}:y"]]))
    assert [clip.text for clip in real_clips(config)] == ["people held out"]
    assert [clip.text for clip in real_clips(config, acted=True)] == ["play held out"]
    assert real_phrases(config) == ["people held out", "people trained on"]


def test_score_counts_characters_words_and_whole_sentences() -> None:
    score = Score()
    score.add("open the window", "open a window")
    score.add("call home", "call home")
    assert (score.clips, score.right, score.words, score.word_errors) == (2, 1, 5, 1)


def test_evaluation_has_at_least_sixty_commands_each_once() -> None:
    assert len(commands()) == len(set(commands())) >= 60
    assert {"increase the volume", "check battery levels", "display navigation"} <= set(commands()[:20])


def test_shipped_recordings_use_no_voice_kept_for_testing() -> None:
    assert not {voice for _, _, voice, *_ in COMMANDS} & {name.partition(":")[2] for name in TEST_VOICES}
