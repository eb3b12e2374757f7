# SPDX-License-Identifier: Apache-2.0
"""A worker process: pickled units come on standard input, pickled messages go out on standard output."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from typing import Any, BinaryIO

from pynna.archive.recogniser import Recogniser
from pynna.errors import PynnaError
from pynna.model import load


def main() -> None:
    """Works until standard input ends, as it does when the parent is gone."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    source = sys.stdin.buffer
    try:
        recipe = pickle.load(source)
    except EOFError:  # it was started early, and there is nothing to do
        return

    def tell(message: Any) -> None:
        pickle.dump(message, out)
        out.flush()

    try:
        model = load(recipe.model, threads=1, isa=recipe.isa)
        recogniser = Recogniser(model, recipe.settings, tell)
    except PynnaError as error:
        tell(error)
        return
    threading.Thread(target=_read, args=(source, told), daemon=True).start()
    asked = False
    while True:
        if recogniser.wants and not asked:
            tell("wants")
            asked = True
        if asked and (not told.empty() or not recogniser.busy):
            recogniser.add(told.get())
            asked = False
        recogniser.turn()


def _read(source: BinaryIO, told: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            told.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


if __name__ == "__main__":
    main()
