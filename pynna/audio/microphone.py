# SPDX-License-Identifier: Apache-2.0
"""The local microphone, through PortAudio (extra ``mic``)."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

from pynna.errors import AudioError

CHUNK = 0.02
"""Seconds of a chunk."""


def require_sounddevice() -> Any:
    """The module.

    Raises
    ------
    AudioError
        It is not installed, or PortAudio is not.
    """
    try:
        import sounddevice

        return sounddevice
    except ImportError:
        raise AudioError("a microphone needs sounddevice: pip install 'pynna[mic]'") from None
    except OSError as error:  # the package is there and PortAudio's library is not
        raise AudioError(f"a microphone needs PortAudio (Debian: libportaudio2): {error}") from None


def open_microphone(heard: Callable[[bytes], None], sample_rate: int, device: int | str | None = None) -> Any:
    """A running input stream, int16 and mono, that hands chunks of 20 ms to `heard`, in a thread of its own.

    Returns
    -------
    sounddevice.RawInputStream
        Close it, or use it in a ``with``.

    Raises
    ------
    AudioError
        No PortAudio, no such device, or it does not do the rate.
    """
    sounddevice = require_sounddevice()
    try:
        stream = sounddevice.RawInputStream(
            samplerate=sample_rate,
            channels=1,
            dtype="int16",
            device=device,
            blocksize=round(sample_rate * CHUNK),
            callback=lambda data, *_: heard(bytes(data)),
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(f"the microphone cannot be opened at {sample_rate} Hz: {error}") from None
    return stream


def chunks(sample_rate: int, device: int | str | None = None) -> Iterator[bytes]:
    """The microphone's chunks, until the caller has enough; raises AudioError as `open_microphone`."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with open_microphone(waiting.put, sample_rate, device):
        while True:
            yield waiting.get()
