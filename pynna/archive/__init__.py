# SPDX-License-Identifier: Apache-2.0
"""Archives: many recordings of any length on all cores, and more machines."""

from pynna.archive.transcribe import Progress, Transcript, transcribe_files

__all__ = ["Progress", "Transcript", "transcribe_files"]
