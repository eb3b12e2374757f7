# SPDX-License-Identifier: Apache-2.0
"""From clips to feature shards: spectra in half precision, with texts and voices; noises and room responses too.

A corpus of real recordings is a folder with a ``manifest.tsv``: path, speaker (``corpus:name``), text.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

from pynna.train.config import Config
from pynna.train.corpora import noises
from pynna.train.corpora.align import cut, score
from pynna.train.corpora.features import BINS, spectrum
from pynna.train.parallel import run
from pynna.train.text.sampler import normalise
from pynna.train.voices.base import RATE, read
from pynna.train.voices.synthesise import Pcm, broken, trim

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
    np.save(temporary, np.concatenate(parts or [np.zeros((1, BINS), np.float16)]))  # an empty file can't be mapped
    os.replace(temporary, folder / f"{name}.npy")
    index = folder / f"{name}.tmp"
    index.write_text(json.dumps(rows))
    os.replace(index, folder / f"{name}.json")  # the index last: a shard without one is not there yet


def degrade(pcm: Pcm, rng: random.Random) -> Pcm:
    """A clip as a bad recorder or line gives it: overdriven, in 8 bits, through a codec, or from a telephone."""
    kind = rng.choice(("clip", "mulaw", "codec", "telephone"))
    x = pcm.astype(np.float32) / max(1.0, float(np.abs(pcm.astype(np.int32)).max()))
    if kind == "clip":
        x = np.clip(x * rng.uniform(1.5, 6.0), -1, 1)
        if rng.random() < 0.5:
            x = np.sin(x * (np.pi / 2))  # a soft knee
    elif kind == "codec":
        file = io.BytesIO()
        soundfile.write(file, 0.9 * x, RATE, format="OGG", subtype="VORBIS", compression_level=1.0)
        file.seek(0)
        x = soundfile.read(file, dtype="float32")[0][: len(x)]
    else:
        if kind == "telephone":
            x = resample_poly(resample_poly(x, 1, 2), 2, 1)[: len(x)]
        x = np.sign(x) * np.round(127 * np.log1p(255 * np.minimum(np.abs(x), 1)) / np.log(256)) / 127  # ITU-T G.711
        x = np.sign(x) * (256 ** np.abs(x) - 1) / 255
    return np.asarray(np.clip(x, -1, 1) * rng.uniform(6000, 32000), np.int16)


def load_clips(path: Path) -> list[tuple[Pcm, str, str]]:
    with np.load(path) as shard:
        pcm, offsets = shard["pcm"], shard["offsets"]
        return [
            (pcm[offsets[i] : offsets[i + 1]], str(text), str(voice))
            for i, (text, voice) in enumerate(zip(shard["text"], shard["voice"], strict=True))
        ]


def _synthetic(config: Config, clips_path: Path) -> None:
    rng, share = random.Random(clips_path.stem), config["features"]["degraded"]
    clips = [
        (degrade(pcm, rng) if rng.random() < share else pcm, text, voice) for pcm, text, voice in load_clips(clips_path)
    ]
    save_features(config.folder("features"), clips_path.stem, clips)


def _babble(config: Config, clips_path: Path) -> None:
    """People who talk at once, as a noise: stretches of 12 s of two to eight voices."""
    voices = [clip for clip, _, _ in load_clips(clips_path)]
    _save_noise(config, "babble", [_together(random.Random(f"babble {i}"), voices, i % 7 + 2) for i in range(40)])


def _together(rng: random.Random, voices: list[Pcm], count: int) -> Pcm:
    """12 s of so many voices at once."""
    total = np.zeros(12 * RATE, np.float32)
    for _ in range(count):
        voice = np.concatenate([rng.choice(voices) for _ in range(12)]).astype(np.float32)
        total += np.resize(voice, len(total)) * rng.uniform(0.3, 1) / max(1.0, float(voice.std()))
    return (total * (1638 / total.std())).clip(-32768, 32767).astype(np.int16)


def _behind(config: Config, folder: Path) -> None:
    """Readers without texts (``untranscribed.tsv``: path, speaker) behind a speaker: babble, and radios over a tune."""
    rows = [line.split("\t")[:2] for line in (folder / "untranscribed.tsv").read_text(encoding="utf-8").splitlines()]
    share = config["corpora"]["test_share"]
    voices = [
        read(folder / path) for path, speaker in rows if (folder / path).exists() and not is_test(speaker, path, share)
    ]
    parts = []
    for i in range(config["noises"]["behind"]):
        rng = np.random.default_rng([config["seed"], 1, i])
        x = _together(random.Random(f"behind {i}"), voices, 3 + i % 6).astype(np.float64)
        if rng.random() < 0.4:
            music = noises.tune(rng, len(x))
            x += music / max(float(music.std()), 1e-9) * x.std() * rng.uniform(0.3, 2.0)
        x = noises.microphone(rng, noises.room(rng, x))
        parts.append(np.asarray(np.clip(x * 1638, -32768, 32767), np.int16))
    _save_noise(config, "behind", parts)


def _made(config: Config, path: Path) -> None:
    """Noises that are synthesised (`noises`): shard `path.name` of a hundred."""
    first, settings = 100 * int(path.name), config["noises"]
    _save_noise(
        config, f"made-{path.name}", [noises.made(config["seed"], first + i, settings["seconds"]) for i in range(100)]
    )


def _save_noise(config: Config, name: str, sounds: list[Pcm]) -> None:
    """Spectra of noises, one after the other."""
    parts = [spectrum(pcm).astype(np.float16) for pcm in sounds]
    np.savez(
        config.folder("features") / f"noise-{name}.npz",
        spectra=np.concatenate(parts), offsets=np.cumsum([0] + [len(p) for p in parts]),
    )  # fmt: skip


def _cut(config: Config, folder: Path) -> None:
    """Pieces of a corpus's long recordings, for training only."""
    settings = config["corpora"]
    rng = random.Random(folder.name)
    clips: list[tuple[Pcm, str, str]] = []
    for path, speaker, text in tqdm(read_manifest(folder), desc=f"{folder.name}, long", unit="clip"):
        if speaker.partition(":")[0] in settings["exclude"] or is_test(speaker, path, settings["test_share"]):
            continue
        pcm = read(folder / path)
        if len(pcm) > settings["longest"] * RATE:
            clips += [(trim(piece), words, speaker) for piece, words in cut(pcm, text, rng, settings["passes"])]
    clips = [clip for clip in clips if not broken(clip[0], clip[1], settings["longest"])]
    save_features(config.folder("features"), f"cut-{folder.name}", clips)


