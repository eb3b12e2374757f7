# SPDX-License-Identifier: Apache-2.0
"""The floors of the house: a file imports only what stands below it, no two files import each other, and nothing is
imported in secret but what is optional. No file and no function is too long to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    ("bench",),
    ("pynna.__main__",),
    ("pynna.train",),
    ("pynna.cli",),
    ("pynna.assistant",),
    ("pynna.deepspeech",),
    ("pynna",),
    ("pynna.ray",),
    ("pynna.archive",),
    ("pynna.diagnosis",),
    ("pynna.model",),
    ("pynna.streaming",),
    ("pynna.events",),
    ("pynna.decoding",),
    ("pynna.network",),
    ("pynna.mapping",),
    ("pynna.grammar",),
    ("pynna.audio", "pynna.distance"),
    ("pynna._core",),
    ("pynna.saving",),
    ("pynna.errors",),
)
"""From the top down. A name stands for all that begins with it and has no floor of its own; `pynna` itself is the
package's face. Rooms of a floor do not import each other."""

ROOMS = (
    "pynna.train.__main__",
    "pynna.train.evaluation",
    "pynna.train.network",
    "pynna.train.corpora",
    "pynna.train.voices",
    "pynna.train.text",
    "pynna.train.parallel",
    "pynna.train.config",
)
"""The training's, from the top down."""

FACE = {"pynna.assistant", "pynna.cli", "pynna.train", "bench"}
"""Floors that may import the package's face."""

FILE_LINES, FUNCTION_LINES = 500, 60
"""The most that a file has, and a function with its head and its docstring."""


class Import(NamedTuple):
    """`file` line `line` imports `name`, at the file's top or `hidden` in a function."""

    file: str
    line: int
    name: str
    hidden: bool


def modules() -> dict[str, Path]:
    """All modules of the package and of the benchmarks, by name."""
    found = {}
    for top in ("pynna", "bench"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    """What a module imports of the known ones."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, (base, node.module or "")))
            targets = [
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in known else module for alias in node.names
            ]
        for target in dict.fromkeys(targets):
            if target in known:
                yield Import(name, node.lineno, target, id(node) in hidden)


KNOWN = {**modules(), "pynna._core": ROOT / "pynna/_core.pyi"}
ALL = [found for name, path in KNOWN.items() if path.suffix == ".py" for found in imports(name, path, KNOWN)]


def place(name: str, floors: tuple[tuple[str, ...], ...]) -> tuple[int, str]:
    """The number of a module's floor, 0 the topmost, and its room there: the longest name that it begins with."""
    rooms = [
        (i, room)
        for i, floor in enumerate(floors)
        for room in floor
        if name == room or (name.startswith(room + ".") and room != "pynna")
    ]
    assert rooms, f"{name} has no floor"
    return max(rooms, key=lambda at: len(at[1]))


def is_upwards(found: Import) -> bool:
    """Whether a module imports what stands above it, or beside it in another room."""
    if found.name == "pynna" and any(found.file == top or found.file.startswith(top + ".") for top in FACE):
        return False
    for floors in (FLOORS, tuple((room,) for room in ROOMS)):
        if floors is not FLOORS and not all(name.startswith("pynna.train.") for name in (found.file, found.name)):
            continue
        (here, room), (there, other) = place(found.file, floors), place(found.name, floors)
        if there < here or (there == here and room != other):
            return True
    return False


def test_no_file_imports_upwards() -> None:
    wrong = [f"{at.file}:{at.line} imports {at.name}" for at in ALL if is_upwards(at)]
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other() -> None:
    graph: dict[str, set[str]] = {name: set() for name in KNOWN}
    for at in ALL:
        if at.name != at.file and not at.file.startswith(at.name + "."):  # its own package is always imported before
            graph[at.file].add(at.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(reversed(error.args[1])))


def long_functions(name: str, text: str) -> list[str]:
    """The functions of a file that are too long."""
    return [
        f"{name}:{node.lineno} {node.name} has {length} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]


def c_files() -> list[Path]:
    """The C core's files, its tests' and tools', and the benchmarks'; not what is made of them in folders build*."""
    paths = [path for top in ("csrc", "bench", "tests/fuzz") for path in (ROOT / top).rglob("*.[ch]")]
    return [path for path in paths if not any(part.startswith("build") for part in path.relative_to(ROOT).parts)]


def long_files(paths: Iterable[Path]) -> list[str]:
    """The files that are too long."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return [f"{path} has {length} lines" for path, length in lengths.items() if length > FILE_LINES]


def test_no_file_is_too_long() -> None:
    assert not long_files(modules().values())


def test_no_file_of_c_is_too_long() -> None:
    """But the public interface, which C and cffi take as one file."""
    paths = set(c_files()) - {ROOT / "csrc/pynna.h"}
    assert len(paths) > 80
    assert not long_files(paths)


def test_a_file_that_is_too_long_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file.c"
    path.write_text("\n" * FILE_LINES)
    assert not long_files([path])
    path.write_text("\n" * (FILE_LINES + 1))
    assert long_files([path]) == [f"{path} has 501 lines"]


def test_no_function_is_too_long() -> None:
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules().items()}
    wrong = [line for name, text in texts.items() for line in long_functions(name, text)]
    assert not wrong, "\n".join(wrong)


def test_a_function_that_is_too_long_is_seen() -> None:
    body = "    pass\n" * FUNCTION_LINES
    assert long_functions("file", f"class A:\n  async def f():\n{body}") == ["file:2 f has 61 lines"]
    assert not long_functions("file", f"def f():\n{body}".removesuffix("    pass\n"))


def test_the_walk_sees_what_is_wrong() -> None:
    assert is_upwards(Import("pynna.errors", 1, "pynna.model", False))
    assert is_upwards(Import("pynna.train.text.sampler", 1, "pynna.train.network.fit", True))
    assert not is_upwards(Import("pynna.model", 1, "pynna.errors", False))
    assert len(ALL) > 300 and any(at.hidden for at in ALL)
