# SPDX-License-Identifier: Apache-2.0
"""``pynna listen`` on a terminal: the level, what is understood so far, the utterance, and what it nearly was."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.audio.files import read
from pynna.cli.live import BARS, Live, bar

CLIP = Path(pynna.__file__).parent / "recordings/increase_the_volume.flac"


def shown(*options: str, columns: int = 80, **variables: str) -> str:
    """What a terminal is sent while a recording is piped in."""
    pcm = np.concatenate([read(CLIP, sample_rate=16000).pcm, np.zeros(24000, np.int16)]).astype("<i2").tobytes()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        [sys.executable, "-m", "pynna", "listen", *options, "-"],
        stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.DEVNULL, env=environment, cwd=Path(__file__).parent,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stdin is not None
        process.stdin.write(pcm)
        process.stdin.close()
        parts = []
        with contextlib.suppress(OSError):  # the other end of a pseudo-terminal is closed
            while part := os.read(ours, 4096):
                parts.append(part)
    os.close(ours)
    assert process.returncode == 0
    return b"".join(parts).decode()


def lines(text: str) -> list[str]:
    """The lines that stay: what was overdrawn is gone."""
    kept = [line.rstrip("\r").rpartition("\r\x1b[K")[2] for line in text.split("\n")]
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in kept]


def test_a_terminal_shows_level_partial_final_and_what_it_nearly_took():
    text = shown("--grammar", "car")
    first, *rest, last = lines(text)
    assert re.fullmatch(r"increase the volume  \[VolumeUp, [01]\.\d\d\]", first) and last == ""
    assert rest and all(re.fullmatch(r"   nearly  .+  \([01]\.\d\d\)", line) for line in rest)
    drawn = [re.sub(r"\x1b\[[\d;]*[mK]", "", part).rstrip() for part in text.split("\r")]
    assert any(part.startswith("● ") and set(part[2:14]) & set(BARS[3:]) for part in drawn)  # the level
    assert any(part.endswith("  increase the") for part in drawn)  # so far


def test_without_colours_and_in_a_narrow_terminal():
    text = shown(columns=24, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*m", text) and lines(text)[0].startswith("increase the volume  (")
    drawn = [part.partition("\n")[0] for part in text.split("\r\x1b[K")]
    assert all(len(part.rstrip("\r")) <= 24 for part in drawn if part.startswith(("●", "○")))


def test_a_terminal_that_cannot_be_drawn_on_gets_plain_lines():
    assert shown(TERM="dumb").replace("\r", "") == "increase the volume\n"


@pytest.mark.parametrize(("amplitude", "height"), [(0, 0), (20, 0), (32767, 8), (1000, 5), (300, 3)])
def test_the_level_is_as_high_as_the_sound_is_loud(amplitude, height):
    assert bar(np.full(320, amplitude, "<i2").tobytes()) == BARS[height]
    assert bar(b"") == BARS[0]


def test_a_refused_sentence_is_told():
    model = pynna.load()
    out = io.StringIO()
    live = Live(out, all_texts=True)
    grammar = pynna.Grammar.from_sentences(["make me a cup of tea"])
    for event in model.listen(grammar=grammar).listen([read(CLIP, sample_rate=16000).pcm, np.zeros(24000, np.int16)]):
        live.tell(event)
    live.close()
    assert "(not accepted, " in out.getvalue()
