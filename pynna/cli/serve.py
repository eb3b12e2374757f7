# SPDX-License-Identifier: Apache-2.0
"""``pynna serve``: speech to text for others."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pynna.cli.arguments import (
    DRAIN_SECONDS,
    EXIT_CODES,
    MODEL_HELP,
    CommandLineError,
    add_drain,
    at_least,
    sentences_of,
)
from pynna.cli.terminal import OK
from pynna.errors import ArgumentError
from pynna.model import load

DESCRIPTION = "Serves speech to text, intents and wake words to others."

UNIT_URI = "tcp://0.0.0.0:10300"
"""Where a unit's server listens."""

TOKENS = ("HOME_ASSISTANT_TOKEN", "SUPERVISOR_TOKEN")
"""Environment variables that may hold the token for Home Assistant."""

EPILOG = (
    """\
examples:
  pynna serve --wyoming tcp://127.0.0.1:10300
  pynna serve --wyoming tcp://0.0.0.0:10300 --zeroconf --grammar home.yaml
  pynna serve --wyoming tcp://0.0.0.0:10300 --home-assistant http://homeassistant.local:8123
  pynna serve --wyoming stdio:// --grammar car
  pynna serve --wyoming tcp://0.0.0.0:10300 --channels 64 --metrics 127.0.0.1:9100
  pynna serve --measure                        how many microphones this machine serves
  pynna serve --print-unit --home-assistant http://homeassistant.local:8123 > /etc/systemd/system/pynna.service
  pynna serve --write-addon /addons/pynna      an add-on ("App") for Home Assistant OS

Speech to text, intents and wake words for Home Assistant, by the Wyoming protocol. It needs wyoming: pip install
'pynna[assistant]'. With --home-assistant the names of the home are read, and read again when they change; the token
stands in the environment variable HOME_ASSISTANT_TOKEN. --grammar then adds sentences; without it, it may be given
again: clients select a file by its name.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--wyoming", metavar="URI", help="where: tcp://HOST:PORT, unix://PATH or stdio://")
    where.add_argument("--measure", action="store_true", help="tell how many microphones this machine serves in time")
    where.add_argument("--print-unit", action="store_true", help="print a unit for systemd that serves with the rest")
    where.add_argument("--write-addon", metavar="FOLDER", help="write an add-on of Home Assistant into a folder")
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument(
        "--grammar",
        action="append",
        metavar="FILE",
        help='the sentences that may be said; "car": those that ship; may be given again',
    )
    parser.add_argument("--wake-word", action="append", metavar="WORD", help="to be detected; may be given again")
    parser.add_argument("--home-assistant", metavar="URL", help="read names and sentences from there")
    parser.add_argument("--zeroconf", action="store_true", help="let Home Assistant find it in the local network")
    parser.add_argument("--channels", type=at_least(1, 1024), metavar="N",
                        help="requests at once; one more is told so (default: 32)")  # fmt: skip
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve /metrics, /healthz and /readyz there")
    add_drain(parser)
    parser.add_argument("--seconds", type=at_least(2, 3600), metavar="S",
                        help="of --measure, for each number of microphones (default: 20)")  # fmt: skip
    parser.add_argument("--processes", type=at_least(1, 1024), metavar="N",
                        help="of --measure: servers beside each other (default: one a core)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """The command."""
    _check_that_all_act(args)
    if args.write_addon or args.print_unit:
        return _set_up(args)
    if args.measure:
        return _measure(args)
    try:
        from pynna.assistant import wyoming
        from pynna.assistant.scheduler import put_steps_first
        from pynna.assistant.wyoming_programs import Programs
    except ModuleNotFoundError as error:
        raise ImportError(f"Wyoming needs {error.name}: pip install 'pynna[assistant]'") from None

    token = next(filter(None, map(os.environ.get, TOKENS)), "")
    if args.home_assistant is not None and not token:
        raise ArgumentError(f"--home-assistant needs a token in the environment variable {TOKENS[0]}")
    model, files = load(args.model), args.grammar or []
    is_home = args.home_assistant is not None
    grammars = {} if is_home else {Path(file).stem: sentences_of(file) for file in files}
    programs = Programs(model, grammars, tuple(args.wake_word or ()))
    document = _document(files) if is_home and files else None

    async def serve() -> None:
        following = None
        if is_home:
            following = asyncio.create_task(
                wyoming.follow_home(programs, args.home_assistant, token, document, lambda text: _tell(text))
            )
        try:
            await wyoming.serve(model, args.wyoming, programs=programs, zeroconf=args.zeroconf,
                                channels=args.channels or wyoming.CHANNELS, metrics=args.metrics, drain=args.drain,
                                ready=lambda uri: print(uri, flush=True))  # fmt: skip
        finally:
            if following is not None:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following

    put_steps_first()
    asyncio.run(serve())
    return OK


def _check_that_all_act(args: argparse.Namespace) -> None:
    """Raises CommandLineError for an option that does nothing with the one that tells what to do."""
    what, unused = "--wyoming", tuple[str, ...](("seconds", "processes"))
    if args.print_unit:
        what = "--print-unit"
    elif args.measure:
        what, unused = "--measure", ("wake_word", "home_assistant", "zeroconf", "channels", "metrics")
    elif args.write_addon:
        what, unused = "--write-addon", ("model", "grammar", "wake_word", "home_assistant", "zeroconf", "channels",
                                         "metrics", "seconds", "processes")  # fmt: skip
    for name in unused:
        if getattr(args, name) not in (None, False):
            raise CommandLineError(f"--{name.replace('_', '-')} does nothing with {what}")
    if args.measure and len(args.grammar or ()) > 1:
        raise CommandLineError("--measure takes one --grammar")


def _set_up(args: argparse.Namespace) -> int:
    """What starts the server elsewhere: an add-on's folder, or a unit on standard output."""
    from pynna.assistant import supervised

    if args.write_addon:
        supervised.write_addon(args.write_addon)
        return OK
    options = ["--wyoming", UNIT_URI]
    home = [args.home_assistant] if args.home_assistant else []
    given = {"--model": [args.model] if args.model else [], "--grammar": args.grammar or [],
             "--wake-word": args.wake_word or [], "--home-assistant": home,
             "--channels": [str(args.channels)] if args.channels else [],
             "--metrics": [args.metrics] if args.metrics else [],
             "--drain": [str(args.drain)] if args.drain != DRAIN_SECONDS else []}  # fmt: skip
    for name, values in given.items():
        for value in values:
            is_file = name in ("--model", "--grammar") and Path(value).exists()
            options += [name, str(Path(value).resolve()) if is_file else value]
    print(supervised.unit([*options, "--zeroconf"] if args.zeroconf else options), end="")
    return OK


def _measure(args: argparse.Namespace) -> int:
    """How many microphones are in time, told as it is found."""
    try:
        from pynna.assistant import capacity
    except ModuleNotFoundError as error:
        raise ImportError(f"--measure needs {error.name}: pip install 'pynna[assistant]'") from None

    files = args.grammar or ["car"]
    processes, seconds = args.processes or capacity.n_cores(), args.seconds or 20
    print(f"{processes} servers, {files[0]}, {seconds} s for each number of microphones", flush=True)
    print(capacity.HEAD, flush=True)
    found = capacity.search(
        args.model, files[0], seconds=seconds, processes=processes, told=lambda row: print(row, flush=True)
    )
    print(f"{found} microphones on this machine, {found // processes} a server")
    return OK


def _tell(text: str) -> None:
    print(f"Home Assistant: {text}", file=sys.stderr, flush=True)


def _document(files: list[str]) -> Mapping[str, Any]:
    from pynna.grammar import sentence_file  # hassil is loaded where there is a grammar

    document, name = sentence_file.load(files)
    if not isinstance(document, Mapping):
        raise ArgumentError(f"{name}: with --home-assistant a grammar must be a sentence file in YAML")
    return document
