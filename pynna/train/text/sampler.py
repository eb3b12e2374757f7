# SPDX-License-Identifier: Apache-2.0
"""Sentences to speak: a car assistant's, from templates, and broad English; and text normalisation.

All text that the trainer sees consists of a-z, the apostrophe and single spaces.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pynna.grammar import numbers
from pynna.grammar.normalise import normalise as as_said
from pynna.train.config import DATA

DIGITS = "zero one two three four five six seven eight nine".split()
FIRST_NAMES = (
    "john mary peter anna david sarah michael laura james emma robert linda thomas julia daniel lisa mark susan paul "
    "karen george nancy andrew betty steven helen kevin sandra brian donna edward carol ronald ruth anthony sharon "
    "jason michelle matthew kimberly gary emily timothy jessica joseph amanda larry melissa jeffrey stephanie frank "
    "rebecca scott kathleen eric amy stephen angela jacob anne oliver sophie harry grace jack chloe charlie lucy "
    "william hannah henry alice samuel eva martin claire simon maria max nina felix lena oscar olivia leo mia adam "
    "zoe ben kate tom jane sam rose alex victoria joe ella nick amelia luke isabel ryan hugo ian fiona sean"
).split()
UNITS_OF_SPEED = ("", " miles per hour", " miles", " kilometers per hour")
SURNAMES = (
    "smith johnson williams brown jones miller davis wilson anderson taylor thomas moore jackson martin lee thompson "
    "white harris clark lewis robinson walker young allen king wright scott hill green adams baker nelson carter "
    "mitchell roberts turner phillips campbell parker evans edwards collins stewart morris rogers reed cook morgan "
    "bell murphy bailey cooper richardson cox howard ward peterson gray james watson brooks kelly sanders price "
    "bennett wood barnes ross henderson coleman jenkins perry powell long patterson hughes washington butler simmons "
    "foster bryant alexander russell griffin hayes hamilton graham sullivan wallace west cole"
).split()


def normalise(text: str) -> str:
    """Text in the network's alphabet, as a grammar has it said: lower case a-z, apostrophe, single spaces.

    >>> normalise("Turn to 21.5 degrees, O'Brien & co!")
    "turn to twenty one point five degrees o'brien and co"
    """
    text = as_said(text.lower() if text.isupper() else text)  # of capitals alone nothing is an abbreviation
    text = re.sub(r"[^a-z' ]+", " ", text)
    return " ".join(re.sub(r"(?<![a-z])'+|'+(?![a-z])", " ", text).split())


@functools.lru_cache(maxsize=4096)
def number_words(n: int) -> str:
    """A number in words, without "and".

    >>> number_words(2415)
    'two thousand four hundred fifteen'
    """
    return numbers.number_words(n)[0]


def _digits(rng: random.Random) -> str:
    return " ".join(rng.choice(DIGITS) for _ in range(rng.randint(3, 8)))


def _name(rng: random.Random) -> str:
    first, last = rng.choice(FIRST_NAMES), rng.choice(SURNAMES)
    titled = f"{rng.choice(('mister', 'doctor', 'miss'))} {last}"
    return rng.choice((first, f"{first} {last}", f"{first} {last}", titled))


def _clock(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice((0, 0, 5, 10, 15, 20, 25, 30, 30, 35, 40, 45, 45, 50, 55))
    half = rng.choice(("", "", " a m", " p m", " in the morning", " tonight"))
    if minute == 0:
        return number_words(hour) + (half or rng.choice(("", " o'clock")))
    form = {15: f"quarter past {number_words(hour)}", 30: f"half past {number_words(hour)}"}
    if minute in form and rng.random() < 0.4:
        return form[minute]
    return f"{number_words(hour)} {'oh ' if minute < 10 else ''}{number_words(minute)}{half}"


def _temperature(rng: random.Random) -> str:
    n = rng.choice((rng.randint(15, 30), rng.randint(15, 30), rng.randint(58, 85)))
    return number_words(n) + (rng.choice((" point five", " and a half")) if rng.random() < 0.08 else "")


def _number(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: number_words(rng.randint(low, high))


FUNCTION_SLOTS: dict[str, Callable[[random.Random], str]] = {
    "number3": _number(1, 3), "number5": _number(1, 5), "number9": _number(1, 9), "number20": _number(0, 20),
    "number60": _number(1, 60), "number100": _number(0, 100), "number108": _number(88, 107),
    "digit": _number(0, 9), "digits": _digits, "name": _name, "clock": _clock, "temperature": _temperature,
    "surname": lambda rng: rng.choice(SURNAMES),
    "ordinal": lambda rng: numbers.ordinal_words(rng.randint(1, 31))[0],
    "house": lambda rng: number_words(rng.choice((rng.randint(1, 99), rng.randint(100, 999)))),
    "speed": lambda rng: number_words(5 * rng.randint(3, 26)) + rng.choice(UNITS_OF_SPEED),
}  # fmt: skip


class Grammar:
    """Weighted sentence templates with alternatives, options and slots (see ``data/car.txt``).

    Parameters
    ----------
    templates, slots : Path
        Files of sentence templates and of slots' fillers.
    words : dict of str to list of str
        More slots.
    """

    def __init__(self, templates: Path, slots: Path, words: dict[str, list[str]] | None = None) -> None:
        self.slots = dict(words or {})
        for line in _lines(slots):
            name, _, alternatives = line.partition(" = ")
            self.slots[name] = alternatives.split("|")
        self.templates: list[str] = []
        self.weights: list[float] = []
        for line in _lines(templates):
            match = re.match(r"(\d+):\s*(.*)", line)
            self.weights.append(float(match.group(1)) if match else 1.0)
            self.templates.append(match.group(2) if match else line)

    def sample(self, rng: random.Random) -> str:
        """One sentence."""
        return self.expand(rng.choices(self.templates, self.weights)[0], rng)

    def expand(self, template: str, rng: random.Random) -> str:
        """One sentence of a template."""
        while match := re.search(r"\(([^()\[\]{}]*)\)|\[([^()\[\]{}]*)\]|\{(\w+)\}", template):
            choices, optional, slot = match.groups()
            if slot is not None:
                filler = FUNCTION_SLOTS[slot](rng) if slot in FUNCTION_SLOTS else rng.choice(self.slots[slot])
            elif choices is not None:
                filler = rng.choice(choices.split("|"))
            else:
                filler = rng.choice(optional.split("|")) if rng.random() < 0.5 else ""
            template = template[: match.start()] + filler + template[match.end() :]
        return normalise(template)


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


FREQUENT_WORDS, ANY_WORDS = (1, 1, 1, 2, 2, 3, 4, 5), (1, 1, 1, 1, 2, 3)
"""Lengths of random phrases: people's commands are often a single word, which no other one helps to hear."""
LETTERS = (1, 1, 2, 3, 4, 5)
"""Lengths of spelled letters."""
THINGS = {"05", "06", "08", "13", "17", "20"}
"""WordNet's files of nouns for animals, artefacts, parts of the body, food, natural objects and plants."""


