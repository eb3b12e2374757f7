"""``pynna map``: a trained model for this machine and any other."""

from __future__ import annotations

import argparse

from pynna.cli.arguments import EXIT_CODES
from pynna.cli.terminal import OK, Progress, to_json

DESCRIPTION = "Maps a trained model to int8, writes it to a .nna file and reports what that cost."

EPILOG = (
    """\
examples:
  pynna map output_graph.pb -o mine.nna
  pynna map output_graph.pb -o mine.nna --alphabet alphabet.txt --calibrate clips/*.wav
  pynna map weights.npz -o mine.nna --name "Car, German" --licence CC0-1.0
  pynna map output_graph.pb -o mine.nna --bits4 lstm_x,lstm_h

SOURCE is a DeepSpeech output_graph.pb, or an .npz of its variables under DeepSpeech's names. Calibration decides how
the eight bits of each activation are spent: hand over a minute or more of recordings that sound like those to come;
without --calibrate a set that ships with the package is used. The report compares the mapped network with the trained
one in floating point, layer by layer and text by text. Weights of 4 bits halve what a layer takes in the file and in
memory, for boards that wait for their memory; what they cost stands in the report, beside 8 bits. Reading .pb files
needs protobuf: pip install 'pynna[map]'.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", metavar="SOURCE", help="output_graph.pb or .npz")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.nna", help="the file to write")
    parser.add_argument("--calibrate", nargs="+", metavar="WAV", help="recordings to calibrate on")
    parser.add_argument(
        "--alphabet", metavar="FILE", help="DeepSpeech's alphabet.txt (default: SOURCE's own, or English)"
    )
    parser.add_argument("--bits4", type=lambda names: names.split(","), default=[], metavar="LAYER[,LAYER]",
                        help="layers whose weights get 4 bits: layer_1, layer_2, layer_3, lstm_x, lstm_h, layer_5, "
                             "layer_6")
    parser.add_argument("--name", help="the model's name for its card")
    parser.add_argument("--licence", "--license", help="the model's licence for its card, an SPDX identifier or a text")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """The command."""
    from pynna.mapping.mapper import map_model  # the importers are loaded for this command alone

    with Progress(1) as progress:
        report = map_model(
            args.source,
            args.output,
            calibration=args.calibrate,
            alphabet=args.alphabet,
            bits4=args.bits4,
            name=args.name,
            licence=args.licence,
            progress=progress.show,
        )
    print(to_json(report.as_dict()) if args.json else report)
    return OK
