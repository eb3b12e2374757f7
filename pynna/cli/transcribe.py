# SPDX-License-Identifier: Apache-2.0
"""``pynna transcribe``: recordings to text."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pynna.archive.jobs import start_early
from pynna.archive.transcribe import output_names, transcribe_files
from pynna.archive.writers import FORMATS, Recording
from pynna.audio import files
from pynna.audio.channels import remarks
from pynna.audio.pcm import Audio
from pynna.cli.arguments import (
    EXIT_CODES,
    MODEL_HELP,
    STDIN,
    CommandLineError,
    add_decoding,
    at_least,
    decoding_options,
)
from pynna.cli.terminal import FAILED, OK, Progress, complain, print_text
from pynna.decoding.results import Result
from pynna.errors import AudioError, PynnaError
from pynna.events import Event, Final
from pynna.model import Model, load
from pynna.saving import whole_file

_PIECE_SECONDS = 5  # of audio, between two looks at the progress bar

_PRINTED = ("text", "json", "srt", "vtt")  # here; the others are the archive's alone

DESCRIPTION = "Prints what is said in each recording."

EPILOG = (
    """\
examples:
  pynna transcribe clip.wav
  pynna transcribe --words *.flac              each word's start and end in seconds and its confidence
  pynna transcribe --json a.mp3 b.ogg | jq -r .text
  pynna transcribe --model mine.nna --beam 64 clip.wav
  pynna transcribe --format srt talk.mp3 > talk.srt
  pynna transcribe --jobs 4 --format jsonl -o out/ archive/      a folder, on four cores
  pynna transcribe --ray -o out/ archive/                        by Ray, to Parquet files
  pynna transcribe --ray-address 10.0.0.1:6379 -o out/ archive/  on a cluster
  pynna transcribe --grammar car.yaml --alternatives 3 clip.wav
  pynna transcribe --lm mine.arpa --hot-word tesla=6 --hot-word "rain light=4" clip.wav
  arecord -f S16_LE -r 16000 -d 3 | pynna transcribe -

Audio may be WAV, FLAC, OGG or MP3 of any sample rate and number of channels; what is done to it (resampling, mixing
down) is told on standard error. One file gives its text alone, several give "file: text" lines. With --json, each
file gives one object on a line of its own: file, start and end (seconds), text, words (text, start, end, confidence),
confidence, alternatives (text, confidence, score; the text is the first of them), duration in seconds and notes. With
--grammar the best sentence of a file (Home Assistant's templates in YAML, or JSGF) is told with its intent and slots,
or "(not accepted)" where it is not believed; a JSON object then has intent, slots, reply, complete and accepted too.
--utterances cuts a recording at its pauses: a line, or an object, for each.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help='recordings, or folders of them; "-" reads one from standard input'
    )
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="of the output",
    )
    formats.add_argument("--json", action="store_const", const="json", dest="format", help="as --format json")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="a file a recording there, named after it")
    parser.add_argument("--jobs", type=at_least(1, 1024), metavar="N", help="processes that share many or long files")
    parser.add_argument(
        "--ray", action="store_true", help="by Ray, an actor a processor (--jobs: at most N), to Parquet files in -o"
    )
    parser.add_argument("--ray-address", metavar="ADDRESS", help="--ray on the cluster there instead of this machine")
    parser.add_argument("--resume", action="store_true", help="go on with what an earlier run left in -o FOLDER")
    parser.add_argument("--channel", metavar="C", help="left, right, or a number from 1: one side of a call")
    parser.add_argument("--raw", type=at_least(1000, 384000), metavar="RATE", help="files of raw int16 at this rate")
    parser.add_argument("--strict", action="store_true", help="refuse files that are cut short or damaged")
    parser.add_argument("--utterances", action="store_true", help="cut at pauses, each part a result of its own")
    parser.add_argument("--words", action="store_true", help="also each word: start s, end s, confidence, word")
    parser.add_argument("--threads", type=at_least(1, 64), metavar="N", help="threads of a network step")
    add_decoding(parser)


def run(args: argparse.Namespace) -> int:
    """The command."""
    if args.ray or args.ray_address is not None:
        return _run_ray(args)
    args.files = files.recordings_in(args.files, raw=args.raw is not None)
    if args.format in ("srt", "vtt") and len(args.files) > 1 and args.output is None:
        raise CommandLineError(
            f"--format {args.format} of several files needs -o FOLDER: each has subtitles of its own"
        )
    if args.words and args.format in ("srt", "vtt"):
        raise CommandLineError(
            f"--words must stand without --format {args.format}; text, json, jsonl and ctm tell words"
        )
    if args.resume and args.output is None:
        raise CommandLineError("--resume needs -o FOLDER, that of the run before")
    if args.jobs is not None or args.resume or args.format not in _PRINTED:
        return _run_archive(args)
    model = load(args.model, threads=args.threads)
    options = decoding_options(args, model)
    code, outputs = OK, _outputs(args)
    with Progress(len(args.files)) as progress:
        for i, (path, output) in enumerate(zip(args.files, outputs, strict=True)):
            progress.show(path, i)
            try:
                audio = _load(path, model.sample_rate, args)
                _print_notes(path, audio, progress)
                results = _recognise(model, audio, options, args, progress)
            except (PynnaError, OSError, MemoryError) as error:
                progress.hide()
                complain(error, path)
                code = FAILED
            else:
                progress.hide()
                with _standard_output(output):
                    _print_results(path, audio, results, args)
    return code


