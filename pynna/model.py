"""Mapped models: loaded once, shared by all threads and processes, run step by step; the caller holds the states."""

from __future__ import annotations

import functools
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.files import AudioPath, load_audio
from pynna.decoding.decoder import MAX_HEARINGS, DecoderOptions
from pynna.decoding.language_model import LanguageModel
from pynna.decoding.ngram import Ngrams
from pynna.decoding.results import Result
from pynna.errors import ArgumentError, ModelFileError, NotFiniteError, StateError
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.listener import Collecting, Listener
from pynna.streaming.stream import Group, Stream

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "pynna-en-car.nna"
"""The model that ships with the package."""

_MACS_A_THREAD = 8_000_000      # of one channel's step: with less, waking and meeting cost more than is saved

Features = npt.NDArray[np.float32]
CellState = npt.NDArray[np.int16]
HiddenState = npt.NDArray[np.int8]


def load(path: str | os.PathLike[str] | None = None, *, threads: int | None = None, isa: str | None = None) -> Model:
    """A model from a .nna file.

    Parameters
    ----------
    path : path, optional
        The model that ships with the package unless given.
    threads : int, optional
        Threads that share a step, 1 to 64. Unless given: as many as have 8 million multiply-accumulates each in a step
        of one channel, but at most the available cores and 4; so 1 for the model that ships with the package.
    isa : str, optional
        The instruction set to use, one of ``build_info()["isa_available"]``; the fastest, or what the environment's
        ``PYNNA_ISA`` names, unless given.

    Raises
    ------
    FileNotFoundError
        No such file.
    ModelFileError
        Not a model file, of another version, cut short, damaged; the subclass and the message say what.
    IsaError
        An instruction set that this build or processor lacks.

    Notes
    -----
    The file is mapped into memory and used in place. Put a newer one there by renaming, as `map_model` does: who cuts a
    file short while it is mapped ends the processes that use it.
    """
    return Model(DEFAULT_MODEL if path is None else path, threads=threads, isa=isa)


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


