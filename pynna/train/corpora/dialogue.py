# SPDX-License-Identifier: Apache-2.0
"""Actors' speech out of games that Debian ships: corpora of real people, their texts found by listening.

Flight of the Amazon Queen, Beneath a Steel Sky and Drascula, old adventures that may be given away and changed (all are
in Debian's main section), hold seven hours of dialogue by many voices, with accents, at 11,025 samples a second. Four
free games more have short calls by many voices. A clip's text is what Moonshine hears, or the line of the game's
subtitles that is nearest to that; what is in doubt is left out. It takes the extras ``train`` and ``accuracy``.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import itertools
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from pynna.train.corpora.align import aligner
from pynna.train.parallel import run
from pynna.train.text.sampler import normalise
from pynna.train.voices import base
from pynna.train.voices.synthesise import Pcm, trim

RATE = 11025
SAME_LINE, WORTH_COMPARING, SAME_HEARD = 90.0, 72.0, 95.0
"""Percent of the letters that two texts share: for a subtitle to be what is heard, to be worth a comparison, and for
two passes to be the same."""
SECOND_SPEED = 1.07
"""The second pass is over the clip played this much faster."""

Line = tuple[str, str, Callable[[], Pcm]]
"""Name, speaker (``corpus:name``), and what reads the samples: none where it is no sound."""

PARTS = 16
"""Of a corpus: those that are done are not listened to again when the work goes on after a break."""


def pcm16(x: npt.NDArray[np.float32], rate: int = RATE) -> Pcm:
    """float [n] in -1..1 at `rate` as int16 at 16 kHz, as loud as the real corpora."""
    common = int(np.gcd(base.RATE, rate))
    y = resample_poly(x, base.RATE // common, rate // common)
    return np.asarray(np.clip(y * (0.6 / max(float(np.abs(y).max()), 1e-3)), -1, 1) * 32767, np.int16)


def queen(folder: Path) -> Iterator[Line]:
    """Clips of Flight of the Amazon Queen: MP3 in one archive, by a table of names, places and sizes."""
    for name, data in _queen_files(folder):
        if name.endswith(".SB"):
            joe = name.startswith("JOE") or name[6] == "J"
            scene = name[:4] if name.startswith("C") else name[:2]
            yield name.split(".")[0], f"queen:{'joe' if joe else scene}", functools.partial(_decoded, data)


def _decoded(data: bytes) -> Pcm:
    """Samples of an Ogg or MP3 file."""
    try:
        x, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return np.zeros(0, np.int16)
    return pcm16(x.mean(axis=1), rate)


def _queen_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    data = (folder / "queen.1c").read_bytes()
    if data[:4] != b"QTBL":
        raise ValueError(f"{folder / 'queen.1c'} is no archive of Flight of the Amazon Queen: it must begin with QTBL")
    for i in range(int.from_bytes(data[13:15], "big")):
        name, _, start, size = struct.unpack_from(">12sBII", data, 15 + 21 * i)
        yield name.split(b"\0")[0].decode("ascii"), data[start : start + size]


def queen_subtitles(folder: Path) -> set[str]:
    """Lines of its dialogues; a line is spoken in parts, between marks of an asterisk and two digits."""
    lines: set[str] = set()
    for name, data in _queen_files(folder):
        if name.endswith((".DOG", ".CUT", ".JAS")):
            for line in re.findall(rb"[ -~]{3,}", data):
                for part in re.split(r"\*\d\d", line.decode("ascii")):
                    # its number and its length may stand before it
                    lines.update(part[i:] for i in range(3) if i == 0 or part[i : i + 1].isupper())
    return lines


def sky(folder: Path) -> Iterator[Line]:
    """Clips of Beneath a Steel Sky: packed 8 bit samples in one archive, by a table of numbers, places and sizes."""
    table, data = (folder / "sky.dnr").read_bytes(), (folder / "sky.dsk").read_bytes()
    for i in range(int.from_bytes(table[:4], "little")):
        entry = table[4 + 8 * i : 12 + 8 * i]
        number, place, size = (int.from_bytes(entry[a:b], "little") for a, b in ((0, 2), (2, 5), (5, 8)))
        start = (place & 0x7FFFFF) << 4 if place >> 23 else place
        body = data[start + 22 : start + (size & 0x3FFFFF)]  # after a header of 22 bytes
        if 50000 <= number < 59000 and body[:3] == b"RNC":
            yield str(number), "sky:unknown", functools.partial(_unpacked, body)


def _unpacked(body: bytes) -> Pcm:
    """Samples of a packed file; none of a picture."""
    with tempfile.TemporaryDirectory() as scratch:
        packed, unpacked = Path(scratch, "packed"), Path(scratch, "unpacked")
        packed.write_bytes(body)
        subprocess.run(["ancient", "decompress", packed, unpacked], check=True, capture_output=True)
        return _eight_bits(np.fromfile(unpacked, np.uint8))


def _eight_bits(data: npt.NDArray[np.uint8]) -> Pcm:
    """Samples of unsigned bytes; none where they do not look like a sound's."""
    x = data.astype(np.float32)
    if len(x) < RATE // 4 or abs(x.mean() - 128) > 8 or x.std() < 2:
        return np.zeros(0, np.int16)
    return pcm16((x - x.mean()) / 128)


