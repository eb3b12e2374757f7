# SPDX-License-Identifier: Apache-2.0
"""WebSocket frames as a client sends them, right or wrong."""

from __future__ import annotations

import zlib

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def frame(
    opcode: int,
    data: bytes,
    *,
    mask: bytes | None = b"\1\2\3\4",
    length: int | None = None,
    first: int = 0x80,
    wide: int = 0,
) -> bytes:
    """One frame; `length` is what it says of itself, `wide` the least bytes that it says it in (0, 2 or 8)."""
    told = len(data) if length is None else length
    size = max(wide, 0 if told < 126 else 2 if told < 65536 else 8)
    head = bytes([first | opcode, (0x80 if mask else 0) | {0: told & 127, 2: 126, 8: 127}[size]])
    head += told.to_bytes(size, "big") if size else b""
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data
    return head + (mask or b"") + masked


def bomb() -> bytes:
    """A hundred megabytes of zeros, deflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100))
    return (packed + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
