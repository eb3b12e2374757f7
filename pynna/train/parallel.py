# SPDX-License-Identifier: Apache-2.0
"""Many calls on several processes, with a progress bar."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm


def run(calls: Sequence[tuple[Callable[..., object], tuple[Any, ...]]], processes: int, title: str) -> None:
    """Make all `calls` (function, arguments), each a shard, on as many processes; what one raises is raised.

    Where that happens, or the command is told to end, the others end too, at once.
    """
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        try:
            pending = [pool.submit(function, *arguments) for function, arguments in calls]
            for done in tqdm(concurrent.futures.as_completed(pending), total=len(pending), desc=title, unit="shard"):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.kill()  # a softer signal would end its call alone, and it would take up the next
            raise
