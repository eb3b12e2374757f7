# SPDX-License-Identifier: Apache-2.0
"""The names that programs take from ``deepspeech.impl`` and ``stt.impl``: classes of results, and functions."""

from __future__ import annotations

from pynna.deepspeech.api import CandidateTranscript, Metadata, MetadataItem, TokenMetadata, printVersions, version
from pynna.deepspeech.api import freeStream as FreeStream

Version, PrintVersions = version, printVersions

__all__ = [
    "CandidateTranscript",
    "FreeStream",
    "Metadata",
    "MetadataItem",
    "PrintVersions",
    "TokenMetadata",
    "Version",
]
