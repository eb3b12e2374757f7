# SPDX-License-Identifier: Apache-2.0
"""Why a recording was understood as it was: what was heard freely, the nearest sentence, and where they part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from pynna.audio.channels import remarks
from pynna.audio.levels import levels
from pynna.audio.pcm import Audio, Pcm
from pynna.decoding.results import GrammarResult, Word
from pynna.events import Final
from pynna.grammar import Grammar
from pynna.model import Model


@dataclass(frozen=True)
class Difference:
    """Where what was heard and the nearest sentence part, in seconds."""

    start: float
    end: float
    heard: str
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """What there is to know of how a recording was understood.

    Attributes
    ----------
    heard : str
        The text without a grammar.
    sentence : str
        The nearest sentence of the grammar.
    intent : str or None
    slots : dict
    confidence, threshold : float
    accepted, complete : bool
    rival : str or None
        The best sentence that means something else (`GrammarResult.rival`).
    margin : float or None
        Nats by which it scores lower.
    others : tuple of (text, confidence)
        What it nearly took.
    differences : tuple of Difference
    speech : tuple of (start, end)
        Seconds where someone speaks.
    level, noise : float
        Of speech and of what is between, in dB below full scale.
    remarks : tuple of str
        What looks wrong with the recording.
    """

    heard: str
    sentence: str
    intent: str | None
    slots: dict[str, Any]
    confidence: float
    threshold: float
    accepted: bool
    complete: bool
    rival: str | None
    margin: float | None
    others: tuple[tuple[str, float], ...]
    differences: tuple[Difference, ...]
    speech: tuple[tuple[float, float], ...]
    level: float
    noise: float
    remarks: tuple[str, ...]

    @property
    def reason(self) -> str:
        """In a sentence, why it was accepted or refused."""
        if self.accepted:
            return f"accepted: its confidence of {self.confidence:.2f} reaches the threshold of {self.threshold:.2f}"
        if not self.speech and not self.heard:
            return "refused: no speech was found"
        if not self.complete:
            if not self.sentence:
                return f"refused: {self.heard!r} is no sentence of the grammar, and none begins like it"
            if self.heard == self.sentence:
                return f"refused: {self.heard!r} is the beginning of a sentence, whose end was not heard"
            return (
                f"refused: {self.heard!r} is no sentence; the nearest begins with {self.sentence!r}, and its end was "
                "not heard"
            )
        if self.heard == self.sentence:
            return f"refused: its confidence of {self.confidence:.2f} is below the threshold of {self.threshold:.2f}"
        where = self.differences[0] if self.differences else None
        parts = f", and parts from it at {where.start:.2f} s: {where.heard!r}, not {where.sentence!r}" if where else ""
        return f"refused: {self.heard!r} is no sentence; the nearest is {self.sentence!r}{parts}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"reason": self.reason, **asdict(self)}


def diagnose(model: Model, audio: Audio, grammar: Grammar, threshold: float | None = None) -> Diagnosis:
    """Why a recording is understood as it is.

    Parameters
    ----------
    model : Model
    audio : Audio
        At the model's rate.
    grammar : Grammar
    threshold : float, optional
        From which a sentence is accepted; the usual one unless given.

    Raises
    ------
    GrammarError
        As ``Model.stream``.
    """
    options: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    decoder_options = model.decoder_options(grammar=grammar, alternatives=3, **options)
    best = model.transcribe(audio.pcm, grammar=grammar, alternatives=3, **options)
    free = model.transcribe(audio.pcm)
    assert isinstance(best, GrammarResult)
    level, noise = levels(audio.pcm, audio.sample_rate)
    return Diagnosis(
        free.text, best.text, best.intent, best.slots, best.confidence, decoder_options.threshold, best.accepted,
        best.complete, best.rival, best.margin,
        tuple((other.text, other.confidence) for other in best.alternatives[1:]),
        differences(free.words, best.words), speech(model, audio.pcm), level, noise,
        remarks(audio.pcm, audio.source_rate, audio.sample_rate),
    )  # fmt: skip


def speech(model: Model, pcm: Pcm) -> tuple[tuple[float, float], ...]:
    """Where someone speaks, in seconds."""
    listener = model.listen(passes=1, beam_width=0)
    events = [*listener.feed(pcm), *listener.finish()]
    return tuple((event.start, event.end) for event in events if isinstance(event, Final))


def differences(heard: tuple[Word, ...], sentence: tuple[Word, ...]) -> tuple[Difference, ...]:
    """Where two texts part, word by word."""
    found = []
    matcher = SequenceMatcher(None, [w.text for w in heard], [w.text for w in sentence], autojunk=False)
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind == "equal":
            continue
        words = heard[i:j] or sentence[k:n]
        found.append(Difference(words[0].start, words[-1].end, " ".join(w.text for w in heard[i:j]),
                                " ".join(w.text for w in sentence[k:n])))  # fmt: skip
    return tuple(found)
