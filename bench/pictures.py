# SPDX-License-Identifier: Apache-2.0
"""Pictures of the cluster: those of the README, or every view at every size to be looked at.

The page is drawn by a headless Chromium; the drive is the same each time.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from pathlib import Path

import pynna.assistant
from pynna.assistant.car import VIEWS
from pynna.assistant.server import Server
from tests.support.browser import Browser
from tests.support.served import served

SIZES = {"wide": (1280, 480), "large": (1920, 720), "board": (800, 480), "tall": (390, 844)}
THEMES = ("night", "day")
README = {
    "night": ("wide", "night", "navigation", "increase the volume"),
    "day": ("large", "day", "media", "play some jazz"),
    "board-night": ("board", "night", "battery", "check battery levels"),
    "board-day": ("board", "day", "home", "turn on the fog lights"),
    "tall-night": ("tall", "night", "climate", "set the temperature to twenty one degrees"),
    "tall-day": ("tall", "day", "navigation", "zoom out"),
}
"""A picture's name: the size, the theme, the view, and what is said last."""

_BEFORE = (
    "take me to the airport",
    "turn on the headlights",
    "set cruise control to seventy",
    "set the volume to forty",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path(pynna.assistant.__file__).parent / "pictures",
        help="where they are written (the README's)",
    )
    parser.add_argument("--all", action="store_true", help="every view at every size, by day and by night")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="with --all: only these")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS), help="with --all: only these")


def run(arguments: argparse.Namespace) -> int:
    """Draws them."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    wanted = README
    if arguments.all:
        wanted = {
            f"{size}-{theme}-{view}": (size, theme, view, "")
            for size, theme, view in itertools.product(arguments.sizes, THEMES, arguments.views)
        }
    asyncio.run(_draw(wanted, arguments.folder))
    return 0


async def _draw(wanted: dict[str, tuple[str, str, str, str]], folder: Path) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with served() as (server, url), Browser(Path(profile)) as browser:
            prepare(server)
            await browser.open(url)
            await browser.until("document.querySelector('#lost').hidden")
            for name, (size, theme, view, said) in wanted.items():
                await browser.resize(*SIZES[size])
                await say(browser, f"{theme} mode")
                if view == "camera":
                    await say(browser, "show the rear camera")
                else:
                    await browser.ask(f"document.querySelector('#views [data-view={view}]').click()")
                await asyncio.sleep(1.0)  # until the needles stand
                await say(browser, said)
                await browser.until(f"document.querySelector('main').dataset.view == '{view}'")
                await asyncio.sleep(0.2)
                await browser.picture(folder / f"{name}.png")
            assert not browser.complaints, browser.complaints


def prepare(server: Server) -> None:
    """Half a minute of the same drive."""
    for text in _BEFORE:
        assert server.assistant.read(text).understood, text
    for _ in range(300):
        server.assistant.tick(0.1)


async def say(browser: Browser, text: str) -> None:
    """Types a command, until it is answered."""
    if text:
        await browser.ask(
            f"document.querySelector('#command').value = {text!r}; document.querySelector('#typed').requestSubmit()"
        )
        await browser.until(f"document.querySelector('#words').textContent == {text!r}")
