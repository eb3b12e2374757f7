# SPDX-License-Identifier: Apache-2.0
"""The small model that ships: what it is for."""

from __future__ import annotations

from pathlib import Path

import pynna

COMMANDS = Path(__file__).parents[1] / "csrc" / "firmware" / "commands.txt"
RECORDINGS = Path(pynna.__file__).parent / "recordings"


def test_the_small_model_hears_commands_of_its_size() -> None:
    model = pynna.load("pynna-en-micro")
    assert model.path.stat().st_size <= 1_000_000 and model.geometry["n_cell"] == 272
    grammar = pynna.Grammar.from_sentences(COMMANDS.read_text(encoding="utf-8").splitlines())
    heard = {}
    for path in sorted(RECORDINGS.glob("*.flac")):
        said = path.stem.replace("_", " ")
        if grammar.parse(said) is not None:
            result = model.transcribe(path, grammar=grammar)
            heard[said] = result.text if result.accepted else None
    assert len(heard) >= 10
    assert {said for said, text in heard.items() if text != said} == set()


def test_models_that_ship_are_loaded_by_their_names() -> None:
    assert pynna.load("pynna-en-car").path == pynna.load().path
