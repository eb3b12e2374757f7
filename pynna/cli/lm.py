# SPDX-License-Identifier: Apache-2.0
"""``pynna lm``: a language model of one's own text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pynna.cli.arguments import EXIT_CODES, at_least, read_text, spelled
from pynna.cli.terminal import OK
from pynna.decoding.ngram import write_arpa
from pynna.errors import ArgumentError
from pynna.grammar.normalise import normalise
from pynna.model import load
from pynna.saving import check_place

DESCRIPTION = "Makes a word n-gram model of a text, an ARPA file for `pynna transcribe --lm`."

EPILOG = (
    """\
examples:
  pynna lm notes.txt letters.txt -o mine.arpa
  pynna transcribe --lm mine.arpa dictation.wav
  pynna lm --model deutsch.nna briefe.txt -o deutsch.arpa

Text becomes what networks spell: lower case, numbers as words, in the model's letters and language (English ones
unless --model tells others). Kneser-Ney smoothing. Reading the file again takes KenLM: pip install
'pynna[lm]'.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("files", nargs="+", metavar="TEXT", help="text files, a sentence a line")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.arpa", help="the file to write")
    parser.add_argument("-m", "--model", metavar="M", help="the .nna file whose letters and language the text has")
    parser.add_argument("--order", type=at_least(2, 6), default=3, metavar="N", help="words looked at together (3)")


def run(args: argparse.Namespace) -> int:
    """The command."""
    at = ""
    check_place(args.output, *args.files)
    model = load(args.model) if args.model is not None else None

    def sentences() -> Iterator[str]:
        nonlocal at
        for name in args.files:
            for i, line in enumerate(read_text(name).splitlines(), 1):
                at = f"{name}:{i}: "
                yield normalise(line) if model is None else spelled(line, model)
        at = ""

    try:
        n = write_arpa(sentences(), args.output, args.order)
    except ArgumentError as error:
        raise ArgumentError(f"{at}{error}") from None
    print(f"{args.output}: {n:,} n-grams")
    return OK
