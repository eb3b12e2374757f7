# SPDX-License-Identifier: Apache-2.0
"""The CTC searches of this project beside others, on the same log-probabilities, one thread each.

The network hears the recordings once; then every search is run over each of them in turn, again and again, and the
least time of each recording counts. pyctcdecode and flashlight-text are timed where they are installed (pip install
pyctcdecode flashlight-text; pyctcdecode asks for an older NumPy than it needs: --no-deps), and DeepSpeech 0.5.1's
client where --client names its library (see `deepspeech`): then all search what the float network says. Word and
character error rates are against the texts of --texts, a table of path and text; without it against what this
project's widest search says.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pynna
from bench.deepspeech_client import Client, ClientStream, paths
from bench.grammars import sentence_file
from bench.report import Table, emit, machine_line
from pynna import Decoder, DecoderOptions, LanguageModel
from pynna.distance import edit_distance
from pynna.mapping import Weights, export_graph
from pynna.mapping.dequantise import dequantise
from pynna.mapping.front_end import windows

Array = NDArray[Any]
Search = Callable[[Array], str]
Runs = tuple[int, list[Callable[[], object]]]  # frames, and what takes time for them: a call a recording
CLIENTS_BATCH, CLIENTS_CONTEXT = 16, 9  # frames that the client's network takes at a time, and waits for


# ---- searches ------------------------------------------------------------------------------------


def ours(labels: Sequence[str], **options: Any) -> Search:
    """A decoder of this project with these options, fed a frame at a time, as a live channel is."""
    priors = options.pop("label_priors", None)

    def search(log_probs: Array) -> str:
        decoder = Decoder(labels, label_priors=priors, options=DecoderOptions(**options))
        for row in log_probs:
            decoder.core.feed(row[None])
        return decoder.finish().text

    return search


def pyctcdecode(labels: Sequence[str], beam: int, lm: LanguageModel | None) -> Search:
    """pyctcdecode with its own pruning."""
    from pyctcdecode import build_ctcdecoder

    decoder = build_ctcdecoder(
        list(labels),
        str(lm.path) if lm else None,
        list(lm.vocabulary.words) if lm else None,
        alpha=lm.alpha if lm else 0.5,
        beta=lm.beta if lm else 1.5,
    )
    return lambda log_probs: str(decoder.decode(log_probs, beam_width=beam)).strip()


def _flashlight_decoder(labels: Sequence[str], beam: int, lm: LanguageModel | None) -> Any:
    """flashlight-text's own decoder."""
    from flashlight.lib.text import decoder as fl

    blank, space = len(labels) - 1, list(labels).index(" ")
    same = {
        "beam_size": beam,
        "beam_size_token": len(labels),
        "beam_threshold": 1e9,
        "sil_score": 0,
        "log_add": True,
        "criterion_type": fl.CriterionType.CTC,
    }
    if lm is None:
        return fl.LexiconFreeDecoder(fl.LexiconFreeDecoderOptions(lm_weight=0, **same), fl.ZeroLM(), space, blank, [])
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    words = Dictionary()
    for word in lm.vocabulary.words:
        words.add_entry(word)
    model, trie = KenLM(str(lm.path), words), fl.Trie(len(labels), space)
    for number, word in enumerate(lm.vocabulary.words):
        _, score = model.score(model.start(False), number)
        if set(word) <= set(labels):
            trie.insert([*map(list(labels).index, word), space], number, score)
    trie.smear(fl.SmearingMode.MAX)
    options = fl.LexiconDecoderOptions(
        lm_weight=lm.alpha * float(np.log(10.0)), word_score=lm.beta, unk_score=-np.inf, **same
    )
    return fl.LexiconDecoder(options, trie, model, space, blank, -1, [], False)


