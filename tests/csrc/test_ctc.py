# SPDX-License-Identifier: Apache-2.0
"""CTC decoding in C, through cffi: against brute force, a plain Python search, and two independent decoders' texts."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ctc.npz"
OK, ARGUMENT, MEMORY, NOT_FINITE, FULL, FINISHED = range(6)
Token = tuple[int, int, int, float]  # label, start, frame, log-probability
Labels = tuple[int, ...]
Rows = NDArray[np.float32]


@dataclass
class Decoder:
    """A beam search and what has been taken from it so far."""

    ffi: Any
    lib: Any
    block: Any
    this: Any
    taken: list[Token] = field(default_factory=list)

    def feed(self, rows: Rows) -> int:
        rows = np.ascontiguousarray(rows, np.float32)
        return self.lib.pynna_ctc_feed(self.this, self.ffi.from_buffer("float[]", rows), len(rows))

    def take(self, at_most: int = 4096) -> list[Token]:
        tokens, n = self.ffi.new("pynna_ctc_token[]", at_most), self.ffi.new("int32_t *")
        assert self.lib.pynna_ctc_take(self.this, at_most, tokens, n) == OK
        new = as_tuples(tokens, n[0])
        self.taken += new
        return new

    def nbest(self, at_most: int = 4096) -> list[tuple[float, list[Token]]]:
        """Scores and tails, best first."""
        hypotheses, n = self.ffi.new("pynna_ctc_hypothesis[]", at_most), self.ffi.new("int32_t[2]")
        sizes = (n, 0, self.ffi.NULL, n + 1)
        status = self.lib.pynna_ctc_nbest(self.this, at_most, hypotheses, *sizes)
        assert status == (MEMORY if n[1] else OK)
        tokens = self.ffi.new("pynna_ctc_token[]", n[1])
        assert self.lib.pynna_ctc_nbest(self.this, at_most, hypotheses, n, n[1], tokens, n + 1) == OK
        return [(h.score, as_tuples(tokens + h.first, h.n_tokens)) for h in hypotheses[0 : n[0]]]

    def whole(self) -> list[tuple[float, Labels]]:
        """Scores and whole label sequences, best first."""
        self.take()
        return [(score, labels_of(self.taken + tail)) for score, tail in self.nbest()]

    def best(self) -> tuple[float, list[Token]]:
        n, score = self.ffi.new("int32_t *"), self.ffi.new("double *")
        status = self.lib.pynna_ctc_best(self.this, 0, self.ffi.NULL, n, score)
        assert status == (MEMORY if n[0] else OK)
        tokens = self.ffi.new("pynna_ctc_token[]", n[0])
        assert self.lib.pynna_ctc_best(self.this, n[0], tokens, n, score) == OK
        return score[0], as_tuples(tokens, n[0])

    def bytes(self) -> bytes:
        return bytes(self.ffi.buffer(self.block))

    @property
    def stats(self) -> Any:
        stats = self.ffi.new("pynna_ctc_stats *")
        assert self.lib.pynna_ctc_get_stats(self.this, stats) == OK
        return stats


def as_tuples(tokens: Any, n: int) -> list[Token]:
    return [(tokens[i].label, tokens[i].start, tokens[i].frame, tokens[i].log_prob) for i in range(n)]


def labels_of(tokens: list[Token]) -> Labels:
    return tuple(token[0] for token in tokens)


Make = Callable[..., Decoder]


@pytest.fixture(scope="session")
def make(ffi: Any, lib: Any, allocate: Callable[[int], Any]) -> Make:
    """make(n_labels, beam=..., ...) builds a decoder; label_bias may be an array."""

    def build(n_labels: int, **options: Any) -> Decoder:
        config = ffi.new("pynna_ctc_config *")
        lib.pynna_ctc_defaults(n_labels, config)
        for name, value in options.items():
            setattr(config, name, ffi.from_buffer("float[]", value) if name == "label_bias" else value)
        size = lib.pynna_ctc_size(config)
        assert size > 0, ffi.string(lib.pynna_ctc_config_error(config)).decode()
        block, out = allocate(size), ffi.new("pynna_ctc **")
        assert lib.pynna_ctc_init(block, size, config, out) == OK
        return Decoder(ffi, lib, block, out[0])

    return build


def log_softmax(x: NDArray[np.float64]) -> Rows:
    return (x - np.log(np.exp(x).sum(axis=1, keepdims=True))).astype(np.float32)


def noisy_rows(n_frames: int, n_labels: int, blank: int, seed: int) -> Rows:
    """Peaks between blanks, some of them blurred, in noise."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n_frames, n_labels))
    logits[:, blank] += 5
    for t in np.flatnonzero(rng.random(n_frames) < 0.4):
        logits[t, rng.integers(n_labels, size=2)] += rng.uniform(3, 9, 2)
    return log_softmax(logits)


