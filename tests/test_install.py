# SPDX-License-Identifier: Apache-2.0
"""The package as others get it: source distribution, wheel, a clean environment, the README's first command."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import pynna

ROOT = Path(__file__).parents[1]
VERSION = importlib.metadata.version("pynna")

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="needs the source tree")


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """A command's standard output; its whole output in the failure if it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def readme_commands() -> list[str]:
    """The README's two commands."""
    section = (ROOT / "README.md").read_text().partition("## Two commands")[2].partition("\n## ")[0]
    return re.findall(r"^    (.*)$", section, re.MULTILINE)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made of a copy of the tree, so that nothing is left behind in it."""
    tree, out = tmp_path_factory.mktemp("tree") / "pynna", tmp_path_factory.mktemp("sdist")
    ignored = shutil.ignore_patterns(".[!c]*", "build", "dist", "venv", "*.egg-info", "__pycache__", "*.so", "_core.c")
    shutil.copytree(ROOT, tree, ignore=ignored)
    build = f"import setuptools.build_meta as b; print(b.build_sdist({str(out)!r}))"
    run(sys.executable, "-c", build, cwd=tree)
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the source distribution alone."""
    tree, out = tmp_path_factory.mktemp("unpacked"), tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(tree)
    (source,) = tree.iterdir()
    run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", out, source, cwd=out)
    (archive_path,) = out.iterdir()
    return archive_path


@pytest.fixture(scope="module")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel in it and this one's dependencies: there may be no network."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", home, cwd=home.parent)
    bin_ = home / "bin"
    run(bin_ / "python", "-m", "pip", "install", "--no-index", "--no-deps", wheel, cwd=home.parent, env=clean_env())
    site = run(bin_ / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home.parent).strip()
    # behind the new environment's own folder, so that pynna comes from there
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def clean_env() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def test_the_readme_has_two_commands_that_install_run_and_test() -> None:
    first, second = readme_commands()
    assert "pip install '.[assistant]' && .venv/bin/pynna assistant --demo" in first
    assert "pip install '.[test]' && .venv/bin/pytest" in second


def test_the_readmes_first_command_understands_a_command_in_a_clean_environment(clean_environment: Path) -> None:
    command = readme_commands()[0].rpartition("&&")[2].split()
    assert command == [".venv/bin/pynna", "assistant", "--demo"]
    folder = clean_environment.parent  # not the source tree, so that only what was installed is found
    program = [clean_environment / "bin/pynna", *command[1:], "--port", "0", "--no-browser"]
    with subprocess.Popen(program, cwd=folder, env=clean_env(), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://127.0.0.1:")
        assert running.stdout.readline() == "increase the volume -> Volume 50 percent\n"
        running.terminate()


def test_the_installed_package_hears_a_recording(clean_environment: Path) -> None:
    site = clean_environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    recording = site / "pynna/recordings/increase_the_volume.flac"
    words = run(clean_environment / "bin/pynna", "transcribe", recording, cwd=clean_environment.parent, env=clean_env())
    assert words == "increase the volume\n"


def test_what_was_installed_is_what_runs(clean_environment: Path) -> None:
    code = "import pynna, pynna._core; print(pynna.__file__); print(pynna._core.__file__)"
    files = run(clean_environment / "bin/python", "-c", code, cwd=clean_environment.parent, env=clean_env())
    assert all(line.startswith(str(clean_environment)) for line in files.splitlines())


def test_one_version_everywhere(clean_environment: Path) -> None:
    said = run(clean_environment / "bin/pynna", "--version", cwd=clean_environment.parent, env=clean_env())
    assert said == f"pynna {VERSION}\n"
    assert pynna.build_info()["version"] == VERSION  # as the C core tells it
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text()


def test_the_wheel_holds_what_is_needed_to_run_and_no_sources_of_the_extension(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in ("pynna/py.typed", "pynna/recordings/increase_the_volume.flac", "pynna/assistant/page/index.html"):
        assert needed in names
    assert any(re.fullmatch(r"pynna/models/.*\.nna", name) for name in names)
    assert any(re.fullmatch(r"pynna/models/.*\.md", name) for name in names)
    licences = f"pynna-{VERSION}.dist-info/licenses"
    assert {f"{licences}/LICENSE", f"{licences}/pynna/recordings/README.md"} <= set(names)
    assert not [name for name in names if name.endswith((".h", ".pyx", "_core.c", ".pyc")) or name.startswith("tests")]


def test_the_source_distribution_holds_the_c_core_the_tests_and_nothing_built(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"csrc/pynna.h", "csrc/Makefile", "csrc/README.md", "pynna/_core/_core.pyx"} <= names
    assert {"tests/test_install.py"} <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".a", ".pyc", "_core.c"))]


