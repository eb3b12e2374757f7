"""The benchmarks run and print what they promise; how fast anything is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nna_models import random_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def model(cache: Path) -> Path:
    path = cache / "small.nna"
    path.write_bytes(random_file(48))
    return path


def bench(cache: Path, *arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    options = ["--seconds", "0.01", "--json", "--cache", str(cache)]
    command = [sys.executable, "-m", "bench", *map(str, arguments), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_network_measures_every_setting_against_the_limits(cache: Path, model: Path) -> None:
    found = bench(cache, "network", "--nna", model, "--channels", 1, 3, "--steps", 1, 2, "--threads", 1)
    assert found["limits"]["gb_s"]["1 threads"] > 0
    settings = {(f["setting"]["channels"], f["setting"]["steps"]) for f in found["figures"]}
    assert settings == {(1, 1), (1, 2), (3, 1), (3, 2)}
    assert all(f["ms"] > 0 and f["gmac_s"] > 0 and f["of_limit"] > 0 for f in found["figures"])


def test_kernels_cover_the_shapes_of_the_network(cache: Path) -> None:
    found = bench(cache, "kernels", "--width", 64, "--channels", 1, "--isa", "ref")
    assert {(f["shape"]["rows"], f["shape"]["columns"]) for f in found["figures"]} == {
        (64, 496), (64, 64), (256, 64), (32, 64)}


def test_the_published_table_is_the_published_one(cache: Path, model: Path) -> None:
    rows = bench(cache, "table", "--nna", model, "--threads", 1)["rows"]
    published = [(round(r["ms"], 2), round(r["inferences"]), int(r["channels"])) for r in rows[:2]]
    assert published == [(1.22, 820, 262), (4.9, 204, 65)]
    assert len(rows) == 4


def test_stages_are_timed_by_the_frame(cache: Path, model: Path) -> None:
    found = bench(cache, "stages", ROOT / "pynna/recordings/increase_the_volume.flac", "--nna", model, "--beams", 8)
    assert [stage["name"] for stage in found["stages"]] == ["MFCC", "beam search, 8"]
    assert all(0 < stage["microseconds"] < 20000 for stage in found["stages"])
