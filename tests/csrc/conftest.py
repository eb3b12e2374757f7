# SPDX-License-Identifier: Apache-2.0
"""The C core as its users get it: built by its own Makefile, reached through csrc/pynna.h alone."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI

CSRC = Path(__file__).resolve().parents[2] / "csrc"


@pytest.fixture(scope="session")
def ffi() -> FFI:
    """cffi with every declaration of pynna.h; its preprocessor lines, and what only C++ sees, are left out."""
    header = (CSRC / "pynna.h").read_text()
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    header = re.sub(r"^\s*#.*$", "", header, flags=re.MULTILINE)
    parsed = FFI()
    parsed.cdef(header)
    return parsed


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libpynna.a and libpynna.so, freshly built."""
    build = tmp_path_factory.mktemp("csrc")
    made = subprocess.run(["make", "-C", str(CSRC), f"BUILD={build}", "-j2"], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return build


@pytest.fixture(scope="session")
def lib(ffi: FFI, built: Path) -> Any:
    """libpynna.so, freshly built."""
    return ffi.dlopen(str(built / "libpynna.so"))


@pytest.fixture(scope="session")
def allocate(ffi: FFI) -> Callable[[int], Any]:
    """A function that returns `size` bytes aligned to 64, as char[size]; they live as long as the returned object."""

    def allocate_aligned(size: int) -> Any:
        block = np.zeros(size + 64, np.uint8)
        offset = -block.ctypes.data % 64
        return ffi.from_buffer("char[]", block[offset : offset + size])

    return allocate_aligned
