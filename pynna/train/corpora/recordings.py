# SPDX-License-Identifier: Apache-2.0
"""Make the recordings that ship with the package: car commands to try, and varied clips to calibrate a mapping with.

The commands are spoken with settings that training never draws. Real people's clips come only from corpora in the
public domain or under CC BY.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from pynna.train.corpora.corpora import is_test, read_manifest
from pynna.train.voices.base import RATE, read
from pynna.train.voices.espeak import espeak
from pynna.train.voices.festival import festival
from pynna.train.voices.flite import flite
from pynna.train.voices.pico import pico
from pynna.train.voices.synthesise import Pcm, trim

COMMANDS = (
    ("increase the volume", "pico", "en-US", 97, 101),
    ("check battery levels", "pico", "en-GB", 95, 99),
    ("display navigation", "flite", "slt", 1.06, 1.03),
    ("turn on the air conditioning", "pico", "en-GB", 98, 93),
    ("set the temperature to twenty one degrees", "flite", "rms", 1.04, 1.02),
    ("open the window", "pico", "en-US", 94, 107),
    ("play some music", "flite", "slt", 1.1, 0.97),
    ("call home", "pico", "en-GB", 92, 103),
    ("navigate home", "flite", "rms", 1.08, 0.96),
    ("lock the doors", "flite", "rms", 1.1, 1.04),
    ("what time is it", "flite", "slt", 1.02, 1.08),
    ("turn off the headlights", "pico", "en-US", 99, 97),
)
CALIBRATION = (
    ("espeak", "en-us+f3", "navigate to the nearest charging station please"),
    ("espeak", "en-gb-x-rp+m3", "play the next song on my road trip playlist"),
    ("espeak", "en-gb-scotland+klatt4", "how far can i drive with this battery"),
    ("espeak", "en-029+Annie", "the quick brown fox jumps over the lazy dog"),
    ("flite", "awb", "remind me to call julia at half past seven"),
    ("flite", "kal16", "tune to one hundred and three point five"),
    ("flite", "rms", "what is the weather in vancouver tomorrow"),
    ("festival", "cmu_us_slt_arctic_hts", "six four nine zero two eight"),
    ("festival", "ked_diphone", "show me the fastest route to the airport"),
    ("pico", "en-US", "switch off the heated steering wheel"),
    ("pico", "en-GB", "a judge shook his thumb at the young witch"),
)
# Corpora whose licence lets a clip be given on with no more than its name: how many clips of each.
REAL = {"ljspeech_subset": 2, "mycroft_precise_community": 2, "gsc_subset_vinsis": 2}
LEVELS = (1.0, 0.35, 0.7, 0.12, 0.5)  # loud to quiet, in turn


def _speak(engine: str, text: str, voice: str, speed: float = 1.0, pitch: float = 1.0) -> Pcm:
    """One sentence by an engine, at its own scale of speed and pitch."""
    if engine == "espeak":
        return espeak()(text, voice, 150, 50)
    if engine == "flite":
        return flite()(text, voice, speed, pitch)
    if engine == "pico":
        return pico(text, voice, int(speed), int(pitch))
    pcm = festival([(text, voice, speed, 110.0)])[0]
    if pcm is None:
        raise RuntimeError(f"festival did not speak with {voice}")
    return pcm


def _levelled(pcm: Pcm, peak: float) -> Pcm:
    pcm = trim(pcm, 3200)
    return (pcm.astype(np.float64) * (peak * 26000 / max(1, np.abs(pcm.astype(np.int32)).max()))).astype(np.int16)


def make(folder: Path, corpus: Path | None) -> None:
    """Write the recordings and ``manifest.tsv`` into `folder`; real clips from `corpus` if it is given."""
    (folder / "calibration").mkdir(parents=True, exist_ok=True)
    rows = ["path\tspeaker\ttext"]

    def write(name: str, pcm: Pcm, speaker: str, text: str) -> None:
        soundfile.write(folder / name, pcm, RATE, subtype="PCM_16")
        rows.append(f"{name}\t{speaker}\t{text}")

    for text, engine, voice, speed, pitch in COMMANDS:
        name = text.replace(" ", "_") + ".flac"
        write(name, _levelled(_speak(engine, text, voice, speed, pitch), 0.8), f"{engine}:{voice}", text)
    for i, (engine, voice, text) in enumerate(CALIBRATION):
        scale = (100.0, 100.0) if engine == "pico" else (1.0, 1.0)
        pcm = _levelled(_speak(engine, text, voice, *scale), LEVELS[i % len(LEVELS)])
        write(f"calibration/{engine}_{i:02d}.flac", pcm, f"{engine}:{voice}", text)
    if corpus is not None:
        for name, count in REAL.items():
            # Training people only, spread over the corpus, of a second or more.
            mine = [r for r in read_manifest(corpus) if r[0].startswith(name) and not is_test(r[1], r[0], 0.15)]
            chosen = 0
            for path, speaker, text in mine[:: max(1, len(mine) // 12)]:
                pcm = read(corpus / path)
                if chosen < count and 0.9 * RATE < len(pcm) < 4.5 * RATE:
                    write(f"calibration/{name.partition('_')[0]}_{chosen}.flac", pcm, speaker, text)
                    chosen += 1
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
