# SPDX-License-Identifier: Apache-2.0
"""Open dictation: a vocabulary and a word n-gram model for the beam search."""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import threading
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pynna import _core
from pynna.decoding.ngram import Ngrams, is_zipped, open_arpa
from pynna.errors import ArgumentError, LanguageModelError, several_texts
from pynna.grammar.normalise import fold, spoken_forms

Tree = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]

OUTSIDE_LOG10 = -1000.0  # log10 of the probability of a word outside the vocabulary: DeepSpeech's
NEWLINE = b"\n"
_CONTEXTS = 1 << 16  # contexts of a stream kept at least since they were last asked for

DEFAULT_ALPHA, DEFAULT_BETA = 0.75, 1.85
"""Weight of a language model, and what each word adds, in nats: DeepSpeech's own."""


class Vocabulary:
    """The words that may be said.

    Parameters
    ----------
    words : iterable of str
        Each once or oftener. One that the labels cannot spell as it stands counts as it is normalised ("Café" is
        "cafe"); where that is no word either, it is left out when a stream begins.

    Raises
    ------
    ArgumentError
        No words, or one that is none: empty or with a space in it.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(dict.fromkeys(several_texts(words, "a vocabulary's words")))
        wrong = next((word for word in self.words if not word or word != "".join(word.split())), None)
        if wrong is not None or not self.words:
            raise ArgumentError("a vocabulary needs words" if wrong is None else f"{wrong!r} is no word")
        self._trees: dict[tuple[str, ...], Tree] = {}

    def __len__(self) -> int:
        return len(self.words)

    def tree(self, labels: Sequence[str]) -> Tree:
        """The words over labels as `_core.Words` takes them, made once; a word's number is its index in ``words``.

        Raises
        ------
        ArgumentError
            The labels can spell no word.
        """
        key = tuple(labels)
        if key not in self._trees:
            self._trees[key] = _tree(self.words, {text: i for i, text in enumerate(key) if text})
        return self._trees[key]


def _tree(words: Iterable[str], index: dict[str, int]) -> Tree:
    children: list[dict[int, int]] = [{}]
    ends = [-1]
    known = tuple(words)
    exact = {word for word in known if index.keys() >= set(word)}
    for number, word in enumerate(known):
        written = word if word in exact else _one_word(word, frozenset(index))
        spelled = [index.get(letter, -1) for letter in written]
        if not written or -1 in spelled or (word not in exact and written in exact):
            continue
        at = 0
        for label in spelled:
            below = children[at].get(label)
            if below is None:
                below = children[at][label] = len(children)
                children.append({})
                ends.append(-1)
            at = below
        ends[at] = number if ends[at] < 0 else ends[at]
    if len(children) == 1:
        raise ArgumentError("the model's labels can spell no word of the vocabulary")
    first = np.zeros(len(children) + 1, np.int32)
    np.cumsum([len(below) for below in children], out=first[1:])
    arc_label = np.array([label for below in children for label in below], np.int32)
    following = np.array([node for below in children for node in below.values()], np.int32)
    return first, arc_label, following, np.array(ends, np.int32)


def _one_word(word: str, letters: frozenset[str]) -> str:
    """A word as it is said, in these letters; empty where it is said as several."""
    forms = (fold(form.strip(), letters) for form in spoken_forms(word))
    return next((form for form in forms if " " not in form), "")


class LanguageModel:
    """A word n-gram model: through KenLM, which the extra `lm` installs, or a small one through `Ngrams`.

    A word adds alpha * ln P(word | words before) + beta to a hypothesis' log-probability, as in DeepSpeech: the first
    word follows ``<s>``, the end of the text is not scored, and a space comes after a whole word alone.

    Parameters
    ----------
    path : path-like or Ngrams
        An ARPA file, also gzipped, or a binary one of KenLM's, for KenLM; or what `Ngrams` has read.
    alpha, beta : float
        The model's weight, and what each word adds, in nats. DeepSpeech's own: 0.75 and 1.85.
    unknown_score : float, optional
        Lets words outside the vocabulary through: what each of them adds besides ``<unk>``'s probability, in nats, 0 or
        less. None forbids them.
    unknown_letter_score : float
        And what each letter of such a word adds behind the first that no known word has, in nats, 0 or less: they are
        spelled where the network is sure, and words do not run into each other.
    vocabulary : iterable of str, optional
        The words that may be said, all of the file's unless given.

    Raises
    ------
    LanguageModelError
        KenLM is not installed, no such file, or none that KenLM reads: an ARPA file's line and word are told. What a
        binary file holds is not checked: take it from where you would take a program from.
    ArgumentError
        A number out of range, or a vocabulary without words.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Ngrams,
        *,
        alpha: float = DEFAULT_ALPHA,
        beta: float = DEFAULT_BETA,
        unknown_score: float | None = None,
        unknown_letter_score: float = 0.0,
        vocabulary: Iterable[str] | None = None,
    ) -> None:
        if not (0.0 <= alpha < math.inf and math.isfinite(beta)):
            raise ArgumentError(f"alpha is {alpha}, beta is {beta}; alpha 0 or more and a finite beta are right")
        if unknown_score is not None and not -math.inf < unknown_score <= 0.0:
            raise ArgumentError(f"unknown_score is {unknown_score}; None, or 0 or less is right")
        if not -math.inf < unknown_letter_score <= 0.0:
            raise ArgumentError(f"unknown_letter_score must be 0 or less, got {unknown_letter_score}")
        self.alpha, self.beta, self.unknown_score = alpha, beta, unknown_score
        self.unknown_letter_score = unknown_letter_score
        self._model: Any
        scorer: _KenLM | Ngrams
        if isinstance(path, Ngrams):
            self.path, self._model, scorer, known = path.path, path, path, iter(path.words)
        else:
            self.path, self._model = Path(path), _load(Path(path))
            scorer, known = _KenLM(self._model), _words(self.path, self._model)
        self.vocabulary = Vocabulary(known if vocabulary is None else vocabulary)
        self._asker = _Asker(scorer, self.vocabulary.words, alpha, beta, unknown_score is not None)

    def __reduce__(self) -> tuple[Any, ...]:
        """An `Ngrams` by what it holds, a file of KenLM's by its path."""
        source = self._model if isinstance(self._model, Ngrams) else self.path
        weights = self.alpha, self.beta, self.unknown_score, self.unknown_letter_score
        return _restore, (source, weights, self.vocabulary.words)

    def __copy__(self) -> LanguageModel:
        return self  # immutable, but for what it remembers

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageModel:
        return self

    @property
    def order(self) -> int:
        """Words that it looks at together, 3 for trigrams."""
        return int(self._model.order)

    def words(self, labels: Sequence[str], space: int, before: Sequence[str] = ()) -> _core.Words:
        """What one stream's search asks, of which the first word follows those `before`.

        Raises
        ------
        ArgumentError
            The labels can spell no word of the vocabulary.
        """
        return _core.Words(
            len(labels),
            space,
            vocabulary=self.vocabulary.tree(labels),
            score=self._asker.after(before),
            most=max(0.0, self.beta),
            outside=-math.inf if self.unknown_score is None else self.unknown_score,
            outside_letter=self.unknown_letter_score,
            unfinished=self.alpha * OUTSIDE_LOG10,
        )


