# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_CHANNELS: int
MAX_THREADS: int
QUEUE: int

def version() -> str: ...
def compiler() -> str: ...
def instruction_sets() -> list[tuple[str, bool]]: ...
def default_isa() -> str | None: ...

class MappedModel:
    geometry: dict[str, Any]
    def __init__(self, path: str) -> None: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def label_priors(self) -> npt.NDArray[np.float32]: ...
    @property
    def feature_gain(self) -> npt.NDArray[np.float32]: ...
    @property
    def metadata(self) -> bytes: ...
    @property
    def layers(self) -> list[dict[str, Any]]: ...
    def features(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]: ...

class Runner:
    threads: int
    def __init__(self, model: MappedModel, threads: int, isa: str | None = None, max_columns: int = 32) -> None: ...
    @property
    def usable(self) -> bool: ...
    @property
    def isa(self) -> str: ...
    def step(
        self, x: npt.NDArray[np.float32], c: npt.NDArray[np.int16], h: npt.NDArray[np.int8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16], npt.NDArray[np.int8]]: ...
    def advance(self, channels: list[Channel], n_steps: int) -> None: ...

class Channel:
    decoder: Decoder
    state: tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]
    @property
    def speech(self) -> npt.NDArray[np.float32]: ...
    log: npt.NDArray[np.float32] | None
    frames_block: bytes
    def __init__(self, model: MappedModel, decoder: Decoder, max_log: int = 0) -> None: ...
    @property
    def ready(self) -> int: ...
    def feed(self, pcm: npt.NDArray[np.int16]) -> int: ...
    def finish(self) -> None: ...

class Decoder:
    n_labels: int
    committed: list[tuple[int, int, int, float]]
    def feed(self, log_probs: npt.NDArray[np.float32]) -> None: ...
    def tails(self, n: int) -> list[tuple[float, list[tuple[int, int, int, float]]]]: ...
    def finish(self) -> None: ...

class Collector(Decoder):
    def __init__(self, n_labels: int) -> None: ...
    def take(self) -> list[npt.NDArray[np.float32]]: ...

class GreedyDecoder(Decoder):
    def __init__(self, n_labels: int, blank: int) -> None: ...

class Words:
    def __init__(
        self,
        n_labels: int,
        space: int,
        *,
        vocabulary: tuple[npt.NDArray[np.int32], ...] | None = None,
        outside: float = ...,
        outside_letter: float = 0.0,
        unfinished: float = -1000.0,
        score: Callable[[int, int], tuple[float, int]] | None = None,
        most: float = 0.0,
    ) -> None: ...
    def score_of(self, labels: Sequence[int]) -> float: ...

class BeamDecoder(Decoder):
    words: Words | None
    def __init__(
        self,
        n_labels: int,
        blank: int,
        beam_width: int,
        cutoff_prob: float = 1.0,
        cutoff_top_n: int = 40,
        score_margin: float = ...,
        label_bias: npt.NDArray[np.float32] | None = None,
        n_nodes: int = 0,
        words: Words | None = None,
    ) -> None: ...
    def set_hot_words(
        self, next: npt.NDArray[np.int32], bonus: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
    ) -> None: ...
    @property
    def stats(self) -> dict[str, int]: ...

class Graph:
    n_labels: int
    n_states: int
    n_arcs: int
    n_bytes: int
    def __init__(
        self,
        first_arc: npt.NDArray[np.int32],
        arc_label: npt.NDArray[np.int32],
        arc_next: npt.NDArray[np.int32],
        is_final: npt.NDArray[np.uint8],
        start: int,
        n_labels: int,
    ) -> None: ...
    @staticmethod
    def from_bytes(data: bytes) -> Graph: ...
    def to_bytes(self) -> bytes: ...

class GraphBuilder:
    def __init__(self, max_states: int, space: int) -> None: ...
    def end(self) -> int: ...
    def before(self, labels: npt.NDArray[np.int32], then: int) -> int: ...
    def texts(self, labels: npt.NDArray[np.int32], ends: npt.NDArray[np.int32], then: int) -> int: ...
    def union(self, states: npt.NDArray[np.int32]) -> int: ...
    def strip(self, state: int) -> int: ...
    def arrays(
        self, start: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]: ...

class GraphDecoder(Decoder):
    graph: Graph
    n_best: int
    complete: bool
    def __init__(
        self,
        graph: Graph,
        blank: int,
        *,
        n_best: int = 1,
        max_active: int = 4096,
        margin: float = 30.0,
        filler_cost: float = 0.5,
        filler_entry_cost: float = 2.0,
        noise_cost: float = ...,
        space: int = -1,
        label_bias: npt.NDArray[np.float32] | None = None,
        keep_frames: int = 0,
    ) -> None: ...
    def kept(self) -> tuple[int, npt.NDArray[np.float32]]: ...
    def hypotheses(
        self, n: int
    ) -> list[tuple[float, list[tuple[int, int, int, float, float]], bool, float, float]]: ...
    def set_hot_words(
        self, next: npt.NDArray[np.int32], bonus: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
    ) -> None: ...
    @property
    def stats(self) -> dict[str, Any]: ...
