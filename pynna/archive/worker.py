# SPDX-License-Identifier: Apache-2.0
"""A worker process: pickled units come on standard input, pickled messages go out on standard output.

With numbers of open files as arguments, two for each worker, it is the program whose children the workers are.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, BinaryIO

import soundfile  # noqa: F401 - what reads recordings is there before the first comes

from pynna.archive.jobs import Early, Recipe
from pynna.archive.recogniser import Message, Recogniser
from pynna.errors import PynnaError
from pynna.model import load


class _Out:
    """Where messages go."""

    def __init__(self, file: int) -> None:
        self.file = os.fdopen(file, "wb")

    def tell(self, message: Any) -> None:
        """A message, at once."""
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, or has had enough; the reader ends the process
            pickle.dump(message, self.file)
            self.file.flush()


def main() -> None:
    """Works until standard input ends, as it does when the parent is gone."""
    files = [int(each) for each in sys.argv[1:]]
    out = _Out(os.dup(1))
    os.dup2(2, 1)  # what a library prints is no message
    try:
        recogniser = _recogniser(sys.stdin.buffer)
    except PynnaError as error:
        for each in [_Out(file) for file in files[1::2]] or [out]:
            each.tell(error)
        return
    if recogniser is None:  # it was started early, and there is nothing to do
        return
    if files:
        _fork(recogniser, files, out)
    else:
        _work(recogniser, sys.stdin.buffer, out)


def _recogniser(source: BinaryIO) -> Recogniser | None:
    """What the recipe asks for; None if there is none."""
    model = None
    try:
        while not isinstance(recipe := pickle.load(source), Recipe):
            assert isinstance(recipe, Early)
            with contextlib.suppress(PynnaError):  # which the one who asks is told, too
                model = load(recipe.model, threads=1)
    except EOFError:
        return None
    if model is None or (str(model.path.resolve()), model.isa) != (recipe.model, recipe.isa):
        model = load(recipe.model, threads=1, isa=recipe.isa)
    recogniser = Recogniser(model, recipe.settings, _nobody)
    recogniser.prepare()
    return recogniser


def _nobody(message: Message) -> None:
    raise AssertionError(f"nobody is told {message}")


def _fork(recogniser: Recogniser, files: Sequence[int], codes: _Out) -> None:
    """A child for each pair of files; tells with what code each ends."""
    gc.collect()
    gc.freeze()  # the collector writes to no page that is shared
    children: dict[int, int] = {}
    for i in range(len(files) // 2):
        if child := os.fork():
            children[child] = i
            continue
        try:
            mine = files[2 * i], files[2 * i + 1]
            for file in {*files, codes.file.fileno()} - {*mine}:
                os.close(file)
            _work(recogniser, os.fdopen(mine[0], "rb"), _Out(mine[1]))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for file in files:
        os.close(file)  # so that a child's end is the end of its files
    while children:
        child, status = os.wait()
        codes.tell((children.pop(child), os.waitstatus_to_exitcode(status)))


def _work(recogniser: Recogniser, source: BinaryIO, out: _Out) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    recogniser.tell = out.tell
    threading.Thread(target=_read, args=(source, told), daemon=True).start()
    asked = False
    while True:
        if recogniser.wants and not asked:
            out.tell("wants")
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
