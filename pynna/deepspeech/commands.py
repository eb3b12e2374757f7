# SPDX-License-Identifier: Apache-2.0
"""The commands ``deepspeech`` and ``stt``: options and outputs of DeepSpeech 0.5 to 0.9.3's client and Coqui STT's."""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np

import pynna.deepspeech as deepspeech
from pynna.audio import load_audio
from pynna.deepspeech import stt
from pynna.deepspeech.api import CandidateTranscript, Metadata, Model, Pcm
from pynna.errors import PynnaError

OK, FAILED = 0, 1
_STREAM_STEP = 0.32  # seconds of audio between two partial results of --stream
_LM = (0.75, 1.85)  # DeepSpeech 0.5's alpha and beta


def deepspeech_command(arguments: Sequence[str] | None = None) -> int:
    """The command ``deepspeech``."""
    return _run(_parser("deepspeech", f"DeepSpeech {deepspeech.version()}"), arguments, _open_deepspeech)


def stt_command(arguments: Sequence[str] | None = None) -> int:
    """The command ``stt``."""
    return _run(_parser("stt", f"Coqui STT {stt.version()}"), arguments, lambda args: stt.Model(args.model))


def _parser(name: str, version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        description="Transcribes audio, as the command of the same name of DeepSpeech or Coqui STT does, with pynna.",
    )
    add = parser.add_argument
    add("--model", required=True, help="the model: .pbmm, .pb, .tflite, or what pynna map made of it")
    add("--audio", required=True, nargs="+", help="the recordings to transcribe")
    add("--scorer", help="a .scorer with the language model")
    add("--alphabet", help="DeepSpeech 0.5: the alphabet.txt of the model")
    add("--lm", nargs="?", help="DeepSpeech 0.5 and 0.6: lm.binary")
    add("--trie", nargs="?", help="and the trie of its words")
    add("--beam_width", type=int, help="hypotheses kept in the search")
    add("--lm_alpha", type=float, help="weight of the language model, together with --lm_beta")
    add("--lm_beta", type=float, help="what each word adds, together with --lm_alpha")
    add("--hot_words", metavar="WORD:BOOST,...", help="words that are expected, and what each adds")
    add("--extended", action="store_true", help="the text out of the metadata")
    add("--json", action="store_true", help="hypotheses and the words' times as JSON")
    add("--candidate_transcripts", type=int, default=3, metavar="N", help="hypotheses of --json (3)")
    add("--stream", action="store_true", help="feed the audio by and by, and print each partial result that differs")
    add("--version", action="version", version=version)
    return parser


def _open_deepspeech(args: argparse.Namespace) -> Model:
    if args.alphabet:
        return Model(args.model, 26, 9, args.alphabet, args.beam_width or 500)
    return Model(args.model)


def _run(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, open_model: Callable[[argparse.Namespace], Model]
) -> int:
    args = parser.parse_args(arguments)
    try:
        model = _prepare(args, open_model)
        for path in args.audio:
            audio = load_audio(path, sample_rate=model.sampleRate())
            if audio.source_rate != model.sampleRate():
                _tell(
                    f"Warning: original sample rate ({audio.source_rate}) is different than {model.sampleRate()}hz. "
                    f"It was resampled."
                )
            _tell("Running inference.")
            start = perf_counter()
            _transcribe(args, model, audio.pcm)
            seconds = len(audio.pcm) / model.sampleRate()
            _tell(f"Inference took {perf_counter() - start:.3f}s for {seconds:.3f}s audio file.")
    except (RuntimeError, ValueError, OSError, PynnaError) as error:
        _complain(parser.prog, error)
        return FAILED
    return OK


