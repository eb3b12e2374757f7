# SPDX-License-Identifier: Apache-2.0
"""Features made small enough to carry to another machine: spectra as pictures, a twenty-fifth of their size.

Neighbouring bins, which a mel channel would add up anyway, become one band; what is left is a picture, a frame a row
and a band a column, brightness in decibels, of which lossy WebP keeps a bit and a half a pixel. Mel channels of it are
off by a decibel (the median) to three, less than what any microphone does.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pynna.train.corpora.features import BINS
from pynna.train.parallel import run

EDGES = np.array([*range(25), *range(25, 65, 2), *range(65, 129, 3), *range(129, BINS - 4, 5), BINS])
"""First bins of the bands, and the end: a band is about half as wide as the mel channel around it."""
LOWEST, HIGHEST = -85.0, 45.0  # dB
QUALITY = 75
ROWS = 16000  # frames of a picture; WebP's are 16383 high at most


def squeeze(spectra: npt.NDArray[np.float16]) -> dict[str, npt.NDArray[Any]]:
    """Spectra [frames, 257] as arrays to save: pictures, and which frames hold nothing at all."""
    out: dict[str, npt.NDArray[Any]] = {"frames": np.array(len(spectra))}
    silent = np.zeros(len(spectra), bool)
    for k, start in enumerate(range(0, len(spectra), ROWS)):
        x = np.asarray(spectra[start : start + ROWS], np.float32)
        silent[start : start + ROWS] = x[:, 2:].max(axis=1) < 10 ** (LOWEST / 20)  # an offset is silence, too
        bands = np.add.reduceat(x, EDGES[:-1], axis=1) / np.diff(EDGES)
        level = (20 * np.log10(np.maximum(bands, 1e-9)) - LOWEST) * (255 / (HIGHEST - LOWEST))
        picture = io.BytesIO()
        Image.fromarray(np.clip(np.rint(level), 0, 255).astype(np.uint8)).save(picture, "WEBP", quality=QUALITY)
        out[f"picture-{k}"] = np.frombuffer(picture.getvalue(), np.uint8)
    return out | {"silent": np.packbits(silent)}


def expand(arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float16]:
    """The spectra of what `squeeze` returned."""
    frames = int(arrays["frames"])
    out = np.zeros((frames, BINS), np.float16)
    for k, start in enumerate(range(0, frames, ROWS)):
        picture = Image.open(io.BytesIO(arrays[f"picture-{k}"].tobytes())).convert("L")
        level = np.asarray(picture, np.float32) * ((HIGHEST - LOWEST) / 255) + LOWEST
        out[start : start + ROWS] = np.repeat((10 ** (level / 20)).astype(np.float16), np.diff(EDGES), axis=1)
    out[np.unpackbits(arrays["silent"], count=frames).astype(bool)] = 0
    return out


def _save(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(temporary, path)


def _pack(path: Path, out: Path) -> None:
    if path.suffix == ".json":
        arrays = squeeze(np.load(path.with_suffix(".npy"), mmap_mode="r"))
        arrays["index"] = np.frombuffer(zlib.compress(path.read_bytes(), 9), np.uint8)
    else:
        with np.load(path) as file:
            arrays = squeeze(file["spectra"]) | {"offsets": file["offsets"]}
    _save(out / f"{path.stem}.npz", arrays)


def _unpack(path: Path, out: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    spectra = expand(arrays)
    if "index" not in arrays:
        _save(out / path.name, {"spectra": spectra, "offsets": arrays["offsets"]})
        return
    temporary = out / f"{path.stem}.tmp.npy"
    np.save(temporary, spectra)
    os.replace(temporary, out / f"{path.stem}.npy")
    index = out / f"{path.stem}.tmp"
    index.write_bytes(zlib.decompress(arrays["index"].tobytes()))
    os.replace(index, out / f"{path.stem}.json")  # last: a shard without one is not there yet


def _all(work: Callable[[Path, Path], None], paths: list[Path], out: Path, jobs: int, title: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    made = {path.stem for path in out.glob("*.npz")} | {path.stem for path in out.glob("*.json")}
    run([(work, (path, out)) for path in paths if path.stem not in made], jobs, title)


def pack(features: Path, packed: Path, jobs: int) -> None:
    """Squeeze all shards and noises of a features folder that are not in the folder `packed` yet.

    What else the folder holds, rooms and statistics, is small and stays as it is: copy it.
    """
    _all(_pack, sorted([*features.glob("*.json"), *features.glob("noise-*.npz")]), packed, jobs, "pack")


def unpack(packed: Path, features: Path, jobs: int) -> None:
    """Write the shards and noises of a folder of `pack` as features."""
    _all(_unpack, sorted(packed.glob("*.npz")), features, jobs, "unpack")
