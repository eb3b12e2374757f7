# SPDX-License-Identifier: Apache-2.0
"""The page for one's own sentence file: what it is told, and how it looks in a real browser."""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import numpy as np
import pytest
import soundfile
from support.browser import CHROMIUM, Browser
from support.served import served

import pynna
from pynna.assistant import run, side_process, workbench
from pynna.audio.files import read
from pynna.cli.main import main

MINE = (
    'intents:\n  Louder: {sentences: ["increase the volume", "louder by {n}"]}\nlists: {n: {range: {from: 1, to: 9}}}'
)
OTHER = "intents:\n  Tea: {sentences: [please make me some green tea]}\n"
CLIP = next(path for path in run.demo_recordings() if path.stem == "increase_the_volume")


@pytest.fixture(scope="module")
def bench():
    return workbench.Workbench(pynna.load())


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", ["recording", "file", "pcm"])
def test_a_recording_is_explained(bench, kind):
    pcm = read(CLIP, sample_rate=16000).pcm.astype("<i2").tobytes()
    audio = {"recording": CLIP.stem, "file": encoded(CLIP.read_bytes()), "pcm": encoded(pcm)}[kind]
    told = bench.answer({"sentences": MINE, kind: audio})
    assert told["why"]["accepted"] and told["why"]["intent"] == "Louder" and told["why"]["speech"]
    assert "<svg" in told["picture"] and told["intents"] == ["Louder"]
    assert not bench.answer({"sentences": MINE, kind: audio, "threshold": 1.0})["why"]["accepted"]
    refused = bench.answer({"sentences": OTHER, kind: audio})["why"]
    assert not refused["accepted"] and refused["heard"] == "increase the volume"
    assert refused["reason"].startswith("refused")


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        (MINE, ["Louder"]), ("#JSGF V1.0;\ngrammar g;\npublic <go> = go home;", ["go"]), ("[Go]\ngo home", ["Go"]),
        ("context:\n  expressions:\n    go:\n      - go home\n  slots: {}\n  macros: {}\n", ["go"]),
    ],
)  # fmt: skip
def test_its_kind_is_told_by_what_is_in_it(bench, text, intents):
    assert bench.answer({"sentences": text})["intents"] == intents


