# SPDX-License-Identifier: Apache-2.0
"""``pynna why``: why a recording is understood as it is, or refused."""

from __future__ import annotations

import argparse

from pynna.audio import files
from pynna.cli.arguments import EXIT_CODES, MODEL_HELP, sentences_of, share
from pynna.cli.terminal import FAILED, OK, complain, to_json
from pynna.diagnosis import Diagnosis, diagnose
from pynna.errors import PynnaError
from pynna.model import load

DESCRIPTION = "Tells what was heard freely, the nearest sentence, where they part, confidence, level and noise."

EPILOG = (
    """\
examples:
  pynna why clip.wav --grammar mine.yaml
  pynna why clip.wav --grammar car --threshold 0.3
  pynna why *.wav --grammar mine.yaml --json

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings")
    parser.add_argument("--grammar", required=True, metavar="FILE", help='the sentences; "car": those that ship')
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--threshold", type=share, metavar="P", help="confidence from which a sentence is accepted")
    parser.add_argument("--channel", metavar="C", help="left, right, or a number from 1")
    parser.add_argument("--json", action="store_true", help="a JSON object a file")


def run(args: argparse.Namespace) -> int:
    """The command."""
    model, code = load(args.model), OK
    grammar = sentences_of(args.grammar)
    for path in args.files:
        try:
            audio = files.read(path, sample_rate=model.sample_rate, channel=args.channel)
            found = diagnose(model, audio, grammar, args.threshold)
        except (PynnaError, OSError) as error:
            complain(error, path)
            code = FAILED
            continue
        print(to_json({"file": path, **found.as_dict()}) if args.json else _text(path, found, audio.notes), flush=True)
    return code


def _text(path: str, found: Diagnosis, notes: tuple[str, ...]) -> str:
    slots = "".join(f" {name}={value}" for name, value in found.slots.items())
    lines = [
        f"{path}: {found.reason}",
        f"  heard freely   {found.heard or '(nothing)'}",
        f"  nearest        {found.sentence or '(nothing)'}" + (f"  [{found.intent}{slots}]" if found.intent else ""),
        f"  confidence     {found.confidence:.3f} of {found.threshold:.3f}",
    ]
    lines += [f"  or             {text}  {confidence:.3f}" for text, confidence in found.others]
    lines += [f"  {d.start:6.2f} {d.end:6.2f}  {d.heard or '-'}  /  {d.sentence or '-'}" for d in found.differences]
    spoken = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in found.speech) or "none"
    lines += [
        f"  speech         {spoken}",
        f"  level          {found.level:.0f} dB, noise {found.noise:.0f} dB",
        *(f"  note           {note}" for note in (*notes, *found.remarks)),
    ]
    return "\n".join(lines)
