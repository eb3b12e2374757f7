# SPDX-License-Identifier: Apache-2.0
"""Text of the training: normalisation, numbers, templates."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from pynna.train.config import DATA
from pynna.train.text.sampler import FUNCTION_SLOTS, Grammar, Sampler, normalise, number_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Increase the VOLUME!", "increase the volume"),
        ("Set it to 21.5 degrees", "set it to twenty one point five degrees"),
        ("O'Brien's café & bar", "o'brien's cafe and bar"),
        ("50% of 1,200", "fifty percent of one thousand two hundred"),
        ("'quoted' — dash", "quoted dash"),
        ("don’t", "don't"),
        ("ON THE 3RD, AT $5", "on the third at five dollars"),
        ("", ""),
    ],
)
def test_normalise_gives_the_networks_alphabet(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety nine"), (100, "one hundred"),
     (1001, "one thousand one"), (2_000_015, "two million fifteen")],
)  # fmt: skip
def test_number_words(n: int, words: str) -> None:
    assert number_words(n) == words


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(DATA / "car.txt", DATA / "slots.txt")


def test_every_template_expands_within_the_alphabet(grammar: Grammar) -> None:
    rng = random.Random(1)
    for template in grammar.templates:
        for _ in range(5):
            assert re.fullmatch(r"[a-z']+( [a-z']+)*", grammar.expand(template, rng)), template


def test_every_slot_is_known(grammar: Grammar) -> None:
    texts = [*grammar.templates, *(a for alternatives in grammar.slots.values() for a in alternatives)]
    for text in texts:
        for slot in re.findall(r"\{(\w+)\}", text):
            assert slot in grammar.slots or slot in FUNCTION_SLOTS, text


def test_sampling_repeats_for_the_same_seed() -> None:
    sampler = Sampler({"car_share": 1.0, "request_share": 0.0, "wordnet": "/nonexistent"})
    first, second = ([sampler.sample(random.Random(7)) for _ in range(3)] for _ in range(2))
    assert first == second


def test_names_of_things_are_nouns_for_what_can_be_touched(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(
        "  1 the licence's lines begin with spaces\n"
        '00000001 06 n 02 hammer 0 mallet 0 000 | a tool with a heavy hammer\'s head; "he lifted the hammer"\n'
        '00000002 20 n 01 palm_tree 0 000 | a tree of the palm kind; "the hammer lay under the palm tree"\n'
        '00000003 07 n 01 weight 0 000 | the weight of a tree in a scale; "the weight of a tree"\n'
    )
    sampler = Sampler({"car_share": 0.0, "request_share": 0.0, "things_share": 1.0, "wordnet": str(tmp_path)})
    rng = random.Random(1)
    said = {sampler.sample(rng) for _ in range(200)}
    # a mallet is in no example, and what weight is cannot be touched
    assert said == {"hammer", "palm tree", "the hammer", "the palm tree", "hammer and hammer", "palm tree and hammer"}
