# SPDX-License-Identifier: Apache-2.0
"""PCM that comes in pieces as a model takes it: any rate and width, up to 8 channels, pieces that end anywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pynna.audio.channels import Mixer
from pynna.audio.pcm import FULL_SCALE, Pcm, check_floats, to_int16
from pynna.errors import AudioError

RATES, WIDTHS, CHANNELS = range(4000, 192001), (1, 2, 3, 4), range(1, 9)
_EMPTY: npt.NDArray[np.float64] = np.zeros(0)


class PcmConverter:
    """Pieces of one stream, in order, as int16 PCM of one channel at the model's rate.

    A piece may end within a sample or a frame: what is left over waits for the next one. Channels are mixed down to
    their mean; as long as two take each other's sound away, the one with the most power counts. The rate is converted
    by linear interpolation behind a moving average, whose state goes on from piece to piece.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._form: tuple[int, int, int, bool] | None = None
        self._left = b""
        self._mixer = Mixer(1)
        self._waiting, self._at, self._n_seen = _EMPTY, 0.0, 0

    @property
    def n_left(self) -> int:
        """Bytes of an unfinished frame that wait."""
        return len(self._left)

    @property
    def is_cancelled(self) -> bool:
        """Whether two channels take each other's sound away, so that one of them is taken alone."""
        return self._form is not None and self._form[2] == 2 and self._mixer.is_cancelled

    def convert(self, data: bytes, sample_rate: int, width: int, channels: int, floats: bool = False) -> bytes:
        """The PCM of a piece, little-endian.

        Parameters
        ----------
        data : bytes
            Of little-endian integers, of one byte without a sign.
        sample_rate : int
            In Hz, 4000 to 192000.
        width, channels : int
            Bytes of a sample, 1 to 4; 1 to 8 channels.
        floats : bool
            The samples are floats in [-1, 1], of four bytes, and no integers.

        Raises
        ------
        AudioError
            A form that no microphone has, or another one than that of the piece before.
        """
        form = (sample_rate, width, channels, floats)
        if sample_rate not in RATES or width not in WIDTHS or channels not in CHANNELS:
            raise AudioError(
                f"audio must have 4000 to 192000 Hz, 1 to 4 bytes and 1 to 8 channels, got {sample_rate} Hz, "
                f"{width} bytes and {channels} channels"
            )
        if self._form not in (None, form):
            raise AudioError(f"the audio's form must stay {self._form} within a stream, got {form}")
        if self._form is None:
            self._mixer = Mixer(channels)
        self._form = form
        frame = width * channels
        data = self._left + data
        whole = len(data) // frame * frame
        self._left = data[whole:]
        if width == 2 and channels == 1 and sample_rate == self._sample_rate:
            return data[:whole]
        block = _samples(data[:whole], width, floats).reshape(-1, channels)
        (mono,) = self._mixer.mix([block])
        if self.is_cancelled:
            mono = block[:, self._mixer.louder]
        return self._resampled(mono, sample_rate).astype("<i2").tobytes()

    def _resampled(self, mono: npt.NDArray[np.float64], sample_rate: int) -> Pcm:
        if sample_rate == self._sample_rate:
            return to_int16(mono)
        step = sample_rate / self._sample_rate
        width = max(1, round(step))  # of the moving average that keeps what folds back down
        mono = np.concatenate([self._waiting, mono])
        n_ready = len(mono) - width
        if n_ready < 1:
            self._waiting = mono
            return np.zeros(0, np.int16)
        smooth = np.convolve(mono, np.full(width, 1.0 / width), "valid") if width > 1 else mono
        places = np.arange(self._at, len(smooth) - 1, step)
        made = np.interp(places, np.arange(len(smooth)), smooth)
        following = self._at + len(places) * step
        used = min(int(following), len(mono))
        self._waiting, self._at = mono[used:], following - used
        return to_int16(made)


def _samples(data: bytes, width: int, floats: bool) -> npt.NDArray[np.float64]:
    """Samples in int16's range."""
    if floats:
        found = np.frombuffer(data, "<f4")
        check_floats(found, "samples", 0)
        return np.clip(found.astype(np.float64), -1.0, 1.0) * FULL_SCALE
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128.0) * 256.0
    if width == 3:  # into the three upper bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    scale = 1.0 if width == 2 else 1.0 / 65536.0
    return np.frombuffer(data, f"<i{width}").astype(np.float64) * scale
