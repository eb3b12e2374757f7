"""The command ``pynna``: the assistant, listening, recordings to text, sentence files, mapping, build and model."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pynna.errors import PynnaError

if TYPE_CHECKING:
    from pynna.audio.pcm import Audio
    from pynna.decoding.results import Result
    from pynna.grammar import Grammar
    from pynna.model import Model

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes; argparse itself exits with 2."""

STDIN = "-"

_PIECE_SECONDS = 5  # of audio, between two looks at the progress bar

_EXIT_CODES = """\
exit codes:
  0    all is well
  1    a file could not be transcribed, read or written (all the others still were)
  2    the command line is wrong
  130  interrupted
"""

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
  pynna info mine.nna                          what is in it, and which instruction set runs it

`pynna COMMAND --help` tells more about each.

"""
    + _EXIT_CODES
)

_TRANSCRIBE_EPILOG = (
    """\
examples:
  pynna transcribe clip.wav
  pynna transcribe --words *.flac              each word's start and end in seconds and its confidence
  pynna transcribe --json a.mp3 b.ogg | jq -r .text
  pynna transcribe --model mine.nna --beam 64 clip.wav
  pynna transcribe --format srt talk.mp3 > talk.srt
  pynna transcribe --grammar car.yaml --alternatives 3 clip.wav
  pynna transcribe --lm mine.arpa --hot-word tesla=6 --hot-word "rain light=4" clip.wav
  arecord -f S16_LE -r 16000 -d 3 | pynna transcribe -

Audio may be WAV, FLAC, OGG or MP3 of any sample rate and number of channels; what is done to it (resampling, mixing
down) is told on standard error. One file gives its text alone, several give "file: text" lines. With --json, each file
gives one object on a line of its own: file, text, words (text, start and end in seconds, confidence), confidence,
alternatives (text, confidence, score; the text is the first of them), duration in seconds and notes. With --grammar
the best sentence of a file (Home Assistant's templates in YAML, or JSGF) is told with its intent and slots, or
"(not accepted)" where it is not believed; a JSON object then has intent, slots, reply, complete and accepted too.
--utterances cuts a recording at its pauses: a line, or an object, for each.

"""
    + _EXIT_CODES
)

_GRAMMAR_EPILOG = (
    """\
examples:
  pynna grammar car.yaml
  pynna grammar car.yaml --sample 20           sentences at random, and what they mean
  pynna grammar car.yaml --parse "increase the volume by five percent"

FILE is a YAML file in Home Assistant's template language, or a JSGF grammar (.jsgf, .gram).

"""
    + _EXIT_CODES
)

_MAP_EPILOG = (
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
    + _EXIT_CODES
)

_LM_EPILOG = (
    """\
examples:
  pynna lm notes.txt letters.txt -o mine.arpa
  pynna transcribe --lm mine.arpa dictation.wav

Text becomes what networks spell: lower case, numbers as words. Kneser-Ney smoothing. Reading the file again takes
KenLM: pip install 'pynna[lm]'.

"""
    + _EXIT_CODES
)

_ASSISTANT_EPILOG = (
    """\
examples:
  pynna assistant --demo                       a drive with the recordings that ship
  pynna assistant                              click the microphone and speak
  pynna assistant --microphone --speak         this machine's microphone; answers spoken by espeak-ng
  pynna assistant --host 0.0.0.0 --token "$(openssl rand -hex 16)" --certificate c.pem --key k.pem

Only this machine reaches the page, unless --host says otherwise: then a token and TLS files are needed. It needs
aiohttp: pip install 'pynna[assistant]'; --microphone needs sounddevice: pip install 'pynna[mic]'.

"""
    + _EXIT_CODES
)

_LISTEN_EPILOG = (
    """\
examples:
  pynna listen
  pynna listen --grammar car.yaml              what is meant; "car" stands for the sentences that ship
  pynna listen --grammar car --wake-word computer --silence 0.5
  pynna listen --lm mine.arpa --hot-word tesla=6
  pynna listen --json | jq -r 'select(.event == "final").text'

An utterance is a line, and the best sentence of a grammar is told with its intent, slots and confidence, or "(not
accepted, ...)" where it is not believed. With --json each event is an object on a line of its own, all times in seconds
from the start: "start" (time) when speech begins; "partial" (time, text) whenever more is understood; "final" (time,
start, end, text, words, confidence, alternatives, and with --grammar intent, slots, reply, complete and accepted).
Interrupt it to end. The microphone needs sounddevice: pip install 'pynna[mic]'. Without one, pipe it in:
  arecord -f S16_LE -r 16000 | pynna listen -

