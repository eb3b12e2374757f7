# SPDX-License-Identifier: Apache-2.0
"""System calls that fail once each, in commands and in a server; `python -m tests.fuzz.failing` tries them all."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.fuzz.failing import built  # noqa: E402

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="preloading as Linux does it"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def preloaded(tmp_path: Path, *command: str) -> str:
    """What a Python says whose calls may be made to fail."""
    env = {**os.environ, "LD_PRELOAD": str(built(tmp_path)), "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    told = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", *command], env=env, capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.mark.parametrize(("job", "every"), [("small", 36), ("lm", 18), ("state", 12)])
def test_a_call_that_fails_is_told(tmp_path: Path, job: str, every: int) -> None:
    told = preloaded(tmp_path, "-m", "tests.fuzz.failing", job, "--every", str(every))
    assert int(told.split()[1]) > 5 and told.endswith(" 0 went wrong\n"), told


SERVER = """
    import asyncio, http.client, socket, sys, threading
    import pynna
    from pynna.assistant import run
    from pynna.assistant.server import Server
    from tests.fuzz.failing import shim
    from tests.fuzz.frames import UPGRADE, frame

    here, ready, loops = shim(), threading.Event(), []

    async def serve():
        loops[:] = [asyncio.get_running_loop()]
        await run.serve(Server(pynna.load()), "127.0.0.1", 0, ready=told)

    def told(url):
        loops.append(url)
        ready.set()

    def in_server(call, *arguments):
        done, got = threading.Event(), []
        loops[0].call_soon_threadsafe(lambda: (got.append(call(*arguments)), done.set()))
        assert done.wait(20), "the server hangs"
        return got[0]

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    assert ready.wait(60)
    host = loops[1].removeprefix("http://").rstrip("/")
    name, _, port = host.rpartition(":")

    def visit(seconds):
        client = http.client.HTTPConnection(name, int(port), timeout=seconds)
        client.request("GET", "/health")
        assert client.getresponse().read().startswith(b"{")
        client.close()
        with socket.create_connection((name, int(port)), seconds) as page:
            page.sendall(UPGRADE.format(host=host, more="").encode())
            page.sendall(frame(1, b'{"type": "command", "text": "increase the volume"}'))
            got = b""
            while b'"VolumeUp"' not in got:
                more = page.recv(65536)
                assert more, "the server has closed"
                got += more

    visit(20)
    kinds, n, count = [int(each) for each in sys.argv[1:]], 0, 0
    while True:
        in_server(here.fail_call, n, kinds[n % len(kinds)])
        try:
            visit(2)
        except (OSError, AssertionError, http.client.HTTPException):
            pass
        failed = in_server(here.fail_over)
        visit(20)
        if not failed or n > 60:
            break
        n, count = n + 3, count + 1
    print(count, "calls failed")
"""


def test_a_server_goes_on_after_a_call_that_fails(tmp_path: Path) -> None:
    kinds = (errno.EIO, errno.EMFILE, errno.EINTR, errno.ECONNRESET, 0)
    told = preloaded(tmp_path, "-c", textwrap.dedent(SERVER), *map(str, kinds))
    assert int(told.split()[0]) >= 5
