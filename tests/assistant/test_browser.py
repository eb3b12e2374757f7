# SPDX-License-Identifier: Apache-2.0
"""The cluster in a real browser, with recordings as its microphone."""

from __future__ import annotations

import asyncio
import io
import socket

import numpy as np
import pytest
import soundfile
from support.browser import CHROMIUM, Browser
from support.served import served

from pynna.assistant import run
from pynna.audio.files import read

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

RATE = 48000
OVERLAID = "!!document.querySelector('#volume b')"  # the overlay was shown: it may have gone again


@pytest.fixture
def profile(tmp_path):
    return tmp_path / "profile"


@pytest.fixture
def recording(tmp_path):
    """Three commands with pauses, as a browser's microphone would give them."""
    clips = [read(path, sample_rate=RATE).pcm for path in run.demo_recordings()[:3]]
    pause = np.zeros(RATE * 3 // 2, np.int16)
    path = tmp_path / "driver.wav"
    soundfile.write(path, np.concatenate([pause, *(part for clip in clips for part in (clip, pause))]), RATE)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _connected(browser: Browser) -> None:
    await browser.until("document.querySelector('#lost').hidden")
    await browser.until("document.querySelector('#battery').innerText != '--'")


def _type(text: str) -> str:
    return f"document.querySelector('#command').value = '{text}'; document.querySelector('#typed').requestSubmit()"


def test_three_commands_through_the_browsers_microphone(profile, recording):
    async def scenario():
        async with served() as (server, url), Browser(profile, recording=recording) as browser:
            await browser.open(url)
            await _connected(browser)
            await browser.ask("document.querySelector('#microphone').click()")
            await browser.until("document.body.dataset.intent == 'VolumeUp'")
            await browser.until(OVERLAID)
            assert await browser.ask("document.querySelector('#volume b').innerText") == "50"
            assert server.assistant.car.volume == 50
            assert await browser.ask("document.querySelector('#words').innerText") == "increase the volume"
            await browser.until("document.body.dataset.intent == 'BatteryStatus'")
            await browser.until("document.querySelector('main').dataset.view == 'battery'")
            await browser.until("document.body.dataset.intent == 'NavigationShow'")
            assert await browser.ask("document.querySelector('#reply').innerText") == "Here is the map"
            assert browser.complaints == []

    asyncio.run(scenario())


def test_a_microphone_that_is_clicked_before_the_page_is_connected_is_heard(profile, recording):
    refused = """let n = 0; const Real = WebSocket;
        window.WebSocket = class extends Real { constructor(url) { super(n++ < 4 ? url.replace('/ws', '/no') : url) } };
        window.WebSocket.OPEN = Real.OPEN"""

    async def scenario():
        async with served() as (server, url), Browser(profile, recording=recording) as browser:
            await browser.call("Page.addScriptToEvaluateOnNewDocument", source=refused)
            await browser.open(url)
            await browser.ask("document.querySelector('#microphone').click()")
            assert not server.visited
            await browser.until("document.querySelector('#microphone').ariaPressed == 'true'")
            assert len(server.scheduler.microphones) == 1
            await browser.ask("document.querySelector('#microphone').click()")
            await browser.until("document.querySelector('#microphone').ariaPressed == 'false'")
            assert not server.scheduler.microphones

    asyncio.run(scenario())


def test_everything_can_be_clicked(profile):
    async def scenario():
        async with served() as (server, url), Browser(profile) as browser:
            await browser.open(url)
            await _connected(browser)
            views = await browser.ask("[...document.querySelectorAll('#views button')].map(b => b.dataset.view)")
            assert set(views) >= {"home", "navigation", "media", "climate", "battery", "phone", "body", "settings"}
            for view in views:
                await browser.ask(f"document.querySelector('#views button[data-view={view}]').click()")
                await browser.until(f"document.querySelector('main').dataset.view == '{view}'", 5)
                n = await browser.ask("document.querySelectorAll('main .buttons button').length")
                for i in range(min(n, 30)):  # the view that a button leads to may be another
                    await browser.ask(f"document.querySelectorAll('main .buttons button')[{i}]?.click()")
                    await asyncio.sleep(0.06)
                    await browser.ask(f"document.querySelector('#views button[data-view={view}]').click()")
                    await asyncio.sleep(0.06)
            assert browser.complaints == []
            assert server.metrics.refused.labels("message")._value.get() == 0

    asyncio.run(scenario())


def test_lists_sliders_and_the_drawn_car_act(profile):
    async def scenario():
        async with served() as (server, url), Browser(profile) as browser:
            await browser.open(url)
            await _connected(browser)

            async def use(view: str, script: str, what: str) -> None:
                await browser.ask(f"document.querySelector('#views button[data-view={view}]').click()")
                await browser.until(f"document.querySelector('main').dataset.view == '{view}' && !!({what})")
                await browser.ask(f"(e => {{ {script} }})({what})")

            change = "e.dispatchEvent(new Event('change', {bubbles: true}))"
            await use("media", f"e.value = 70; {change}", "document.querySelector('main input[type=range]')")
            await browser.until(OVERLAID)
            assert server.assistant.car.volume == 70
            place = "document.querySelector('main option[value=\"the museum\"]')"
            await use("navigation", f"e = e.parentNode; e.value = 'the museum'; {change}", place)
            await browser.until("document.querySelector('.guide').innerText.includes('museum')")
            assert server.assistant.car.destination == "the museum"
            window = "[...document.querySelectorAll('.above path')].find(p => p.textContent.startsWith('Rear Left'))"
            await use("body", "e.dispatchEvent(new MouseEvent('click'))", window)
            await browser.until("!!document.querySelector('#telltales [title=\"window open\"]')")
            assert server.assistant.car.windows["rear left"] == 100
            await use("settings", "e.focus(); e.click()", "document.querySelector('main [title=Fahrenheit]')")
            await browser.until("document.querySelector('#outside').innerText == '62.6°'")
            assert await browser.ask("document.activeElement.title") == "Fahrenheit"  # where the keyboard was
            assert browser.complaints == []

    asyncio.run(scenario())


def test_it_connects_again_after_the_server_restarts(profile):
    port = _free_port()

    async def scenario():
        async with Browser(profile) as browser:
            async with served(port) as (_, url):
                await browser.open(url)
                await _connected(browser)
            await browser.until("!document.querySelector('#lost').hidden")
            async with served(port) as (server, _):
                await browser.until("document.querySelector('#lost').hidden")
                await browser.ask(_type("set the volume to twenty"))
                await browser.until(OVERLAID)
                assert server.assistant.car.volume == 20

    asyncio.run(scenario())


@pytest.mark.parametrize("theme", ["day", "night"])
def test_it_is_drawn_at_any_size(profile, theme):
    async def scenario():
        from PIL import Image

        async with served() as (_, url), Browser(profile) as browser:
            await browser.open(url)
            await _connected(browser)
            await browser.ask(_type(f"{theme} mode"))
            await browser.until(f"document.body.className == '{theme}'")
            for width, height in ((1280, 480), (1920, 720), (1280, 720), (390, 844)):
                await browser.resize(width, height)
                await asyncio.sleep(0.5)
                pixels = np.asarray(Image.open(io.BytesIO(await browser.picture())).convert("RGB"))
                assert pixels.shape == (height, width, 3)
                assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
                assert (pixels.mean() > 128) == (theme == "day")
                clipped = await browser.ask(
                    "[...document.querySelectorAll('footer, header, .dial')].filter(e => { const r ="
                    " e.getBoundingClientRect(); return r.right > innerWidth + 1 || r.bottom > innerHeight + 1 })"
                    ".map(e => e.tagName)"
                )
                assert clipped == []
                room = (
                    "document.querySelector('#speech').clientWidth"
                    " / parseFloat(getComputedStyle(document.body).fontSize)"
                )
                assert await browser.ask(room) > 9  # times a letter's height, for what was said
                views = await browser.ask("[...document.querySelectorAll('#views button')].map(b => b.dataset.view)")
                for view in views:
                    await browser.ask(f"document.querySelector('#views button[data-view={view}]').click()")
                    await browser.until(f"document.querySelector('main').dataset.view == '{view}'")
                    main = "document.querySelector('main')"
                    assert await browser.ask(f"{main}.scrollWidth <= {main}.clientWidth + 1")
                    assert (
                        await browser.ask(
                            "[...document.querySelectorAll('.quick button')].filter(b => {"
                            " const r = document.createRange(); r.selectNodeContents(b);"
                            " const text = r.getBoundingClientRect(), box = b.getBoundingClientRect();"
                            " return text.left < box.left + 2 || text.right > box.right - 2 }).map(b => b.title)"
                        )
                        == []
                    )  # labels that do not fit
                await browser.ask("document.querySelector('#views button[data-view=home]').click()")
                await browser.until("document.querySelector('main').dataset.view == 'home'")
            assert browser.complaints == []

    asyncio.run(scenario())


def test_a_finger_can_touch_every_button_of_a_small_board(profile):
    small = """[...document.querySelectorAll('button, select, input')].filter(e => {
        const r = e.getBoundingClientRect();
        return r.width && (r.width < 43.9 || r.height < 43.9) }).map(e => e.outerHTML)"""
    covered = """[...document.querySelectorAll('main button, main select, main input')].filter(e => {
        if (e.closest('.scroll, .contacts')) return false;
        const r = e.getBoundingClientRect(), view = document.querySelector('main').getBoundingClientRect();
        return r.bottom > view.bottom + 1 || r.right > view.right + 1 || r.left < view.left - 1 })
        .map(e => e.outerHTML)"""

    async def scenario():
        async with served() as (_, url), Browser(profile, size=(800, 480)) as browser:
            await browser.open(url)
            await _connected(browser)
            for text in ("take me to the airport", "turn on the wipers", "set cruise control to fifty", "call mom"):
                await browser.ask(_type(text))
                await browser.until(f"document.querySelector('#words').innerText == '{text}'")
            views = await browser.ask("[...document.querySelectorAll('#views button')].map(b => b.dataset.view)")
            for view in views:
                await browser.ask(f"document.querySelector('#views button[data-view={view}]').click()")
                await browser.until(f"document.querySelector('main').dataset.view == '{view}'")
                assert await browser.ask(small) == []
                assert await browser.ask(covered) == []

    asyncio.run(scenario())


def test_the_demonstration_is_understood(profile):
    async def scenario():
        recordings = run.demo_recordings()[:1] * 12  # it ends after the last where no page has come
        async with (
            served(helpers=[lambda server: run.demonstration(server, recordings)]) as (_, url),
            Browser(profile) as browser,
        ):
            await browser.open(url)
            await browser.until("document.body.dataset.intent == 'VolumeUp'")
            await browser.until(OVERLAID)

    asyncio.run(scenario())
