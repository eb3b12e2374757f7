# SPDX-License-Identifier: Apache-2.0
"""clients.npz: what the real clients of DeepSpeech make of a model's posteriors, without a scorer.

    python make_clients.py POSTERIORS.npz 0.5=RESULTS.json 0.6=... 0.7=... 0.9=...

POSTERIORS.npz holds float32 [frames, 29] of each clip, by pynna's float reference from the model file that the client
was given (`python -m bench clients` writes both); RESULTS.json the clients' best hypothesis, {clip: [[text, frames,
number], ...]}. Five short clips are kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

CLIPS = 5
HERE = Path(__file__).parent


def main(posteriors: str, *results: str) -> None:
    probs = np.load(posteriors)
    told = {name: json.loads(Path(path).read_text())["res"] for name, path in (r.split("=") for r in results)}
    common = set.intersection(*(set(clips) for clips in told.values()))
    chosen = sorted(sorted(common), key=lambda clip: (len(told["0.9"][clip][0][0]) < 8, len(probs[clip])))[:CLIPS]
    saved = {f"probs {clip}": probs[clip] for clip in chosen}
    saved["told"] = np.array(json.dumps({name: {c: clips[c][0] for c in chosen} for name, clips in told.items()}))
    np.savez_compressed(HERE / "clients.npz", **saved)


if __name__ == "__main__":
    main(*sys.argv[1:])
