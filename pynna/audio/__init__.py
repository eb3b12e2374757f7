# SPDX-License-Identifier: Apache-2.0
"""Audio: files and arrays to PCM, noise taken out, the local microphone."""

from pynna.audio.files import load_audio, read
from pynna.audio.pcm import Audio, as_pcm, from_array

__all__ = ["Audio", "as_pcm", "from_array", "load_audio", "read"]