def test_a_text_is_parsed(bench):
    assert bench.answer({"sentences": MINE, "text": "Louder by 3!"})["parse"]["slots"] == {"n": 3}
    assert bench.answer({"sentences": MINE, "text": "quieter"})["parse"] is None


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "sentences must be a text"), ({"sentences": "intents: {A: {sentences: ['(a']}}"}, "line:1: "),
        ({"sentences": MINE, "recording": "../manifest"}, "one that ships"),
        ({"sentences": MINE, "pcm": "x"}, "base64"), ({"sentences": MINE, "file": encoded(b"no audio")}, "."),
        ({"sentences": "x" * 70000}, "letters at most"),
        ({"sentences": MINE, "recording": CLIP.stem, "threshold": 2}, "threshold must be"),
        ({"sentences": MINE, "pcm": encoded(bytes(32000 * 21))}, "20 s at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(bench, asked, named):
    with pytest.raises(pynna.PynnaError, match=named):
        bench.answer(asked)


def test_the_server_answers_and_keeps_its_bounds():
    async def scenario():
        async with served(token="a token of some length") as (_, url), aiohttp.ClientSession() as client:
            options = {"headers": {"Authorization": "Bearer a token of some length"}}
            async with client.post(f"{url}try", json={"sentences": MINE}) as answer:
                assert answer.status == 401
            async with client.post(f"{url}try", json={"sentences": MINE}, **options) as answer:
                assert answer.status == 200 and (await answer.json())["intents"] == ["Louder"]
            for body in (b"{", b"[]", b"x" * (workbench.MAX_BODY + 1)):
                async with client.post(f"{url}try", data=body, **options) as answer:
                    assert answer.status == 400 and (await answer.json())["error"]
            async with client.get(f"{url}try/known", **options) as answer:
                assert CLIP.stem in (await answer.json())["recordings"]

    asyncio.run(scenario())


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_in_a_browser(tmp_path):
    speech = tmp_path / "driver.wav"
    pcm = read(CLIP, sample_rate=48000).pcm
    soundfile.write(speech, np.concatenate([np.zeros(24000, np.int16), pcm, np.zeros(96000, np.int16)]), 48000)

    async def scenario():
        async with served() as (_, url), Browser(tmp_path / "profile", (1280, 800), speech) as page:
            await page.open(f"{url}try")
            await page.until("document.body.dataset.asked == '1'")
            assert "2 intents" in await page.ask("document.querySelector('#size').textContent")
            pick = "(e => { e.value = 'increase_the_volume'; e.dispatchEvent(new Event('change')) })"
            await page.ask(f"{pick}(document.querySelector('#known'))")
            await page.until("document.querySelector('#reason').className == 'yes'")
            assert await page.ask("document.querySelectorAll('#bars rect').length") == 20
            paste = (
                "(e => { e.value = 'intents: {Tea: {sentences: [green tea]}}'; e.dispatchEvent(new Event('change')) })"
            )
            await page.ask(f"{paste}(document.querySelector('#sentences'))")
            await page.until("document.body.dataset.asked == '3'")
            await page.ask("document.querySelector('#speak').click()")
            await page.until("document.querySelector('#speak').ariaPressed == 'true'")
            await asyncio.sleep(2.5)
            await page.ask("document.querySelector('#speak').click()")
            await page.until("document.body.dataset.asked == '4'")
            assert await page.ask("document.querySelector('#reason').className") == "no"
            assert "increase the volume" in await page.ask("document.querySelector('#facts').textContent")
            key = "new KeyboardEvent('keydown', {key: 'ArrowRight'})"
            before = float(await page.ask("document.querySelector('#bars circle').getAttribute('aria-valuenow')"))
            await page.ask(f"document.querySelector('#bars circle').dispatchEvent({key})")
            after = float(await page.ask("document.querySelector('#bars circle').getAttribute('aria-valuenow')"))
            assert after == pytest.approx(before + 0.01)
            await page.ask("document.querySelector('#text').value = 'green tea'")
            await page.ask("document.querySelector('#typed').requestSubmit()")
            await page.until("document.querySelector('#reason').textContent == 'Tea'")
            await page.ask("document.querySelector('#drawn').open = true")
            await page.picture(tmp_path / "try.png")
            await page.resize(390, 844)
            assert await page.ask("document.documentElement.scrollWidth <= innerWidth")
            assert page.complaints == []

    asyncio.run(scenario())


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_histogram_of_a_folder_stands_alone(tmp_path):
    folder = tmp_path / "mine" / "<b>"
    folder.mkdir(parents=True)
    for path in run.demo_recordings()[:3]:
        (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "mine.yaml").write_text(MINE)
    page_file = tmp_path / "out.html"
    options = ["why", str(tmp_path / "mine"), "--grammar", str(tmp_path / "mine.yaml"), "--histogram", str(page_file)]
    assert main(options) == 0
    (tmp_path / "empty").mkdir()
    assert main(["why", str(tmp_path / "empty"), "--grammar", "car"]) == 1

    async def scenario():
        async with Browser(tmp_path / "profile", (900, 600)) as page:
            await page.open(page_file.as_uri())
            assert await page.ask("document.querySelectorAll('#rows tr').length") == 3
            assert await page.ask("document.querySelectorAll('#rows .no').length") == 2
            x, y = await page.ask(
                "(r => [r.left + 0.02 * r.width, r.top + 60])"
                "(document.querySelector('#bars svg').getBoundingClientRect())"
            )
            for kind in ("mousePressed", "mouseReleased"):
                await page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
            assert "3 of 3 accepted" in await page.ask("document.querySelector('#bars').textContent")
            assert await page.ask("document.querySelectorAll('#rows .no, b').length") == 0
            await page.picture(tmp_path / "histogram.png")
            assert page.complaints == []

    asyncio.run(scenario())


def test_what_is_asked_is_answered_beside_the_server_and_the_process_ends(monkeypatch, tmp_path):
    """It is no thread, which would keep the interpreter from the steps; killed, it is started again."""
    monkeypatch.setattr(side_process, "IDLE_SECONDS", 0.2)
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the folder it was started in')")
    monkeypatch.chdir(tmp_path)

    async def scenario():
        async with served() as (server, url), aiohttp.ClientSession(url) as client:

            async def tried(sentences):
                async with client.post("/try", json={"sentences": sentences}) as answer:
                    return answer.status, await answer.json()

            side = server.workbench.side
            assert (await tried(MINE))[1]["intents"] == ["Louder"]
            process = side._process
            assert (await tried("intents: ["))[0] == 400 and side._process is process
            await asyncio.wait_for(process.wait(), 20)  # nobody asks
            first = asyncio.create_task(tried(MINE))
            while side._process is process:
                await asyncio.sleep(0.01)
            side._process.kill()
            status, told = await first
            assert status == 503 and "ended" in told["error"]
            assert (await tried(OTHER))[1]["intents"] == ["Tea"]
            last = side._process
        assert last.returncode is not None

    asyncio.run(scenario())
