# SPDX-License-Identifier: Apache-2.0
"""The real clients of DeepSpeech and Coqui STT beside `pynna.deepspeech`, on the same model files and recordings.

Each client is a native library that runs in a process of its own (they carry the same symbols), takes recordings one by
one; all are timed clip by clip in turn, and the least of the runs counts. With --search each clip is heard with a beam
of one, too: what the whole beam takes of the processor beyond that is the search's time. The wheels are for CPython 3.7
and 3.9, but the libraries in them are plain C:

    pip download --no-deps --only-binary=:all: --python-version 3.7 --implementation cp --abi cp37m \\
        --platform manylinux1_x86_64 deepspeech==0.9.3 && unzip deepspeech-0.9.3-*.whl -d ds093
    python -m bench clients --client ds093 --model output_graph.pbmm --nna mapped.nna --scorer kenlm.scorer clips/*.wav

--posteriors writes the float reference's probabilities of each clip as .npz; --results the clients' results as JSON.
"""

from __future__ import annotations

import argparse
import ctypes as C
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.opening import opening
from bench.report import Table, emit
from pynna.audio import load_audio
from pynna.deepspeech import Model
from pynna.deepspeech._client import Search
from pynna.mapping.front_end import windows
from pynna.mapping.importers import load_weights
from pynna.mapping.reference import character_errors
from pynna.mapping.weights import Weights

Array = NDArray[Any]
Heard = tuple[str, list[int], float]  # text, frames of its characters, the number told


class Hearing(Protocol):
    """Somebody who hears."""

    def __call__(self, pcm: Array, /) -> Heard: ...

    def use_beam(self, beam: int, /) -> None: ...


# ---- the clients' structures -----------------------------------------------------------------------


class _Item(C.Structure):
    """A character of 0.5 and 0.6, a token of 0.7 and later: their layouts are the same."""

    _fields_ = [("text", C.c_char_p), ("timestep", C.c_int), ("start_time", C.c_float)]


class _Transcript(C.Structure):
    """Metadata of 0.5 and 0.6, a transcript of 0.7 and later."""

    _fields_ = [("items", C.POINTER(_Item)), ("n_items", C.c_int), ("number", C.c_double)]


class _Metadata(C.Structure):
    _fields_ = [("transcripts", C.POINTER(_Transcript)), ("n_transcripts", C.c_uint)]


class Client:
    """A client's native library; its generation (5, 6, 7, 9; 10 is Coqui's) is told from its symbols."""

    def __init__(self, folder: Path, model: Path, alphabet: Path | None, beam: int) -> None:
        path = next(p for name in ("libdeepspeech.so", "libstt.so") for p in folder.rglob(name))
        for other in sorted(path.parent.glob("lib*.so")):
            if other != path:
                C.CDLL(str(other), mode=C.RTLD_GLOBAL)
        self.library = C.CDLL(str(path))
        self.prefix = "STT_" if hasattr(self.library, "STT_CreateModel") else "DS_"
        has = [hasattr(self.library, self.prefix + n) for n in ("AddHotWord", "EnableExternalScorer", "CreateStream")]
        self.generation = 10 if self.prefix == "STT_" else 9 if has[0] else 7 if has[1] else 6 if has[2] else 5
        self.state = C.c_void_p()
        self.alphabet = str(alphabet or "").encode()
        name = str(model).encode()
        self.create, self.model = self.call("CreateModel"), name
        self.beams: dict[int, C.c_void_p] = {}  # 0.5 and 0.6 have a model for each
        self.enabled: list[Any] = []
        if self.generation >= 7:
            self.check(self.create(name, C.byref(self.state)))
        self.use_beam(beam)
        whole = self.call("SpeechToTextWithMetadata")
        whole.restype = C.POINTER(_Transcript if self.generation < 7 else _Metadata)

    def use_beam(self, beam: int) -> None:
        """Keeps so many hypotheses from now on."""
        if self.generation >= 7:
            self.check(self.call("SetModelBeamWidth")(self.state, beam))
            return
        if beam not in self.beams:
            self.state = self.beams[beam] = C.c_void_p()
            shape = [26, 9, self.alphabet] if self.generation == 5 else []
            self.check(self.create(self.model, *shape, beam, C.byref(self.state)))
            if self.enabled:
                self.check(self.call("EnableDecoderWithLM")(self.state, *self.enabled))
        self.state = self.beams[beam]

    def call(self, name: str) -> Any:
        return getattr(self.library, self.prefix + name)

    @staticmethod
    def check(status: int) -> None:
        if status:
            raise RuntimeError(f"the client answers with status {status:#x}")

    def enable(self, scorer: Path | None, lm: Path | None, trie: Path | None, alpha: float, beta: float) -> None:
        """Searches with a language model from now on; alpha and beta are those of lm and trie."""
        if scorer is not None and self.generation >= 7:
            self.check(self.call("EnableExternalScorer")(self.state, str(scorer).encode()))
        elif lm is not None and trie is not None and self.generation < 7:
            first = [self.alphabet] if self.generation == 5 else []
            self.enabled = [*first, str(lm).encode(), str(trie).encode(), C.c_float(alpha), C.c_float(beta)]
            self.check(self.call("EnableDecoderWithLM")(self.state, *self.enabled))

    def __call__(self, pcm: Array) -> Heard:
        """The best hypothesis of int16 [n]."""
        pcm = np.ascontiguousarray(pcm, np.int16)
        last = {5: [16000], 6: []}.get(self.generation, [C.c_uint(1)])
        told = self.call("SpeechToTextWithMetadata")(self.state, C.c_void_p(pcm.ctypes.data), C.c_uint(len(pcm)), *last)
        best = told.contents if self.generation < 7 else told.contents.transcripts[0]
        items = [(best.items[i].text, best.items[i].timestep) for i in range(best.n_items)]
        heard = (b"".join(text for text, _ in items).decode("utf-8", "replace"), [t for _, t in items], best.number)
        self.call("FreeMetadata")(told)
        return heard


