# SPDX-License-Identifier: Apache-2.0
"""Archives on a cluster: an actor for Ray Data, which does the scheduling, the retries and the output."""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import logging
import os
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from pynna.archive.jobs import run_here
from pynna.archive.recogniser import AllRead, Failed, PartDone, Settings, Unit
from pynna.audio.files import recordings_in
from pynna.decoding.options import AnyOptions
from pynna.errors import ArgumentError
from pynna.model import load
from pynna.streaming.endpointer import EndpointRules

if TYPE_CHECKING:
    from typing_extensions import Unpack

BLOCK_BYTES, MIN_BLOCKS, MAX_BLOCKS = 16 << 20, 4, 100
"""Of the recordings that an actor gets at once, about; and how many such blocks there are for each actor, at least (an
actor that starts late takes fewer) and at most."""

AHEAD = 2
"""Blocks that an actor has, with the one under way."""

RETRIES = 3
"""Times that a block is tried again, by another actor, where its own has ended."""

QUIET_SECONDS = 300.0
"""Without a block that is done, after which it is told what Ray has to work with, again and again."""

_LOG = logging.getLogger(__name__)


class Transcriber:
    """Recordings to segments: ``ray.data.read_binary_files(..., include_paths=True).map_batches(Transcriber, ...)``.

    The model is loaded once an actor; a batch's recordings fill the sixteen channels of its core. A recording that
    cannot be read gives one row with an `error`; one in which nothing is said, one with an empty text.

    Parameters
    ----------
    model : path, optional
        The one that ships unless given; it must be there on all machines.
    rules : EndpointRules, optional
        Where recordings are cut.
    reading : dict, optional
        `channel`, `strict`, `raw_sample_rate` of `pynna.audio.read`.
    **options
        As for ``Model.stream``.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        rules: EndpointRules | None = None,
        reading: dict[str, Any] | None = None,
        **options: Unpack[AnyOptions],
    ) -> None:
        self._model = load(model, threads=1)
        self._settings = Settings(rules or EndpointRules(), dict(options), dict(reading or {}))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch with `path`, and `bytes` unless it is to be read from there, to one with path, start, end, text,
        confidence, error and notes."""
        paths = [str(path) for path in batch["path"]]
        found = [_Found() for _ in paths]
        units = []
        for number, path in enumerate(paths):
            try:
                data = batch["bytes"][number] if "bytes" in batch else None
                units.append(Unit(number, _opened(path if data is None else path, data)))
            except (OSError, ValueError) as error:
                found[number].error = str(error)
        for message in run_here(self._model, self._settings, units):
            if isinstance(message, Failed):
                found[message.unit.number].error = message.text
            elif isinstance(message, PartDone):
                found[message.unit.number].parts[message.number] = message.segments
            elif isinstance(message, AllRead):
                found[message.unit.number].seconds = message.seconds
                found[message.unit.number].notes = "; ".join(message.notes)
        rows = [row for path, each in zip(paths, found, strict=True) for row in each.rows(path)]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_Row._fields)
        kinds: tuple[Any, ...] = (object, np.float64, np.float64, object, np.float64, object, object)
        return {name: np.array(column, kind) for name, column, kind in zip(_Row._fields, columns, kinds, strict=True)}


class _Row(NamedTuple):
    """Of the output."""

    path: str
    start: float
    end: float
    text: str
    confidence: float
    error: str
    notes: str


@dataclass
class _Found:
    """What becomes of a recording."""

    parts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    seconds: float = 0.0
    notes: str = ""
    error: str = ""

    def rows(self, path: str) -> list[_Row]:
        """A row a segment, in order; one at least."""
        if self.error:
            return [_Row(path, 0.0, self.seconds, "", 0.0, self.error, self.notes)]
        segments = [segment for _, part in sorted(self.parts.items()) for segment in part]
        return [
            _Row(path, each["start"], each["end"], each["text"], each["confidence"], "", self.notes)
            for each in segments
        ] or [_Row(path, 0.0, self.seconds, "", 0.0, "", self.notes)]


