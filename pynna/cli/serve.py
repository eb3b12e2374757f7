"""``pynna serve``: speech to text for others."""

from __future__ import annotations

import argparse
import asyncio

from pynna.cli.arguments import EXIT_CODES, MODEL_HELP, sentences_of
from pynna.cli.terminal import OK
from pynna.model import load

DESCRIPTION = "Serves speech to text to others."

EPILOG = (
    """\
examples:
  pynna serve --wyoming tcp://127.0.0.1:10300
  pynna serve --wyoming tcp://0.0.0.0:10300 --zeroconf --grammar home.yaml

Speech to text for Home Assistant, by the Wyoming protocol. It needs wyoming: pip install 'pynna[assistant]'.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--wyoming", required=True, metavar="URI", help="where: tcp://HOST:PORT or unix://PATH")
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--grammar", metavar="FILE", help='the sentences that may be said; "car": those that ship')
    parser.add_argument("--zeroconf", action="store_true", help="let Home Assistant find it in the local network")


def run(args: argparse.Namespace) -> int:
    """The command."""
    try:
        from pynna.assistant.wyoming import serve
    except ModuleNotFoundError as error:
        raise ImportError(f"Wyoming needs {error.name}: pip install 'pynna[assistant]'") from None

    grammar = sentences_of(args.grammar) if args.grammar else None
    asyncio.run(serve(load(args.model), args.wyoming, grammar=grammar, zeroconf=args.zeroconf,
                      ready=lambda uri: print(uri, flush=True)))
    return OK
