# SPDX-License-Identifier: Apache-2.0
"""What programs take from ``deepspeech.client`` and ``stt.client``: results as text and as JSON, audio at another rate.

All but the constants of DeepSpeech 0.5 and 0.6 takes the metadata of any release.
"""

from __future__ import annotations

import json
import os
from typing import Any

from pynna.audio import load_audio
from pynna.deepspeech.api import CandidateTranscript, Metadata, Model, Pcm, printVersions, version
from pynna.deepspeech.commands import as_json, deepspeech_command, words_of

N_FEATURES, N_CONTEXT, BEAM_WIDTH, LM_ALPHA, LM_BETA = 26, 9, 500, 0.75, 1.85

__all__ = [
    "BEAM_WIDTH",
    "LM_ALPHA",
    "LM_BETA",
    "N_CONTEXT",
    "N_FEATURES",
    "Model",
    "convert_samplerate",
    "main",
    "metadata_json_output",
    "metadata_to_string",
    "printVersions",
    "version",
    "words_from_candidate_transcript",
    "words_from_metadata",
]


def convert_samplerate(audio_path: str | os.PathLike[str], desired_sample_rate: int) -> tuple[int, Pcm]:
    """A recording at another rate: that rate, and int16 [n].

    Raises
    ------
    AudioError
        It cannot be read.
    """
    return desired_sample_rate, load_audio(audio_path, sample_rate=desired_sample_rate).pcm


def metadata_to_string(metadata: CandidateTranscript | Metadata) -> str:
    """The text of a hypothesis, or of the best one."""
    return "".join(token.text for token in _hypothesis(metadata).tokens)


def words_from_candidate_transcript(metadata: CandidateTranscript | Metadata) -> list[dict[str, Any]]:
    """A hypothesis' words: each with ``word``, ``start_time`` and ``duration`` in seconds."""
    return words_of(_hypothesis(metadata))


words_from_metadata = words_from_candidate_transcript


def metadata_json_output(metadata: Metadata) -> str:
    """All hypotheses and their words as JSON."""
    return json.dumps(as_json(metadata), indent=2)


def main() -> None:
    """The command ``deepspeech``."""
    raise SystemExit(deepspeech_command())


def _hypothesis(metadata: CandidateTranscript | Metadata) -> CandidateTranscript:
    if isinstance(metadata, CandidateTranscript):
        return metadata
    return metadata.transcripts[0] if metadata.transcripts else CandidateTranscript([], 0.0)
