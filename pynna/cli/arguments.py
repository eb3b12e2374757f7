# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands share, and what they are made into."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynna.decoding.decoder import Decoder
from pynna.decoding.language_model import DEFAULT_ALPHA, DEFAULT_BETA, LanguageModel, Vocabulary
from pynna.decoding.options import DEFAULT_BEAM_WIDTH, DecoderOptions
from pynna.decoding.regional import SPELLINGS, words_of
from pynna.errors import ArgumentError, reading
from pynna.model import Model

if TYPE_CHECKING:
    from pynna.grammar import Grammar

STDIN = "-"

MODEL_HELP = "a mapped model, .nna, or pynna-en-micro, the small one that ships (default: the one for commands)"

DRAIN_SECONDS = 10

EXIT_CODES = """\
exit codes:
  0    all is well
  1    a file could not be transcribed, read or written (all the others still were)
  2    the command line is wrong
  130  interrupted
"""


class CommandLineError(ArgumentError):
    """Options that exclude each other, or one that does nothing without another: exit code 2."""


def add_drain(parser: argparse.ArgumentParser) -> None:
    """What a server does at SIGTERM."""
    parser.add_argument("--drain", type=at_least(0, 3600), default=DRAIN_SECONDS, metavar="S",
                        help="seconds, after SIGTERM, for those who are heard to end the sentence (10)")  # fmt: skip


def at_least(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: an int from least to most."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {least} to {most}")
        return value

    return parse


