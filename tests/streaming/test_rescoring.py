# SPDX-License-Identifier: Apache-2.0
"""Doubtful speech is rescored in passes at other speeds and without noise, which vote."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nna_models import random_file, random_model

import pynna
from pynna.audio.denoise import denoise
from pynna.audio.pcm import change_speed
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import MAX_PASSES, DecoderOptions
from pynna.decoding.results import Result, Spelling
from pynna.distance import edit_distance
from pynna.errors import ArgumentError
from pynna.events import Final
from pynna.mapping.nna import encode_nna
from pynna.streaming import rescoring
from pynna.streaming.history import AudioHistory
from pynna.streaming.rescoring import (
    MBR_EXPONENT,
    PERTURBATIONS,
    RESCORE_BELOW,
    RESCORE_FROM,
    RESCORE_MAX_SECONDS,
    SILENCE_SECONDS,
    Perturbation,
    PerturbedAudio,
    combine,
    needs_rescoring,
    recognise,
    rescore_audio,
    select_mbr,
)
from pynna.streaming.worker import RescoringWorker

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RATE = 16000


@pytest.fixture(scope="module")
def loud(model, car):
    """The recorded commands in so loud a noise that they leave doubt, each with its first pass."""
    found = []
    for i, path in enumerate(sorted(RECORDINGS.glob("*.flac"))):
        pcm = pynna.audio.load_audio(path, sample_rate=RATE).pcm
        for level in (300, 600, 1000, 1500, 2000, 3000, 4000, 6000):
            noise = np.random.default_rng(i).normal(0, level, len(pcm))
            noisy = np.clip(pcm + noise, -32768, 32767).astype(np.int16)
            once = model.transcribe(noisy, grammar=car, passes=1)
            if once.complete and RESCORE_FROM <= once.confidence < RESCORE_BELOW:
                found.append((noisy, once))
                break
    assert len(found) >= 6
    return found


def count_groups(monkeypatch, model):
    made = []
    group = type(model).group
    monkeypatch.setattr(type(model), "group", lambda self: made.append(1) or group(self))
    return made


def heard_at(model, car, pcm, speed):
    """One pass over a recording, its seconds the recording's."""
    decoder = Decoder(
        model.labels,
        label_priors=model.label_priors,
        options=model.decoder_options(grammar=car),
        seconds_per_frame=model.seconds_per_step * speed,
    )
    decoder.feed(model.log_probs(pcm))
    return decoder.finish()


def test_the_confidence_is_the_mean_of_the_hearings(model, car, loud):
    for pcm, once in loud:
        audio = PerturbedAudio(pcm, RATE, once)
        each = [once, *(heard_at(model, car, audio.under(p), p.speed) for p in PERTURBATIONS)]
        shares: dict[str, float] = {}
        for result in each:
            meant = f"{result.intent} {sorted(result.slots.items())}"
            shares[meant] = shares.get(meant, 0.0) + result.complete * result.confidence / len(each)
        voted = model.transcribe(pcm, grammar=car)
        assert voted.confidence == pytest.approx(max(shares.values()))
        assert voted.confidence == pytest.approx(shares[f"{voted.intent} {sorted(voted.slots.items())}"])
        assert voted.text in {result.text for result in each}
        assert voted.complete and voted.intent == car.parse(voted.text).intent
        assert voted.accepted == (voted.confidence >= pynna.decoding.confidence.DEFAULT_THRESHOLD)


def test_each_hearing_is_of_its_manner(model):
    pcm = pynna.audio.load_audio(RECORDINGS / "call_home.flac", sample_rate=RATE).pcm // 8
    pcm += np.random.default_rng(0).normal(0, 400, len(pcm)).astype(np.int16)
    audio = PerturbedAudio(pcm, RATE, model.transcribe(pcm, passes=1))
    assert audio.silence == (0, 0)  # not in quiet
    for perturbation in PERTURBATIONS:
        source = denoise(pcm, RATE) if perturbation.denoise else pcm
        assert np.array_equal(audio.under(perturbation), change_speed(source, perturbation.speed, RATE))
    assert len({each.tobytes() for each in [pcm, *map(audio.under, PERTURBATIONS)]}) == MAX_PASSES


