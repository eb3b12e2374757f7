# SPDX-License-Identifier: Apache-2.0
"""What writes files is killed at random moments: no file is half written. `python -m tests.fuzz.kill` does it 1,000
times."""

from __future__ import annotations

import stat
import sys
import time
from pathlib import Path

import pytest

from pynna.saving import whole_file

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from tests.fuzz.kill import JOBS, Job, kill  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_no_file_is_half_written() -> None:
    jobs = [job for job in JOBS if job.name in ("lm", "scorer", "add-on", "picture")]
    assert kill(8, jobs) == 0


def _careless(to: Path) -> None:
    with (to / "a").open("wb") as out:
        for _ in range(20):
            out.write(bytes(1 << 12))
            out.flush()
            time.sleep(0.01)  # so that it is at work whenever it is killed


def test_a_careless_writer_is_found() -> None:
    assert kill(8, [Job("careless", _careless)], tell=lambda _: None) > 0


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    with pytest.raises(KeyError), whole_file(path) as out:
        out.write("half")
        raise KeyError
    assert path.read_text() == "before"
    with whole_file(link) as out:
        out.write("after")
        out.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after" and link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "link"]


def test_a_device_is_written_to_as_it_stands() -> None:
    with whole_file("/dev/null", "wb") as out:
        out.write(b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
