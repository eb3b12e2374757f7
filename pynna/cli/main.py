# SPDX-License-Identifier: Apache-2.0
"""The command ``pynna``: the assistant, listening, recordings to text, sentence files, mapping, build and model."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from pynna.cli.arguments import EXIT_CODES, CommandLineError
from pynna.cli.terminal import FAILED, INTERRUPTED, OK, USAGE, complain, drop_output, open_closed_streams
from pynna.errors import PynnaError

COMMANDS = {
    "assistant": "a car that is spoken to: its digital cluster in the browser",
    "listen": "what the microphone hears",
    "transcribe": "recordings to text",
    "why": "why a recording is understood as it is, or refused",
    "serve": "speech to text for Home Assistant (Wyoming)",
    "grammar": "check a sentence file",
    "lm": "a language model from one's own text",
    "map": "a trained DeepSpeech model to a .nna file",
    "export": "a model for DeepSpeech's and Coqui STT's own runtimes",
    "info": "this build, and a model's metadata",
}
"""What each does; the module of that name beside this one is loaded when it is asked for: `DESCRIPTION`, `EPILOG`,
`add_arguments`, `run`."""

_MAIN_EPILOG = (
    """\
examples:
  pynna assistant --demo                       a car that is spoken to, in the browser
  pynna listen                                 what the microphone hears
  pynna transcribe clip.wav                    what was said
  pynna transcribe --grammar car.yaml clip.wav what was meant, of the sentences in a file
  pynna grammar car.yaml                       check a sentence file
  pynna lm notes.txt -o mine.arpa              a language model for dictation
  pynna map output_graph.pb -o mine.nna        a trained DeepSpeech model for this machine and any other
  pynna export mine.nna output_graph.pbmm      back again, for DeepSpeech's and Coqui STT's own runtimes
  pynna info mine.nna                          what is in it, and which instruction set runs it

`pynna COMMAND --help` tells more about each.

"""
    + EXIT_CODES
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, those of the process unless given.

    Returns
    -------
    int
        0 all is well, 1 something failed, 2 a wrong command line (argparse exits by itself), 130 interrupted.
    """
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name may hold what the terminal cannot show
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = _parser(argv).parse_args(argv)
        code = int(_module(args.command).run(args))
        if not sys.stdout.closed:  # a server's client on standard output has taken it with it
            print(end="", flush=True)
        return code
    except BrokenPipeError:  # `pynna ... | head`: the reader has seen enough
        drop_output()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except (PynnaError, OSError, MemoryError, ImportError) as error:
        complain(error)
        drop_output()
        return USAGE if isinstance(error, CommandLineError) else FAILED


def _module(name: str) -> Any:
    return importlib.import_module(f"pynna.cli.{name}")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the options of the command that is asked for."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="pynna",
        epilog=_MAIN_EPILOG,
        formatter_class=raw,
        description="Speech recognition with int8 LSTM networks, 20 ms at a step.",
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    asked_for = next((word for word in argv if word in COMMANDS), None)
    for name, text in COMMANDS.items():
        module = _module(name) if name == asked_for else None
        command = commands.add_parser(
            name,
            help=text,
            formatter_class=raw,
            epilog=getattr(module, "EPILOG", ""),
            description=getattr(module, "DESCRIPTION", ""),
        )
        if module is not None:
            module.add_arguments(command)
    return parser


class _Version(argparse.Action):
    """--version, which asks the installed package only when it is used."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import pynna

        print(f"pynna {pynna.__version__}")
        parser.exit()
