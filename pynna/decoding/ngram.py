# SPDX-License-Identifier: Apache-2.0
"""Word n-gram models: estimated from one's own text, written to ARPA files, and read from small ones without KenLM."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pynna.errors import ArgumentError, LanguageModelError
from pynna.saving import whole_file

Ngram = tuple[str, ...]
START, END, UNKNOWN = "<s>", "</s>", "<unk>"


def is_zipped(path: Path) -> bool:
    """Whether a file is gzipped."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_arpa(path: Path) -> Any:
    """A file to be read as bytes, unzipped if it is zipped."""
    return gzip.open(path, "rb") if is_zipped(path) else open(path, "rb")


class Ngrams:
    r"""An ARPA file's n-grams in memory, for a `LanguageModel` without KenLM.

    It suits small files: a hundred thousand n-grams take a fifth of a second and a dozen megabytes.

    Attributes
    ----------
    path : Path
    order : int
        Words that it looks at together.
    words : tuple of str
        In the file's order, <s>, </s> and <unk> left out.

    Raises
    ------
    LanguageModelError
        No such file, or a line that an ARPA file can't have: its number is told.
    """

    start = START
    """The context at a text's beginning."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise LanguageModelError(f"{self.path}: no such file")
        self._log10: dict[str, float] = {}
        self._backoff: dict[str, float] = {}
        n, n_lines, promised = 0, 0, {}
        try:
            with open_arpa(self.path) as file:
                for line in file:
                    n_lines += 1
                    text = line.decode("utf-8").strip()
                    if text.startswith("ngram ") and not n:
                        order, _, count = text[6:].partition("=")
                        promised[int(order)] = int(count)
                    elif text == f"\\{n + 1}-grams:" and n < len(promised):
                        n += 1
                    elif text and n and text != "\\end\\":
                        self._read(text, n, len(promised))
        except (ValueError, EOFError, OSError, zlib.error) as error:
            where = f"{self.path}:{n_lines}" if isinstance(error, ValueError) else str(self.path)
            raise LanguageModelError(f"{where}: no line of an ARPA file: {error}") from None
        self.order = len(promised)
        if sum(promised.values()) != len(self._log10) or not n or n != self.order:
            raise LanguageModelError(
                f"{self.path}: no ARPA file, or not all of one: it holds {len(self._log10)} of "
                f"{sum(promised.values())} n-grams"
            )
        self.words = tuple(g for g in self._log10 if " " not in g and g not in (START, END, UNKNOWN, "<UNK>"))

    def _read(self, line: str, n: int, order: int) -> None:
        log10, *words = line.split()
        if len(words) == n + 1 and n < order:
            self._backoff[" ".join(words[:n])] = float(words.pop())
        if len(words) != n:
            raise ValueError(f"{line[:60]!r} has {len(words)} words; {n} are right")
        self._log10[" ".join(words)] = float(log10)

    def score(self, context: str, word: str) -> tuple[float, str]:
        """(log10 of a word's probability after a context, the context then): Katz' backoff, as ARPA files mean it."""
        total = 0.0
        while context and f"{context} {word}" not in self._log10:
            total += self._backoff.get(context, 0.0)
            context = context.partition(" ")[2]
        ngram = f"{context} {word}" if context else word
        if ngram not in self._log10:
            return total + self._log10.get(UNKNOWN, -99.0), ""
        following = ngram.split(" ")[-(self.order - 1) :] if self.order > 1 else []
        return total + self._log10[ngram], " ".join(following)


def write_arpa(sentences: Iterable[str], path: str | os.PathLike[str], order: int = 3, least: int = 1) -> int:
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
    least : int
        Of the highest order, n-grams that are in the text less often are left out.

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
    if least < 1:
        raise ArgumentError(f"least is {least}; 1 or more is right")
    counts = _kneser_ney_counts(_counts(sentences, order))
    counts[-1] = Counter({ngram: count for ngram, count in counts[-1].items() if count >= least})
    probabilities, backoffs = _estimate(counts)
    lines = ["\\data\\", *(f"ngram {n}={len(p)}" for n, p in enumerate(probabilities, 1)), ""]
    for n, ngrams in enumerate(probabilities, 1):
        lines.append(f"\\{n}-grams:")
        for ngram, p in ngrams.items():
            backoff = f"\t{math.log10(backoffs[ngram]):.6f}" if ngram in backoffs else ""
            lines.append(f"{math.log10(p) if p > 0.0 else -99:.6f}\t{' '.join(ngram)}{backoff}")
        lines.append("")
    with whole_file(path) as out:
        out.write("\n".join([*lines, "\\end\\", ""]))
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

        found = {
            ngram: max(count - discount, 0.0) / totals[ngram[:-1]] + weights[ngram[:-1]] * lower(ngram)
            for ngram, count in ngrams.items()
            if ngram != (START,)
        }
        if n == 1:
            found |= {(UNKNOWN,): weights[()] / n_words, (START,): 0.0}
        probabilities.append(found)
    return probabilities, backoffs


def _discount(ngrams: Counter[Ngram]) -> float:
    times = Counter(ngrams.values())
    return times[1] / (times[1] + 2 * times[2]) if times[1] and times[2] else 0.5
