# SPDX-License-Identifier: Apache-2.0
"""``pynna grammar``: a sentence file, checked."""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import asdict
from typing import Any

from pynna.cli.arguments import EXIT_CODES, MODEL_HELP, at_least, sentences_of
from pynna.cli.terminal import FAILED, OK, complain, to_json
from pynna.errors import PynnaError
from pynna.grammar.picture import svg
from pynna.model import load
from pynna.saving import whole_file

DESCRIPTION = "Reads a sentence file, compiles it, and tells its size."

EPILOG = (
    """\
examples:
  pynna grammar car.yaml
  pynna grammar car.yaml --sample 20           sentences at random, and what they mean
  pynna grammar car.yaml --parse "increase the volume by five percent"
  pynna grammar car.yaml --graph car.svg       a picture of its sentences
  pynna grammar custom_sentences/en            a folder's files, merged as Home Assistant does

FILE is a YAML file in Home Assistant's template language or a folder of them, a JSGF grammar (.jsgf, .gram, .grammar),
Rhasspy's sentences.ini, or a context of Rhino in YAML.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("file", metavar="FILE", help='a sentence file, .yaml or .jsgf; "car": the one that ships')
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--sample", type=at_least(1, 100000), metavar="N", help="N sentences at random")
    parser.add_argument("--parse", metavar="TEXT", help="what a sentence means")
    parser.add_argument("--graph", metavar="OUT.svg", help="write a picture of the sentences")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """The command."""
    try:
        model = load(args.model)
        started = time.perf_counter()
        grammar = sentences_of(args.file)
        automaton = grammar.automaton(model.labels)
        graph = grammar.graph(model.labels)
        seconds = time.perf_counter() - started
        if args.graph is not None:
            with whole_file(args.graph) as out:
                out.write(svg(grammar))
    except (PynnaError, OSError) as error:
        complain(error, args.file)
        return FAILED
    for note in grammar.notes:
        print(note, file=sys.stderr)
    told: dict[str, Any] = {
        "file": args.file, "intents": list(grammar.intents), "sentences": automaton.n_sentences(),
        "states": graph.n_states, "arcs": graph.n_arcs, "bytes": graph.n_bytes, "seconds": round(seconds, 3),
    }  # fmt: skip
    if args.sample:
        rng = random.Random()
        told["sample"] = [asdict(grammar.sample(rng)) for _ in range(args.sample)]
    match = grammar.parse(args.parse) if args.parse is not None else None
    if args.parse is not None:
        told["parse"] = asdict(match) if match else None
    print(to_json(told) if args.json else _text(told, args))
    return OK if args.parse is None or match else FAILED


def _text(told: dict[str, Any], args: argparse.Namespace) -> str:
    if args.parse is not None:
        found = told["parse"]
        return f"{found['intent']} {found['slots']}" if found else f"{args.parse!r} is not a sentence of {args.file}"
    if args.sample:
        return "\n".join(f"{s['text']}  [{s['intent']}] {s['slots'] or ''}".rstrip() for s in told["sample"])
    return (
        f"{told['file']}: {len(told['intents'])} intents, {told['sentences']:,} sentences; "
        f"{told['states']:,} states, {told['arcs']:,} arcs, "
        f"{told['bytes']:,} bytes, made in {told['seconds']:.2f} s"
    )
