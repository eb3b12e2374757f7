# SPDX-License-Identifier: Apache-2.0
"""What is released: `python .ci/dist.py [sdist] [wheel] [--to dist] [--twice]`, the same bytes wherever it is made.

The time in it is SOURCE_DATE_EPOCH, or the last commit's. Beside the files stand their checksums (SHA256SUMS)
and what is in them (sbom.cdx.json, by sbom.py), which each wheel holds too."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.fspath(ROOT / ".ci"))

from sbom import text  # noqa: E402


def epoch() -> int:
    """Seconds: the time that is written into files."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    told = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return int(told.stdout) if told.returncode == 0 and told.stdout.strip() else 315532800


def normalised(sdist: bytes, time: int) -> bytes:
    """A .tar.gz with the same files in the order of their names, of one time and of nobody."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as source,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as out,
    ):
        for member in sorted(source.getmembers(), key=lambda each: each.name):
            if not member.isfile():
                continue
            clean = tarfile.TarInfo(member.name)
            clean.size, clean.mtime = member.size, time
            clean.mode = 0o755 if member.mode & 0o100 else 0o644
            out.addfile(clean, source.extractfile(member))
    return gzip.compress(packed.getvalue(), 9, mtime=0)


def copy(to: Path) -> Path:
    """The files that the repository holds, elsewhere: nothing is built of what else lies here."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, told.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    return to


def build(kinds: list[str], to: Path, time: int, files: Path) -> list[Path]:
    """Builds what is released of a copy of these files, in a folder of another name each time, and puts it there."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    made = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as source:
        subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", *map("--{}".format, kinds), "--outdir", folder, "."],
            cwd=shutil.copytree(files, Path(source) / ("x" * random.randrange(1, 40))), env=env, check=True,
        )  # fmt: skip
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path(folder).iterdir()):
            data = path.read_bytes()
            target = to / path.name
            target.write_bytes(normalised(data, time) if path.name.endswith(".tar.gz") else data)
            made.append(target)
    return made


def differing(one: Path, other: Path) -> list[str]:
    """The members in which two wheels or sdists of a name differ; "order and times" where only those do."""
    if one.read_bytes() == other.read_bytes():
        return []
    first, second = _members(one), _members(other)
    names = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return names or ["order and times"]


def _members(path: Path) -> dict[str, bytes]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as file:
            return {name: file.read(name) for name in file.namelist()}
    with tarfile.open(path) as packed:
        return {each.name: packed.extractfile(each).read() for each in packed if each.isfile()}  # type: ignore[union-attr]


def check_twice(made: list[Path], kinds: list[str], time: int, files: Path) -> int:
    """Builds all again, elsewhere and later, and tells what differs; 1 if something does."""
    with tempfile.TemporaryDirectory() as folder:
        again = build(kinds, Path(folder), time, files)
        assert [path.name for path in again] == [path.name for path in made]
        different = {
            one.name: found for one, other in zip(made, again, strict=True) if (found := differing(one, other))
        }
    for name, members in different.items():
        print(f"{name} differs when it is made again: {', '.join(members)}", file=sys.stderr)
    return int(bool(different))


def release(kinds: list[str], to: Path, twice: bool, files: Path) -> int:
    """Makes what is released of these files, all of one moment, whatever becomes of the repository meanwhile."""
    time = epoch()
    made = build(kinds, to, time, files) if kinds else []
    to.mkdir(parents=True, exist_ok=True)
    bom = to / "sbom.cdx.json"
    bom.write_text(text(time), "utf-8")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in [*made, bom])
    (to / "SHA256SUMS").write_text(sums)
    print(sums, end="")
    return check_twice(made, kinds, time, files) if twice else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=["sdist", "wheel"], metavar="sdist|wheel")
    parser.add_argument("--to", type=Path, default=ROOT / "dist")
    parser.add_argument("--twice", action="store_true", help="make all twice; 1 unless the bytes are the same")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return release(told.kinds, told.to, told.twice, copy(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