def share(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def seconds(text: str) -> float:
    """An argparse type: seconds, above 0 and below an hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and below 3600")
    return value


def boost(text: str) -> tuple[str, float]:
    """An argparse type: a word or phrase and its boost."""
    word, _, boost = text.rpartition("=")
    try:
        value = float(boost)
    except ValueError:
        value = math.nan
    if not word.strip() or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not WORD=NATS, such as tesla=6")
    return word, value


def mel_band(text: str) -> tuple[float, float]:
    """Two frequencies with a hyphen between them, the lower one first."""
    low, _, high = text.partition("-")
    try:
        band = float(low), float(high)
    except ValueError:
        band = (0.0, 0.0)
    if not 0 <= band[0] < band[1] <= 192000:
        raise argparse.ArgumentTypeError(f"a band like 20-8000, in Hz, is needed, got {text!r}")
    return band


def add_front_end(parser: Any) -> None:
    """Options that tell the front end of a model whose file does not."""
    what = "of a checkpoint, ONNX, PyTorch or .npz model whose file does not tell it"
    parser.add_argument("--sample-rate", type=at_least(1000, 384000), metavar="HZ", help=f"sample rate {what}")
    parser.add_argument("--mel-band", type=mel_band, metavar="LOW-HIGH", help=f"mel band {what}, in Hz")


def add_decoding(parser: Any) -> None:
    """What `decoding_options` makes a stream's options of."""
    group = parser.add_argument_group("what is expected")
    group.add_argument(
        "--grammar", metavar="FILE", help='the sentences that may be said, .yaml or .jsgf; "car": those that ship'
    )
    group.add_argument("--threshold", type=share, metavar="P", help="confidence from which a sentence is accepted")
    group.add_argument(
        "--passes",
        type=at_least(1, 7),
        metavar="N",
        help="times that what leaves doubt is heard, with less noise and at other speeds (default: 7 "
        "with a grammar, else what the model's metadata says, 7 for the one that ships)",
    )
    group.add_argument("--filler", action="store_true", help="other words may be said before and after a sentence")
    group.add_argument(
        "--wake-word",
        action="append",
        metavar="WORD",
        help="to be said before each sentence; may be given again: one of them",
    )
    group.add_argument(
        "--hot-word",
        type=boost,
        action="append",
        metavar="WORD=NATS",
        help="a word or phrase to expect, and how much; may be given again",
    )
    group.add_argument("--vocabulary", metavar="FILE", help="the words that may be said, between spaces or line ends")
    group.add_argument("--lm", metavar="FILE", help="a word n-gram model, ARPA or KenLM's binary")
    group.add_argument(
        "--no-language-model", action="store_true", help="without the words that the model brings along, by ear alone"
    )
    group.add_argument("--alpha", type=float, help=f"its weight (default: {DEFAULT_ALPHA})")
    group.add_argument("--beta", type=float, help=f"what each word adds, in nats (default: {DEFAULT_BETA})")
    group.add_argument(
        "--beam",
        type=at_least(0, 4096),
        metavar="N",
        help=f"width of the beam search (default: {DEFAULT_BEAM_WIDTH}); 0: greedy",
    )
    group.add_argument("--spelling", choices=SPELLINGS, help="how the text is spelled (default: as it is heard)")
    group.add_argument("--alternatives", type=at_least(1, 100), default=1, metavar="N", help="the N best texts")


def decoding_options(args: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The stream's options that were given; what is wrong with them is told now rather than at each file."""
    _check_that_all_act(args)
    options: dict[str, Any] = {"alternatives": args.alternatives}
    if args.beam is not None:
        options["beam_width"] = args.beam
    if args.threshold is not None:
        options["threshold"] = args.threshold
    if args.passes is not None:
        options["passes"] = args.passes
    if args.grammar is not None:
        grammar = sentences_of(args.grammar)
        if args.wake_word:
            grammar = grammar.with_wake_words(args.wake_word)
        options["grammar"] = grammar.with_filler() if args.filler else grammar
        options["grammar"].graph(model.labels)
    if args.spelling is not None:
        options["spelling"] = args.spelling
    if args.hot_word is not None:
        options["hot_words"] = {spelled(word, model): nats for word, nats in args.hot_word}
    words = spelled(read_text(args.vocabulary), model).split() if args.vocabulary is not None else None
    if args.lm is not None:
        options["language_model"] = LanguageModel(
            args.lm,
            alpha=DEFAULT_ALPHA if args.alpha is None else args.alpha,
            beta=DEFAULT_BETA if args.beta is None else args.beta,
            vocabulary=words,
        )
    elif words is not None:
        options["vocabulary"] = Vocabulary(words)
    elif args.no_language_model:
        options["language_model"] = None
    if args.spelling is not None:
        words_of(args.spelling)  # a package that is missing is no wrong command line
    try:
        Decoder(model.labels, label_priors=model.label_priors, options=DecoderOptions(**options))
    except ArgumentError as error:
        raise CommandLineError(str(error)) from None
    return options


def _check_that_all_act(args: argparse.Namespace) -> None:
    """Raises CommandLineError for an option that does nothing without another."""
    around = "without one there are no sentences for it to stand around"
    for name, given, why in (
        ("--wake-word", args.wake_word, around),
        ("--filler", args.filler, around),
        ("--threshold", args.threshold, "free text is not accepted or refused"),
    ):
        if given not in (None, False) and args.grammar is None:
            raise CommandLineError(f"{name} needs --grammar: {why}")
    for name, given in (("--alpha", args.alpha), ("--beta", args.beta)):
        if given is not None and args.lm is None:
            raise CommandLineError(f"{name} needs --lm: it is a weight of the language model")
    if args.no_language_model and args.lm is not None:
        raise CommandLineError("--no-language-model and --lm exclude each other")
    if args.beam == 0 and args.alternatives > 1 and args.grammar is None:
        raise CommandLineError(f"--alternatives must be 1 with --beam 0, got {args.alternatives}: greedy has one text")


def sentences_of(path: str) -> Grammar:
    """A sentence file; "car" is the one that ships."""
    from pynna.grammar import CAR_GRAMMAR  # hassil is loaded where there is a grammar

    return read_grammar(os.fspath(CAR_GRAMMAR) if path == "car" else path)


def spelled(text: str, model: Model) -> str:
    """A text as the model spells it: in its letters, numbers as words."""
    from pynna.grammar.normalise import normalise

    letters = frozenset("".join(model.labels))
    return " ".join(normalise(text, str(model.metadata.get("language", "en")), letters).split())


def read_text(path: str) -> str:
    try:
        with reading(path):
            return Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_grammar(path: str) -> Grammar:
    from pynna.grammar import Grammar  # as above

    return Grammar.from_file(path)


def device(text: str | None) -> int | str | None:
    """A device as PortAudio takes it: a number, or a part of the name."""
    return int(text) if text is not None and text.isdecimal() else text
