# SPDX-License-Identifier: Apache-2.0
"""Where speech begins and ends in a stream: rules, and what decides by the network's blank and the sound's energy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from pynna.errors import ArgumentError


class SavedNumbers(Protocol):
    """Numbers by their names, checked: a `pynna.streaming.state.SavedState`."""

    def integer(self, name: str, least: int = 0, most: int = ...) -> int: ...

    def integers(self, name: str, least: int = 0, most: int = ...) -> list[int]: ...

    def number(self, name: str, least: float = 0.0) -> float: ...

    def flag(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """When an utterance begins and ends; seconds.

    Attributes
    ----------
    trailing_silence : float
        Silence that ends an utterance.
    trailing_silence_complete : float
        The same when what was heard is a whole sentence of the grammar.
    start_timeout : float
        Silence after which a `Timeout` is told, again and again; infinity for never.
    max_utterance : float
        Length after which an utterance ends in any case.
    pre_roll : float
        Stretch before the first letter that belongs to the utterance.
    speech_threshold : float
        Probability that a frame is a letter, from which it counts as speech: 0 to 1.
    """

    trailing_silence: float = 0.7
    trailing_silence_complete: float = 0.4
    start_timeout: float = float("inf")
    max_utterance: float = 20.0
    pre_roll: float = 0.4
    speech_threshold: float = 0.5

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0.0:
                raise ArgumentError(f"{item.name} is {value!r}; a number above 0 is right")
        if not self.speech_threshold < 1.0:
            raise ArgumentError(f"speech_threshold is {self.speech_threshold}; below 1 is right")
        if not (self.pre_roll < self.max_utterance < 3600 and self.trailing_silence < 3600 and self.pre_roll < 60):
            raise ArgumentError(
                f"max_utterance is {self.max_utterance}, pre_roll {self.pre_roll}, trailing_silence "
                f"{self.trailing_silence}; below an hour, and max_utterance the longest, is right"
            )


class Endpointer:
    """Decides, frame by frame. Its state is a few numbers, however long the stream.

    Speech is where the network hears letters; that holds in noise too. The energy above a floor that follows the
    quietest sound around only delays an end: a word's last sound goes on after its last letter. Where the network tells
    how probable speech is, no letter begins an utterance without it, nor before it is sure within half a second; and it
    delays the end in the energy's place: a clatter is loud, too. And where the sound has
    been far below the utterance's loudest for a while, as behind a noise gate, what looks like a letter does not go on
    with it: a network hears one at times where a recording is cut off.

    Attributes
    ----------
    speaking : bool
    start : int
        The frame where the utterance began.
    last : int
        The last frame with a letter.
    """

    LOUD_TIMES_FLOOR = 8.0  # times the floor's power, 9 dB
    FLOOR_RISE = 1.005  # of the floor, a frame: 0.02 dB, 6 dB in six seconds
    # Mean probability of speech in the last tenth of a second: for a letter to begin an utterance, to go on with it.
    SPEECH_TO_BEGIN, SPEECH_TO_GO_ON = 0.5, 0.2
    # The mean that an utterance needs to begin, within seconds from its first letter: of utterances in held-out noise
    # it is less in two thirds of those that are none, and in 1 % of the others.
    SPEECH_OF_UTTERANCE, UTTERANCE_WITHIN = 0.9, 0.5
    # Of the utterance's greatest power, -45 dB: letters are not that much quieter than each other.
    MIN_SHARE_OF_PEAK = 10**-4.5
    SOUND_TO_LETTER = 0.2  # seconds from a sound to its letter, at most

    def __init__(self, rules: EndpointRules, seconds_per_frame: float) -> None:
        self.rules, self._seconds = rules, seconds_per_frame
        self.speaking = False
        self.frame = self.start = self.last = self._quiet_since = self._ended = 0
        self._floor = np.inf
        self._loud_last = self._sound_last = -1
        self._peak = 0.0
        self._speech = 0.0  # its probability, smoothed; 1 where the network does not tell
        self._letters: deque[int] = deque()  # frames with letters, before an utterance
        self._smoothing = 1 - np.exp(-seconds_per_frame / 0.1)

    @property
    def n_before(self) -> int:
        """Frames from the start of an utterance to the one that tells it, at most."""
        return self.frames(self.rules.pre_roll) + self.frames(self.UTTERANCE_WITHIN) + 1

    def frames(self, seconds: float) -> int:
        """Seconds as whole frames."""
        return int(min(seconds / self._seconds + 0.5, 1 << 40))

    def process(self, letter: float, power: float, complete: bool = False, speech: float | None = None) -> str:
        """Takes a frame; returns "start", "end", "cut" (after `max_utterance`, speech going on), "timeout" or "".

        Parameters
        ----------
        letter : float
            Probability that the frame is a letter: neither the blank nor the space.
        power : float
            Mean square of the frame's samples.
        complete : bool
            Whether what has been heard is a whole sentence.
        speech : float, optional
            Probability that someone speaks, of a network that tells it.
        """
        frame, self.frame = self.frame, self.frame + 1
        self._floor = min(power, self._floor * self.FLOOR_RISE) + 1e-9
        self._speech = 1.0 if speech is None else self._speech + self._smoothing * (speech - self._speech)
        if power > self.LOUD_TIMES_FLOOR * self._floor if speech is None else self._speech >= self.SPEECH_TO_BEGIN:
            self._loud_last = frame
        if self.speaking:
            self._peak = max(self._peak, power)
        if power > self.MIN_SHARE_OF_PEAK * self._peak:
            self._sound_last = frame
        faint = self.speaking and frame - self._sound_last > self.frames(self.SOUND_TO_LETTER)
        heard = self._speech >= (self.SPEECH_TO_GO_ON if self.speaking else self.SPEECH_TO_BEGIN)
        if letter >= self.rules.speech_threshold and not faint and heard:
            self.last = frame
            if not self.speaking:
                self._letters.append(frame)
        if self.speaking:
            return self._end(frame, complete)
        if self._begins(frame):
            self.speaking, self._peak, self._sound_last = True, power, frame
            self.start = max(self._ended, self._letters[0] - self.frames(self.rules.pre_roll))
            self._letters.clear()
            return "start"
        if frame - self._quiet_since >= self.frames(self.rules.start_timeout):
            self._quiet_since = frame
            return "timeout"
        return ""

    def _begins(self, frame: int) -> bool:
        """Whether there was a letter just now, and speech is sure."""
        while self._letters and frame - self._letters[0] > self.frames(self.UTTERANCE_WITHIN):
            self._letters.popleft()
        return bool(self._letters) and self._speech >= self.SPEECH_OF_UTTERANCE

    def _end(self, frame: int, complete: bool) -> str:
        rules = self.rules
        needed = self.frames(rules.trailing_silence_complete if complete else rules.trailing_silence)
        silent = frame - self.last
        loud = frame - self._loud_last < self.frames(0.1)
        over = silent >= needed and (not loud or silent >= 2 * needed)
        if over or frame - self.start >= self.frames(rules.max_utterance):
            self.speaking = False
            self._quiet_since, self._ended = frame, frame + 1
            return "end" if over else "cut"
        return ""

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON can hold it."""
        return {
            "speaking": self.speaking,
            **{name: getattr(self, name) for name in ("frame", "start", "last")},
            "quiet_since": self._quiet_since,
            "ended": self._ended,
            "loud_last": self._loud_last,
            "sound_last": self._sound_last,
            "letters": list(self._letters),
            **{name: float(getattr(self, f"_{name}")) for name in ("floor", "peak", "speech")},
        }

    def take_up(self, state: SavedNumbers) -> None:
        """Goes on where another endpointer, whose `state` this is, left off.

        Raises
        ------
        StateError
            Numbers that no endpointer has.
        """
        self.speaking, self.frame = state.flag("speaking"), state.integer("frame")
        self.start, self.last = state.integer("start", 0, self.frame), state.integer("last", 0, self.frame)
        self._quiet_since = state.integer("quiet_since", 0, self.frame)
        self._ended = state.integer("ended", 0, self.frame)
        self._loud_last = state.integer("loud_last", -1, self.frame)
        self._sound_last = state.integer("sound_last", -1, self.frame)
        self._letters = deque(state.integers("letters", 0, self.frame))
        self._floor, self._peak = state.number("floor"), state.number("peak")
        self._speech = np.float64(state.number("speech"))  # its steps are NumPy's, and so is their rounding
