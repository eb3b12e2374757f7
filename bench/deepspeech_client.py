# SPDX-License-Identifier: Apache-2.0
"""The real DeepSpeech 0.5.1 client beside this project's float reference and its mapped int8 network.

All three are given one output_graph.pb and the same recordings. The client and the reference (MFCC, framing and network
of `pynna.mapping.reference`, then the C core's prefix beam search, no language model) must say the same, to the
character. The client's wheel is for CPython 3.7, but the library in it is plain C:

    pip download --no-deps --only-binary=:all: --python-version 3.7 --implementation cp --abi cp37m \\
        --platform manylinux1_x86_64 deepspeech==0.5.1
    unzip deepspeech-0.5.1-*.whl -d ds051
    python -m bench deepspeech --client ds051/deepspeech/lib/libdeepspeech.so --weights weights.npz clips/*.flac

Beside the recordings given, some are made up: silence, noise at full scale, and lengths around a frame's.
With --lm both search with a language model: the client reads ARPA files, and makes the tree of the vocabulary itself.
Where texts differ, both are scored over all their paths, to tell who found the better one.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.core import Core, MappedModel
from bench.hearing import BeamSearch, Heard, Network, Windows
from bench.report import Table, emit
from pynna import Decoder, DecoderOptions, LanguageModel
from pynna.audio.files import load_audio
from pynna.distance import edit_distance
from pynna.mapping import Weights, export_graph, load_weights, map_model, read_alphabet
from pynna.mapping.dequantise import dequantise
from pynna.mapping.front_end import context_windows, windows

Array = NDArray[Any]

ABSOLUTE, RELATIVE = 1e-3, 1e-4  # what an MFCC may be off by, whichever is larger


# ---- the client ----------------------------------------------------------------------------------


class _Item(ctypes.Structure):
    _fields_ = [("character", ctypes.c_char_p), ("timestep", ctypes.c_int), ("start_time", ctypes.c_float)]


class _Metadata(ctypes.Structure):
    _fields_ = [("items", ctypes.POINTER(_Item)), ("n_items", ctypes.c_int), ("cost", ctypes.c_double)]


class Client:
    """DeepSpeech 0.5.1's native client.

    Parameters
    ----------
    library : path
        libdeepspeech.so.
    graph : path
        output_graph.pb.
    alphabet : path
        A label a line.
    """

    def __init__(
        self, library: Path, graph: Path, alphabet: Path, *, beam: int, n_features: int, n_context: int
    ) -> None:
        self._library = ctypes.CDLL(str(library.resolve()))
        self._library.DS_SpeechToTextWithMetadata.restype = ctypes.POINTER(_Metadata)
        self._library.DS_SpeechToTextWithMetadata.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_uint,
        ]
        self._library.DS_FreeMetadata.argtypes = [ctypes.POINTER(_Metadata)]
        self._state = ctypes.c_void_p()
        status = self._library.DS_CreateModel(
            str(graph).encode(), n_features, n_context, str(alphabet).encode(), beam, ctypes.byref(self._state)
        )
        if status:
            raise RuntimeError(f"DeepSpeech cannot use {graph}: error {status:#x}")

    def use(self, lm: LanguageModel, alphabet: Path) -> None:
        """Searches with a language model from now on; the library is given no tree of its words, and makes one."""
        enable = self._library.DS_EnableDecoderWithLM
        enable.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_float,
            ctypes.c_float,
        ]
        status = enable(self._state, str(alphabet).encode(), str(lm.path).encode(), b"", lm.alpha, lm.beta)
        if status:
            raise RuntimeError(f"DeepSpeech cannot use {lm.path}: error {status:#x}")

    def __call__(self, pcm: Array, rate: int) -> Heard:
        """The text of int16 [n]."""
        pcm = np.ascontiguousarray(pcm, np.int16)
        found = self._library.DS_SpeechToTextWithMetadata(self._state, pcm.ctypes.data, len(pcm), rate)
        items = [found.contents.items[i] for i in range(found.contents.n_items)]
        heard = Heard(
            b"".join(item.character for item in items).decode(), [item.timestep for item in items], found.contents.cost
        )
        self._library.DS_FreeMetadata(found)
        return heard


class ClientStream:
    """A stream of the client: it collects what the network says, and decodes all of it whenever it is asked."""

    def __init__(self, client: Client, pcm: Array, rate: int) -> None:
        self._library = client._library
        self._library.DS_IntermediateDecode.restype = ctypes.c_void_p
        self._library.DS_FreeString.argtypes = [ctypes.c_void_p]
        self._state = ctypes.c_void_p()
        pcm = np.ascontiguousarray(pcm, np.int16)
        self._library.DS_SetupStream(client._state, 0, rate, ctypes.byref(self._state))
        self._library.DS_FeedAudioContent(self._state, ctypes.c_void_p(pcm.ctypes.data), len(pcm))

    def decode(self) -> str:
        """The text of all frames so far: its search, and nothing else."""
        found = self._library.DS_IntermediateDecode(self._state)
        text = ctypes.string_at(found).decode()
        self._library.DS_FreeString(found)
        return text


# ---- one recording -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What each of the three heard in one recording, and whether the C core's windows are the reference's."""

    name: str
    seconds: float
    client: Heard
    reference: Heard
    mapped: Heard | None
    frames_equal: bool  # windows are rows of frames, the very bits, however the audio is cut
    mfcc_error: float  # the largest, in units of what is allowed
    scores: tuple[float, float] | None = None  # where texts differ: the client's and ours, all paths' and the words'

    @property
    def same(self) -> bool:
        """Whether client and reference agree to the character."""
        return self.client.text == self.reference.text

    @property
    def frames_in_order(self) -> bool:
        return self.frames_equal and self.mfcc_error <= 1.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"same": self.same}