"""
    + _EXIT_CODES
)

_SERVE_EPILOG = (
    """\
examples:
  pynna serve --wyoming tcp://127.0.0.1:10300
  pynna serve --wyoming tcp://0.0.0.0:10300 --zeroconf --grammar home.yaml

Speech to text for Home Assistant, by the Wyoming protocol. It needs wyoming: pip install 'pynna[assistant]'.

"""
    + _EXIT_CODES
)

_INFO_EPILOG = (
    """\
examples:
  pynna info                                   this build, and the model that ships with it
  pynna info mine.nna --json
  PYNNA_ISA=avx2 pynna info                    choose the instruction set by hand; true of every command

"""
    + _EXIT_CODES
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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        code = command(args)
        if not sys.stdout.closed:  # a server's client on standard output has taken it with it
            print(end="", flush=True)
        return code
    except BrokenPipeError:  # `pynna ... | head`: the reader has seen enough
        _drop_output()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except (PynnaError, OSError, MemoryError, ImportError) as error:
        _complain(error)
        _drop_output()
        return FAILED


# ---- arguments -----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pynna",
        description="Speech recognition with int8 LSTM networks, one 20 ms step at a time.",
        epilog=_MAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_assistant(commands)
    _add_listen(commands)
    _add_transcribe(commands)
    _add_serve(commands)
    _add_grammar(commands)
    _add_lm(commands)
    _add_map(commands)
    _add_info(commands)
    return parser


class _Version(argparse.Action):
    """--version, which asks the installed package only when it is used."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import pynna

        print(f"pynna {pynna.__version__}")
        parser.exit()


def _add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], **texts: str) -> Any:
    parser = commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **texts)
    parser.set_defaults(command=run)
    return parser


def _add_transcribe(commands: Any) -> None:
    parser = _add_command(
        commands,
        "transcribe",
        _transcribe,
        help="recordings to text",
        description="Prints what is said in each recording.",
        epilog=_TRANSCRIBE_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help='recordings; "-" reads one from standard input')
    parser.add_argument("-m", "--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--format", choices=("text", "json", "srt", "vtt"), default="text", help="of the output")
    formats.add_argument("--json", action="store_const", const="json", dest="format", help="as --format json")
    parser.add_argument("--utterances", action="store_true", help="cut at pauses, each part a result of its own")
    parser.add_argument("--words", action="store_true", help="also each word: start s, end s, confidence, word")
    parser.add_argument("--threads", type=_at_least(1, 64), metavar="N", help="threads of a network step")
    _add_decoding(parser)


