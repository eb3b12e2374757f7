# SPDX-License-Identifier: Apache-2.0
"""Forced alignment: against all alignments, and cutting recordings whose words are known."""

from __future__ import annotations

import itertools
import random
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pynna
from pynna.train.corpora.align import align, cut

RECORDINGS = Path(pynna.__file__).parent / "recordings"
BLANK = 2


def random_frames(n: int, seed: int) -> npt.NDArray[Any]:
    z = np.random.default_rng(seed).normal(0, 2, (n, 3))
    return (z - np.log(np.exp(z).sum(1, keepdims=True))).astype(np.float32)


@given(st.integers(1, 6), st.lists(st.integers(0, 1), min_size=1, max_size=4), st.integers(0, 1000))
def test_the_best_of_all_alignments(n: int, labels: list[int], seed: int) -> None:
    rows = random_frames(n, seed)
    best, score = None, -np.inf
    for path in itertools.product(range(3), repeat=n):
        runs = [(k, [t for t, _ in run]) for k, run in itertools.groupby(enumerate(path), lambda item: item[1])]
        total = sum(rows[t, k] for t, k in enumerate(path))
        if [k for k, _ in runs if k != BLANK] == labels and total > score:
            best, score = [max(run, key=lambda t: rows[t, k]) for k, run in runs if k != BLANK], total
    frames, mean = align(rows, labels, BLANK)
    assert frames == (best or [])
    assert mean == pytest.approx(np.mean([rows[t, k] for t, k in zip(best, labels, strict=True)]) if best else -np.inf)


def test_pieces_say_what_their_texts_say() -> None:
    names = ("increase_the_volume", "call_home", "open_the_window")
    parts = [pynna.audio.load_audio(RECORDINGS / f"{name}.flac", sample_rate=16000).pcm for name in names]
    whole, text = np.concatenate(parts), " ".join(names).replace("_", " ")
    pieces = cut(whole, text, random.Random(1), passes=6)
    assert len(pieces) > 6
    assert {word for _, piece in pieces for word in piece.split()} == set(text.split())
    model = pynna.load()
    like = [SequenceMatcher(None, model.transcribe(pcm).text, piece).ratio() for pcm, piece in pieces]
    assert np.mean(like) > 0.85
    assert cut(whole[:1600], text, random.Random(1), passes=1) == []