class Comparison:
    """Everything that hears: built once, used on each recording."""

    def __init__(
        self,
        core: Core,
        client: Client,
        weights: Weights,
        model: MappedModel | None,
        beam: int,
        lm: LanguageModel | None = None,
    ) -> None:
        self.client, self.weights, self.lm = client, weights, lm
        self.network = weights.network()
        self.search = BeamSearch(core, weights.alphabet, beam) if lm is None else WordSearch(weights.alphabet, beam, lm)
        self.model = model
        if model:
            self.mapped, self.windows = Network(model), Windows(model)
        self.random = np.random.default_rng(0)

    def __call__(self, name: str, pcm: Array) -> Verdict:
        rate = self.weights.features.sample_rate
        x = windows(pcm, self.weights.features, self.weights.n_context)
        log_probs = self.network.run(x)
        reference = self.search(log_probs)
        mapped, frames_equal, mfcc_error = None, True, 0.0
        if self.model:
            streamed = self.windows(pcm, self.random.choice([0, 1, 7, 160, 319, 320, 512, 4000], 200))
            mapped = self.search(self.mapped(streamed))
            frames_equal, mfcc_error = self._compare_windows(pcm, streamed, x)
        client = self.client(pcm, rate)
        scores = None
        if client.text != reference.text:
            scores = (
                text_score(log_probs, client.text, self.weights.alphabet, self.lm),
                text_score(log_probs, reference.text, self.weights.alphabet, self.lm),
            )
        return Verdict(name, len(pcm) / rate, client, reference, mapped, frames_equal, mfcc_error, scores)

    def _compare_windows(self, pcm: Array, streamed: Array, x: Array) -> tuple[bool, float]:
        """Of the C core's windows: the framing to the bit, and the coefficients' largest error."""
        if streamed.shape != x.shape:
            return False, float("inf")
        framed = context_windows(streamed[:, self.weights.n_context], self.weights.n_context)
        equal = framed.tobytes() == streamed.tobytes() == self.windows(pcm).tobytes()
        return equal, float((np.abs(streamed - x) / np.maximum(ABSOLUTE, RELATIVE * np.abs(x))).max())


class WordSearch:
    """`BeamSearch` with a language model, as a stream does it."""

    def __init__(self, alphabet: Sequence[str], beam: int, lm: LanguageModel) -> None:
        self.labels, self.options = (*alphabet, ""), DecoderOptions(beam_width=beam, language_model=lm, alternatives=2)

    def __call__(self, log_probs: Array) -> Heard:
        """Decodes float32 [frames, labels] from the start of a stream."""
        decoder = Decoder(self.labels, options=self.options)
        decoder.feed(log_probs)
        decoder.finish()
        best, *others = decoder.core.tails(2)
        tokens = [*decoder.core.committed, *best[1]]
        return Heard(
            "".join(self.labels[token[0]] for token in tokens),
            [token[2] for token in tokens],
            -best[0],
            best[0] - others[0][0] if others else None,
        )


