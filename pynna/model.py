"""Models: what is loaded, and all that is made of it."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pynna.audio.files import AudioPath, load_audio
from pynna.decoding.language_model import LanguageModel
from pynna.decoding.ngram import Ngrams
from pynna.decoding.options import MAX_HEARINGS, DecoderOptions
from pynna.decoding.results import Result
from pynna.errors import ModelFileError
from pynna.network import Network
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.group import Group
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "pynna-en-car.nna"
"""The model that ships with the package."""


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


class Model(Network):
    """A mapped network and what listens with it; immutable, and safe to use from any number of threads. See `load`."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, isa: str | None = None) -> None:
        super().__init__(path, threads=threads, isa=isa)
        if (hearings := self.provenance.get("hearings", 1)) not in range(1, MAX_HEARINGS + 1):
            raise ModelFileError(f"{self.path}: its card's hearings are {hearings!r}; 1 to {MAX_HEARINGS} are right")

    @property
    def hearings(self) -> int:
        """Times that what leaves doubt is heard without a grammar, unless told otherwise: the card's ``hearings``, 1
        where it has none."""
        return int(self.provenance.get("hearings", 1))

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
        return Group(self, self.decoder_options)

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