# ---- oracles


def log_add(values: list[float]) -> float:
    highest = max(values)
    return highest if math.isinf(highest) else highest + math.log(sum(math.exp(v - highest) for v in values))


def collapse(path: tuple[int, ...], blank: int) -> Labels:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def enumerate_all(rows: Rows, blank: int) -> dict[Labels, float]:
    """The log-probability of every label sequence, by adding up all alignments."""
    ways: dict[Labels, list[float]] = defaultdict(list)
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        ways[collapse(path, blank)].append(sum(float(rows[t, label]) for t, label in enumerate(path)))
    scores = {labels: log_add(values) for labels, values in ways.items()}
    return {labels: score for labels, score in scores.items() if score > -math.inf}


def kept_labels(row: Rows, top_n: int, prob: float) -> list[int]:
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))[:top_n]
    reached = np.cumsum(np.exp(row[order].astype(float)))
    return order[: int(np.searchsorted(reached, prob)) + 1] if prob < 1 else order


def plain_search(
    rows: Rows,
    blank: int,
    beam: int,
    top_n: int = 1000,
    prob: float = 1.0,
    margin: float = math.inf,
    bias: Rows | None = None,
) -> list[tuple[float, Labels]]:
    """Prefix beam search as one writes it down first: a dictionary of prefixes, every extension tried."""
    beams: dict[Labels, tuple[float, float]] = {(): (0.0, -math.inf)}
    for row in rows:
        ways: dict[Labels, tuple[list[float], list[float]]] = defaultdict(lambda: ([-math.inf], [-math.inf]))
        for label in kept_labels(row, top_n, prob):
            p = float(row[label]) + (float(bias[label]) if bias is not None else 0.0)
            for prefix, (ends_blank, ends_label) in beams.items():
                both = log_add([ends_blank, ends_label])
                if label == blank:
                    ways[prefix][0].append(both + p)
                elif prefix and prefix[-1] == label:
                    ways[prefix][1].append(ends_label + p)
                    ways[(*prefix, label)][1].append(ends_blank + p)
                else:
                    ways[(*prefix, label)][1].append(both + p)
        merged = {prefix: (log_add(b), log_add(n)) for prefix, (b, n) in ways.items()}
        best = sorted(merged.items(), key=lambda item: -log_add(list(item[1])))[:beam]
        floor = log_add(list(best[0][1])) - margin
        beams = {prefix: both for prefix, both in best if log_add(list(both)) >= floor and max(both) > -math.inf}
    return sorted(((log_add(list(both)), prefix) for prefix, both in beams.items()), reverse=True)


