# SPDX-License-Identifier: Apache-2.0
"""``pynna listen``: what the microphone hears."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from pynna.audio.microphone import chunks, require_sounddevice
from pynna.audio.piped import piped
from pynna.cli.arguments import (
    EXIT_CODES,
    MODEL_HELP,
    STDIN,
    CommandLineError,
    add_decoding,
    decoding_options,
    device,
    seconds,
)
from pynna.cli.live import MAX_ALTERNATIVES, Live, is_live
from pynna.cli.terminal import OK, print_text, to_json
from pynna.events import Final
from pynna.model import load
from pynna.streaming.endpointer import EndpointRules

DESCRIPTION = "Prints what is said into the microphone, an utterance a line."

EPILOG = (
    """\
examples:
  pynna listen
  pynna listen --grammar car.yaml              what is meant; "car" stands for the sentences that ship
  pynna listen --grammar car --wake-word computer --silence 0.5
  pynna listen --lm mine.arpa --hot-word tesla=6
  pynna listen --json | jq -r 'select(.event == "final").text'

An utterance is a line, and the best sentence of a grammar is told with its intent, slots and confidence, or "(not
accepted, ...)" where it is not believed. On a terminal the level and what is understood so far are drawn below, and
what a sentence nearly was is told. With --json each event is an object on a line of its own, all times in seconds from
the start: "start" (time) when speech begins; "partial" (time, text) whenever more is understood; "final" (time, start,
end, text, words, confidence, alternatives, and with --grammar intent, slots, reply, complete and accepted).
Interrupt it to end. The microphone needs sounddevice: pip install 'pynna[mic]'. Without one, pipe it in:
  arecord -f S16_LE -r 16000 | pynna listen -

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", nargs="?", type=_source, metavar="-", help="standard input: int16 or a WAV file")
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--device", metavar="D", help="the microphone's number or a part of its name")
    parser.add_argument("--json", action="store_true", help="every event as a JSON object")
    parser.add_argument("--words", action="store_true", help="also each word: start s, end s, confidence, word")
    parser.add_argument(
        "--silence",
        type=seconds,
        metavar="S",
        help="silence that ends an utterance (default: 0.7; 0.4 after a whole sentence of a grammar)",
    )
    parser.add_argument("--max-utterance", type=seconds, metavar="S", help="its longest utterance (default: 20)")
    add_decoding(parser)


def _source(text: str) -> str:
    """An argparse type: standard input alone."""
    if text != STDIN:
        raise argparse.ArgumentTypeError(f"{text!r} must be -; `pynna transcribe --utterances` hears files")
    return text


def run(args: argparse.Namespace) -> int:
    """The command."""
    if args.source == STDIN and args.device is not None:
        raise CommandLineError("--device is a microphone's: it must stand without -")
    model = load(args.model)
    rules: dict[str, float] = {}
    if args.silence is not None:
        rules = {"trailing_silence": args.silence, "trailing_silence_complete": args.silence}
    if args.max_utterance is not None:
        pre_roll = min(EndpointRules().pre_roll, args.max_utterance / 2)
        rules |= {"max_utterance": args.max_utterance, "pre_roll": pre_roll}
    options = decoding_options(args, model)
    live = Live(sys.stdout, args.words, args.grammar is not None) if not args.json and is_live(sys.stdout) else None
    if live is not None and args.grammar is not None and args.alternatives == 1:
        options["alternatives"] = 1 + MAX_ALTERNATIVES
    listener = model.listen(EndpointRules(**rules), **options)
    if args.source == STDIN:
        source: Iterator[bytes] = piped(sys.stdin.buffer, model.sample_rate, lambda note: print(note, file=sys.stderr))
    else:
        require_sounddevice()
        source = chunks(model.sample_rate, device(args.device))
        print("listening; Ctrl-C ends", file=sys.stderr)
    try:
        for event in listener.listen(source if live is None else live.watch(source)):
            if live is not None:
                live.tell(event)
            elif args.json:
                print(to_json(event.as_dict()), flush=True)
            elif isinstance(event, Final) and (event.result.text or args.grammar):
                print_text("", event.result, args.words)
                print(end="", flush=True)
    finally:
        if live is not None:
            live.close()
    return OK