def cut_to_speech(name):
    """A command of the recordings without what is before and after it: nothing 30 dB below its loudest sample."""
    pcm = pynna.audio.load_audio(RECORDINGS / f"{name}.flac", sample_rate=RATE).pcm
    size = np.abs(pcm.astype(int))
    loud = np.flatnonzero(size > size.max() // 32)
    return pcm[loud[0] : loud[-1] + 1]


@pytest.mark.parametrize("name", ["what_time_is_it", "lock_the_doors", "play_some_music"])
@pytest.mark.parametrize("before, after", [(0, 0), (0, RATE), (RATE, 0), (RATE, RATE)])
@pytest.mark.parametrize("at", [0, 50])
def test_in_quiet_there_is_silence_where_it_is_cut_tightly(model, car, name, before, after, at):
    clip = np.pad(cut_to_speech(name), (before, after))
    clip += np.random.default_rng(0).integers(-2, 3, len(clip)).astype(np.int16)
    options, n = model.decoder_options(grammar=car, passes=1), round(SILENCE_SECONDS * RATE)
    stream = model.stream(grammar=car, passes=1)
    stream.feed(np.pad(clip, (320 * at, 0)))
    first = stream.finish()
    audio = PerturbedAudio(clip, RATE, first, at / 50)
    assert audio.silence == (n * (not before), n * (not after))
    for perturbation in PERTURBATIONS:
        source = denoise(clip, RATE) if perturbation.denoise else clip
        expected = np.pad(change_speed(source, perturbation.speed, RATE), audio.silence)
        assert np.array_equal(audio.under(perturbation), expected)
    # words are in the recording's time, whatever is around a pass
    (result,) = recognise(model, clip, first, [Perturbation(1.0, False)], options, first_frame=at)
    assert result.text == first.text
    for word, once in zip(result.words, first.words, strict=True):
        assert [word.start, word.end] == pytest.approx([once.start, once.end], abs=0.12)
    assert result.words[-1].end <= at / 50 + len(clip) / RATE + 0.1


def test_where_nothing_was_heard_there_is_no_silence(model):
    nothing = model.transcribe(np.zeros(RATE, np.int16), passes=1)
    assert PerturbedAudio(cut_to_speech("play_some_music"), RATE, nothing).silence == (0, 0)
    for n in (0, 1, RATE):
        assert PerturbedAudio(np.zeros(n, np.int16), RATE, nothing).silence == (0, 0)


@pytest.mark.parametrize("first_frame", [-12.0, -0.5, 0.0, 7.5])
def test_no_word_begins_before_the_recording(first_frame):
    tokens = [("ab ".index(c), i, i, 0.0) for i, c in enumerate("ab b")]
    words = Spelling(("a", "b", " ", ""), 0.02, first_frame).words(tokens)
    assert [word.text for word in words] == ["ab", "b"]
    for word, (start, end) in zip(words, ((0, 2), (3, 4)), strict=True):
        assert word.start == pytest.approx(max(0.0, 0.02 * (first_frame + start)))
        assert word.end == pytest.approx(max(0.0, 0.02 * (first_frame + end)))


def test_fewer_hearings_are_the_first_ones(model, car, loud):
    pcm, once = loud[0]
    perturbation = PERTURBATIONS[0]
    second = heard_at(model, car, PerturbedAudio(pcm, RATE, once).under(perturbation), perturbation.speed)
    two = model.transcribe(pcm, grammar=car, passes=2)
    agree = (once.intent, once.slots) == (second.intent, second.slots)
    expected = (once.confidence + second.confidence) / 2 if agree else max(once.confidence, second.confidence) / 2
    assert two.confidence == pytest.approx(expected)


def test_what_is_sure_is_heard_once(model, car, monkeypatch):
    path = RECORDINGS / "open_the_window.flac"
    once = model.transcribe(path, grammar=car, passes=1)
    assert once.confidence >= RESCORE_BELOW
    made = count_groups(monkeypatch, model)
    assert model.transcribe(path, grammar=car).as_dict() == once.as_dict()
    assert not needs_rescoring(model.transcribe(np.zeros(RATE, np.int16)))  # there is nothing to hear
    assert not made


def test_chunks_groups_and_second_asking_change_nothing(model, car, loud):
    pcm, _ = loud[1]
    whole = model.transcribe(pcm, grammar=car, alternatives=4)
    for stream in (model.stream(grammar=car, alternatives=4), model.group().stream(grammar=car, alternatives=4)):
        buffer = np.zeros(777, np.int16)  # filled again and again, as a sound metadata's
        for start in range(0, len(pcm), 777):
            part = buffer[: len(pcm[start : start + 777])]
            part[:] = pcm[start : start + 777]
            stream.feed(part)
        assert stream.finish().as_dict() == whole.as_dict() == stream.finish().as_dict()


def test_alternatives_are_the_ballot(model, car, loud):
    for pcm, _ in loud:
        result = model.transcribe(pcm, grammar=car, alternatives=3)
        sure = [a.confidence for a in result.alternatives]
        assert result.alternatives[0].text == result.text and sure[0] == result.confidence
        assert sure == sorted(sure, reverse=True) and len({a.text for a in result.alternatives}) == len(sure) <= 3


def test_words_have_the_times_of_the_recording(model, car, loud):
    same = 0
    for pcm, once in loud:
        voted = model.transcribe(pcm, grammar=car)
        same += voted.text == once.text
        for word in voted.words:
            assert 0 <= word.start < word.end <= len(pcm) / RATE + 0.1
        if voted.text == once.text:  # then the first pass's own
            assert voted.words == once.words
    slow = change_speed(pynna.audio.load_audio(RECORDINGS / "call_home.flac", sample_rate=RATE).pcm, 0.8, RATE)
    home = model.transcribe(RECORDINGS / "call_home.flac", grammar=car).words[-1]
    assert model.transcribe(slow, grammar=car, passes=1).words[-1].start * 0.8 == pytest.approx(home.start, abs=0.06)
    assert same >= 1


def test_a_listener_hears_again_too(model, car, loud):
    quiet = np.random.default_rng(9).normal(0, 3, RATE).astype(np.int16)
    doubted = 0
    for pcm, _ in loud:
        audio = np.concatenate([quiet, pcm, quiet, quiet])
        heard = {}
        for n in (1, MAX_PASSES):
            events = model.listen(grammar=car, passes=n).listen(audio[i : i + 320] for i in range(0, len(audio), 320))
            finals = [event.result for event in events if isinstance(event, Final)]
            if len(finals) == 1:  # else the noise ended it before the command, or began another one
                heard[n] = finals[0]
        if set(heard) == {1, MAX_PASSES} and needs_rescoring(heard[1]):
            doubted += 1
            assert heard[MAX_PASSES].confidence != heard[1].confidence
            for word in heard[MAX_PASSES].words:  # in the stream's time
                assert 0.9 <= word.start < word.end <= 1.1 + len(pcm) / RATE
        elif set(heard) == {1, MAX_PASSES}:
            assert heard[MAX_PASSES].as_dict() == heard[1].as_dict()
    assert doubted >= 3


def test_a_listener_keeps_no_more_than_it_may_hear_again(model, car):
    listener = model.listen(grammar=car)
    for _ in range(100):
        listener.feed(np.zeros(RATE, np.int16))
    assert sum(map(len, listener._history._chunks)) <= 2 * RATE
    plain = model.listen(passes=1)
    plain.feed(np.zeros(RATE, np.int16))
    assert not plain._history._chunks
    plain.options = listener.options
    plain.feed(np.zeros(320, np.int16))
    assert plain._history._chunks


def test_what_is_too_long_is_heard_once(model, car, loud, monkeypatch):
    pcm, once = loud[0]
    monkeypatch.setattr(rescoring, "RESCORE_MAX_SECONDS", len(pcm) / RATE - 0.01)
    made = count_groups(monkeypatch, model)
    stream = model.stream(grammar=car)
    for start in range(0, len(pcm), 320):
        stream.feed(pcm[start : start + 320])
    assert stream.finish().as_dict() == once.as_dict() and not made


def test_a_vote_of_none_is_the_first_hearing(model, car):
    whole = model.transcribe(RECORDINGS / "navigate_home.flac", grammar=car, passes=1)
    empty = model.transcribe(np.zeros(0, np.int16), grammar=car, passes=1)
    assert whole.complete and not empty.complete and combine([empty, empty]) is empty
    voted = combine([empty, whole, empty])
    assert voted.text == whole.text and voted.confidence == pytest.approx(whole.confidence / 3)


def test_sentences_that_mean_the_same_vote_together(model):
    grammar = pynna.Grammar.from_yaml(
        io.StringIO(
            "intents: {Open: {data: [{sentences: ['open [up] the window']}]},"
            " Play: {data: [{sentences: [play some music]}]}}"
        )
    )
    heard = {
        name: model.transcribe(RECORDINGS / f"{name}.flac", grammar=grammar, passes=1, alternatives=2)
        for name in ("open_the_window", "play_some_music")
    }
    window, music = heard.values()
    assert window.text == "open the window" and music.text == "play some music"
    other = window.voted((replace(window.alternatives[0], text="open up the window"),))
    voted = combine([music, window, other, window])
    assert voted.text == "open the window" and voted.confidence == pytest.approx(3 * window.confidence / 4)
    assert [a.intent for a in voted.alternatives] == ["Open", "Play"][: len(voted.alternatives)]


# ---- without a grammar --------------------------------------------------------------------------


def test_a_text_is_the_nearest_of_the_hearings(model, loud):
    changed = 0
    for pcm, _ in loud:
        for beam in (0, 64):
            options = DecoderOptions(beam_width=beam, passes=1)
            once = model.transcribe(pcm, beam_width=beam, passes=1, language_model=None)
            each = [once, *recognise(model, pcm, once, PERTURBATIONS, options)]
            errors = [
                sum(edit_distance(one.text, other.text) * other.confidence**MBR_EXPONENT for other in each)
                for one in each
            ]
            heard = model.transcribe(pcm, beam_width=beam, language_model=None)
            assert heard.as_dict() == each[int(np.argmin(errors))].as_dict()
            assert model.transcribe(pcm, beam_width=beam, passes=3, language_model=None).text in {
                one.text for one in each[:3]
            }
            changed += heard.text != once.text
            for word in heard.words:
                assert 0 <= word.start < word.end <= len(pcm) / RATE + 0.1
    assert changed >= 3


def test_a_sure_hearing_outweighs_the_others():
    def heard(text, confidence):
        tokens = [("ab ".index(c), i, i, float(np.log(confidence))) for i, c in enumerate(text)]
        return Result(Spelling(("a", "b", " ", ""), 0.02), (), "", [(0.0, tokens)])

    agreed = [heard("aab", 0.5), heard("abb", 0.5), heard("abb", 0.5), heard("bbb", 0.5)]
    assert select_mbr(agreed) is agreed[1]
    assert select_mbr([*agreed, heard("ba ba", 0.9)]).text == "ba ba"
    assert select_mbr([heard("a", 0.5), heard("", 0.5), heard("", 0.5)]).text == "a"  # nothing heard is no say


def test_hot_words_count_when_heard_again(model, loud):
    words, changed = {"a": 30.0}, 0
    for pcm, _ in loud:
        late, once = model.stream(), model.stream(passes=1)
        for stream in (late, once):
            stream.feed(pcm)
            stream.hot_words = words
        first = once.finish()
        with_words = [first, *recognise(model, pcm, first, PERTURBATIONS, DecoderOptions(hot_words=words))]
        assert late.finish().text == select_mbr(with_words).text
        without = [first, *recognise(model, pcm, first, PERTURBATIONS, DecoderOptions())]
        changed += select_mbr(with_words).text != select_mbr(without).text
    assert changed >= 1


def test_how_often_is_the_models_own(model, car, tmp_path):
    assert model.passes == model.decoder_options().n_passes == MAX_PASSES
    path = tmp_path / "random.nna"
    path.write_bytes(random_file())
    plain = pynna.load(path)
    assert plain.passes == plain.decoder_options().n_passes == 1
    assert plain.decoder_options(passes=3).n_passes == model.decoder_options(passes=3).n_passes == 3
    assert plain.decoder_options(grammar=car).n_passes == MAX_PASSES
    for wrong in (0, 8, "7", 2.5, None):
        changed = random_model()
        changed.metadata["passes"] = wrong
        path.write_bytes(encode_nna(changed))
        with pytest.raises(pynna.ModelFileError, match="its metadata's passes are .*; 1 to 7 are right"):
            pynna.load(path)


@pytest.mark.parametrize("speed", [0.8, 0.92, 1.08, 1.25])
def test_a_tape_at_another_speed(speed):
    tone = np.round(8000 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.int16)
    played = change_speed(tone, speed, RATE)
    assert len(played) == pytest.approx(RATE / speed, abs=1)
    spectrum = np.abs(np.fft.rfft(played[: RATE // 2] * np.hanning(RATE // 2)))
    assert spectrum.argmax() * 2 == pytest.approx(1000 * speed, abs=2)


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(0, 60), st.integers(0, 99), st.integers(0, 99))
def test_a_tape_gives_what_was_fed_or_nothing(sizes, most, first, length):
    history = AudioHistory(0)
    history.max_samples = most
    fed = np.arange(sum(sizes), dtype=np.int16)
    at = 0
    for size in sizes:
        history.feed(fed[at : at + size])
        at += size
    assert sum(map(len, history._chunks)) < most + 10
    audio = history.audio(first, first + length)
    if first >= max(0, at - most) and first < at and length <= most:
        assert audio is not None
    if audio is not None:
        assert np.array_equal(audio, fed[first : first + length])


@pytest.mark.parametrize("n", [0, 8, 2.0, True])
def test_wrong_numbers_are_told(model, n):
    with pytest.raises(ArgumentError, match="passes is .*; a whole number from 1 to 7 is right"):
        model.stream(passes=n)
    assert RESCORE_MAX_SECONDS > 0 and len(PERTURBATIONS) == MAX_PASSES - 1


@pytest.fixture(scope="module")
def among_noise():
    """A command with two seconds of noise at both ends."""
    pcm = pynna.audio.load_audio(RECORDINGS / "call_home.flac", sample_rate=RATE).pcm
    noise = np.random.default_rng(len(pcm)).normal(0, 600, len(pcm) + 4 * RATE)
    noise[1:] += 0.9 * noise[:-1]
    return np.clip(np.pad(pcm, 2 * RATE) + noise, -32768, 32767).astype(np.int16)


def test_what_is_refused_as_a_whole_is_taken_as_an_utterance(model, car, among_noise):
    options = model.decoder_options(grammar=car)
    whole = rescore_audio(model, among_noise, model.transcribe(among_noise, grammar=car, passes=1), options)
    assert whole.text == "call home" and not whole.accepted
    result = model.transcribe(among_noise, grammar=car)
    (utterance,) = (segment.result for segment in model.segments(among_noise, grammar=car))
    assert result.accepted and result.as_dict() == utterance.as_dict()
    (word, _) = result.words
    assert word.start == pytest.approx(whole.words[0].start, abs=0.1)  # in the stream's time
    with RescoringWorker() as worker:
        stream = model.stream(grammar=car)
        stream.feed(among_noise)
        assert stream.finish_in(worker).result(60).as_dict() == result.as_dict()


def test_one_pass_is_the_whole(model, car, among_noise):
    assert not model.transcribe(among_noise, grammar=car, passes=1).accepted


def test_the_surest_is_never_less_sure_than_the_whole(model, car, loud):
    options = model.decoder_options(grammar=car)
    for pcm, first in loud:
        whole, result = rescore_audio(model, pcm, first, options), model.transcribe(pcm, grammar=car)
        assert result.confidence >= whole.confidence
        assert result.as_dict() == whole.as_dict() or not whole.accepted
