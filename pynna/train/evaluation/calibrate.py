# SPDX-License-Identifier: Apache-2.0
"""Fit what turns a grammar search's scores into a confidence, and choose the priors' exponent: on no test's data.

The development set: sentences drawn from the car's file and sentences outside of it, by neural voices that training
leaves out and by training voices, all of them at another speed so that none is one that training knows, clean and
in noise; and real recordings of the training part, with their phrases as the grammar and against the car's. Sentences
outside of the car's file are also put together to small grammars, in which the confidence learns what a grammar's size
is worth. The default threshold is the lowest that no more than 3 % of the speech outside of the car's file reaches: the
people's, and the voices' clean and in noise down to 10 dB; rescored where the weights leave doubt.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.signal import resample_poly
from tqdm import tqdm

from pynna.decoding import confidence
from pynna.decoding.confidence import FEATURES
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import MAX_PASSES
from pynna.decoding.results import GrammarResult, Result
from pynna.grammar import CAR_GRAMMAR, Grammar
from pynna.model import Model, load
from pynna.train.config import Config
from pynna.train.corpora import testsets
from pynna.train.corpora.corpora import is_test, read_manifest
from pynna.train.corpora.testsets import Clip
from pynna.train.evaluation.recognise import hear_int8
from pynna.train.evaluation.scores import Judge
from pynna.train.text.sampler import Sampler
from pynna.train.voices import engines
from pynna.train.voices.base import RATE, Job, read
from pynna.train.voices.festival import festival
from pynna.train.voices.kokoro import DEVELOPMENT, kokoro
from pynna.train.voices.synthesise import Pcm, trim

F64 = npt.NDArray[np.float64]
LogProbs = npt.NDArray[np.float32]
Heard: TypeAlias = tuple[Clip, LogProbs]
"""A clip and what the network makes of it, [frames, labels]."""
EXPONENTS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RATIOS = (None, 20.0, 10.0, 5.0, 0.0)
SEED = 77


def _speak(config: Config, texts: Sequence[str], rng: random.Random) -> list[Pcm]:
    """By neural voices for development and random training voices, played faster or slower than they were made."""
    settings = config["synthesise"]
    names = ["espeak", "flite", "pico", "festival"] + ["kokoro"] * 2 * (settings["engines"].get("kokoro", 0) > 0)
    spoken: dict[int, Pcm | None] = {}
    batch: list[tuple[int, Job]] = []  # festival starts slowly: all its sentences at once
    for i, text in enumerate(tqdm(texts, desc="development voices")):
        if (name := rng.choice(names)) == "kokoro":
            spoken[i] = kokoro(config.work / settings["kokoro"])(text, rng.getrandbits(32), DEVELOPMENT)
            continue
        _, speak = engines.draw(name, rng)
        if isinstance(speak, tuple):
            batch.append((i, (text, *speak)))
        else:
            spoken[i] = speak(text)
    spoken.update(zip((i for i, _ in batch), festival([job for _, job in batch]), strict=True))
    out = []
    for i in range(len(texts)):
        pcm = spoken[i]
        samples = np.zeros(1600) if pcm is None else trim(pcm).astype(np.float64)
        up = rng.choice((88, 91, 94, 106, 110, 115))
        out.append(np.asarray(np.clip(resample_poly(samples, up, 100), -32768, 32767), np.int16))
    return out


def surroundings(index: int) -> tuple[float, float]:
    """Seconds of its noise, or of silence, before and after a clip: for one of four none."""
    before, after = np.random.default_rng([21, index]).uniform(0.3, 3.0, 2) if index % 4 else (0.0, 0.0)
    return float(before), float(after)


def development(config: Config, car: Grammar, n: int, noises: list[Pcm]) -> tuple[list[Clip], list[Clip]]:
    """n clips of the car's sentences and n of others, a fifth of each clean, the others in noise; made once.

    A clip's source is its condition: ``clean``, ``20 dB``, ...
    """
    path = config.folder("development") / "clips.npz"
    if not path.exists():
        rng = random.Random(SEED)
        sampler = Sampler({**config["text"], "car_share": 0.0})
        texts = [car.sample(rng).text for _ in range(n)] + [sampler.sample(rng) for _ in range(n)]
        pcm = _speak(config, texts, rng)
        np.savez(path, pcm=np.concatenate(pcm), offsets=np.cumsum([0] + [len(p) for p in pcm]), text=np.array(texts))
    with np.load(path) as file:
        pcm, at, texts = file["pcm"], file["offsets"], [str(text) for text in file["text"]]
    clips = []
    for i, text in enumerate(texts):
        clip, ratio = pcm[at[i] : at[i + 1]], RATIOS[i % len(RATIOS)]
        noisy = testsets.noisy(clip, ratio, 9000 + i, noises, surroundings(9000 + i))
        clips.append(Clip("clean" if ratio is None else f"{ratio:g} dB", text, noisy))
    return clips[: len(texts) // 2], [clip for clip in clips[len(texts) // 2 :] if car.parse(clip.text) is None]


def people(config: Config, folders: Sequence[Path], n: int, noises: list[Pcm]) -> list[Clip]:
    """Real recordings of the training part, every second one in noise."""
    rng = random.Random(SEED)
    clips = []
    for folder in folders:
        share = config["corpora"]["test_share"]
        rows = [r for r in read_manifest(folder) if not is_test(r[1], r[0], share) and not r[1].startswith("mimic3")]
        for i, (path, speaker, text) in enumerate(rng.sample(rows, min(n, len(rows)))):
            pcm = read(folder / path)
            if len(pcm) < 10 * RATE:
                ratio = rng.choice((20.0, 10.0, 5.0)) if i % 2 else None
                pcm = testsets.noisy(pcm, ratio, 9500 + i, noises, surroundings(9500 + i // 2))
                clips.append(Clip(speaker.partition(":")[0], text, pcm))
    return clips


def search(
    model: Model, log_probs: Sequence[LogProbs], grammar: Grammar, exponent: float | None = None
) -> list[Result]:
    """What a grammar's search makes of each clip's log-probabilities, in one pass."""
    options = model.decoder_options(grammar=grammar, prior_scale=exponent, passes=1)

    def result(rows: LogProbs) -> Result:
        decoder = Decoder(
            model.labels,
            label_priors=model.label_priors,
            seconds_per_frame=model.seconds_per_step,
            options=options,
        )
        decoder.feed(rows)
        return decoder.finish()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(result, log_probs))


def judged(clips: Sequence[Clip], results: Sequence[Result], judge: Judge) -> list[tuple[GrammarResult, bool]]:
    """Each complete result, and whether it means what was said."""
    return [
        (result, judge.verdict(clip, result, "").right)
        for clip, result in zip(clips, results, strict=True)
        if isinstance(result, GrammarResult) and result.complete
    ]


def small_grammars(model: Model, clips: Sequence[Heard], others: Sequence[Heard]) -> list[tuple[GrammarResult, bool]]:
    """`judged` with grammars of ten, thirty and a hundred of the clips' sentences: these clips, and others."""
    rng, start = random.Random(SEED), 0
    rows: list[tuple[GrammarResult, bool]] = []
    for size in itertools.cycle((10, 30, 100)):
        part = clips[start : start + size]
        if not part:
            return rows
        judge = Judge(Grammar.from_sentences({clip.text for clip, _ in part}))
        strangers = [
            heard
            for heard in rng.sample(list(others), min(2 * size, len(others)))
            if judge.means(heard[0].text) is None
        ]
        for heard in (part, strangers):
            found = search(model, [log_probs for _, log_probs in heard], judge.grammar)
            rows += judged([clip for clip, _ in heard], found, judge)
        start += size
    return rows


