# SPDX-License-Identifier: Apache-2.0
"""The search through a grammar's graph against brute force over all sentences and alignments."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna import _core
from pynna.errors import ArgumentError, ModelFileError, NotFiniteError, PynnaError

N_LABELS, BLANK = 4, 3


def trie(sentences):
    """A graph of these label sequences, as a tree."""
    nodes = [{}]
    final = [False]
    for sentence in sentences:
        s = 0
        for label in sentence:
            if label not in nodes[s]:
                nodes[s][label] = len(nodes)
                nodes.append({})
                final.append(False)
            s = nodes[s][label]
        final[s] = True
    return graph_of(nodes, final)


def graph_of(nodes, final, n_labels=N_LABELS):
    first = np.cumsum([0] + [len(n) for n in nodes]).astype(np.int32)
    labels = np.array([label for n in nodes for label in n], np.int32)
    following = np.array([t for n in nodes for t in n.values()], np.int32)
    return _core.Graph(first, labels, following, np.array(final, np.uint8), 0, n_labels)


def viterbi(rows, sentence):
    """Log-probability of the best alignment of one label sequence: the textbook recursion over blanks and labels."""
    states = [BLANK]
    for label in sentence:
        states += [label, BLANK]
    score = np.full(len(states), -np.inf)
    score[0] = rows[0][BLANK]
    if len(states) > 1:
        score[1] = rows[0][states[1]]
    for row in rows[1:]:
        new = np.full(len(states), -np.inf)
        for j, label in enumerate(states):
            ways = [score[j]]
            if j > 0:
                ways.append(score[j - 1])
            if j > 1 and label != BLANK and label != states[j - 2]:
                ways.append(score[j - 2])
            new[j] = max(ways) + row[label]
        score = new
    return max(score[-1], score[-2] if len(states) > 1 else -np.inf)


words = st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple)
sentences = st.lists(words, min_size=1, max_size=8, unique=True)
seeds = st.integers(0, 2**32 - 1)


def log_probs(seed, n_frames, sharpness=1.5):
    z = np.random.default_rng(seed).normal(0, sharpness, (n_frames, N_LABELS))
    return (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).astype(np.float32)


def decode(graph, rows, n=1, **options):
    options = {"margin": math.inf, **options}
    decoder = _core.GraphDecoder(graph, BLANK, n_best=n, **options)
    decoder.feed(np.ascontiguousarray(rows))
    decoder.finish()
    return decoder


@settings(max_examples=1000, deadline=None)
@given(sentences, seeds, st.integers(1, 14))
def test_scores_and_n_best_equal_brute_force(spoken, seed, n_frames):
    rows = log_probs(seed, n_frames)
    truth = sorted(((viterbi(rows.astype(float), s), s) for s in spoken), reverse=True)
    truth = [(score, s) for score, s in truth if score > -math.inf]
    decoder = decode(trie(spoken), rows, n=8)
    found = decoder.tails(8)
    if not truth:  # too short for any sentence: the beginning of one is told, and that it is no more
        assert not decoder.complete
        return
    assert decoder.complete
    assert [t[0] for t in found] == pytest.approx([score for score, _ in truth], abs=1e-4)
    best = tuple(token[0] for token in found[0][1])
    assert viterbi(rows.astype(float), best) == pytest.approx(truth[0][0], abs=1e-4)
    assert {tuple(t[0] for t in tokens) for _, tokens in found} <= set(spoken)


@settings(max_examples=60, deadline=None)
@given(sentences, seeds)
def test_every_sentence_comes_out_of_its_ideal_probabilities(spoken, seed):
    graph = trie(spoken)
    for sentence in spoken:
        frames = []
        for label in sentence:
            frames += [label] * (1 + seed % 3) + [BLANK]
        rows = np.full((len(frames), N_LABELS), np.log(0.01), np.float32)
        rows[np.arange(len(frames)), frames] = np.log(0.97)
        tokens = decode(graph, rows, margin=30.0).tails(1)[0][1]
        assert tuple(t[0] for t in tokens) == sentence
        assert sum(t[4] for t in tokens) == pytest.approx(0, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(sentences, seeds, st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_chunks_change_nothing_and_losses_add_up(spoken, seed, chunks):
    rows = log_probs(seed, sum(chunks))
    graph = trie(spoken)
    whole = decode(graph, rows, n=3)
    pieces = _core.GraphDecoder(graph, BLANK, n_best=3, margin=math.inf)
    at = 0
    for n in chunks:
        pieces.feed(rows[at : at + n])
        at += n
    pieces.finish()
    assert pieces.tails(3) == whole.tails(3)
    free = rows.max(axis=1).sum(dtype=float)
    assert whole.stats["unconstrained_score"] == pytest.approx(free, abs=1e-4)
    score, tokens = whole.tails(1)[0]
    if tokens and whole.complete:
        assert sum(t[4] for t in tokens) <= free - score + 1e-3


def viterbi_with_filler(rows, sentence, filler_cost, filler_entry_cost):
    """The same where -1 in the sentence is the filler: each frame costs its best label and filler_cost, beginning it
    filler_entry_cost. Filler may follow on filler at once: it has no label to be told apart by."""
    places = [BLANK]
    for label in sentence:
        places += [label, BLANK]
    score, start = np.full(len(places), -np.inf), True
    for row in rows:
        new = np.full(len(places), -np.inf)
        for j, label in enumerate(places):
            entering = [0.0 if start and j <= 1 else -np.inf]
            if not start:
                entering = [score[j - 1]] if j > 0 else [-np.inf]
                if j > 1 and j % 2 and (label != places[j - 2] or label == -1):
                    entering.append(score[j - 2])
            emit = row.max() - filler_cost if label == -1 else row[label]
            new[j] = emit + max(
                -np.inf if start else score[j], max(entering) - (filler_entry_cost if label == -1 else 0.0)
            )
        score, start = new, False
    return max(score[-2:])


with_free = st.lists(st.integers(-1, 2), min_size=1, max_size=4).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(with_free, min_size=1, max_size=6, unique=True),
    seeds,
    st.integers(4, 14),
    st.floats(0, 2),
    st.floats(0, 4),
)
def test_filler_scores_equal_brute_force(spoken, seed, n_frames, filler_cost, filler_entry_cost):
    rows = log_probs(seed, n_frames)
    truth = max(viterbi_with_filler(rows.astype(float), s, filler_cost, filler_entry_cost) for s in spoken)
    decoder = decode(trie(spoken), rows, filler_cost=filler_cost, filler_entry_cost=filler_entry_cost)
    if truth > -math.inf:
        assert decoder.complete
        assert decoder.tails(1)[0][0] == pytest.approx(truth, abs=1e-4)


def test_the_filler_is_heard_as_spelled_and_costs_what_it_should():
    # FILLER 0 FILLER: the word 0 with fillers around it
    graph = graph_of([{-1: 1}, {0: 2}, {-1: 3}, {}], [0, 0, 0, 1])
    spoken = [1, BLANK, 2, 2, BLANK, 0, 0, BLANK, 1, 1]
    rows = np.full((len(spoken), N_LABELS), np.log(0.01), np.float32)
    rows[np.arange(len(spoken)), spoken] = np.log(0.97)
    decoder = decode(graph, rows, filler_cost=0.25, filler_entry_cost=1.0)
    score, tokens = decoder.tails(1)[0]
    assert [t[0] for t in tokens] == [N_LABELS + 1, N_LABELS + 2, 0, N_LABELS + 1]
    # two frames are the word's, and the blanks beside it cost nothing
    assert score == pytest.approx(10 * math.log(0.97) - 2 * 1.0 - 0.25 * 6, abs=1e-3)
    assert decoder.complete


def viterbi_in_noise(rows, sentence, noise_cost):
    """The same where any blank before the first label and after the last may be noise: each run of the frames' best
    labels costs `noise_cost`, and its frames nothing else against the unconstrained path."""
    places = [BLANK]
    for label in sentence:
        places += [label, BLANK]
    best = rows.argmax(axis=1)
    silent = np.full(len(places), -np.inf)  # in a place, at its ends as a blank
    noisy = np.full(len(places), -np.inf)  # at its ends: in a letter of noise
    for t, row in enumerate(rows):
        new, new_noisy = np.full(len(places), -np.inf), np.full(len(places), -np.inf)
        for j, label in enumerate(places):
            ways = [max(silent[j], noisy[j])] if t else [0.0 if j <= 1 else -np.inf]
            if t and j > 0:
                ways.append(max(silent[j - 1], noisy[j - 1]))
            if t and j > 1 and label != BLANK and label != places[j - 2]:
                ways.append(silent[j - 2])
            new[j] = max(ways) + row[label]
            if label == BLANK and j in (0, len(places) - 1) and best[t] != BLANK:
                runs_on = noisy[j] if t and best[t] == best[t - 1] else -np.inf
                new_noisy[j] = max(runs_on, max(ways) - noise_cost) + row.max()
        silent, noisy = new, new_noisy
    return max(silent[-2:].max(), noisy[-1])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), seeds, st.integers(4, 14), st.floats(0, 4))
def test_noise_around_a_sentence_costs_its_letters(spoken, seed, n_frames, noise_cost):
    """Up to what two ways into one place share: the search keeps the better of them, the truth both."""
    rows = log_probs(seed, n_frames)
    truth = viterbi_in_noise(rows.astype(float), spoken, noise_cost)
    silent = decode(trie([spoken]), rows)
    decoder = decode(trie([spoken]), rows, noise_cost=noise_cost)
    if truth > -math.inf:
        score, _, complete, noise_loss, _ = decoder.hypotheses(1)[0]
        assert complete and noise_loss >= -1e-9
        assert silent.tails(1)[0][0] - 1e-4 <= score <= truth + 1e-4
        assert score >= truth - noise_cost - 1e-4


def test_noise_is_no_labels_loss():
    # a letter of noise, a pause, the word 0 1, a pause, two letters of noise
    said = [2, 2, BLANK, 0, 1, BLANK, 2, 1, BLANK]
    rows = np.full((len(said), N_LABELS), np.log(0.001), np.float32)
    rows[np.arange(len(said)), said] = np.log(0.997)
    decoder = decode(trie([(0, 1)]), rows, noise_cost=2.5)
    score, tokens, complete, noise_loss, _ = decoder.hypotheses(1)[0]
    assert complete and [t[0] for t in tokens] == [0, 1]
    assert noise_loss == pytest.approx(3 * 2.5, abs=1e-3)
    assert all(abs(t[4]) < 1e-3 for t in tokens)
    assert decoder.stats["unconstrained_score"] - score == pytest.approx(3 * 2.5, abs=1e-3)


def test_noise_between_words_is_let_through_within_a_word_it_is_not():
    space = 2
    said = [0, BLANK, space, 1, BLANK, 1, BLANK]  # "0 <space> 1" with a letter of noise, 1, before the last
    rows = np.full((len(said), N_LABELS), np.log(0.001), np.float32)
    rows[np.arange(len(said)), said] = np.log(0.997)
    graph = trie([(0, space, 1)])
    assert decode(graph, rows, noise_cost=1.0, space=space).hypotheses(1)[0][3] == pytest.approx(1.0, abs=1e-3)
    within = trie([(0, 2, 1, 1, 0)])
    assert decode(within, rows, noise_cost=1.0, space=-1).hypotheses(1)[0][3] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("wrong", [{"noise_cost": -1.0}, {"noise_cost": float("nan")}, {"space": BLANK}, {"space": 4}])
def test_wrong_noise_options_are_told(wrong):
    with pytest.raises(ArgumentError, match="noise_cost|space"):
        _core.GraphDecoder(trie([(0,)]), BLANK, **wrong)


def test_an_endless_stream_of_filler_takes_constant_room():
    graph = graph_of([{-1: 1}, {0: 2}, {}], [0, 0, 1])
    decoder = _core.GraphDecoder(graph, BLANK)
    rows = log_probs(5, 4000, 4.0)
    heard = []
    for _ in range(30):
        decoder.feed(rows)
        heard.append(len(decoder.committed) + len(decoder.tails(1)[0][1]))
    assert decoder.stats["n_dropped"] == 0
    assert decoder.stats["n_frames"] == 120000
    steps = np.diff(heard)
    assert heard[0] > 500 and steps.min() == steps.max()  # no label was lost on the way
    assert len(decoder.tails(1)[0][1]) < 32768


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_frames_that_no_path_survives_change_nothing(seed):
    """They are passed over, also where records are collected right after one."""
    graph = graph_of([{0: 1}, {1: 0}], [1, 1])
    possible = np.where([True, True, False, True], log_probs(seed, 40000, 3.0), -np.inf).astype(np.float32)
    twice = np.repeat(possible, 2, axis=0)
    twice[1::2] = [-np.inf, -np.inf, 0, -np.inf]

    def heard(rows):
        decoder = decode(graph, rows, n=2, max_active=16)
        assert decoder.committed  # records were collected
        return [[(t[0], *t[3:]) for t in decoder.committed + tail[1]] for tail in decoder.tails(2)]

    assert heard(twice) == heard(possible)


def test_too_little_room_drops_places_and_says_so():
    rng = np.random.default_rng(1)
    graph = trie({tuple(rng.integers(0, 3, 9)) for _ in range(300)})
    rows = log_probs(2, 60)
    full, narrow = decode(graph, rows), decode(graph, rows, max_active=16)
    assert full.stats["n_dropped"] == 0 < narrow.stats["n_dropped"]
    assert narrow.tails(1)[0][0] <= full.tails(1)[0][0]


def test_a_label_bias_is_added_to_every_frame():
    graph = trie([(0,), (1,)])
    rows = np.log(np.array([[0.3, 0.2, 0.1, 0.4]] * 3, np.float32))
    assert [t[0] for t in decode(graph, rows).tails(1)[0][1]] == [0]
    bias = np.array([0, 2, 0, 0], np.float32)
    score, tokens = decode(graph, rows, label_bias=bias).tails(1)[0]
    assert [t[0] for t in tokens] == [1]
    assert score == pytest.approx(3 * (math.log(0.2) + 2), abs=1e-4)


def test_a_graph_survives_its_bytes():
    graph = trie([(0, 1), (2,)])
    again = _core.Graph.from_bytes(graph.to_bytes())
    rows = log_probs(3, 9)
    assert decode(again, rows).tails(1) == decode(graph, rows).tails(1)
    data = graph.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(PynnaError):
            _core.Graph.from_bytes(data[:cut])
    with pytest.raises(ModelFileError):
        _core.Graph.from_bytes(b"no graph" + data[8:])
    for at in itertools.chain(range(8, 24), range(32, len(data) - 4)):  # damage: refused, or another good graph
        damaged = bytearray(data)
        damaged[at] ^= 0x80
        with contextlib.suppress(PynnaError):
            decode(_core.Graph.from_bytes(bytes(damaged)), rows)


@pytest.mark.parametrize(
    ("first", "labels", "following", "final", "start", "message"),
    [
        ([0, 1, 1], [0], [2], [0, 1], 0, "arc_next"),
        ([0, 1, 1], [4], [1], [0, 1], 0, "arc_label"),
        ([0, 1, 1], [-2], [1], [0, 1], 0, "arc_label"),
        ([0, 2, 1], [0], [1], [0, 1], 0, "first_arc"),
        ([0, 1, 2], [0], [1], [0, 1], 0, "first_arc"),
        ([0, 1, 1], [0], [1], [0, 1], 2, "start"),
        ([0, 1], [0], [1], [0, 1], 0, "states"),
    ],
)
def test_wrong_arrays_are_told(first, labels, following, final, start, message):
    with pytest.raises(ArgumentError, match=message):
        _core.Graph(
            np.array(first, np.int32),
            np.array(labels, np.int32),
            np.array(following, np.int32),
            np.array(final, np.uint8),
            start,
            N_LABELS,
        )


def test_wrong_input_is_told_and_nothing_is_lost():
    graph = trie([(0, 1)])
    with pytest.raises(ArgumentError, match="blank"):
        _core.GraphDecoder(graph, 1)  # the blank as a label of the graph
    with pytest.raises(ArgumentError, match="n_best"):
        _core.GraphDecoder(graph, BLANK, n_best=17)
    decoder = _core.GraphDecoder(graph, BLANK)
    rows = log_probs(4, 8)
    decoder.feed(rows[:4])
    with pytest.raises(NotFiniteError):
        decoder.feed(np.full((2, N_LABELS), np.nan, np.float32))
    decoder.feed(rows[4:])
    decoder.finish()
    assert decoder.tails(1) == decode(graph, rows, margin=30.0).tails(1)
    with pytest.raises(PynnaError):
        decoder.feed(rows)


@pytest.mark.parametrize("room", [0, 1, 4, 100])
@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_the_last_frames_are_kept(room, chunk):
    rows = np.log(np.random.default_rng(0).dirichlet(np.ones(N_LABELS), 10)).astype(np.float32)
    decoder = _core.GraphDecoder(trie([(0, 1)]), BLANK, keep_frames=room)
    for i in range(0, len(rows), chunk):
        decoder.feed(rows[i : i + chunk])
        n = min(i + chunk, len(rows))
        first, kept = decoder.kept()
        assert first == max(0, n - room)
        np.testing.assert_array_equal(kept, rows[first:n])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told as Linux does it")
def test_a_search_takes_the_memory_that_it_needs_and_gives_it_back() -> None:
    """Room for 4 * 8 * 4096 records and more is reserved for each search; most of it no utterance needs."""

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    labels = [" ", *"abcdefghijklmnopqrstuvwxyz", "'", ""]
    graph = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR).graph(labels)
    before = resident()
    decoders = [_core.GraphDecoder(graph, len(labels) - 1, n_best=4) for _ in range(20)]
    assert resident() - before < 10
    rows = np.full((5, len(labels)), -5.0, np.float32)
    rows[:, -1] = -0.1
    for decoder in decoders:
        decoder.feed(rows)
    assert resident() - before < 60
    del decoder
    decoders.clear()
    gc.collect()
    assert resident() - before < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked")
def test_a_forked_process_has_a_search_of_its_own() -> None:
    graph = trie([(0,), (1,)])
    decoder = _core.GraphDecoder(graph, BLANK)
    row = np.full((1, graph.n_labels), -9.0, np.float32)
    row[0, 0] = -0.1
    child = os.fork()
    if child == 0:
        decoder.feed(np.repeat(row, 50, 0))
        os._exit(0)
    os.waitpid(child, 0)
    assert decoder.stats["n_frames"] == 0
