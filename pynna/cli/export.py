# SPDX-License-Identifier: Apache-2.0
"""``pynna export``: a model for other runtimes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pynna.cli.arguments import EXIT_CODES, add_front_end
from pynna.cli.terminal import OK
from pynna.errors import MappingError
from pynna.saving import check_place

if TYPE_CHECKING:
    from pynna.mapping import Weights

DESCRIPTION = "Writes a model in the layout of DeepSpeech or Coqui STT, for their clients and TensorFlow's runtimes."

EPILOG = (
    """\
examples:
  pynna export mine.nna output_graph.pbmm                 for DeepSpeech 0.7 to 0.9
  pynna export mine.nna output_graph.pb --release 0.5.1
  pynna export mine.nna model.tflite --int8               for Coqui STT and DeepSpeech's tflite clients
  pynna export output_graph.pbmm weights.npz              the variables under DeepSpeech's names

SOURCE is what `pynna map` reads, or a .nna file, whose weights come back as they were rounded. OUT's suffix tells the
kind: .pb, .pbmm, .tflite or .npz.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", metavar="SOURCE", help="a model's file")
    parser.add_argument("output", metavar="OUT", help="the file to write")
    parser.add_argument(
        "--release", default="0.9", help=".pb, .pbmm: the DeepSpeech that shall run it, 0.5 to 0.9 (0.9)"
    )
    parser.add_argument("--int8", action="store_true", help=".tflite: weights of 8 bits")
    parser.add_argument("--alphabet", metavar="FILE", help="an alphabet.txt (default: SOURCE's own, or English)")
    add_front_end(parser)


def run(args: argparse.Namespace) -> int:
    """The command."""
    # the importers and exporters are loaded for this command alone
    from pynna.mapping import export_graph, export_npz, export_tflite, load_weights, tell_front_end
    from pynna.mapping.dequantise import dequantise
    from pynna.mapping.mapper import read_labels

    def graph(weights: Weights, path: str) -> None:
        export_graph(weights, path, release=args.release)

    writers: dict[str, Callable[[Weights, str], None]] = {
        ".pb": graph,
        ".pbmm": graph,
        ".tflite": lambda weights, path: export_tflite(weights, path, int8=args.int8),
        ".npz": export_npz,
    }
    write = writers.get(Path(args.output).suffix.lower())
    if write is None:
        raise MappingError(f"{args.output}: the suffix must be one of {', '.join(writers)}")
    check_place(args.output, args.source)
    if Path(args.source).suffix == ".nna":
        weights = dequantise(args.source)
    else:
        weights = load_weights(args.source, read_labels(args.alphabet))
    weights = tell_front_end(weights, args.sample_rate, args.mel_band)
    write(weights, args.output)
    return OK
