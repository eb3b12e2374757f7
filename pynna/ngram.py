"""A word n-gram model from one's own text, as an ARPA file that `LanguageModel` reads."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pynna.errors import ArgumentError

Ngram = tuple[str, ...]
START, END, UNKNOWN = "<s>", "</s>", "<unk>"


def write_arpa(sentences: Iterable[str], path: str | os.PathLike[str], order: int = 3) -> int:
    """Estimate a model with interpolated Kneser-Ney smoothing and write it.

    Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1999: one discount an order,
    from the numbers of n-grams seen once and twice; n-grams below the highest order count how many words they follow.

    Parameters
    ----------
    sentences : iterable of str
        A sentence each, as it is to be heard: words between spaces, in the labels' letters.
    path : path-like
        The file to write.
    order : int
        Words looked at together, 2 to 6.

    Returns
    -------
    int
        The number of n-grams of all orders.

    Raises
    ------
    ArgumentError
        No words at all, a word that stands for something else (<s>, </s>, <unk>), or an order out of range.
    """
    if not 2 <= order <= 6:
        raise ArgumentError(f"order is {order}; 2 to 6 is right")
    counts = _kneser_ney_counts(_counts(sentences, order))
    probabilities, backoffs = _estimate(counts)
    lines = ["\\data\\", *(f"ngram {n}={len(p)}" for n, p in enumerate(probabilities, 1)), ""]
    for n, ngrams in enumerate(probabilities, 1):
        lines.append(f"\\{n}-grams:")
        for ngram, p in ngrams.items():
            backoff = f"\t{math.log10(backoffs[ngram]):.6f}" if ngram in backoffs else ""
            lines.append(f"{math.log10(p) if p > 0.0 else -99:.6f}\t{' '.join(ngram)}{backoff}")
        lines.append("")
    Path(path).write_text("\n".join([*lines, "\\end\\", ""]), encoding="utf-8")
    return sum(map(len, probabilities))


def _counts(sentences: Iterable[str], order: int) -> list[Counter[Ngram]]:
    """How often each n-gram is there, for n from 1."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = sentence.split()
        wrong = {START, END, UNKNOWN}.intersection(words)
        if wrong:
            raise ArgumentError(f"{wrong.pop()!r} in {sentence[:60]!r} is no word; the model keeps it for itself")
        if words:
            words = [START, *words, END]
            for n in range(1, order + 1):
                counts[n - 1].update(zip(*(words[i:] for i in range(n)), strict=False))
    if not counts[0]:
        raise ArgumentError("the text has no words")
    return counts


def _kneser_ney_counts(counts: list[Counter[Ngram]]) -> list[Counter[Ngram]]:
    """Below the highest order: how many words an n-gram follows; as often as it is there if it begins sentences."""
    modified = [Counter({g: c for g, c in n.items() if g[0] == START}) for n in counts[:-1]]
    for shorter, longer in zip(modified, counts[1:], strict=True):
        shorter.update(ngram[1:] for ngram in longer)
    return [*modified, counts[-1]]


def _estimate(counts: list[Counter[Ngram]]) -> tuple[list[dict[Ngram, float]], dict[Ngram, float]]:
    """Probabilities by order, and the weights that contexts give to the next lower one."""
    probabilities: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    n_words = len(counts[0].keys() - {(START,)}) + 1  # with the unknown one
    for n, ngrams in enumerate(counts, 1):
        discount = _discount(ngrams)
        totals: dict[Ngram, float] = defaultdict(float)
        kinds: Counter[Ngram] = Counter()
        for ngram, count in ngrams.items():
            if ngram != (START,):
                totals[ngram[:-1]] += count
                kinds[ngram[:-1]] += 1
        weights = {context: discount * kinds[context] / totals[context] for context in totals}
        if n > 1:
            backoffs.update(weights)

        def lower(ngram: Ngram, below: Mapping[Ngram, float] = probabilities[-1] if n > 1 else {}) -> float:
            return below[ngram[1:]] if below else 1.0 / n_words

        found = {ngram: max(count - discount, 0.0) / totals[ngram[:-1]] + weights[ngram[:-1]] * lower(ngram)
                 for ngram, count in ngrams.items() if ngram != (START,)}
        if n == 1:
            found |= {(UNKNOWN,): weights[()] / n_words, (START,): 0.0}
        probabilities.append(found)
    return probabilities, backoffs


def _discount(ngrams: Counter[Ngram]) -> float:
    times = Counter(ngrams.values())
    return times[1] / (times[1] + 2 * times[2]) if times[1] and times[2] else 0.5
