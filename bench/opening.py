# SPDX-License-Identifier: Apache-2.0
"""`pynna.deepspeech.Model(path)` in a fresh interpreter, up to the first step: for `python -m bench clients`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.report import Table

# Memory is the most that was resident, above the interpreter with NumPy; the audio is one batch of 16 steps.
PROGRAM = """
import json, resource, sys, time
import numpy
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
now = lambda: (time.perf_counter(), time.process_time())
times, before = [now()], most()
from pynna.deepspeech import Model
times.append(now())
model = Model(sys.argv[1])
times.append(now())
stream = model.createStream()
stream.feedAudioContent(numpy.random.default_rng(0).normal(0, 1000, model.sampleRate() // 2).astype("int16"))
stream.intermediateDecode()
times.append(now())
print(json.dumps([times, most() - before]))
"""


def opening(model: Path, runs: int = 5) -> Table:
    """Milliseconds to import, to open and to the first batch, the least of the runs; and memory in MB.

    The file is mapped and kept by the first run, which does not count.
    """
    least: list[float] = []
    for run in range(runs + 1):
        command = [sys.executable, "-c", PROGRAM, str(model)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times, memory = json.loads(done.stdout.splitlines()[-1])
        parts = [1e3 * (b[clock] - a[clock]) for clock in (0, 1) for a, b in zip(times, times[1:], strict=False)]
        if run:
            least = [min(pair) for pair in zip(least or [*parts, memory], [*parts, memory], strict=True)]
    table = Table("a fresh interpreter", "import", "Model(path)", "first steps", "path to steps", "memory MB")
    for name, (imported, opened, stepped) in (("ms by the clock", least[:3]), ("ms of the processor", least[3:6])):
        row = (imported, opened, stepped, opened + stepped)
        table.add(name, *(f"{value:.1f}" for value in row), f"{least[6]:.1f}")
    return table
