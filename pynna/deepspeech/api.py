# SPDX-License-Identifier: Apache-2.0
"""Models, streams and metadata as DeepSpeech's Python package has them: 0.9.3's, and what 0.5 and 0.6 called otherwise.

Names, return values and error texts are the interface's: setters return a status, where the package does, and raise
where it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pynna.deepspeech import _client
from pynna.deepspeech.cache import mapped_model
from pynna.errors import PynnaError

Pcm = npt.NDArray[np.int16]

TIMES_BEST, TIMES_LEAF, TIMES_FIRST, TIMES_PATH = range(4)
_MISSING, _PROTOBUF, _INCOMPATIBLE = 0x3000, 0x3005, 0x2003


def version() -> str:
    """The version of the interface, "0.9.3"."""
    return "0.9.3"


def printVersions() -> None:
    """Prints it, as DeepSpeech 0.5 does."""
    print("DeepSpeech:", version())


P = ParamSpec("P")
R = TypeVar("R")


def _also(**old: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Lets a method's arguments be named as in 0.5 and 0.6, whose names are the C interface's."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> R:
            renamed: dict[str, Any] = {old.get(name, name): value for name, value in named.items()}
            return cast("Callable[..., R]", method)(*arguments, **renamed)

        return cast("Callable[P, R]", call)

    return decorate


def _in_order(function: str, names: Sequence[str], given: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """Arguments by place, those named as in the C interface of 0.5 and 0.6 behind the others, in its order."""
    if unknown := [name for name in named if name not in names]:
        raise TypeError(f"{function} takes no argument {unknown[0]!r}")
    return (*given, *(named[name] for name in names if name in named))


def failure(name: str, status: int) -> RuntimeError:
    """The error that DeepSpeech's package raises for a status."""
    return RuntimeError(f"{name} failed with '{_client.message(status)}' (0x{status:X})")


def as_buffer(audio: Any) -> Pcm:
    """Audio as the package takes it: int16 [n], and whatever NumPy casts to it without loss.

    Raises
    ------
    TypeError
        An array of another type, or not of one dimension.
    ValueError
        Text, or bytes.
    """
    if isinstance(audio, np.ndarray):
        if not np.can_cast(audio.dtype, np.int16, "safe"):
            raise TypeError(
                f"Cannot cast array data from {audio.dtype!r} to {np.dtype(np.int16)!r} according to the rule 'safe'"
            )
        array = np.ascontiguousarray(audio, np.int16) if audio.ndim else audio.astype(np.int16)
    else:
        array = np.array(audio, np.int16)
    if array.ndim != 1:
        raise TypeError(f"Array must have 1 dimensions.  Given array has {array.ndim} dimensions")
    return array


# ---- metadata ------------------------------------------------------------------------------------


class TokenMetadata:
    """A character, or a byte of one, and when it was spoken."""

    def __init__(self, text: str, timestep: int, start_time: float) -> None:
        self.text, self.timestep, self.start_time = text, timestep, start_time

    def __repr__(self) -> str:
        return f"TokenMetadata(text={self.text!r}, timestep={self.timestep}, start_time={self.start_time})"


class CandidateTranscript:
    """A hypothesis: its tokens, and its log-probability."""

    def __init__(self, tokens: list[TokenMetadata], confidence: float) -> None:
        self.tokens, self.confidence = tokens, confidence

    def __repr__(self) -> str:
        return (
            f"CandidateTranscript(confidence={self.confidence}, tokens=[\n" + "\n".join(map(repr, self.tokens)) + "\n])"
        )


class MetadataItem:
    """A character as DeepSpeech 0.5 and 0.6 tell it."""

    def __init__(self, character: str, timestep: int, start_time: float) -> None:
        self.character, self.timestep, self.start_time = character, timestep, start_time


