# SPDX-License-Identifier: Apache-2.0
"""Forced alignment: where in a long recording its words are, to cut it into clips that training can take."""

from __future__ import annotations

import functools
import random

import numpy as np
import numpy.typing as npt

from pynna.model import Model, load

Pcm = npt.NDArray[np.int16]
F32 = npt.NDArray[np.float32]


@functools.lru_cache(maxsize=1)
def aligner() -> Model:
    """The network that aligns: the one that ships."""
    return load(threads=1)


def align(log_probs: F32, labels: list[int], blank: int) -> tuple[list[int], float]:
    """The best alignment of a label sequence (Viterbi over CTC's topology, Graves et al. 2006).

    Parameters
    ----------
    log_probs : float32 [n_frames, n_labels]
    labels : list of int
    blank : int

    Returns
    -------
    frames : list of int
        For each label the frame of its run where it is most probable.
    score : float
        Mean natural logarithm of the labels' probabilities there; minus infinity if there are too few frames.
    """
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    skip = np.zeros(len(states), bool)
    skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    came = np.zeros((len(log_probs), len(states)), np.int8)
    for t in range(1, len(log_probs)):
        ways = np.full((3, len(states)), -np.inf)
        ways[0], ways[1, 1:] = score, score[:-1]
        ways[2, 2:] = np.where(skip[2:], score[:-2], -np.inf)
        came[t] = ways.argmax(axis=0)
        score = ways.max(axis=0) + log_probs[t, states]
    state = len(states) - 1 - int(score[-2] > score[-1])
    if not np.isfinite(score[state]):
        return [], -np.inf
    path = np.zeros(len(log_probs), np.int64)
    for t in range(len(log_probs) - 1, -1, -1):
        path[t] = state
        state -= int(came[t, state])
    frames = []
    for i, label in enumerate(labels):
        run = np.flatnonzero(path == 2 * i + 1)
        frames.append(int(run[log_probs[run, label].argmax()]))
    return frames, float(np.mean([log_probs[t, label] for t, label in zip(frames, labels, strict=True)]))


def score(pcm: Pcm, text: str) -> float:
    """How well a text fits a recording [n_samples]: `align`'s mean log-probability of its letters."""
    model = aligner()
    return align(model.log_probs(pcm), [model.labels.index(c) for c in text], len(model.labels) - 1)[1]


def cut(
    pcm: Pcm, text: str, rng: random.Random, passes: int, longest: float = 5.5, worst: float = -2.5
) -> list[tuple[Pcm, str]]:
    """Pieces of 2 to 9 words of a long recording, cut where it is quietest between two words.

    Parameters
    ----------
    pcm : int16 [n_samples] at the aligner's rate
    text : str
    rng : random.Random
    passes : int
        How often the whole recording is cut, at other words each time.
    longest : float
        Seconds of a piece.
    worst : float
        Pieces whose labels have a lower mean log-probability are left out: the text may not be what was said.
    """
    model = aligner()
    blank = len(model.labels) - 1
    labels = [model.labels.index(c) for c in text]
    log_probs = model.log_probs(pcm)
    frames, _ = align(log_probs, labels, blank)
    if not frames:
        return []
    words = text.split(" ")
    firsts = np.cumsum([0] + [len(w) + 1 for w in words])
    step, pieces = model.geometry["step"], []
    gaps = [(frames[first - 2], frames[first]) for first in firsts[1:-1]]
    edges = [0, *(_quietest(pcm, step, *gap) for gap in gaps), len(pcm)]
    for _ in range(passes):
        first = 0
        while first < len(words):
            last = min(len(words), first + rng.randint(2, 9))
            while last > first + 1 and (edges[last] - edges[first]) > longest * model.sample_rate:
                last -= 1
            span = range(firsts[first], firsts[last] - 1)
            score = np.mean([log_probs[frames[i], labels[i]] for i in span])
            if score > worst:
                pieces.append((pcm[edges[first] : edges[last]], " ".join(words[first:last])))
            first = last
    return pieces


def _quietest(pcm: Pcm, step: int, first: int, last: int) -> int:
    """The sample where it is quietest between two frames' middles, in steps of 5 ms."""
    start, end = (first + 1) * step, max((first + 1) * step + 1, last * step + step // 2)
    hop = step // 4
    energy = [float((pcm[i : i + hop].astype(np.float32) ** 2).sum()) for i in range(start, end, hop)]
    return start + int(np.argmin(energy)) * hop + hop // 2
