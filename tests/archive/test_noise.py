# SPDX-License-Identifier: Apache-2.0
"""Recordings without a quiet pause: they are cut between words all the same, wherever the length of a part ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import pynna
from pynna.archive import recogniser
from pynna.archive.cutting import Cutter
from pynna.archive.seams import end_window, start_window
from pynna.distance import edit_distance

RECORDINGS = Path(pynna.__file__).parent / "recordings"
RATE, LEVEL, NOISE_DB = 16000, 1500.0, 10.0
HARD = ("call_home", "navigate_home", "lock_the_doors")
"""Not understood in that noise by themselves either."""


def sentences() -> dict[str, str]:
    """Name to text, of those that are understood in the noise by themselves."""
    lines = (RECORDINGS / "manifest.tsv").read_text("utf-8").splitlines()[1:]
    found = {name: text for name, _, text in (line.split("\t") for line in lines) if "/" not in name}
    return {name: text for name, text in sorted(found.items()) if not name.startswith(HARD)}


def noisy(path: Path, seed: int) -> str:
    """Writes all sentences in some order, white noise of 10 dB over all of it; gives their texts."""
    rng, texts = np.random.default_rng(seed), sentences()
    order = [str(name) for name in rng.permutation(list(texts))]
    parts = [np.zeros(RATE // 2)]
    for name in order:
        speech = pynna.audio.read(RECORDINGS / name).pcm.astype(float)
        parts += [speech * LEVEL / speech.std(), np.zeros(int(rng.uniform(0.5, 1) * RATE))]
    speech = np.concatenate(parts)
    pcm = speech + rng.normal(0, LEVEL / 10 ** (NOISE_DB / 20), len(speech))
    soundfile.write(path, pcm.clip(-32768, 32767).astype(np.int16), RATE)
    return " ".join(texts[name] for name in order)


def words_wrong(model: pynna.Model, path: Path, text: str, longest: float) -> int:
    """Of the sentences' 34 words, where no part is longer than so many seconds."""
    (found,) = pynna.transcribe_files([path], model, rules=pynna.EndpointRules(max_utterance=longest))
    assert all(a["end"] <= b["start"] for a, b in zip(found.segments, found.segments[1:], strict=False))
    return edit_distance(found.text.split(), text.split())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("longest", [3.0, 5.0])
def test_no_word_is_cut_in_noise(model: pynna.Model, tmp_path: Path, seed: int, longest: float) -> None:
    text = noisy(tmp_path / "noisy.wav", seed)
    assert words_wrong(model, tmp_path / "noisy.wav", text, longest) <= 2  # the noise hides one or two, cut or not


def test_a_cut_at_the_proposal_itself_would_be_seen(
    model: pynna.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = noisy(tmp_path / "noisy.wav", 0)
    monkeypatch.setattr(recogniser, "seam", lambda *_: 0)
    assert words_wrong(model, tmp_path / "noisy.wav", text, 3.0) > 2


def test_seams_do_not_depend_on_who_finds_them(model: pynna.Model, tmp_path: Path) -> None:
    noisy(tmp_path / "noisy.wav", 0)
    rules = pynna.EndpointRules(max_utterance=3.0)
    alone, shared = (
        next(pynna.transcribe_files([tmp_path / "noisy.wav"], model, rules=rules, jobs=jobs)) for jobs in (1, 3)
    )
    assert shared == alone


def test_both_sides_of_a_proposal_look_at_the_same_samples() -> None:
    pcm = np.random.default_rng(3).normal(0, 900, 70 * RATE).astype(np.int16)
    cutter = Cutter(pynna.EndpointRules(max_utterance=4.0), 320, RATE)
    parts = list(cutter.cut(pcm[at : at + 5000] for at in range(0, len(pcm), 5000)))
    assert np.array_equal(np.concatenate([part.pcm for part in parts]), pcm) and len(parts) > 17
    for before, behind in zip(parts, parts[1:], strict=False):
        ends, begins = end_window(before, cutter, 320), start_window(behind, cutter, 320)
        assert before.proposed_end and behind.proposed_start
        assert ends.proposal == begins.proposal and np.array_equal(ends.pcm, begins.pcm)
