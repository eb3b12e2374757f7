# SPDX-License-Identifier: Apache-2.0
"""Archives on a real cluster: three Ray nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import pynna

os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")  # a loaded machine is no failure; read by the import
os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'pynna[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils")
from pynna.archive.ray import _blocks, _Found, _results, _told_when_quiet, _write_block  # noqa: E402
from pynna.ray import Report, Transcriber, transcribe_archive  # noqa: E402

RECORDINGS = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
OPTIONS: dict[str, Any] = {"beam_width": 0, "passes": 1}
"""Fast."""

STORE = 80 << 20
"""Bytes of a node's object store, about the least that Ray takes."""


class Slow(Transcriber):
    """A second a block at least, so that a node has something under way when it is killed; and a recording of the name
    "ends.wav" ends its process."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        if any("ends.wav" in str(path) for path in batch["path"]):
            os._exit(1)
        time.sleep(1.0)
        return super().__call__(batch)


def node() -> dict[str, Any]:
    """A node's options. Its agents' ports are given: then it does not wait for them, which may take too long."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    open_ones = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: each.getsockname()[1] for name, each in zip(names, open_ones, strict=True)}
    for each in open_ones:
        each.close()
    return {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, **ports}


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """None but the calls' own: a failed task's actor is in a cycle of references, and has a processor."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def path() -> Iterator[None]:
    """This package, and this file, are found by the actors."""
    before = os.environ.get("PYTHONPATH")
    roots = [Path(pynna.__file__).parents[1], Path(__file__).parent]
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, roots), *filter(None, [before])])
    yield
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def alone_here(path: None) -> Iterator[None]:
    """A Ray of one node with one processor."""
    ray.init(
        address="local", num_cpus=1, object_store_memory=STORE, include_dashboard=False, log_to_driver=False,
        logging_level="error",
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture
def cluster(path: None) -> Iterator[Any]:
    """A head and two nodes, a processor each."""
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=node())
    made.more = [made.add_node(**node()) for _ in range(2)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen recordings in two folders, one that is none, and a silent one."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "inner").mkdir()
    for i, path in enumerate(RECORDINGS):
        shutil.copy(path, folder / ("inner" if i % 2 else ".") / path.name)
    (folder / "bad.wav").write_bytes(b"bad")
    soundfile.write(folder / "silent.wav", np.zeros(8000, np.int16), 16000)
    return folder


def rows(output: Path) -> list[tuple[Any, ...]]:
    """Of all Parquet files, sorted."""
    from pyarrow import parquet

    found = [row for path in output.glob("*.parquet") for row in parquet.read_table(path).to_pylist()]
    return sorted((row["path"], row["start"], row["end"], row["text"], row["confidence"]) for row in found)


def alone(model: pynna.Model, archive: Path) -> list[tuple[Any, ...]]:
    """The same by this process."""
    want = []
    for each in pynna.transcribe_files([archive], model, **OPTIONS):
        kept = [(s["start"], s["end"], s["text"], s["confidence"]) for s in each.segments]
        want += [(each.path, *row) for row in kept or [(0.0, each.seconds, "", 0.0)]]
    return sorted(want)


def test_a_node_that_is_killed_leaves_the_output_whole(
    model: pynna.Model, cluster: Any, archive: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not (found := len(list(tmp_path.glob("out/*.parquet")))):
            time.sleep(0.02)
        cluster.remove_node(cluster.more.pop(), allow_graceful=False)
        killed.append(found)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with no_collector():
        report = transcribe_archive([archive], tmp_path / "out", actor=Slow, **OPTIONS)
    killer.join()
    assert killed and killed[0] < 6, "the node must be killed in the middle"
    for _ in range(600):  # the work may be over before Ray believes that the node is gone
        if (n_alive := sum(node["Alive"] for node in ray.nodes())) == 2:
            break
        time.sleep(0.1)
    assert n_alive == 2
    assert report.n_done == len(RECORDINGS) + 1 and list(report.failed) == [str(archive / "bad.wav")]
    assert "silence" in report.notes[str(archive / "silent.wav")]
    assert rows(tmp_path / "out") == alone(model, archive)
    behind_it(tmp_path)


def behind_it(folder: Path) -> None:
    """On what is left of the cluster, a recording that ends its process."""
    (folder / "in").mkdir()
    for name in ("a.flac", "ends.wav"):
        shutil.copy(RECORDINGS[0], folder / "in" / name)
    with no_collector():
        report = transcribe_archive([folder / "in"], folder / "behind", actor=Slow, **OPTIONS)
    assert report == Report(1, {str(folder / "in" / "ends.wav"): "the process that worked on it ended"}, {})


def test_a_recording_that_ends_its_process_is_told_and_resumed(alone_here: None, tmp_path: Path) -> None:
    for name in ("a.flac", "ends.wav", "z.flac"):
        shutil.copy(RECORDINGS[0], tmp_path / name)
    with no_collector():
        report = transcribe_archive([tmp_path], tmp_path / "out", actor=Slow, **OPTIONS)
    assert report == Report(2, {str(tmp_path / "ends.wav"): "the process that worked on it ended"}, {})
    before = rows(tmp_path / "out")
    with pytest.raises(pynna.ArgumentError, match="2 recordings are in it"):
        transcribe_archive([tmp_path], tmp_path / "out")
    again = transcribe_archive([tmp_path], tmp_path / "out", resume=True, **OPTIONS)
    assert again == Report(1, {}, {}) and len(rows(tmp_path / "out")) == len(before) * 3 // 2


def test_the_command_gives_what_jobs_give(archive: Path, tmp_path: Path, path: None) -> None:
    def command(*options: str) -> subprocess.CompletedProcess[str]:
        fast = ["--beam", "0", "--passes", "1", "-o", str(tmp_path / options[0])]
        command = [sys.executable, "-m", "pynna", "transcribe", *options, str(archive), *fast]
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    by_ray, by_jobs = command("--ray", "--jobs", "2"), command("--jobs", "2", "--format", "jsonl")
    bad = f"{archive / 'bad.wav'}: "
    assert by_ray.returncode == by_jobs.returncode == 1
    assert bad in by_ray.stderr and bad in by_jobs.stderr
    want = []
    for each in (tmp_path / "--jobs").glob("*.jsonl"):
        segments = [json.loads(line) for line in each.read_text("utf-8").splitlines()]
        want += [(each.stem, row["start"], row["end"], row["text"], row["confidence"]) for row in segments]
    found = [(Path(row[0]).stem, *row[1:]) for row in rows(tmp_path / "--ray") if row[3]]
    assert found and sorted(found) == sorted(row for row in want if row[3])


def test_long_quiet_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()

    def state() -> str:
        told.set()
        return "1 of 2 nodes are up"

    with caplog.at_level(logging.WARNING), _told_when_quiet(lambda: 3, state, 0.01):
        assert told.wait(30)
    assert "no block of recordings for 0 s; 1 of 2 nodes are up" in caplog.text
    growing = iter(range(1_000_000))
    caplog.clear()
    with caplog.at_level(logging.WARNING), _told_when_quiet(lambda: next(growing), state, 0.001):
        time.sleep(0.05)
    assert not caplog.text


def test_batches_of_bytes_and_of_paths_give_the_same() -> None:
    transcriber = Transcriber(**OPTIONS)
    paths = np.array([str(path) for path in RECORDINGS[:2]], object)
    read = transcriber({"path": paths})
    given = transcriber({"path": paths, "bytes": np.array([path.read_bytes() for path in RECORDINGS[:2]], object)})
    assert all(np.array_equal(read[name], given[name]) for name in read) and list(read["path"]) == list(paths)


def test_blocks_are_about_as_large_as_each_other() -> None:
    sizes = {f"{i}.wav": int(size) for i, size in enumerate(np.random.default_rng(0).lognormal(13, 1, 64))}
    blocks = _blocks(sizes, 2)
    assert sorted(path for block in blocks for path in block) == sorted(sizes) and len(blocks) == 8
    loads = [sum(sizes[path] for path in block) for block in blocks]
    assert max(loads) < 1.75 * min(loads)
    assert len(_blocks({"a": 0}, 8)) == 1 and len(_blocks(dict.fromkeys(map(str, range(9999)), 1 << 30), 2)) == 200


def test_a_block_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    def columns(text: str) -> dict[str, Any]:
        (row,) = _Found({0: [{"start": 0.0, "end": 1.0, "text": text, "confidence": 0.5}]}, 1.0).rows("a.wav")
        return {name: np.array([value]) for name, value in row._asdict().items()}

    write = parquet.write_table

    def half(table: Any, path: str, **named: Any) -> None:
        write(table, path, **named)
        os.truncate(path, os.path.getsize(path) // 2)
        raise OSError("no space is left")

    output = str(tmp_path / "out")
    _write_block(output, "b-0.parquet", columns("first"))
    monkeypatch.setattr(parquet, "write_table", half)
    for name in ("b-0.parquet", "b-1.parquet"):
        with pytest.raises(OSError, match="no space"):
            _write_block(output, name, columns("half"))
    assert [row[3] for row in rows(tmp_path / "out")] == ["first"] and len(_results(output)) == 1
    monkeypatch.undo()
    _write_block(output, "b-0.parquet", columns("again"))  # as a block that is done twice
    assert [row[3] for row in rows(tmp_path / "out")] == ["again"] and _results(output) == {"a.wav": ("", "")}


def test_a_recording_without_speech_has_a_row() -> None:
    (row,) = _Found(seconds=3.0).rows("a.wav")
    assert (row.text, row.end, row.error) == ("", 3.0, "")
