# SPDX-License-Identifier: Apache-2.0
"""libpynna and the driver that times it, built from csrc/ and reached through cffi."""

from __future__ import annotations

import hashlib
import mmap
import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from bench import ROOT
from pynna.mapping.nna import packed_lines
from pynna.mapping.nna_model import INPUT_OF

CSRC = ROOT / "csrc"
HUGE_PAGE = 2 << 20  # bytes; of x86-64, and of ARM with pages of 4 KB
DRIVER = Path(__file__).with_name("driver.c")
LAYERS = ("layer_1", "layer_2", "layer_3", "lstm_x", "lstm_h", "layer_5", "layer_6")

Array = NDArray[Any]


class CoreError(RuntimeError):
    """A call of the C core failed; the message names the status."""


def default_cache() -> Path:
    """Where libraries and networks are kept from one run to the next."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pynna-bench"


def _declarations(source: str) -> str:
    """A C header as cffi takes it: without preprocessor lines and what only C++ sees."""
    source = re.sub(r"#ifdef __cplusplus.*?#endif", "", source, flags=re.DOTALL)
    return re.sub(r"^\s*#.*$", "", source, flags=re.MULTILINE)


def _driver_declarations() -> str:
    """The driver's functions and structs; it has no header of its own."""
    source = DRIVER.read_text()
    structs = re.findall(r"^typedef struct bench_\w+ \{.*?^\} \w+;", source, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(?:int|double) bench_\w+\([^)]*\)", source, re.MULTILINE)
    return "\n".join([*structs, *(f"{declaration};" for declaration in found)])


def _run(command: list[str]) -> None:
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise CoreError(f"{' '.join(command)} failed:\n{made.stdout}{made.stderr}")


def build(cache: Path) -> Path:
    """Folder with libpynna.so and driver.so of the sources as they are now; built where it is not there yet."""
    sources = sorted([*CSRC.glob("*.[ch]"), CSRC / "Makefile", CSRC / "pynna.map", DRIVER])
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = cache / f"core-{digest}"
    if not (folder / "driver.so").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(["make", "-C", str(CSRC), f"BUILD={folder}", f"-j{os.cpu_count() or 1}", f"{folder}/libpynna.so"])
        # Written under another name first: a half-built one must not look finished.
        half = folder / f"driver.{os.getpid()}.so"
        wide = ["-march=native"] if platform.machine() == "x86_64" else []  # ARM's vectors are there without it
        _run(
            [
                os.environ.get("CC", "cc"),
                "-O3",
                *wide,
                "-fPIC",
                "-shared",
                "-pthread",
                "-std=gnu11",
                "-Wall",
                "-Wextra",
                "-Werror",
                f"-I{CSRC}",
                str(DRIVER),
                f"{folder}/libpynna.so",
                f"-Wl,-rpath,{folder}",
                "-o",
                str(half),
            ]
        )
        half.replace(folder / "driver.so")
    return folder


