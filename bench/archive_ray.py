# SPDX-License-Identifier: Apache-2.0
"""An archive by Ray's actors, for `bench.archive`: REPORT OUTPUT MODEL ACTORS FILE...

Some of it first, for the cluster to be up and modules to be read from the disk; then all, in the time that is written
to REPORT.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from pynna.ray import transcribe_archive


def main(report: str, output: str, model: str, actors: str, *files: str) -> None:
    """The program."""

    def go(sources: list[str], folder: str) -> float:
        start = time.perf_counter()
        done = transcribe_archive(sources, folder, model=model or None, actors=int(actors), beam_width=0, passes=1)
        assert not done.failed and done.n_done == len(sources), done.failed
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        go(list(files[: int(actors)]), folder + "/out")
    Path(report).write_text(json.dumps({"seconds": go(list(files), output)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
