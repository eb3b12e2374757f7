# SPDX-License-Identifier: Apache-2.0
"""What a listener tells: speech begins, something was heard, an utterance is over, nobody speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

from pynna.decoding.results import ResultT


@dataclass(frozen=True, slots=True)
class SpeechStart:
    """Someone has begun to speak; seconds from the start of the stream."""

    time: float

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON can hold it."""
        return {"event": "start", "time": self.time}


@dataclass(frozen=True, slots=True)
class Partial(Generic[ResultT]):
    """What has been heard of the utterance so far has changed."""

    time: float
    result: ResultT

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON can hold it."""
        return {"event": "partial", "time": self.time, "text": self.result.text}


@dataclass(frozen=True, slots=True)
class Final(Generic[ResultT]):
    """An utterance: from `start` to `end` seconds of the stream; told at `time`. Its words' times are the stream's.

    It starts `EndpointRules.pre_roll` ahead of its first word, or where the one before it ended. A noise that the
    network took for a letter, and that its `SpeechStart` told, does not count once the words are known.
    """

    time: float
    start: float
    end: float
    result: ResultT

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON can hold it."""
        return {"event": "final", "time": self.time, "start": self.start, "end": self.end, **self.result.as_dict()}


@dataclass(frozen=True, slots=True)
class Timeout:
    """Nobody has spoken for `EndpointRules.start_timeout`."""

    time: float

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON can hold it."""
        return {"event": "timeout", "time": self.time}


Event: TypeAlias = SpeechStart | Partial[ResultT] | Final[ResultT] | Timeout