def test_the_extension_is_not_tied_to_the_machine_that_built_it() -> None:
    text = (ROOT / "setup.py").read_text()
    assert not re.search(r"""["']-(march|mtune|mcpu|mavx|ffast-math)""", text)


def cells(line: str) -> list[str]:
    """What stands in a row of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def reported(section: str) -> dict[str, list[str]]:
    """Columns of the first table of a section of the accuracy report: clean, 20, 10, 5 and 0 dB."""
    report = (ROOT / "bench/accuracy.md").read_text().partition(f"\n## {section}")[2]
    lines = report[report.index("| condition ") :].splitlines()
    return {head: list(column) for head, *column in zip(*map(cells, (lines[0], *lines[2:7])), strict=True)}


def told(page: str, head: str) -> list[list[str]]:
    """Rows of a page's table whose first cell begins so."""
    return [cells(line) for line in page[page.index(f"| {head}") :].partition("\n\n")[0].splitlines()]


def test_the_guide_tells_of_accuracy_what_was_measured() -> None:
    page = (ROOT / "docs/accuracy.md").read_text()
    kept = json.loads((ROOT / "bench/accuracy-peers.json").read_text())
    best, accepted, wrong = "best sentence right", "accepted rightly", "accepted wrongly"
    sections = (("car", "630 car sentences", "Car sentences"), ("real", "722 recordings of people", "Real people"))
    for which, head, section in sections:
        measured, rows = reported(section), told(page, head)
        first = [row[0] for row in rows].index(f"generation 26: {best}")
        assert [row[1:] for row in rows[first : first + 3]] == [measured[best], measured[accepted], measured[wrong]]
        right = [kept[f"{which}-{condition}"]["right"]["pocketsphinx 5, same grammar"] for condition in rows[0][1:]]
        assert rows[-1] == ["pocketsphinx 5: right", *(f"{percent:.1f}" for percent in right)]


def test_the_readme_tells_of_noise_what_the_guide_tells() -> None:
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs/accuracy.md").read_text()
    measured = {row[0]: row for row in told(page, "people, tight, quiet")}
    rows = told(readme, "people, 87 of them one word")
    columns = ("tight, quiet", "quiet", "20 dB", "15 dB", "10 dB", "6 dB")
    for who, row in zip(("people", "car"), rows[:2], strict=True):
        of = [measured[f"{who}, {column}"] for column in columns]
        assert row[1:] == [f"{right.partition(' ')[0]} ({accepted.partition(' ')[0]})" for _, right, accepted, *_ in of]
    assert rows[2][1:] == [measured[f"people, {column}"][5] for column in columns]


def test_the_pages_tell_the_threshold_that_the_code_has() -> None:
    threshold = pynna.decoding.confidence.DEFAULT_THRESHOLD
    assert f"confidence {threshold:g} or more" in (ROOT / "README.md").read_text()
    assert f"`threshold=` ({threshold:g})" in (ROOT / "docs/sentences.md").read_text()
    assert f"threshold {threshold:g}." in (ROOT / "bench/accuracy.md").read_text()
