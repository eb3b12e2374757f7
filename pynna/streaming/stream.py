"""Streams: audio in, text out, a channel of the network in between; alone, or up to 16 together in a group."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.audio.files import as_pcm
from pynna.decoding.decoder import Decoder, DecoderOptions
from pynna.decoding.results import Result
from pynna.errors import ArgumentError, AudioError, FinishedError, StateError
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.rescoring import Tape, hear_again

if TYPE_CHECKING:
    from pynna.model import Model
    from pynna.streaming.listener import Listener

Pcm = npt.NDArray[np.int16]


def samples(pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> Pcm:
    """What `Stream.feed` takes, as int16."""
    if isinstance(pcm, (bytes, bytearray)) or (isinstance(pcm, memoryview) and pcm.itemsize == 1):
        data = bytes(pcm)
        if len(data) % 2:
            raise AudioError(f"{len(data)} bytes of PCM are half a sample too many; int16 samples have two bytes each")
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    return as_pcm(pcm)


class Stream:
    """One utterance, or one microphone: made by ``Model.stream`` or ``Group.stream``.

    Audio may come in chunks of any size; the result is the same to the bit. A stream belongs to one thread at a time.
    """

    def __init__(self, model: Model, options: DecoderOptions, group: Group | None = None, decoder: Any = None) -> None:
        self.model = model
        self.decoder = decoder or Decoder(model.labels, label_priors=model.label_priors, options=options,
                                          seconds_per_frame=model.seconds_per_step)
        self._channel = _core.Channel(model.core, self.decoder.core)
        self.after_step: Callable[[], None] | None = None  # what a listener does after each step
        self._group = group
        self._waiting: deque[Pcm] = deque()  # a group's audio until there is room for its frames
        self._n_samples = 0
        self._flushed = False
        self._finished = False
        self._tape = None if decoder else Tape(model, options)
        self._result: Result | None = None

    @property
    def duration(self) -> float:
        """Seconds of audio fed so far."""
        return self._n_samples / self.model.sample_rate

    @property
    def finished(self) -> bool:
        """Whether ``finish`` was called."""
        return self._finished

    @property
    def state(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
        """The network's states as they are now: c int16 [n_cell], h int8 [n_cell], copies."""
        return self._channel.state

    @property
    def hot_words(self) -> Mapping[str, float]:
        """Words or phrases that are expected, and the nats that each adds; set a new mapping at any time.

        Raises
        ------
        ArgumentError
            When set: no beam search, a phrase that the labels cannot spell, a boost that is no number up to 1000.
        """
        return self.decoder.hot_words  # type: ignore[no-any-return]

    @hot_words.setter
    def hot_words(self, boosts: Mapping[str, float]) -> None:
        self.decoder.hot_words = boosts

    def reset_state(self) -> None:
        """The network's states as at the start of a stream; what is to be decoded stays."""
        c, h = self._channel.state
        self._channel.state = np.zeros_like(c), np.zeros_like(h)

    def feed(self, pcm: npt.ArrayLike | bytes | bytearray | memoryview) -> None:
        """Takes audio at the model's sample rate.

        Parameters
        ----------
        pcm : int16 [n], float32 or float64 [n] in [-1, 1], or bytes of little-endian int16
            A stream of its own is run at once; one of a group at the group's next step.

        Raises
        ------
        AudioError
            A wrong dtype or shape, a NaN or an infinity; nothing of the chunk was taken.
        FinishedError
            After ``finish``.
        """
        if self._finished:
            raise FinishedError("the stream is finished and takes no more audio; start a new one")
        chunk = samples(pcm)
        self._n_samples += len(chunk)
        # a group's audio waits, and the caller may fill the same array again meanwhile
        self._waiting.append(chunk if self._group is None else chunk.copy())
        if self._tape:
            self._tape.feed(chunk)
        if self._group is None:
            self._run()

    def partial(self) -> Result:
        """What has been understood so far; it costs the same at any length of the stream."""
        return self.decoder.result()

    def finish(self) -> Result:
        """Ends the stream as DeepSpeech does, runs what is left, and gives the transcript; again, the same one.

        What leaves doubt is heard again before (`DecoderOptions.hearings`).
        """
        if not self._finished:
            self._finished = True
            if self._group is None:
                self._run()
            else:
                self._group._drain(self)
        if self._result is None:
            self._result = self.decoder.finish()
            if self._tape and (pcm := self._tape.audio(0, self._n_samples)) is not None:
                self._result = hear_again(self.model, pcm, self._result, self.decoder.options)
        return self._result

    def _fill(self) -> int:
        """Makes frames of the audio that waits, as far as there is room; returns how many windows are ready."""
        while self._waiting:
            chunk = self._waiting[0]
            taken = self._channel.feed(chunk)
            if taken < len(chunk):
                self._waiting[0] = chunk[taken:]
                return self._channel.ready
            self._waiting.popleft()
        if self._finished and not self._flushed:
            self._channel.finish()
            self._flushed = True
        return self._channel.ready

    def _run(self) -> None:
        """Steps until no window is left."""
        while ready := self._fill():
            with self.model._runner() as runner:
                runner.advance([self._channel], 1 if self.after_step else min(ready, _core.QUEUE))
            if self.after_step:
                self.after_step()


