# SPDX-License-Identifier: Apache-2.0
"""Several channels to one: the mean, unless it loses what was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pynna.audio.pcm import Floats, Pcm
from pynna.errors import AudioError

CANCELLED = 0.1
"""Share of the channels' power below which their mean has lost what they have: then they are inverted copies."""

Channel = int | str | None


def channel_index(channel: Channel, n_channels: int, name: str) -> int | None:
    """The channel that is asked for, from 0; None for a mixture.

    Parameters
    ----------
    channel : int, "left", "right" or None
        A number counts from 1.
    n_channels : int
    name : str
        The file's, for messages.

    Raises
    ------
    AudioError
        There is no such channel.
    """
    if channel is None:
        return None
    number = {"left": 1, "right": 2}.get(channel, channel) if isinstance(channel, str) else channel
    if isinstance(number, str) and number.isdecimal():
        number = int(number)
    if not isinstance(number, int) or not 1 <= number <= n_channels:
        raise AudioError(f"{name}: channel must be left, right or 1 to {n_channels}, got {channel!r}")
    return number - 1


class Mixer:
    """Mixes blocks down to one channel as they come; looks at the power of each channel meanwhile.

    Attributes
    ----------
    louder : int
        The channel with the most power.
    """

    def __init__(self, n_channels: int) -> None:
        self._power = np.zeros(n_channels)
        self._mixed = 0.0

    def mix(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Blocks [n, n_channels] to [n]."""
        for block in blocks:
            mean = block.mean(axis=1)
            self._power += np.square(block).sum(axis=0)
            self._mixed += float(np.square(mean).sum())
            yield mean

    @property
    def louder(self) -> int:
        return int(np.argmax(self._power))

    @property
    def is_cancelled(self) -> bool:
        """Whether the channels take each other's sound away."""
        best = float(self._power.max(initial=0.0))
        return len(self._power) > 1 and best > 0.0 and self._mixed < CANCELLED * float(self._power.mean())


def remarks(pcm: Pcm, source_rate: int, sample_rate: int) -> tuple[str, ...]:
    """What looks wrong with a recording: silence, clipping, a constant, a rate that its spectrum denies.

    Parameters
    ----------
    pcm : int16 [n_samples]
    source_rate, sample_rate : int
        The file's rate in Hz, and that of `pcm`.
    """
    if not len(pcm):
        return ()
    found = []
    peak = int(np.abs(pcm.astype(np.int32)).max())
    if peak == 0:
        return ("it is digital silence: is the microphone muted?",)
    if peak < 66:
        found.append(f"it is very quiet: its loudest sample is {peak} of 32767")
    n_clipped = int(np.count_nonzero(np.abs(pcm.astype(np.int32)) >= 32767))
    if n_clipped > len(pcm) / 1000:
        found.append(f"it is clipped: {100 * n_clipped / len(pcm):.1f} % of its samples are at the limit")
    mean = float(pcm.mean())
    if abs(mean) > 1000 and abs(mean) > 0.3 * float(pcm.astype(np.float64).std() + 1):
        found.append(f"its samples are {mean:+.0f} on average: a constant voltage is in it")
    if (upper := _highest_frequency(pcm, sample_rate)) is not None and upper < 0.3 * min(source_rate, sample_rate) / 2:
        found.append(f"nothing is in it above {upper:.0f} Hz: is its rate of {source_rate} Hz right?")
    return tuple(found)


def _highest_frequency(pcm: Pcm, sample_rate: int) -> float | None:
    """The frequency in Hz below which all but a 100,000th of the power is; None for less than half a second."""
    if len(pcm) < sample_rate // 2:
        return None
    n = 1024
    frames = pcm[: len(pcm) // n * n].reshape(-1, n).astype(np.float64)
    step = max(1, len(frames) // 200)
    power = (np.abs(np.fft.rfft(frames[::step] * np.hanning(n), axis=1)) ** 2).sum(axis=0)
    power[:2] = 0.0
    total = power.sum()
    if total <= 0.0:
        return None
    return float(np.searchsorted(np.cumsum(power), (1 - 1e-5) * total) * sample_rate / n)
