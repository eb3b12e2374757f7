# SPDX-License-Identifier: Apache-2.0
"""How fast pynna is on this machine, and whether it says what DeepSpeech says. ``python -m bench --help`` tells more.

The C core is built by its own Makefile and reached through cffi; what is timed is timed in C (driver.c).
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# `python -m bench` puts the repository first on the path, where pynna has no compiled part unless it was built in
# place: then the installed package is meant.
if not any((ROOT / "pynna" / f"_core{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
