# SPDX-License-Identifier: Apache-2.0
"""For Ray Data: `pynna.ray.Transcriber`."""

from pynna.archive.ray import Transcriber, transcribe_folder

__all__ = ["Transcriber", "transcribe_folder"]
