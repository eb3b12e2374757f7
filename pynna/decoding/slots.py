# SPDX-License-Identifier: Apache-2.0
"""What is said in a grammar's free slots, searched again by a beam search with a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pynna.decoding.confidence import GrammarToken
from pynna.decoding.results import Token

KEPT_SECONDS = 60.0
"""The filler that began earlier before the end of a stream stays as the grammar's search heard it."""


def respell(
    tokens: Sequence[GrammarToken],
    n_labels: int,
    first: int,
    rows: npt.NDArray[np.float32],
    search: Callable[[npt.NDArray[np.float32], list[int]], list[Token]],
) -> list[GrammarToken]:
    """A sentence's labels with those of the filler, `n_labels` and above, replaced.

    Parameters
    ----------
    tokens : sequence of GrammarToken
    n_labels : int
    first : int
        The number of the first of the rows.
    rows : float32 [n_frames, n_labels]
        Natural-log probabilities up to the end of the stream.
    search : callable
        Of the rows between the labels around a piece of filler, and of the labels before it; frames count from the
        first of the rows.
    """
    found: list[GrammarToken] = []
    i = 0
    while i < len(tokens):
        j = i
        while j < len(tokens) and tokens[j][0] >= n_labels:
            j += 1
        if j == i:
            found.append(tokens[i])
            i += 1
            continue
        begin = tokens[i - 1][2] + 1 if i > 0 else 0
        end = tokens[j][1] if j < len(tokens) else first + len(rows)
        before = [token[0] % n_labels for token in found]
        heard = search(rows[begin - first : end - first], before) if first <= begin < end else []
        loss = sum(token[4] for token in tokens[i:j])
        found += [
            (n_labels + label, start + begin, frame + begin, log_prob, 0.0 if k else loss)
            for k, (label, start, frame, log_prob) in enumerate(heard)
        ] or list(tokens[i:j])
        i = j
    return found
