"""From clips to feature shards: spectra in half precision, with texts and voices; noises and room responses too.

A corpus of real recordings is a folder with a ``manifest.tsv``: path, speaker (``corpus:name``), text.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from . import engines
from .config import Config
from .features import spectrum
from .speak import Pcm, broken, trim
from .text import normalise

F16 = npt.NDArray[np.float16]


def is_test(speaker: str, path: str, share: float) -> bool:
    """Whether a real recording is for testing only: by a hash of the speaker's name, or of the path if unknown."""
    key = path if speaker.endswith(":unknown") else speaker
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32 < share


def read_manifest(folder: Path) -> list[tuple[str, str, str]]:
    """Rows (path, speaker, text) of a corpus."""
    rows = []
    for line in (folder / "manifest.tsv").read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and fields[0] != "path":
            rows.append((fields[0], fields[1], normalise(fields[2])))
    return rows


def save_features(folder: Path, name: str, clips: list[tuple[Pcm, str, str]]) -> None:
    """Write a shard: spectra [frames of all clips, 257] and a JSON list of (first frame, frames, text, voice)."""
    rows: list[tuple[int, int, str, str]] = []
    parts: list[F16] = []
    start = 0
    for pcm, text, voice in clips:
        part = spectrum(pcm).astype(np.float16)
        rows.append((start, len(part), text, voice))
        parts.append(part)
        start += len(part)
    temporary = folder / f"{name}.tmp.npy"
    np.save(temporary, np.concatenate(parts))
    os.replace(temporary, folder / f"{name}.npy")
    index = folder / f"{name}.tmp"
    index.write_text(json.dumps(rows))
    os.replace(index, folder / f"{name}.json")  # the index last: a shard without one is not there yet


def _synthetic(config: Config, clips_path: Path) -> None:
    with np.load(clips_path) as shard:
        pcm, offsets = shard["pcm"], shard["offsets"]
        clips = [
            (pcm[offsets[i] : offsets[i + 1]], str(text), str(voice))
            for i, (text, voice) in enumerate(zip(shard["text"], shard["voice"], strict=True))
        ]
    save_features(config.folder("features"), clips_path.stem, clips)


def _real(config: Config, folder: Path) -> None:
    """Feature shards of a corpus's training and test parts, and the list of what was left out."""
    settings = config["corpora"]
    parts: dict[str, list[tuple[Pcm, str, str]]] = {"real": [], "test": []}
    left_out, test_rows = [], []
    for path, speaker, text in tqdm(read_manifest(folder), desc=folder.name, unit="clip"):
        if speaker.partition(":")[0] in settings["exclude"]:
            continue
        pcm = trim(engines.read(folder / path))
        if reason := broken(pcm, text, 16.0):
            left_out.append(f"{path}\t{speaker}\t{text}\t{reason}")
            continue
        part = "test" if is_test(speaker, path, settings["test_share"]) else "real"
        parts[part].append((pcm, text, speaker))
        if part == "test":
            test_rows.append(f"{folder / path}\t{speaker}\t{text}")
    out = config.folder("features")
    out.joinpath(f"{folder.name}.left-out.tsv").write_text("\n".join(left_out))
    config.folder("heldout").joinpath(f"{folder.name}.tsv").write_text("\n".join(test_rows))
    save_features(out, f"real-{folder.name}", parts["real"])


def _noise(config: Config, folder: Path) -> None:
    """Noise spectra, one after the other, each at a root mean square of 0.05."""
    parts = []
    for path in sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav")):
        x = engines.read(path).astype(np.float32)
        scale = 0.05 * 32768 / max(1.0, float(np.sqrt((x**2).mean())))
        part = spectrum(np.clip(x * scale, -32768, 32767).astype(np.int16))[:3000]
        if len(part) > 50:
            parts.append(part.astype(np.float16))
    np.savez(
        config.folder("features") / f"noise-{folder.name}.npz",
        spectra=np.concatenate(parts), offsets=np.cumsum([0] + [len(p) for p in parts]),
    )  # fmt: skip


def _rooms(config: Config, folder: Path) -> None:
    """Energy of room responses in steps of one frame after the direct sound, of which the first is 1."""
    rows = []
    for path in sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav")):
        x = engines.read(path).astype(np.float64)
        x = x[max(0, int(np.abs(x).argmax()) - 16) :]
        energy = [float((x[i : i + 320] ** 2).sum()) for i in range(0, 320 * 16, 320)]
        rows.append([e / energy[0] for e in energy])
    np.save(config.folder("features") / f"rooms-{folder.name}.npy", np.array(rows, np.float32))


def features(config: Config, corpora: list[Path], noise: list[Path], rooms: list[Path], jobs: int) -> None:
    """Make the features of all that has none yet."""
    settings = config["corpora"]
    out = config.folder("features")
    todo: list[tuple[Callable[[Config, Path], None], Path]] = []
    for folder in [*map(Path, settings["noise"]), *noise]:
        if not (out / f"noise-{folder.name}.npz").exists():
            todo.append((_noise, folder))
    for folder in [*map(Path, settings["rir"]), *rooms]:
        if not (out / f"rooms-{folder.name}.npy").exists():
            todo.append((_rooms, folder))
    for folder in [*map(Path, settings["folders"]), *corpora]:
        if not (out / f"real-{folder.name}.json").exists():
            todo.append((_real, folder))
    for path in sorted(config.folder("clips").glob("*-?????.npz")):
        if not (out / f"{path.stem}.json").exists():
            todo.append((_synthetic, path))
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        pending: list[concurrent.futures.Future[None]] = [pool.submit(make, config, path) for make, path in todo]
        for future in tqdm(concurrent.futures.as_completed(pending), total=len(pending), desc="features", unit="shard"):
            future.result()