def _add_decoding(parser: Any) -> None:
    """What `_options` makes a stream's options of."""
    group = parser.add_argument_group("what is expected")
    group.add_argument("--grammar", metavar="FILE",
                       help='the sentences that may be said, .yaml or .jsgf; "car": those that ship')
    group.add_argument("--threshold", type=_share, metavar="P", help="confidence from which a sentence is accepted")
    group.add_argument("--passes", type=_at_least(1, 7), metavar="N",
                       help="times that what leaves doubt is heard, with less noise and at other speeds (default: 7 "
                            "with a grammar, else what the model's metadata says, 7 for the one that ships)")
    group.add_argument("--filler", action="store_true", help="other words may be said before and after a sentence")
    group.add_argument("--wake-word", action="append", metavar="WORD",
                       help="to be said before each sentence; may be given again: one of them")
    group.add_argument("--hot-word", type=_boost, action="append", metavar="WORD=NATS",
                       help="a word or phrase to expect, and how much; may be given again")
    group.add_argument("--vocabulary", metavar="FILE", help="the words that may be said, between spaces or line ends")
    group.add_argument("--lm", metavar="FILE", help="a word n-gram model, ARPA or KenLM's binary")
    group.add_argument("--alpha", type=float, default=0.75, help="its weight (default: 0.75)")
    group.add_argument("--beta", type=float, default=1.85, help="what each word adds, in nats (default: 1.85)")
    group.add_argument("--beam", type=_at_least(0, 4096), metavar="N",
                       help="width of the beam search (default: 64); 0: greedy")
    group.add_argument("--alternatives", type=_at_least(1, 100), default=1, metavar="N", help="the N best texts")


