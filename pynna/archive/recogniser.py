# SPDX-License-Identifier: Apache-2.0
"""Recordings to segments on one core: what a worker does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.archive.cutting import Cutter, Part
from pynna.archive.endpoints import Utterance, decode, utterances
from pynna.archive.pool import Pool, Run
from pynna.archive.seams import Stretch, Window, end_window, seam, start_window, stretch
from pynna.audio.files import read_in_pieces
from pynna.audio.pcm import Pcm
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Result
from pynna.errors import PynnaError
from pynna.model import Model
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.rescoring import (
    PERTURBATIONS,
    Perturbation,
    PerturbedAudio,
    combine,
    history_samples,
    needs_rescoring,
)

F32: TypeAlias = npt.NDArray[np.float32]
Fields: TypeAlias = dict[str, Any]
"""A segment as JSON can hold it: start, end, text, words, confidence, alternatives, and with a grammar its meaning."""


@dataclass(frozen=True)
class Settings:
    """How recordings are read, cut and decoded; it goes to other processes.

    Attributes
    ----------
    rules : EndpointRules or None
        Where a recording is cut; None: a recording is one utterance.
    options : dict of str to value
        The fields of `DecoderOptions` that were given.
    reading : dict of str to value
        `channel`, `strict` and `raw_sample_rate` of `pynna.audio.read`.
    """

    rules: EndpointRules | None = field(default_factory=EndpointRules)
    options: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)


class Unit(NamedTuple):
    """A recording to be done, or every `n_shares`-th part of it, beginning with number `share`; parts that are done
    already are only read."""

    number: int
    source: str | BinaryIO
    share: int = 0
    n_shares: int = 1
    done: Collection[int] = ()


class PartDone(NamedTuple):
    """A part of a recording is recognised."""

    unit: Unit
    number: int
    seconds: float
    segments: list[Fields]


class AllRead(NamedTuple):
    """A recording is read to its end: how many parts it has, its length in seconds, what was done to it."""

    unit: Unit
    n_parts: int
    seconds: float
    notes: list[str]


class Failed(NamedTuple):
    """A recording, or what is left of it, cannot be recognised."""

    unit: Unit
    text: str


Message: TypeAlias = PartDone | AllRead | Failed


class _Passes:
    """Utterances of a part of which some are recognised again; tells when all are through."""

    def __init__(self, results: list[Result], through: Callable[[list[Result]], None]) -> None:
        self.results, self._through = results, through
        self._again: dict[int, list[Result | None]] = {}

    def expect(self, i: int, n: int) -> None:
        """Further results of utterance `i`, in the order of the perturbations."""
        self._again[i] = [None] * n

    def put(self, i: int, k: int, result: Result) -> None:
        """The `k`-th of them."""
        self._again[i][k] = result
        found = [each for each in self._again[i] if each is not None]
        if len(found) == len(self._again[i]):
            self.results[i] = combine([self.results[i], *found])
            del self._again[i]
            self.tell_if_through()

    def tell_if_through(self) -> None:
        if not self._again:
            self._through(self.results)


class _Recording:
    """A recording that is cut: its parts, and the seams between them as far as they are known."""

    def __init__(self, unit: Unit, cutter: Cutter, parts: Iterator[Part]) -> None:
        self.unit, self.cutter, self.parts = unit, cutter, parts
        self._seams: dict[int, int] = {}
        self._wanted: dict[int, list[Callable[[int], None]]] = {}

    def seam(self, index: int, wanted: Callable[[int], None], find: Callable[[Callable[[int], None]], None]) -> None:
        """Tells `wanted` the seam before part `index`, which `find` finds unless somebody has asked for it before."""
        if index in self._seams:
            wanted(self._seams.pop(index))  # the part before it has asked first, and nobody else will
        elif index in self._wanted:
            self._wanted[index].append(wanted)
        else:
            self._wanted[index] = [wanted]
            find(lambda offset: self._found(index, offset))

    def _found(self, index: int, offset: int) -> None:
        wanted = self._wanted.pop(index)
        if len(wanted) == 1:
            self._seams[index] = offset
        for each in wanted:
            each(offset)


class Recogniser:
    """Up to 16 channels of one core, filled from the recordings that are handed in.

    Parameters
    ----------
    model : Model
    settings : Settings
    tell : callable
        Is told each `Message`.
    """

    def __init__(self, model: Model, settings: Settings, tell: Callable[[Message], None]) -> None:
        self._model, self._settings, self.tell = model, settings, tell
        self._options: DecoderOptions = model.decoder_options(**settings.options)
        self._pool, self._step = Pool(model), int(model.geometry["step"])
        self._sources: deque[_Recording] = deque()
        self._waiting: deque[Callable[[], None]] = deque()  # what is to run, until there is a channel

    def prepare(self) -> None:
        """Makes what decoders share now, and not when the first is needed."""
        self._decoder()

    @property
    def wants(self) -> bool:
        """Whether there are channels that nothing is left for."""
        return not self._sources and not self._waiting and self._pool.n_free > 0

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(len(self._pool) or self._sources or self._waiting)

    def add(self, unit: Unit) -> None:
        """Takes a recording in."""
        if self._settings.rules is None:
            self._waiting.append(lambda: self._start_whole(unit))
        else:
            cutter = Cutter(self._settings.rules, self._step, self._model.sample_rate)
            self._sources.append(_Recording(unit, cutter, self._parts(unit, cutter)))

    def turn(self) -> None:
        """Fills the channels, and takes some steps of all of them."""
        while self._pool.n_free:
            if self._waiting:
                self._waiting.popleft()()
            elif self._sources:
                self._start_part()
            else:
                break
        self._pool.step()

    def _decoder(self, first_frame: float = 0, speed: float = 1.0) -> Decoder:
        model = self._model
        return Decoder(
            model.labels,
            label_priors=model.label_priors,
            options=self._options,
            seconds_per_frame=model.seconds_per_step * speed,
            first_frame=first_frame,
        )

    # ---- recordings that are cut -------------------------------------------------------------------------------------

    def _pieces(self, unit: Unit, notes: list[str]) -> Iterator[Pcm]:
        return read_in_pieces(unit.source, notes, sample_rate=self._model.sample_rate, **self._settings.reading)

    def _parts(self, unit: Unit, cutter: Cutter) -> Iterator[Part]:
        """What is to be done of a recording; tells when it is read."""
        notes: list[str] = []
        n_parts = n_samples = 0
        for part in cutter.cut(self._pieces(unit, notes)):
            n_parts += 1
            n_samples += len(part.pcm)
            if part.index % unit.n_shares == unit.share and part.index not in unit.done:
                yield part
        self.tell(AllRead(unit, n_parts, n_samples / self._model.sample_rate, notes))

    def _start_part(self) -> None:
        recording = self._sources[0]
        try:
            part = next(recording.parts, None)
        except (PynnaError, OSError, MemoryError) as error:
            self._sources.popleft()
            self.tell(Failed(recording.unit, _text_of(error)))
            return
        if part is None:
            self._sources.popleft()
            return
        cutter, step = recording.cutter, self._step
        offsets: dict[str, int] = {}

        def known(side: str, offset: int) -> None:
            offsets[side] = offset
            if len(offsets) == 2:
                given = stretch(part, cutter, step, offsets["start"], offsets["end"])
                self._waiting.append(lambda: self._start_stretch(recording.unit, part, given))

        for side, proposed, index, window in (
            ("start", part.proposed_start, part.index, start_window),
            ("end", part.proposed_end, part.index + 1, end_window),
        ):
            if proposed:
                around = window(part, cutter, step)
                recording.seam(
                    index,
                    lambda offset, side=side: known(side, offset),  # type: ignore[misc]
                    lambda found, around=around: self._find_seam(around, cutter.search, found),  # type: ignore[misc]
                )
            else:
                known(side, 0)

    def _collect(self, pcm: Pcm, through: Callable[[F32, F32 | None], None], *, speech: bool = False) -> None:
        """Runs samples; tells log-probabilities and, where the network tells it, how probable speech is."""
        collector = _core.Collector(len(self._model.labels))
        empty = np.zeros((0, len(self._model.labels)), np.float32)
        self._pool.start(
            [pcm], collector, lambda run: through(np.concatenate([empty, *collector.take()]), run.speech), speech=speech
        )

    def _find_seam(self, around: Window, search: int, found: Callable[[int], None]) -> None:
        def through(rows: F32, speech: F32 | None) -> None:
            found(seam(self._model, rows, speech, around.proposal, search))

        self._waiting.append(lambda: self._collect(around.pcm, through, speech=True))

    def _start_stretch(self, unit: Unit, part: Part, given: Stretch) -> None:
        self._collect(given.pcm, lambda rows, speech: self._part_through(unit, part, given, rows, speech), speech=True)

    def _part_through(self, unit: Unit, part: Part, given: Stretch, rows: F32, speech: F32 | None) -> None:
        rules = self._settings.rules
        assert rules is not None
        found = utterances(self._model, given, rows, speech, rules, self._options)
        results = [decode(self._decoder(given.first + each.first), rows[each.first : each.stop]) for each in found]

        def through(results: list[Result]) -> None:
            segments = [
                _segment(self._model, rules, given.first, each, result)
                for each, result in zip(found, results, strict=True)
            ]
            self.tell(PartDone(unit, part.index, len(part.pcm) / self._model.sample_rate, segments))

        passes = _Passes(results, through)
        step, window = self._step, self._model.geometry["window"]
        for i, each in enumerate(found):
            pcm = given.pcm[each.first * step : (each.stop - 1) * step + window]
            self._rescore(passes, i, results[i], pcm, given.first + each.first)
        passes.tell_if_through()

    def _rescore(self, passes: _Passes, i: int, result: Result, pcm: Pcm, first_frame: int) -> None:
        """Puts a doubtful utterance's further passes in the queue for channels."""
        n = self._options.n_passes - 1
        if n < 1 or not needs_rescoring(result) or len(pcm) > history_samples(self._options, self._model.sample_rate):
            return
        passes.expect(i, n)

        audio = PerturbedAudio(pcm, self._model.sample_rate, result, first_frame * self._model.seconds_per_step)

        def start(k: int, perturbation: Perturbation) -> None:
            speed = perturbation.speed
            decoder = self._decoder(audio.first_frame(first_frame, speed, self._step), speed)
            self._pool.start([audio.under(perturbation)], decoder.core, lambda _: passes.put(i, k, decoder.finish()))

        for k, perturbation in enumerate(PERTURBATIONS[:n]):
            self._waiting.append(lambda k=k, perturbation=perturbation: start(k, perturbation))  # type: ignore[misc]

    # ---- recordings that are one utterance ---------------------------------------------------------------------------

    def _start_whole(self, unit: Unit) -> None:
        notes: list[str] = []
        kept: list[Pcm] = []
        decoder, most = self._decoder(), history_samples(self._options, self._model.sample_rate)
        n_samples = 0

        def pieces() -> Iterator[Pcm]:
            nonlocal n_samples
            for piece in self._pieces(unit, notes):
                n_samples += len(piece)
                if n_samples <= most:
                    kept.append(piece)
                else:
                    kept.clear()
                yield piece

        def through(run: Run) -> None:
            if run.error is not None:
                self.tell(Failed(unit, _text_of(run.error)))
                return
            seconds = n_samples / self._model.sample_rate

            def tell(results: list[Result]) -> None:
                self.tell(PartDone(unit, 0, seconds, [{"start": 0.0, "end": seconds, **results[0].as_dict()}]))
                self.tell(AllRead(unit, 1, seconds, notes))

            passes = _Passes([decoder.finish()], tell)
            if kept:
                self._rescore(passes, 0, passes.results[0], np.concatenate(kept), 0)
            passes.tell_if_through()

        self._pool.start(pieces(), decoder.core, through)


def _segment(model: Model, rules: EndpointRules, first_frame: int, each: Utterance, result: Result) -> Fields:
    def time(frame: int) -> float:
        return round((first_frame + frame) * model.seconds_per_step, 6)

    start = time(each.start)
    if result.words:
        start = max(start, round(result.words[0].start - rules.pre_roll, 6))
    return {"start": start, "end": time(each.end), **result.as_dict()}


def _text_of(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
