# SPDX-License-Identifier: Apache-2.0
"""Writes what firmware has in flash, model.nna, grammar.bin and pcm.bin:

    python pack.py FOLDER [MODEL [SENTENCES [RECORDING]]]

MODEL is a file, or pynna-en-micro, the small one that ships (default: the one for commands). SENTENCES is a
sentence file, or a text file of one sentence a line; RECORDING any file that pynna reads.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

import pynna
from pynna.audio.files import load_audio

HERE = Path(__file__).resolve().parent


def main(folder: Path, model_file: str | None, sentences: Path, recording: Path) -> None:
    """Writes the three files."""
    model = pynna.load(model_file)
    if sentences.suffix == ".txt":
        grammar = pynna.Grammar.from_sentences(sentences.read_text(encoding="utf-8").splitlines())
    else:
        grammar = pynna.Grammar.from_file(sentences)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.path, folder / "model.nna")
    (folder / "grammar.bin").write_bytes(grammar.graph(model.labels).to_bytes())
    (folder / "pcm.bin").write_bytes(np.asarray(load_audio(recording, model.sample_rate).pcm, "<i2").tobytes())


if __name__ == "__main__":
    given = sys.argv[2:] + [""] * 3
    main(
        Path(sys.argv[1]),
        given[0] or None,
        Path(given[1] or HERE / "commands.txt"),
        Path(given[2] or HERE.parents[1] / "pynna" / "recordings" / "increase_the_volume.flac"),
    )
