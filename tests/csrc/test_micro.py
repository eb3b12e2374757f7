# SPDX-License-Identifier: Apache-2.0
"""The core as firmware gets it: one file, its example here and on QEMU's Cortex-M boards, the package's bits."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from support.nna_models import load_random, noise

import pynna
from pynna.audio.files import load_audio

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "csrc" / "firmware"
RECORDING = ROOT / "pynna" / "recordings" / "increase_the_volume.flac"
FLAGS = ["-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-tree-loop-distribute-patterns"]
BOARDS = {"mps2-an386": "dsp", "mps2-an500": "dsp", "mps3-an547": "mve"}
has_boards = shutil.which("arm-none-eabi-gcc") is not None and shutil.which("qemu-system-arm") is not None
on_boards = pytest.mark.skipif(not has_boards, reason="needs gcc-arm-none-eabi and qemu-system-arm")


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pynna_micro.c and pynna_micro.h."""
    build = tmp_path_factory.mktemp("micro")
    subprocess.run(["make", "-s", "-C", ROOT / "csrc", f"BUILD={build}", "firmware"], check=True)
    return build / "micro"


def undefined(object_file: Path, nm: str) -> set[str]:
    told = subprocess.run([nm, "-u", object_file], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in told.splitlines()} - {"_GLOBAL_OFFSET_TABLE_"}


def flash(model: pynna.Model, pcm: np.ndarray, folder: Path) -> Path:
    """What the example has in flash."""
    folder.mkdir(parents=True)
    sentences = (FIRMWARE / "commands.txt").read_text().splitlines()
    (folder / "model.nna").write_bytes(Path(model.path).read_bytes())
    (folder / "grammar.bin").write_bytes(pynna.Grammar.from_sentences(sentences).graph(model.labels).to_bytes())
    (folder / "pcm.bin").write_bytes(pcm.astype("<i2").tobytes())
    return folder


