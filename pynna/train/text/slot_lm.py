# SPDX-License-Identifier: Apache-2.0
"""The language model of free slots: bigrams of the sentences that are trained on, and of WordNet's phrases."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections import Counter
from pathlib import Path

from pynna.decoding.ngram import write_arpa
from pynna.train.config import Config
from pynna.train.text.sampler import Sampler


def sentences(config: Config) -> list[str]:
    """As many of the car's, of requests and of WordNet as the configuration says, of its most frequent words alone."""
    settings, rng = config["words"], random.Random(config["seed"])
    sampler = Sampler(config["text"])
    found = [sampler.car.sample(rng) for _ in range(settings["car"])]
    found += [sampler.requests.sample(rng) for _ in range(settings["requests"])]
    found += sampler.broad.phrases
    counts = Counter(word for text in found for word in text.split())
    frequent = {word for word, _ in counts.most_common(settings["vocabulary"])}
    return [text for text in found if frequent.issuperset(text.split())]


def make(config: Config, output: Path) -> int:
    """Write the model, an ARPA file, gzipped; returns the number of its n-grams."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "words.arpa")
        n = write_arpa(sentences(config), path, 2, config["words"]["least"])
        output.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    return n