class Model:
    """A mapped network; immutable, and safe to use from any number of threads. See `load`.

    Attributes
    ----------
    path : Path
    geometry : dict
        The file's geometry: sample_rate, window, step, n_coefficients, n_context, n_labels, n_cell and so on.
    labels : tuple of str
        The labels' texts in order; the last is the blank, "".
    label_priors : float32 [n_labels]
        Mean probability of each label in training.
    provenance : dict
        name, licence, source, calibration and what else the mapping wrote down.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, isa: str | None = None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"no model file at {self.path}")
        self.core = _core.MappedModel(os.fspath(self.path))
        self.geometry: dict[str, Any] = self.core.geometry
        self.labels = tuple(self.core.labels)
        self.label_priors = self.core.label_priors
        self.provenance = self._read_provenance()
        self._isa = isa
        self.threads = self._default_threads() if threads is None else threads
        self._free: dict[int, list[_core.Runner]] = {}
        with self._runner() as runner:  # so that a wrong number of threads or instruction set is told here
            self.isa = runner.isa

    def _read_provenance(self) -> dict[str, Any]:
        try:
            provenance = json.loads(self.core.provenance.decode("utf-8") or "{}")
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"{self.path}: its provenance is not JSON: {error}") from error
        if not isinstance(provenance, dict):
            raise ModelFileError(f"{self.path}: its provenance is {type(provenance).__name__}; a JSON object is right")
        if (hearings := provenance.get("hearings", 1)) not in range(1, MAX_HEARINGS + 1):
            raise ModelFileError(f"{self.path}: its card's hearings are {hearings!r}; 1 to {MAX_HEARINGS} are right")
        return provenance

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
        return str(self.provenance.get("name") or self.path.stem)

    @property
    def hearings(self) -> int:
        """Times that what leaves doubt is heard without a grammar, unless told otherwise: the card's ``hearings``, 1
        where it has none."""
        return int(self.provenance.get("hearings", 1))

    def info(self) -> dict[str, Any]:
        """The model's card: name, path, size in bytes, n_weights, isa, threads, geometry, layers, provenance."""
        return {
            "name": self.name,
            "path": str(self.path),
            "size": self.core.n_bytes,
            "n_weights": self.n_weights,
            "isa": self.isa,
            "threads": self.threads,
            "alphabet": list(self.labels[:-1]),
            "geometry": dict(self.geometry),
            "layers": self.core.layers,
            "provenance": self.provenance,
        }

    def __repr__(self) -> str:
        return f"<pynna.Model {self.name!r}, {self.n_weights / 1e6:.1f} M weights, {self.isa}>"

    # ---- what it does ----------------------------------------------------------------------------------------------

    def step(self, x: npt.ArrayLike, c: npt.ArrayLike | None = None, h: npt.ArrayLike | None = None, *,
             threads: int | None = None) -> tuple[Features, CellState, HiddenState]:
        """One inference of 1 to 16 channels: three inputs, three outputs.

        Parameters
        ----------
        x : float32 [n, 2 * n_context + 1, n_coefficients]
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
            A wrong shape, or not 1 to 16 channels or 1 to 64 threads. NotFiniteError: a NaN or an infinity in x.
        StateError
            States of a wrong shape or dtype.
        """
        g = self.geometry
        wanted = (2 * g["n_context"] + 1, g["n_coefficients"])
        features = np.ascontiguousarray(x, np.float32)
        if features.ndim != 3 or features.shape[1:] != wanted or not 1 <= len(features) <= _core.MAX_CHANNELS:
            raise ArgumentError(f"x has shape {features.shape}; (n, {wanted[0]}, {wanted[1]}) with n from 1 to "
                                f"{_core.MAX_CHANNELS} is right")
        if not np.isfinite(features).all():
            raise NotFiniteError("x holds a NaN or an infinity")
        shape = (len(features), int(g["n_cell"]))
        with self._runner(threads) as runner:
            return runner.step(features, _state("c", c, np.int16, shape), _state("h", h, np.int8, shape))

    @functools.cached_property
    def language_model(self) -> LanguageModel | None:
        """What spells the words in a grammar's free slots: NAME.arpa.gz beside NAME.nna, read when first asked for.

        Raises
        ------
        LanguageModelError
            The file is there, but is no ARPA file.
        """
        path = self.path.with_suffix(".arpa.gz")
        return LanguageModel(Ngrams(path)) if path.exists() else None

    def decoder_options(self, **options: Any) -> DecoderOptions:
        """`DecoderOptions` with what the model has to say: without a grammar its `hearings`; its own `language_model`,
        where a grammar has free slots and nothing is said of one (``language_model=None`` does without, and so does
        ``beam_width=0``)."""
        if options.get("hearings") is None and options.get("grammar") is None:
            options["hearings"] = self.hearings
        made = DecoderOptions(**options)
        free = made.grammar is not None and made.grammar.has_free_slots
        if free and made.beam_width > 0 and "language_model" not in options:
            return replace(made, language_model=self.language_model)
        return made

    def stream(self, **options: Any) -> Stream:
        """A stream of audio to text.

        Parameters
        ----------
        **options
            The fields of `DecoderOptions`: beam_width (64; 0 for greedy decoding), alternatives (1), cutoff_prob (1.0),
            cutoff_top_n (40), prior_exponent; grammar (a `Grammar`), threshold, free_cost, free_entry; hearings (7
            with a grammar, the model's own without); language_model (the model's own for a grammar's free slots),
            vocabulary, hot_words.

        Raises
        ------
        ArgumentError
            An option out of range, or two that exclude each other.
        GrammarError
            A grammar with letters that the model's labels lack, or too large a one.
        """
        return Stream(self, self.decoder_options(**options))

    def listen(self, rules: EndpointRules | None = None, **options: Any) -> Listener:
        """A stream that tells where utterances begin and end: events instead of one result.

        Parameters
        ----------
        rules : EndpointRules, optional
        **options
            As for ``stream``.

        Raises
        ------
        ArgumentError, GrammarError
            As ``stream``.
        """
        return Listener(self, self.decoder_options(**options), rules or EndpointRules())

    def group(self) -> Group:
        """A group: up to 16 streams through one step call."""
        return Group(self)

    def transcribe(self, x: AudioPath | npt.ArrayLike, rate: int | None = None, **options: Any) -> Result:
        """The text of a recording.

        Parameters
        ----------
        x : path, or int16 or float array [n_samples]
            A WAV, FLAC, OGG or MP3 file, of any rate and number of channels; or samples, floats in [-1, 1].
        rate : int, optional
            The array's sample rate in Hz, the model's unless given.
        **options
            As for ``stream``.

        Raises
        ------
        AudioError
            A file or an array that is no audio; the message says why.
        ArgumentError, GrammarError
            As ``stream``.
        """
        stream = self.stream(**options)
        stream.feed(load_audio(x, rate, target_rate=self.sample_rate).pcm)
        return stream.finish()

    def log_probs(self, x: AudioPath | npt.ArrayLike, rate: int | None = None) -> npt.NDArray[np.float32]:
        """What the network says of a recording, for a search of one's own.

        Parameters
        ----------
        x, rate
            As for ``transcribe``.

        Returns
        -------
        float32 [n_frames, n_labels]
            Natural logarithms of the labels' probabilities, the blank last; a frame is ``seconds_per_step``.

        Raises
        ------
        AudioError
            A file or an array that is no audio; the message says why.
        """
        collecting = Collecting(len(self.labels))
        stream = Stream(self, DecoderOptions(), decoder=collecting)
        stream.feed(load_audio(x, rate, target_rate=self.sample_rate).pcm)
        stream.finish()
        return np.concatenate(collecting.core.take())


def _state(name: str, value: npt.ArrayLike | None, dtype: type[np.integer[Any]], shape: tuple[int, int]) -> Any:
    """A state as the core takes it; None is a fresh one."""
    if value is None:
        return np.zeros(shape, dtype)
    state = np.asarray(value)
    if state.dtype != dtype or state.shape != shape:
        raise StateError(f"{name} is {state.dtype} {state.shape}; {np.dtype(dtype)} {shape} is right")
    return np.ascontiguousarray(state)
