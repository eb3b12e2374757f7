# SPDX-License-Identifier: Apache-2.0
"""Coqui STT's Python interface, of 1.0 to 1.4, over pynna: ``from pynna.deepspeech.stt import Model``.

Beside what 1.4 has, models and scorers come out of buffers, as in its C interface, and a stream tells emissions, the
labels' probabilities, if it was made to.
"""

from __future__ import annotations

from typing import Any

from pynna.deepspeech import _client
from pynna.deepspeech.api import (
    CandidateTranscript,
    Metadata,
    TokenMetadata,
    failure,
    metadata_of,
)
from pynna.deepspeech.api import Model as DeepSpeechModel
from pynna.deepspeech.api import Stream as DeepSpeechStream

__version__ = "1.4.0"
"""The version of the interface."""

__all__ = ["CandidateTranscript", "Metadata", "Model", "Stream", "TokenMetadata", "version"]


def version() -> str:
    """The version of the interface, "1.4.0"."""
    return __version__


class Stream(DeepSpeechStream):
    """An utterance under way; made by `Model.createStream`."""

    def intermediateDecodeFlushBuffers(self) -> str:
        """The text of all audio fed so far: what waits for a batch of frames is run, too."""
        return self._valid("decode").text(flush=True)

    def intermediateDecodeWithMetadataFlushBuffers(self, num_results: int = 1) -> Metadata:
        """Up to `num_results` hypotheses of all audio fed so far."""
        return metadata_of(self._valid("decode").metadata(num_results, flush=True))


class Model(DeepSpeechModel):
    """A model; see `pynna.deepspeech.Model`. The path is that of a .tflite, or of any file that `pynna map` reads."""

    _coqui = True

    def __init__(self, model_path: Any) -> None:
        super().__init__(model_path)

    @classmethod
    def fromBuffer(cls, data: bytes) -> Model:
        """A model out of the bytes of a model file: a mapped one, or one that is mapped first and kept in the cache.

        Raises
        ------
        RuntimeError
            Not such a file.
        """
        from pynna.deepspeech.cache import mapped_buffer
        from pynna.errors import PynnaError

        model = cls.__new__(cls)
        try:
            status, native = _client.open_buffer(mapped_buffer(bytes(data)))
        except PynnaError as error:
            raise failure("CreateModelFromBuffer", 0x3000) from error
        if native is None:
            raise failure("CreateModelFromBuffer", status)
        model._model, model._rate = native, None
        return model

    def enableExternalScorerFromBuffer(self, data: bytes) -> None:
        """Searches with the language model of a .scorer's bytes. RuntimeError: not such a file."""
        self._checked("EnableExternalScorerFromBuffer", self._model.enable_scorer_buffer(bytes(data)))

    def createStream(self) -> Stream:
        """A stream."""
        return Stream(self._stream())

    def createStreamWithEmissions(self) -> Stream:
        """A stream whose metadata hold the labels' probabilities: `Metadata.emissions`."""
        return Stream(self._stream(keep_emissions=True))

    def sttWithEmissions(self, audio_buffer: Any, num_results: int = 1) -> Metadata:
        """Hypotheses of int16 [n], and the labels' probabilities, float64 [frames, labels], the blank's last."""
        stream = self.createStreamWithEmissions()
        stream.feedAudioContent(audio_buffer)
        return stream.finishStreamWithMetadata(num_results)
