# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM: the kernels of NEON give the reference's bits, and are found where the processor has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
ROOT = Path("/usr/arm-linux-gnueabihf")
TOOLS = "arm-linux-gnueabihf-gcc", "qemu-arm"

pytestmark = pytest.mark.skipif(
    not (all(map(shutil.which, TOOLS)) and (ROOT / "lib/libc.so.6").exists()),
    reason="needs gcc-arm-linux-gnueabihf, libc6-dev-armhf-cross and qemu-user",
)

PROGRAM = r"""
#include "model.h"
#include <stdio.h>
#include <string.h>
enum { BLOCKS = 3, GROUPS = 14 + 64, COLUMNS = 5, STRIDE = 4 * GROUPS + 5 };
static int8_t weights[BLOCKS * GROUPS * 64];
static uint8_t u[COLUMNS * STRIDE];
static int32_t sums[BLOCKS * 16], acc[2][BLOCKS * COLUMNS * 16];
int main(void)
{
    uint32_t x = 7;
    printf("%s\n", pynna_isa_default());
    for (int kind = 0; kind < 3 && pynna_isa_available(1); kind++) {
        memset(sums, 0, sizeof sums);
        const int bits = kind ? 4 : 8, layout = kind == 2, lines = GROUPS * bits / 8 + (layout ? 2 : 0);
        for (int i = 0; i < BLOCKS * lines * 64; i++) {
            const int w = (int)((x = x * 1664525u + 1013904223u) >> 24) - 128;
            weights[i] = (int8_t)(layout && i / 64 % lines % 33 == 0 ? 1 + (w & 15) : w | 0x11); /* nowhere the least */
        }
        for (int i = 0; i < BLOCKS * GROUPS * 64; i++) {
            const int8_t *block = weights + i / (GROUPS * 64) * lines * 64;
            int8_t room[64];
            const int8_t *group = pn_group_weights(block, i / 64 % GROUPS, bits, layout, room);
            sums[i / (GROUPS * 64) * 16 + i / 4 % 16] += group[i % 64];
        }
        for (int i = 0; i < COLUMNS * STRIDE; i++)
            u[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
        for (int n = 1; n <= COLUMNS; n++) {
            if (pynna_mac("ref", weights, bits, layout, sums, BLOCKS, GROUPS, u, STRIDE, n, acc[0])
                || pynna_mac("neon", weights, bits, layout, sums, BLOCKS, GROUPS, u, STRIDE, n, acc[1]))
                return 1;
            printf("%s", memcmp(acc[0], acc[1], sizeof acc[0]) ? "other bits\n" : "");
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For an ARMv7 that need not have NEON."""
    build = tmp_path_factory.mktemp("armhf")
    (build / "program.c").write_text(PROGRAM)
    flags = ["-march=armv7-a+fp", "-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}"]
    sources = [build / "program.c", *sorted(CSRC.glob("*.c"))]
    command = ["arm-linux-gnueabihf-gcc", *flags, *sources, "-lm", "-pthread", "-o", build / "program"]
    subprocess.run(command, check=True)
    return build / "program"


@pytest.mark.parametrize(("cpu", "isa"), [("cortex-a7", "neon"), ("cortex-a15", "neon"), ("cortex-a7,neon=off", "ref")])
def test_neon_is_found_and_gives_the_references_bits(program: Path, cpu: str, isa: str) -> None:
    told = subprocess.run(["qemu-arm", "-L", ROOT, "-cpu", cpu, program], capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout) == (0, f"{isa}\n"), told.stderr


def test_armv6_builds(tmp_path: Path) -> None:
    for source in ("isa.c", "mac_array_neon.c", "mac_array_ref.c"):
        flags = ["-march=armv6+fp", "-marm", "-mfloat-abi=hard", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-c"]
        subprocess.run(["arm-linux-gnueabihf-gcc", *flags, CSRC / source, "-o", tmp_path / "out.o"], check=True)
