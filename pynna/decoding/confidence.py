# SPDX-License-Identifier: Apache-2.0
"""How sure a grammar's search is: a calibrated probability that the sentence is what was said.

A sentence that was not said fits badly somewhere: forcing the network's output into it costs probability against the
best path without a grammar. The features are that loss in nats, spread over the whole sentence and in its worst word,
how sure the network is of the letters, how many there are, how far apart those of a word are, for what a noise hides
costs hardly anything, and how many sentences the grammar has: the more there are, the likelier one of them fits by
chance. A logistic function of these gives the probability.
The weights are fitted by ``python -m pynna.train calibrate`` on speech of training voices inside and outside of
grammars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FEATURES = (
    "loss a letter",
    "worst word's loss a letter",
    "mean log-probability of the letters",
    "letters, log",
    "sentences, log",
    "longest gap in a word, s",
)
BIAS = 8.931
WEIGHTS = (-0.756, -0.257, 3.257, 1.605, -0.664, -1.815)
DEFAULT_THRESHOLD = 0.15
"""Confidence from which a sentence is accepted; where it was heard more than once, their mean."""

GRAMMAR_PRIOR_SCALE = 0.6
"""Exponent of the labels' priors, which a grammar's search divides out, unless told otherwise."""

MAX_LOG_SIZE = math.log(1e6)
"""Beyond this a grammar's size counts no more."""

DEFAULT_NOISE_COST = 6.0
"""Nats a letter that a noise around a sentence lets through; chosen on development data."""

GrammarToken = tuple[int, int, int, float, float]
"""(label, first frame, strongest frame, log-probability there, loss in nats since the label before)"""


def features(
    tokens: Sequence[GrammarToken],
    trailing_loss: float,
    space: int,
    n_labels: int,
    size: float,
    seconds: float,
    noise_loss: float = 0.0,
) -> npt.NDArray[np.float64]:
    """`FEATURES` of a hypothesis.

    Parameters
    ----------
    tokens : sequence of GrammarToken
        Those of the filler, `n_labels` and above, count for nothing: they fit always.
    trailing_loss : float
        Nats lost after the last label.
    space : int
        The label between words, -1 for none: then no gap counts.
    n_labels : int
    size : float
        Natural logarithm of the number of the grammar's sentences; beyond a million it counts no more.
    seconds : float
        From one frame to the next.
    noise_loss : float
        Nats lost to noise around the words: they count in the whole sentence's loss, and in no word's.
    """
    words: list[list[float]] = [[]]
    sure = []
    before, gap = 0.0, 0
    last: int | None = None  # the frame of the letter before in the same word
    for label, _, frame, log_prob, loss in tokens:
        if label == space:
            words.append([])
            before += loss
        elif label < n_labels:
            words[-1].append(loss + before)
            before = 0.0
            sure.append(log_prob)
            if last is not None and space >= 0:
                gap = max(gap, frame - last)
        last = frame if label != space and label < n_labels else None
    if not sure:
        return np.array([20.0, 20.0, -20.0, 0.0, 0.0, 0.0])
    total = sum(map(sum, words)) + before + max(trailing_loss, 0.0) + noise_loss
    # a short word's loss is seen against a few letters more: one unsure letter is not a wrong word
    worst = max((sum(word) / (len(word) + 2) for word in words if word), default=0.0)
    return np.array(
        [total / len(sure), worst, float(np.mean(sure)), math.log(len(sure)), min(size, MAX_LOG_SIZE), gap * seconds]
    )


def probability(x: npt.NDArray[np.float64]) -> float:
    """The calibrated probability of a hypothesis with these features, [6]."""
    z = BIAS + float(np.dot(WEIGHTS, x))
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, z))))