def _real(config: Config, folder: Path) -> None:
    """Feature shards of a corpus's training and test parts, and the list of what was left out."""
    settings = config["corpora"]
    parts: dict[str, list[tuple[Pcm, str, str]]] = {"real": [], "test": []}
    left_out, test_rows = [], []
    for path, speaker, text in tqdm(read_manifest(folder), desc=folder.name, unit="clip"):
        if speaker.partition(":")[0] in settings["exclude"]:
            continue
        pcm = trim(read(folder / path))
        reason = broken(pcm, text, 16.0)
        if not reason and speaker.partition(":")[0] in settings["checked"] and score(pcm, text) < settings["worst"]:
            reason = "another text is heard"
        if reason:
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
    sounds = []
    for path in sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav")):
        x = read(path).astype(np.float32)[: 60 * RATE]
        if len(x) > RATE:
            scale = 0.05 * 32768 / max(1.0, float(np.sqrt((x**2).mean())))
            sounds.append(np.clip(x * scale, -32768, 32767).astype(np.int16))
    _save_noise(config, folder.name, sounds)


def _rooms(config: Config, folder: Path) -> None:
    """Energy of room responses in steps of one frame after the direct sound, of which the first is 1."""
    rows = []
    for path in sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav")):
        x = read(path).astype(np.float64)
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
        if not (out / f"cut-{folder.name}.json").exists():
            todo.append((_cut, folder))
        if (folder / "untranscribed.tsv").exists() and not (out / "noise-behind.npz").exists():
            todo.append((_behind, folder))
    for shard in map(str, range(config["noises"]["hundreds"])):
        if not (out / f"noise-made-{shard}.npz").exists():
            todo.append((_made, Path(shard)))
    spoken = sorted(config.folder("clips").glob("*-?????.npz"))
    for path in spoken:
        if not (out / f"{path.stem}.json").exists():
            todo.append((_synthetic, path))
    if spoken and not (out / "noise-babble.npz").exists():
        todo.append((_babble, spoken[0]))
    run([(make, (config, path)) for make, path in todo], jobs, "features")
