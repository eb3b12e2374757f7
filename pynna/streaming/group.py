"""Groups: up to 16 streams and listeners through one step call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynna.decoding.options import DecoderOptions
from pynna.network import Network
from pynna.streaming.channel import Batch
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream


class Group:
    """Up to 16 streams through one step call, joining and leaving at any step: made by ``Model.group``.

    Each gives the very bits that it would give alone. Streams collect audio by ``feed``; ``step`` runs one step of all
    that have a window ready, ``run`` goes on until none has. ``finish`` of a stream runs the group until that stream is
    through, and frees its place.
    """

    def __init__(self, network: Network, options: Callable[..., DecoderOptions]) -> None:
        self.network = network
        self._options = options
        self._batch = Batch(network)
        self._members: list[Stream | Listener] = []

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def streams(self) -> tuple[Stream | Listener, ...]:
        """The streams and listeners that have joined and not left."""
        self._members = [member for member in self._members if member.channel in self._batch]
        return tuple(self._members)

    def stream(self, **options: Any) -> Stream:
        """A new stream in this group; options as for ``Model.stream``.

        Raises
        ------
        StateError
            The group has 16 streams already.
        """
        self._batch.check_room()
        stream = Stream(self.network, self._options(**options), self._batch)
        self._members = [*self.streams, stream]
        return stream

    def listen(self, rules: EndpointRules | None = None, **options: Any) -> Listener:
        """A new listener in this group; rules and options as for ``Model.listen``. Raises StateError as ``stream``."""
        self._batch.check_room()
        listener = Listener(self.network, self._options(**options), rules or EndpointRules(), self._batch)
        self._members = [*self.streams, listener]
        return listener

    def remove(self, member: Stream | Listener) -> None:
        """Takes a stream or a listener out without finishing it, as when its connection is lost; it may go on alone.

        Raises
        ------
        ArgumentError
            It is not in this group.
        """
        self._batch.check_member(member.channel)
        member.channel.leave()

    def step(self) -> int:
        """One 20 ms step of every stream that has a window ready; returns how many had."""
        return self._batch.step()

    def run(self) -> int:
        """Steps until no stream has a window ready; returns the number of steps."""
        return self._batch.run()
