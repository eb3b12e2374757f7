# SPDX-License-Identifier: Apache-2.0
"""A worker process: pickled units come in, pickled messages go out; and the program whose children the workers are."""

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
from dataclasses import dataclass
from typing import Any, BinaryIO

from pynna.archive.recogniser import Message, Recogniser, Settings
from pynna.errors import PynnaError
from pynna.model import Model, load


@dataclass(frozen=True)
class Recipe:
    """What a worker makes its model of."""

    model: str
    isa: str
    settings: Settings


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
    """A program: units come on standard input, messages go out on standard output. With numbers of open files as
    arguments, two for each worker, it has children that are the workers."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no message
    serve(0, out, [int(each) for each in sys.argv[1:]])


def serve(source: int, out: int, files: Sequence[int], model: Model | None = None) -> None:
    """Works until its source ends, as it does when the parent is gone.

    Parameters
    ----------
    source, out : int
        Open files: where the recipe comes from, and then the units if there are no children; where messages go, or
        with what codes children end.
    files : sequence of int
        Where units come from and messages go to, two for each child.
    model : Model, optional
        One that is loaded already.
    """
    import soundfile  # noqa: F401 - what reads recordings is there before the first comes, and once for all children

    units, messages = os.fdopen(source, "rb"), _Out(out)
    try:
        recogniser = _recogniser(pickle.load(units), model)
    except EOFError:  # it was started early, and there is nothing to do
        return
    except PynnaError as error:
        for each in [_Out(file) for file in files[1::2]] or [messages]:
            each.tell(error)
        return
    if files:
        _fork(recogniser, files, messages)
    else:
        _work(recogniser, units, messages)


def _recogniser(recipe: Recipe, model: Model | None) -> Recogniser:
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
