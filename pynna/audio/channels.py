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


class Remarks:
    """What looks wrong with a recording whose samples come in pieces; the pieces' lengths do not matter.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    """

    _N, _MOST = 1024, 200  # samples of a spectrum; spectra, before only every second frame is looked at

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._n = self._peak = self._n_clipped = self._n_frames = 0
        self._sum = self._squares = 0.0
        self._left = np.zeros(0, np.int16)
        self._power = np.zeros(self._N // 2 + 1)
        self._stride, self._n_looked_at = 1, 0

    @property
    def n_samples(self) -> int:
        """How many there were."""
        return self._n

    def add(self, pcm: Pcm) -> None:
        """The next samples: int16 [n]."""
        if not len(pcm):
            return
        loud = np.abs(pcm.astype(np.int32))
        self._n += len(pcm)
        self._peak = max(self._peak, int(loud.max()))
        self._n_clipped += int(np.count_nonzero(loud >= 32767))
        self._sum += float(pcm.sum(dtype=np.float64))
        self._squares += float(np.square(pcm, dtype=np.float64).sum())
        pcm = np.concatenate([self._left, pcm])
        n_frames = len(pcm) // self._N
        self._left = pcm[n_frames * self._N :].copy()
        frames = pcm[: n_frames * self._N].reshape(-1, self._N)
        at = 0
        while (at := at + -(self._n_frames + at) % self._stride) < n_frames:
            chosen = frames[at :: self._stride][: self._MOST - self._n_looked_at].astype(np.float64)
            self._power += (np.abs(np.fft.rfft(chosen * np.hanning(self._N), axis=1)) ** 2).sum(axis=0)
            self._n_looked_at += len(chosen)
            at += (len(chosen) - 1) * self._stride + 1
            if self._n_looked_at == self._MOST:
                self._stride, self._n_looked_at = 2 * self._stride, 0
        self._n_frames += n_frames

    def told(self, source_rate: int) -> tuple[str, ...]:
        """Silence, clipping, a constant, a rate that its spectrum denies; `source_rate` is the file's, in Hz."""
        if not self._n:
            return ()
        found = []
        if self._peak == 0:
            return ("it is digital silence: is the microphone muted?",)
        if self._peak < 66:
            found.append(f"it is very quiet: its loudest sample is {self._peak} of 32767")
        if self._n_clipped > self._n / 1000:
            found.append(f"it is clipped: {100 * self._n_clipped / self._n:.1f} % of its samples are at the limit")
        mean = self._sum / self._n
        if abs(mean) > 1000 and abs(mean) > 0.3 * (max(0.0, self._squares / self._n - mean**2) ** 0.5 + 1):
            found.append(f"its samples are {mean:+.0f} on average: a constant voltage is in it")
        upper = self._highest_frequency()
        if upper is not None and upper < 0.3 * min(source_rate, self._rate) / 2:
            found.append(f"nothing is in it above {upper:.0f} Hz: is its rate of {source_rate} Hz right?")
        return tuple(found)

    def _highest_frequency(self) -> float | None:
        """The frequency in Hz below which all but a 100,000th of the power is; None for less than half a second."""
        power = np.concatenate([[0.0, 0.0], self._power[2:]])
        total = power.sum()
        if self._n < self._rate // 2 or total <= 0.0:
            return None
        return float(np.searchsorted(np.cumsum(power), (1 - 1e-5) * total) * self._rate / self._N)


def remarks(pcm: Pcm, source_rate: int, sample_rate: int) -> tuple[str, ...]:
    """What looks wrong with a recording, see `Remarks`.

    Parameters
    ----------
    pcm : int16 [n_samples]
    source_rate, sample_rate : int
        The file's rate in Hz, and that of `pcm`.
    """
    found = Remarks(sample_rate)
    found.add(pcm)
    return found.told(source_rate)
