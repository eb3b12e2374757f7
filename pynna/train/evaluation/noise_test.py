# SPDX-License-Identifier: Apache-2.0
"""Noise is not speech: what a model makes of noise of kinds that training never heard, with and without a command.

Three questions: how many letters and utterances a minute come out of noise, music and foreign speech alone, and how
many commands an hour are accepted there; how many commands are understood with noise before, behind and after them, by
`transcribe`, by `listen` and by the Wyoming server; and how many utterances a recording of one command becomes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from tqdm import tqdm

from pynna.assistant.wyoming import serve
from pynna.decoding.results import GrammarResult
from pynna.events import Final, SpeechStart
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.train.config import Config
from pynna.train.corpora import noise_sets, testsets
from pynna.train.corpora.noise_sets import Noise
from pynna.train.corpora.peers import fingerprint, silero_cut
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.kept import Kept, Row, digest_of
from pynna.train.evaluation.recognise import CHUNK
from pynna.train.evaluation.scores import Judge, Verdict, Verdicts
from pynna.train.evaluation.tables import table
from pynna.train.voices.base import RATE, Pcm

T = TypeVar("T")
U = TypeVar("U")
Cutter: TypeAlias = Callable[[Pcm], Pcm]
"""A recording cut to its speech."""


@dataclass(frozen=True)
class Extent:
    """How much is heard."""

    clips: int  # of people, and as many of the car's
    ratios: tuple[float, ...]  # dB
    levels: tuple[float, ...]  # dB of full scale
    seconds: float  # of each recording without speech, at each level
    served: int  # recordings that the Wyoming server hears
    files: int  # recordings of a kind
    languages: int = 99  # that espeak-ng speaks


FULL = Extent(100, (20, 15, 10, 6, 0), (-20, -30, -40, -50, -60), 60.0, 60, 9)
QUICK = Extent(24, (15, 6), (-25, -50), 10.0, 4, 1, 5)


@dataclass
class Alone:
    """What comes out of noise without speech."""

    seconds: float = 0.0
    letters: int = 0
    starts: int = 0
    finals: int = 0
    accepted: int = 0

    def __iadd__(self, other: Alone) -> Alone:
        for name in ("seconds", "letters", "starts", "finals", "accepted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def a_minute(self, count: int) -> float:
        """A count as a rate."""
        return 60 * count / max(self.seconds, 1e-9)


@dataclass
class Among:
    """Commands among noise, percent of the recordings but for `utterances`, which is a mean."""

    clips: int = 0
    transcribed: float = 0.0
    listened: float = 0.0
    utterances: float = 0.0
    lost: float = 0.0
    best: float = 0.0  # by `transcribe`: the best sentence is right, accepted or not
    wrong: float = 0.0  # by `transcribe`: another one is accepted
    cut: float | None = None  # as `transcribed`, cut to its speech by Silero VAD before; None: not asked
    best_cut: float | None = None


def each(function: Callable[[T], U], items: Sequence[T], title: str) -> list[U]:
    """A function of each item, on all cores."""
    with ThreadPoolExecutor() as pool:
        return list(tqdm(pool.map(function, items), total=len(items), desc=title, leave=False))


def chunks(pcm: Pcm) -> list[Pcm]:
    """Samples as a microphone gives them."""
    return [pcm[i : i + CHUNK] for i in range(0, len(pcm), CHUNK)]


def heard_alone(model: Model, pcm: Pcm, grammar: Grammar) -> Alone:
    """Letters without a grammar, heard once; utterances begun, ended and accepted by a listener with one."""
    letters = len(model.transcribe(pcm, beam_width=0, passes=1).text.replace(" ", ""))
    events = list(model.listen(grammar=grammar).listen(chunks(pcm)))
    results = [event.result for event in events if isinstance(event, Final)]
    accepted = sum(isinstance(result, GrammarResult) and result.accepted for result in results)
    starts = sum(isinstance(event, SpeechStart) for event in events)
    return Alone(len(pcm) / RATE, letters, starts, len(results), accepted)


def understood(judge: Judge, text: str, results: Sequence[GrammarResult]) -> bool:
    """Whether of some utterances' results those that are accepted mean what was said, and nothing else."""
    meanings = {judge.means(result.text) for result in results if result.complete and result.accepted}
    return meanings == {judge.means(text)} and None not in meanings


