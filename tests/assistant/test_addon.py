# SPDX-License-Identifier: Apache-2.0
"""The add-on's folder and the systemd unit: their own tools find nothing wrong, and what they start serves."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import pynna
from pynna.assistant import supervised
from pynna.cli.main import main

ADDON = supervised.HERE / "addon"
KEYS = set(
    "name version slug description url arch init startup boot stage discovery homeassistant_api ports map options"
    " schema watchdog backup_exclude".split()
)
TYPES = re.compile(r"(str|bool|int|float|email|url|password|port|match\(.*\)|list\(.*\)|device)(\(.*\))?\??")


def load(name: str):
    return yaml.safe_load((ADDON / name).read_text(encoding="utf-8"))


def test_its_configuration_is_one_that_the_supervisor_takes():
    config = load("config.yaml")
    assert set(config) == KEYS  # each is a key that the supervisor knows
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", config["slug"]) and set(config["arch"]) <= {"aarch64", "amd64", "armv7"}
    assert config["startup"] in ("initialize", "system", "services", "application", "once")
    assert config["version"] == metadata.version("pynna") and config["version"] in (ADDON / "Dockerfile").read_text()
    assert set(config["options"]) == set(config["schema"])
    kinds = {"bool": bool, "str": str, "str?": str}
    for name, kind in config["schema"].items():
        assert TYPES.fullmatch(kind[0] if isinstance(kind, list) else kind)
        assert isinstance(config["options"][name], list if isinstance(kind, list) else kinds[kind])
    for language in ("en", "de"):
        told = load(f"translations/{language}.yaml")
        assert set(told["configuration"]) == set(config["schema"]) and set(told["network"]) == set(config["ports"])
        assert all(set(text) == {"name", "description"} for text in told["configuration"].values())


def test_its_icon_is_as_large_as_the_shop_shows_it():
    from PIL import Image

    with Image.open(ADDON / "icon.png") as icon:
        assert icon.format == "PNG" and icon.size == (128, 128)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_its_dockerfile_is_clean():
    subprocess.run(["hadolint", ADDON / "Dockerfile"], check=True)


def test_its_options_become_a_command():
    assert supervised.arguments({})[2:] == ["--home-assistant", "http://supervisor/core/websocket"]
    options = {"names": False, "sentences": ["/config/a.yaml", " "], "wake_words": ["hey"], "model": "/share/x.nna"}
    found = ["--grammar=/config/a.yaml", "--wake-word=hey", "--model=/share/x.nna"]
    assert supervised.arguments(options)[2:] == found


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("[1]", "must hold a JSON object, got list"),
        ('{"names": "no"}', "names must be true or false, got 'no'"),
        ('{"sentences": "car"}', "sentences must be a list of texts, got 'car'"),
        ('{"wake_words": ["hey", 1]}', r"wake_words must be a list of texts, got \['hey', 1\]"),
        ('{"model": "a\\u0000b"}', "model must be a text, got"),
    ],
)
def test_options_that_are_none_are_told(written, told, tmp_path, caplog):
    options = tmp_path / "options.json"
    options.write_text(written)
    with pytest.raises(pynna.errors.ArgumentError, match=told):
        supervised.read_options(options)
    assert supervised.main(str(options)) == 2 and "options.json" in caplog.text
    assert supervised.read_options(tmp_path / "none.json") == {}


def test_the_supervisor_is_told_and_the_server_answers(tmp_path, monkeypatch):
    from wyoming.client import AsyncTcpClient
    from wyoming.info import Describe

    told: list[tuple[str | None, dict]] = []

    class Supervisor(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()
            ready.set()

        def log_message(self, *_):
            pass

    ready, server = threading.Event(), HTTPServer(("127.0.0.1", 0), Supervisor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = tmp_path / "options.json"
    options.write_text('{"names": false, "sentences": ["car"]}')
    code = (
        "import pynna.assistant.supervised as s, socket; p = socket.socket(); p.bind(('127.0.0.1', 0));"
        "s.PORT = p.getsockname()[1]; p.close();"
        f"raise SystemExit(s.main({str(options)!r}, 'http://127.0.0.1:{server.server_port}'))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "SUPERVISOR_TOKEN": "secret"}, cwd=tmp_path
    )
    try:
        assert ready.wait(60)
        ((authorization, message),) = told
        assert authorization == "Bearer secret" and message["service"] == "wyoming"
        port = int(message["config"]["uri"].rpartition(":")[2])

        async def ask():
            async with AsyncTcpClient("127.0.0.1", port) as client:
                await client.write_event(Describe().event())
                return (await client.read_event()).type

        assert asyncio.run(ask()) == "info"
    finally:
        process.terminate()
        assert process.wait(30) is not None
        server.shutdown()


def test_the_folder_is_written(tmp_path, capsys):
    assert main(["serve", "--write-addon", str(tmp_path / "addons/pynna")]) == 0
    names = {str(path.relative_to(tmp_path / "addons/pynna")) for path in (tmp_path / "addons").rglob("*.*")}
    assert {"config.yaml", "DOCS.md", "icon.png", "translations/en.yaml"} <= names
    assert main(["serve", "--write-addon", str(tmp_path / "addons/pynna")]) == 1
    assert "not there yet or empty" in capsys.readouterr().err


def test_the_unit_is_one_that_systemd_takes(tmp_path, capsys):
    grammar = tmp_path / "my home 100%.yaml"
    grammar.write_text(Path(pynna.CAR_GRAMMAR).read_text())
    assert main(["serve", "--print-unit", "--grammar", str(grammar), "--zeroconf"]) == 0
    unit = capsys.readouterr().out
    assert "--zeroconf" in unit and "100%%.yaml'" in unit and "{" not in unit
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "pynna.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / "pynna.service"], capture_output=True, text=True)
    assert done.returncode == 0 and "pynna.service" not in done.stderr, done.stderr
