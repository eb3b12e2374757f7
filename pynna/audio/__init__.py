"""Audio: files and arrays to PCM, noise taken out, the local microphone."""

from pynna.audio.files import Audio, as_pcm, from_array, load_audio, read

__all__ = ["Audio", "as_pcm", "from_array", "load_audio", "read"]
