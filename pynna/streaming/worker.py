# SPDX-License-Identifier: Apache-2.0
"""A thread that rescores doubtful utterances, so that no network step waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from pynna.decoding.results import Result
from pynna.errors import ArgumentError

AnyResult = TypeVar("AnyResult", bound=Result)

MAX_PENDING = 16
"""Utterances that may wait, unless told otherwise."""


class RescoringWorker:
    """Rescores one utterance after the other; any number of listeners may share it.

    Parameters
    ----------
    max_pending : int
        Utterances that may wait or be under way. Beyond it a result stays as its first pass found it: late answers
        would only grow later.

    Attributes
    ----------
    n_rescored, n_skipped : int
        Utterances that were handed in so far, and that there was no room for.

    Examples
    --------
    >>> import numpy as np, pynna
    >>> with pynna.RescoringWorker() as worker:
    ...     listener = pynna.load().listen(worker=worker)
    ...     events = listener.feed(np.zeros(16000, np.int16))
    >>> events
    []
    """

    def __init__(self, max_pending: int = MAX_PENDING) -> None:
        if isinstance(max_pending, bool) or not isinstance(max_pending, int) or max_pending < 1:
            raise ArgumentError(f"max_pending must be an integer of 1 or more, got {max_pending!r}")
        self.max_pending = max_pending
        self.n_rescored = self.n_skipped = 0
        self._n_pending = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pynna-rescoring")

    @property
    def n_pending(self) -> int:
        """Utterances that wait or are under way."""
        return self._n_pending

    def submit(self, rescore: Callable[[], AnyResult]) -> Future[AnyResult] | None:
        """What `rescore` will give; None where too many wait already."""
        with self._lock:
            if self._n_pending >= self.max_pending:
                self.n_skipped += 1
                return None
            self._n_pending += 1
            self.n_rescored += 1
        future = self._pool.submit(rescore)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[AnyResult]) -> None:
        with self._lock:
            self._n_pending -= 1

    def close(self) -> None:
        """Ends the thread; what waits is dropped, what is under way is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> RescoringWorker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
