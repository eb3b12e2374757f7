# SPDX-License-Identifier: Apache-2.0
"""The C core's fuzz targets over their kept inputs and pseudo-random ones; `make -C csrc fuzz` looks for more."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
CSRC = FUZZ.parents[1] / "csrc"
SCORER = ("kenlm", "scorer", "search", "search_words", "search_results")
CLIENT = sorted(path.stem for path in (CSRC / "deepspeech").glob("*.c"))
DEEPSPEECH = {"scorer": SCORER, "client": CLIENT}  # what a target needs of csrc/deepspeech
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_are_survived(target: str, built: Path, tmp_path: Path) -> None:
    program = tmp_path / target
    sources = [FUZZ / "replay.c", FUZZ / f"fuzz_{target}.c"]
    sources += [CSRC / "deepspeech" / f"{name}.c" for name in DEEPSPEECH.get(target, ())]
    options = ["-std=c11", "-O1", "-g", "-ffp-contract=off", f"-I{CSRC}"]
    command = ["cc", *options, *map(str, sources), str(built / "libpynna.a")]
    made = subprocess.run([*command, "-lm", "-pthread", "-o", str(program)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    inputs = sorted((FUZZ / "corpus" / target).glob("*"))
    assert inputs
    rng = random.Random(target)
    for i in range(40):
        inputs.append(tmp_path / f"{i}")
        inputs[-1].write_bytes(bytes([i]) + rng.randbytes(rng.randrange(600)))
    run = subprocess.run([str(program), *map(str, inputs)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{len(inputs)} inputs\n"


OVERRUN = """
#include "bytes.h"
int main(int n, char **names)
{
    for (int i = 0; i < 40; i++, release(i % 3)) {
        unsigned char *p = block((size_t)(i * 37 % 200));
        for (int k = 0; k < i * 37 % 200 + (i == 39 ? n - 1 : 0); k++)
            p[k] = 1;
    }
    release(0);
    printf("%s\\n", names[0]);
    return 0;
}
"""


@pytest.mark.parametrize("sanitizer", ["", "-fsanitize=address"])
def test_a_byte_behind_a_block_is_seen(sanitizer: str, tmp_path: Path) -> None:
    source, program = tmp_path / "overrun.c", tmp_path / "overrun"
    source.write_text(OVERRUN)
    command = ["cc", "-std=c11", "-g", f"-I{FUZZ}", str(source), "-o", str(program), *filter(None, [sanitizer])]
    made = subprocess.run(command, capture_output=True, text=True)
    if sanitizer and made.returncode != 0 and "asan" in made.stderr:
        pytest.skip("this compiler has no address sanitizer")
    assert made.returncode == 0, made.stderr
    assert subprocess.run([str(program)], capture_output=True).returncode == 0
    run = subprocess.run([str(program), "one"], capture_output=True, text=True)
    assert run.returncode != 0
    assert ("use-after-poison" if sanitizer else "does not hold") in run.stderr
