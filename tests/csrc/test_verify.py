# SPDX-License-Identifier: Apache-2.0
"""The build that checks itself (csrc/verify.c) over the recordings that ship: no kernel differs from the reference."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pynna import _core
from pynna.audio.files import read

ROOT = Path(__file__).resolve().parents[2]
CSRC, PACKAGE = ROOT / "csrc", ROOT / "pynna"
MODEL = next((PACKAGE / "models").glob("*.nna"))
FAST = [name for name, available in _core.instruction_sets() if available and name != "ref"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pcm")
    paths = []
    for path in sorted((PACKAGE / "recordings").glob("*.flac")):
        pcm = read(path).pcm[8000:32000]
        (folder / path.stem).write_bytes(pcm.astype(np.int16).tobytes())
        paths.append(str(folder / path.stem))
    return paths


def build(built: Path, folder: Path, *macros: str) -> Path:
    """The program over a library whose kernels are checked: two files are compiled again, the rest is the library's."""
    program = folder / "verify"
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-DPYNNA_VERIFY", *macros, f"-I{CSRC}"]
    sources = [CSRC / "tests" / "verify_recordings.c", CSRC / "isa.c", CSRC / "verify.c"]
    command = ["cc", *flags, *map(str, sources), str(built / "libpynna.a"), "-lm", "-pthread", "-o", str(program)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return program


@pytest.mark.skipif(not FAST, reason="this processor has the reference alone")
def test_no_kernel_differs_over_the_recordings(built: Path, tmp_path: Path, recordings: list[str]) -> None:
    program = build(built, tmp_path)
    for isa in FAST:
        some = recordings if isa == FAST[-1] else recordings[:2]
        run = subprocess.run([str(program), str(MODEL), isa, *some], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("windows") == len(some) and ": 0 windows" not in run.stdout


@pytest.mark.skipif(not FAST, reason="this processor has the reference alone")
def test_a_difference_stops_the_program(built: Path, tmp_path: Path, recordings: list[str]) -> None:
    program = build(built, tmp_path, "-DPYNNA_VERIFY_FAULT")
    run = subprocess.run([str(program), str(MODEL), FAST[-1], recordings[0]], capture_output=True, text=True)
    assert run.returncode != 0 and f"the product of {FAST[-1]} differs from the reference" in run.stderr