# ---- a process for each ------------------------------------------------------------------------------


def _serve(pipe: Any, make: Callable[..., Hearing], arguments: tuple[Any, ...]) -> None:
    """Answers (recording, beam) with (seconds, processor seconds, heard) until None comes.

    First it tells what loading took, last the memory.
    """
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        hear = make(*arguments)
    except (RuntimeError, OSError, StopIteration) as error:
        pipe.send(str(error) or type(error).__name__)
        return
    pipe.send(time.perf_counter() - start)
    while (asked := pipe.recv()) is not None:
        pcm, beam = asked
        hear.use_beam(beam)
        start, used = time.perf_counter(), time.process_time()
        heard = hear(pcm)
        pipe.send((time.perf_counter() - start, time.process_time() - used, heard))
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def _make_client(folder: Path, model: Path, options: dict[str, Any]) -> Client:
    client = Client(folder, model, options["alphabet"], options["beam"])
    client.enable(options["scorer"], options["lm"], options["trie"], options["alpha"], options["beta"])
    return client


class Own:
    """pynna.deepspeech."""

    def __init__(self, nna: Path, options: dict[str, Any]) -> None:
        self.model = Model(nna)
        if options["scorer"]:
            self.model.enableExternalScorer(options["scorer"])
        elif options["lm"]:
            self.model.enableDecoderWithLM(options["lm"], options["trie"] or "", options["alpha"], options["beta"])

    def use_beam(self, beam: int) -> None:
        """Keeps so many hypotheses from now on."""
        self.model.setBeamWidth(beam)

    def __call__(self, pcm: Array) -> Heard:
        """The best hypothesis of int16 [n]."""
        best = self.model.sttWithMetadata(pcm).transcripts[0]
        return "".join(t.text for t in best.tokens), [t.timestep for t in best.tokens], best.confidence


