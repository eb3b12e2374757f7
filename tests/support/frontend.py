# SPDX-License-Identifier: Apache-2.0
"""pynna_mfcc and pynna_frames with NumPy arrays around them, for the tests of the front end."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

DEEPSPEECH = {"sample_rate": 16000, "window": 512, "step": 320, "n_coefficients": 26, "n_mel": 40, "lower_hz": 20.0}


class Mfcc:
    """A pynna_mfcc in memory of its own."""

    def __init__(self, lib: Any, ffi: FFI, allocate: Callable[[int], Any], upper_hz: float = 4000.0, **changes: float):
        self.lib, self.ffi = lib, ffi
        self.config = ffi.new("pynna_mfcc_config *", {**DEEPSPEECH, "upper_hz": upper_hz, **changes})
        size = lib.pynna_mfcc_size(self.config)
        self.memory = allocate(size)
        out = ffi.new("const pynna_mfcc **")
        assert lib.pynna_mfcc_init(self.memory, size, self.config, out) == lib.PYNNA_OK
        self.pointer = out[0]
        self.scratch = allocate(lib.pynna_mfcc_scratch_size(self.pointer))

    def __call__(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """[frames, n_coefficients] of the whole frames in pcm."""
        window, step = self.config.window, self.config.step
        starts = range(0, len(pcm) - window + 1, step)
        out = np.empty((len(starts), self.config.n_coefficients), np.float32)
        for row, start in zip(out, starts, strict=True):
            frame = self.ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm[start : start + window]))
            status = self.lib.pynna_mfcc_frame(
                self.pointer, frame, self.ffi.from_buffer("float[]", row, require_writable=True), self.scratch
            )
            assert status == self.lib.PYNNA_OK
        return out


class Frames:
    """A pynna_frames over an Mfcc."""

    def __init__(self, mfcc: Mfcc, allocate: Callable[[int], Any], n_context: int = 9, n_queue: int = 16):
        self.lib, self.ffi, self.mfcc = mfcc.lib, mfcc.ffi, mfcc
        self.shape = (2 * n_context + 1, int(mfcc.config.n_coefficients))
        self.size = self.lib.pynna_frames_size(mfcc.pointer, n_context, n_queue)
        self.memory = allocate(self.size)
        out = self.ffi.new("pynna_frames **")
        status = self.lib.pynna_frames_init(self.memory, self.size, mfcc.pointer, n_context, n_queue, out)
        assert status == self.lib.PYNNA_OK
        self.pointer = out[0]

    def feed(self, pcm: NDArray[np.int16]) -> tuple[int, int]:
        """The status and the number of samples consumed."""
        consumed = self.ffi.new("size_t *")
        pcm = np.ascontiguousarray(pcm)
        samples = self.ffi.from_buffer("int16_t[]", pcm) if len(pcm) else self.ffi.NULL
        status = self.lib.pynna_frames_feed(
            self.pointer, self.mfcc.pointer, samples, len(pcm), consumed, self.mfcc.scratch
        )
        return status, consumed[0]

    def finish(self) -> int:
        return int(self.lib.pynna_frames_finish(self.pointer, self.mfcc.pointer, self.mfcc.scratch))

    def ready(self) -> int:
        return int(self.lib.pynna_frames_ready(self.pointer))

    def read(self) -> list[NDArray[np.float32]]:
        """All windows that are ready, each [2 * n_context + 1, n_coefficients]."""
        windows = []
        while self.ready():
            x = np.empty(self.shape, np.float32)
            status = self.lib.pynna_frames_window(self.pointer, self.ffi.from_buffer("float[]", x.reshape(-1)))
            assert status == self.lib.PYNNA_OK
            windows.append(x)
        return windows

    def run(self, pcm: NDArray[np.int16], chunks: Sequence[int] = ()) -> NDArray[np.float32]:
        """All windows of pcm, fed in chunks of the given sizes in turn (the last takes the rest), then finished."""
        windows = []
        bounds = [*np.minimum(np.cumsum(np.asarray(chunks, np.int64)), len(pcm)), len(pcm)]
        start = 0
        for end in bounds:
            while start < end:
                status, consumed = self.feed(pcm[start:end])
                assert status == self.lib.PYNNA_OK and consumed > 0
                start += consumed
                windows += self.read()
        assert self.finish() == self.lib.PYNNA_OK
        return np.stack(windows + self.read())
