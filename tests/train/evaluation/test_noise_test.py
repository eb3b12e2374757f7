# SPDX-License-Identifier: Apache-2.0
"""The noise test: recordings that are the same for every model, and what counts as understood in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pynna.audio.files import read as read_audio
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.train.corpora import noise_sets
from pynna.train.corpora.noise_sets import Noise
from pynna.train.corpora.testsets import Clip, speech_level
from pynna.train.evaluation import noise_peers, noise_test
from pynna.train.evaluation.scores import Judge

RECORDINGS = Path(__file__).parents[3] / "pynna" / "recordings"


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture(scope="module")
def car() -> Judge:
    return Judge(Grammar.from_yaml(CAR_GRAMMAR))


@pytest.fixture(scope="module")
def spoken() -> Clip:
    return Clip("pico", "play some music", read_audio(RECORDINGS / "play_some_music.flac").pcm)


@pytest.fixture
def noise() -> Noise:
    samples = np.random.default_rng(1).normal(size=48000) * 1000
    return Noise("street_made", "street_made-0", samples.astype(np.int16))


def test_a_level_is_kept(noise: Noise) -> None:
    for level in (-20.0, -50.0):
        x = noise_sets.levelled(noise.pcm, level, 2.0) / 32768
        assert len(x) == 32000
        assert 20 * np.log10(np.sqrt((x**2).mean())) == pytest.approx(level, abs=0.2)


def test_noise_stands_before_and_after_a_command_at_its_ratio(spoken: Clip, noise: Noise) -> None:
    quiet = noise_sets.among(spoken, noise, None, 7)
    loud = noise_sets.among(spoken, noise, 10.0, 7)
    assert len(quiet.pcm) == len(loud.pcm)
    extra = (len(loud.pcm) - len(spoken.pcm)) / 16000
    assert 2 <= extra <= 10
    assert np.abs(quiet.pcm[:16000]).max() <= 1
    before = loud.pcm[:16000].astype(float)
    assert 20 * np.log10(speech_level(spoken.pcm) / before.std()) == pytest.approx(10, abs=0.5)
    assert np.array_equal(loud.pcm, noise_sets.among(spoken, noise, 10.0, 7).pcm)


def test_held_out_recordings_are_known_by_their_kind(tmp_path: Path, noise: Noise) -> None:
    for name in ("kitchen_tap_1", "kitchen_tap_2", "music8k_a"):
        soundfile.write(tmp_path / f"{name}.flac", noise.pcm, 16000)
    found = noise_sets.held_out([tmp_path])
    assert [n.kind for n in found] == ["kitchen_tap", "kitchen_tap", "music8k_a"]
    assert [noise_sets.group_of(n.kind) for n in found] == ["noise", "noise", "music"]
    with pytest.raises(FileNotFoundError, match="must have FLAC files"):
        noise_sets.held_out([tmp_path / "none"])


def test_clips_are_drawn_from_every_source_in_turn(spoken: Clip) -> None:
    clips = [Clip(source, str(i), spoken.pcm) for source in ("a", "b", "c") for i in range(5)]
    found = noise_sets.drawn(clips, 7)
    assert [clip.source for clip in found] == ["a", "b", "c", "a", "b", "c", "a"]
    assert [clip.text for clip in found] == [clip.text for clip in noise_sets.drawn(clips, 7)]


def test_digital_silence_gives_nothing(model: Model, car: Judge) -> None:
    found = noise_test.heard_alone(model, np.zeros(48000, np.int16), car.grammar)
    assert (found.seconds, found.letters, found.finals, found.accepted) == (3.0, 0, 0, 0)


def test_a_command_is_understood_in_silence_by_all_three(model: Model, car: Judge, spoken: Clip, noise: Noise) -> None:
    recording = noise_sets.among(spoken, noise, None, 3)
    found = noise_test.heard_among(model, [recording], car, "test")
    assert (found.transcribed, found.listened, found.utterances, found.lost) == (100.0, 100.0, 1.0, 0.0)
    assert noise_test.served(model, [recording], car) == 100.0


def test_a_second_command_that_nobody_said_is_an_error(model: Model, car: Judge, spoken: Clip) -> None:
    other = read_audio(RECORDINGS / "open_the_window.flac").pcm
    results = [model.transcribe(pcm, grammar=car.grammar) for pcm in (spoken.pcm, other)]
    assert noise_test.understood(car, spoken.text, results[:1])
    assert not noise_test.understood(car, spoken.text, results)
    assert not noise_test.understood(car, spoken.text, [])


def test_the_report_tells_the_worst_kind() -> None:
    test = noise_test.NoiseTest()
    test.alone["kitchen_tap", -30.0] = noise_test.Alone(30.0, 20, 3, 2, 0)
    test.alone["kitchen_tap", -50.0] = noise_test.Alone(30.0, 10, 0, 0, 1)
    test.alone["rain", -30.0] = noise_test.Alone(60.0, 3, 0, 0, 0)
    test.among["real people", "15 dB"] = noise_test.Among(24, 50.0, 75.0, 1.25, 0.0)
    text = noise_test.report(test, noise_test.QUICK)
    assert "Worst kind of noise: kitchen_tap, 30.0 letters a minute. 1 commands accepted in 0.03 hours." in text
    assert "| kitchen_tap | 1.0 | 30.0 | 3.0 | 2.0 | 60.0 |" in text
    assert "| real people | 15 dB | 24 | 50.0 | 75.0 | 1.25 | 0.0 |" in text


def test_figures_of_the_peer_are_made_once(tmp_path: Path) -> None:
    kept, made = noise_peers.Kept(tmp_path / "peers.json"), list[int]()

    def make() -> dict[str, float]:
        made.append(1)
        return {"clips": 3.0}

    assert kept.of("a", "1", make) == kept.of("a", "1", make) == {"clips": 3.0}
    assert noise_peers.Kept(tmp_path / "peers.json").of("a", "1", make) == {"clips": 3.0}
    kept.of("a", "2", make)
    assert len(made) == 2


def test_the_peer_hears_the_same(car: Judge, spoken: Clip, noise: Noise) -> None:
    pytest.importorskip("pocketsphinx")
    from pynna.train.corpora.peers import Sphinx

    sphinx = Sphinx(Grammar.from_sentences(["play some music", "open the window"]))
    recording = noise_sets.among(spoken, noise, 25.0, 3)
    found = noise_peers.heard_among(sphinx, car, [recording], "test")
    assert found.transcribed == 100.0 and found.utterances >= 1
    assert noise_peers.utterances(np.zeros(32000, np.int16)) == []
