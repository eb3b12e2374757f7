# SPDX-License-Identifier: Apache-2.0
"""Models: what is loaded, and all that is made of it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from pynna.audio.files import AudioSource, load_audio
from pynna.audio.pcm import Audio, Pcm
from pynna.decoding.language_model import LanguageModel
from pynna.decoding.ngram import Ngrams
from pynna.decoding.options import (
    DICTATION,
    MAX_PASSES,
    AnyOptions,
    BeamSearchOptions,
    DecoderOptions,
    GrammarSearchOptions,
    GreedyOptions,
    resolve,
)
from pynna.decoding.results import GrammarResult, Result, ResultT
from pynna.errors import ArgumentError, ModelFileError
from pynna.events import Event, Final
from pynna.network import Network
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.group import Group
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pynna.grammar import Grammar

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "pynna-en-car.nna"
"""The model that ships with the package."""
SHIPPED = (DEFAULT_MODEL.stem, "pynna-en-micro")
"""Names that `load` knows."""


PIECE_SECONDS = 5
"""Of a recording, from one look at the progress to the next."""

Progress: TypeAlias = Callable[[float], None]
"""Is told how much of a recording is through, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Segment(Generic[ResultT]):
    """An utterance of a recording, from `start` to `end` seconds."""

    start: float
    end: float
    result: ResultT

    @property
    def text(self) -> str:
        """What was said."""
        return self.result.text