def text_score(log_probs: Array, text: str, alphabet: Sequence[str], lm: LanguageModel | None) -> float:
    """A text's natural-log probability over all its paths (Graves et al. 2006, equations 5 to 8), and its words'."""
    blank = len(alphabet)
    labels = [blank]
    for character in text:
        labels += [list(alphabet).index(character), blank]
    ways = np.full(len(labels), -np.inf)
    ways[:2] = log_probs[0, labels[:2]]
    skip = np.array([i >= 2 and labels[i] != blank and labels[i] != labels[i - 2] for i in range(len(labels))])
    for row in np.asarray(log_probs[1:], np.float64):
        one = np.concatenate([[-np.inf], ways[:-1]])
        two = np.where(skip, np.concatenate([[-np.inf] * 2, ways[:-2]])[: len(ways)], -np.inf)
        ways = np.logaddexp(np.logaddexp(ways, one), two) + row[labels]
    total = float(np.logaddexp.reduce(ways[-2:]))
    if lm is None:
        return total
    words = lm.words((*alphabet, ""), list(alphabet).index(" "))
    return total + words.score_of([list(alphabet).index(c) for c in text])


def made_up_clips(rate: int) -> list[tuple[str, Array]]:
    """Recordings that nobody records: names and int16 PCM."""
    noise = np.random.default_rng(7).normal(0, 3000, 2 * rate).astype(np.int16)
    lengths = (1, 319, 320, 511, 512, 513, 831, 832)
    return [
        ("(empty)", noise[:0]),
        *((f"(noise, {n} samples)", noise[:n]) for n in lengths),
        ("(silence, 3 s)", np.zeros(3 * rate, np.int16)),
        ("(noise, 2 s)", noise),
        ("(full-scale noise, 2 s)", np.where(noise < 0, -32768, 32767).astype(np.int16)),
        ("(constant, 1 s)", np.full(rate, 1000, np.int16)),
    ]


# ---- the command ---------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "clips", nargs="+", type=Path, metavar="CLIP", help="a recording, or a .txt file of their paths"
    )
    parser.add_argument("--client", required=True, type=Path, metavar="SO", help="libdeepspeech.so of deepspeech 0.5.1")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, metavar="PB", help="an output_graph.pb")
    source.add_argument(
        "--weights",
        type=Path,
        metavar="NPZ",
        help="weights to be written as an output_graph.pb; a .nna model's are made float again",
    )
    parser.add_argument("--alphabet", type=Path, metavar="TXT", help="a label a line; the weights' own unless given")
    parser.add_argument("--beam", type=int, default=500, help="hypotheses kept (500)")
    parser.add_argument("--lm", type=Path, metavar="ARPA", help="search with this language model")
    parser.add_argument("--alpha", type=float, default=0.75, help="its weight (0.75)")
    parser.add_argument("--beta", type=float, default=1.85, help="and what each word adds, in nats (1.85)")
    parser.add_argument("--nna", type=Path, help="the mapped network; mapped here unless given")
    parser.add_argument("--no-mapped", action="store_true", help="leave the mapped network out")
    parser.add_argument("--calibrate", nargs="+", metavar="CLIP", help="recordings to map with; those of the package")
    parser.add_argument("--no-made-up", action="store_true", help="leave the made-up recordings out")


def paths(clips: Sequence[Path]) -> list[Path]:
    """The recordings meant: those in a .txt file, one a line relative to it, and all others as they are."""
    found: list[Path] = []
    for clip in clips:
        lines = clip.read_text().splitlines() if clip.suffix == ".txt" else []
        found += [clip.parent / line for line in lines if line.strip()] if clip.suffix == ".txt" else [clip]
    return found


def _prepare(arguments: argparse.Namespace, folder: Path) -> tuple[Weights, Path, Path]:
    """The float network, and its graph and alphabet as files. The reference reads what the client reads: the graph."""
    labels = read_alphabet(arguments.alphabet.read_text("utf-8")) if arguments.alphabet else None
    graph: Path | None = arguments.model
    if graph is None:
        mapped = arguments.weights.suffix == ".nna"
        weights = dequantise(arguments.weights) if mapped else load_weights(arguments.weights, labels)
        labels, graph = weights.alphabet, folder / "output_graph.pb"
        export_graph(weights, graph)
    weights = load_weights(graph, labels)
    alphabet = folder / "alphabet.txt"
    alphabet.write_text("".join(f"{label}\n" for label in weights.alphabet), "utf-8")
    return weights, graph, alphabet


