# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by its debugging protocol; it needs nothing but aiohttp."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page. `complaints` are the console's errors and the exceptions so far."""

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 480), recording: Path | None = None) -> None:
        self._folder, self._size, self._recording = folder, size, recording
        self._n = 0
        self._process: asyncio.subprocess.Process | None = None
        self.complaints: list[str] = []

    async def __aenter__(self) -> Browser:
        try:
            return await self._start()
        except BaseException:
            self._kill()
            raise

    async def _start(self) -> Browser:
        assert CHROMIUM is not None
        options = [
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._folder}",
            "--no-first-run",
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--hide-scrollbars",
            "--mute-audio",
            "--disable-background-networking",
            "--autoplay-policy=no-user-gesture-required",
        ]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        if self._recording is not None:
            options += [
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={self._recording}%noloop",
            ]
        self._process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *options,
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while b"DevTools listening" not in (line := await self._process.stderr.readline()):
                assert line, "the browser ended"
        self._drain = asyncio.create_task(self._process.stderr.read())
        address = line.split()[-1].decode().split("/")[2]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{address}/json") as answer:
            pages = await answer.json(content_type=None)
        url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self._socket = await self._session.ws_connect(url, max_msg_size=0)
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.resize(*self._size)
        return self

    @property
    def pid(self) -> int:
        """The process, and the session of all its children."""
        assert self._process is not None
        return self._process.pid

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()
        self._kill()
        await self._process.wait()
        self._drain.cancel()

    def _kill(self) -> None:
        """The browser with all its processes; its profile is a test's own."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol."""
        self._n += 1
        await self._socket.send_json({"id": self._n, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                return answer["result"]
            told = answer.get("params", {})
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            elif answer.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
                self.complaints.append(told["entry"]["text"])
            elif answer.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
                self.complaints.append(str(told["args"]))

    async def resize(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def open(self, url: str) -> None:
        """Goes to an address, until its scripts have run."""
        await self.call("Page.navigate", url=url)
        await self.until("location.protocol != 'about:' && document.readyState == 'complete'", 60)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 40.0) -> Any:
        """Waits for an expression to become true."""
        async with asyncio.timeout(seconds):
            while not (value := await self.ask(expression)):
                await asyncio.sleep(0.05)
        return value

    async def picture(self, path: Path | None = None) -> bytes:
        """A screenshot, PNG."""
        data = base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
        if path is not None:
            path.write_bytes(data)
        return data
