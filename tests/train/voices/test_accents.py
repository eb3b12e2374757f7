# SPDX-License-Identifier: Apache-2.0
"""Accents: rules on phones keep to the phones that the voices know, and most of a sentence as it was."""

from __future__ import annotations

import importlib.resources
import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynna.train.voices import accents
from pynna.train.voices.accents import ACCENTS, accented, espeak_accented

WORDS = ("ðə", "wˈɛðəɹ", "nˈɔɹθ", "tˈɜɹn", "vˈɑljˌum", "hˈI", "spˈik", "ʤˈʌʤ", "mˈɛʒəɹ", "ʧˈɜɹʧ", "ˈAt", "bˈɑɾəl")
MNEMONICS = ("t'3:n", "D@2", "v'0lju:m", "h'aI", "n'O@T", "dZ'VdZ", "m'EZ3r-", "tS'3:tS", "'eIt", "b'0t#@L", "DI2;")


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join), st.integers(0, 999))
def test_an_accent_keeps_the_words_and_is_always_the_same(phones: str, seed: int) -> None:
    said = accented(phones, random.Random(seed))
    assert said.count(" ") == phones.count(" ") and all(said.split(" "))
    assert said == accented(phones, random.Random(seed))


@pytest.mark.parametrize("name", ACCENTS)
def test_every_accent_changes_something_and_every_rule_of_it_can(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "stˈɑp bˈɛd ɡˈɪv hˈOm bˈQt ˌʌv ɹˈʊm tˈæŋ tˈim dˈim ɹˈuz pˈɛn ɡˈOɪŋ sˈi bˈɔl bˈɪɡ bɹˈið ɡəɹˈɑʒ kˈæb"
    sounds = " ".join([*WORDS, *more.split()])
    for pattern, instead in ACCENTS[name]:
        assert re.sub(pattern, instead, sounds) != sounds, pattern
    monkeypatch.setattr(accents, "ACCENTS", {name: ACCENTS[name]})
    assert any(accented(sounds, random.Random(seed)) != sounds for seed in range(3))


def test_the_neural_voices_know_every_phone_of_the_accents() -> None:
    pytest.importorskip("hibari")
    path = importlib.resources.files("hibari") / "assets" / "vocab.json"
    said = "".join(instead for rules in ACCENTS.values() for _, instead in rules)
    assert set(re.sub(r"\\\d", "", said)) <= set(json.loads(path.read_text(encoding="utf-8")))


def test_espeak_is_given_a_mnemonic_for_every_phone_of_the_accents() -> None:
    said = "".join(instead for rules in ACCENTS.values() for _, instead in rules)
    assert set(re.sub(r"\\\d|(?<=[eoa])ː", "", said)) <= set(accents._TO_ESPEAK)


@given(st.lists(st.sampled_from(MNEMONICS), min_size=1, max_size=8).map(" ".join))
def test_without_rules_espeaks_mnemonics_are_what_they_were(mnemonics: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accents, "ACCENTS", {"none": ()})
        assert espeak_accented(mnemonics, random.Random(0)).replace("|", "") == mnemonics.replace("@2", "@").replace(
            "r-", "r"
        )


def test_espeak_speaks_with_an_accent() -> None:
    from pynna.train.voices.espeak import espeak

    try:
        engine = espeak()
    except (OSError, RuntimeError):
        pytest.skip("espeak-ng's library is not installed")
    plain = engine("the weather in the north", "en-us", 150, 50)
    assert engine.phones("the weather in the north").replace("@2", "@").startswith("D@ w'ED3")
    spoken = engine("the weather in the north", "en-us", 150, 50, accent=random.Random(5))
    assert 0.6 * len(plain) < len(spoken) < 1.6 * len(plain)  # the sentence, not its mnemonics spelled out
    assert spoken.tobytes() != plain.tobytes()
