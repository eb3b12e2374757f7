# SPDX-License-Identifier: Apache-2.0
"""A process beside the server for what would keep the interpreter from the steps: questions as lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

from pynna.errors import CapacityError

IDLE_SECONDS = 60.0
"""After which it ends where nobody asks anything."""

ANSWER_SECONDS = 60.0
"""Within which an answer must come, or it is ended: a sentence file may be large, and the machine slow."""

_LONGEST = 1 << 26  # bytes of an answer: a picture


class SideProcess:
    """Runs a function of pynna's in a Python of its own: it is started when it is first asked, and gets less of the
    machine than the server.

    Parameters
    ----------
    module, function : str
        What reads questions from standard input and writes answers to standard output; see `answer_lines`.
    *arguments : str
        Of the function.
    """

    def __init__(self, module: str, function: str, *arguments: str) -> None:
        # the path as it is here, and not the folder that the server was started in
        code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import {function}; {function}(*sys.argv[1:])"
        self._command = [sys.executable, "-I", "-c", code, *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self._end: asyncio.TimerHandle | None = None

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question; one at a time.

        Raises
        ------
        CapacityError
            The process ended, or took too long.
        """
        if self._end is not None:
            self._end.cancel()
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, limit=_LONGEST
            )
        line = b""
        try:
            with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
                line = await asyncio.wait_for(self._exchange(self._process, question), ANSWER_SECONDS)
        finally:
            if not line.endswith(b"\n"):
                await self.close()
        if not line.endswith(b"\n"):
            raise CapacityError(
                f"an answer must come within {ANSWER_SECONDS:.0f} s; the process that looks for it ended"
            )
        self._end = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._kill)
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    async def _exchange(process: asyncio.subprocess.Process, question: dict[str, Any]) -> bytes:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Ends the process."""
        if self._end is not None:
            self._end.cancel()
        self._kill()
        if self._process is not None:
            await self._process.wait()
        self._process = None


def answer_lines(answer: Any) -> None:
    """Answers questions from standard input until it ends; what happens there never reaches the output unasked."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(15)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        out.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        out.flush()