def load(path: str | os.PathLike[str] | None = None, *, threads: int | None = None, isa: str | None = None) -> Model:
    """A model from a .nna file.

    Parameters
    ----------
    path : path, optional
        The model for commands that ships with the package unless given; ``"pynna-en-micro"`` is the small one that
        ships, for microcontrollers.
    threads : int, optional
        Threads that share a step, 1 to 64. Unless given: as many as have 8 million multiply-accumulates each in a step
        of one channel, but at most the available cores and 4; so 1 for the model that ships with the package.
    isa : str, optional
        The instruction set to use, one of ``build_info()["isa_available"]``; the fastest, or what the environment's
        ``PYNNA_ISA`` names, unless given.

    Raises
    ------
    MissingFileError, FileReadError
        No such file; a folder, or a file that may not be read.
    ModelFileError
        Not a model file, of another version, cut short, damaged; the subclass and the message say what.
    IsaError
        An instruction set that this build or processor lacks.

    Notes
    -----
    The file is read into memory: what becomes of it later does not matter. Put a newer one there by renaming, as
    `map_model` does, so that nobody reads half of it.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"path must be a path, got {path!r}")
    if path is not None and os.fspath(path) in SHIPPED:
        path = MODELS / f"{path}.nna"
    return Model(DEFAULT_MODEL if path is None else path, threads=threads, isa=isa)


class Model(Network):
    """A mapped network and what listens with it; immutable, and safe to use from any number of threads. See `load`."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, isa: str | None = None) -> None:
        super().__init__(path, threads=threads, isa=isa)
        if (passes := self.metadata.get("passes", 1)) not in range(1, MAX_PASSES + 1):
            raise ModelFileError(f"{self.path}: its metadata's passes are {passes!r}; 1 to {MAX_PASSES} are right")

    @property
    def passes(self) -> int:
        """How often a doubtful utterance is recognised without a grammar, unless told otherwise: the metadata's
        ``passes``, 1 where it has none."""
        return int(self.metadata.get("passes", 1))

    @functools.cached_property
    def language_model(self) -> LanguageModel | None:
        """What spells the words in a grammar's free slots: NAME.arpa.gz beside NAME.nna, read when first asked for.

        Raises
        ------
        LanguageModelError
            The file is there, but is no ARPA file.
        """
        return None if self._ngrams is None else LanguageModel(self._ngrams)

    @functools.cached_property
    def dictation_model(self) -> LanguageModel | None:
        """The same file for what is said without a grammar: words that it lacks are spelled where the network is sure.
        None where the labels cannot spell its words. Raises LanguageModelError as `language_model`."""
        ngrams = self._ngrams
        if ngrams is None or not {" ", *"".join(ngrams.words)} <= set(self.labels):
            return None
        return LanguageModel(ngrams, **DICTATION)

    @functools.cached_property
    def _ngrams(self) -> Ngrams | None:
        path = self.path.with_suffix(".arpa.gz")
        return Ngrams(path) if path.exists() else None

    def decoder_options(self, **options: Unpack[AnyOptions]) -> DecoderOptions:
        """`DecoderOptions` with what the model has to say: without a grammar its `passes`; its own `language_model`,
        where a grammar has free slots, or `dictation_model` where there is no grammar, and nothing is said of one
        (``language_model=None`` does without, and so does ``beam_width=0``). Raises ArgumentError as ``stream``."""
        return resolve(options, self.passes, lambda: self.language_model, lambda: self.dictation_model)

    @overload
    def stream(self, *, grammar: Grammar, **options: Unpack[GrammarSearchOptions]) -> Stream[GrammarResult]: ...

    @overload
    def stream(self, *, grammar: None = None, **options: Unpack[GreedyOptions]) -> Stream[Result]: ...

    @overload
    def stream(self, *, grammar: None = None, **options: Unpack[BeamSearchOptions]) -> Stream[Result]: ...

    def stream(self, **options: Unpack[AnyOptions]) -> Stream[Result]:
        """A stream of audio to text.

        Parameters
        ----------
        **options
            The fields of `DecoderOptions`. For greedy decoding: beam_width=0. For a beam search: beam_width (64),
            alternatives (1), cutoff_prob (1.0), cutoff_top_n (40), prior_scale, language_model, vocabulary, hot_words,
            spelling.
            With a grammar: grammar, threshold, alternatives, filler_cost, filler_entry_cost, prior_scale, and
            language_model and beam_width for its free slots. For all of them: passes.

        Raises
        ------
        ArgumentError
            No such option, one out of range, or two that exclude each other.
        GrammarError
            A grammar with letters that the model's labels lack, or too large a one.
        """
        return Stream(self, self.decoder_options(**options))

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: Grammar,
        **options: Unpack[GrammarSearchOptions],
    ) -> Listener[GrammarResult]: ...

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: None = None,
        **options: Unpack[GreedyOptions],
    ) -> Listener[Result]: ...

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: None = None,
        **options: Unpack[BeamSearchOptions],
    ) -> Listener[Result]: ...

    def listen(
        self, rules: EndpointRules | None = None, worker: RescoringWorker | None = None, **options: Unpack[AnyOptions]
    ) -> Listener[Result]:
        """A stream that tells where utterances begin and end: events instead of one result.

        Parameters
        ----------
        rules : EndpointRules, optional
        worker : RescoringWorker, optional
            What rescores doubtful utterances meanwhile; unless given, the call that ends an utterance waits for it.
        **options
            As for ``stream``.

        Raises
        ------
        ArgumentError, GrammarError
            As ``stream``.
        """
        return Listener(self, self.decoder_options(**options), rules or EndpointRules(), worker=worker)

    def restore_stream(self, data: bytes, **options: Unpack[AnyOptions]) -> Stream[Any]:
        """A stream that goes on where the one whose `Stream.save` this is left off, to the bit.

        Parameters
        ----------
        data : bytes
        **options
            Those of the stream that was saved, grammar and language model too, but for its hot words: they are saved.

        Raises
        ------
        StateError
            No saved stream; one of another version, model, grammar or other options; damaged. The message says what.
        ArgumentError, GrammarError
            As ``stream``.
        """
        return Stream.restored(self, data, self.decoder_options(**options))

    def restore_listener(
        self, data: bytes, worker: RescoringWorker | None = None, **options: Unpack[AnyOptions]
    ) -> Listener[Any]:
        """A listener that goes on where the one whose `Listener.save` this is left off, to the bit; its rules are
        saved.

        Parameters
        ----------
        data : bytes
        worker : RescoringWorker, optional
            As for ``listen``.
        **options
            As for ``restore_stream``.

        Raises
        ------
        StateError, ArgumentError, GrammarError
            As ``restore_stream``.
        """
        return Listener.restored(self, data, self.decoder_options(**options), worker=worker)

    def group(self) -> Group:
        """A group: up to 16 streams through one step call."""
        return Group(self, self.decoder_options)

    @overload
    def transcribe(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        *,
        grammar: Grammar,
        **options: Unpack[GrammarSearchOptions],
    ) -> GrammarResult: ...

    @overload
    def transcribe(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        *,
        grammar: None = None,
        **options: Unpack[GreedyOptions],
    ) -> Result: ...

    @overload
    def transcribe(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        *,
        grammar: None = None,
        **options: Unpack[BeamSearchOptions],
    ) -> Result: ...

    def transcribe(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnyOptions],
    ) -> Result:
        """The text of a recording; what was done to it before is in the result's ``notes``.

        Parameters
        ----------
        audio : path, binary file, or int16 or float array [n_samples]
            A WAV, FLAC, OGG or MP3 file, of any rate and number of channels; or samples, floats in [-1, 1].
        sample_rate : int, optional
            The array's sample rate in Hz, the model's unless given. A file tells its own.
        progress : callable, optional
            Is told how much of the recording is through, 0 to 1, every 5 s of it.
        **options
            As for ``stream``.

        Raises
        ------
        AudioError
            A file or an array that is no audio; the message says why.
        ArgumentError, GrammarError
            As ``stream``.
        """
        stream: Stream[Result] = Stream(self, self.decoder_options(**options))
        loaded = load_audio(audio, sample_rate, sample_rate=self.sample_rate)
        for piece, done in _pieces(loaded):
            stream.feed(piece)
            if progress is not None:
                progress(done)
        result = stream.finish()
        result.notes = loaded.notes
        return result

    @overload
    def segments(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        rules: EndpointRules | None = None,
        progress: Progress | None = None,
        *,
        grammar: Grammar,
        **options: Unpack[GrammarSearchOptions],
    ) -> Iterator[Segment[GrammarResult]]: ...

    @overload
    def segments(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        rules: EndpointRules | None = None,
        progress: Progress | None = None,
        *,
        grammar: None = None,
        **options: Unpack[GreedyOptions],
    ) -> Iterator[Segment[Result]]: ...

    @overload
    def segments(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        rules: EndpointRules | None = None,
        progress: Progress | None = None,
        *,
        grammar: None = None,
        **options: Unpack[BeamSearchOptions],
    ) -> Iterator[Segment[Result]]: ...

    def segments(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        rules: EndpointRules | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnyOptions],
    ) -> Iterator[Segment[Result]]:
        """The utterances of a long recording, one after the other, as soon as each is known.

        Parameters
        ----------
        audio, sample_rate, progress
            As for ``transcribe``.
        rules : EndpointRules, optional
            Where it is cut.
        **options
            As for ``stream``.

        Raises
        ------
        AudioError, ArgumentError, GrammarError
            As ``transcribe``.
        """
        listener: Listener[Result] = Listener(self, self.decoder_options(**options), rules or EndpointRules())
        loaded = load_audio(audio, sample_rate, sample_rate=self.sample_rate)

        return _segments(listener, loaded, progress)


def _segments(listener: Listener[Result], audio: Audio, progress: Progress | None) -> Iterator[Segment[Result]]:
    def finals(events: list[Event[Result]]) -> Iterator[Segment[Result]]:
        for event in events:
            if isinstance(event, Final):
                event.result.notes = audio.notes
                yield Segment(event.start, event.end, event.result)

    for piece, done in _pieces(audio):
        yield from finals(listener.feed(piece))
        if progress is not None:
            progress(done)
    yield from finals(listener.finish())


def _pieces(audio: Audio) -> Iterator[tuple[Pcm, float]]:
    """A recording's samples piece by piece, and how much of it is through then."""
    size = PIECE_SECONDS * audio.sample_rate
    for start in range(0, len(audio.pcm), size):
        yield audio.pcm[start : start + size], min(1.0, (start + size) / len(audio.pcm))
