# SPDX-License-Identifier: Apache-2.0
"""The front end's hash of bits (csrc/tests/test_frontend.c) under other compilers, optimisations and processors."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
SOURCES = ["mfcc.c", "frames.c", "status.c", "tests/test_frontend.c"]
X86 = platform.machine() == "x86_64"
NATIVE = [
    "-O0",
    "-O2",
    "-O3",
    *(["-O3 -march=haswell", "-O3 -march=native"] if X86 else ["-O3 -mcpu=native"]),
    "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all",
]
BUILDS = [
    *(("gcc", options, "") for options in NATIVE),
    *(("clang", options, "") for options in NATIVE),
    *(("aarch64-linux-gnu-gcc", f"{o} -static", "qemu-aarch64 -cpu cortex-a53") for o in ("-O0", "-O3")),
    ("aarch64-linux-gnu-gcc", "-O3 -march=armv8.2-a+sve -static", "qemu-aarch64 -cpu max"),
]


@pytest.mark.parametrize("compiler, options, emulator", BUILDS)
def test_every_build_gives_the_same_bits(compiler: str, options: str, emulator: str, tmp_path: Path) -> None:
    for tool in (compiler, *emulator.split()[:1]):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    program = str(tmp_path / "test_frontend")
    (tmp_path / "empty.c").write_text("int main(void) { return 0; }\n")
    empty = [compiler, *options.split(), str(tmp_path / "empty.c"), "-o", program]
    if subprocess.run(empty, capture_output=True).returncode:
        pytest.skip(f"{compiler} lacks a library for {options}")
    warnings = "-std=c11 -ffp-contract=off -Wall -Wextra -Wpedantic -Werror -I."
    command = [compiler, *warnings.split(), *options.split(), *SOURCES, "-o", program, "-lm"]
    built = subprocess.run(command, cwd=CSRC, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([*emulator.split(), program], capture_output=True, text=True)
    if "-march=haswell" in options and ran.returncode == -4:
        pytest.skip("this processor lacks the instructions")
    assert ran.returncode == 0, ran.stdout + ran.stderr
