# SPDX-License-Identifier: Apache-2.0
"""Audio to text through the C core, the way a stream does it: frames, steps of the mapped network, beam search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import Core, MappedModel

Array = NDArray[Any]

FRAMES_A_TIME = 1024  # fed to the beam search between two takings of what it has committed


@dataclass(frozen=True)
class Heard:
    """What a decoder made of a recording.

    Attributes
    ----------
    text : str
    frames : list of int
        For each character the frame where it is most probable.
    cost : float
        Minus the natural logarithm of the text's probability.
    margin : float or None
        By how much the next best text is less probable, in nats; None where there is none, or it is not known.
    """

    text: str
    frames: list[int]
    cost: float
    margin: float | None = None


class BeamSearch:
    """pynna_ctc with DeepSpeech 0.5.1's settings; `alphabet` is without the blank, which is the last label."""

    def __init__(self, core: Core, alphabet: Sequence[str], beam: int = 500) -> None:
        self.core, self.alphabet = core, tuple(alphabet)
        config = core.ffi.new("pynna_ctc_config *")
        core.lib.pynna_ctc_defaults(len(alphabet) + 1, config)
        config.beam = beam
        config.n_nodes = max(config.n_nodes, 64 + 32 * beam)
        size = core.lib.pynna_ctc_size(config)
        self.memory, self.pointer = core.built("ctc", size, config)
        self.tokens = core.ffi.new("pynna_ctc_token[]", int(config.n_nodes + config.max_frames))

    def __call__(self, log_probs: Array) -> Heard:
        """Decodes float32 [frames, labels] from the start of a stream."""
        lib, ffi = self.core.lib, self.core.ffi
        self.core.check(lib.pynna_ctc_reset(self.pointer))
        committed: list[tuple[int, int]] = []
        for start in range(0, len(log_probs), FRAMES_A_TIME):
            part = np.ascontiguousarray(log_probs[start : start + FRAMES_A_TIME], np.float32)
            self.core.check(lib.pynna_ctc_feed(self.pointer, ffi.from_buffer("float[]", part), len(part)))
            committed += self._take()
        self.core.check(lib.pynna_ctc_finish(self.pointer))
        tails = self._best(2)
        tokens = committed + tails[0][1]
        return Heard(
            "".join(self.alphabet[label] for label, _ in tokens),
            [frame for _, frame in tokens],
            -tails[0][0],
            tails[0][0] - tails[1][0] if len(tails) > 1 else None,
        )

    def _tokens(self, first: int, n: int) -> list[tuple[int, int]]:
        return [(int(self.tokens[i].label), int(self.tokens[i].frame)) for i in range(first, first + n)]

    def _take(self) -> list[tuple[int, int]]:
        n = self.core.ffi.new("int32_t *")
        self.core.check(self.core.lib.pynna_ctc_take(self.pointer, len(self.tokens), self.tokens, n))
        return self._tokens(0, n[0])

    def _best(self, n: int) -> list[tuple[float, list[tuple[int, int]]]]:
        """Scores and tails of the n best hypotheses."""
        found = self.core.ffi.new("pynna_ctc_hypothesis[]", n)
        n_found, n_tokens = self.core.ffi.new("int32_t *"), self.core.ffi.new("int32_t *")
        self.core.check(
            self.core.lib.pynna_ctc_nbest(self.pointer, n, found, n_found, len(self.tokens), self.tokens, n_tokens)
        )
        return [(float(h.score), self._tokens(h.first, h.n_tokens)) for h in found[0 : n_found[0]]]


class Windows:
    """pynna_frames: PCM in chunks to context windows."""

    def __init__(self, model: MappedModel, n_queue: int = 16) -> None:
        self.core, g = model.core, model.geometry
        self.shape = (2 * g.n_context + 1, int(g.n_coefficients))
        self.n_queue = n_queue
        self._mfcc_memory, self.mfcc = model.mfcc()
        self.scratch = self.core.allocate(self.core.lib.pynna_mfcc_scratch_size(self.mfcc))
        size = self.core.lib.pynna_frames_size(self.mfcc, g.n_context, n_queue)
        self.memory, self.pointer = self.core.built("frames", size, self.mfcc, g.n_context, n_queue)

    def __call__(self, pcm: Array, chunks: Iterable[int] = ()) -> Array:
        """All windows of a recording, float32 [n, 19, 26], fed in chunks of these sizes and the rest at once."""
        lib = self.core.lib
        lib.pynna_frames_reset(self.pointer)
        rows: list[Array] = []
        start = 0
        for size in [*chunks, len(pcm)]:
            self._feed(pcm[start : start + size], rows)
            start += size
        self.core.check(lib.pynna_frames_finish(self.pointer, self.mfcc, self.scratch))
        self._read(rows)
        return np.stack(rows)

    def _feed(self, chunk: Array, rows: list[Array]) -> None:
        ffi = self.core.ffi
        consumed = ffi.new("size_t *")
        chunk = np.ascontiguousarray(chunk, np.int16)
        while len(chunk):
            samples = ffi.from_buffer("int16_t[]", chunk)
            self.core.check(
                self.core.lib.pynna_frames_feed(self.pointer, self.mfcc, samples, len(chunk), consumed, self.scratch)
            )
            chunk = chunk[consumed[0] :]
            self._read(rows)

    def _read(self, rows: list[Array]) -> None:
        while self.core.lib.pynna_frames_ready(self.pointer):
            x = np.empty(self.shape, np.float32)
            out = self.core.ffi.from_buffer("float[]", x, require_writable=True)
            self.core.check(self.core.lib.pynna_frames_window(self.pointer, out))
            rows.append(x)


class Network:
    """The mapped network over one recording at a time, from a fresh state."""

    def __init__(self, model: MappedModel, isa: str | None = None) -> None:
        self.core, self.model = model.core, model
        ffi, lib = self.core.ffi, self.core.lib
        name = ffi.NULL if isa is None else ffi.new("char[]", isa.encode())
        size = lib.pynna_workspace_size(model.pointer, 16)
        self._memory, self.pointer = self.core.built("workspace", size, model.pointer, 16, name)

    def __call__(self, x: Array) -> Array:
        """Windows [n, 19, 26] to log-probabilities [n, labels]."""
        g, ffi = self.model.geometry, self.core.ffi
        c, h = np.zeros(g.n_cell, np.int16), np.zeros(g.n_cell, np.int8)
        out = np.empty((len(x), g.n_labels), np.float32)
        x = np.ascontiguousarray(x, np.float32)
        state = [
            ffi.from_buffer("int16_t[]", c, require_writable=True),
            ffi.from_buffer("int8_t[]", h, require_writable=True),
        ]
        channel = ffi.new(
            "pynna_channel *",
            {
                "x": ffi.from_buffer("float[]", x),
                "x_stride": x[0].size,
                "c_in": state[0],
                "h_in": state[1],
                "c_out": state[0],
                "h_out": state[1],
                "log_probs": ffi.from_buffer("float[]", out, require_writable=True),
            },
        )
        self.core.check(self.core.lib.pynna_step(self.pointer, ffi.NULL, 1, len(x), channel))
        return out
