# SPDX-License-Identifier: Apache-2.0
"""The extension modules pynna._core and pynna.deepspeech._client; all else about the package is in pyproject.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / ".ci"))

import sbom  # noqa: E402


def files(pattern: str) -> list[str]:
    """Paths relative to this file, sorted, so that a build does not depend on the order of a folder."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


CORE = files("csrc/*.c")


class ParallelBuildExt(build_ext):
    """Compiles the sources of an extension side by side: setuptools alone only builds whole extensions side by side.

    The C core is in both extensions, with the same flags: each of its files is compiled once.
    """

    def build_extensions(self) -> None:
        self.core_objects: dict[str, list[str]] = {}
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        compile_all = self.compiler.compile

        def compile_one(source: str, *args: Any, **options: Any) -> list[str]:
            if source in CORE:
                if source not in self.core_objects:
                    self.core_objects[source] = compile_all([source], *args, **options)
                return self.core_objects[source]
            return compile_all([source], *args, **options)

        def compile_in_parallel(sources: Sequence[str], *args: Any, **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_one(source, *args, **options), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_in_parallel
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = compile_all


class WheelWithSbom(bdist_wheel):
    """A wheel tells what is in it (PEP 770), of the time that its files have, if they have one that is given."""

    def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
        super().egg2dist(egginfo_path, distinfo_path)
        time = os.environ.get("SOURCE_DATE_EPOCH")
        folder = Path(distinfo_path) / "sboms"
        folder.mkdir()
        (folder / "pynna.cdx.json").write_text(sbom.text(int(time) if time else None), "utf-8")


# No -march: instruction sets are chosen at run time. No contraction: the same bits on every machine. Hidden symbols: a
# libpynna.so in the same process does not meet the ones in here.
COMPILE = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-pthread"]
MACROS = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
if os.environ.get("PYNNA_VERIFY"):  # a build that checks itself, see csrc/verify.c
    MACROS.append(("PYNNA_VERIFY", "1"))
else:
    COMPILE.append("-g0")  # what debuggers want tells where NumPy's headers lie, too
# One wheel for every Python from 3.12 on, where PYNNA_ABI3 is set: Cython 3.1 or later compiles it so
ABI3 = bool(os.environ.get("PYNNA_ABI3"))
if ABI3:
    MACROS += [("Py_LIMITED_API", "0x030C0000"), ("CYTHON_LIMITED_API", "1")]
# the same bytes wherever it is built: no path of this machine in them
COMPILE.append(f"-ffile-prefix-map={ROOT}=.")

core = Extension(
    "pynna._core",
    # the generated C file is the longest to compile, so it starts first
    sources=["pynna/_core/_core.pyx", *CORE],
    depends=[*files("csrc/*.h"), *files("pynna/_core/*.px?")],
    include_dirs=["csrc", np.get_include()],
    define_macros=MACROS,
    extra_compile_args=COMPILE,
    extra_link_args=["-pthread"],
    py_limited_api=ABI3,
)

client = Extension(
    "pynna.deepspeech._client",
    sources=["pynna/deepspeech/_client.pyx", *CORE, *files("csrc/deepspeech/*.c")],
    depends=[*files("csrc/*.h"), *files("csrc/deepspeech/*.h")],
    include_dirs=["csrc"],
    define_macros=MACROS,
    extra_compile_args=COMPILE,
    extra_link_args=["-pthread"],
    py_limited_api=ABI3,
)

setup(
    ext_modules=cythonize(
        [core, client], language_level=3, include_path=["pynna/_core"], compiler_directives={"embedsignature": True}
    ),
    cmdclass={"build_ext": ParallelBuildExt, "bdist_wheel": WheelWithSbom},
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if ABI3 else {},
)
