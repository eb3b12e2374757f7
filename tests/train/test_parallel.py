# SPDX-License-Identifier: Apache-2.0
"""Calls on several processes: all are made, errors come through, and they end when told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("tqdm")

from pynna.train.parallel import run

ENDLESS = """
import signal, sys, time
from pathlib import Path
from pynna.train.parallel import run

def call(folder, number):
    (Path(folder) / str(number)).touch()
    time.sleep(600)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
run([(call, (sys.argv[1], i)) for i in range(20)], 2, "calls")
"""


def _write(folder: Path, number: int) -> None:
    if number == 13:
        raise ValueError("thirteen")
    (folder / str(number)).touch()


def test_all_calls_are_made(tmp_path: Path) -> None:
    run([(_write, (tmp_path, i)) for i in range(9)], 2, "calls")
    assert {path.name for path in tmp_path.iterdir()} == set("012345678")


def test_what_a_call_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        run([(_write, (tmp_path, i)) for i in (1, 13, 2)], 2, "calls")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_told_to_end_it_ends_with_its_calls_and_begins_none(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        for _ in range(600):
            if len(list(tmp_path.iterdir())) >= 2:
                break
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 7
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        process.kill()
