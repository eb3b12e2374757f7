"""Error rates of an export on voices and people that training never saw."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pynna.mapping.npz import import_npz
from pynna.mapping.weights import Weights
from pynna.model import load
from pynna.reference import context_windows, edit_distance, greedy

from . import engines
from .augment import Sounds, add, level_of, made_noise, recorded_noise
from .config import DATA, Config
from .features import F32, mfcc, spectrum
from .speak import Pcm

SPEEDS = (0.9, 1.0, 1.12)


def commands() -> list[str]:
    """The fixed list of car commands; the first twenty are the twenty."""
    lines = (DATA / "commands.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@dataclass
class Score:
    """Counts of a set of clips."""

    clips: int = 0
    right: int = 0
    characters: int = 0
    character_errors: int = 0
    words: int = 0
    word_errors: int = 0

    def add(self, text: str, heard: str) -> None:
        """Count one clip."""
        self.clips += 1
        self.right += text == heard
        self.characters += len(text)
        self.character_errors += edit_distance(text, heard)
        self.words += len(text.split())
        self.word_errors += edit_distance(text.split(), heard.split())

    def row(self) -> str:
        """Cells of a Markdown table: clips, CER, WER, exactly right."""
        return (
            f"{self.clips} | {100 * self.character_errors / max(1, self.characters):.1f} | "
            f"{100 * self.word_errors / max(1, self.words):.1f} | {100 * self.right / max(1, self.clips):.1f}"
        )


def test_clips(config: Config) -> list[tuple[str, str, Pcm]]:
    """The commands by every test voice at three speeds, in turn: (voice, text, PCM); spoken once and kept."""
    path = config.folder("heldout") / "commands.npz"
    if not path.exists():
        rows, parts = [], []
        for voice in tqdm(engines.TEST_VOICES, desc="test voices"):
            for i, text in enumerate(commands()):
                parts.append(engines.test_voice(text, voice, SPEEDS[i % 3]))
                rows.append((voice, text, len(parts[-1])))
        np.savez(path, pcm=np.concatenate(parts), rows=json.dumps(rows))
    with np.load(path) as file:
        pcm, rows = file["pcm"], json.loads(str(file["rows"]))
    ends = np.cumsum([0] + [n for _, _, n in rows])
    return [(voice, text, pcm[ends[i] : ends[i + 1]]) for i, (voice, text, _) in enumerate(rows)]


def real_clips(config: Config) -> list[tuple[str, str, Pcm]]:
    """The held-out real recordings: (corpus, text, PCM)."""
    clips = []
    for path in sorted(config.folder("heldout").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            audio, speaker, text = line.split("\t")
            clips.append((f"real: {speaker.partition(':')[0]}", text, engines.read(Path(audio))))
    return clips


def noisy(magnitude: F32, snr: float, index: int, sounds: Sounds) -> F32:
    """Spectra with noise at a ratio in dB: recorded for odd indices, made for even ones; always the same one."""
    rng = np.random.default_rng([20, index])
    n = len(magnitude)
    noise = recorded_noise(rng, sounds.noises, n) if index % 2 and sounds.noises else made_noise(rng, n)
    return add(magnitude, noise * np.float32(level_of(magnitude) / level_of(noise) * 10 ** (-snr / 20)), rng)


def hear(weights: Weights, magnitudes: list[F32]) -> list[str]:
    """Greedy transcripts."""
    out: list[str] = [""] * len(magnitudes)
    network = weights.network()
    order = sorted(range(len(magnitudes)), key=lambda i: len(magnitudes[i]))
    for start in range(0, len(order), 48):
        batch = order[start : start + 48]
        features = [mfcc(magnitudes[i], weights.features.upper_hz) for i in batch]
        log_probs = network.run_many([context_windows(f, weights.n_context) for f in features])
        for i, p in zip(batch, log_probs, strict=True):
            out[i] = " ".join(greedy(p, weights.alphabet).split())
    return out


@dataclass(frozen=True)
class HeldOut:
    """What is listened to: the commands by the test voices, then the real recordings."""

    clips: list[tuple[str, str, Pcm]]
    n_synthetic: int

    def lines(self, title: str, heard: list[str]) -> list[str]:
        """A Markdown table: a row for each voice and corpus, and for all of a kind."""
        scores: dict[str, Score] = defaultdict(Score)
        of_twenty: dict[str, Score] = defaultdict(Score)
        twenty = set(commands()[:20])
        for i, ((voice, text, _), hypothesis) in enumerate(zip(self.clips, heard, strict=True)):
            for key in (voice, "all test voices" if i < self.n_synthetic else "all real"):
                scores[key].add(text, hypothesis)
                if text in twenty:
                    of_twenty[key].add(text, hypothesis)
        lines = [f"\n### {title}\n", "| voice | clips | CER % | WER % | right % | of the twenty |", "|---" * 6 + "|"]
        for voice, score in scores.items():
            of = of_twenty[voice]
            lines.append(f"| {voice} | {score.row()} | {f'{of.right}/{of.clips}' if of.clips else ''} |")
        return lines


def hear_mapped(model: Path, clips: list[tuple[str, str, Pcm]], beam_width: int) -> list[str]:
    """Transcripts of the mapped model, as a user gets them."""
    mapped = load(model)
    return [mapped.transcribe(pcm, beam_width=beam_width).text for _, _, pcm in tqdm(clips, desc=f"beam {beam_width}")]


def table(weights: Weights, config: Config, ratios: list[float], model: Path | None) -> list[str]:
    """Lines of the Markdown report: float, greedy, clean and in noise; int8, greedy and by beam, clean."""
    sounds = Sounds.load(config.folder("features"))
    synthetic = test_clips(config)
    clips = synthetic + real_clips(config)
    tests = HeldOut(clips, len(synthetic))
    spectra = [spectrum(pcm) for _, _, pcm in clips]
    heard = hear(weights, spectra)
    wrong = [f"{v}\t{t}\t{h}" for (v, t, _), h in zip(clips, heard, strict=True) if t != h]
    config.folder("export").joinpath("wrong.tsv").write_text("\n".join(wrong))
    lines = tests.lines("clean, float, greedy", heard)
    if model is not None:
        lines += tests.lines("clean, int8, greedy", hear_mapped(model, clips, 0))
        lines += tests.lines("clean, int8, beam 64", hear_mapped(model, clips, 64))
    for snr in ratios:
        heard = hear(weights, [noisy(s, snr, i, sounds) for i, s in enumerate(spectra)])
        lines += tests.lines(f"{snr:g} dB, float, greedy", heard)
    return lines


def evaluate(
    config: Config, weights: Path | None, ratios: list[float], model: Path | None, output: Path | None
) -> None:
    """Print the tables, and write them to `output`."""
    network = import_npz(weights or config.folder("export") / "weights.npz")
    text = "\n".join(table(network, config, ratios, model))
    print(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
