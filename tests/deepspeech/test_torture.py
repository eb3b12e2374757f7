# SPDX-License-Identifier: Apache-2.0
"""Each allocation of a whole session with the clients' interface is refused in turn: no crash, nothing kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.nna_models import ENGLISH, random_file

from pynna.deepspeech.scorers import words_of, write_scorer

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
WRAPPED = ("malloc", "calloc", "realloc", "posix_memalign", "free")


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("make") is None, reason="needs make and GNU's linker")
def test_each_allocation_is_refused_in_turn(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "-C", str(CSRC), f"BUILD={tmp_path}", "-j2", "OPT=-O1", f"{tmp_path}/libpynna.a"], capture_output=True
    )
    assert made.returncode == 0, made.stderr
    program = tmp_path / "torture"
    sources = [CSRC / "tests" / "torture_client.c", *sorted((CSRC / "deepspeech").glob("*.c"))]
    wrap = [f"-Wl,--wrap={name}" for name in WRAPPED]
    command = ["cc", "-std=c11", "-O1", "-g", f"-I{CSRC}", *wrap, *map(str, sources), str(tmp_path / "libpynna.a")]
    made_too = subprocess.run([*command, "-lm", "-pthread", "-o", str(program)], capture_output=True, text=True)
    assert made_too.returncode == 0, made_too.stderr
    model, scorer, lm = tmp_path / "a.nna", tmp_path / "a.scorer", ROOT / "tests" / "golden" / "three.trie.binary"
    model.write_bytes(random_file(16))
    write_scorer(lm, words_of(lm), [label.encode() for label in ENGLISH], scorer, alpha=0.75, beta=1.85)
    tortured = subprocess.run([str(program), str(model), str(scorer)], capture_output=True, text=True, timeout=300)
    assert tortured.returncode == 0, tortured.stdout + tortured.stderr
    assert int(tortured.stdout.split()[0]) > 40
