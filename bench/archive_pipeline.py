# SPDX-License-Identifier: Apache-2.0
"""The pipeline of Ray's public audio-transcription benchmark, with this project's actors where it has those of a GPU.

    python -m bench.archive_pipeline [--actors N] [FILE...]       # pip install 'pynna[ray]'

Recordings are rows of Parquet files: a column `audio` with their bytes, compressed and at any rate, and their names.
They are read, decoded and resampled, transcribed in batches of 64, and written to Parquet files with the length of each
text. There, decoding and resampling, features, the network on the GPU, and text from its tokens are operators of their
own; here an actor does it all but the length, and takes the bytes as they are. The recordings are those that ship, at
the rate of the public ones, 48 kHz, unless files are given. As there, the time is that of the pipeline once Ray is up.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import recordings

BATCH, RATE, ROWS_A_FILE = 64, 48000, 32


def made(seconds: float) -> list[tuple[str, bytes]]:
    """Recordings of 4 to 12 s, FLAC at 48 kHz, with names."""
    import soundfile

    found: list[tuple[str, bytes]] = []
    rng, sound, left = np.random.default_rng(0), recordings.sound(0), seconds
    while left > 0:
        piece = np.concatenate(list(itertools.islice(sound, int(rng.integers(1, 4)))))
        wide = np.interp(np.arange(3 * len(piece)) / 3, np.arange(len(piece)), piece).astype(np.int16)
        file = io.BytesIO()
        soundfile.write(file, wide, RATE, format="FLAC")
        found.append((f"{len(found):05}.flac", file.getvalue()))
        left -= len(piece) / recordings.RATE
    return found


def write_input(folder: Path, clips: Sequence[tuple[str, bytes]]) -> None:
    """Parquet files as the public ones are laid out."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir(parents=True)
    for at in range(0, len(clips), ROWS_A_FILE):
        rows = [{"audio": {"bytes": data, "path": name}} for name, data in clips[at : at + ROWS_A_FILE]]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{at:06}.parquet")


def unpacked(batch: dict[str, Any]) -> dict[str, Any]:
    """The columns that the actor takes."""
    return {
        "path": np.array([each["path"] for each in batch["audio"]], object),
        "bytes": np.array([each["bytes"] for each in batch["audio"]], object),
    }


def with_length(batch: dict[str, Any]) -> dict[str, Any]:
    """What the public pipeline writes besides the text."""
    return {**batch, "transcription_length": np.array([len(text) for text in batch["text"]])}


def pipeline(source: Path, output: Path, actors: int, **options: Any) -> float:
    """Seconds that it takes; the output is a row a segment, one at least for each recording."""
    import ray

    from pynna.ray import Transcriber

    start = time.perf_counter()
    rows = ray.data.read_parquet(str(source)).map_batches(unpacked, batch_size=BATCH)
    rows = rows.map_batches(
        Transcriber, fn_constructor_kwargs=options, batch_size=BATCH, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )  # fmt: skip
    rows.map_batches(with_length, batch_size=None).write_parquet(str(output))
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.archive_pipeline", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the recordings that ship (60)")
    parser.add_argument("--actors", type=int, default=1, help="a processor each, one more is Ray's (1)")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args(arguments)
    import ray
    from pyarrow import dataset

    from pynna.audio.files import seconds_of

    clips = [(str(path), path.read_bytes()) for path in told.files] or made(60 * told.minutes)
    audio = sum(seconds_of(str(path)) or 0.0 for path in told.files) or 60 * told.minutes
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "in", Path(name) / "out"
        write_input(source, clips)
        begun = time.perf_counter()
        ray.init(address="local", num_cpus=told.actors + 1, log_to_driver=False, logging_level="error")
        up = time.perf_counter() - begun
        seconds = pipeline(source, output, told.actors, beam_width=0, passes=1)
        rows = dataset.dataset(output, format="parquet").to_table(columns=["path", "text", "error"]).to_pylist()
        ray.shutdown()
    n_done = len({row["path"] for row in rows if not row["error"]})
    found = {
        "recordings": len(clips), "done": n_done, "rows": len(rows), "audio_seconds": audio, "actors": told.actors,
        "ray_start_seconds": up, "seconds": seconds, "hours_a_core_hour": audio / seconds / told.actors,
    }  # fmt: skip
    for key, value in [("", json.dumps(found))] if told.json else found.items():
        print(key, f"{value:.1f}" if isinstance(value, float) else value)
    return 0 if n_done == len(clips) else 1


if __name__ == "__main__":
    sys.exit(main())
