# SPDX-License-Identifier: Apache-2.0
"""What is loaded without being asked for, counted in modules: a time would depend on the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"scipy", "hassil", "unicode_rbnf", "yaml", "soundfile", "tqdm", "kenlm", "aiohttp", "google"}
"""Packages that are only for some of what pynna does."""


def loaded(*arguments: str) -> set[str]:
    """The packages in `sys.modules` when a command line of Python's ends."""
    tell = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
    done = subprocess.run(
        [sys.executable, "-c", tell + arguments[0], *arguments[1:]],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stderr.rpartition("LOADED")[2].split()}


@pytest.mark.parametrize("words", [(), ("--version",), ("--help",), ("transcribe", "--help"), ("assistant", "--help")])
def test_nothing_heavy_is_loaded_unless_it_is_needed(words: tuple[str, ...]) -> None:
    code = "from pynna.cli.main import main; main(sys.argv[1:])" if words else "import pynna"
    found = loaded(code, *words)
    assert "pynna" in found and not found & HEAVY


def test_the_default_model_listens_without_any_of_them() -> None:
    code = "import numpy, pynna; s = pynna.load().stream(); s.feed(numpy.zeros(16000, numpy.int16)); s.finish()"
    assert not loaded(code) & HEAVY


def test_what_is_needed_is_loaded() -> None:
    assert "hassil" in loaded("import pynna; pynna.Grammar")


def test_noise_and_rates_need_nothing_more() -> None:
    code = (
        "import numpy, pynna; from pynna.audio.denoise import denoise; "
        "denoise(pynna.audio.load_audio(numpy.zeros(8000, numpy.int16), 8000).pcm, 16000)"
    )
    assert not loaded(code) & HEAVY