def _restore(
    source: Path | Ngrams, weights: tuple[float, float, float | None, float], words: Sequence[str]
) -> LanguageModel:
    alpha, beta, unknown, letter = weights
    return LanguageModel(
        source, alpha=alpha, beta=beta, unknown_score=unknown, unknown_letter_score=letter, vocabulary=words
    )


class _KenLM:
    """KenLM's model asked as `Ngrams` is."""

    def __init__(self, model: Any) -> None:
        import kenlm

        self._model, self._new_state = model, kenlm.State
        self.start = kenlm.State()
        model.BeginSentenceWrite(self.start)

    def score(self, context: Any, word: str) -> tuple[float, Any]:
        after = self._new_state()
        return self._model.BaseScore(context, word, after), after


class _Asker:
    """Questions of all streams to a language model, answered from memory where they were asked lately.

    Contexts are numbered as they come up. Of those that were not asked for since as many new ones as are kept came up,
    nothing is remembered but that there was one: streams of any length take the same memory."""

    def __init__(self, model: _KenLM | Ngrams, words: Sequence[str], alpha: float, beta: float, unknown: bool) -> None:
        self._model, self._words, self._unknown = model, words, unknown
        self._weight, self._beta = alpha * math.log(10.0), beta
        self._lock = threading.Lock()
        start: Any = model.start
        self._numbers: dict[Any, int] = {start: 0}
        self._states: dict[int, Any] = {0: start}
        self._answers: dict[tuple[int, int], tuple[float, int]] = {}
        self._old_states: dict[int, Any] = {}
        self._n_contexts = 1
        self._start = start

    def after(self, words: Sequence[str]) -> Callable[[int, int], tuple[float, int]]:
        """`ask` of a text that goes on after these words."""
        if not words:
            return self.ask
        state = self._start
        for word in words:
            _, state = self._model.score(state, word)
        with self._lock:
            first = self._number(state)
        return lambda context, word: self.ask(context or first, word)

    def ask(self, context: int, word: int) -> tuple[float, int]:
        """(nats, the context then) of a word after a context."""
        answer = self._answers.get((context, word))
        if answer is None:
            with self._lock:
                answer = self._answers[context, word] = self._score(context, word)
                if len(self._answers) > 8 * _CONTEXTS:
                    self._answers = {}
        return answer

    def _score(self, context: int, word: int) -> tuple[float, int]:
        if word < 0 and not self._unknown:
            return self._beta, 0  # half a word at the end, which costs `unfinished`
        state = self._states.get(context)
        if state is None:
            state = self._states[context] = self._old_states.get(context, self._start)
        log10, after = self._model.score(state, self._words[word] if word >= 0 else "<unk>")
        return self._weight * log10 + self._beta, self._number(after)

    def _number(self, state: Any) -> int:
        number = self._numbers.get(state)
        if number is None or number not in self._states:
            if len(self._states) >= _CONTEXTS:
                self._old_states, self._states, self._numbers, self._answers = self._states, {}, {}, {}
            number = self._n_contexts
            self._n_contexts += 1
            self._numbers[state] = number
            self._states[number] = state
        return number


