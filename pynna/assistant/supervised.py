# SPDX-License-Identifier: Apache-2.0
"""The Wyoming server in an add-on of Home Assistant: its options become a command, and the supervisor is told of it."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pynna.errors import ArgumentError
from pynna.saving import whole_file

PORT = 10300
OPTIONS = "/data/options.json"
SUPERVISOR = "http://supervisor"
HERE = Path(__file__).parent

_log = logging.getLogger("pynna.supervised")


_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "names": (bool, "true or false"),
    "sentences": (list, "a list of texts"),
    "wake_words": (list, "a list of texts"),
    "model": ((str, type(None)), "a text"),
}
"""What each of the add-on's options must be."""


def read_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An add-on's options, as the supervisor writes them; none where there is no such file.

    Raises
    ------
    ArgumentError
        It is no JSON object, or an option in it is of another kind than the add-on tells the supervisor.
    OSError
        The file cannot be read.
    """
    if not Path(path).exists():
        return {}
    try:
        options = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{path} must be JSON: {error}") from None
    if not isinstance(options, dict):
        raise ArgumentError(f"{path} must hold a JSON object, got {type(options).__name__}")
    for name, (kind, told) in _KINDS.items():
        value = options.get(name)
        if name in options and not (isinstance(value, kind) and _are_texts(value)):
            raise ArgumentError(f"{path}: {name} must be {told}, got {value!r:.100}")
    return options


def _are_texts(value: object) -> bool:
    """Whether a text, and each in a list, is one that a command can take."""
    texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return all(isinstance(text, str) and text.isprintable() for text in texts)


def arguments(options: Mapping[str, Any], supervisor: str = SUPERVISOR) -> list[str]:
    """An add-on's options, of `read_options`, as those of ``pynna serve``; empty ones are left out."""
    found = ["--wyoming", f"tcp://0.0.0.0:{PORT}"]
    if options.get("names", True):
        found += ["--home-assistant", f"{supervisor}/core/websocket"]
    for name, option in (("sentences", "--grammar"), ("wake_words", "--wake-word")):
        found += [f"{option}={value}" for value in options.get(name, ()) if value.strip()]
    if options.get("model"):
        found.append(f"--model={options['model']}")
    return found


def announce(token: str, supervisor: str = SUPERVISOR) -> None:
    """Tells the supervisor where the server is, so that Home Assistant offers to add it; failing is no harm."""
    told = {"service": "wyoming", "config": {"uri": f"tcp://{socket.gethostname()}:{PORT}"}}
    request = urllib.request.Request(
        f"{supervisor}/discovery", json.dumps(told).encode(), method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=30):
            _log.info("Home Assistant knows of this server")
    except (OSError, ValueError) as error:
        _log.warning("the supervisor cannot be told of this server: %s", error)


def main(options: str = OPTIONS, supervisor: str = SUPERVISOR) -> int:
    """Runs ``pynna serve`` with the add-on's options until it ends, or a signal comes; its exit code: 2 where they are
    none."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        asked = read_options(options)
    except (ArgumentError, OSError) as error:
        _log.error("%s", error)
        return 2
    command = [sys.executable, "-m", "pynna", "serve", *arguments(asked, supervisor)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    assert process.stdout is not None
    if process.stdout.readline().startswith("tcp://") and (token := os.environ.get("SUPERVISOR_TOKEN")):
        announce(token, supervisor)
    return process.wait()


def unit(options: Sequence[str]) -> str:
    """A systemd unit that serves with these options."""
    program = shutil.which("pynna", path=str(Path(sys.executable).parent))
    command = [program] if program else [sys.executable, "-m", "pynna"]
    text = (HERE / "pynna.service").read_text(encoding="utf-8")
    quoted = " ".join(shlex.quote(word).replace("%", "%%") for word in (*command, "serve", *options))
    return text.replace("{command}", quoted)


def write_addon(folder: str | os.PathLike[str]) -> None:
    """Copies the add-on's folder, as Home Assistant takes it from ``/addons``.

    Raises
    ------
    ArgumentError
        The folder is there already, with something in it.
    """
    to = Path(folder)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ArgumentError(f"--write-addon needs a folder that is not there yet or empty, got {to}")
    shutil.copytree(HERE / "addon", to, dirs_exist_ok=True, copy_function=_copy)


def _copy(source: str, to: str) -> None:
    with whole_file(to, "wb") as out:
        out.write(Path(source).read_bytes())


if __name__ == "__main__":
    raise SystemExit(main())