class Group:
    """Up to 16 streams through one step call, joining and leaving at any step: made by ``Model.group``.

    Each gives the very bits that it would give alone. Streams collect audio by ``feed``; ``step`` runs one step of all
    that have a window ready, ``run`` goes on until none has. ``finish`` of a stream runs the group until that stream is
    through, and frees its place.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._streams: list[Stream] = []

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams that have joined and not left."""
        return tuple(self._streams)

    def stream(self, **options: Any) -> Stream:
        """A new stream in this group; options as for ``Model.stream``.

        Raises
        ------
        StateError
            The group has 16 streams already.
        """
        self._check_room()
        stream = Stream(self.model, self.model.decoder_options(**options), self)
        self._streams.append(stream)
        return stream

    def listen(self, rules: EndpointRules | None = None, **options: Any) -> Listener:
        """A new listener in this group; rules and options as for ``Model.listen``. Raises StateError as ``stream``."""
        from pynna.streaming.listener import Listener

        self._check_room()
        listener = Listener(self.model, self.model.decoder_options(**options), rules or EndpointRules(), self)
        self._streams.append(listener.stream)
        return listener

    def remove(self, stream: Stream) -> None:
        """Takes a stream out without finishing it, as when its connection is lost; it may go on alone.

        Raises
        ------
        ArgumentError
            The stream is not in this group.
        """
        if stream not in self._streams:
            raise ArgumentError("the stream is not in this group")
        self._streams.remove(stream)
        stream._group = None

    def _join(self, decoder: Any, options: DecoderOptions) -> Stream:
        """A stream with a decoder of its own."""
        self._check_room()
        self._streams.append(Stream(self.model, options, self, decoder))
        return self._streams[-1]

    def _check_room(self) -> None:
        if len(self._streams) == _core.MAX_CHANNELS:
            raise StateError(f"the group is full with {_core.MAX_CHANNELS} streams; finish one or open another group")

    def step(self) -> int:
        """One 20 ms step of every stream that has a window ready; returns how many had."""
        ready = [stream for stream in self._streams if stream._fill()]
        if ready:
            with self.model._runner() as runner:
                runner.advance([stream._channel for stream in ready], 1)
        for stream in ready:
            if stream.after_step:
                stream.after_step()
        return len(ready)

    def run(self) -> int:
        """Steps until no stream has a window ready; returns the number of steps."""
        steps = 0
        while self.step():
            steps += 1
        return steps

    def _drain(self, stream: Stream) -> None:
        """Runs the group until a finished stream is through; then it leaves."""
        if stream not in self._streams:
            return
        while stream._fill():
            self.step()
        self._streams.remove(stream)