class _Content(io.BytesIO):
    """A recording's bytes, and the name that messages call it by."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _opened(path: str, data: bytes | None) -> str | BinaryIO:
    """A recording as `pynna.audio.files` takes it: on the disk, in a store, or its bytes."""
    if data is not None:
        return _Content(bytes(data), path)
    if "://" not in path:
        return path
    from pyarrow import fs  # what Ray Data reads stores with

    system, inside = fs.FileSystem.from_uri(path)
    opened: BinaryIO = system.open_input_file(inside)
    return opened


@dataclass(frozen=True)
class Report:
    """What became of an archive: how many recordings were transcribed in this run, and why others were not.

    Attributes
    ----------
    n_done : int
    failed : dict of path to str
    notes : dict of path to str
        What was done to a recording, and what looks wrong with it.
    """

    n_done: int
    failed: dict[str, str]
    notes: dict[str, str]


def transcribe_archive(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    address: str | None = None,
    model: str | os.PathLike[str] | None = None,
    actors: int | None = None,
    resume: bool = False,
    actor: type = Transcriber,
    rules: EndpointRules | None = None,
    reading: dict[str, Any] | None = None,
    **options: Unpack[AnyOptions],
) -> Report:
    """Transcribes recordings to a folder of Parquet files by Ray, an actor a processor.

    Parameters
    ----------
    sources : path, or sequence of paths
        Files and folders, or addresses of a store that pyarrow knows, such as s3://bucket/folder. All machines must be
        able to read them.
    output : path
        Or an address of a store. Columns: path, start and end in seconds, text, confidence, error, notes.
    address : str, optional
        Of a cluster; a Ray of its own on this machine unless given.
    model, rules, reading, **options
        As for `Transcriber`.
    actors : int, optional
        As many as the cluster has processors unless given, and no more than that.
    resume : bool
        Go on with what an earlier run left: only recordings that have no row yet, or one with an error.
    actor : type
        What is called with batches.

    Raises
    ------
    ArgumentError
        There is no recording, no cluster at that address, or an output already and it is not to be resumed.
    ImportError
        Ray is not installed.
    """
    ray = _ray()
    sizes = _listed(sources, bool(reading and reading.get("raw_sample_rate")))
    made = output if "://" in (output := os.fspath(output)) else os.path.abspath(output)
    before = _results(made)
    if before and not resume:
        raise ArgumentError(
            f"{output} must hold no results yet, or --resume be given; {len(before)} recordings are in it"
        )
    left = {path: size for path, size in sizes.items() if before.get(path, ("no row", ""))[0]}
    _remove_failed(made, set(left) & set(before))
    if left:
        _connect(ray, address)
        n = max(1, int(ray.cluster_resources().get("CPU", 1)))
        n = n if actors is None else min(n, actors)
        arguments = {"model": _path(model), "rules": rules, "reading": reading, **options}
        _run(ray, _blocks(left, n), made, n, actor, arguments)
        missing = {path: left[path] for path in left.keys() - _results(made).keys()}
        _run(ray, [[path] for path in missing], made, n, actor, arguments)  # whom nobody else can have ended
    return _report(left, _results(made))


def _report(left: Iterable[str], after: Mapping[str, tuple[str, str]]) -> Report:
    """Of the recordings that were to be transcribed, by the rows that are there now."""
    failed = {path: after[path][0] if path in after else "the process that worked on it ended" for path in left}
    return Report(
        sum(not text for text in failed.values()),
        {path: text for path, text in failed.items() if text},
        {path: after[path][1] for path in left if path in after and after[path][1]},
    )


def _ray() -> Any:
    """Ray, with what its files need."""
    try:
        import pyarrow.fs  # noqa: F401
        import ray.data
    except ImportError as error:
        raise ImportError(f"a cluster needs {error.name or error}: pip install 'pynna[ray]'") from None
    return ray


def _path(model: str | os.PathLike[str] | None) -> str | None:
    return None if model is None else os.path.abspath(model)


def _connect(ray: Any, address: str | None) -> None:
    """A Ray to work with: the one that the caller has, the cluster at an address, or one of its own."""
    data = ray.data.DataContext.get_current()
    data.enable_progress_bars = sys.stderr.isatty()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    data.max_errored_blocks = -1  # what a block lacks is tried again, and told
    if ray.is_initialized():
        return
    # Ray's processes have this one's environment where it starts them, and then need none of their own, for which Ray
    # would start others than those that it has ready.
    path = os.environ.get("PYTHONPATH") if address else None
    environment = {"env_vars": {"PYTHONPATH": path}} if path else None
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="warning", runtime_env=environment)
    except Exception as error:  # Ray's own are of no kind of theirs
        where = f"a Ray cluster must be at {address}" if address else "Ray must start on this machine within its time"
        raise ArgumentError(f"{where}: {error}") from error


def _listed(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], raw: bool) -> dict[str, int]:
    """All recordings, local ones by their absolute paths, and their sizes in bytes; 0 where there is none."""
    sizes: dict[str, int] = {}
    sources = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    for source in [os.fspath(each) for each in sources]:
        if "://" in source:
            sizes.update(_stored(source))
            continue
        for path in map(os.path.abspath, recordings_in([source], raw=raw)):
            sizes[path] = os.path.getsize(path) if os.path.isfile(path) else 0
    if not sizes:
        raise ArgumentError(f"there must be a recording in {', '.join(str(source) for source in sources)}")
    return sizes


def _stored(address: str) -> dict[str, int]:
    """Recordings of a store."""
    from pyarrow import fs

    from pynna.audio.files import ENDINGS

    try:
        system, inside = fs.FileSystem.from_uri(address)
        found = system.get_file_info(inside)
        if found.type != fs.FileType.Directory:
            return {address: found.size or 0}
        start = address[: len(address.rstrip("/")) - len(inside.rstrip("/"))]
        inner = system.get_file_info(fs.FileSelector(inside, recursive=True))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{address} must be an address of a store that can be read: {error}") from error
    return {start + each.path: each.size for each in inner if each.path.lower().endswith(ENDINGS)}


def _blocks(sizes: dict[str, int], n_actors: int) -> list[list[str]]:
    """Recordings dealt to blocks of about the same size, the longest first in each."""
    most = min(sum(sizes.values()) // BLOCK_BYTES, MAX_BLOCKS * n_actors)
    n = min(len(sizes), max(MIN_BLOCKS * n_actors, most))
    blocks: list[list[str]] = [[] for _ in range(n)]
    for i, path in enumerate(sorted(sizes, key=lambda path: -sizes[path])):
        turn, at = divmod(i, n)
        blocks[n - 1 - at if turn % 2 else at].append(path)
    return blocks


def _run(ray: Any, blocks: list[list[str]], output: str, actors: int, actor: type, arguments: dict[str, Any]) -> None:
    """All blocks, and no processor is kept behind them."""
    if not blocks:
        return
    with _told_when_quiet(lambda: len(_files(output)), lambda: _processors(ray)):
        _write(ray, blocks, output, actors, actor, arguments)
    # A task that failed keeps its actor, and with it a processor, by a cycle of references: an actor of the next run
    # would wait for that processor until the collector happens to come by.
    gc.collect()


def _write(ray: Any, blocks: list[list[str]], output: str, actors: int, actor: type, arguments: dict[str, Any]) -> None:
    """A block is a row until it is with an actor, so that nothing divides it or makes it one with another."""
    run = uuid.uuid4().hex[:12]
    names = [f"{run}-{number:06}.parquet" for number in range(len(blocks))]
    rows = ray.data.from_items(
        [{"name": name, "paths": block} for name, block in zip(names, blocks, strict=True)],
        override_num_blocks=len(blocks),
    )
    retries, pool = {"max_restarts": -1, "max_task_retries": RETRIES}, {"max_tasks_in_flight_per_actor": AHEAD}
    n = min(actors, len(blocks))
    if "initial_size" in inspect.signature(ray.data.ActorPoolStrategy.__init__).parameters:
        pool["initial_size"] = n  # all of them at once; elsewhere one after the other, as the first has much to do
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions want these numbers elsewhere, but have no place for them
        done = rows.map_batches(
            _of_blocks(actor, output), fn_constructor_kwargs=arguments, batch_size=1, num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=n, **pool),
            **(retries if "ray_remote_args" in inspect.signature(rows.map_batches).parameters else {}),
        )  # fmt: skip
    done.materialize()


@contextlib.contextmanager
def _told_when_quiet(
    count: Callable[[], int], state: Callable[[], str], seconds: float = QUIET_SECONDS
) -> Iterator[None]:
    """Tells, while something runs, that the count has not grown for so many seconds."""
    over, at_first = threading.Event(), count()

    def watch() -> None:
        before = at_first
        while not over.wait(seconds):
            try:
                if (now := count()) == before:
                    _LOG.warning("Ray has finished no block of recordings for %.0f s; %s", seconds, state())
                before = now
            except Exception as error:  # Ray's own are of no kind of theirs; the run itself tells what goes wrong
                _LOG.warning("what Ray has finished cannot be told: %s", error)

    watcher = threading.Thread(target=watch, daemon=True, name="pynna-ray-watch")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join(1.0)  # nothing is told any more, unless a store does not answer


def _processors(ray: Any) -> str:
    """What the cluster has."""
    there, free = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
    nodes = [node["Alive"] for node in ray.nodes()]
    return f"{sum(nodes)} of {len(nodes)} nodes are up, {free:.0f} of {there:.0f} processors free"


def _of_blocks(actor: type, output: str) -> type:
    """The actor, given a block in a row; it writes its rows itself, for other processes would have to be started for
    that, and what is written is there whole or not at all. A block that is done again has the same name."""

    class Blocks(actor):  # type: ignore[misc, valid-type]
        def __call__(self, batch: dict[str, Any]) -> Any:
            for name, paths in zip(batch["name"], batch["paths"], strict=True):
                _write_block(output, str(name), super().__call__({"path": list(paths)}))
            return {"name": batch["name"]}

    return Blocks


def _write_block(output: str, name: str, columns: dict[str, Any]) -> None:
    """A file of rows; on a disk by a rename, for in a store a file is there when it is closed."""
    import pyarrow
    from pyarrow import fs, parquet

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = (text, number, number, text, number, text, text)
    schema = pyarrow.schema(list(zip(_Row._fields, kinds, strict=True)))
    table = pyarrow.table([pyarrow.array(columns[field.name], field.type) for field in schema], schema=schema)
    system, inside = fs.FileSystem.from_uri(output)
    if not isinstance(system, fs.LocalFileSystem):
        parquet.write_table(table, f"{inside}/{name}", filesystem=system)
        return
    system.create_dir(inside)
    beside = f"{inside}/.{name}.{uuid.uuid4().hex[:8]}.part"
    parquet.write_table(table, beside, filesystem=system)
    system.move(beside, f"{inside}/{name}")


def _files(output: str) -> list[str]:
    """The Parquet files that are there, as paths of their store."""
    from pyarrow import fs

    system, inside = fs.FileSystem.from_uri(output)
    if system.get_file_info(inside).type != fs.FileType.Directory:
        return []
    return [each.path for each in system.get_file_info(fs.FileSelector(inside)) if each.path.endswith(".parquet")]


def _results(output: str) -> dict[str, tuple[str, str]]:
    """Recordings that have rows, with error and notes."""
    from pyarrow import dataset, fs

    if not (names := _files(output)):
        return {}
    system, _ = fs.FileSystem.from_uri(output)
    table = dataset.dataset(names, filesystem=system, format="parquet").to_table(columns=["path", "error", "notes"])
    columns = (table.column(name).to_pylist() for name in ("path", "error", "notes"))
    return {path: (error or "", notes or "") for path, error, notes in zip(*columns, strict=True)}


def _remove_failed(output: str, paths: set[str]) -> None:
    """Takes the rows of recordings that failed and are tried again out of the files that have them."""
    from pyarrow import compute, fs, parquet

    if not paths:
        return
    system, _ = fs.FileSystem.from_uri(output)
    for name in _files(output):
        table = parquet.read_table(name, filesystem=system)
        keep = compute.invert(compute.is_in(table.column("path"), value_set=_strings(paths, table)))
        if not compute.all(keep).as_py():
            parquet.write_table(table.filter(keep), name, filesystem=system)


def _strings(values: set[str], table: Any) -> Any:
    import pyarrow

    return pyarrow.array(sorted(values), table.schema.field("path").type)