def forward_score(rows: Rows, blank: int, labels: Labels) -> float:
    """The exact log-probability of a label sequence, by CTC's forward recursion."""
    states = np.array([blank, *itertools.chain.from_iterable((label, blank) for label in labels)])
    skips = np.zeros(len(states), bool)  # from a label to the next one without the blank between them
    skips[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    alpha = np.full(len(states) + 2, -np.inf)  # two impossible states in front
    alpha[1] = 0.0  # the one before the first: it is left in the first frame
    skips[1:2] = True
    for row in rows.astype(np.float64):
        ways = (alpha[2:], alpha[1:-1], np.where(skips, alpha[:-2], -np.inf))
        alpha[2:] = np.logaddexp.reduce(ways) + row[states]
        alpha[1] = -np.inf
        skips[1:2] = False
    return float(np.logaddexp.reduce(alpha[-2:] if labels else alpha[-1:]))


@st.composite
def small_problems(draw: st.DrawFn) -> tuple[Rows, int]:
    """Up to 6 frames of up to 4 labels, impossible ones and ties among them, and the blank's index."""
    n_frames, n_labels = draw(st.integers(0, 6)), draw(st.integers(2, 4))
    value = st.one_of(st.floats(-20, 0, width=32), st.just(-math.inf), st.integers(-3, 0).map(float))
    row = st.lists(value, min_size=n_labels, max_size=n_labels).filter(lambda r: max(r) > -math.inf)
    rows = draw(st.lists(row, min_size=n_frames, max_size=n_frames))
    return np.array(rows, np.float32).reshape(n_frames, n_labels), draw(st.integers(0, n_labels - 1))


# ---- greedy


class Greedy:
    def __init__(self, ffi: Any, lib: Any, n_labels: int, blank: int) -> None:
        self.ffi, self.lib, self.this = ffi, lib, ffi.new("pynna_ctc_greedy *")
        assert lib.pynna_ctc_greedy_init(n_labels, blank, self.this) == OK

    def feed(self, rows: Rows) -> list[Token]:
        tokens, n = self.ffi.new("pynna_ctc_token[]", len(rows)), self.ffi.new("int32_t *")
        data = self.ffi.from_buffer("float[]", np.ascontiguousarray(rows, np.float32))
        assert self.lib.pynna_ctc_greedy_feed(self.this, data, len(rows), tokens, n) == OK
        return as_tuples(tokens, n[0])

    def last(self, call: str) -> list[Token]:
        token, n = self.ffi.new("pynna_ctc_token *"), self.ffi.new("int32_t *")
        assert getattr(self.lib, f"pynna_ctc_greedy_{call}")(self.this, token, n) == OK
        return as_tuples(token, n[0])


def plain_greedy(rows: Rows, blank: int) -> list[Token]:
    path = rows.argmax(axis=1)
    starts = [t for t in range(len(path)) if t == 0 or path[t] != path[t - 1]]
    tokens = []
    for start, end in itertools.pairwise([*starts, len(path)]):
        label = int(path[start])
        frame = start + int(rows[start:end, label].argmax())
        if label != blank:
            tokens.append((label, start, frame, float(rows[frame, label])))
    return tokens


@settings(deadline=None)
@given(problem=small_problems(), cut=st.integers(0, 6))
def test_greedy_equals_a_plain_collapse_in_two_chunks(ffi: Any, lib: Any, problem: tuple[Rows, int], cut: int) -> None:
    rows, blank = problem
    greedy = Greedy(ffi, lib, rows.shape[1], blank)
    first = greedy.feed(rows[:cut])
    assert first + greedy.last("pending") == plain_greedy(rows[:cut], blank)
    assert first + greedy.feed(rows[cut:]) + greedy.last("finish") == plain_greedy(rows, blank)
    assert greedy.this.score == pytest.approx(sum(float(v) for v in rows.max(axis=1)))


def test_greedy_names_bad_input(ffi: Any, lib: Any) -> None:
    greedy, n, token = Greedy(ffi, lib, 3, 2).this, ffi.new("int32_t *"), ffi.new("pynna_ctc_token[8]")
    for values in ([0, math.nan, 0], [0, 0, math.inf], [-math.inf] * 3):
        assert lib.pynna_ctc_greedy_feed(greedy, ffi.new("float[]", values), 1, token, n) == NOT_FINITE
    good = ffi.new("float[]", [-1, -math.inf, -2])
    assert lib.pynna_ctc_greedy_feed(greedy, good, -1, token, n) == ARGUMENT
    assert lib.pynna_ctc_greedy_feed(greedy, ffi.NULL, 1, token, n) == ARGUMENT
    assert lib.pynna_ctc_greedy_feed(ffi.NULL, good, 1, token, n) == ARGUMENT
    assert lib.pynna_ctc_greedy_feed(greedy, good, 1, token, n) == OK
    assert lib.pynna_ctc_greedy_finish(greedy, token, n) == OK
    assert lib.pynna_ctc_greedy_finish(greedy, token, n) == FINISHED
    assert lib.pynna_ctc_greedy_feed(greedy, good, 1, token, n) == FINISHED
    for n_labels, blank in ((1, 0), (65537, 0), (5, 5), (5, -1)):
        assert lib.pynna_ctc_greedy_init(n_labels, blank, greedy) == ARGUMENT


# ---- beam search: the scores


@settings(deadline=None, max_examples=150)
@given(problem=small_problems())
def test_an_unlimited_beam_scores_every_sequence_as_enumeration_does(make: Make, problem: tuple[Rows, int]) -> None:
    rows, blank = problem
    decoder = make(rows.shape[1], blank=blank, beam=1400)
    assert decoder.feed(rows) == OK
    found = decoder.whole()
    expected = enumerate_all(rows, blank)
    assert {labels: score for score, labels in found} == pytest.approx(expected, rel=0, abs=1e-5)
    assert len(found) == len(expected)
    assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "options",
    [
        {"beam": 1},
        {"beam": 3},
        {"beam": 20},
        {"beam": 50, "margin": 6.0},
        {"beam": 20, "top_n": 3},
        {"beam": 20, "prob": 0.97},
        {"beam": 20, "top_n": 4, "prob": 0.99, "margin": 9.0, "biased": True},
    ],
    ids=str,
)
def test_a_narrow_beam_keeps_what_a_plain_search_keeps(make: Make, options: dict[str, Any], seed: int) -> None:
    n_labels, blank, options = 8, 5, dict(options)
    rows = noisy_rows(40, n_labels, blank, seed)
    if options.pop("biased", False):
        options["bias"] = np.random.default_rng(seed).normal(0, 1, n_labels).astype(np.float32)
    names = {"top_n": "cutoff_top_n", "prob": "cutoff_prob", "margin": "score_margin", "bias": "label_bias"}
    decoder = make(n_labels, blank=blank, **{names.get(name, name): value for name, value in options.items()})
    assert decoder.feed(rows) == OK
    found, expected = decoder.whole(), plain_search(rows, blank, **options)
    assert [labels for _, labels in found] == [labels for _, labels in expected]
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-6)