def _add_grammar(commands: Any) -> None:
    parser = _add_command(
        commands,
        "grammar",
        _grammar,
        help="check a sentence file",
        description="Reads a sentence file, compiles it, and tells its size.",
        epilog=_GRAMMAR_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help='a sentence file, .yaml or .jsgf; "car": the one that ships')
    parser.add_argument("-m", "--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument("--sample", type=_at_least(1, 100000), metavar="N", help="N sentences at random")
    parser.add_argument("--parse", metavar="TEXT", help="what a sentence means")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_lm(commands: Any) -> None:
    parser = _add_command(
        commands,
        "lm",
        _lm,
        help="a language model from one's own text",
        description="Makes a word n-gram model of a text, an ARPA file for `pynna transcribe --lm`.",
        epilog=_LM_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="TEXT", help="text files, a sentence a line")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.arpa", help="the file to write")
    parser.add_argument("--order", type=_at_least(2, 6), default=3, metavar="N", help="words looked at together (3)")


def _add_map(commands: Any) -> None:
    parser = _add_command(
        commands,
        "map",
        _map,
        help="a trained DeepSpeech model to a .nna file",
        description="Maps a trained model to int8, writes it to a .nna file and reports what that cost.",
        epilog=_MAP_EPILOG,
    )
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


def _add_info(commands: Any) -> None:
    parser = _add_command(
        commands,
        "info",
        _info,
        help="this build, and a model's metadata",
        description="Tells about this build and about a model.",
        epilog=_INFO_EPILOG,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_assistant(commands: Any) -> None:
    parser = _add_command(
        commands,
        "assistant",
        _assistant,
        help="a car that is spoken to: its digital cluster in the browser",
        description="Serves a digital cluster with a microphone, and opens it in the browser.",
        epilog=_ASSISTANT_EPILOG,
    )
    parser.add_argument("-m", "--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument("--demo", action="store_true", help="the recordings that ship speak a drive")
    parser.add_argument("--microphone", action="store_true", help="listen to this machine's microphone")
    parser.add_argument("--device", metavar="D", help="its number or a part of its name")
    parser.add_argument("--speak", action="store_true", help="speak the answers with espeak-ng")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=_at_least(0, 65535), default=8642, help="0: any free one (default: 8642)")
    parser.add_argument("--token", help="what a browser must know, 16 characters or more")
    parser.add_argument("--certificate", metavar="PEM", help="TLS certificate")
    parser.add_argument("--key", metavar="PEM", help="its key")
    parser.add_argument("--channels", type=_at_least(1, 256), default=16, help="microphones at once (default: 16)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")


def _add_listen(commands: Any) -> None:
    parser = _add_command(
        commands,
        "listen",
        _listen,
        help="what the microphone hears",
        description="Prints what is said into the microphone, an utterance a line.",
        epilog=_LISTEN_EPILOG,
    )
    parser.add_argument("source", nargs="?", choices=(STDIN,), metavar="-", help="raw int16 from standard input")
    parser.add_argument("-m", "--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument("--device", metavar="D", help="the microphone's number or a part of its name")
    parser.add_argument("--json", action="store_true", help="every event as a JSON object")
    parser.add_argument("--words", action="store_true", help="also each word: start s, end s, confidence, word")
    parser.add_argument("--silence", type=_seconds, metavar="S",
                        help="silence that ends an utterance (default: 0.7; 0.4 after a whole sentence of a grammar)")
    parser.add_argument("--max-utterance", type=_seconds, metavar="S", help="its longest utterance (default: 20)")
    _add_decoding(parser)


def _add_serve(commands: Any) -> None:
    parser = _add_command(
        commands,
        "serve",
        _serve,
        help="speech to text for Home Assistant (Wyoming)",
        description="Serves speech to text to others.",
        epilog=_SERVE_EPILOG,
    )
    parser.add_argument("--wyoming", required=True, metavar="URI", help="where: tcp://HOST:PORT or unix://PATH")
    parser.add_argument("-m", "--model", metavar="M", help="a mapped model, .nna (default: the one that ships)")
    parser.add_argument("--grammar", metavar="FILE", help='the sentences that may be said; "car": those that ship')
    parser.add_argument("--zeroconf", action="store_true", help="let Home Assistant find it in the local network")


def _at_least(least: int, most: int) -> Callable[[str], int]:
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


def _share(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _seconds(text: str) -> float:
    """An argparse type: seconds, above 0 and below an hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and below 3600")
    return value


def _boost(text: str) -> tuple[str, float]:
    """An argparse type: a word or phrase and its boost."""
    word, _, boost = text.rpartition("=")
    try:
        value = float(boost)
    except ValueError:
        value = math.nan
    if not word.strip() or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not WORD=NATS, such as tesla=6")
    return word, value


# ---- live ----------------------------------------------------------------------------------------


def _assistant(args: argparse.Namespace) -> int:
    import asyncio

    import pynna

    try:
        from pynna.assistant import run
        from pynna.assistant.server import Server, check_access, is_loopback
    except ModuleNotFoundError as error:
        raise ImportError(f"the assistant needs {error.name}: pip install 'pynna[assistant]'") from None

    context = check_access(args.host, args.token, args.certificate, args.key)
    open_to_all = not is_loopback(args.host)
    hosts = () if open_to_all else ("localhost", "127.0.0.1", "::1", args.host)
    server = Server(pynna.load(args.model), channels=args.channels, token=args.token, hosts=hosts)
    if args.demo:
        server.helpers.append(run.demonstration(server, run.demo_recordings()))
    if args.microphone:
        server.helpers.append(run.local_microphone(server, _device(args.device)))
    if args.speak:
        server.speak = run.voice()

    server.on_outcome = lambda outcome: print(outcome, flush=True)

    def ready(address: str) -> None:
        print(f"{address}{f'?token={args.token}' if args.token else ''}", flush=True)
        print("Say or type “increase the volume”. Ctrl-C ends.", file=sys.stderr)

    asyncio.run(run.serve(server, args.host, args.port, context=context, token=args.token,
                          browser=not args.no_browser and not open_to_all, ready=ready))
    return OK


def _listen(args: argparse.Namespace) -> int:
    import pynna
    from pynna.audio.microphone import chunks

    model = pynna.load(args.model)
    rules: dict[str, float] = {}
    if args.silence is not None:
        rules = {"trailing_silence": args.silence, "trailing_silence_complete": args.silence}
    if args.max_utterance is not None:
        pre_roll = min(pynna.EndpointRules().pre_roll, args.max_utterance / 2)
        rules |= {"max_utterance": args.max_utterance, "pre_roll": pre_roll}
    listener = model.listen(pynna.EndpointRules(**rules), **_options(args, model))
    if args.source == STDIN:
        size = 2 * model.sample_rate // 50
        source: Iterator[bytes] = iter(lambda: sys.stdin.buffer.read(size), b"")
    else:
        source = chunks(model.sample_rate, _device(args.device))
        print("listening; Ctrl-C ends", file=sys.stderr)
    for event in listener.listen(source):
        if args.json:
            print(_json(event.as_dict()), flush=True)
        elif isinstance(event, pynna.events.Final) and (event.result.text or args.grammar):
            _print_text("", event.result, args.words)
            print(end="", flush=True)
    return OK


def _serve(args: argparse.Namespace) -> int:
    import asyncio

    import pynna

    try:
        from pynna.assistant.wyoming import serve
    except ModuleNotFoundError as error:
        raise ImportError(f"Wyoming needs {error.name}: pip install 'pynna[assistant]'") from None

    grammar = _sentences(args.grammar) if args.grammar else None
    asyncio.run(serve(pynna.load(args.model), args.wyoming, grammar=grammar, zeroconf=args.zeroconf,
                      ready=lambda uri: print(uri, flush=True)))
    return OK


def _sentences(path: str) -> Grammar:
    """A sentence file; "car" is the one that ships."""
    from pynna import CAR_GRAMMAR

    return _read_grammar(os.fspath(CAR_GRAMMAR) if path == "car" else path)


def _device(text: str | None) -> int | str | None:
    """A device as PortAudio takes it: a number, or a part of the name."""
    return int(text) if text is not None and text.isdecimal() else text


# ---- transcribe ----------------------------------------------------------------------------------


def _transcribe(args: argparse.Namespace) -> int:
    import pynna

    model = pynna.load(args.model, threads=args.threads)
    options = _options(args, model)
    code = OK
    with _Progress(len(args.files)) as progress:
        for i, path in enumerate(args.files):
            progress.show(path, i)
            try:
                audio = _load(path, model.sample_rate)
                _print_notes(path, audio, progress)
                results = _recognise(model, audio, options, args, progress)
            except (PynnaError, OSError, MemoryError) as error:
                progress.hide()
                _complain(error, path)
                code = FAILED
            else:
                progress.hide()
                _print_results(path, audio, results, args)
    return code


def _options(args: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The stream's options that were given; what is wrong with them is told now rather than at each file."""
    from pynna import Decoder, DecoderOptions, LanguageModel, Vocabulary

    options: dict[str, Any] = {"alternatives": args.alternatives}
    if args.beam is not None:
        options["beam_width"] = args.beam
    if args.threshold is not None:
        options["threshold"] = args.threshold
    if args.passes is not None:
        options["passes"] = args.passes
    if args.grammar is not None:
        grammar = _sentences(args.grammar)
        if args.wake_word:
            grammar = grammar.with_wake_words(args.wake_word)
        options["grammar"] = grammar.with_filler() if args.filler else grammar
        options["grammar"].graph(model.labels)
    if args.hot_word is not None:
        options["hot_words"] = dict(args.hot_word)
    words = _read_text(args.vocabulary).split() if args.vocabulary is not None else None
    if args.lm is not None:
        options["language_model"] = LanguageModel(args.lm, alpha=args.alpha, beta=args.beta, vocabulary=words)
    elif words is not None:
        options["vocabulary"] = Vocabulary(words)
    Decoder(model.labels, label_priors=model.label_priors, options=DecoderOptions(**options))
    return options


def _read_text(path: str) -> str:
    from pynna.errors import ArgumentError

    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _read_grammar(path: str) -> Grammar:
    from pynna.grammar import Grammar

    return Grammar.from_jsgf(path) if path.endswith((".jsgf", ".gram")) else Grammar.from_yaml(path)


def _load(path: str, rate: int) -> Audio:
    from pynna.audio import files as audio
    from pynna.errors import AudioError

    if path != STDIN:
        return audio.read(path, sample_rate=rate)
    if sys.stdin.isatty():
        raise AudioError("standard input is a terminal; a WAV, FLAC, OGG or MP3 file is expected from it")
    return audio.read(sys.stdin.buffer, sample_rate=rate)


def _recognise(model: Model, audio: Audio, options: dict[str, Any], args: argparse.Namespace, progress: _Progress,
               ) -> list[Result]:
    """What `model.transcribe` does, in pieces, for the progress bar to move; the result is the same to the bit."""
    from pynna.events import Final

    done, piece = progress.done, _PIECE_SECONDS * audio.sample_rate
    # subtitles are of long recordings: utterance by utterance
    listener = model.listen(**options) if args.utterances or args.format in ("srt", "vtt") else None
    stream = model.stream(**options)
    results = []
    for start in range(0, len(audio.pcm), piece):
        chunk = audio.pcm[start : start + piece]
        if listener is None:
            stream.feed(chunk)
        else:
            results += [event.result for event in listener.feed(chunk) if isinstance(event, Final)]
        progress.show(None, done + start / len(audio.pcm))
    if listener is None:
        return [stream.finish()]
    return results + [event.result for event in listener.finish() if isinstance(event, Final)]


def _print_notes(path: str, audio: Audio, progress: _Progress) -> None:
    if audio.notes:
        progress.hide()
    for note in audio.notes:
        print(f"{path}: {note}", file=sys.stderr)


def _print_results(path: str, audio: Audio, results: list[Result], args: argparse.Namespace) -> None:
    from pynna.decoding import subtitles

    if args.format in ("srt", "vtt"):
        words = [word for result in results for word in result.words]
        print(subtitles.srt(words) if args.format == "srt" else subtitles.vtt(words), end="")
    for result in results:
        if args.format == "json":
            print(_json(_result_as_dict(path, audio, result)))
        elif args.format == "text":
            _print_text(f"{path}: " if len(args.files) > 1 else "", result, args.words)
    print(end="", flush=True)


def _print_text(before: str, result: Result, words: bool) -> None:
    print(before + result.text + _meaning(result))
    if words:
        for word in result.words:
            print(f"{word.start:9.2f} {word.end:9.2f} {word.confidence:6.3f}  {word.text}")
    for i, alternative in enumerate(result.alternatives[1:], 2):
        print(f"{i:9}. {alternative.confidence:6.3f}  {alternative.text}")


def _meaning(result: Result) -> str:
    """Intent and slots, if the result has any."""
    from pynna.decoding.results import GrammarResult

    if not isinstance(result, GrammarResult):
        return ""
    if not result.accepted:
        return f"  (not accepted, {result.confidence:.2f})"
    slots = "".join(f" {name}={value}" for name, value in result.slots.items())
    return f"  [{result.intent}{slots}, {result.confidence:.2f}]"


def _result_as_dict(path: str, audio: Audio, result: Result) -> dict[str, Any]:
    return {"file": path, **result.as_dict(), "duration": round(audio.duration, 6), "notes": list(audio.notes)}


# ---- grammar -------------------------------------------------------------------------------------


def _grammar(args: argparse.Namespace) -> int:
    import random
    import time
    from dataclasses import asdict

    import pynna

    try:
        model = pynna.load(args.model)
        started = time.perf_counter()
        grammar = _sentences(args.file)
        automaton = grammar.automaton(model.labels)
        graph = grammar.graph(model.labels)
        seconds = time.perf_counter() - started
    except (PynnaError, OSError) as error:
        _complain(error, args.file)
        return FAILED
    told: dict[str, Any] = {
        "file": args.file, "intents": list(grammar.intents), "sentences": automaton.n_sentences(),
        "states": graph.n_states, "arcs": graph.n_arcs, "bytes": graph.n_bytes, "seconds": round(seconds, 3),
    }  # fmt: skip
    if args.sample:
        rng = random.Random()
        told["sample"] = [asdict(grammar.sample(rng)) for _ in range(args.sample)]
    match = grammar.parse(args.parse) if args.parse is not None else None
    if args.parse is not None:
        told["parse"] = asdict(match) if match else None
    print(_json(told) if args.json else _grammar_text(told, args))
    return OK if args.parse is None or match else FAILED


def _grammar_text(told: dict[str, Any], args: argparse.Namespace) -> str:
    if args.parse is not None:
        found = told["parse"]
        return f"{found['intent']} {found['slots']}" if found else f"{args.parse!r} is not a sentence of {args.file}"
    if args.sample:
        return "\n".join(f"{s['text']}  [{s['intent']}] {s['slots'] or ''}".rstrip() for s in told["sample"])
    return (f"{told['file']}: {len(told['intents'])} intents, {told['sentences']:,} sentences; "
            f"{told['states']:,} states, {told['arcs']:,} arcs, "
            f"{told['bytes']:,} bytes, made in {told['seconds']:.2f} s")


# ---- lm ------------------------------------------------------------------------------------------


def _lm(args: argparse.Namespace) -> int:
    from pynna.decoding.ngram import write_arpa
    from pynna.errors import ArgumentError
    from pynna.grammar.normalise import normalise

    at = ""

    def sentences() -> Iterator[str]:
        nonlocal at
        for name in args.files:
            for i, line in enumerate(_read_text(name).splitlines(), 1):
                at = f"{name}:{i}: "
                yield normalise(line)
        at = ""

    try:
        n = write_arpa(sentences(), args.output, args.order)
    except ArgumentError as error:
        raise ArgumentError(f"{at}{error}") from None
    print(f"{args.output}: {n:,} n-grams")
    return OK


# ---- map -----------------------------------------------------------------------------------------


def _map(args: argparse.Namespace) -> int:
    import pynna

    with _Progress(1) as progress:
        report = pynna.map_model(
            args.source,
            args.output,
            calibration=args.calibrate,
            alphabet=args.alphabet,
            bits4=args.bits4,
            name=args.name,
            licence=args.licence,
            progress=progress.show,
        )
    print(_json(report.as_dict()) if args.json else report)
    return OK


# ---- info ----------------------------------------------------------------------------------------


def _info(args: argparse.Namespace) -> int:
    import pynna

    build = pynna.build_info()
    if not args.json:
        _print_table("build", build)
    card = pynna.load(args.model).describe()
    if args.json:
        print(_json({"build": build, "model": card}))
    else:
        _print_card(card)
    return OK


def _print_card(card: dict[str, Any]) -> None:
    layers, geometry, metadata = (card.pop(key, {}) for key in ("layers", "geometry", "metadata"))
    card["alphabet"] = " ".join("space" if label == " " else label for label in card["alphabet"])
    _print_table("model", card)
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


# ---- the terminal --------------------------------------------------------------------------------


def _drop_output() -> None:
    """Whatever still waits for a standard output that is closed or full: the interpreter would try again at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _json(value: Any) -> str:
    """One line of JSON; what is infinite or NaN, which JSON does not know, is null."""

    def known(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): known(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return [known(part) for part in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(known(value), allow_nan=False)


def _complain(error: BaseException, path: str = "") -> None:
    """One line about an error on standard error, which names the file that it is about."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    else:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if path not in text:
        text = f"{path}: {text}"
    print("pynna:", " ".join(text.splitlines()), file=sys.stderr)


class _Progress:
    """A progress bar on standard error: only on a terminal, and only if the work takes more than half a second."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        layout = "{desc} {percentage:3.0f} % |{bar}| {elapsed} gone, {remaining} to go"
        hidden = not sys.stderr.isatty()
        tqdm.monitor_interval = 0  # no thread besides
        self._bar = tqdm(total=total, bar_format=layout, delay=0.5, leave=False, dynamic_ncols=True, disable=hidden)
        self.done = 0.0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()

    def show(self, name: str | None, done: float) -> None:
        """What is being worked on, and how much is done; less than before begins anew."""
        if name is not None:
            self._bar.set_description_str(name[-40:], refresh=False)
        if done < self.done:
            self._bar.reset()
            self.done = 0.0
        self._bar.update(done - self.done)
        self.done = done

    def hide(self) -> None:
        """Before something else is printed."""
        self._bar.clear()
