# SPDX-License-Identifier: Apache-2.0
"""A mapped model back in float says what the mapped one says."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.mapping import map_model
from pynna.mapping.dequantise import dequantise
from pynna.mapping.front_end import windows
from pynna.model import DEFAULT_MODEL

RECORDINGS = Path(pynna.__file__).parent / "recordings"


def test_it_hears_the_same() -> None:
    weights, model = dequantise(DEFAULT_MODEL), pynna.load()
    car = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
    assert (*weights.alphabet, model.labels[-1]) == model.labels
    assert weights.label_priors == pytest.approx(model.label_priors)
    heard = []
    recordings = sorted(RECORDINGS.glob("*.flac"))
    for recording in recordings:
        pcm = pynna.audio.load_audio(recording, sample_rate=16000).pcm
        log_probs = weights.network().run(windows(pcm, weights.features))
        greedy = pynna.Decoder(model.labels, options=pynna.DecoderOptions(beam_width=0))
        greedy.feed(log_probs)
        heard.append(greedy.finish().text)
        meant = pynna.Decoder(model.labels, label_priors=model.label_priors, options=pynna.DecoderOptions(grammar=car))
        meant.feed(log_probs)
        assert meant.finish().text == recording.stem.replace("_", " ")
    mapped = [model.transcribe(recording, beam_width=0, passes=1).text for recording in recordings]
    for name in ("increase the volume", "navigate home"):
        assert name in heard
    assert SequenceMatcher(None, " ".join(heard), " ".join(mapped)).ratio() > 0.97  # rounding may cost a letter of 40


def test_mapped_again_it_is_nearly_the_same_file(tmp_path: Path) -> None:
    again = tmp_path / "again.nna"
    map_model(dequantise(DEFAULT_MODEL), again, report=False)
    old, new = dequantise(DEFAULT_MODEL), dequantise(again)
    for name, array in old.arrays.items():
        if not name.endswith("bias"):
            step = np.abs(array).max() / 127
            assert np.abs(new.arrays[name] - array).max() < 4 * step, name
    assert pynna.load(again).transcribe(RECORDINGS / "increase_the_volume.flac").text == "increase the volume"