def _load(path: Path) -> Any:
    try:
        import kenlm
    except ImportError:
        raise LanguageModelError("language models need KenLM: pip install 'pynna[lm]'") from None
    if not path.is_file():
        raise LanguageModelError(f"{path}: no such file")
    is_arpa = _is_arpa(path)
    if is_arpa:
        _check_counts(path)
        with open_arpa(path) as file:
            if file.read(len(BOM_UTF8)) == BOM_UTF8:
                return _load_without_mark(path)
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        if is_arpa:
            raise LanguageModelError(_fault(path, error)) from None
        raise LanguageModelError(f"{path}: no ARPA file and no binary file that KenLM reads") from None


def _load_without_mark(path: Path) -> Any:
    """An ARPA file behind a byte order mark, which KenLM does not take: a copy without it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name.removesuffix(".gz")
        with open_arpa(path) as file, copy.open("wb") as to:
            file.seek(len(BOM_UTF8))
            shutil.copyfileobj(file, to)
        return _load(copy)


def _check_counts(path: Path) -> None:
    """That an ARPA file holds as many n-grams as it promises to: KenLM takes memory for them, whatever their number."""
    size = path.stat().st_size * (1100 if is_zipped(path) else 1)  # deflate's limit is 1032 to 1
    with open_arpa(path) as file:
        for i, line in enumerate(file, 1):
            if line.startswith(b"\\1-grams:"):
                return
            name, equals, count = line.partition(b"=")
            if equals and not (count.strip().isdigit() and int(count) * len(b"-1\ta\n") <= size):
                word = line.decode(errors="replace").strip()[:60]
                raise LanguageModelError(f"{path}:{i}: {word!r}: there is no such number of n-grams in the file")


def _fault(path: Path, error: Exception) -> str:
    """What KenLM complains about in an ARPA file, and in which line."""
    told = error.object.decode("utf-8", "replace") if isinstance(error, UnicodeDecodeError) else str(error)
    reason = re.sub(r"(?s)^Cannot read model '.*?' \(|( in the \d+-gram)?( at byte \d+)? *Byte: \d+.*", "", told)
    reason = re.sub(r"(?s)^.*?Exception( because `.*?')?\.\s", "", reason).partition(". ")[0]
    where, word = f"{path}", ""
    if at := re.search(r"Byte: (\d+)", told):
        with open_arpa(path) as file:
            before = file.read(int(at[1]) - ("parse" not in reason))  # else it is where reading has come to
            line = before.rpartition(NEWLINE)[2] + file.readline()
        where += f":{len(before.split(NEWLINE))}"
        word = f"{line.decode(errors='replace').strip()[:60]!r}: "
    return f"{where}: {word}no ARPA file that KenLM reads: {' '.join(reason.split())}"


def _words(path: Path, model: Any) -> Iterator[str]:
    """The words of a language model file, <s>, </s> and <unk> left out."""
    words = _arpa_words(path) if _is_arpa(path) else _binary_words(path, model)
    return (word for word in words if word not in ("<s>", "</s>", "<unk>", "<UNK>"))


def _is_arpa(path: Path) -> bool:
    with open_arpa(path) as file:
        return b"\\data\\" in file.read(4096)


def _arpa_words(path: Path) -> Iterator[str]:
    r"""The second field of each line between \1-grams: and the next section."""
    with open_arpa(path) as file:
        inside = False
        for line in file:
            if line.startswith(b"\\"):
                if inside:
                    return
                inside = line.startswith(b"\\1-grams:")
            elif inside and (fields := line.split()):
                yield fields[1].decode("utf-8", "replace")


def _binary_words(path: Path, model: Any) -> Iterator[str]:
    """The words at the end of a binary file, each followed by a zero byte, <unk> the first."""
    data = path.read_bytes()
    start = data.rfind(b"<unk>\0")
    words = data[start:].decode("utf-8", "replace").split("\0")[:-1] if start >= 0 else []
    if len(words) < 2 or not all(word in model for word in words[1:100]):
        raise LanguageModelError(f"{path}: this binary file does not hold its words; hand them in as `vocabulary`")
    yield from words
