# SPDX-License-Identifier: Apache-2.0
"""Mapped networks: loaded once, shared by all threads and processes, run step by step; the caller holds the states."""

from __future__ import annotations

import functools
import json
import os
import platform
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.files import AudioPath, load_audio
from pynna.errors import ArgumentError, ModelFileError, NotFiniteError, StateError, reading

_MACS_A_THREAD = 8_000_000  # of one channel's step: with less, waking and meeting cost more than is saved

Features = npt.NDArray[np.float32]
CellState = npt.NDArray[np.int16]
HiddenState = npt.NDArray[np.int8]


def build_info() -> dict[str, Any]:
    """What this build is: version, compiler, isa (the default), isa_available, isa_built, python, machine."""
    sets = _core.instruction_sets()
    return {
        "version": _core.version(),
        "compiler": _core.compiler(),
        "isa": _core.default_isa(),
        "isa_available": [name for name, available in sets if available],
        "isa_built": [name for name, _ in sets],
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


class Network:
    """A mapped network; immutable, and safe to use from any number of threads.

    Attributes
    ----------
    path : Path
    geometry : dict
        The file's geometry: sample_rate, window, step, n_coefficients, n_context, n_labels, n_cell and so on.
    labels : tuple of str
        The labels' texts in order; the last is the blank, "".
    label_priors : float32 [n_labels]
        Mean probability of each label in training.
    metadata : dict
        name, licence, source, calibration and what else the mapping wrote down.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, isa: str | None = None) -> None:
        self.path = Path(path)
        with reading(self.path):
            self.core = _core.MappedModel(os.fspath(self.path))
        self.geometry: dict[str, Any] = self.core.geometry
        self.labels = tuple(self.core.labels)
        self.label_priors = self.core.label_priors
        self.metadata = self._read_metadata()
        self._isa = isa
        self.threads = self._default_threads() if threads is None else threads
        self._free: dict[int, list[_core.Runner]] = {}
        with self._runner() as runner:  # so that a wrong number of threads or instruction set is told here
            self.isa = runner.isa

    def __reduce__(self) -> tuple[Any, ...]:
        """By its path: who unpickles it, in another process too, needs the same file there."""
        return _restore, (type(self), self.path.absolute(), self.threads, self._isa, self._checksum)

    def __copy__(self) -> Network:
        return self  # immutable

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return self

    @functools.cached_property
    def _checksum(self) -> int:
        return zlib.crc32(self.path.read_bytes())

    def _read_metadata(self) -> dict[str, Any]:
        try:
            metadata = json.loads(self.core.metadata.decode("utf-8") or "{}")
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"{self.path}: its metadata is not JSON: {error}") from error
        if not isinstance(metadata, dict):
            raise ModelFileError(f"{self.path}: its metadata is {type(metadata).__name__}; a JSON object is right")
        return metadata

    def _default_threads(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(cores, 4, self.n_weights // _MACS_A_THREAD))

    @contextmanager
    def _runner(self, threads: int | None = None) -> Iterator[_core.Runner]:
        """Something to run steps with that nobody else uses meanwhile; list operations are atomic."""
        threads = self.threads if threads is None else threads
        whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
        if not whole or not 1 <= threads <= _core.MAX_THREADS:
            raise ArgumentError(f"threads is {threads!r}; a whole number from 1 to {_core.MAX_THREADS} is right")
        free = self._free.setdefault(threads, [])
        try:
            runner = free.pop()
        except IndexError:
            runner = None
        if runner is None or not runner.usable:
            runner = _core.Runner(self.core, threads, self._isa)
        try:
            yield runner
        finally:
            free.append(runner)

    # ---- what it is ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file as it was read, in hexadecimal."""
        return self.core.sha256

    @property
    def tells_speech(self) -> bool:
        """Whether the network tells how probable speech is."""
        return bool(self.geometry["speech_rows"])

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.geometry["sample_rate"])

    @property
    def seconds_per_step(self) -> float:
        """Audio that a step stands for, 0.02 for DeepSpeech."""
        return float(self.geometry["step"] / self.geometry["sample_rate"])

    @property
    def n_weights(self) -> int:
        """Weights, and so multiply-accumulates in a step of one channel, without the file's padding."""
        return sum(layer["n_rows"] * layer["n_columns"] for layer in self.core.layers)

    @property
    def name(self) -> str:
        """Its name, the file's unless it was given one."""
        return str(self.metadata.get("name") or self.path.stem)

    def describe(self) -> dict[str, Any]:
        """Name, path, size in bytes, sha256, n_weights, isa, threads, geometry, layers and metadata of the model."""
        return {
            "name": self.name,
            "path": str(self.path),
            "size": self.core.n_bytes,
            "sha256": self.fingerprint,
            "n_weights": self.n_weights,
            "isa": self.isa,
            "threads": self.threads,
            "alphabet": list(self.labels[:-1]),
            "geometry": dict(self.geometry),
            "layers": self.core.layers,
            "metadata": self.metadata,
        }

    def __repr__(self) -> str:
        return f"<pynna.{type(self).__name__} {self.name!r}, {self.n_weights / 1e6:.1f} M weights, {self.isa}>"

    # ---- what it does ----------------------------------------------------------------------------------------------

    def step(
        self,
        windows: npt.ArrayLike,
        c: npt.ArrayLike | None = None,
        h: npt.ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> tuple[Features, CellState, HiddenState]:
        """One inference of 1 to 16 channels: three inputs, three outputs.

        Parameters
        ----------
        windows : float32 [n, 2 * n_context + 1, n_coefficients]
            Context windows of MFCCs, [n, 19, 26] for DeepSpeech.
        c : int16 [n, n_cell], optional
            Cell states, in steps of 2 to the power of minus ``geometry["cell_fraction_bits"]``; zeros unless given.
        h : int8 [n, n_cell], optional
            Hidden states, in steps of ``geometry["h_scale"]``; zeros unless given.
        threads : int, optional
            Threads that share the step, the model's unless given.

        Returns
        -------
        p : float32 [n, n_labels]
            Natural logarithms of the labels' probabilities.
        c, h : int16 [n, n_cell], int8 [n, n_cell]
            The new states. A channel's rows may be taken out, saved, and put back in another slot or process.

        Raises
        ------
        ArgumentError
            A wrong shape, or not 1 to 16 channels or 1 to 64 threads. NotFiniteError: a NaN or an infinity in windows.
        StateError
            States of a wrong shape or dtype.
        """
        g = self.geometry
        wanted = (2 * g["n_context"] + 1, g["n_coefficients"])
        features = np.ascontiguousarray(windows, np.float32)
        if features.ndim != 3 or features.shape[1:] != wanted or not 1 <= len(features) <= _core.MAX_CHANNELS:
            raise ArgumentError(
                f"windows has shape {features.shape}; (n, {wanted[0]}, {wanted[1]}) with n from 1 to "
                f"{_core.MAX_CHANNELS} is right"
            )
        if not np.isfinite(features).all():
            raise NotFiniteError("windows holds a NaN or an infinity")
        shape = (len(features), int(g["n_cell"]))
        with self._runner(threads) as runner:
            return runner.step(features, _state("c", c, np.int16, shape), _state("h", h, np.int8, shape))

    def log_probs(self, audio: AudioPath | npt.ArrayLike, sample_rate: int | None = None) -> npt.NDArray[np.float32]:
        """What the network says of a recording, for a search of one's own.

        Parameters
        ----------
        audio, sample_rate
            As for ``Model.transcribe``.

        Returns
        -------
        float32 [n_frames, n_labels]
            Natural logarithms of the labels' probabilities, the blank last; a frame is ``seconds_per_step``.

        Raises
        ------
        AudioError
            A file or an array that is no audio; the message says why.
        """
        pcm = load_audio(audio, sample_rate, sample_rate=self.sample_rate).pcm
        collector = _core.Collector(len(self.labels))
        channel = _core.Channel(self.core, collector)
        while len(pcm):
            pcm = pcm[channel.feed(pcm) :]
            self._run(channel)
        channel.finish()
        self._run(channel)
        return np.concatenate(collector.take())

    def advance(self, channels: list[_core.Channel], n_steps: int) -> None:
        """Runs up to `n_steps` steps of 1 to 16 channels of the core, as many as each has windows ready."""
        with self._runner() as runner:
            runner.advance(channels, n_steps)

    def _run(self, channel: _core.Channel) -> None:
        while ready := channel.ready:
            self.advance([channel], min(ready, _core.QUEUE))


def _restore(kind: type[Network], path: Path, threads: int, isa: str | None, checksum: int) -> Network:
    """An unpickled network; ModelFileError where its file is another one by now."""
    network = kind(path, threads=threads, isa=isa)
    if network._checksum != checksum:
        raise ModelFileError(f"{path}: the pickled model's file must be the same, and it is another one by now")
    return network


def _state(name: str, value: npt.ArrayLike | None, dtype: type[np.integer[Any]], shape: tuple[int, int]) -> Any:
    """A state as the core takes it; None is a fresh one."""
    if value is None:
        return np.zeros(shape, dtype)
    state = np.asarray(value)
    if state.dtype != dtype or state.shape != shape:
        raise StateError(f"{name} is {state.dtype} {state.shape}; {np.dtype(dtype)} {shape} is right")
    return np.ascontiguousarray(state)