class Metadata:
    """Hypotheses, best first; `emissions` float64 [frames, labels] where they were asked for, else None.

    `items`, `num_items`, `confidence` and `probability` are what DeepSpeech 0.5 and 0.6 tell of the best one.
    """

    def __init__(
        self, transcripts: list[CandidateTranscript], emissions: npt.NDArray[np.float64] | None = None
    ) -> None:
        self.transcripts, self.emissions = transcripts, emissions

    def __repr__(self) -> str:
        return "Metadata(transcripts=[\n" + "\n".join(map(repr, self.transcripts)) + "\n])"

    @property
    def items(self) -> list[MetadataItem]:
        """The best hypothesis' characters."""
        return [MetadataItem(t.text, t.timestep, t.start_time) for c in self.transcripts[:1] for t in c.tokens]

    @property
    def num_items(self) -> int:
        """How many they are."""
        return len(self.items)

    @property
    def confidence(self) -> float:
        """The number told of the best hypothesis."""
        return self.transcripts[0].confidence if self.transcripts else 0.0

    @property
    def probability(self) -> float:
        """The same, 0.5's name of it: a cost, larger is worse."""
        return self.confidence


def metadata_of(told: tuple[_client.Transcripts, npt.NDArray[np.float64] | None]) -> Metadata:
    """What the core tells, in the interface's classes."""
    transcripts = [
        CandidateTranscript(
            [TokenMetadata(text.decode("utf-8", "replace"), step, start) for text, step, start in tokens], confidence
        )
        for confidence, tokens in told[0]
    ]
    return Metadata(transcripts, told[1])


# ---- models --------------------------------------------------------------------------------------


