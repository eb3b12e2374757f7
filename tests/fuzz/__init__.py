# SPDX-License-Identifier: Apache-2.0
"""Fuzzing: `python -m tests.fuzz` for what Python reads, `make -C csrc fuzz` for the C core."""
