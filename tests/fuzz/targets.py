# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of files: each target takes bytes and must answer, or refuse with a PynnaError."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import random
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import pynna
from pynna import _core
from tests.fuzz import seeds
from tests.fuzz.registry import Finding, target

MOST_STATES = 20_000


@cache
def in_memory() -> Path:
    """A folder of this process, in memory where there is such a thing: the disk takes more time than the parsers."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="pynna-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@contextlib.contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    path = in_memory() / name
    path.write_bytes(data)
    yield path


def _text(data: bytes) -> io.StringIO:
    return io.StringIO(data.decode("utf-8", "replace"))


LABELS = [" ", *"abcdefghijklmnopqrstuvwxyz", "'", ""]


def use(grammar: pynna.Grammar) -> None:
    """What a grammar is for."""
    rng = random.Random(1)
    for _ in range(3):
        sentence = grammar.sample(rng)
        grammar.parse(sentence.text)
    grammar.parse("turn on the kitchen lights to twenty one")
    if grammar.size(LABELS) < MOST_STATES:
        grammar.graph(LABELS)


@target(
    seeds.yaml,
    b"{",
    b"}",
    b"lists:",
    b"range:",
    b"from:",
    b"to:",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object:",
    b"|",
)
def _yaml(data: bytes) -> None:
    use(pynna.Grammar.from_yaml(_text(data)))


@target(seeds.jsgf, b"#JSGF V1.0;", b"public <a> = ", b"<NULL>", b"<VOID>", b"/0.5/", b"{tag}", b"*", b"+", b"import <")
def _jsgf(data: bytes) -> None:
    use(pynna.Grammar.from_jsgf(_text(data)))


@target(seeds.ini, b"(0..100)", b"{name}", b":", b"$list", b"<rule>", b"[Intent]", b"!int")
def _ini(data: bytes) -> None:
    use(pynna.Grammar.from_ini(_text(data)))


@target(seeds.rhino, b"$pv.TwoDigitInteger:n", b"@macro", b"(opt)", b"[a, b]", b"context:", b"slots:")
def _rhino(data: bytes) -> None:
    use(pynna.Grammar.from_rhino(_text(data)))


@target(seeds.arpa, b"\\data\\", b"ngram 2=3", b"\\1-grams:", b"\\end\\", b"<s>", b"\t-0.5", b"\x1f\x8b\x08")
def _arpa(data: bytes) -> None:
    from pynna.decoding.ngram import Ngrams

    with _file(data, "a.arpa") as path:
        model = Ngrams(path)
        model.score(model.start, "one")


@target(seeds.nna)
def _nna(data: bytes) -> None:
    if len(data) > 24 and data[-1] % 4:  # behind the checksum
        data = data[:16] + len(data).to_bytes(8, "little") + data[24:]
        data = data[:12] + zlib.crc32(data[16:]).to_bytes(4, "little") + data[16:]
    from pynna.deepspeech.cache import read_metadata
    from pynna.mapping.integer_network import IntegerNetwork

    with _file(data, "a.nna") as path:
        read_metadata(path)
        with contextlib.suppress(pynna.PynnaError):
            IntegerNetwork.open(path)
        model = pynna.load(path, threads=1)
        model.transcribe(np.zeros(3000, np.int16))
        str(model.metadata)


def _import(data: bytes, name: str) -> None:
    from pynna.mapping.importers import load_weights

    with _file(data, name) as path:
        load_weights(path)


@target(seeds.graph, b"\x0a", b"Const", b"MatMul", b"\xff\xff\xff\xff\x0f")
def _pb(data: bytes) -> None:
    _import(data, "output_graph.pb")


@target(seeds.memmapped, b"memmapped_package://")
def _pbmm(data: bytes) -> None:
    _import(data, "output_graph.pbmm")


@target(seeds.tflite, b"TFL3")
def _tflite(data: bytes) -> None:
    _import(data, "output_graph.tflite")


@target(seeds.npz, b"\x93NUMPY", b"PK\x03\x04", b"'descr': '<f4'", b"'descr': '|O'")
def _npz(data: bytes) -> None:
    _import(data, "weights.npz")


@target(seeds.torch, b"PK\x03\x04", b"\x80\x02", b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n")
def _torch(data: bytes) -> None:
    _import(data, "model.pt")


@target(seeds.safetensors, b"data_offsets", b"F32", b"__metadata__")
def _safetensors(data: bytes) -> None:
    _import(data, "model.safetensors")


@target(seeds.checkpoint, b"layer_1/weights", b"/lstm_fused_cell/", b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", b"\xff" * 9)
def _checkpoint(data: bytes) -> None:
    """Its index; the data beside it stay as they are."""
    if not (in_memory() / "best.index").exists():
        seeds.small_checkpoint(in_memory())
    _import(data, "best.index")


@target(seeds.onnx, b"Gemm", b"LSTM", b"transB", b"hidden_size", b"Clip", b"\xff" * 9, b"MatMul", b"Add")
def _onnx(data: bytes) -> None:
    _import(data, "model.onnx")


@target(seeds.archive, b"../../etc/passwd", b"ustar")
def _archive(data: bytes) -> None:
    _import(data, "release.tar.gz")


@target(seeds.scorer, b"EIRT")
def _scorer(data: bytes) -> None:
    with _file(data, "a.scorer") as path, contextlib.suppress(RuntimeError):  # what the clients raise
        _client().enableExternalScorer(str(path))
        _client().stt(np.zeros(2000, np.int16))
        _client().disableExternalScorer()


@cache
def _client() -> Any:
    from pynna.deepspeech.api import Model

    return Model(str(seeds.shipped_model()))


@target(
    lambda: [b"mmap lm\0<unk>\0<s>\0</s>\0go\0on\0", seeds.scorer()[0]], b"<unk>\0", b"\0", b"<s>\0", "\xe9\0".encode()
)
def _words(data: bytes) -> None:
    """The words of a language model, of which a tree is made."""
    from pynna.deepspeech.scorers import tree, words_of

    with _file(data, "lm.binary") as path:
        tree(words_of(path), [label.encode() for label in LABELS[:-1]], len(data) % 16)


@target(seeds.audio, b"RIFF", b"data\xff\xff\xff\xff", b"fmt ", b"fLaC", b"OggS", b"ID3", b"\xff\xfb\x90\x00", b"LIST")
def _audio(data: bytes) -> None:
    from pynna.audio.files import read, read_in_pieces

    strict = bool(len(data) % 2)
    with contextlib.suppress(pynna.AudioError):
        pieces = np.concatenate([np.zeros(0, np.int16), *read_in_pieces(io.BytesIO(data), [], strict=strict)])
        if not np.array_equal(pieces, read(io.BytesIO(data), strict=strict).pcm):
            raise Finding("in pieces it is another recording")


@target(lambda: [seeds.audio()[0], bytes(range(200))], b"RIFF", b"data\xff\xff\xff\xff", b"fmt ", b"WAVE", b"LIST")
def _piped(data: bytes) -> None:
    """A WAV file, or raw samples, that come through a pipe."""
    from pynna.audio.piped import piped

    for pcm in piped(io.BytesIO(data), 16000, lambda told: None):
        np.frombuffer(pcm, "<i2")


@target(lambda: [_core.Graph(np.array([0, 1, 1], np.int32), np.zeros(1, np.int32), np.ones(1, np.int32),
                             np.array([0, 1], np.uint8), 0, 3).to_bytes()], b"PNGRAPH1")  # fmt: skip
def _graph(data: bytes) -> None:
    graph = _core.Graph.from_bytes(data)
    if graph.n_labels <= 64:
        decoder = _core.GraphDecoder(graph, graph.n_labels - 1)
        decoder.feed(np.full((20, graph.n_labels), -1.0, np.float32))
        decoder.finish()
        decoder.tails(1)


def loud(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What an endpointer takes for speech."""
    return np.random.default_rng(0).integers(-20000, 20000, round(16000 * seconds), np.int16)


