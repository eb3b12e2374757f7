# SPDX-License-Identifier: Apache-2.0
"""Makes ctc.npz: label probabilities of English sentences, and what two independent CTC decoders read in them.

    pip install numpy pyctcdecode==0.5.0 flashlight-text==0.0.7
    python tests/golden/make_ctc.py

The probabilities are synthetic but as a DeepSpeech network's are: 20 ms frames, short peaks between blanks, letters
that sound alike confused, letters half heard or smeared over two frames, a floor of noise. No language model on either
side.
"""

from pathlib import Path

import numpy as np

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
BLANK = len(ALPHABET)
N_LABELS = BLANK + 1
BEAMS = (16, 64, 500)
STEP = 1 / 16  # nats; log-probabilities are kept as multiples of it in a byte
CONFUSED = {
    "a": "eou", "b": "pdv", "c": "ks", "d": "tb", "e": "iay", "f": "vt", "g": "kj", "h": " ", "i": "eyu", "j": "g",
    "k": "cg", "l": "r ", "m": "n", "n": "m", "o": "au", "p": "b", "q": "k", "r": "l ", "s": "zc", "t": "d ",
    "u": "oaw", "v": "fb", "w": "u", "x": "s", "y": "ie", "z": "s", " ": "'", "'": " ",
}  # fmt: skip
SENTENCES = """
increase the volume
check battery levels
display navigation
call the nearest charging station
set the temperature to twenty one point five degrees
turn off the heated seats on the passenger's side
what's the weather like in edinburgh tomorrow morning
play something by the beatles
open all the windows please
the quick brown fox jumps over the lazy dog
she had your dark suit in greasy wash water all year
don't ask me to carry an oily rag like that
how far is it to the next service area
i'd like to listen to the news at seven
three hundred and forty four miles
no nothing happened in the last five minutes
take me home and avoid the toll roads
it's too bright dim the display a little bit
he was not an ill disposed young man unless to be rather cold hearted is to be ill disposed
all happy families are alike every unhappy family is unhappy in its own way
""".strip().splitlines()


def posteriors(text: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n_frames, N_LABELS] of a spoken text, and the frame [len(text)] in which each letter is spoken."""
    gaps = rng.integers(1, 6, len(text))
    frames = 8 + np.cumsum(gaps + 1)
    weights = rng.gamma(0.15, 1e-3, (frames[-1] + 12, N_LABELS)) + 1e-7
    weights[:, BLANK] += 1.0
    for letter, frame in zip(text, frames, strict=True):
        label, others = ALPHABET.index(letter), [ALPHABET.index(c) for c in CONFUSED[letter]]
        clarity = rng.beta(4.0, 0.6)
        weights[frame] *= max(0.02, 1.0 - clarity)  # half heard: the blank keeps some of it
        weights[frame, label] += clarity * rng.beta(6.0, 0.5)
        weights[frame, others] += rng.dirichlet(np.full(len(others), 0.5)) * rng.beta(0.5, 3.5)
        if rng.random() < 0.5:  # smeared over the frame before or after
            weights[frame + rng.choice([-1, 1])] += rng.uniform(0.1, 0.8) * weights[frame]
    return weights / weights.sum(axis=1, keepdims=True), frames


def to_bytes(probabilities: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(-np.log(probabilities) / STEP), 0, 255).astype(np.uint8)


def from_bytes(quantised: np.ndarray) -> np.ndarray:
    """Log-probabilities float32 [n_frames, N_LABELS], each row's probabilities summing to 1."""
    log_probs = quantised * -STEP
    return (log_probs - np.log(np.exp(log_probs).sum(axis=1, keepdims=True))).astype(np.float32)


def collapse(labels: list[int]) -> str:
    runs = [b for a, b in zip([BLANK, *labels], labels, strict=False) if a != b]
    return "".join(ALPHABET[c] for c in runs if c != BLANK)


def flashlight(log_probs: np.ndarray, beam: int) -> str:
    from flashlight.lib.text import decoder as fl

    options = fl.LexiconFreeDecoderOptions(
        beam_size=beam, beam_size_token=N_LABELS, beam_threshold=1e9, lm_weight=0.0, sil_score=0.0, log_add=True,
        criterion_type=fl.CriterionType.CTC,
    )  # fmt: skip
    search = fl.LexiconFreeDecoder(options, fl.ZeroLM(), N_LABELS, BLANK, [])
    emissions = np.ascontiguousarray(log_probs, np.float32)
    results = search.decode(emissions.ctypes.data, *emissions.shape)
    return collapse(max(results, key=lambda r: r.score).tokens[1:-1])


def pyctcdecode(log_probs: np.ndarray, beam: int) -> str:
    from pyctcdecode import build_ctcdecoder

    search = build_ctcdecoder([*ALPHABET, ""])
    return search.decode(log_probs, beam_width=beam, beam_prune_logp=-1e9, token_min_logp=-1e9)


def main() -> None:
    rng = np.random.default_rng(20190612)
    rows, frames = zip(*(posteriors(text, rng) for text in SENTENCES), strict=True)
    quantised = [to_bytes(p) for p in rows]
    log_probs = [from_bytes(q) for q in quantised]
    read = {
        f"{decode.__name__}_{beam}": np.array([decode(x, beam) for x in log_probs])
        for decode in (flashlight, pyctcdecode)
        for beam in BEAMS
    }
    np.savez_compressed(
        Path(__file__).with_name("ctc.npz"),
        sentences=np.array(SENTENCES),
        alphabet=np.array(ALPHABET),
        n_frames=np.array([len(q) for q in quantised], np.int32),
        quantised=np.concatenate(quantised),
        frames=np.concatenate(frames).astype(np.int32),
        **read,
    )
    for name, texts in read.items():
        print(f"{name}: {sum(a == b for a, b in zip(texts, SENTENCES, strict=True))} of {len(SENTENCES)} as spoken")


if __name__ == "__main__":
    main()