def _run_archive(args: argparse.Namespace) -> int:
    """Many recordings, or long ones: sixteen channels of each of the jobs' cores."""
    if STDIN in args.files:
        raise CommandLineError('--jobs, --resume and this format need files, got "-"')
    if args.words and args.format == "text":
        raise CommandLineError(
            "--words must stand without --jobs and --resume; --format json and jsonl tell the words, too"
        )
    model = load(args.model, threads=args.threads or 1)
    start_early(args.jobs or 1, model)
    whole = not args.utterances and not FORMATS[args.format].segmented
    code, several = OK, len(args.files) > 1
    with Progress(100) as progress:
        for found in transcribe_files(
            args.files, model, jobs=args.jobs or 1, output=args.output, format=args.format, resume=args.resume,
            whole=whole, ordered=True,
            reading={"channel": args.channel, "strict": args.strict, "raw_sample_rate": args.raw},
            progress=lambda at: progress.show(None, 100 * at.done / max(at.total, 1e-9), at.left),
            **decoding_options(args, model),
        ):  # fmt: skip
            progress.hide()
            for note in found.notes:
                print(f"{found.path}: {note}", file=sys.stderr)
            if found.error:
                complain(AudioError(found.error), found.path)
                code = FAILED
            elif found.output is None:
                of, segments = Recording(found.path, found.seconds, found.notes), found.segments
                _print(of, segments, args, several)
    return code


def _run_ray(args: argparse.Namespace) -> int:
    """An archive on a cluster."""
    from pynna.archive.ray import transcribe_archive

    if args.output is None or STDIN in args.files:
        raise CommandLineError("--ray needs files or folders, and -o FOLDER for its Parquet files")
    if args.format != "text" or args.words or args.threads not in (None, 1):
        raise CommandLineError(
            "--ray must stand without --format, --json, --words and --threads: it writes Parquet files"
        )
    report = transcribe_archive(
        args.files, args.output, address=args.ray_address, model=args.model, actors=args.jobs, resume=args.resume,
        reading={"channel": args.channel, "strict": args.strict, "raw_sample_rate": args.raw},
        **decoding_options(args, load(args.model, threads=1)),
    )  # fmt: skip
    for path, note in sorted(report.notes.items()):
        print(f"{path}: {note}", file=sys.stderr)
    for path, text in sorted(report.failed.items()):
        complain(AudioError(text), path)
    return FAILED if report.failed else OK


def _outputs(args: argparse.Namespace) -> list[Path | None]:
    """The files that are written, None for standard output."""
    if args.output is None:
        return [None] * len(args.files)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    names = ["standard_input" if path == STDIN else path for path in args.files]
    return list(output_names(names, folder, FORMATS[args.format].ending))


@contextlib.contextmanager
def _standard_output(path: Path | None) -> Iterator[None]:
    """What is printed goes into a file, where there is one."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as out, contextlib.redirect_stdout(out):
        yield


def _load(path: str, rate: int, args: argparse.Namespace) -> Audio:
    how: dict[str, Any] = {
        "sample_rate": rate,
        "channel": args.channel,
        "strict": args.strict,
        "raw_sample_rate": args.raw,
    }
    if path != STDIN:
        return files.read(path, **how)
    if sys.stdin.isatty():
        raise AudioError("standard input is a terminal; a WAV, FLAC, OGG or MP3 file is expected from it")
    return files.read(sys.stdin.buffer, **how)


def _recognise(
    model: Model,
    audio: Audio,
    options: dict[str, Any],
    args: argparse.Namespace,
    progress: Progress,
) -> list[tuple[float, float, Result]]:
    """What `model.transcribe` does, in pieces, for the progress bar to move; the result is the same to the bit. With
    the seconds from which and to which each reaches."""
    done, piece = progress.done, _PIECE_SECONDS * audio.sample_rate
    # subtitles are of long recordings: utterance by utterance
    listener = model.listen(**options) if args.utterances or args.format in ("srt", "vtt") else None
    stream = model.stream(**options)
    events: list[Event[Result]] = []
    for start in range(0, len(audio.pcm), piece):
        chunk = audio.pcm[start : start + piece]
        if listener is None:
            stream.feed(chunk)
        else:
            events += listener.feed(chunk)
        progress.show(None, done + start / len(audio.pcm))
    if listener is None:
        return [(0.0, audio.duration, stream.finish())]
    events += listener.finish()
    return [(event.start, event.end, event.result) for event in events if isinstance(event, Final)]


def _print_notes(path: str, audio: Audio, progress: Progress) -> None:
    notes = _notes(audio)
    if notes:
        progress.hide()
    for note in notes:
        print(f"{path}: {note}", file=sys.stderr)


def _notes(audio: Audio) -> list[str]:
    return [*audio.notes, *remarks(audio.pcm, audio.source_rate, audio.sample_rate)]


def _print_results(
    path: str, audio: Audio, results: list[tuple[float, float, Result]], args: argparse.Namespace
) -> None:
    several = len(args.files) > 1 and args.output is None
    if args.format == "text":
        for *_, result in results:
            print_text(f"{path}: " if several else "", result, args.words)
        print(end="", flush=True)
        return
    segments = [{"start": start, "end": end, **result.as_dict()} for start, end, result in results]
    _print(Recording(path, audio.duration, _notes(audio)), segments, args, several)


def _print(of: Recording, segments: list[dict[str, Any]], args: argparse.Namespace, several: bool) -> None:
    """In the format that is asked for."""
    for piece in FORMATS[args.format].write(of, lambda: segments):
        print(f"{of.path}: " if several and args.format == "text" else "", piece, sep="", end="")
    print(end="", flush=True)
