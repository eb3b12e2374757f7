# SPDX-License-Identifier: Apache-2.0
"""Archives on a cluster: an actor for Ray Data, which does the scheduling, the retries and the output."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pynna.archive.jobs import run_here
from pynna.archive.recogniser import Failed, PartDone, Settings, Unit
from pynna.decoding.options import AnyOptions
from pynna.model import load
from pynna.streaming.endpointer import EndpointRules

if TYPE_CHECKING:
    from typing_extensions import Unpack

BATCH = 16
"""Recordings that an actor gets at once: as many as there are channels."""


class Transcriber:
    """Recordings to segments: ``ray.data.read_binary_files(..., include_paths=True).map_batches(Transcriber, ...)``.

    The model is loaded once an actor; a batch's recordings fill the sixteen channels of its core. A recording that
    cannot be read gives one row with an `error`.

    Parameters
    ----------
    model : path, optional
        The one that ships unless given; it must be there on all machines.
    **options
        As for ``Model.stream``.
    """

    def __init__(self, model: str | None = None, **options: Unpack[AnyOptions]) -> None:
        self._model = load(model, threads=1)
        self._settings = Settings(EndpointRules(), dict(options))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch with `path` and `bytes` to one with path, start, end, text, confidence and error."""
        units = [Unit(i, io.BytesIO(data)) for i, data in enumerate(batch["bytes"])]
        parts: dict[tuple[int, int], list[dict[str, Any]]] = {}
        errors: dict[int, str] = {}
        for message in run_here(self._model, self._settings, units):
            if isinstance(message, Failed):
                errors[message.unit.number] = message.text
            elif isinstance(message, PartDone):
                parts[message.unit.number, message.number] = message.segments
        rows = [
            (str(batch["path"][number]), segment["start"], segment["end"], segment["text"], segment["confidence"], "")
            for (number, _), segments in sorted(parts.items(), key=lambda item: item[0])
            if number not in errors
            for segment in segments
        ]
        rows += [(str(batch["path"][number]), 0.0, 0.0, "", 0.0, text) for number, text in sorted(errors.items())]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        kinds: tuple[Any, ...] = (object, np.float64, np.float64, object, np.float64, object)
        names = ("path", "start", "end", "text", "confidence", "error")
        return {name: np.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)}


def transcribe_folder(
    folder: str,
    output: str,
    *,
    address: str | None = None,
    model: str | None = None,
    actors: int | None = None,
    **options: Unpack[AnyOptions],
) -> list[tuple[str, str]]:
    """Transcribes all files of a folder to Parquet by Ray; gives the files that failed, and why.

    Parameters
    ----------
    folder, output : str
        As Ray Data takes them: paths, or addresses of a store.
    address : str, optional
        Of a cluster; a Ray of its own on this machine unless given.
    model : str, optional
        As for `Transcriber`.
    actors : int, optional
        As many as the cluster has processors unless given.

    Raises
    ------
    ImportError
        Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ImportError(f"a cluster needs {error.name}: pip install 'pynna[ray]'") from None

    if not ray.is_initialized():
        environment = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
        ray.init(address=address, log_to_driver=False, runtime_env=environment)
    n = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
    files = ray.data.read_binary_files(folder, include_paths=True)
    made = files.map_batches(
        Transcriber, fn_constructor_kwargs={"model": model, **options}, batch_size=BATCH, concurrency=(1, n),
        num_cpus=1,
    )  # fmt: skip
    made.write_parquet(output)
    failed = ray.data.read_parquet(output).filter(lambda row: row["error"] != "")
    return [(row["path"], row["error"]) for row in failed.take_all()]
