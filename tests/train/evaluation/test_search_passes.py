# SPDX-License-Identifier: Apache-2.0
"""Passes of rescoring: what is tried votes as it does in use, and the best of it is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynna
from pynna.streaming.rescoring import PERTURBATIONS, rescore_audio
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.scores import Judge
from pynna.train.evaluation.search_passes import FALSE_ACCEPTANCE_WEIGHT, Heard, Part, best_sets, hear, ordered, worth

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RATE = 16000
FEW = PERTURBATIONS[:4]


@pytest.fixture(scope="module")
def judge(car: Any) -> Judge:
    return Judge(car)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """The recorded commands in noise, some of them too loud to be understood."""
    made = []
    for i, path in enumerate(sorted(RECORDINGS.glob("*.flac"))):
        pcm = pynna.audio.load_audio(path, sample_rate=RATE).pcm
        noisy = pcm + np.random.default_rng(i).normal(0, (100, 2000, 6000)[i % 3], len(pcm))
        made.append(Clip("noise", path.stem.replace("_", " "), np.asarray(np.clip(noisy, -32768, 32767), np.int16)))
    return made


@pytest.fixture(scope="module")
def heard(model: Any, clips: list[Clip], judge: Judge) -> list[Heard]:
    return hear(model, clips, judge, PERTURBATIONS)


def test_sets_vote_as_in_use(model: Any, car: Any, clips: list[Clip], heard: list[Heard]) -> None:
    doubted = [one for one in heard if one.others]
    assert 3 <= len(doubted) < len(heard)
    for clip, one in zip(clips, heard, strict=True):
        for n in (1, 3, len(PERTURBATIONS)):
            options = model.decoder_options(grammar=car, passes=n + 1)
            first = model.transcribe(clip.pcm, grammar=car, passes=1)
            used = rescore_audio(model, clip.pcm, first, options)  # of a whole recording, before it is cut
            assert one.vote_by_meaning(PERTURBATIONS[:n]).as_dict() == used.as_dict()


def test_shares_are_of_all_recordings(heard: list[Heard], judge: Judge) -> None:
    right, accepted = Part("noise", judge, heard).shares(FEW)
    assert 0 < accepted <= right <= 100
    verdicts = [judge.verdict(one.clip, one.vote_by_meaning(FEW), "") for one in heard]
    assert right == pytest.approx(100 * sum(v.right for v in verdicts) / len(heard))
    strangers = [Heard(Clip("noise", "what a lovely day", one.clip.pcm), one.first, one.others) for one in heard]
    nothing_right, false = Part("outside", judge, strangers, inside=False).shares(FEW)
    assert nothing_right == 0 and false >= accepted
    parts = [Part("noise", judge, heard), Part("outside", judge, strangers, inside=False)]
    assert worth(parts, FEW) == pytest.approx((right + accepted) / 2 - FALSE_ACCEPTANCE_WEIGHT * false)


def test_the_best_set_is_first_and_its_best_manner(heard: list[Heard], judge: Judge) -> None:
    parts = [Part("noise", judge, heard)]
    tried = best_sets(parts, 2, FEW)
    assert len(tried) == 6 and len({passes for _, passes in tried}) == 6
    assert [value for value, _ in tried] == sorted((worth(parts, m) for _, m in tried), reverse=True)
    order = ordered(parts, FEW)
    assert sorted(order) == sorted(FEW)
    assert worth(parts, order[:1]) == max(worth(parts, [each]) for each in FEW)
