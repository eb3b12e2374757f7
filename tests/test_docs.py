# SPDX-License-Identifier: Apache-2.0
"""The guides' code runs, links lead somewhere, and what is to be read first stays short."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ_FIRST = [ROOT / "README.md", ROOT / "pynna/README.md", ROOT / ".github/CONTRIBUTING.md"]


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text("utf-8")], ids=lambda p: p.stem)
def test_the_guides_code_runs(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert tried > 0 and not failed


@pytest.mark.parametrize("page", [*PAGES, *READ_FIRST], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_a_release_is_told_in_few_lines() -> None:
    releases = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)[1:]
    assert releases and all(len(release.splitlines()) <= 40 for release in releases)


def test_the_cores_pages_name_files_that_are_there() -> None:
    pages = [ROOT / "csrc/README.md", *sorted((ROOT / "csrc/doc").glob("*.md"))]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    named = set(re.findall(r"`((?:[\w-]+/)*[\w.-]+\.(?:c|h|py))`", text))
    assert len(named) > 10
    assert not [name for name in named if not any((folder / name).exists() for folder in (ROOT / "csrc", ROOT))]