class Core:
    """The two libraries: `lib` is libpynna, `driver` what times it."""

    def __init__(self, cache: Path | None = None) -> None:
        folder = build((cache or default_cache()).expanduser().absolute())
        self.ffi = FFI()
        self.ffi.cdef(_declarations((CSRC / "pynna.h").read_text()))
        self.ffi.cdef(_driver_declarations())
        self.lib: Any = self.ffi.dlopen(str(folder / "libpynna.so"))
        self.driver: Any = self.ffi.dlopen(str(folder / "driver.so"))

    def allocate(self, size: int) -> Any:
        """`size` zeros in huge pages where the system has them, as the package takes its memory; they live as long as
        the returned char[]."""
        block = mmap.mmap(-1, size + HUGE_PAGE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            block.madvise(mmap.MADV_HUGEPAGE)
        offset = -np.frombuffer(block, np.uint8).ctypes.data % HUGE_PAGE
        return self.ffi.from_buffer("char[]", memoryview(block)[offset : offset + size], require_writable=True)

    def check(self, status: int) -> None:
        """Raises CoreError for a status other than PYNNA_OK."""
        if status != self.lib.PYNNA_OK:
            raise CoreError(
                f"{self.text(self.lib.pynna_status_name(status))}: {self.text(self.lib.pynna_status_text(status))}"
            )

    def text(self, pointer: Any) -> str:
        """A C string."""
        return bytes(self.ffi.string(pointer)).decode()

    def built(self, kind: str, size: int, *arguments: Any) -> tuple[Any, Any]:
        """An object of the C core: (memory to keep alive, pointer). `kind` is mfcc, frames, model, ctc and so on."""
        memory = self.allocate(size)
        constant = "const " if kind in ("mfcc", "model") else ""
        out = self.ffi.new(f"{constant}pynna_{kind} **")
        self.check(getattr(self.lib, f"pynna_{kind}_init")(memory, size, *arguments, out))
        return memory, out[0]

    def instruction_sets(self) -> list[str]:
        """Names of those that this processor runs, the plainest first."""
        return [
            self.text(self.lib.pynna_isa_name(i))
            for i in range(self.lib.pynna_isa_count())
            if self.lib.pynna_isa_available(i)
        ]

    def timed(self, call: Callable[..., int], *arguments: Any, repeats: int) -> Array:
        """Runs one of the driver's functions; float64 [repeats]."""
        seconds = np.empty(repeats)
        self.check(call(*arguments, repeats, self.ffi.from_buffer("double[]", seconds, require_writable=True)))
        return seconds


@dataclass
class MappedModel:
    """A .nna file in memory, as the package has it."""

    core: Core
    path: Path

    def __post_init__(self) -> None:
        self._weights = memory = self.core.allocate(self.path.stat().st_size)
        self.bytes = self.core.ffi.buffer(memory)
        self.bytes[:] = self.path.read_bytes()
        self.data = self.core.ffi.cast("uint8_t *", memory)
        size = self.core.lib.pynna_model_size()
        self._memory, self.pointer = self.core.built("model", size, self.data, len(self.bytes))

    @property
    def geometry(self) -> Any:
        """A pynna_geometry."""
        return self.core.lib.pynna_model_geometry(self.pointer)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each layer, padded as in the file."""
        infos = {name: self.core.lib.pynna_model_layer(self.pointer, i) for i, name in enumerate(LAYERS)}
        return {name: (-(-info.n_rows // 16) * 16, -(-info.n_columns // 4) * 4) for name, info in infos.items()}

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of each layer's weights, and scales; those of 16 bits are two of 8, one after the other."""
        infos = {name: self.core.lib.pynna_model_layer(self.pointer, i) for i, name in enumerate(LAYERS)}
        return {
            name: rows * 4 * packed_lines(columns, infos[name].weight_bits, infos[name].layout)
            for name, (rows, columns) in self.shapes.items()
        }

    @cached_property
    def n_weights(self) -> int:
        """Weights without padding; those of 16 bits count as two."""
        infos = [self.core.lib.pynna_model_layer(self.pointer, i) for i in range(len(LAYERS))]
        return sum(int(info.n_rows) * int(info.n_columns) * (1 + (info.weight_bits == 16)) for info in infos)

    @cached_property
    def n_macs(self) -> int:
        """Multiply-accumulates a step and channel, without padding: what has 16 bits passes a layer twice."""
        infos = [self.core.lib.pynna_model_layer(self.pointer, LAYERS.index(name)) for name in self.passed_twice]
        return self.n_weights + sum(int(info.n_rows) * int(info.n_columns) for info in infos)

    @cached_property
    def passed_twice(self) -> tuple[str, ...]:
        """Layers that are multiplied by the residual of their inputs, too."""
        infos = [self.core.lib.pynna_model_layer(self.pointer, i) for i in range(len(LAYERS))]
        fed = [name for name, info in zip(LAYERS, infos, strict=True) if info.output_residual_bits]
        first = LAYERS[:1] if self.geometry.feature_residual_bits else ()
        return (*first, *(name for name in LAYERS if INPUT_OF.get(name) in fed))

    def weights(self, layer: str) -> Any:
        """A layer's packed weights, in place: int8_t *."""
        entry = 32 + 48 * (6 + 4 * LAYERS.index(layer))  # of the file's table, see csrc/doc/formats.md
        offset = int.from_bytes(self.bytes[entry + 32 : entry + 40], "little")
        return self.core.ffi.cast("int8_t *", self.data + offset)

    def mfcc(self) -> tuple[Any, Any]:
        """(memory, pynna_mfcc *) with the model's parameters."""
        g = self.geometry
        config = self.core.ffi.new(
            "pynna_mfcc_config *",
            [g.sample_rate, g.window, g.step, g.n_coefficients, g.n_mel, g.mel_lower_hz, g.mel_upper_hz],
        )
        return self.core.built("mfcc", self.core.lib.pynna_mfcc_size(config), config)


class Pools:
    """Thread pools by size, shared by all cases: idle ones sleep. None is the caller's thread alone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pools: dict[int, tuple[Any, Any]] = {}

    def __getitem__(self, n_threads: int) -> Any:
        if n_threads == 1:
            return self._core.ffi.NULL
        if n_threads not in self._pools:
            size = self._core.lib.pynna_pool_size(n_threads)
            self._pools[n_threads] = self._core.built("pool", size, n_threads)
        return self._pools[n_threads][1]

    def stop(self) -> None:
        """Ends the threads."""
        for _, pool in self._pools.values():
            self._core.lib.pynna_pool_stop(pool)
        self._pools.clear()