def fit(rows: Sequence[tuple[F64, bool]], penalty: float = 1.0) -> F64:
    """Weights of a logistic function of features, the bias first: maximum likelihood, right and wrong counting the same
    in all."""
    x = np.array([[1.0, *features] for features, _ in rows])
    y = np.array([right for _, right in rows], float)
    weight = np.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum()) * len(y)
    scale = np.maximum(np.abs(x).max(axis=0), 1e-9)

    def loss(w: F64) -> float:
        z = (2 * y - 1) * (x / scale @ w)
        return float((weight * np.logaddexp(0, -z)).sum() + penalty * (w[1:] ** 2).sum() * 1e-3)

    found = minimize(loss, np.zeros(x.shape[1]), method="L-BFGS-B")
    return np.asarray(found.x / scale)


def lowest_threshold(false: F64, n: int, most: float = 0.03) -> float:
    """The lowest threshold, in steps of 0.01, that accepts no more than `most` of n recordings outside of a grammar.

    `false` are the confidences of those that a sentence was heard in, [<= n].
    """
    steps = np.arange(1, 100) / 100
    return float(next((t for t in steps if (false >= t).sum() <= most * n), 1.0))


def calibrate(config: Config, path: Path, noise: list[Path], corpora: list[Path]) -> None:
    """Print the constants for `pynna.decoding.confidence`, and how they do on the development set."""
    model, car = load(path), Judge(Grammar.from_yaml(CAR_GRAMMAR))
    noises = [read(file) for folder in noise for file in sorted(folder.glob("*.flac"))]
    inside, outside = development(config, car.grammar, 400, noises)
    real = people(config, corpora, 500, noises)
    phrases = Judge(Grammar.from_sentences({clip.text for clip in real})) if real else None
    strangers = [clip for clip in real if car.means(clip.text) is None]
    usual = [clip for clip in outside if clip.source in ("clean", "20 dB", "10 dB")]
    loud = [clip for clip in outside if clip.source in ("5 dB", "0 dB")]
    log_probs = {
        id(clip): model.log_probs(clip.pcm) for clip in tqdm(inside + outside + real, desc="log-probabilities")
    }
    sets = {
        "car": (inside, car), "outside, down to 10 dB": (usual, car), "outside, 5 and 0 dB": (loud, car),
        "real outside": (strangers, car), **({"real": (real, phrases)} if phrases else {}),
    }  # fmt: skip

    def once(name: str, exponent: float | None = None) -> list[tuple[GrammarResult, bool]]:
        clips, judge = sets[name]
        found = search(model, [log_probs[id(clip)] for clip in clips], judge.grammar, exponent)
        return judged(clips, found, judge)

    names = [name for name in ("car", "real") if name in sets]
    print("exponent | best sentence right, %: " + " | ".join(names))
    for exponent in EXPONENTS:
        rights = [np.mean([right for _, right in once(name, exponent)] or [False]) for name in names]
        print(f"{exponent:g} | " + " | ".join(f"{100 * right:.1f}" for right in rights))
    rows = [row for name in sets for row in once(name)]
    strange = [(clip, log_probs[id(clip)]) for clip in outside]
    rows += small_grammars(model, strange, [(clip, log_probs[id(clip)]) for clip in inside + strangers] + strange)
    weights = fit([(result.features, right) for result, right in rows])
    print(f"BIAS = {weights[0]:.3f}")
    print("WEIGHTS = (" + ", ".join(f"{w:.3f}" for w in weights[1:]) + ")  # " + ", ".join(FEATURES))
    confidence.BIAS, confidence.WEIGHTS = weights[0], tuple(weights[1:])
    heard = {
        name: judged(clips, hear_int8(model, clips, judge.grammar, passes=MAX_PASSES), judge)
        for name, (clips, judge) in sets.items()
    }
    sure = {name: np.array([result.confidence for result, _ in rows]) for name, rows in heard.items()}
    false = np.concatenate([sure["outside, down to 10 dB"], sure["real outside"]])
    print(f"DEFAULT_THRESHOLD = {lowest_threshold(false, len(usual) + len(strangers)):.2f}")
    for name, rows in heard.items():
        right = np.array([verdict for _, verdict in rows], bool)
        shares = [
            f"{t:g}: {100 * (right & (sure[name] >= t)).sum() / max(1, len(rows)):.1f} rightly, "
            f"{100 * (~right & (sure[name] >= t)).sum() / max(1, len(rows)):.1f} wrongly"
            for t in (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8)
        ]
        print(f"{name}: " + "; ".join(shares))