def _complain(program: str, error: Exception) -> None:
    """The clients' words, and behind them what pynna knows besides: a package that is missing, a file's fault."""
    cause = f": {error.__cause__}" if isinstance(error.__cause__, PynnaError) else ""
    print(f"{program}: {error}{cause}", file=sys.stderr)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _prepare(args: argparse.Namespace, open_model: Callable[[argparse.Namespace], Model]) -> Model:
    _tell(f"Loading model from file {args.model}")
    start = perf_counter()
    model = open_model(args)
    _tell(f"Loaded model in {perf_counter() - start:.3}s.")
    if args.beam_width:
        model.setBeamWidth(args.beam_width)
    if args.scorer or (args.lm and args.trie):
        _tell(f"Loading scorer from files {args.scorer or f'{args.lm} {args.trie}'}")
        start = perf_counter()
        if args.scorer:
            model.enableExternalScorer(args.scorer)
        elif status := model.enableDecoderWithLM(args.lm, args.trie, *_LM):
            raise deepspeech.api.failure("EnableDecoderWithLM", status)
        _tell(f"Loaded scorer in {perf_counter() - start:.3}s.")
        if args.lm_alpha is not None and args.lm_beta is not None:
            model.setScorerAlphaBeta(args.lm_alpha, args.lm_beta)
    if args.hot_words:
        _tell("Adding hot-words")
        for entry in args.hot_words.split(","):
            word, _, boost = entry.rpartition(":")
            model.addHotWord(word, float(boost))
    return model


def _transcribe(args: argparse.Namespace, model: Model, pcm: Pcm) -> None:
    stream = model.createStream()
    if args.stream:
        step, last = int(_STREAM_STEP * model.sampleRate()), ""
        for start in range(0, len(pcm), step):
            stream.feedAudioContent(pcm[start : start + step])
            partial = stream.intermediateDecode()
            if partial != last:
                print(partial, flush=True)
                last = partial
    else:
        stream.feedAudioContent(pcm)
    if args.json:
        print(json.dumps(as_json(stream.finishStreamWithMetadata(args.candidate_transcripts)), indent=2))
    elif args.extended:
        print(_text(stream.finishStreamWithMetadata(1).transcripts[0]))
    else:
        print(stream.finishStream())


def _text(transcript: CandidateTranscript) -> str:
    return "".join(token.text for token in transcript.tokens)


def as_json(metadata: Metadata) -> dict[str, Any]:
    """Hypotheses with their words, as --json prints them; times in seconds."""
    return {
        "transcripts": [
            {"confidence": transcript.confidence, "words": words_of(transcript)} for transcript in metadata.transcripts
        ]
    }


def words_of(transcript: CandidateTranscript) -> list[dict[str, Any]]:
    """Words with start_time and duration, which reaches to the space behind, or to the last character's start."""
    words: list[dict[str, Any]] = []
    letters: list[Any] = []
    last = transcript.tokens[-1] if transcript.tokens else None
    for token in transcript.tokens:
        if token.text != " ":
            letters.append(token)
        if letters and (token.text == " " or token is last):
            start = letters[0].start_time
            words.append(
                {
                    "word": "".join(letter.text for letter in letters),
                    "start_time": round(start, 4),
                    "duration": round(max(token.start_time - start, 0), 4),
                }
            )
            letters = []
    return words


def posteriors_command(arguments: Sequence[str] | None = None) -> int:
    """The command ``stt_onlyprobs``: labels' probabilities of utterances from standard input, as speech-to-phrase asks.

    Standard input holds chunks: a uint32 in the machine's order with a chunk's length in bytes, then int16 samples. A
    length of 0 ends an utterance: for each of its frames a line of probabilities is printed, the blank's last, and an
    empty line after them. Another utterance may follow; the end of the input ends the command.
    """
    parser = argparse.ArgumentParser(prog="stt_onlyprobs", description=posteriors_command.__doc__)
    parser.add_argument("model", type=Path)
    args = parser.parse_args(arguments)
    try:
        model = stt.Model(args.model)
    except RuntimeError as error:
        _complain("stt_onlyprobs", error)
        return FAILED
    model.setBeamWidth(1)  # nothing is searched
    stream = model.createStreamWithEmissions()
    for chunk in _chunks(sys.stdin.buffer):
        stream.feedAudioContent(chunk)
        if len(chunk):
            continue
        emissions = stream.finishStreamWithMetadata(1).emissions
        assert emissions is not None
        for row in emissions:
            print(" ".join(f"{value:.9g}" for value in row))
        print(flush=True)
        stream = model.createStreamWithEmissions()
    return OK


def _chunks(source: BinaryIO) -> Iterator[Pcm]:
    """Chunks of samples, an empty one for an utterance's end; a sample may lie across two chunks."""
    rest = b""
    while len(head := source.read(4)) == 4:
        length = struct.unpack("=I", head)[0]
        data = rest + source.read(length) if length else b""
        rest = data[len(data) & ~1 :]
        samples = np.frombuffer(data[: len(data) & ~1], np.int16)
        if len(samples) or not length:
            yield samples