def run(arguments: argparse.Namespace) -> int:
    """The command; 1 if a text, or a window, differs."""
    core = Core(arguments.cache)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, graph, alphabet = _prepare(arguments, folder)
        client = Client(
            arguments.client,
            graph,
            alphabet,
            beam=arguments.beam,
            n_features=weights.features.n_coefficients,
            n_context=weights.n_context,
        )
        model, lm = None, None
        if arguments.lm:
            lm = LanguageModel(arguments.lm, alpha=arguments.alpha, beta=arguments.beta)
            client.use(lm, alphabet)
        if not arguments.no_mapped:
            mapped = arguments.nna or folder / "mapped.nna"
            if not arguments.nna:
                map_model(weights, mapped, calibration=arguments.calibrate, report=False)
            model = MappedModel(core, mapped)
        compare = Comparison(core, client, weights, model, arguments.beam, lm)
        rate = weights.features.sample_rate
        clips = [(str(path), load_audio(path, sample_rate=rate).pcm) for path in paths(arguments.clips)]
        if not arguments.no_made_up:
            clips += made_up_clips(rate)
        start = time.perf_counter()
        verdicts = [compare(name, pcm) for name, pcm in tqdm(clips, unit="clip", disable=None)]
    _report(arguments, weights, verdicts, time.perf_counter() - start)
    return 0 if all(v.same and v.frames_in_order for v in verdicts) else 1


def _report(arguments: argparse.Namespace, weights: Weights, verdicts: list[Verdict], seconds: float) -> None:
    table = Table("clip", "seconds", "reference", "int8", "cost apart", "margin", "times apart", "MFCC error", "client")
    for v in verdicts:
        margin = "-" if v.reference.margin is None else f"{v.reference.margin:.3f}"
        cost = "-" if arguments.lm else f"{abs(v.client.cost - v.reference.cost):.1e}"
        table.add(
            Path(v.name).name[:40],
            f"{v.seconds:.2f}",
            _agreement(v.reference, v.client),
            _agreement(v.mapped, v.client),
            cost,
            margin,
            f"{times_apart(v)}",
            f"{v.mfcc_error:.2g}" + ("" if v.frames_equal else ", framing differs"),
            repr(v.client.text[:60]),
        )
    differences = [
        f"{v.name}\n  client    {v.client.text!r} {v.scores[0]:.3f}\n  reference {v.reference.text!r} {v.scores[1]:.3f}"
        for v in verdicts
        if v.scores
    ]
    summary = _summary(arguments, weights, verdicts, seconds)
    emit(
        arguments,
        {"summary": summary, "clips": [v.as_dict() for v in verdicts]},
        table,
        *differences,
        *(f"{name.replace('_', ' ')}: {value}" for name, value in summary.items()),
    )


def _agreement(heard: Heard | None, client: Heard) -> str:
    """Of a text with the client's: the same, or how many edits apart."""
    if heard is None:
        return "-"
    return "same" if heard.text == client.text else f"{edit_distance(heard.text, client.text)} edits"


def times_apart(v: Verdict) -> int:
    """Characters of equal texts whose times differ."""
    return sum(a != b for a, b in zip(v.client.frames, v.reference.frames, strict=True)) if v.same else 0


def _summary(
    arguments: argparse.Namespace, weights: Weights, verdicts: list[Verdict], seconds: float
) -> dict[str, Any]:
    made_up = [v for v in verdicts if v.name.startswith("(")]
    summary: dict[str, Any] = {
        "network": f"{weights.n_cell} wide, {weights.n_parameters / 1e6:.2f} M parameters, {weights.source}",
        "recordings": len(verdicts) - len(made_up),
        "made_up": len(made_up),
        "with_a_text": sum(bool(v.client.text) for v in verdicts),
        "same_text": sum(v.same for v in verdicts),
        "different": [v.name for v in verdicts if not v.same],
        "characters": sum(len(v.client.text) for v in verdicts),
        "times_apart": sum(map(times_apart, verdicts)),
        "smallest_margin": min(v.reference.margin for v in verdicts if v.reference.margin is not None),
        "windows_in_order": sum(v.frames_in_order for v in verdicts),
        "largest_mfcc_error": max(v.mfcc_error for v in verdicts),
        "seconds_taken": round(seconds, 1),
    }
    if arguments.lm is None:  # else the client's costs leave the words out
        summary["largest_cost_difference"] = max(abs(v.client.cost - v.reference.cost) for v in verdicts)
    scored = [v.scores for v in verdicts if v.scores]
    if scored:
        summary["differing_texts_that_score_above_the_clients"] = sum(ours >= theirs - 1e-3 for theirs, ours in scored)
    if all(v.mapped for v in verdicts):
        edits = sum(edit_distance(v.mapped.text, v.client.text) for v in verdicts if v.mapped)
        summary["int8_same_text"] = sum(v.mapped.text == v.client.text for v in verdicts if v.mapped)
        summary["int8_character_edits"] = edits
        summary["int8_character_error_rate_against_client"] = round(edits / max(1, summary["characters"]), 5)
    return summary
