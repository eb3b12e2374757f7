# SPDX-License-Identifier: Apache-2.0
"""The kernel of AMX on tiles in plain C (csrc/tests/tiles.h): the reference's bits on every processor."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
KERNEL = (CSRC / "mac_array_amx.c").read_text()


def run(kernel: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What test_tiles.c says of a kernel."""
    (folder / "mac_array_amx.c").write_text(kernel)
    sources = [CSRC / "tests" / "test_tiles.c", CSRC / "mac_array_ref.c", CSRC / "activation.c"]
    flags = ["-std=c11", "-O1", "-ffp-contract=off", f"-I{folder}", f"-I{CSRC}"]
    command = ["cc", *flags, *map(str, sources), "-lm", "-o", str(folder / "tiles")]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return subprocess.run([str(folder / "tiles")], cwd=folder, capture_output=True, text=True)


def test_products_on_tiles_are_the_reference_s(tmp_path: Path) -> None:
    told = run(KERNEL, tmp_path)
    assert told.returncode == 0 and told.stdout == "tiles: all is well\n", told.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("2 * i + 1] = w & 0xf0f0", "2 * i + 1] = w & 0x70f0", "of 4 bits"),
        ("#define LAST_W 7", "#define LAST_W 5", "a product of tiles that do not fit"),
        ("    shaped.n_columns = 0;", "", "a tile without a shape"),
    ],
)
def test_a_wrong_kernel_is_found(right: str, wrong: str, found: str, tmp_path: Path) -> None:
    assert KERNEL.count(right) == 1
    told = run(KERNEL.replace(right, wrong), tmp_path)
    assert told.returncode == 1 and found in told.stdout
