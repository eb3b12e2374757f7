"""A mapped model back in float says what the mapped one says."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.mapping import map_model
from pynna.mapping.dequantise import dequantise
from pynna.model import DEFAULT_MODEL
from pynna.reference import windows

RECORDINGS = Path(pynna.__file__).parent / "recordings"


def test_it_hears_the_same() -> None:
    weights, model = dequantise(DEFAULT_MODEL), pynna.load()
    assert (*weights.alphabet, model.labels[-1]) == model.labels
    assert weights.label_priors == pytest.approx(model.label_priors)
    names = ("increase_the_volume", "call_home", "open_the_window", "play_some_music", "what_time_is_it")
    heard = []
    for name in names:
        pcm = pynna.audio.load_audio(RECORDINGS / f"{name}.flac", target_rate=16000).pcm
        log_probs = weights.network().run(windows(pcm, weights.features))
        decoder = pynna.Decoder(model.labels, options=pynna.DecoderOptions(beam_width=0))
        decoder.feed(log_probs)
        heard.append(decoder.finish().text)
    said = " ".join(names).replace("_", " ")
    assert SequenceMatcher(None, " ".join(heard), said).ratio() > 0.97  # rounding may cost a letter of the 77


def test_mapped_again_it_is_nearly_the_same_file(tmp_path: Path) -> None:
    again = tmp_path / "again.nna"
    map_model(dequantise(DEFAULT_MODEL), again, report=False)
    old, new = dequantise(DEFAULT_MODEL), dequantise(again)
    for name, array in old.arrays.items():
        if not name.endswith("bias"):
            step = np.abs(array).max() / 127
            assert np.abs(new.arrays[name] - array).max() < 4 * step, name
    assert pynna.load(again).transcribe(RECORDINGS / "call_home.flac").text == "call home"
