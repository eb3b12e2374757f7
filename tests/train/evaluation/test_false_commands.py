# SPDX-License-Identifier: Apache-2.0
"""Hours without a command: what is in them, and what is told of the commands that a listener accepts there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pynna.audio.files import read as read_audio
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import DEFAULT_MODEL, load
from pynna.train import config
from pynna.train.corpora import noise_hours
from pynna.train.corpora.noise_hours import Stretch
from pynna.train.corpora.noise_sets import Noise
from pynna.train.evaluation import false_commands

RECORDINGS = Path(__file__).parents[3] / "pynna" / "recordings"


def _noise(kind: str, seed: int = 0) -> Noise:
    pcm = (np.random.default_rng(seed).normal(size=80000) * 1000).astype(np.int16)
    return Noise(kind, f"{kind}-{seed}", pcm)


@pytest.fixture(scope="module")
def sources() -> dict[str, list[list[Noise]]]:
    return noise_hours.by_group([_noise("rain"), _noise("rain", 1), _noise("foreign_x"), _noise("music_y")])


def test_recordings_stand_by_group_and_kind(sources: dict[str, list[list[Noise]]]) -> None:
    assert {group: [len(kind) for kind in kinds] for group, kinds in sources.items()} == {
        "noise": [2], "foreign": [1], "music": [1]
    }  # fmt: skip


def test_a_part_is_always_the_same_and_no_other_is(sources: dict[str, list[list[Noise]]]) -> None:
    pcm, stretches = noise_hours.part(sources, 3, 30.0)
    again, _ = noise_hours.part(sources, 3, 30.0)
    other, _ = noise_hours.part(sources, 4, 30.0)
    assert len(pcm) == 480000 and np.array_equal(pcm, again) and not np.array_equal(pcm, other)
    assert sum(stretch.seconds for stretch in stretches) == pytest.approx(30.0, abs=1.0)
    assert [s.start for s in stretches] == pytest.approx(np.cumsum([0.0, *(s.seconds for s in stretches[:-1])]))


def test_all_groups_are_heard_at_their_levels(sources: dict[str, list[list[Noise]]]) -> None:
    pcm, stretches = noise_hours.part(sources, 0, 240.0)
    assert {stretch.group for stretch in stretches} == set(noise_hours.GROUPS)
    for stretch in stretches:
        part = pcm[int(stretch.start * 16000) : int((stretch.start + stretch.seconds) * 16000)] / 32768
        if stretch.level < -35:  # the louder ones are clipped
            assert 20 * np.log10(part.std()) == pytest.approx(stretch.level, abs=1.0)
    assert any(len(stretch.names) == 2 for stretch in stretches)


def test_a_command_is_found_where_it_lies() -> None:
    spoken = read_audio(RECORDINGS / "play_some_music.flac").pcm
    pcm = np.concatenate([np.zeros(32000, np.int16), spoken, np.zeros(32000, np.int16)])
    stretches = [
        Stretch(0.0, 1.5, "noise", ("a",), -30.0),
        Stretch(1.5, len(pcm) / 16000 - 1.5, "music", ("b",), -40.0),
    ]
    silence = np.zeros(24000, np.int16), [Stretch(0.0, 1.5, "made", ("made",), -60.0)]
    row, nothing = false_commands.heard(load(), [(pcm, stretches), silence], Grammar.from_yaml(CAR_GRAMMAR))
    assert sum(nothing["begun"].values()) == len(nothing["sentences"]) == 0 and nothing["seconds"]["made"] == 1.5
    assert row["begun"]["music"] == sum(row["begun"].values()) == 1 and row["seconds"]["noise"] == 1.5
    (sentence,) = row["sentences"]
    assert (sentence["text"], sentence["accepted"], sentence["group"]) == ("play some music", True, "music")
    text = false_commands.report([row])
    assert "1 commands accepted in 0.00 hours." in text
    assert f"| play some music | {sentence['confidence']:.2f} | music | b | -40 |" in text
    assert "| recorded noise | 0.0 | 0 | 0 | 0 |" in text and "| 0.05 | 1 |" in text


def test_parts_are_heard_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    soundfile.write(folder / "rain-0.flac", _noise("rain").pcm, 16000)
    settings = config.load(None, tmp_path / "work")
    first = false_commands.false_commands(settings, DEFAULT_MODEL, [folder], 0.2, tmp_path / "out.md", 2.0)
    monkeypatch.delattr(false_commands, "heard")
    again = false_commands.false_commands(settings, DEFAULT_MODEL, [folder], 0.2, None, 2.0)
    assert first == again and (tmp_path / "out.md").read_text() == first + "\n"
    assert "0 commands accepted" in first