RESTORED: tuple[dict[str, Any], ...] = (
    {"beam_width": 0},
    {"beam_width": 4, "language_model": None, "hot_words": {"go": 2.0}},
    {"grammar": pynna.Grammar.from_sentences(["go on", "go home"]), "passes": 1},
)
"""How saved streams and listeners are decoded."""


@cache
def _small() -> pynna.Model:
    return pynna.load(seeds.small_model(), threads=1)


@target(seeds.states, b"pynna.st", b'"arrays": ', b'"kind": "listener"', b'"float32", [1, 29]', b"null", b"NaN", b"[]",
        b"-1", b"true", b'"endpointer": {', b'"hot_words": [[0, [["go", 1.0]]]]', b"\x00\x00\xc0\x7f")  # fmt: skip
def _state(data: bytes) -> None:
    """What `save` wrote: refused, or it goes on, and is saved and taken up again."""
    if len(data) > 48 and data[-1] % 8:  # behind the checksum
        data = data[:12] + hashlib.blake2b(data[44:], digest_size=32).digest() + data[44:]
    for options in RESTORED:
        for restore in (_small().restore_stream, _small().restore_listener):
            with contextlib.suppress(pynna.errors.StateError):
                made = restore(data, **options)
                with contextlib.suppress(pynna.errors.NotFiniteError):
                    made.feed(loud(0.1))
                    restore(made.save(), **options).finish()
