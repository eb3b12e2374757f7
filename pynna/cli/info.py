# SPDX-License-Identifier: Apache-2.0
"""``pynna info``: this build, and a model's metadata."""

from __future__ import annotations

import argparse
from typing import Any

from pynna.cli.arguments import EXIT_CODES, MODEL_HELP
from pynna.cli.terminal import OK, to_json
from pynna.model import load
from pynna.network import build_info

DESCRIPTION = "Tells about this build and about a model."

EPILOG = (
    """\
examples:
  pynna info                                   this build, and the model that ships with it
  pynna info mine.nna --json
  PYNNA_ISA=avx2 pynna info                    choose the instruction set by hand; true of every command

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """The command."""
    build = build_info()
    if not args.json:
        _print_table("build", build)
    described = load(args.model).describe()
    if args.json:
        print(to_json({"build": build, "model": described}))
    else:
        _print_metadata(described)
    return OK


def _print_metadata(described: dict[str, Any]) -> None:
    layers, geometry, metadata = (described.pop(key, {}) for key in ("layers", "geometry", "metadata"))
    described["alphabet"] = " ".join("space" if label == " " else label for label in described["alphabet"])
    _print_table("model", described)
    _print_table("metadata", metadata)
    _print_table("geometry", geometry)
    print("layers")
    for layer in layers:
        print(f"  {layer['name']:20} {layer['n_rows']:5} x {layer['n_columns']:<5} {layer['weight_bits']} bits")


def _print_table(title: str, values: dict[str, Any]) -> None:
    print(title)
    for key, value in values.items():
        print(f"  {key.replace('_', ' '):20} {_as_text(value)}")


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_as_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_as_text(item) for item in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).splitlines())
