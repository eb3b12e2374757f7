# SPDX-License-Identifier: Apache-2.0
"""pico, the synthesiser of old Android telephones."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pynna.train.voices.base import Pcm, read


def pico(text: str, voice: str, speed: int, pitch: int, volume: int = 100) -> Pcm:
    """Speak with pico, voice en-US or en-GB, speed and pitch in percent."""
    marked = f"<speed level='{speed}'><pitch level='{pitch}'><volume level='{volume}'>{text}</volume></pitch></speed>"
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["pico2wave", "-l", voice, "-w", file.name, marked], check=True, capture_output=True)
        return read(Path(file.name))
