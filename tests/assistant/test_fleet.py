# SPDX-License-Identifier: Apache-2.0
"""A server at its limit, watched by load balancers, and stopped: all are told, and nobody is cut off in a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.served import served, until
from support.wyoming_client import connected, next_event, say
from wyoming.asr import Transcribe, TranscriptStart
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient
from wyoming.error import Error

import pynna
from pynna.assistant import capacity, run
from pynna.assistant import health as health_module
from pynna.assistant.scheduler import BusyError, Scheduler
from pynna.audio.files import read
from pynna.cli.main import main

FRAME = 640


def pcm_of(name: str) -> bytes:
    return read(next(path for path in run.demo_recordings() if path.stem == name)).pcm.tobytes()


def samples(text: str) -> dict[str, float]:
    """All samples by name and labels, as Prometheus' own parser reads them."""
    return {
        sample.name + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# ---- at the limit ---------------------------------------------------------------------------------------------------


def test_a_microphone_too_many_is_told_before_the_upgrade_and_health_is_answered():
    async def scenario():
        async with served(channels=2) as (_, url), aiohttp.ClientSession(url) as client:
            async with client.get("/readyz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, "ready")
            sockets = [await client.ws_connect("/ws?microphone=1") for _ in range(2)]
            for socket in sockets:
                assert (await until(socket, "microphone"))["on"]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect("/ws?microphone=1")
            assert refused.value.status == 503
            async with client.get("/ws?microphone=1") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                assert answer.content_type == "application/json"
                told = await answer.json()
                assert (told["status"], told["microphones"], told["limit"]) == ("full", 2, 2)
                assert "all 2 microphones are taken" in told["error"]
            async with client.ws_connect("/ws") as page:  # a page may look on, and its click is told
                await page.send_json({"type": "microphone", "on": True})
                error = await until(page, "error")
                assert (error["reason"], error["retry_after"]) == ("full", 5)
            async with client.get("/healthz") as answer:
                assert answer.status == 200
            async with client.get("/readyz") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            async with client.get("/metrics") as answer:
                assert answer.status == 200
                found = samples(await answer.text())
                assert (found["pynna_ready"], found["pynna_channels"], found["pynna_channels_limit"]) == (0, 2, 2)
                assert found["pynna_refused_total{reason=full}"] == 3
            await sockets[0].close()
            async with asyncio.timeout(5):
                while True:
                    async with client.get("/readyz") as answer:
                        if answer.status == 200:
                            break
            async with client.ws_connect("/ws?microphone=1") as socket:
                assert (await until(socket, "microphone"))["on"]

    asyncio.run(scenario())


def test_an_overloaded_machine_takes_nobody_in_until_it_keeps_up_again(model: pynna.Model, car: pynna.Grammar):
    scheduler = Scheduler(model, channels=4)
    scheduler.open_microphone("first", lambda *_: None, car)
    scheduler._turns.extend([(0.021, 1)] * 100)
    with pytest.raises(BusyError, match=r"a second of audio takes 1\.05 s") as refused:
        scheduler.open_microphone("second", lambda *_: None, car)
    assert refused.value.reason == "overloaded"
    scheduler._turns.extend([(0.064, 16)] * 100)  # a recording that is caught up with is no overload
    assert scheduler.load == pytest.approx(0.2) and scheduler.refusal() is None
    scheduler._late.extend([True] * 51)
    assert scheduler.refusal() is not None
    scheduler._late.extend([False] * 100)
    scheduler.open_microphone("second", lambda *_: None, car)
    assert (
        samples(health_module.generate_latest(scheduler.metrics.registry).decode())[
            "pynna_refused_total{reason=overloaded}"
        ]
        == 1
    )
    scheduler.worker.close()


def test_wyoming_tells_who_is_too_many_and_closes():
    async def scenario():
        async with connected(channels=1) as first:
            await first.write_event(Transcribe(language="en").event())
            await first.write_event(AudioStart(rate=16000, width=2, channels=1).event())
            assert TranscriptStart.is_type((await next_event(first)).type)
            async with AsyncTcpClient(first.host, first.port) as second:
                await second.write_event(AudioStart(rate=16000, width=2, channels=1).event())
                error = Error.from_event(await next_event(second))
                assert error.code == "full"
                assert "all 1 microphones are taken" in error.text and "again after 5 s" in error.text
                assert await asyncio.wait_for(second.read_event(), 10) is None
            events = await say(first, run.demo_recordings()[0])  # who was in goes on
            assert any(event.type == "transcript" for event in events)
            async with AsyncTcpClient(first.host, first.port) as third:
                assert any(event.type == "transcript" for event in await say(third, run.demo_recordings()[0]))

    asyncio.run(scenario())


# ---- what is told ---------------------------------------------------------------------------------------------------


def test_metrics_are_prometheus_and_tell_what_was_done():
    async def scenario():
        async with (
            served() as (_, url),
            aiohttp.ClientSession(url) as client,
            client.ws_connect("/ws?microphone=1") as page,
        ):
            speech = pcm_of("increase_the_volume") + bytes(32000)
            for at in range(0, len(speech), FRAME):
                await page.send_bytes(speech[at : at + FRAME])
            await until(page, "done", 60)
            async with client.get("/metrics") as answer:
                assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                found = samples(await answer.text())
        model = pynna.load()
        assert found["pynna_utterances_total{accepted=true}"] == 1
        assert found["pynna_utterances_total{accepted=false}"] == 0
        assert found["pynna_steps_total"] == found["pynna_step_seconds_count"] > 50
        assert found["pynna_step_seconds_bucket{le=+Inf}"] == found["pynna_steps_total"]
        assert found["pynna_load"] > 0 and found["pynna_rescoring_pending"] == 0
        about = f"{{isa={model.isa}}}{{name={model.name}}}{{sha256={model.fingerprint}}}"
        assert found[f"pynna_model_info{about}"] == 1
        assert any(name.startswith("pynna_build_info") and pynna.__version__ in name for name in found)
        if sys.platform == "linux":
            assert found["process_resident_memory_bytes"] > 10e6 and found["process_cpu_seconds_total"] > 0
        for name in (
            "pynna_late_steps_total",
            "pynna_rescored_total",
            "pynna_rescoring_skipped_total",
            "pynna_draining",
        ):
            assert name in found

    asyncio.run(scenario())


def test_health_needs_no_token_and_metrics_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pynna.assistant.server.GUESS_SECONDS", 0.0)

    async def scenario():
        async with served(token="sixteen characters") as (_, url), aiohttp.ClientSession(url) as client:
            for path, status in {"/healthz": 200, "/readyz": 200, "/metrics": 401, "/ws?microphone=1": 401}.items():
                async with client.get(path) as answer:
                    assert answer.status == status
            async with client.get("/metrics", headers={"Authorization": "Bearer sixteen characters"}) as answer:
                assert answer.status == 200

    asyncio.run(scenario())


# ---- stopped --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of its own, and what it says first."""
    command = [sys.executable, "-m", "pynna", *arguments]
    installed = Path(pynna.__file__).parents[1]  # not the tree that the tests lie in: it may hold no extension
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=installed) as server:
        try:
            assert server.stdout is not None
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_at_sigterm_a_sentence_is_ended_and_others_are_sent_away():
    speech = pcm_of("increase_the_volume")

    async def scenario(server: subprocess.Popen[str], url: str) -> None:
        async with aiohttp.ClientSession(url) as client:
            speaker, silent = [await client.ws_connect("/ws?microphone=1") for _ in range(2)]
            half = len(speech) // 2 // FRAME * FRAME
            for at in range(0, half, FRAME):
                await speaker.send_bytes(speech[at : at + FRAME])
            while not (await until(speaker, "words", 60))["text"]:
                pass
            server.send_signal(signal.SIGTERM)
            assert (await until(silent, "error", 60))["reason"] == "draining"
            assert (await silent.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
            assert silent.close_code == 1001
            async with client.get("/readyz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "draining")
            async with client.get("/healthz") as answer:
                assert answer.status == 200
            async with client.get("/ws") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "draining")
            for at in range(half, len(speech), FRAME):
                await speaker.send_bytes(speech[at : at + FRAME])
            for _ in range(50):
                await speaker.send_bytes(bytes(FRAME))
            assert (await until(speaker, "done", 60))["intent"] == "VolumeUp"
            assert (await until(speaker, "error", 60))["reason"] == "draining"

    with process("assistant", "--no-browser", "--port", "0", "--drain", "120") as (server, url):
        asyncio.run(scenario(server, url))
        assert server.wait(60) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_who_goes_on_speaking_does_not_hold_a_server_up():
    async def scenario(server: subprocess.Popen[str], url: str) -> None:
        async with aiohttp.ClientSession(url) as client, client.ws_connect("/ws?microphone=1") as speaker:
            speech = pcm_of("increase_the_volume")
            for at in range(0, len(speech) // 2, FRAME):
                await speaker.send_bytes(speech[at : at + FRAME])
            while not (await until(speaker, "words", 60))["text"]:
                pass
            server.send_signal(signal.SIGTERM)  # and then says nothing more: no sample comes
            begun = time.monotonic()
            assert await asyncio.to_thread(server.wait, 60) == 0
            assert time.monotonic() - begun > 0.9

    with process("assistant", "--no-browser", "--port", "0", "--drain", "1") as (server, url):
        asyncio.run(scenario(server, url))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_wyoming_answers_what_it_was_asked_and_ends():
    async def scenario(server: subprocess.Popen[str], port: int, metrics: str) -> None:
        async with AsyncTcpClient("127.0.0.1", port) as client, AsyncTcpClient("127.0.0.1", port) as idle:
            await idle.write_event(Transcribe(language="en").event())
            await client.write_event(AudioStart(rate=16000, width=2, channels=1).event())
            assert TranscriptStart.is_type((await next_event(client)).type)
            server.send_signal(signal.SIGTERM)
            while await asyncio.to_thread(status, metrics.replace("/metrics", "/readyz")) != 503:
                await asyncio.sleep(0.05)
            assert await asyncio.to_thread(status, metrics.replace("/metrics", "/healthz")) == 200
            async with AsyncTcpClient("127.0.0.1", port) as late:
                await late.write_event(AudioStart(rate=16000, width=2, channels=1).event())
                assert Error.from_event(await next_event(late)).code == "draining"
            speech = pcm_of("increase_the_volume")
            for at in range(0, len(speech), 3200):
                chunk = AudioChunk(rate=16000, width=2, channels=1, audio=speech[at : at + 3200])
                await client.write_event(chunk.event())
            await client.write_event(pynna_audio_stop())
            while (event := await asyncio.wait_for(client.read_event(), 60)).type != "transcript":
                pass
            assert event.data["text"] == "increase the volume"
            error = await asyncio.wait_for(idle.read_event(), 60)
            assert error is not None and Error.from_event(error).code == "draining"

    with free_port() as port:
        uri = f"tcp://127.0.0.1:{port}"
    arguments = ("serve", "--wyoming", uri, "--grammar", "car", "--metrics", "127.0.0.1:0", "--drain", "60")
    with process(*arguments) as (server, told):
        assert told == uri and server.stdout is not None
        metrics = server.stdout.readline().strip()
        with urllib.request.urlopen(metrics, timeout=30) as answer:
            found = samples(answer.read().decode())
        assert (found["pynna_channels_limit"], found["pynna_ready"]) == (32, 1)
        asyncio.run(scenario(server, port, metrics))
        assert server.wait(60) == 0


def pynna_audio_stop() -> Any:
    from wyoming.audio import AudioStop

    return AudioStop().event()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        assert json.loads(error.read())["retry_after"] == 5
        return error.code


# ---- how many -------------------------------------------------------------------------------------------------------


def test_the_search_finds_the_most_that_are_in_time(monkeypatch: pytest.MonkeyPatch):
    """The processes are another test's; here they are a machine that serves 100 a server."""
    tried: list[int] = []

    class Machine:
        def __init__(self, processes: int, model: str | None, grammar: str) -> None:
            self.processes = processes

        def measure(self, microphones: int, seconds: float) -> capacity.Measured:
            tried.append(microphones)
            return capacity.Measured(microphones, 1.0 if microphones <= 100 * self.processes else 0.9, (0, 0, 0), 0.5)

        def close(self) -> None:
            tried.append(0)

    monkeypatch.setattr(capacity, "Servers", Machine)
    assert capacity.search(processes=2) == 2 * 100
    assert tried[:4] == [32, 64, 128, 256] and tried[-1] == 0


def test_it_is_measured_by_processes_that_listen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(capacity, "MOST", 2)
    monkeypatch.setattr(capacity, "FIRST", 2)
    monkeypatch.setattr(capacity, "IN_TIME", 0.0)
    assert main(["serve", "--measure", "--seconds", "2", "--processes", "1"]) == 0
    out = capsys.readouterr().out
    assert "microphones   in time" in out and "2 microphones on this machine, 2 a server" in out
    row = next(line.split() for line in out.splitlines() if line.split()[:1] == ["2"])
    assert 0 < float(row[2]) <= float(row[3]) <= float(row[4]) and float(row[5]) > 0


def test_addresses_of_metrics():
    assert health_module.host_and_port("127.0.0.1:9100") == ("127.0.0.1", 9100)
    assert health_module.host_and_port("[::1]:0") == ("::1", 0)
    assert health_module.host_and_port(":80") == ("0.0.0.0", 80)
    for wrong in ("9100", "a:b", "a:70000", ""):
        with pytest.raises(pynna.ArgumentError, match="HOST:PORT"):
            health_module.host_and_port(wrong)