class BroadEnglish:
    """Short phrases of general English: WordNet's quoted examples, frequent words, numbers, names, letters."""

    def __init__(self, wordnet: Path) -> None:
        self.phrases, self.words, self.counts = _wordnet(wordnet)

    def sample(self, rng: random.Random) -> str:
        """One phrase of one of the kinds."""
        kind = rng.random()
        if kind < 0.34:
            return _cut(rng.choice(self.phrases), rng, 9)
        if kind < 0.62:
            return " ".join(rng.choices(self.words, self.counts, k=rng.choice(FREQUENT_WORDS)))
        if kind < 0.76:
            return " ".join(rng.choices(self.words, k=rng.choice(ANY_WORDS)))
        if kind < 0.85:
            return number_words(rng.choice((rng.randint(0, 99), rng.randint(0, 999), rng.randint(0, 99999))))
        if kind < 0.90:
            return _digits(rng)
        if kind < 0.96:
            return " ".join(_name(rng) for _ in range(rng.randint(1, 2)))
        return " ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.choice(LETTERS)))


def _cut(phrase: str, rng: random.Random, longest: int) -> str:
    words = phrase.split()
    length = rng.randint(3, longest)
    start = rng.randint(0, max(0, len(words) - length))
    return " ".join(words[start : start + length])


