# SPDX-License-Identifier: Apache-2.0
"""An archive by another recogniser, for `bench.archive`: KIND MODEL... FILE..., a file after the other, one thread."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pynna

Hear = Callable[[str], str]


def deepspeech(folder: str, model: str) -> Hear:
    """The real client."""
    from bench.clients import Client

    client = Client(Path(folder), Path(model), None, 500)
    return lambda path: client(pynna.audio.read(path).pcm)[0]


def vosk(model: str) -> Hear:
    """Kaldi's decoder."""
    from vosk import KaldiRecognizer, Model

    made = Model(model)

    def hear(path: str) -> str:
        recogniser = KaldiRecognizer(made, 16000)
        texts, pcm = [], pynna.audio.read(path).pcm
        for at in range(0, len(pcm), 4000):
            if recogniser.AcceptWaveform(pcm[at : at + 4000].tobytes()):
                texts.append(json.loads(recogniser.Result())["text"])
        return " ".join([*texts, json.loads(recogniser.FinalResult())["text"]])

    return hear


def whisper(model: str) -> Hear:
    """CTranslate2's int8."""
    from faster_whisper import WhisperModel

    made = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1)
    return lambda path: " ".join(segment.text for segment in made.transcribe(path, language="en", beam_size=1)[0])


KINDS: dict[str, tuple[Callable[..., Hear], int]] = {
    "deepspeech": (deepspeech, 2),
    "vosk": (vosk, 1),
    "whisper": (whisper, 1),
}


def main(kind: str, *arguments: str) -> None:
    """The program."""
    os.environ["OMP_NUM_THREADS"] = os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the client of DeepSpeech has no other way
    make, n = KINDS[kind]
    hear = make(*arguments[:n])
    for path in arguments[n:]:
        print(Path(path).name, hear(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
