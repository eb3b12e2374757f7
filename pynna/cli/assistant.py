# SPDX-License-Identifier: Apache-2.0
"""``pynna assistant``: a car that is spoken to."""

from __future__ import annotations

import argparse
import asyncio
import sys

from pynna.audio.microphone import require_sounddevice
from pynna.cli.arguments import EXIT_CODES, MODEL_HELP, CommandLineError, add_drain, at_least, device
from pynna.cli.terminal import OK
from pynna.model import load

DESCRIPTION = "Serves a digital cluster with a microphone, and opens it in the browser."

EPILOG = (
    """\
examples:
  pynna assistant --demo                       a drive with the recordings that ship
  pynna assistant                              click the microphone and speak
  pynna assistant --microphone --speak         this machine's microphone; answers spoken by espeak-ng
  pynna assistant --host 0.0.0.0 --token "$(openssl rand -hex 16)" --certificate c.pem --key k.pem

Only this machine reaches the page, unless --host says otherwise: then a token and TLS files are needed. It needs
aiohttp: pip install 'pynna[assistant]'; --microphone needs sounddevice: pip install 'pynna[mic]'.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("-m", "--model", metavar="M", help=MODEL_HELP)
    parser.add_argument("--demo", action="store_true", help="the recordings that ship speak a drive")
    parser.add_argument("--microphone", action="store_true", help="listen to this machine's microphone")
    parser.add_argument("--device", metavar="D", help="its number or a part of its name")
    parser.add_argument("--speak", action="store_true", help="speak the answers with espeak-ng")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=at_least(0, 65535), default=8642, help="0: any free one (default: 8642)")
    parser.add_argument("--token", help="what a browser must know, 16 characters or more")
    parser.add_argument("--certificate", metavar="PEM", help="TLS certificate")
    parser.add_argument("--key", metavar="PEM", help="its key")
    parser.add_argument("--channels", type=at_least(1, 1024), default=16, help="microphones at once (default: 16)")
    add_drain(parser)
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")


def run(args: argparse.Namespace) -> int:
    """The command."""
    try:
        from pynna.assistant import run
        from pynna.assistant.access import check_access, is_loopback
        from pynna.assistant.scheduler import put_steps_first
        from pynna.assistant.server import Server
    except ModuleNotFoundError as error:
        raise ImportError(f"the assistant needs {error.name}: pip install 'pynna[assistant]'") from None

    if args.device is not None and not args.microphone:
        raise CommandLineError("--device needs --microphone: without it the browsers' are heard")
    context = check_access(args.host, args.token, args.certificate, args.key)
    open_to_all = not is_loopback(args.host)
    hosts = () if open_to_all else ("localhost", "127.0.0.1", "::1", args.host)
    server = Server(load(args.model), channels=args.channels, token=args.token, hosts=hosts)
    server.model.decoder_options(grammar=server.assistant.grammar)  # what it needs is read now: the steps wait for none
    if args.demo:
        server.helpers.append(run.demonstration(server, run.demo_recordings()))
    if args.microphone:
        require_sounddevice()
        server.helpers.append(run.local_microphone(server, device(args.device)))
    if args.speak:
        server.speak = run.voice()

    server.on_outcome = lambda outcome: print(outcome, flush=True)

    def ready(address: str) -> None:
        print(f"{address}{f'?token={args.token}' if args.token else ''}", flush=True)
        print("Say or type “increase the volume”. Ctrl-C ends.", file=sys.stderr)

    put_steps_first()
    asyncio.run(
        run.serve(
            server,
            args.host,
            args.port,
            context=context,
            token=args.token,
            browser=not args.no_browser and not open_to_all,
            ready=ready,
            drain=args.drain,
        )
    )
    return OK