def test_a_banned_label_never_comes_out(make: Make) -> None:
    bias = np.zeros(6, np.float32)
    bias[2] = -np.inf
    decoder = make(6, beam=30, label_bias=bias, cutoff_top_n=1)
    rows = noisy_rows(60, 6, 5, 1)
    rows[:, 2] = 0
    assert decoder.feed(rows) == OK
    assert all(2 not in labels for _, labels in decoder.whole())


def test_a_large_alphabet_gives_the_same_with_and_without_a_cutoff_beyond_the_beam(make: Make) -> None:
    rows = noisy_rows(40, 2000, 0, 4)
    results = []
    for top_n in (100, 2000):
        decoder = make(2000, blank=0, beam=10, cutoff_top_n=top_n)
        assert decoder.feed(rows) == OK
        results.append(decoder.whole()[0])
    assert results[0][1] == results[1][1]
    assert results[0][0] == pytest.approx(results[1][0], abs=0.1)


# ---- beam search: streaming


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 120), max_size=8), beam=st.sampled_from([1, 4, 32]))
def test_any_chunking_leaves_the_same_bytes(make: Make, seed: int, cuts: list[int], beam: int) -> None:
    rows = noisy_rows(120, 10, 9, seed)
    once, pieces = make(10, beam=beam), make(10, beam=beam)
    assert once.feed(rows) == OK
    for a, b in itertools.pairwise([0, *sorted(cuts), 120]):
        assert pieces.feed(rows[a:b]) == OK
    assert once.bytes() == pieces.bytes()


def test_a_partial_result_is_the_result_of_the_frames_so_far(make: Make) -> None:
    rows = noisy_rows(90, 10, 9, 7)
    stream = make(10, beam=16)
    for t in range(len(rows)):
        assert stream.feed(rows[t : t + 1]) == OK
        fresh = make(10, beam=16)
        assert fresh.feed(rows[: t + 1]) == OK
        assert stream.whole() == fresh.whole()
        score, tail = stream.best()
        assert (score, labels_of(stream.taken + tail)) == fresh.whole()[0]


