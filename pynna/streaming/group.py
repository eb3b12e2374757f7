# SPDX-License-Identifier: Apache-2.0
"""Groups: up to 16 streams and listeners through one step call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from pynna.decoding.options import (
    AnyOptions,
    BeamSearchOptions,
    DecoderOptions,
    GrammarSearchOptions,
    GreedyOptions,
)
from pynna.decoding.results import GrammarResult, Result
from pynna.errors import StateError
from pynna.network import Network
from pynna.streaming.channel import Batch
from pynna.streaming.endpointer import EndpointRules
from pynna.streaming.listener import Listener
from pynna.streaming.stream import Stream
from pynna.streaming.worker import RescoringWorker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pynna.grammar import Grammar


Member: TypeAlias = Stream[Any] | Listener[Any]


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
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._batch)

    def __reduce__(self) -> tuple[Any, ...]:
        raise StateError("a group cannot be pickled or copied: save its streams, and begin a new one")

    @property
    def streams(self) -> tuple[Member, ...]:
        """The streams and listeners that have joined and not left."""
        self._members = [member for member in self._members if member.channel in self._batch]
        return tuple(self._members)

    @overload
    def stream(self, *, grammar: Grammar, **options: Unpack[GrammarSearchOptions]) -> Stream[GrammarResult]: ...

    @overload
    def stream(self, *, grammar: None = None, **options: Unpack[GreedyOptions]) -> Stream[Result]: ...

    @overload
    def stream(self, *, grammar: None = None, **options: Unpack[BeamSearchOptions]) -> Stream[Result]: ...

    def stream(self, **options: Unpack[AnyOptions]) -> Stream[Result]:
        """A new stream in this group; options as for ``Model.stream``.

        Raises
        ------
        CapacityError
            The group has 16 streams already.
        """
        self._batch.check_room()
        stream: Stream[Result] = Stream(self.network, self._options(**options), self._batch)
        self._members = [*self.streams, stream]
        return stream

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: Grammar,
        **options: Unpack[GrammarSearchOptions],
    ) -> Listener[GrammarResult]: ...

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: None = None,
        **options: Unpack[GreedyOptions],
    ) -> Listener[Result]: ...

    @overload
    def listen(
        self,
        rules: EndpointRules | None = None,
        worker: RescoringWorker | None = None,
        *,
        grammar: None = None,
        **options: Unpack[BeamSearchOptions],
    ) -> Listener[Result]: ...

    def listen(
        self, rules: EndpointRules | None = None, worker: RescoringWorker | None = None, **options: Unpack[AnyOptions]
    ) -> Listener[Result]:
        """A new listener in this group; arguments as for ``Model.listen``. Raises CapacityError as ``stream``."""
        self._batch.check_room()
        listener: Listener[Result] = Listener(
            self.network, self._options(**options), rules or EndpointRules(), self._batch, worker
        )
        self._members = [*self.streams, listener]
        return listener

    def restore_stream(self, data: bytes, **options: Unpack[AnyOptions]) -> Stream[Any]:
        """As ``Model.restore_stream``, in this group. Raises CapacityError as ``stream``."""
        self._batch.check_room()
        stream: Stream[Any] = Stream.restored(self.network, data, self._options(**options), self._batch)
        self._members = [*self.streams, stream]
        return stream

    def restore_listener(
        self, data: bytes, worker: RescoringWorker | None = None, **options: Unpack[AnyOptions]
    ) -> Listener[Any]:
        """As ``Model.restore_listener``, in this group. Raises CapacityError as ``stream``."""
        self._batch.check_room()
        listener: Listener[Any] = Listener.restored(self.network, data, self._options(**options), self._batch, worker)
        self._members = [*self.streams, listener]
        return listener

    def remove(self, member: Member) -> None:
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
