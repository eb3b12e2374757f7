# SPDX-License-Identifier: Apache-2.0
"""The model card tells of what it was made of, and of nothing that it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pynna.model import DEFAULT_MODEL  # noqa: E402
from pynna.train import config as configuration  # noqa: E402
from pynna.train.corpora.corpora import save_features  # noqa: E402
from pynna.train.evaluation.ablate import variant  # noqa: E402
from pynna.train.evaluation.model_card import model_card  # noqa: E402
from pynna.train.network.export import write_weights  # noqa: E402
from pynna.train.network.model import Network  # noqa: E402


@pytest.fixture
def made(tmp_path: Path) -> configuration.Config:
    config = configuration.load(None, tmp_path)
    noise = np.random.default_rng(0).integers(-3000, 3000, 16000).astype(np.int16)
    save_features(config.folder("features"), "synthetic-00000", [(noise, "open", "espeak:en")] * 3)
    save_features(config.folder("features"), "real-speech", [(noise, "one", "fsdd:jackson")] * 2)
    save_features(config.folder("features"), "test-speech", [(noise, "two", "fsdd:theo")] * 9)
    net = Network(16, torch.zeros(26), torch.ones(26))
    saved: dict[str, Any] = {
        "width": 16,
        "net": net.state_dict(),
        "ema": [p.detach() for p in net.parameters()],
        "priors": torch.full((29,), 1 / 29),
    }
    write_weights(config, saved, config.folder("export") / "weights.npz")
    return config


def test_sources_and_licences_of_what_was_heard(made: configuration.Config) -> None:
    text = model_card(made, DEFAULT_MODEL, "It heard much.")
    assert "It heard much." in text
    assert "3 synthetic clips" in text
    assert "| espeak-ng: 8 English accents, 77 voice variants | 3 | 100 % | GPL-3.0-or-later" in text
    assert "| Free Spoken Digit Dataset: six people | 2 | 100 % | CC BY-SA 4.0" in text
    assert "flite" not in text
    assert "Not evaluated yet" in text


def test_the_evaluation_is_told(made: configuration.Config) -> None:
    row = {
        "clips": "car sentences",
        "condition": "clean",
        "best sentence right": 91.25,
        "accepted rightly": 88.0,
        "character error rate, greedy": 12.0,
    }
    report = {
        "rows": [row, {**row, "condition": "10 dB", "accepted rightly": 70.0}],
        "n_car": 630,
        "n_real": 1,
        "n_phrases": 2,
        "n_outside": 3,
        "falsely": 1.5,
        "int8_float": 0.1,
    }
    made.folder("evaluation").joinpath("report.json").write_text(json.dumps(report))
    text = model_card(made, DEFAULT_MODEL, "")
    assert "| car sentences: accepted rightly, % | 88.0 | 70.0 |" in text
    assert "1.5 %" in text


def test_a_source_of_unknown_licence_is_refused(made: configuration.Config) -> None:
    save_features(made.folder("features"), "real-mine", [(np.ones(16000, np.int16), "one", "mine:me")])
    with pytest.raises(ValueError, match=r"sources.toml tells nothing of mine"):
        model_card(made, DEFAULT_MODEL, "")


def test_a_short_training_without_an_augmentation_shares_the_features(made: configuration.Config) -> None:
    without = variant(made, ["noise"], 2.0)
    assert without["fit"]["without"] == ["noise"]
    assert without["fit"]["minutes"] == without["fit"]["cuda"]["minutes"] == 2.0
    assert without["fit"]["cuda"]["without"] == ["noise"] and without["fit"]["cuda"]["batch_frames"] > 4000
    assert "without" not in made["fit"]
    assert (without.folder("features") / "real-speech.json").exists()
    assert without.folder("checkpoints") != made.folder("checkpoints")