class Model:
    """A model of DeepSpeech's, Coqui's or pynna's.

    ``Model(path)`` is the interface of 0.7 to 0.9.3, ``Model(path, beam_width)`` that of 0.6 and ``Model(path,
    n_features, n_context, alphabet, beam_width)`` that of 0.5; these two tell times and scores as those do.

    Parameters
    ----------
    model_path : str or path
        A .nna file, or a model file of any kind that `pynna map` reads; it is mapped the first time.

    Raises
    ------
    RuntimeError
        The file cannot be used; the text holds the interface's message and status.
    TypeError
        A path that is no text.
    """

    _coqui = False

    @_also(aModelPath="model_path")
    def __init__(self, model_path: Any, *arguments: Any, **named: Any) -> None:
        arguments = _in_order(
            "Model", ("aNCep", "aNContext", "aAlphabetConfigPath", "beam_width", "aBeamWidth"), arguments, named
        )
        if len(arguments) not in (0, 1, 4):
            raise TypeError(
                f"Model takes a path; a path and a beam width; or a path, n_features, n_context, an alphabet "
                f"and a beam width; got {1 + len(arguments)} arguments"
            )
        if not isinstance(model_path, (str, os.PathLike)):
            raise TypeError("in method 'CreateModel', argument 1 of type 'char const *'")
        alphabet = arguments[2] if len(arguments) == 4 else None
        self._model = self._open(os.fspath(model_path), alphabet)
        if arguments:
            legacy = len(arguments) == 4
            self._model.tell_as(TIMES_BEST if legacy else TIMES_LEAF, False, True)
            self.setBeamWidth(arguments[-1])
        self._rate = 16000 if len(arguments) == 4 else None

    def _open(self, path: str, alphabet: str | None) -> _client.Model:
        missing = _MISSING if self._coqui or path.endswith(".pbmm") else _PROTOBUF
        if not path:
            raise failure("CreateModel", 0x1000)
        try:
            found = mapped_model(Path(path), None if alphabet is None else Path(alphabet))
        except OSError:
            raise failure("CreateModel", missing) from None
        except PynnaError as error:
            raise failure("CreateModel", missing) from error
        status, model = _client.open_model(os.fsencode(found), self._coqui)
        if model is None:
            raise failure("CreateModel", status)
        return model

    # ---- settings ----

    def beamWidth(self) -> int:
        """Hypotheses kept in the search."""
        return self._model.beam_width

    def setBeamWidth(self, beam_width: int) -> int:
        """Sets it; returns 0."""
        if (
            isinstance(beam_width, bool)
            or not isinstance(beam_width, (int, np.integer))
            or not 0 <= beam_width < 1 << 32
        ):
            raise TypeError("in method 'SetModelBeamWidth', argument 2 of type 'unsigned int'")
        return self._model.set_beam_width(int(beam_width))

    def sampleRate(self) -> int:
        """Hz, of the audio that it takes."""
        return self._model.sample_rate

    def enableExternalScorer(self, scorer_path: str | os.PathLike[str]) -> None:
        """Searches with the language model of a .scorer from now on, with the alpha and beta in it.

        Raises
        ------
        RuntimeError
            The file cannot be used; the scorer before stays.
        """
        if not isinstance(scorer_path, (str, os.PathLike)):
            raise TypeError("in method 'EnableExternalScorer', argument 2 of type 'char const *'")
        self._checked("EnableExternalScorer", self._model.enable_scorer(os.fsencode(scorer_path)))

    def enableDecoderWithLM(self, *arguments: Any, **named: Any) -> int:
        """DeepSpeech 0.6's (lm, trie, alpha, beta) or 0.5's (alphabet, lm, trie, alpha, beta); returns a status.

        A trie that is missing or of another version is made anew from the model's words, where it holds them.
        """
        names = ("aAlphabetConfigPath", "aLMPath", "aTriePath", "aLMAlpha", "aLMWeight", "aLMBeta")
        arguments = _in_order("enableDecoderWithLM", (*names, "aValidWordCountWeight"), arguments, named)
        if len(arguments) not in (4, 5):
            raise TypeError(
                f"enableDecoderWithLM takes (lm, trie, alpha, beta) or (alphabet, lm, trie, alpha, beta), got "
                f"{len(arguments)} arguments"
            )
        lm, trie, alpha, beta = arguments[-4:]
        status = self._model.enable_lm(os.fsencode(lm), os.fsencode(trie), float(alpha), float(beta))
        if status:
            from pynna.deepspeech.scorers import made_trie

            try:
                other = made_trie(Path(lm), self._model.labels)
            except (OSError, PynnaError):
                return status
            status = self._model.enable_lm(os.fsencode(lm), os.fsencode(other), float(alpha), float(beta))
        return status

    def disableExternalScorer(self) -> int:
        """Searches without one from now on; returns a status."""
        return self._model.disable_scorer()

    def setScorerAlphaBeta(self, alpha: float, beta: float) -> int:
        """Sets the language model's weight and what each word adds; returns a status."""
        return self._model.set_alpha_beta(float(alpha), float(beta))

    def addHotWord(self, word: str, boost: float) -> None:
        """Expects a word: `boost` is added to the scores of the n-grams it is in, less than 0 makes it less likely.

        Raises
        ------
        RuntimeError
            No scorer, or the word is there already.
        """
        self._checked("AddHotWord", self._model.add_hot_word(_text("AddHotWord", word), float(boost)))

    def eraseHotWord(self, word: str) -> None:
        """Forgets it. RuntimeError: no scorer, or no such word."""
        self._checked("EraseHotWord", self._model.erase_hot_word(_text("EraseHotWord", word)))

    def clearHotWords(self) -> None:
        """Forgets all of them. RuntimeError: no scorer."""
        self._checked("ClearHotWords", self._model.clear_hot_words())

    @staticmethod
    def _checked(name: str, status: int) -> None:
        if status:
            raise failure(name, status)

    # ---- recognition ----

    @_also(aBuffer="audio_buffer", aSampleRate="sample_rate")
    def stt(self, audio_buffer: Any, sample_rate: int | None = None) -> str:
        """The text of int16 [n]; DeepSpeech 0.5 wants the rate with it."""
        self._check_rate(() if sample_rate is None else (sample_rate,))
        stream = self.createStream()
        stream.feedAudioContent(audio_buffer)
        return stream.finishStream()

    @_also(aBuffer="audio_buffer", aSampleRate="num_results", aNumResults="num_results")
    def sttWithMetadata(self, audio_buffer: Any, num_results: int = 1) -> Metadata:
        """Up to `num_results` hypotheses of int16 [n]; with DeepSpeech 0.5's constructor the number is the rate."""
        if self._rate is not None:
            self._check_rate((num_results,))
            num_results = 1
        stream = self.createStream()
        stream.feedAudioContent(audio_buffer)
        return stream.finishStreamWithMetadata(num_results)

    def _check_rate(self, given: tuple[int, ...]) -> None:
        if given and given[0] != self.sampleRate() and given[0] != 1:
            raise RuntimeError(f"the model takes audio at {self.sampleRate()} Hz, got {given[0]} Hz")

    def _stream(self, keep_emissions: bool = False) -> _client.Stream:
        status, stream = self._model.stream(keep_emissions)
        if stream is None:
            raise failure("CreateStream", status)
        return stream

    def createStream(self) -> Stream:
        """A stream. Streams are independent, and keep the scorer that there was when they began."""
        return Stream(self._stream())

    # ---- 0.5's and 0.6's names: a stream is handed in ----

    @_also(aPreAllocFrames="pre_alloc_frames", aSampleRate="sample_rate")
    def setupStream(self, pre_alloc_frames: int = 150, sample_rate: int = 16000) -> Stream:
        """0.5's `createStream`."""
        self._check_rate((sample_rate,))
        return self.createStream()

    @_also(aSctx="stream", aBuffer="audio_buffer")
    def feedAudioContent(self, stream: Stream, audio_buffer: Any) -> None:
        """0.6's `Stream.feedAudioContent`."""
        stream.feedAudioContent(audio_buffer)

    @_also(aSctx="stream")
    def intermediateDecode(self, stream: Stream) -> str:
        """0.6's `Stream.intermediateDecode`."""
        return stream.intermediateDecode()

    @_also(aSctx="stream")
    def finishStream(self, stream: Stream) -> str:
        """0.6's `Stream.finishStream`."""
        return stream.finishStream()

    @_also(aSctx="stream")
    def finishStreamWithMetadata(self, stream: Stream) -> Metadata:
        """0.6's `Stream.finishStreamWithMetadata`."""
        return stream.finishStreamWithMetadata()

    @_also(aSctx="stream")
    def freeStream(self, stream: Stream) -> None:
        """0.6's `Stream.freeStream`."""
        stream.freeStream()