def drascula(folder: Path) -> Iterator[Line]:
    """Clips of Drascula: files of 8 bit samples, named by who speaks; numbers alone are the hero."""
    for path in sorted((folder / "en").glob("*.ALS")):
        who = re.sub(r"\d.*", "", path.stem).lower() or "hero"
        yield path.stem, f"drascula:{who}", functools.partial(_read, path)


def _read(path: Path) -> Pcm:
    return _eight_bits(np.fromfile(path, np.uint8))


def drascula_subtitles(folder: Path) -> set[str]:
    """Its lines; a letter that is their length may stand before them."""
    found = re.findall(rb"[ -~]{3,}", (folder / "en" / "drascula.dat").read_bytes())
    lines = {line.decode("ascii") for line in found}
    return lines | {line[1:] for line in lines}


CALLS = {
    "warzone2100/base.wz": r"audio/(tutorial|extra|memressp|countdown|vtoltalk|taunts|sequenceaudio|nexus|coltive)/",
    "nexuiz/data/data.pk3": r"sound/(player/[^/]+/coms|announcer/male)/",
    "hedgewars/Data/Sounds/voices": r"(British|Classic|Default|HillBilly|Mobster|Pirate|Russian|Surfer)/",
    "redeclipse/data/sounds/voice": "",
}
"""Folders and archives of games, and how the paths of what people say in them begin."""


def shouts(folder: Path) -> Iterator[Line]:
    """Clips of `CALLS`; a folder of them is a speaker."""
    for place, pattern in CALLS.items():
        source = folder / place
        if not source.exists():
            raise FileNotFoundError(f"{source} is missing: apt-get install {' '.join(GAMES['shouts'].packages)}")
        for path, data in _sounds(source):
            if re.match(pattern, path):
                speaker = f"{place.partition('/')[0]}/{path.rpartition('/')[0]}".strip("/")
                name = re.sub(r"[^a-z0-9]+", "-", f"{speaker}/{Path(path).stem}".lower())
                yield name, f"shouts:{speaker}", functools.partial(_decoded, data)


