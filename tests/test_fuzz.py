# SPDX-License-Identifier: Apache-2.0
"""The Python fuzz targets for some dozen cases each; `python -m tests.fuzz` looks for more."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from tests.fuzz.__main__ import once  # noqa: E402
from tests.fuzz.mutation import mutated  # noqa: E402
from tests.fuzz.registry import TARGETS, Finding, Target  # noqa: E402


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_errors_of_ours(name: str) -> None:
    target = TARGETS[name]
    rng = random.Random(name)
    pool = target.seeds()
    for data in [*pool, *(mutated(rng, pool, target.words) for _ in range(25))]:
        once(target, data)


def test_a_finding_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.SECONDS_A_CASE", -1.0)
    with pytest.raises(Finding, match="took"):
        once(Target("slow", lambda data: None, list), b"")
