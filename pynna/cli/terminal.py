# SPDX-License-Identifier: Apache-2.0
"""What is printed: results, JSON, complaints, a progress bar; and the exit codes."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from pynna.decoding import telling
from pynna.decoding.results import Result

to_json = telling.to_json

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes; argparse itself exits with 2."""


def open_closed_streams() -> None:
    """Of a process that was started without standard input, output or error (`>&-`): nothing comes in or goes out."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def drop_output() -> None:
    """Whatever still waits for a standard output that is closed or full: the interpreter would try again at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: BaseException, path: str = "") -> None:
    """One line about an error on standard error, which names the file that it is about."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    else:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if path not in text:
        text = f"{path}: {text}"
    print("pynna:", " ".join(text.splitlines()), file=sys.stderr)


def print_text(before: str, result: Result, words: bool) -> None:
    print(before + result.text + meaning(result))
    if words:
        for word in result.words:
            print(f"{word.start:9.2f} {word.end:9.2f} {word.confidence:6.3f}  {word.text}")
    for i, alternative in enumerate(result.alternatives[1:], 2):
        print(f"{i:9}. {alternative.confidence:6.3f}  {alternative.text}")


def meaning(result: Result) -> str:
    """Intent and slots, if the result has any."""
    return telling.meaning(result.as_dict())


class Progress:
    """A progress bar on standard error: only on a terminal, and only if the work takes more than half a second."""

    _layout = "{{desc}} {{percentage:3.0f}} % |{{bar}}| {{elapsed}} gone, {} to go"

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        layout = self._layout.format("{remaining}")
        hidden = not sys.stderr.isatty()
        tqdm.monitor_interval = 0  # no thread besides
        self._bar = tqdm(total=total, bar_format=layout, delay=0.5, leave=False, dynamic_ncols=True, disable=hidden)
        self.done = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()

    def show(self, name: str | None, done: float, left: float | None = None) -> None:
        """What is being worked on, and how much is done; less than before begins anew. `left` are the seconds to go;
        unless given they follow from what is done."""
        if left is not None:
            self._bar.bar_format = self._layout.format(self._bar.format_interval(left))
        if name is not None:
            self._bar.set_description_str(name[-40:], refresh=False)
        if done < self.done:
            self._bar.reset()
            self.done = 0.0
        self._bar.update(done - self.done)
        self.done = done

    def hide(self) -> None:
        """Before something else is printed."""
        self._bar.clear()
