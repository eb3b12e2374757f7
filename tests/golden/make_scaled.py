# SPDX-License-Identifier: Apache-2.0
"""Makes scaled.npz: weights of 4 bits with scales, packed as csrc/doc/formats.md says, and their products.

    python tests/golden/make_scaled.py

Number by number, in whole numbers of Python's; nothing of pynna's.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

ROWS, COLUMNS, CHANNELS = (
    35,
    531,
    3,
)  # three blocks; nine spans, the last of 19 columns


def main() -> None:
    """Writes the file beside this one."""
    rng = random.Random(64)
    blocks, lines = -(-ROWS // 16), -(-COLUMNS // 8)
    block_lines = lines + -(-lines // 32)
    packed = bytearray(blocks * block_lines * 64)
    values = [[rng.choice((-7, 7, 0, rng.randint(-7, 7))) for _ in range(COLUMNS)] for _ in range(ROWS)]
    scales = [[rng.choice((1, 16, rng.randint(1, 16))) for _ in range(-(-COLUMNS // 64))] for _ in range(ROWS)]
    for r in range(blocks * 16):
        for k in range(0, lines * 8, 64):
            place = (r // 16 * block_lines + k // 256 * 33) * 64 + k // 64 % 4 * 16 + r % 16
            packed[place] = scales[r][k // 64] if r < ROWS else 1
    for r in range(ROWS):
        for k in range(COLUMNS):
            line = r // 16 * block_lines + k // 256 * 33 + 1 + k // 8 % 32
            half = values[r][k] % 16
            packed[(line * 16 + r % 16) * 4 + k % 4] |= half << 4 if k % 8 >= 4 else half
    u = [[rng.choice((0, 255, rng.randint(0, 255))) for _ in range(COLUMNS)] for _ in range(CHANNELS)]
    sums = [[sum(values[r][k] * scales[r][k // 64] * row[k] for k in range(COLUMNS)) for r in range(ROWS)] for row in u]
    np.savez_compressed(
        Path(__file__).with_name("scaled.npz"),
        values=np.array(values, np.int8),
        scales=np.array(scales, np.int8),
        packed=np.frombuffer(bytes(packed), np.int8),
        u=np.array(u, np.uint8),
        sums=np.array(sums, np.int32),
    )


if __name__ == "__main__":
    main()