def utterances(model: Model, pcm: Pcm, grammar: Grammar) -> list[GrammarResult]:
    """Results of a listener's utterances."""
    events = model.listen(grammar=grammar).listen(chunks(pcm))
    results = [event.result for event in events if isinstance(event, Final)]
    return [result for result in results if isinstance(result, GrammarResult)]


def heard_among(model: Model, clips: Sequence[Clip], judge: Judge, title: str, cutter: Cutter | None = None) -> Among:
    """What is understood of recordings of a command each; cut by a `cutter`, too, if there is one."""

    def whole(pcm: Pcm, text: str) -> Verdict:
        result = model.transcribe(pcm, grammar=judge.grammar)
        assert isinstance(result, GrammarResult)
        said = judge.means(text)
        right = result.complete and said is not None and judge.means(result.text) == said
        return Verdict("", right, float(result.complete and result.accepted))

    def hear(clip: Clip) -> tuple[Verdict, Verdict | None, bool, int]:
        several = utterances(model, clip.pcm, judge.grammar)
        part = whole(cutter(clip.pcm), clip.text) if cutter else None
        return whole(clip.pcm, clip.text), part, understood(judge, clip.text, several), len(several)

    rows = each(hear, clips, title)
    once, cut = Verdicts([row[0] for row in rows]), Verdicts([row[1] for row in rows if row[1]])
    n = max(1, len(rows))
    return Among(
        len(rows),
        once.right(1),
        100 * sum(listened for *_, listened, _ in rows) / n,
        sum(count for *_, count in rows) / n,
        100 * sum(count == 0 for *_, count in rows) / n,
        once.right(0),
        once.wrong(1),
        cut.right(1) if cutter else None,
        cut.right(0) if cutter else None,
    )


async def _served(model: Model, clips: Sequence[Clip], grammar: Grammar) -> list[str]:
    """Transcripts of a Wyoming server, asked over its socket."""
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.error import Error

    texts = []
    with tempfile.TemporaryDirectory() as folder:
        uri, ready = f"unix://{folder}/socket", asyncio.Event()
        server = asyncio.create_task(serve(model, uri, grammar=grammar, ready=lambda _: ready.set()))
        await asyncio.wait_for(ready.wait(), 30)
        try:
            for clip in clips:
                async with AsyncClient.from_uri(uri) as client:
                    await client.write_event(Transcribe(language="en").event())
                    await client.write_event(AudioStart(RATE, 2, 1).event())
                    for chunk in chunks(clip.pcm):
                        await client.write_event(AudioChunk(RATE, 2, 1, chunk.tobytes()).event())
                    await client.write_event(AudioStop().event())
                    while (event := await client.read_event()) and not Transcript.is_type(event.type):
                        if Error.is_type(event.type):
                            raise RuntimeError(f"the Wyoming server must answer with a transcript, got {event.data}")
                    texts.append(Transcript.from_event(event).text if event else "")
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server
    return texts


def served(model: Model, clips: Sequence[Clip], judge: Judge) -> float:
    """Percent of recordings that a Wyoming server understands."""
    texts = asyncio.run(_served(model, clips, judge.grammar))
    right = sum(judge.means(clip.text) == judge.means(text) for clip, text in zip(clips, texts, strict=True) if text)
    return 100 * right / max(1, len(clips))