def flashlight(labels: Sequence[str], beam: int, lm: LanguageModel | None) -> Search:
    """flashlight-text: without a lexicon, or with the language model's words as its lexicon."""
    decoder, blank = _flashlight_decoder(labels, beam, lm), len(labels) - 1

    def search(log_probs: Array) -> str:
        rows = np.ascontiguousarray(log_probs, np.float32)
        found = decoder.decode(rows.ctypes.data, *rows.shape)[0]
        tokens, before, text = list(found.tokens)[1:-1], blank, []
        for token in tokens:
            if token not in (before, blank):
                text.append(labels[token])
            before = token
        return " ".join("".join(text).split())

    return search


def searches(
    model: pynna.Model, beams: Sequence[int], lm: LanguageModel | None, grammar: pynna.Grammar | None
) -> tuple[dict[str, Search], list[str]]:
    """All that can be run, by name, and what cannot."""
    labels = (*model.labels[:-1], "")
    found: dict[str, Search] = {"pynna, greedy": ours(labels, beam_width=0)}
    missing: list[str] = []
    if grammar:
        priors = model.label_priors
        found["pynna, grammar"] = ours(labels, grammar=grammar, label_priors=priors)
        made_up = pynna.Grammar.from_yaml(io.StringIO(sentence_file(200, 1000, "two lists a sentence")))
        found["pynna, grammar of 200 templates"] = ours(labels, grammar=made_up, label_priors=priors)
    for beam in beams:
        for words in (None, lm) if lm else (None,):
            name = f"beam {beam}" + (", language model" if words else "")
            found[f"pynna, {name}"] = ours(labels, beam_width=beam, language_model=words)
            for peer in (pyctcdecode, flashlight):
                try:
                    found[f"{peer.__name__}, {name}"] = peer(labels, beam, words)
                except ImportError as error:
                    missing.append(f"{peer.__name__}, {name}: {error}")
    return found, missing


# ---- the command ---------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "clips",
        nargs="*",
        type=Path,
        metavar="CLIP",
        help="recordings, or .txt files of their paths; those of the package unless given",
    )
    parser.add_argument("--model", type=Path, metavar="NNA", help="a mapped model; the one that ships unless given")
    parser.add_argument("--client", type=Path, metavar="SO", help="libdeepspeech.so of deepspeech 0.5.1, to time too")
    parser.add_argument("--texts", type=Path, metavar="TSV", help="path and text of the recordings, in tabs")
    parser.add_argument("--beam", type=int, nargs="+", default=[64, 500], help="widths (64 500)")
    parser.add_argument("--lm", type=Path, metavar="ARPA", help="also with this language model")
    parser.add_argument("--grammar", type=Path, metavar="YAML", help="a sentence file; the car's unless given")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed (5)")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    model = pynna.load(arguments.model)
    clips = paths(arguments.clips) or sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
    lm = LanguageModel(arguments.lm) if arguments.lm else None
    grammar = pynna.Grammar.from_yaml(arguments.grammar or pynna.CAR_GRAMMAR)
    pcm = [pynna.audio.load_audio(clip, sample_rate=model.sample_rate).pcm for clip in clips]
    weights = dequantise(model.path) if arguments.client else None
    if weights:
        network = weights.network()
        rows = [network.run(windows(part, weights.features)) for part in pcm]
    else:
        rows = [model.log_probs(part) for part in pcm]
    found, missing = searches(model, arguments.beam, lm, grammar)
    texts = {name: [search(part) for part in rows] for name, search in found.items()}
    frames = sum(map(len, rows))
    runs: dict[str, Runs] = {name: (frames, [partial(search, part) for part in rows]) for name, search in found.items()}
    if weights:
        for beam, words in itertools.product(arguments.beam, (None, lm) if lm else (None,)):
            name = f"DeepSpeech 0.5.1, beam {beam}" + (", language model" if words else "")
            texts[name], runs[name] = _client_run(_client(arguments.client, weights, beam, words), pcm, rows)
    seconds = _least(runs, arguments.rounds)
    truth = _truth(arguments, clips) or texts[f"pynna, beam {max(arguments.beam)}"]
    _report(arguments, model, rows, texts, seconds, truth, missing)
    return 0


