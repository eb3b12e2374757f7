# SPDX-License-Identifier: Apache-2.0
"""AMX on a processor that has it: what Linux keeps of tiles (csrc/tests/test_amx.c), and Python's own signal stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pynna

CSRC = Path(__file__).resolve().parents[2] / "csrc"


def test_threads_signals_forks_and_refusals(built: Path) -> None:
    made = subprocess.run(
        ["make", "-C", str(CSRC), f"BUILD={built}", str(built / "test_amx")], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    run = subprocess.run([str(built / "test_amx")], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    told = run.stdout.splitlines()[-1]
    if "skipped" in told:
        pytest.skip(told)
    assert run.stdout == "amx: all is well\n"


SCRIPT = """
import faulthandler, os, sys
import numpy as np
import pynna
before = sys.argv[1] == "before"
if before:
    faulthandler.enable()
audio = np.random.default_rng(0).integers(-9000, 9000, 16000, np.int16)
def bits(isa):
    model = pynna.load(isa=isa, threads=2)
    assert model.isa == isa
    return model.log_probs(audio).tobytes()
want = bits("ref")
assert bits("amx") == want
if not before:
    faulthandler.enable()
assert bits("amx") == want
child = os.fork()
if child == 0:
    os._exit(bits("amx") != want)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif("amx" not in pynna.build_info()["isa_available"], reason="this processor has no AMX")
@pytest.mark.parametrize("enabled", ["before", "after"])
def test_the_signal_stack_of_python_has_room_for_tiles(enabled: str, tmp_path: Path) -> None:
    """Linux refuses tiles where a signal's stack is too small for them, and such a stack once they are permitted."""
    command = [sys.executable, "-c", SCRIPT, enabled]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