def _text(name: str, word: Any) -> bytes:
    if not isinstance(word, str):
        raise TypeError(f"in method '{name}', argument 2 of type 'char const *'")
    return word.encode("utf-8")


class Stream:
    """An utterance under way; made by `Model.createStream`.

    Every method raises RuntimeError once the stream is finished or freed.
    """

    def __init__(self, native_stream: _client.Stream) -> None:
        self._stream = native_stream

    def _valid(self, doing: str) -> _client.Stream:
        if not self:
            raise RuntimeError(f"Stream object is not valid. Trying to {doing} an already finished stream?")
        return self._stream

    def __bool__(self) -> bool:
        return self._stream is not None and self._stream.valid

    def feedAudioContent(self, audio_buffer: Any) -> None:
        """Takes int16 [n]."""
        self._valid("feed").feed(as_buffer(audio_buffer))

    def intermediateDecode(self) -> str:
        """The text so far. Frames are run by sixteen, 0.32 s."""
        return self._valid("decode").text()

    def intermediateDecodeWithMetadata(self, num_results: int = 1) -> Metadata:
        """Up to `num_results` hypotheses so far."""
        return metadata_of(self._valid("decode").metadata(num_results))

    def finishStream(self) -> str:
        """Ends the stream: its text."""
        return self._valid("finish").finish()

    def finishStreamWithMetadata(self, num_results: int = 1) -> Metadata:
        """Ends the stream: up to `num_results` hypotheses."""
        return metadata_of(self._valid("finish").finish_metadata(num_results))

    def freeStream(self) -> None:
        """Ends the stream without a result."""
        self._valid("free").free()


def freeStream(stream: Stream) -> None:
    """0.6's `Stream.freeStream`."""
    stream.freeStream()