@functools.lru_cache(maxsize=2)
def _wordnet(folder: Path) -> tuple[list[str], list[str], list[float]]:
    """Example phrases, words, and each word's count in the examples."""
    phrases: list[str] = []
    counts: dict[str, float] = {}
    for part in ("noun", "verb", "adj", "adv"):
        path = folder / f"data.{part}"
        if not path.exists():
            continue
        for line in path.read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            gloss = line.partition(" | ")[2]
            examples = re.findall(r'"([^"]+)"', gloss)
            for example in [*examples, re.split(r'[;"(]', gloss)[0]]:
                text = normalise(example)
                if 2 < len(text.split()) < 40:
                    phrases.append(text)
                    for word in text.split():
                        counts[word] = counts.get(word, 0) + 1
    words = [w for w, n in sorted(counts.items()) if n > 1 and (len(w) > 1 or w in "ai")]
    return phrases, words, [counts[w] ** 0.75 for w in words]


@functools.lru_cache(maxsize=2)
def _dictionary(folder: Path) -> dict[str, list[str]]:
    """WordNet's single words that occur in its tagged texts, as slots: noun, nouns, adjective, verb."""
    words: dict[str, list[str]] = {}
    for slot, part in (("noun", "noun"), ("verb", "verb"), ("adjective", "adj")):
        words[slot] = []
        if not (folder / f"index.{part}").exists():
            continue
        for line in (folder / f"index.{part}").read_text(encoding="latin-1").splitlines():
            fields = line.split()
            lemma = fields[0] if not line.startswith("  ") else ""
            n_pointers = int(fields[3]) if lemma else 0
            if re.fullmatch("[a-z]{2,12}", lemma) and int(fields[5 + n_pointers]) > 0:
                words[slot].append(lemma)
    plural = {"s": "es", "x": "es", "h": "es", "y": "ies"}
    words["nouns"] = [(w[:-1] if w[-1] == "y" else w) + plural.get(w[-1], "s") for w in words["noun"]]
    return words


@functools.lru_cache(maxsize=2)
def _things(folder: Path) -> tuple[list[str], list[str]]:
    """WordNet's nouns of one word, and of two, for what can be seen and touched, of words that its examples hold."""
    _, words, _ = _wordnet(folder)
    known: set[str] = set(words)
    things: set[str] = set()
    path = folder / "data.noun"
    for line in path.read_text(encoding="latin-1").splitlines() if path.exists() else []:
        fields = line.split()
        if line.startswith("  ") or fields[1] not in THINGS:
            continue
        for lemma in fields[4 : 4 + 2 * int(fields[3], 16) : 2]:
            parts = lemma.split("_")
            if len(parts) <= 2 and known.issuperset(parts):
                things.add(" ".join(parts))
    names = sorted(things)
    return [name for name in names if " " not in name], [name for name in names if " " in name]


def _thing(things: tuple[Sequence[str], Sequence[str]], rng: random.Random) -> str:
    """What people call a thing: mostly a bare noun."""
    single, double = things
    name = rng.choice(single if rng.random() < 0.6 or not double else double)
    kind = rng.random()
    if kind < 0.75:
        return name
    return f"the {name}" if kind < 0.9 else f"{name} and {rng.choice(single)}"


class Sampler:
    """Sentences of the whole mix, one stream for each seed: the car's, requests of any domain, names of things, broad
    English."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        wordnet = Path(settings["wordnet"])
        self.car = Grammar(DATA / "car.txt", DATA / "slots.txt")
        self.requests = Grammar(DATA / "requests.txt", DATA / "slots.txt", _dictionary(wordnet))
        self.broad = BroadEnglish(wordnet)
        self.things = _things(wordnet)
        self.shares = settings["car_share"], settings["request_share"], settings.get("things_share", 0.0)

    def sample(self, rng: random.Random, longest: int = 75) -> str:
        """One sentence of at most `longest` characters."""
        car, requests, things = self.shares
        while True:
            draw = rng.random()
            if self.things[0] and car + requests <= draw < car + requests + things:
                text = _thing(self.things, rng)
            else:
                source = self.car if draw < car else self.requests if draw < car + requests else self.broad
                text = source.sample(rng)
            if 0 < len(text) <= longest:
                return text
