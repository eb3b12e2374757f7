# SPDX-License-Identifier: Apache-2.0
"""Voices for testing only: RHVoice and MBROLA."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pynna.train.voices.base import Pcm, read


def test_voice(text: str, voice: str, speed: float = 1.0) -> Pcm:
    """Speak with a voice for testing only: ``rhvoice:alan``, ``mbrola:us1``, ..."""
    engine, _, name = voice.partition(":")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "rhvoice":
            command = ["RHVoice-test", "-p", name, "-r", str(int(100 * speed)), "-o", file.name]
            subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        else:
            command = ["espeak-ng", "-v", f"mb-{name}", "-s", str(int(150 * speed)), "-w", file.name, text]
            subprocess.run(command, check=True, capture_output=True)
        return read(Path(file.name))