def _least(runs: dict[str, Runs], rounds: int) -> dict[str, float]:
    """Seconds a frame: the sum of the recordings' least times."""
    best = {name: np.full(len(calls), np.inf) for name, (_, calls) in runs.items()}
    for _ in range(rounds):
        for i in range(max(map(len, best.values()))):
            for name, (_, calls) in runs.items():
                start = time.perf_counter()
                calls[i]()
                best[name][i] = min(best[name][i], time.perf_counter() - start)
    return {name: float(best[name].sum()) / frames for name, (frames, _) in runs.items()}


def _client(library: Path, weights: Weights, beam: int, lm: LanguageModel | None) -> Client:
    """The client with this network, from files that it reads at once."""
    with tempfile.TemporaryDirectory() as name:
        graph, alphabet = Path(name) / "output_graph.pb", Path(name) / "alphabet.txt"
        export_graph(weights, graph)
        alphabet.write_text("".join(f"{label}\n" for label in weights.alphabet), "utf-8")
        client = Client(
            library, graph, alphabet, beam=beam, n_features=weights.features.n_coefficients, n_context=weights.n_context
        )
        if lm:
            client.use(lm, alphabet)
    return client


def _client_run(client: Client, pcm: list[Array], rows: list[Array]) -> tuple[list[str], Runs]:
    """The client's texts, and how to run its search alone."""
    texts = [client(part, 16000).text.strip() for part in pcm]
    streams = [ClientStream(client, part, 16000) for part in pcm]
    decoded = sum((len(part) - CLIENTS_CONTEXT) // CLIENTS_BATCH * CLIENTS_BATCH for part in rows)
    return texts, (decoded, [stream.decode for stream in streams])


def _truth(arguments: argparse.Namespace, clips: Sequence[Path]) -> list[str]:
    if arguments.texts is None:
        return []
    with arguments.texts.open(encoding="utf-8") as file:
        by_path = {(arguments.texts.parent / row[0]).resolve(): row[-1] for row in csv.reader(file, delimiter="\t")}
    return [by_path[clip.resolve()] for clip in clips]


def _report(
    arguments: argparse.Namespace,
    model: pynna.Model,
    rows: list[Array],
    texts: dict[str, list[str]],
    seconds: dict[str, float],
    truth: list[str],
    missing: list[str],
) -> None:
    table = Table("search", "us a frame", "% of a core, live", "CER", "WER", "same text as ours")
    values = []
    for name, heard in texts.items():
        one = seconds[name]
        same = texts["pynna" + name[name.index(",") :]]
        cer, wer = _rates(truth, heard)
        share = 100 * one / model.seconds_per_step
        agree = sum(a == b for a, b in zip(heard, same, strict=True))
        table.add(name, f"{1e6 * one:.1f}", f"{share:.3f}", f"{cer:.2f}", f"{wer:.2f}", f"{agree} of {len(heard)}")
        values.append({"search": name, "seconds_a_frame": one, "cer": cer, "wer": wer, "same": agree})
    frames = sum(map(len, rows))
    emit(
        arguments,
        {"frames": frames, "recordings": len(rows), "searches": values, "left_out": missing},
        table,
        f"{machine_line()}; {len(rows)} recordings, {frames} frames",
        *(f"left out: {text}" for text in missing),
    )


def _rates(truth: Sequence[str], heard: Sequence[str]) -> tuple[float, float]:
    """Character and word error rates in percent."""
    letters = sum(edit_distance(a, b) for a, b in zip(truth, heard, strict=True))
    words = sum(edit_distance(a.split(), b.split()) for a, b in zip(truth, heard, strict=True))
    return 100 * letters / max(1, sum(map(len, truth))), 100 * words / max(1, sum(len(a.split()) for a in truth))
