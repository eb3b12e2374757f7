# SPDX-License-Identifier: Apache-2.0
"""Where a part of a recording ends in noise: between two words, by the network's own output around a proposal.

What is looked at depends on the recording and the proposal alone: whoever recognises the part before it and the one
behind it finds the same seam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pynna.archive.cutting import Cutter, Part
from pynna.audio.pcm import Pcm
from pynna.network import Network

F32 = npt.NDArray[np.float32]

LETTER, SPACE, SPEECH = 0.2, 0.5, 0.5
"""Probabilities: below, a frame may be between two letters; from which on there is a space; below, nobody speaks."""

WIDE = 0.4
"""Seconds without a letter that are no word's."""


class Window(NamedTuple):
    """Samples around a proposal, which is at frame `proposal` of them."""

    pcm: Pcm
    proposal: int


class Stretch(NamedTuple):
    """What the network is given of a part: samples from frame `first` of the recording on. The part's own frames are
    those from `lead` to before `stop`; to the end, if that is None."""

    first: int
    pcm: Pcm
    lead: int = 0
    stop: int | None = None


def start_window(part: Part, cutter: Cutter, step: int) -> Window:
    """What is around a part's beginning."""
    pcm = np.concatenate([part.before, part.pcm, part.after])[: len(part.before) + (cutter.search + cutter.tail) * step]
    return Window(pcm, len(part.before) // step)


def end_window(part: Part, cutter: Cutter, step: int) -> Window:
    """What is around a part's end."""
    before = np.concatenate([part.before, part.pcm])[-(cutter.search + cutter.lead) * step :]
    return Window(np.concatenate([before, part.after]), len(before) // step)


def seam(network: Network, rows: F32, speech: F32 | None, proposal: int, search: int) -> int:
    """The frame between two words that is nearest to being one for sure, as an offset from the proposal.

    Parameters
    ----------
    network : Network
    rows : float32 [n_frames, n_labels]
        Log-probabilities of a window.
    speech : float32 [n_frames], optional
    proposal, search : int
        Its frame; how many frames before and behind it are looked at.
    """
    blank = len(network.labels) - 1
    probs = np.exp(rows)
    spaces = probs[:, [i for i, text in enumerate(network.labels) if text == " "]].sum(axis=1)
    between = 1.0 - probs[:, blank] - spaces < LETTER
    wide = round(WIDE / network.seconds_per_step)
    low, high = max(0, proposal - search), min(len(rows), proposal + search)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], between, [False]]).astype(np.int8)))
    best, best_score = proposal, (False, 0)
    for start, stop in edges.reshape(-1, 2).tolist():
        start, stop = max(start, low - wide), min(stop, high + wide)
        if (middle := (start + stop) // 2) not in range(low, high):
            continue
        is_pause = stop - start >= wide or bool(spaces[start:stop].max(initial=0.0) >= SPACE)
        is_pause = is_pause or (speech is not None and bool(speech[start:stop].min(initial=1.0) < SPEECH))
        best, best_score = max((best, best_score), (middle, (is_pause, stop - start)), key=lambda at: at[1])
    return best - proposal


def stretch(part: Part, cutter: Cutter, step: int, start: int, end: int) -> Stretch:
    """What the network is given of a part whose seams are `start` and `end` frames from its proposals.

    Where it begins or ends at a seam the network hears what is around it too.
    """
    n_before, n_frames = len(part.before) // step, len(part.pcm) // step
    pcm = np.concatenate([part.before, part.pcm, part.after])
    first = n_before + start
    lead = min(cutter.lead, first) if part.proposed_start else 0
    if not part.proposed_end:
        return Stretch(
            part.first_frame + start - lead, pcm[(first - lead) * step : (n_before * step) + len(part.pcm)], lead
        )
    stop = n_before + n_frames + end
    pcm = pcm[(first - lead) * step : (stop + cutter.tail) * step]
    return Stretch(part.first_frame + start - lead, pcm, lead, stop - first + lead)
