# SPDX-License-Identifier: Apache-2.0
"""Voices of other languages speak English: each phone has a sound there, and what was never recorded is bridged."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynna.train.voices import engines, foreign
from pynna.train.voices.base import RATE
from pynna.train.voices.foreign import VOICES, Segment, Voice, espeak_prosody, in_accent, prosody, recorded, spoken

RADIO = (
    "aa ae ah ao aw ax axr ay b ch d dh dx eh el em en er ey f g hh hv ih iy jh k l m n ng nx ow oy p pau r s sh t th "
    "uh uw v w y z zh"
).split()
SEGMENTS = st.lists(st.sampled_from(RADIO).map(lambda phone: Segment(phone, 0.1, 100.0)), min_size=1, max_size=12)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """A voice with three phones and a silence, some of which join."""
    says = {"ay": "a i|e i", "t": "t", "hh": "", "pau": "#", "en": "", "ax": "a", "n": "e"}
    monkeypatch.setitem(VOICES, "small", Voice("small.group", says, 100.0))
    joined = frozenset({"t-e", "e-i", "a-i", "#-t", "i-#", "t-#", "#-a"})
    monkeypatch.setattr(foreign, "recorded", lambda voice: joined)
    return "small"


def said(phones: str, voice: str, seed: int = 0) -> str:
    segments = [Segment(phone, 0.1, 100.0) for phone in phones.split()]
    return " ".join(s.phone for s in spoken(segments, voice, random.Random(seed)))


def test_of_alternatives_that_one_is_said_which_joins(small: str) -> None:
    assert {said("t ay", small, seed) for seed in range(8)} == {"t e i"}
    assert {said("pau ay", small, seed) for seed in range(8)} == {"# a i"}


def test_phones_without_a_sound_are_left_out_and_others_bridged_with_silence(small: str) -> None:
    assert said("hh t hh ay", small) == "t e i"
    assert said("t t", small) == "t # t"
    assert said("t en", small) == "t # a # e"


def test_lengths_are_shared_and_marks_stay_where_a_word_begins(small: str) -> None:
    heard = spoken(
        [Segment("hh", 0.1, 90.0, ' "'), Segment("t", 0.2, 100.0), Segment("ay", 0.3, 110.0)], small, random.Random(0)
    )
    assert heard == [Segment("t", 0.2, 100.0, ' "'), Segment("e", 0.15, 110.0), Segment("i", 0.15, 110.0)]


@pytest.mark.parametrize("voice", VOICES)
@given(segments=SEGMENTS, seed=st.integers(0, 99))
def test_every_voice_has_sounds_for_every_english_phone(voice: str, segments: list[Segment], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign, "recorded", lambda voice: frozenset())
        heard = spoken(segments, voice, random.Random(seed))
    assert sum(s.seconds for s in heard) <= sum(s.seconds for s in segments) + 1e-9
    assert all(s.phone and " " not in s.phone for s in heard)


@pytest.mark.parametrize("voice", [name for name in VOICES if "-" not in name])
def test_a_diphone_voice_has_recorded_what_it_is_given_to_say(voice: str) -> None:
    if not (foreign.FESTIVAL / VOICES[voice].source).exists():
        pytest.skip(f"no festival voice {voice}")
    phones = {phone for name in recorded(voice) for phone in name.split("-")}
    odd = {p for says in VOICES[voice].says.values() for way in says.split("|") for p in way.split()} - phones
    assert odd <= {"T"} and len(recorded(voice)) > 1000  # one of the two Finnish voices has no th


def test_a_voice_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VOICES, "absent", Voice("absent.group", {}, 100.0))
    monkeypatch.setattr(foreign, "FESTIVAL", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no .*absent\.group: the Debian packages .* or foreign = 0"):
        foreign.foreign([("stop", "absent", 1.0, 100.0)])


def test_an_english_sentence_becomes_phones_with_lengths_and_stress() -> None:
    if not shutil.which("festival") or not (foreign.FESTIVAL / "english" / "kal_diphone").exists():
        pytest.skip("no festival with kal_diphone")
    first, second = prosody(["increase the volume", "louder"])
    assert "".join(s.mark + s.phone for s in first).split() == 'pau ihn"kriys dhax "vaalyuwm pau'.split()
    assert 0.5 < sum(s.seconds for s in second) < 1.5 and all(50 < s.f0 < 200 for s in first)


@pytest.mark.parametrize(("voice", "package"), [("czech_ph", "festvox-czech-ph"), ("de-DE", "libttspico-utils")])
def test_foreign_voices_speak(voice: str, package: str) -> None:
    present = shutil.which("pico2wave") if voice == "de-DE" else (foreign.FESTIVAL / VOICES[voice].source).exists()
    if not present or not shutil.which("festival") or not (foreign.FESTIVAL / "english" / "kal_diphone").exists():
        pytest.skip(f"no festvox-kallpc16k or {package}")
    f0 = VOICES[voice].f0
    slow, fast = foreign.foreign([("turn on the lights", voice, 1.4, f0), ("turn on the lights", voice, 0.9, f0)])
    assert slow is not None and fast is not None
    assert 1.0 < len(fast) / RATE < 0.85 * len(slow) / RATE < 2.5
    assert abs(slow.astype(int)).max() > 300


def test_a_foreign_voice_is_drawn_with_its_own_pitch() -> None:
    for seed in range(20):
        name, settings = engines.draw("foreign", random.Random(seed))
        assert isinstance(settings, tuple)
        spoken_as, stretch, f0 = settings
        voice, _, accent = spoken_as.partition("/")
        assert not accent or accent in engines.ESPEAK_ACCENTS
        assert voice not in foreign.AMERICAN
        assert name == f"foreign:{voice}" and 0.9 < stretch < 1.5 and 0.8 < f0 / VOICES[voice].f0 < 1.25


def test_an_american_voice_is_drawn_in_an_accent_of_espeak() -> None:
    drawn = [engines.draw("diphone", random.Random(seed)) for seed in range(40)]
    assert {name for name, _ in drawn} == {f"diphone:{voice}" for voice in foreign.AMERICAN}
    assert {settings[0] for _, settings in drawn} <= {
        in_accent(voice, accent) for voice in foreign.AMERICAN for accent in engines.ESPEAK_ACCENTS
    }


@pytest.mark.parametrize("accent", engines.ESPEAK_ACCENTS)
def test_espeak_gives_phones_with_lengths_in_every_accent(accent: str) -> None:
    if not shutil.which("espeak-ng"):
        pytest.skip("no espeak-ng")
    rng = random.Random(0)
    first = espeak_prosody("turn the third bird around", accent, rng)
    assert (first[0].phone, first[-1].phone) == ("pau", "pau")
    words = "".join(s.mark + s.phone for s in first[1:-1]).split()
    assert len(words) == 5
    assert words[0] == "tern" and words[2].endswith("d")
    assert 0.8 < sum(s.seconds for s in first) < 3.0 and min(s.seconds for s in first) >= 0.015
    assert min(s.f0 for s in first) > 60 and first[1].f0 > first[-1].f0


def test_the_english_phones_of_espeak_are_known_whatever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("espeak-ng"):
        pytest.skip("no espeak-ng")
    odd = "measure the nuclear weapons, admire some croissant beer; vision of poor theatre or car or a drawing? oh no"
    for accent in engines.ESPEAK_ACCENTS:
        assert set(RADIO) >= {s.phone for s in espeak_prosody(odd, accent, random.Random(1))} > {"zh"}
    assert espeak_prosody("high", "en-us", random.Random(1))
    monkeypatch.delitem(foreign._ESPEAK, "aI")  # one that would not be English
    assert not espeak_prosody("high", "en-us", random.Random(1))


def test_american_diphones_speak_with_espeaks_accents() -> None:
    voice = "kal_diphone"
    tools = shutil.which("espeak-ng") and shutil.which("festival")
    if not tools or not (foreign.FESTIVAL / "english" / voice).exists():
        pytest.skip("no espeak-ng or festvox-kallpc16k")
    texts = "help", "turn on the radio"
    jobs = [(text, in_accent(voice, accent), 1.0, 110.0) for text in texts for accent in ("en-us", "en")]
    said = foreign.foreign(jobs)
    assert all(pcm is not None and 0.4 < len(pcm) / RATE < 2.5 for pcm in said)
    assert not any(len(a) == len(b) and (a == b).all() for a, b in itertools.pairwise(said))
