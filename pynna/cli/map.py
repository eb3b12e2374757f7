# SPDX-License-Identifier: Apache-2.0
"""``pynna map``: a trained model for this machine and any other."""

from __future__ import annotations

import argparse
import sys

from pynna.cli.arguments import EXIT_CODES, add_front_end
from pynna.cli.terminal import OK, Progress, to_json
from pynna.saving import check_place

DESCRIPTION = "Maps a trained model to int8, writes it to a .nna file and reports what that cost."

EPILOG = (
    """\
examples:
  pynna map output_graph.pbmm                         says what the file holds, and writes nothing
  pynna map output_graph.pbmm -o mine.nna
  pynna map model.tflite -o model.tflite.nna          where pynna.deepspeech and libdeepspeech.so look for it
  pynna map output_graph.pb -o mine.nna --alphabet alphabet.txt --calibrate clips/*.wav
  pynna map best_dev-7.index -o mine.nna --sample-rate 8000 --mel-band 20-4000
  pynna map weights.npz -o mine.nna --name "Car, German" --licence CC0-1.0
  pynna map output_graph.pb -o mine.nna --bits 4
  pynna map output_graph.pb -o near.nna --bits 16
  pynna map output_graph.pb -o mine.nna --size 4MB

SOURCE is a model of DeepSpeech 0.5 to 0.9 or Coqui STT 1.x (.pb, .pbmm, .tflite, a checkpoint's .index), an ONNX
file or a PyTorch state dict of the same topology, an .npz of its variables under DeepSpeech's names, or a zip or tar
that holds one of these. Its content tells which; int8 weights of a .tflite stay as they are. Calibration decides how
the eight bits of each activation are spent: hand over a minute or more of recordings that sound like those to come;
without --calibrate a set that ships with the package is used. The report compares the mapped network with the trained
one in floating point, layer by layer and text by text. Weights of 4 bits halve what a layer takes in the file and in
memory, for machines that wait for their memory; what they cost stands in the report, beside 8 bits. --bits 4 takes them
for all layers but the first and the last, --size for as many as the file needs to fit, those first that cost the least
accuracy. --bits 16 counts weights and activations with 16 bits: twice the bytes and the work, and the float network's
texts but for a few in a hundred. Reading .pb files needs protobuf: pip install 'pynna[map]'.

"""
    + EXIT_CODES
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", metavar="SOURCE", help="a trained model's file")
    parser.add_argument("-o", "--output", metavar="OUT.nna", help="the file to write; without it SOURCE is described")
    parser.add_argument("--calibrate", nargs="+", metavar="WAV", help="recordings to calibrate on")
    parser.add_argument(
        "--alphabet", metavar="FILE", help="DeepSpeech's alphabet.txt (default: SOURCE's own, or English)"
    )
    add_front_end(parser)
    parser.add_argument(
        "--bits", type=int, choices=(4, 8, 16), default=8, help="bits of a weight; 16: of activations, too (default: 8)"
    )
    parser.add_argument(
        "--size",
        metavar="SIZE",
        help="the file's size at most, as 4MB: layers get 4 bits until it fits, cheapest first",
    )
    parser.add_argument(
        "--bits4",
        type=lambda names: names.split(","),
        default=[],
        metavar="LAYER[,LAYER]",
        help="instead of both, the layers that get 4 bits: layer_1, layer_2, layer_3, lstm_x, lstm_h, layer_5, layer_6",
    )
    parser.add_argument("--name", help="the model's name for its metadata")
    parser.add_argument(
        "--licence", "--license", help="the model's licence for its metadata, an SPDX identifier or a text"
    )
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """The command."""
    # the importers are loaded for this command alone
    from pynna.mapping.front_end_settings import tell_front_end
    from pynna.mapping.importers import load_weights
    from pynna.mapping.mapper import map_model, read_labels
    from pynna.mapping.weight_bits import parse_size

    size = None if args.size is None else parse_size(args.size)
    if args.output is not None:
        check_place(args.output, args.source)
    weights = load_weights(args.source, read_labels(args.alphabet))
    weights = tell_front_end(weights, args.sample_rate, args.mel_band)
    if args.output is None:
        print(weights.describe())
        return OK
    print(weights.describe(), file=sys.stderr)
    with Progress(1) as progress:
        report = map_model(
            weights,
            args.output,
            calibration=args.calibrate,
            bits=args.bits,
            bits4=args.bits4,
            size=size,
            name=args.name,
            licence=args.licence,
            progress=progress.show,
        )
    print(to_json(report.as_dict()) if args.json else report)
    return OK