def test_committed_labels_are_final_and_with_the_tail_make_the_whole(make: Make) -> None:
    """A search with room for all, never taken from, and one that is taken from after each frame, a token at a time."""
    rows = noisy_rows(600, 12, 11, 3)
    patient, greedy = make(12, beam=4, n_nodes=64), make(12, beam=4, n_nodes=64, max_frames=40)
    assert patient.feed(rows) == OK
    for t in range(len(rows)):
        assert greedy.feed(rows[t : t + 1]) == OK
        while greedy.take(1):
            pass
    assert len(greedy.taken) > 50
    assert len(greedy.taken) == greedy.stats.n_committed == patient.stats.n_waiting
    tails = greedy.nbest()
    assert tails == patient.nbest()
    assert greedy.taken == patient.take()


def test_a_score_is_at_most_that_of_all_alignments_and_close_to_it(make: Make) -> None:
    rows = noisy_rows(60, 6, 5, 11)
    decoder = make(6, beam=4000)
    assert decoder.feed(rows) == OK
    for score, labels in decoder.whole()[:20]:
        exact = forward_score(rows, 5, labels)
        assert exact - 0.05 < score < exact + 1e-9


def test_a_fork_goes_on_as_the_original(make: Make, ffi: Any) -> None:
    rows = noisy_rows(100, 10, 9, 5)
    original, fork = make(10, beam=16), make(10, beam=16)
    assert original.feed(rows[:50]) == OK
    ffi.memmove(fork.block, original.block, len(original.block))
    assert fork.feed(rows[50:60]) == OK
    assert original.feed(rows[50:]) == OK
    assert fork.feed(rows[60:]) == OK
    assert fork.whole() == original.whole()


def test_a_stream_of_100000_frames_keeps_bounded_memory(make: Make) -> None:
    stream = make(29, beam=16, n_nodes=1024, max_frames=1000)
    rows = noisy_rows(1000, 29, 28, 6)
    most = []
    for _ in range(100):
        assert stream.feed(rows) == OK
        assert stream.feed(rows[:1]) == FULL
        stream.take()
        assert stream.stats.n_waiting == 0
        most.append(stream.stats.most_nodes)
    assert stream.stats.n_frames == 100_000
    assert most[-1] <= 1024
    assert stream.stats.n_forced < 0.05 * stream.stats.n_committed
    assert stream.stats.n_committed == len(stream.taken) > 20_000


def test_a_full_trie_commits_the_oldest_label_by_force(make: Make) -> None:
    """The first label stays undecided for ever, so nothing is ever common to all hypotheses."""
    rows = np.full((3000, 5), -30, np.float32)
    rows[0, :2] = math.log(0.6), math.log(0.4)
    rows[1::2, 4] = 0
    rows[2::2, 2:4] = math.log(0.55), math.log(0.45)
    decoder = make(5, beam=8, n_nodes=64, max_frames=3000)
    assert decoder.feed(rows) == OK
    assert decoder.stats.n_forced > 0
    assert decoder.stats.most_nodes <= 64
    labels = decoder.whole()[0][1]
    assert labels == tuple(int(label) for label in rows.argmax(axis=1) if label != 4)


# ---- beam search: times


def test_times_are_those_of_the_peaks(make: Make) -> None:
    """Two equal labels near each other, a smeared one, a long one: start and peak of each."""
    spoken = {5: (0, 0.9), 7: (0, 0.97), 12: (1, 0.7), 13: (1, 0.95), 14: (1, 0.8), 20: (2, 0.6), 30: (0, 0.8)}
    rows = np.full((60, 4), 1e-4)
    rows[:, 3] = 1
    for t, (label, p) in spoken.items():
        rows[t, [label, 3]] = p, 1 - p
    decoder = make(4, beam=64)
    assert decoder.feed(log_softmax(np.log(rows))) == OK
    times = [token[:3] for token in decoder.take() + decoder.best()[1]]
    assert times == [(0, 5, 5), (0, 7, 7), (1, 12, 13), (2, 20, 20), (0, 30, 30)]


# ---- beam search: independent decoders


