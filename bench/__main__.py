# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python -m bench COMMAND [--json]``."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

# Commands, the modules that they live in (imported when asked for: they need different packages), what they tell.
COMMANDS = {
    "network": ("bench.network", "whole steps of a network beside the machine's limits and the accelerator's figures"),
    "kernels": ("bench.kernels", "the MAC array alone, for every shape of the network and every instruction set"),
    "table": ("bench.table", "the accelerator's published table with this machine beside it"),
    "arm": ("bench.arm", "inner loops on ARM cores by llvm-mca, and an estimate of boards"),
    "startup": ("bench.startup", "from nothing to the first step: milliseconds and memory, this project and others"),
    "stages": ("bench.stages", "what stands around the network: MFCC and beam search"),
    "pipeline": ("bench.pipeline", "channels of PCM to greedy text beside the network and its products alone"),
    "decoders": ("bench.decoders", "the searches of this project and others, on the same probabilities"),
    "grammars": ("bench.grammars", "sentence files: compiling, sizes, and what a search over them costs"),
    "archive": ("bench.archive", "hours of audio a core-hour: processes, Ray's actors, and other recognisers"),
    "endurance": ("bench.endurance", "a recording of hours: memory, and kills at random moments"),
    "listen": ("bench.listen", "a microphone that stays open: memory and time a step over hours"),
    "soak": ("bench.soak", "the assistant's server with 16 microphones: processor time, late steps, memory"),
    "microphone": ("bench.microphone", "ten commands of ten voices through a browser's microphone: how many are done"),
    "frames": ("bench.frames", "how smoothly the cluster is drawn in software, and the processor time of a frame"),
    "pictures": ("bench.pictures", "pictures of the cluster: the README's, or all views at all sizes"),
    "clients": ("bench.clients", "the real clients of DeepSpeech and Coqui STT beside pynna.deepspeech, clip by clip"),
    "deepspeech": ("bench.deepspeech_client", "what the DeepSpeech 0.5.1 client, the float reference and int8 say"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command; its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked_for = next((word for word in argv if word in COMMANDS), None)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("--json", action="store_true", help="everything as JSON")
        command.add_argument("--cache", type=Path, help="folder for built libraries and mapped networks")
        if name == asked_for:
            importlib.import_module(module).add_arguments(command)
    arguments = parser.parse_args(argv)
    return int(importlib.import_module(COMMANDS[arguments.command][0]).run(arguments))


if __name__ == "__main__":
    sys.exit(main())
