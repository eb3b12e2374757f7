# SPDX-License-Identifier: Apache-2.0
"""festival, many sentences in one run."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pynna.train.voices.base import Job, Pcm, read


def festival(jobs: list[Job]) -> list[Pcm | None]:
    """Speak many in one run (f0 only counts with diphone voices); None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        script = []
        for i, (text, voice, stretch, f0) in enumerate(jobs):
            script.append(f"(voice_{voice})(Parameter.set 'Duration_Stretch {stretch:.3f})")
            if voice.endswith("diphone"):
                script.append(
                    f"(set! int_lr_params '((target_f0_mean {f0:.1f}) (target_f0_std {f0 * 0.13:.1f})"
                    " (model_f0_mean 170) (model_f0_std 34)))"
                )
            spoken = f'(utt.wave.resample (utt.synth (Utterance Text "{text}")) 16000)'
            script.append(f'(utt.save.wave {spoken} "{folder}/{i}.wav" \'riff)')
        path = Path(folder, "script.scm")
        path.write_text("\n".join(script))
        subprocess.run(["festival", "-b", str(path)], capture_output=True, check=False)
        return [read(p) if (p := Path(folder, f"{i}.wav")).exists() else None for i in range(len(jobs))]