class Peer:
    """Somebody who hears, in a process of his own."""

    def __init__(self, name: str, make: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.seconds, self.memory = name, {}, 0.0
        self.heard: dict[str, Heard] = {}
        self.used: dict[tuple[str, bool], float] = {}  # processor seconds with the whole beam, and without a search
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self.process.start()
        loaded = self.pipe.recv()
        if isinstance(loaded, str):
            raise SystemExit(f"{name}: {loaded}")
        self.load_seconds = float(loaded)

    def hear(self, clip: str, pcm: Array, beam: int) -> None:
        """Once more; the least time counts."""
        self.pipe.send((pcm, beam))
        seconds, used, self.heard[clip] = self.pipe.recv()
        self.seconds[clip] = min(seconds, self.seconds.get(clip, np.inf))
        self.used[clip, True] = min(used, self.used.get((clip, True), np.inf))

    def hear_alone(self, clip: str, pcm: Array) -> None:
        """Once more with a beam of one: the network's time."""
        self.pipe.send((pcm, 1))
        used = self.pipe.recv()[1]
        self.used[clip, False] = min(used, self.used.get((clip, False), np.inf))

    @property
    def search_seconds(self) -> float:
        """What the search took of the processor, in all clips."""
        return sum(used - self.used[clip, False] for (clip, searched), used in self.used.items() if searched)

    def close(self) -> None:
        self.pipe.send(None)
        self.memory = self.pipe.recv()
        self.process.join()


# ---- the comparison ------------------------------------------------------------------------------------


def _reference(
    weights: Weights, clips: dict[str, Array], options: dict[str, Any], save: Path | None
) -> dict[str, Heard]:
    """What the float reference and the search alone make of the clips, told as DeepSpeech 0.9 tells."""
    network = weights.network()
    probs = {
        name: np.exp(network.run(windows(pcm, weights.features, weights.n_context))).astype(np.float32)
        for name, pcm in clips.items()
    }
    if save:
        np.savez_compressed(save, **probs)
    labels = [label.encode() for label in weights.alphabet]
    lm = options["scorer"] or options["lm"]
    weight = {} if options["scorer"] or not lm else {"alpha": options["alpha"], "beta": options["beta"]}
    out = {}
    for name, rows in probs.items():
        search = Search(
            labels,
            scorer=os.fsencode(lm) if lm else None,
            beam=options["beam"],
            **weight,
            trie=os.fsencode(options["trie"]) if lm and not options["scorer"] and options["trie"] else None,
        )
        search.feed(rows)
        text, times, score = search.results(1)[0]
        out[name] = (text.decode("utf-8", "replace"), times, score)
    return out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("clips", nargs="+", type=Path, metavar="CLIP", help="recordings")
    add(
        "--client",
        action="append",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="an unpacked wheel; may be repeated",
    )
    add("--model", action="append", required=True, type=Path, help="the model file of each client, or one for all")
    add("--nna", type=Path, help="the mapped model; the first model file's own unless given")
    add("--alphabet", type=Path, metavar="TXT", help="for the client of 0.5")
    add("--beam", type=int, default=500, help="hypotheses kept (500)")
    add("--scorer", type=Path, help="language model, for 0.7 and later and for pynna")
    add("--lm", type=Path, help="language model, for 0.5 and 0.6, and for pynna without --scorer")
    add("--trie", type=Path, help="and the trie of its words")
    add("--alpha", type=float, default=0.75, help="its weight (0.75)")
    add("--beta", type=float, default=1.85, help="what each word adds (1.85)")
    add("--repeat", type=int, default=1, help="times that each clip is heard; the least time counts (1)")
    add("--search", action="store_true", help="tell the search's time, too: each clip is heard twice as often")
    add("--no-float", action="store_true", help="leave the float reference out")
    add("--posteriors", type=Path, metavar="NPZ", help="write the float reference's probabilities")
    add("--results", type=Path, metavar="JSON", help="write what each heard")


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    options = {k: getattr(arguments, k) for k in ("alphabet", "beam", "scorer", "lm", "trie", "alpha", "beta")}
    clips = {path.stem: load_audio(path).pcm for path in arguments.clips}
    models = arguments.model * (len(arguments.client) if len(arguments.model) == 1 else 1)
    peers = [
        Peer(folder.name, _make_client, folder, model, options)
        for folder, model in zip(arguments.client, models, strict=True)
    ]
    own = Peer("pynna int8", Own, arguments.nna or models[0], options)
    for _ in range(arguments.repeat):
        for name, pcm in clips.items():
            for peer in (*peers, own):
                peer.hear(name, pcm, options["beam"])
                if arguments.search:
                    peer.hear_alone(name, pcm)
    for peer in (*peers, own):
        peer.close()
    heard = {"pynna int8": own.heard}
    if not arguments.no_float:
        heard["pynna float"] = _reference(load_weights(models[0]), clips, options, arguments.posteriors)
    seconds = sum(len(pcm) for pcm in clips.values()) / 16000
    table = Table("", "real-time factor", "search, us a frame", "load s", "memory MB")
    for peer in (*peers, own):
        search = f"{1e6 * peer.search_seconds / (seconds / 0.02):.0f}" if arguments.search else ""
        factor = sum(peer.seconds.values()) / seconds
        table.add(peer.name, f"{factor:.4f}", search, f"{peer.load_seconds:.3f}", f"{peer.memory:.0f}")
    opened = opening(arguments.nna or models[0])
    texts = Table(
        "against", "who", "same texts", "and times", "of", "CER between %", "largest difference of the number"
    )
    for peer in peers:
        for name, mine in heard.items():
            same = [mine[c][0] == peer.heard[c][0] for c in clips]
            timed = [mine[c][:2] == peer.heard[c][:2] for c in clips]
            cer = character_errors([mine[c][0] for c in clips], [peer.heard[c][0] for c in clips])
            gaps = [abs(abs(mine[c][2]) - abs(peer.heard[c][2])) for c, equal in zip(clips, same, strict=True) if equal]
            texts.add(
                peer.name,
                name,
                str(sum(same)),
                str(sum(timed)),
                str(len(clips)),
                f"{100 * cer:.2f}",
                f"{max(gaps, default=0):.2g}",
            )
    everything = {
        p.name: {"heard": p.heard, "seconds": p.seconds, "load": p.load_seconds, "memory_mb": p.memory}
        for p in (*peers, own)
    }
    if arguments.results:
        arguments.results.write_text(
            json.dumps({**everything, **{k: {"heard": v} for k, v in heard.items() if k not in everything}}, indent=1)
        )
    emit(arguments, everything, f"{len(clips)} clips, {seconds:.1f} s of audio", table, opened, texts)
    return 0
