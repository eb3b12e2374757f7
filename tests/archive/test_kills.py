# SPDX-License-Identifier: Apache-2.0
"""An archive's process is killed between any two writes, and in the middle of one: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import pynna
from pynna.archive.journal import Journal, Parts
from pynna.archive.writers import FORMATS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

RECORDINGS = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
TWICE = 3
"""Exit code of a process that does again what an earlier one has put on the disk."""


class Killed:
    """A process's calls that write, each of which is a place to be killed at.

    Parameters
    ----------
    at : int
        How many are left alone first; each call has two, one before it and one behind it.
    log : Path
        Where it is noted what is done, for the processes that follow.
    """

    def __init__(self, at: int, log: Path) -> None:
        self.left, self._log = at, log
        self._done = set(log.read_text().splitlines()) if log.exists() else set()

    def point(self) -> None:
        """Here it may end."""
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a place before it and one behind it."""

        def wrapped(*args: Any, **named: Any) -> Any:
            self.point()
            result = call(*args, **named)
            self.point()
            return result

        return wrapped

    def note(self, what: str) -> None:
        """What is on the disk now; who has done it again ends with a code of its own."""
        if what in self._done:
            os._exit(TWICE)
        with self._log.open("a") as out:
            out.write(what + "\n")

    def patch(self) -> None:
        """In this process, for good."""
        write, add, finish, replace = Parts._write, Parts.add, Journal.finish, Path.replace

        def half_first(parts: Parts, line: dict[str, Any]) -> int:
            self.point()
            if self.left == 0:  # in the middle of it
                assert parts._file is not None
                parts._file.write(json.dumps(line).encode()[:-3])
                parts._file.flush()
            self.point()
            return write(parts, line)

        def noted_part(parts: Parts, index: int, *rest: Any) -> None:
            add(parts, index, *rest)
            self.note(f"part {parts.path} {index}")
            self.point()

        def noted_output(journal: Journal, source: str, output: Path, parts: Parts) -> None:
            finish(journal, source, output, parts)
            self.note(f"output {output}")
            self.point()

        Parts._write, Parts.add, Journal.finish = half_first, noted_part, noted_output  # type: ignore[method-assign]
        Path.replace = self.around(replace)  # type: ignore[method-assign]
        Path.unlink = self.around(Path.unlink)  # type: ignore[method-assign]
        os.fsync = self.around(os.fsync)  # type: ignore[assignment]


def run(model: pynna.Model, sources: list[Path], output: Path, format: str, at: int, log: Path) -> int:
    """The exit code of a process that goes on with the archive, and is killed at a place; negative then."""
    child = os.fork()
    if not child:
        code = 1
        try:
            Killed(at, log).patch()
            options: dict[str, Any] = {"beam_width": 0, "passes": 1}
            found = list(pynna.transcribe_files(sources, model, output=output, format=format, resume=True, **options))
            code = int(any(each.error for each in found))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def content(folder: Path) -> dict[str, bytes]:
    """What is there for a user."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A recording of three parts, and a short one."""
    folder = tmp_path_factory.mktemp("kills")
    pause = np.zeros(16000, np.int16)
    spoken = [pynna.audio.read(path).pcm for path in RECORDINGS[:3]]
    soundfile.write(folder / "long.wav", np.concatenate([each for pcm in spoken for each in (pause, pcm)]), 16000)
    soundfile.write(folder / "short.wav", spoken[0], 16000)
    return [folder / "long.wav", folder / "short.wav"]


@pytest.mark.parametrize("format", list(FORMATS))
def test_nothing_is_lost_and_nothing_done_twice(
    model: pynna.Model, sources: list[Path], tmp_path: Path, format: str
) -> None:
    assert run(model, sources, tmp_path / "calm", format, 1 << 30, tmp_path / "calm.log") == 0
    want, log = content(tmp_path / "calm"), tmp_path / "log"
    assert len(want) == len(sources) and all(want.values())
    rng, n_killed = random.Random(format), 0
    while code := run(model, sources, tmp_path / "out", format, rng.randint(6, 16), log):
        assert code == -signal.SIGKILL, "work is done twice" if code == TWICE else f"exit code {code}"
        there = content(tmp_path / "out") if (tmp_path / "out").exists() else {}
        assert all(name.startswith(".") or want[name] == data for name, data in there.items()), "half a file"
        n_killed += 1
        assert n_killed < 100, "it must come further each time"
    assert n_killed >= 3 and content(tmp_path / "out") == want
    calm = (tmp_path / "calm.log").read_text().replace(str(tmp_path / "calm"), str(tmp_path / "out")).splitlines()
    noted = log.read_text().splitlines()
    assert sorted(line for line in noted if line.startswith("part")) == sorted(
        line for line in calm if line.startswith("part")
    )
    assert sorted(path.name for path in (tmp_path / "out/.pynna").iterdir()) == ["done.jsonl", "run.json"]
