# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run and print what they promise; how fast anything is, is not tested."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nna_models import random_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def model(cache: Path) -> Path:
    path = cache / "small.nna"
    path.write_bytes(random_file(48))
    return path


def bench(cache: Path, *arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    options = ["--json", "--cache", str(cache)]
    if arguments[0] in ("network", "kernels", "table", "stages"):
        options += ["--seconds", "0.01"]
    command = [sys.executable, "-m", "bench", *map(str, arguments), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_network_measures_every_setting_against_the_limits(cache: Path, model: Path) -> None:
    found = bench(cache, "network", "--nna", model, "--channels", 1, 3, "--steps", 1, 2, "--threads", 1, "--no-peers")
    assert found["limits"]["gb_s"]["1 threads"] > 0
    settings = {(f["setting"]["channels"], f["setting"]["steps"]) for f in found["figures"]}
    assert settings == {(1, 1), (1, 2), (3, 1), (3, 2)}
    assert all(f["ms"] > 0 and f["gmac_s"] > 0 and f["of_limit"] > 0 for f in found["figures"])


def test_weights_of_4_bits_stand_beside_those_of_8(cache: Path) -> None:
    found = bench(
        cache,
        "network",
        "--width",
        32,
        "--bits4",
        "lstm_x,lstm_h",
        "--isa",
        "ref",
        "--channels",
        1,
        "--steps",
        1,
        "--threads",
        1,
        "--no-peers",
    )
    eight, four = found["figures"]
    assert (eight["setting"]["bits"], four["setting"]["bits"]) == (8, 4) and len(found["comparisons"]) == 1


def test_kernels_cover_the_shapes_of_the_network(cache: Path) -> None:
    found = bench(cache, "kernels", "--width", 64, "--channels", 1, "--isa", "ref", "--bits", 8, 4)
    assert {f["bits"] for f in found["figures"]} == {8, 4}
    assert {(f["shape"]["rows"], f["shape"]["columns"]) for f in found["figures"]} == {
        (64, 496),
        (64, 64),
        (256, 64),
        (32, 64),
    }


def test_the_published_table_is_the_published_one(cache: Path, model: Path) -> None:
    rows = bench(cache, "table", "--nna", model, "--threads", 1)["rows"]
    published = [(round(r["ms"], 2), round(r["inferences"]), int(r["channels"])) for r in rows[:2]]
    assert published == [(1.22, 820, 262), (4.9, 204, 65)]
    assert len(rows) == 4


def test_stages_are_timed_by_the_frame(cache: Path, model: Path) -> None:
    found = bench(cache, "stages", ROOT / "pynna/recordings/increase_the_volume.flac", "--nna", model, "--beams", 8)
    assert [stage["name"] for stage in found["stages"]] == ["MFCC", "beam search, 8"]
    assert all(0 < stage["microseconds"] < 20000 for stage in found["stages"])


def test_the_whole_pipeline_stands_beside_the_network_and_its_products(cache: Path) -> None:
    shipped = ROOT / "pynna/models/pynna-en-micro.nna"
    found = bench(cache, "pipeline", "--nna", shipped, "--threads", 1, 2, "--channels", 3)
    one, two = found["rows"]
    assert (one["threads"], two["threads"]) == (1, 2) and len(found["texts"]) == 3
    assert one["pipeline_ms"] > 0 and one["network_ms"] > one["products_ms"] / 2 > 0 and two["products_ms"] is None


def test_searches_are_timed_and_their_texts_compared(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("intents: {Up: {data: [{sentences: [increase the volume]}]}}")
    clip = ROOT / "pynna/recordings/increase_the_volume.flac"
    found = bench(cache, "decoders", clip, "--grammar", tmp_path / "one.yaml", "--beam", 8, "--rounds", 1)
    ours = {s["search"]: s for s in found["searches"]}
    assert {"pynna, greedy", "pynna, grammar", "pynna, beam 8"} <= set(ours)
    assert all(s["seconds_a_frame"] > 0 for s in found["searches"])
    assert ours["pynna, grammar"]["wer"] == ours["pynna, beam 8"]["wer"] == 0


def test_made_up_sentence_files_are_compiled_and_searched(cache: Path) -> None:
    found = bench(cache, "grammars", "--templates", 4, "--values", 20, "--minutes", 0.01, "--rounds", 1)["searches"]
    assert len(found) == 7
    for search in found:
        assert len(search["tenths_seconds_a_frame"]) == 10 and search["seconds_a_frame"] > 0
        assert "no grammar" in search["search"] or 0 < search["bytes"] < 1e6


def test_a_listener_is_watched(cache: Path) -> None:
    found = bench(cache, "listen", "--hours", 0.004, "--intervals", 2, "--growth", 1000)["intervals"]
    assert [interval["hours"] for interval in found] == [0.002, 0.004]
    assert all(interval["seconds_a_step"] > 0 and interval["megabytes"] > 1 for interval in found)


def test_every_command_tells_what_it_takes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.__main__ import COMMANDS, main

    readme = (ROOT / "bench/README.md").read_text()
    for command in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert "--json" in capsys.readouterr().out
        assert f"\n| `{command}` |" in readme


@pytest.mark.parametrize("command", ["network", "table", "kernels"])
def test_what_is_measured_can_be_drawn(cache: Path, model: Path, command: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = {
        "network": ("--nna", model, "--threads", 1, "--no-peers"),
        "table": ("--nna", model, "--threads", 1),
        "kernels": ("--width", 64),
    }[command]
    bench(cache, command, *options, "--plot", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


PEERS = {"pytorch": "torch", "onnxruntime": "onnxruntime onnx", "litert": "ai_edge_litert", "openvino": "openvino onnx"}


def missing(peer: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in PEERS[peer].split())


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_computes_the_same_network(peer: str) -> None:
    if missing(peer):
        pytest.skip(f"{PEERS[peer]} is not installed")
    code = f"""
import json, sys
import numpy as np
from bench import peers
from bench.models import random_arrays
from pynna.mapping.reference import FloatNetwork
arrays = random_arrays(48)
way = peers.Peer({peer!r}, threads=2, channels=3, steps=4)
x, c, h = peers.inputs(way, arrays)
expected, reference = [], FloatNetwork(arrays)
new = c, h
for step in x:
    p, *new = reference.step(step.reshape(3, 19, 26), *new)
    expected.append(p)
apart = {{}}
for form, function in peers.network({peer!r}, arrays).functions(way).items():
    found = [np.asarray(a).reshape(b.shape) for a, b in zip(function(x, c, h), (np.stack(expected), *new))]
    apart[form] = [float(np.abs(a - b).max()) for a, b in zip(found, (np.stack(expected), *new))]
print(json.dumps(apart))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for p, c, h in json.loads(done.stdout.splitlines()[-1]).values():
        assert p < 0.3 and c < 0.05 and h < 0.03  # of 8 and of 16 bits


def test_a_peer_stands_beside_every_way_of_use(cache: Path, model: Path) -> None:
    peer = next((name for name in ("litert", "onnxruntime", "pytorch", "openvino") if not missing(name)), None)
    if not peer:
        pytest.skip("no peer is installed")
    found = bench(cache, "network", "--nna", model, "--channels", 1, 16, "--threads", 1, "--peers", peer)
    assert [(c["channels"], c["steps"]) for c in found["comparisons"]] == [(1, 1), (1, 16), (16, 1), (16, 16)]
    for c in found["comparisons"]:
        assert c["best_peer"] == peer
        assert np.isclose(c["faster"], c["peers"][peer] / c["ms"])
    assert [c["bar"]["faster"] for c in found["comparisons"]] == [1.1, 1.4, 1.25, 1.15]


def test_a_peer_that_is_not_installed_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import peers

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else object())
    names, left_out = peers.installed()
    assert names == ["pytorch", "onnxruntime", "litert"]
    assert left_out == ["OpenVINO, bf16, is left out: openvino not installed (pip install '.[bench]')"]


LOOPS = """
mac:
.L2:
\tldp\tq1, q2, [x0]
\tldr\tw3, [x1], 4
.L3:
\tldp\tq1, q2, [x0]
\tsdot\tv31.4s, v1.16b, v0.4b[0]
\tsdot\tv30.4s, v2.16b, v0.4b[0]
\tsdot\tv29.4s, v1.16b, v4.4b[0]
\tsdot\tv28.4s, v2.16b, v4.4b[0]
\tcmp\tx0, x8
\tbne\t.L3
\tb\t.L2
"""


def test_inner_loops_are_found_in_the_compilers_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import arm

    (body,) = arm._inner_loops(LOOPS.splitlines())
    assert len(body) == 7 and body[-1] == "bne\t.L3"
    assert arm._weights(body) == 32


CROSS_TOOLS = ("aarch64-linux-gnu-gcc", "llvm-mca-19")


@pytest.mark.skipif(not all(map(shutil.which, CROSS_TOOLS)), reason="cross tools are missing")
def test_boards_are_estimated_from_the_inner_loops(cache: Path) -> None:
    found = bench(cache, "arm")
    most = {loop["core"]: loop["macs_a_cycle"] for loop in reversed(found["loops"])}
    assert set(most) == {"Cortex-A53", "Cortex-A55", "Cortex-A72", "Cortex-A76"}
    assert all(1 < most[core] < 64 for core in most)
    assert all(e["channels_batched"] >= e["channels"] > 0 for e in found["estimates"])
    assert len(found["estimates"]) == 8


def test_startup_tells_parts_and_memory_of_fresh_interpreters(cache: Path) -> None:
    found = bench(cache, "startup", "--rounds", 1, "--no-peers")["startup"]
    rows = {row["name"]: row for row in found}
    alone, ours = rows["Python alone"], rows["pynna"]
    assert all(seconds > 0 for seconds in ours["seconds"].values())
    assert alone["peak"] < rows["NumPy alone"]["peak"] < ours["peak"] < 500e6