@dataclass
class Golden:
    rows: list[Rows]
    spoken: list[str]
    frames: list[NDArray[np.int32]]
    alphabet: str
    texts: dict[str, list[str]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    data = np.load(GOLDEN)
    log_probs = data["quantised"] * (-1 / 16)
    rows = np.split(log_softmax(log_probs), np.cumsum(data["n_frames"])[:-1])
    spoken = [str(s) for s in data["sentences"]]
    frames = np.split(data["frames"], np.cumsum([len(s) for s in spoken])[:-1])
    texts = {k: [str(s) for s in data[k]] for k in data.files if k.startswith(("flashlight", "pyctcdecode"))}
    return Golden(rows, spoken, frames, str(data["alphabet"]), texts)


@pytest.mark.parametrize("beam", [16, 64, 500])
@pytest.mark.parametrize("other", ["flashlight", "pyctcdecode"])
def test_texts_are_as_probable_as_an_independent_decoders(make: Make, golden: Golden, other: str, beam: int) -> None:
    """Mostly the texts are equal. Where several readings are about as probable, a narrow beam is luck for either side;
    judged by the exact probabilities, ours then loses at most once and by little, and at beam 500 never."""
    advantages = []
    for rows, theirs in zip(golden.rows, golden.texts[f"{other}_{beam}"], strict=True):
        decoder = make(29, beam=beam, n_nodes=2**18)
        assert decoder.feed(rows) == OK
        labels = decoder.whole()[0][1]
        other_labels = tuple(golden.alphabet.index(letter) for letter in theirs)
        if labels != other_labels:
            advantages.append(forward_score(rows, 28, labels) - forward_score(rows, 28, other_labels))
    assert len(advantages) <= 0.2 * len(golden.rows)
    assert sum(advantage < 0 for advantage in advantages) <= (0 if beam == 500 else 1)
    assert min(advantages, default=0) > -0.2


def test_letters_are_found_in_the_frames_where_they_were_spoken(make: Make, golden: Golden) -> None:
    """Of letters read right; no letter sits on the one before it."""
    distances, n_letters, n_stuck = [], 0, 0
    for rows, spoken, frames in zip(golden.rows, golden.spoken, golden.frames, strict=True):
        decoder = make(29, beam=500)
        assert decoder.feed(rows) == OK
        tokens = decoder.take() + decoder.best()[1]
        n_letters += len(tokens)
        n_stuck += sum(b[2] <= a[2] for a, b in itertools.pairwise(tokens))
        for label, start, frame, log_prob in tokens:
            at = [f for f, letter in zip(frames, spoken, strict=True) if letter == golden.alphabet[label]]
            distances += [d for d in [min(abs(int(f) - frame) for f in at)] if d < 8] if at else []
            assert start <= frame
            assert log_prob == rows[frame, label]
    assert len(distances) > 0.95 * n_letters > 700
    assert np.mean(np.array(distances) > 0) < 0.01
    assert n_stuck <= 2


def test_forced_commits_cost_a_long_stream_next_to_nothing(make: Make, golden: Golden) -> None:
    rows = np.concatenate(golden.rows)
    texts = []
    for n_nodes in (16 * 64, 2**18):
        decoder = make(29, beam=64, n_nodes=n_nodes)
        assert decoder.feed(rows) == OK
        assert (decoder.stats.n_forced > 0) == (n_nodes == 16 * 64)
        texts.append(decoder.whole()[0][1])
    assert forward_score(rows, 28, texts[0]) > forward_score(rows, 28, texts[1]) - 1


# ---- beam search: bad input


def test_bad_rows_are_named_and_change_nothing(make: Make, ffi: Any, lib: Any) -> None:
    decoder = make(4, beam=4)
    assert decoder.feed(np.full((3, 4), -1)) == OK
    before = decoder.bytes()
    for value in (math.nan, math.inf):
        rows = np.full((2, 4), -1, np.float32)
        rows[1, 3] = value
        assert decoder.feed(rows) == NOT_FINITE
    assert decoder.feed(np.full((1, 4), -np.inf)) == NOT_FINITE
    assert decoder.feed(np.zeros((4097, 4))) == FULL
    assert lib.pynna_ctc_feed(decoder.this, ffi.NULL, 1) == ARGUMENT
    assert lib.pynna_ctc_feed(decoder.this, ffi.NULL, -1) == ARGUMENT
    assert lib.pynna_ctc_feed(ffi.NULL, ffi.NULL, 0) == ARGUMENT
    assert lib.pynna_ctc_feed(decoder.this, ffi.NULL, 0) == OK
    assert decoder.bytes() == before
    assert lib.pynna_ctc_finish(decoder.this) == OK
    assert lib.pynna_ctc_finish(decoder.this) == FINISHED
    assert decoder.feed(np.zeros((1, 4))) == FINISHED
    assert decoder.whole()[0][0] < 0
    assert lib.pynna_ctc_reset(decoder.this) == OK
    assert decoder.feed(np.zeros((1, 4))) == OK


def test_null_pointers_and_negative_counts_are_arguments_errors(make: Make, ffi: Any, lib: Any) -> None:
    this, n, score, null = make(4, beam=4).this, ffi.new("int32_t[2]"), ffi.new("double *"), ffi.NULL
    hypotheses = ffi.new("pynna_ctc_hypothesis[1]")
    assert lib.pynna_ctc_take(null, 0, null, n) == ARGUMENT
    assert lib.pynna_ctc_take(this, 1, null, n) == ARGUMENT
    assert lib.pynna_ctc_take(this, -1, null, n) == ARGUMENT
    assert lib.pynna_ctc_best(this, 0, null, n, null) == ARGUMENT
    assert lib.pynna_ctc_best(this, 0, null, null, score) == ARGUMENT
    assert lib.pynna_ctc_best(null, 0, null, n, score) == ARGUMENT
    assert lib.pynna_ctc_nbest(this, 0, hypotheses, n, 0, null, n + 1) == ARGUMENT
    assert lib.pynna_ctc_nbest(this, 1, null, n, 0, null, n + 1) == ARGUMENT
    assert lib.pynna_ctc_nbest(this, 1, hypotheses, n, -1, null, n + 1) == ARGUMENT
    assert lib.pynna_ctc_get_stats(this, null) == ARGUMENT
    assert lib.pynna_ctc_reset(null) == ARGUMENT
    assert lib.pynna_ctc_finish(null) == ARGUMENT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_labels", 1),
        ("n_labels", 65537),
        ("blank", 29),
        ("blank", -1),
        ("beam", 0),
        ("beam", 4097),
        ("cutoff_top_n", 0),
        ("cutoff_prob", 0.0),
        ("cutoff_prob", 1.1),
        ("cutoff_prob", math.nan),
        ("score_margin", 0.0),
        ("score_margin", math.nan),
        ("n_nodes", 999),
        ("n_nodes", 2**26 + 1),
        ("max_frames", 0),
        ("label_bias", math.nan),
        ("label_bias", math.inf),
    ],
)
def test_a_wrong_configuration_is_explained(ffi: Any, lib: Any, name: str, value: float) -> None:
    config, out, block = ffi.new("pynna_ctc_config *"), ffi.new("pynna_ctc **"), ffi.new("char[64]")
    lib.pynna_ctc_defaults(29, config)
    assert lib.pynna_ctc_config_error(config) == ffi.NULL
    bias = ffi.new("float[29]", [0.0] * 28 + [value])
    setattr(config, name, bias if name == "label_bias" else value)
    assert name in ffi.string(lib.pynna_ctc_config_error(config)).decode()
    assert lib.pynna_ctc_size(config) == 0
    assert lib.pynna_ctc_init(block, 64, config, out) == ARGUMENT


def test_memory_too_small_or_unaligned_is_refused(ffi: Any, lib: Any, allocate: Callable[[int], Any]) -> None:
    config, out = ffi.new("pynna_ctc_config *"), ffi.new("pynna_ctc **")
    lib.pynna_ctc_defaults(29, config)
    size = lib.pynna_ctc_size(config)
    block = allocate(size + 64)
    assert lib.pynna_ctc_init(block, size - 1, config, out) == MEMORY
    assert lib.pynna_ctc_init(block + 8, size, config, out) == MEMORY
    assert lib.pynna_ctc_init(ffi.NULL, size, config, out) == ARGUMENT
    assert lib.pynna_ctc_init(block, size, config, ffi.NULL) == ARGUMENT
    assert lib.pynna_ctc_init(block, size, config, out) == OK
