# SPDX-License-Identifier: Apache-2.0
"""What is released: the same bytes each time, a list of what is in it, the checksums of models."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import pynna

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci" / "run").is_file(), reason="needs the repository")


def _script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dist() -> Any:
    if sys.version_info < (3, 11):
        pytest.skip("it reads TOML with the standard library")
    return _script("dist")


def _archive(order: list[str], mtime: int, user: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name in order:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname, info.mode = len(name), mtime, user, 0o600 if mtime % 2 else 0o664
            file.addfile(info, io.BytesIO(name.encode()))
    return packed.getvalue()


def test_an_sdist_has_the_same_bytes_whoever_makes_it(dist: Any) -> None:
    one = dist.normalised(_archive(["a/x", "a/b/y", "a/c"], 1, "me"), 1000)
    other = dist.normalised(_archive(["a/c", "a/x", "a/b/y"], 2, "you"), 1000)
    assert one == other != dist.normalised(_archive(["a/c", "a/x", "a/b/y"], 2, "you"), 1001)
    with tarfile.open(fileobj=io.BytesIO(one)) as file:
        assert {member.name: file.extractfile(member).read() for member in file} == {
            name: name.encode() for name in ("a/x", "a/b/y", "a/c")
        }


def test_what_differs_between_two_releases_is_told(dist: Any, tmp_path: Path) -> None:
    one, other = tmp_path / "1" / "a.whl", tmp_path / "2" / "a.whl"
    for path, second in ((one, b"x"), (other, b"y")):
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("same", b"1")
            file.writestr("core.so", second)
    assert dist.differing(one, one) == []
    assert dist.differing(one, other) == ["core.so"]
    for path, order in ((one, ["a/x", "a/y"]), (other, ["a/y", "a/x"])):
        path.with_suffix(".tar.gz").write_bytes(_archive(order, 2, "me"))
    assert dist.differing(one.with_suffix(".tar.gz"), other.with_suffix(".tar.gz")) == ["order and times"]


def test_the_list_names_models_and_requirements() -> None:
    made = _script("sbom")
    told = made.sbom(1_700_000_000)
    assert made.text(1_700_000_000) == made.text(1_700_000_000) and json.loads(made.text(1_700_000_000)) == told
    assert "timestamp" not in made.sbom(None)["metadata"]
    parts = {part["name"]: part for part in told["components"]}
    path = ROOT / "pynna" / "models" / "pynna-en-car.nna"
    assert parts[path.name]["hashes"][0]["content"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(parts[path.name]["licenses"])
    assert parts["numpy"]["scope"] == "required" and parts["aiohttp"]["scope"] == "optional"
    sources = {part["name"].rpartition("/")[2].partition("_")[0] for part in parts.values() if part["type"] == "data"}
    clips = {path.name.partition("_")[0] for path in (ROOT / "pynna" / "recordings" / "calibration").glob("*.flac")}
    assert clips and clips <= sources
    assert parts["recordings/calibration/gsc_*"]["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert told["metadata"]["component"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_a_wheel_tells_what_is_in_it(tmp_path: Path) -> None:
    """Its metadata, that is, made without the wheel: what is compiled takes a minute."""
    pytest.importorskip("Cython")
    if pytest.importorskip("setuptools").__version__ < "77":
        pytest.skip("setuptools is older than the build asks for")
    command = [sys.executable, "setup.py", "-q", "dist_info", "--output-dir", os.fspath(tmp_path)]
    made = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (told,) = tmp_path.glob("pynna-*.dist-info/sboms/pynna.cdx.json")
    assert told.read_text("utf-8") == _script("sbom").text(1_700_000_000)


def test_holes_and_what_could_not_be_asked_about_are_told() -> None:
    packages = [
        {"name": "pynna", "skip_reason": "not on the index"},
        {"name": "good", "version": "1", "vulns": []},
        {
            "name": "bad",
            "version": "2",
            "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}, {"id": "X", "fix_versions": []}],
        },
        {"name": "unknown", "skip_reason": "not found"},
    ]
    holes = ["bad 2: CVE-1, mended in 3", "bad 2: X, mended in none"]
    assert _script("audit").told({"dependencies": packages}) == (holes, ["unknown"], 2)


def test_a_model_tells_its_checksum_and_licence(model: pynna.Model) -> None:
    told = model.describe()
    assert told["sha256"] == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert told["metadata"]["licence"]


def test_what_is_released_is_pinned_and_signed() -> None:
    flow = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    assert "id-token: write" in flow and "attestations: true" in flow and "SOURCE_DATE_EPOCH" in flow
    assert not re.findall(r"uses: \S+@(?:main|master)\b", flow)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="it reads TOML with the standard library")
def test_wheels_are_built_for_the_pythons_that_are_named() -> None:
    import tomllib

    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(told["project"]["classifiers"]))
    built = [f"3.{minor}" for minor in re.findall(r"cp3(\d+)-", " ".join(told["tool"]["cibuildwheel"]["build"]))]
    assert named == built and told["project"]["requires-python"] == f">={named[0]}"
    overrides = {o["select"]: o for o in told["tool"]["cibuildwheel"]["overrides"]}
    assert overrides["cp312-*"]["environment"] == {"PYNNA_ABI3": "1"}
    assert all(word in (ROOT / "setup.py").read_text("utf-8") for word in ("PYNNA_ABI3", '"cp312"', "0x030C0000"))
    tested = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    assert f'python: ["{named[0]}", "{named[-1]}"]' in tested
    assert all(version in (ROOT / ".ci" / "run").read_text("utf-8") for version in named)


def test_every_source_file_has_a_licence() -> None:
    missing = []
    for folder in ("pynna", "csrc", "tests", "bench", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".pyx", ".pxi", ".pxd", ".c", ".h") and "build" not in path.parts:
                if path.name in ("_core.c", "_client.c"):
                    continue
                if "SPDX-License-Identifier: " not in path.read_text("utf-8", "replace")[:300]:
                    missing.append(os.fspath(path))
    assert not missing