@dataclass
class Material:
    """All recordings, the same for every model."""

    noises: list[Noise]
    people: list[Clip]
    car: list[Clip]
    phrases: Judge | None
    sentences: Judge
    extent: Extent

    @classmethod
    def of(cls, config: Config, folders: Sequence[Path], extent: Extent) -> Material:
        """Recordings out of a working directory and the folders of held-out noise."""
        recorded = noise_sets.held_out(folders)
        kinds: dict[str, list[Noise]] = {}
        for noise in [*recorded, *noise_sets.foreign()[: extent.languages], *noise_sets.tunes()]:
            kinds.setdefault(noise.kind, []).append(noise)
        chosen = [noise for same in kinds.values() for noise in same[: extent.files]]
        people = noise_sets.real_commands(config, extent.clips)
        phrases = Judge(Grammar.from_sentences(testsets.real_phrases(config))) if people else None
        return cls(
            chosen,
            people,
            noise_sets.car_sentences(config, extent.clips),
            phrases,
            Judge(Grammar.from_yaml(CAR_GRAMMAR)),
            extent,
        )

    def sets(self) -> list[tuple[str, list[Clip], Judge]]:
        """Name, clips, and their grammar."""
        people = [("real people", self.people, self.phrases)] if self.phrases else []
        return [*people, ("car sentences", self.car, self.sentences)]

    def recordings(self, clips: Sequence[Clip], snr: float | None) -> list[Clip]:
        """The clips among noise, of every kind in turn."""
        behind = [noise for noise in self.noises if noise_sets.group_of(noise.kind) != "foreign"]
        kinds: dict[str, list[Noise]] = {}
        for noise in behind:
            kinds.setdefault(noise.kind, []).append(noise)
        files, n = list(kinds.values()), len(kinds)
        noises = (files[i % n][i // n % len(files[i % n])] for i in range(len(clips)))
        return [
            noise_sets.among(clip, noise, snr, i) for i, (clip, noise) in enumerate(zip(clips, noises, strict=True))
        ]


@dataclass
class NoiseTest:
    """The figures of a model."""

    alone: dict[tuple[str, float], Alone] = field(default_factory=dict)  # by kind and level
    among: dict[tuple[str, str], Among] = field(default_factory=dict)  # by set and condition
    wyoming: float = 0.0

    def kinds(self) -> dict[str, Alone]:
        """All levels of a kind together."""
        sums: dict[str, Alone] = {}
        for (kind, _), alone in self.alone.items():
            sums.setdefault(kind, Alone())
            sums[kind] += alone
        return sums

    def as_dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {
            "alone": [{"kind": kind, "level": level, **vars(alone)} for (kind, level), alone in self.alone.items()],
            "among": [
                {"clips of": name, "condition": condition, **vars(among)}
                for (name, condition), among in self.among.items()
            ],
            "wyoming": self.wyoming,
        }


def conditions(material: Material, clips: Sequence[Clip]) -> list[tuple[str, list[Clip]]]:
    """The tight clips, the same in recordings of silence, and among noise."""
    ratios = [(f"{snr:g} dB", material.recordings(clips, snr)) for snr in material.extent.ratios]
    return [("tight, quiet", list(clips)), ("quiet", material.recordings(clips, None)), *ratios]


def measure(model: Model, material: Material, kept: Kept, cutter: Cutter | None = None) -> NoiseTest:
    """Let a model hear all that it has not heard, as `kept` knows."""
    test, extent, car = NoiseTest(), material.extent, material.sentences
    for name, clips, judge in material.sets():
        for condition, recordings in conditions(material, clips):
            title = f"{name}, {condition}{', cut' if cutter else ''}"

            def among(clips: Sequence[Clip] = recordings, judge: Judge = judge, title: str = title) -> Row:
                return asdict(heard_among(model, clips, judge, title, cutter))

            row = kept.of(title, fingerprint(recordings, judge.grammar), among)
            test.among[name, condition] = Among(**row)
    for noise in tqdm(material.noises, desc="noise alone", leave=False):
        clips = [Clip("", "", noise_sets.levelled(noise.pcm, level, extent.seconds)) for level in extent.levels]

        def alone(clips: Sequence[Clip] = clips) -> Row:
            rows = each(lambda clip: heard_alone(model, clip.pcm, car.grammar), clips, "levels")
            return {"levels": [asdict(row) for row in rows]}

        rows = kept.of(f"{noise.name} alone", fingerprint(clips, car.grammar), alone)["levels"]
        for level, row in zip(extent.levels, rows, strict=True):
            test.alone.setdefault((noise.kind, level), Alone())
            test.alone[noise.kind, level] += Alone(**row)
    some = material.recordings(material.car[: extent.served], 15)
    answered = kept.of("Wyoming", fingerprint(some, car.grammar), lambda: {"right": served(model, some, car)})
    test.wyoming = answered["right"]
    return test


def report(test: NoiseTest, extent: Extent) -> str:
    """The figures as Markdown."""
    kinds = test.kinds()
    groups: dict[str, Alone] = {}
    for kind, alone in kinds.items():
        group = noise_sets.group_of(kind)
        groups.setdefault(group, Alone())
        groups[group] += alone
    rows: list[list[object]] = []
    for name, alone in [*kinds.items(), *((f"**all {group}**", alone) for group, alone in groups.items())]:
        rows.append(
            [
                name,
                alone.seconds / 60,
                alone.a_minute(alone.letters),
                alone.a_minute(alone.starts),
                alone.a_minute(alone.finals),
                60 * alone.a_minute(alone.accepted),
            ]
        )
    levels: dict[float, Alone] = {}
    for (_, level), alone in test.alone.items():
        levels.setdefault(level, Alone())
        levels[level] += alone
    rows += [
        [
            f"all at {level:g} dBFS",
            a.seconds / 60,
            a.a_minute(a.letters),
            a.a_minute(a.starts),
            a.a_minute(a.finals),
            60 * a.a_minute(a.accepted),
        ]
        for level, a in levels.items()
    ]
    noise = {
        kind: alone.a_minute(alone.letters) for kind, alone in kinds.items() if noise_sets.group_of(kind) == "noise"
    }
    worst = max(noise, key=noise.__getitem__) if noise else ""
    among = [
        [name, condition, a.clips, a.best, a.transcribed, a.wrong, a.listened, f"{a.utterances:.2f}", a.lost,
         *(["", ""] if a.cut is None else [a.best_cut, a.cut])]
        for (name, condition), a in test.among.items()
    ]  # fmt: skip
    accepted = sum(alone.accepted for alone in kinds.values())
    hours = sum(alone.seconds for alone in kinds.values()) / 3600
    return "\n".join([
        "## Noise of kinds that training never heard, alone", "", f"Worst kind of noise: {worst}, "
        f"{noise.get(worst, 0.0):.1f} letters a minute. {accepted} commands accepted in {hours:.2f} hours.", "",
        *table(["what", "minutes", "letters a minute", "utterances begun a minute", "ended a minute",
                "accepted an hour"], rows),
        "## Commands among noise, 1 to 5 s of it before and after", "",
        "Percent of the recordings: by `transcribe` the best sentence right, accepted rightly, accepted wrongly; by "
        "`listen` accepted rightly with no other command accepted. Lost: no utterance at all. Silero: cut to its "
        "speech by Silero VAD before `transcribe`.", "",
        *table(["clips of", "condition", "clips", "right", "accepted", "wrongly", "listen", "utterances a recording",
                "lost", "Silero: right", "accepted"], among),
        f"Wyoming, car sentences at 15 dB, {min(extent.served, extent.clips)} recordings: {test.wyoming:.1f} %.", "",
    ])  # fmt: skip


def noise_test(
    config: Config, path: Path, folders: Sequence[Path], quick: bool, output: Path | None, silero: bool = False
) -> None:
    """Print a model's figures; write them to `output` (Markdown) and, as JSON, beside it.

    What it has heard is kept in the working directory: a test that was stopped goes on there. `silero`: the recordings
    of commands are cut by Silero VAD, too.
    """
    extent = QUICK if quick else FULL
    kept = Kept(config.folder("evaluation") / f"noise-test-{digest_of(path)}.json")
    test = measure(load(path), Material.of(config, folders, extent), kept, silero_cut if silero else None)
    text = report(test, extent)
    print(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
        output.with_suffix(".json").write_text(json.dumps(test.as_dict(), indent=1) + "\n", encoding="utf-8")
