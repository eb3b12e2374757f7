# SPDX-License-Identifier: Apache-2.0
"""The C core's fuzz targets over their kept inputs and pseudo-random ones; `make -C csrc fuzz` looks for more."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
CSRC = FUZZ.parents[1] / "csrc"
SCORER = ("kenlm", "scorer", "search", "search_words", "search_results")  # what the target needs of csrc/deepspeech
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_are_survived(target: str, built: Path, tmp_path: Path) -> None:
    program = tmp_path / target
    sources = [FUZZ / "replay.c", FUZZ / f"fuzz_{target}.c"]
    if target == "scorer":
        sources += [path for path in sorted((CSRC / "deepspeech").glob("*.c")) if path.stem in SCORER]
    options = ["-std=c11", "-O1", "-g", "-ffp-contract=off", f"-I{CSRC}"]
    command = ["cc", *options, *map(str, sources), str(built / "libpynna.a")]
    made = subprocess.run([*command, "-lm", "-pthread", "-o", str(program)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    inputs = sorted((FUZZ / "corpus" / target).glob("*"))
    assert inputs
    rng = random.Random(target)
    for i in range(40):
        inputs.append(tmp_path / f"{i}")
        inputs[-1].write_bytes(bytes([i]) + rng.randbytes(rng.randrange(600)))
    run = subprocess.run([str(program), *map(str, inputs)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{len(inputs)} inputs\n"
