# SPDX-License-Identifier: Apache-2.0
"""How smoothly the cluster is drawn without a graphics processor: frames a second, and processor time a frame.

A headless Chromium draws in software (SwiftShader) while the simulated car drives. Frames a second are the page's
animation frames, at most 60; processor time is the operating system's figure (Linux) of the browser's processes, the
one that draws and the page's own, by frame.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from bench.pictures import SIZES, prepare, say
from tests.support.browser import Browser
from tests.support.served import served

VIEWS = ("navigation", "home", "media", "body")
_COUNT = """(() => {
  const real = requestAnimationFrame;
  window.frames_ = [];
  window.requestAnimationFrame = (call) => real((now) => {
    const begun = performance.now();
    call(now);
    frames_.push([now, performance.now() - begun]);
  });
})()"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--size", choices=SIZES, default="wide", help="of the page (wide: 1280 x 480)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each view (5)")


def run(arguments: argparse.Namespace) -> int:
    """Measures each view."""
    rows = asyncio.run(_measure(arguments))
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"{'view':12} {'frames/s':>8} {'95% gap':>8} {'script':>8} {'page':>8} {'drawing':>8}   ms a frame")
    for row in rows:
        print(
            f"{row['view']:12} {row['frames/s']:8.1f} {row['gap 95%, ms']:8.1f} {row['script, ms']:8.2f} "
            f"{row['page, ms']:8.2f} {row['drawing, ms']:8.2f}"
        )
    return 0


async def _measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with served() as (server, url), Browser(Path(profile), size=SIZES[arguments.size]) as browser:
            prepare(server)
            await browser.call("Page.addScriptToEvaluateOnNewDocument", source=_COUNT)
            await browser.open(url)
            await browser.until("document.querySelector('#lost').hidden")
            await say(browser, "set cruise control to sixty")
            for view in VIEWS:
                await browser.ask(f"document.querySelector('#views [data-view={view}]').click()")
                await asyncio.sleep(1.5)
                await browser.ask("frames_.length = 0")
                before = _processor(browser.pid)
                await asyncio.sleep(arguments.seconds)
                frames = await browser.ask("frames_")
                after = _processor(browser.pid)
                rows.append({"view": view, **_row(frames, {kind: after[kind] - before[kind] for kind in before})})
    return rows


def _row(frames: list[list[float]], used: dict[str, float]) -> dict[str, float]:
    gaps = sorted(b[0] - a[0] for a, b in zip(frames, frames[1:], strict=False))
    seconds = (frames[-1][0] - frames[0][0]) / 1000
    n = len(frames)
    return {
        "frames/s": (n - 1) / seconds,
        "gap 95%, ms": gaps[int(0.95 * len(gaps))],
        "script, ms": sum(took for _, took in frames) / n,
        "page, ms": 1000 * used.get("renderer", 0.0) / n,
        "drawing, ms": 1000 * used.get("gpu-process", 0.0) / n,
    }


def _processor(session: int) -> dict[str, float]:
    """Seconds of processor time that a session's processes have used, by Chromium's kinds of them."""
    used: dict[str, float] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session:
            kind = next((word[7:].decode() for word in words if word.startswith(b"--type=")), "browser")
            used[kind] = used.get(kind, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used