def run(micro: Path, board: str, data: Path, flags: str = "") -> dict[str, str]:
    """What the example tells on a board."""
    build = data.parent / f"{board}{len(flags)}"
    build.mkdir()
    (build / "micro").symlink_to(micro)
    arguments = [f"BUILD={build}", f"BOARD={board}", f"DATA={data}", f"CFLAGS={flags}"]
    told = subprocess.run(
        ["make", "-s", "-C", FIRMWARE, *arguments, "run"], capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout + told.stderr  # QEMU's console by semihosting is stderr
    return {word: rest.lstrip() for word, rest in re.findall(r"^(\w[\w-]*):? (.*)$", lines, re.MULTILINE)}


def hash_of(log_probs: np.ndarray) -> str:
    value = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(log_probs).tobytes():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"0x{value:x}"


def test_the_one_file_needs_nothing_but_memcpy_and_memset_and_offers_the_interface_alone(
    micro: Path, tmp_path: Path
) -> None:
    out = tmp_path / "micro.o"
    command = ["cc", *FLAGS, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", micro / "pynna_micro.c", "-o", out]
    subprocess.run(command, check=True)
    assert undefined(out, "nm") <= {"memcpy", "memset"}
    told = subprocess.run(["nm", "--defined-only", out], check=True, capture_output=True, text=True).stdout
    functions = [line.split()[2] for line in told.splitlines() if line.split()[1] == "T"]
    assert functions and all(name.startswith("pynna_") for name in functions), functions


def test_the_example_hears_on_this_machine_what_the_package_hears(micro: Path, tmp_path: Path) -> None:
    model, pcm = pynna.load(), load_audio(RECORDING).pcm
    told = run(micro, "host", flash(model, pcm, tmp_path / "data"))
    assert told["letters"] == told["sentence"] == "increase the volume"
    assert told["log-probabilities"] == hash_of(model.log_probs(pcm))
    assert int(told["bytes"]) < 300_000


def test_an_example_that_hears_something_else_tells_another_hash(micro: Path, tmp_path: Path) -> None:
    model, pcm = pynna.load(), load_audio(RECORDING).pcm
    changed = pcm.copy()
    changed[5000] += 100
    told = run(micro, "host", flash(model, changed, tmp_path / "data"))
    assert told["log-probabilities"] != hash_of(model.log_probs(pcm))


def test_beside_it_lies_what_build_systems_ask_for(micro: Path) -> None:
    properties = dict(line.split("=", 1) for line in (micro / "library.properties").read_text().splitlines())
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"} <= set(properties)
    assert properties["version"] == re.search(r'return "([\d.]+)";', (micro / "pynna_micro.c").read_text())[1]
    assert f'version: "{properties["version"]}"' in (micro / "idf_component.yml").read_text()
    assert "idf_component_register(SRCS" in (micro / "CMakeLists.txt").read_text()
    module = (micro / "zephyr/module.yml").read_text()
    named = re.findall(r"^  (?:cmake|kconfig): (\S+)$", module, re.MULTILINE)
    assert len(named) == 2 and all((micro / name).exists() for name in named)
    assert (micro / "examples/Hear/Hear.ino").exists()


@pytest.fixture(scope="module")
def library(micro: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FFI, Any]:
    """The one file as a shared library."""
    header = (micro / "pynna_micro.h").read_text()
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    header = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*$", "", header, flags=re.MULTILINE)
    ffi, out = FFI(), tmp_path_factory.mktemp("so") / "libmicro.so"
    ffi.cdef(header)
    subprocess.run(["cc", *FLAGS, "-shared", "-fPIC", micro / "pynna_micro.c", "-o", out], check=True)
    return ffi, ffi.dlopen(str(out))


@pytest.mark.parametrize("with_grammar", [False, True])
@pytest.mark.parametrize("width", [32, 320])
def test_memory_is_what_the_function_tells_and_the_macro_bounds(
    library: tuple[FFI, Any], allocate: Callable[[int], Any], tmp_path: Path, width: int, with_grammar: bool
) -> None:
    ffi, lib = library
    model = load_random(tmp_path, width, upper_hz=8000.0)
    file, graph = Path(model.path).read_bytes(), pynna.Grammar.from_sentences(["call home"]).graph(model.labels)
    in_place, block = allocate(len(file)), allocate(graph.n_bytes)
    ffi.memmove(in_place, file, len(file))
    ffi.memmove(block, graph.to_bytes(), graph.n_bytes)
    config = ffi.new("pynna_micro_config *", {"model": in_place, "model_bytes": len(file)})
    bound = 56000 + 5 * width + 6 * width  # the macros of the header
    if with_grammar:
        config.grammar, config.grammar_bytes, config.noise_cost = block, graph.n_bytes, 6.0
        bound += 8 * graph.n_states + 4 * graph.n_arcs + 880 * 128 + 4096
    size = lib.pynna_micro_size(config)
    assert 0.8 * bound < size <= bound
    memory, out = allocate(size), ffi.new("pynna_micro **")
    assert lib.pynna_micro_init(memory, size - 1, config, out) == 2  # PYNNA_ERR_MEMORY
    assert lib.pynna_micro_init(memory, size, config, out) == 0
    damaged = bytearray(file)
    damaged[len(file) // 2] ^= 1
    ffi.memmove(in_place, bytes(damaged), len(file))
    assert lib.pynna_micro_init(memory, size, config, out) == 20  # PYNNA_ERR_FILE_CHECKSUM


@on_boards
@pytest.mark.parametrize("board", BOARDS)
def test_boards_give_the_bits_of_this_machine(micro: Path, tmp_path: Path, board: str) -> None:
    pcm = (noise(0.4, seed=5) * 8000).astype(np.int16)
    model = load_random(
        tmp_path, 52, cell=37, bits4=("layer_2", "lstm_x", "lstm_h"), seed=3
    )  # widths that fill no block
    data = flash(model, pcm, tmp_path / "data")
    want = hash_of(model.log_probs(pcm))
    told = run(micro, board, data)
    assert (told["isa"], told["log-probabilities"]) == (BOARDS[board], want)
    reference = run(micro, board, data, "-DISA='\"ref\"'")
    assert (reference["isa"], reference["log-probabilities"]) == ("ref", want)
    assert reference["letters"] == told["letters"] == run(micro, "host", data)["letters"]


@on_boards
def test_a_board_hears_a_command(micro: Path, tmp_path: Path) -> None:
    """The fastest one with the whole model; the others' kernels are held to the same bits above, by a narrow one."""
    board = "mps3-an547"
    model, pcm = pynna.load(), load_audio(RECORDING).pcm
    told = run(micro, board, flash(model, pcm, tmp_path / "data"))
    assert told["letters"] == told["sentence"] == "increase the volume"
    assert told["log-probabilities"] == hash_of(model.log_probs(pcm))
    assert int(told["bytes"]) < 300_000
    assert int(told["step"]) < 3_500_000  # instructions


@on_boards
@pytest.mark.parametrize("board", BOARDS)
def test_the_library_is_small_and_allocates_and_prints_nothing(micro: Path, tmp_path: Path, board: str) -> None:
    core = {
        "mps2-an386": ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"],
        "mps2-an500": ["-mcpu=cortex-m7", "-mfpu=fpv5-d16"],
        "mps3-an547": ["-mcpu=cortex-m55"],
    }[board]
    out = tmp_path / "micro.o"
    flags = [*FLAGS, *core, "-mfloat-abi=hard", "-mthumb", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["arm-none-eabi-gcc", *flags, "-c", micro / "pynna_micro.c", "-o", out], check=True)
    assert {name for name in undefined(out, "arm-none-eabi-nm") if not name.startswith("__aeabi_")} == {
        "memcpy",
        "memset",
    }
    told = subprocess.run(["arm-none-eabi-size", out], check=True, capture_output=True, text=True).stdout.split()
    text, data, bss = (int(n) for n in told[6:9])
    assert text < 64 * 1024
    assert data + bss == 0
