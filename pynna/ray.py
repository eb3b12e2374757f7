# SPDX-License-Identifier: Apache-2.0
"""For Ray Data: `pynna.ray.Transcriber`."""

from pynna.archive.ray import Report, Transcriber, transcribe_archive

__all__ = ["Report", "Transcriber", "transcribe_archive"]