def _sounds(source: Path) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of the Ogg files of a folder or a zip archive."""
    if source.is_dir():
        for path in sorted(source.rglob("*.ogg")):
            yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    with zipfile.ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".ogg"):
                yield name, archive.read(name)


@dataclass(frozen=True)
class Game:
    """Debian packages, where they put it below /usr/share, and what reads its clips and its subtitles."""

    packages: tuple[str, ...]
    place: str
    clips: Callable[[Path], Iterator[Line]]
    subtitles: Callable[[Path], set[str]] | None = None


GAMES = {
    "queen": Game(("flight-of-the-amazon-queen",), "scummvm/flight-of-the-amazon-queen", queen, queen_subtitles),
    "sky": Game(("beneath-a-steel-sky", "ancient"), "scummvm/beneath-a-steel-sky", sky),
    "drascula": Game(("drascula",), "scummvm/drascula", drascula, drascula_subtitles),
    "shouts": Game(("warzone2100-data", "nexuiz-data", "hedgewars-data", "redeclipse-data"), "games", shouts),
}
"""By corpus."""


class Listener:
    """Finds what is said in a clip: Moonshine, twice where it matters, and the subtitle nearest to what it hears."""

    def __init__(self, subtitles: set[str]) -> None:
        from pynna.train.corpora.peers import Moonshine

        self.moonshine = Moonshine()
        texts = {normalise(line) for line in subtitles}
        self.subtitles = sorted(text for text in texts if len(text) > 3)

    def hear(self, pcm: Pcm) -> str:
        return normalise(self.moonshine(pcm))

    def __call__(self, pcm: Pcm) -> str:
        """The text, empty where it is in doubt."""
        from rapidfuzz import fuzz, process

        heard = self.hear(pcm)
        if not heard:
            return ""
        found = process.extractOne(heard, self.subtitles, scorer=fuzz.ratio, score_cutoff=WORTH_COMPARING)
        if found and found[1] >= SAME_LINE:
            return str(found[0])
        faster = resample_poly(pcm.astype(np.float32), 100, round(100 * SECOND_SPEED))
        again = self.hear(np.asarray(faster.clip(-32768, 32767), np.int16))
        agreed = fuzz.ratio(heard, again) >= SAME_HEARD
        if found and fits(pcm, str(found[0])) > fits(pcm, heard):
            return str(found[0])
        return heard if agreed else ""


def fits(pcm: Pcm, text: str) -> float:
    """Log-probability of a text in a clip, by the network that ships."""
    import torch

    model = aligner()
    labels = torch.tensor([model.labels.index(c) for c in text])
    log_probs = torch.from_numpy(model.log_probs(pcm))
    frames, letters = torch.tensor(len(log_probs)), torch.tensor(len(labels))
    return -float(torch.nn.functional.ctc_loss(
        log_probs, labels, frames, letters, blank=len(model.labels) - 1, reduction="sum"
    ))  # fmt: skip


def _listen(folder: Path, game: Game, source: Path, part: int) -> None:
    """Write the recordings of one of the `PARTS`, and the manifest's rows."""
    listen, rows = Listener(game.subtitles(source) if game.subtitles else set()), []
    for name, speaker, samples in itertools.islice(game.clips(source), part, None, PARTS):
        pcm = trim(samples())
        if len(pcm) >= base.RATE // 4 and (text := listen(pcm)):
            soundfile.write(folder / f"{name}.flac", pcm, base.RATE)
            rows.append(f"{name}.flac\t{speaker}\t{text}\n")
    done = folder / f"part-{part:02}"
    done.with_suffix(".tmp").write_text("".join(rows), encoding="utf-8")
    os.replace(done.with_suffix(".tmp"), done.with_suffix(".tsv"))


def make(output: Path, share: Path, jobs: int = 2) -> None:
    """Write the corpora under `output`, a folder each with a ``manifest.tsv``; what is there already stays.

    `share` is where Debian puts the games: ``/usr/share``.

    Raises
    ------
    FileNotFoundError
        If a game or the unpacker is missing; it says which Debian packages to install.
    ModuleNotFoundError
        If what listens is not installed.
    """
    for module in ("moonshine_voice", "rapidfuzz", "torch"):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"dialogue needs {module}: pip install 'pynna[train,accuracy]'", name=module)
    for corpus, game in GAMES.items():
        folder, source = output / corpus, share / game.place
        if (folder / "manifest.tsv").exists():
            continue
        if not source.exists() or ("ancient" in game.packages and not shutil.which("ancient")):
            raise FileNotFoundError(f"{corpus} needs {source}: apt-get install {' '.join(game.packages)}")
        folder.mkdir(parents=True, exist_ok=True)
        parts = [folder / f"part-{part:02}.tsv" for part in range(PARTS)]
        todo = [(_listen, (folder, game, source, part)) for part in range(PARTS) if not parts[part].exists()]
        run(todo, jobs, corpus)
        rows = "".join(path.read_text(encoding="utf-8") for path in parts)
        (folder / "manifest.tsv").write_text("path\tspeaker\ttext\n" + rows, encoding="utf-8")
