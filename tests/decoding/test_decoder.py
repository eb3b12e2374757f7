# SPDX-License-Identifier: Apache-2.0
"""`pynna.Decoder`: from log-probabilities to results, greedy and by beam search."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pynna
from pynna import errors
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.results import Spelling

Array = npt.NDArray[Any]
LABELS = (" ", "a", "b", "ä", "")
BLANK = 4


def frames(path: str, sure: float = 0.9, labels: tuple[str, ...] = LABELS) -> Array:
    """log-probabilities [len(path), n_labels] with a label at each frame, `_` for the blank."""
    rest = (1 - sure) / (len(labels) - 1)
    p = np.full((len(path), len(labels)), rest)
    for t, letter in enumerate(path):
        p[t, len(labels) - 1 if letter == "_" else labels.index(letter)] = sure
    return np.log(p).astype(np.float32)


def decode(log_probs: Array, labels: tuple[str, ...] = LABELS, **options: Any) -> pynna.Result:
    decoder = Decoder(labels, options=DecoderOptions(**options))
    decoder.feed(log_probs)
    return decoder.finish()


def random_frames(n: int, seed: int, n_labels: int = 5, sharpness: float = 3.0) -> Array:
    z = np.random.default_rng(seed).normal(0, sharpness, (n, n_labels))
    return (z - np.log(np.exp(z).sum(1, keepdims=True))).astype(np.float32)


def collapse(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


# ---- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 1, 64])
@pytest.mark.parametrize(
    "path, text",
    [
        ("", ""),
        ("_", ""),
        ("____", ""),
        ("aab", "ab"),
        ("a_ab", "aab"),
        ("__a__b__", "ab"),
        (" a", "a"),
        ("a_ _", "a"),
        ("_ _ a _ _b_ ", "a  b"),
        ("ä_ää", "ää"),
        ("aaaa", "a"),
    ],
)
def test_repeats_are_merged_and_blanks_dropped(width: int, path: str, text: str) -> None:
    assert decode(frames(path), beam_width=width).text == text


def test_the_beam_sums_alignments_that_greedy_does_not() -> None:
    """The textbook's case: "a" has three alignments, each less probable than two blanks."""
    log_probs = np.log(np.array([[0.4, 0.6], [0.4, 0.6]])).astype(np.float32)
    assert decode(log_probs, ("a", ""), beam_width=0).text == ""
    best = decode(log_probs, ("a", ""), beam_width=8, alternatives=3)
    assert best.text == "a"
    assert best.score == pytest.approx(math.log(0.64), abs=1e-6)
    assert [a.text for a in best.alternatives] == ["a", ""]
    assert [math.exp(a.score) for a in best.alternatives] == pytest.approx([0.64, 0.36], abs=1e-6)


def test_letters_of_several_bytes_come_out_whole() -> None:
    labels = ("日", "本", "語", "𐍈", "é", " ", "")
    for width in (0, 16):
        got = decode(frames("日_本__語 𐍈é", labels=labels), labels, beam_width=width)
        assert got.text == "日本語 𐍈é"
        assert [word.text for word in got.words] == ["日本語", "𐍈é"]


def test_the_blank_may_stand_anywhere() -> None:
    decoder = Decoder(("", "a", "b"), blank=0, options=DecoderOptions(beam_width=4))
    decoder.feed(np.log(np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])))
    assert decoder.finish().text == "aab"


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 60),
    width=st.sampled_from([0, 1, 2, 16]),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=8),
)
def test_any_chunking_gives_the_same_result(seed: int, n: int, width: int, cuts: list[int]) -> None:
    log_probs, options = random_frames(n, seed), DecoderOptions(beam_width=width, alternatives=1 if width == 0 else 5)
    whole, parts = (Decoder(LABELS, options=options) for _ in range(2))
    whole.feed(log_probs)
    at = 0
    for cut in itertools.cycle(cuts):
        if at >= n:
            break
        parts.feed(log_probs[at : at + cut])
        parts.result()  # looking on changes nothing
        at += cut
    assert parts.result().as_dict() == whole.result().as_dict()
    assert parts.finish().as_dict() == whole.finish().as_dict()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 5))
def test_scores_of_all_transcripts_are_their_summed_paths_and_add_up_to_one(seed: int, n: int) -> None:
    log_probs = random_frames(n, seed, 3)
    want: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=n):
        probability = math.exp(sum(float(log_probs[t, label]) for t, label in enumerate(path)))
        want[collapse(path, 2)] = want.get(collapse(path, 2), 0.0) + probability
    decoder = Decoder(("a", "b", ""), options=DecoderOptions(beam_width=512, alternatives=100))
    decoder.feed(log_probs)
    got = decoder.finish().alternatives
    assert len(got) == min(100, len(want)) == len({a.text for a in got})
    assert [a.score for a in got] == sorted((a.score for a in got), reverse=True)
    for a in got:
        assert math.exp(a.score) == pytest.approx(want[tuple("ab".index(letter) for letter in a.text)], rel=1e-5)
    if len(want) <= 100:
        assert sum(math.exp(a.score) for a in got) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("alternatives", [1, 2, 7, 100])
def test_there_are_no_more_alternatives_than_asked_for_and_than_there_are(alternatives: int) -> None:
    got = decode(random_frames(40, 3), beam_width=16, alternatives=alternatives)
    assert len(got.alternatives) == min(alternatives, 16)
    assert (got.alternatives[0].text, got.alternatives[0].score) == (got.text, got.score)
    assert decode(frames(""), beam_width=16, alternatives=alternatives).alternatives[0].text == ""


def test_greedy_decoding_has_one_alternative() -> None:
    got = decode(random_frames(40, 3), beam_width=0, alternatives=9)
    assert [a.text for a in got.alternatives] == [got.text]
    assert got.score == pytest.approx(float(random_frames(40, 3).max(1).sum()), rel=1e-6)


# ---- times and confidences -----------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 16])
def test_words_times_and_confidences_are_those_of_their_frames(width: int) -> None:
    p = np.exp(frames("__aa_b__ _ä_", 0.9).astype(np.float64))
    p[3] = [0.01, 0.95, 0.01, 0.01, 0.02]  # the second frame of the a is the stronger one
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=width), seconds_per_frame=0.5)
    decoder.feed(np.log(p))
    first, second = decoder.finish().words
    assert (first.text, first.start, first.end) == ("ab", 1.0, 3.0)  # frames 2 to 5
    assert (second.text, second.start, second.end) == ("ä", 5.0, 5.5)  # frame 10
    assert first.confidence == pytest.approx(math.sqrt(0.95 * 0.9), rel=1e-5)
    assert second.confidence == pytest.approx(0.9, rel=1e-5)


# ---- priors --------------------------------------------------------------------------------------


def test_priors_divide_the_labels_probabilities_by_their_power() -> None:
    log_probs = np.log(np.array([[0.5, 0.4, 0.1]]))
    priors = np.array([0.8, 0.1, 0.1], np.float32)

    def best(exponent: float) -> pynna.Result:
        decoder = Decoder(("a", "b", ""), label_priors=priors, options=DecoderOptions(prior_scale=exponent))
        decoder.feed(log_probs)
        return decoder.finish()

    assert [best(exponent).text for exponent in (0.0, 0.05, 0.2, 1.0)] == ["a", "a", "b", "b"]
    assert best(1.0).score == pytest.approx(math.log(0.4 / 0.1), rel=1e-5)
    assert best(1.0).confidence == pytest.approx(0.4, rel=1e-5)  # of the network, not of the quotient


def test_priors_are_the_same_as_dividing_beforehand() -> None:
    log_probs, priors = random_frames(30, 1), np.array([0.1, 0.3, 0.2, 0.05, 0.35], np.float32)
    options = DecoderOptions(beam_width=32, alternatives=5, prior_scale=0.5)
    decoder = Decoder(LABELS, label_priors=priors, options=options)
    plain = Decoder(LABELS, options=DecoderOptions(beam_width=32, alternatives=5))
    decoder.feed(log_probs)
    plain.feed(log_probs - 0.5 * np.log(priors))
    got, want = decoder.finish(), plain.finish()
    assert [a.text for a in got.alternatives] == [a.text for a in want.alternatives]
    assert [a.score for a in got.alternatives] == pytest.approx([a.score for a in want.alternatives], rel=1e-5)


@pytest.mark.parametrize(
    "priors",
    [
        None,
        [0.5],
        [0.2] * 6,
        [0.2, 0.2, 0.2, 0.2, 0.0],
        [0.2, 0.2, 0.2, 0.2, -0.2],
        [0.2, 0.2, 0.2, 0.2, float("nan")],
        [[0.2] * 5],
    ],
)
def test_priors_that_are_none_are_refused(priors: Any) -> None:
    with pytest.raises(errors.ArgumentError, match="label_priors"):
        Decoder(LABELS, label_priors=priors, options=DecoderOptions(prior_scale=0.5))


def test_greedy_decoding_does_not_ignore_priors_silently() -> None:
    with pytest.raises(errors.ArgumentError, match="prior_scale needs a beam"):
        DecoderOptions(beam_width=0, prior_scale=0.5)


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 8])
@pytest.mark.parametrize("n", [1, 70, 5000])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_frames_that_are_not_finite_are_refused_whole(width: int, n: int, bad: float) -> None:
    """Also when they are so many that they go to the core in parts."""
    decoder, log_probs = Decoder(LABELS, options=DecoderOptions(beam_width=width)), random_frames(n, 0)
    decoder.feed(frames("ab"))
    before = decoder.result().as_dict()
    log_probs[-1, 2] = bad
    with pytest.raises(errors.NotFiniteError, match=f"frame {n - 1}"):
        decoder.feed(log_probs)
    log_probs[-1] = -math.inf  # all labels impossible
    with pytest.raises(errors.NotFiniteError, match=f"frame {n - 1}"):
        decoder.feed(log_probs)
    assert decoder.result().as_dict() == before
    decoder.feed(frames("_a"))
    assert decoder.finish().text == "aba"


@pytest.mark.parametrize("width", [0, 8])
def test_a_probability_of_zero_is_no_error(width: int) -> None:
    log_probs = np.full((3, 5), -math.inf)
    log_probs[[0, 1, 2], [1, 4, 2]] = 0.0
    assert decode(log_probs, beam_width=width).text == "ab"


@pytest.mark.parametrize("shape", [(5,), (2, 4), (2, 6), (1, 2, 5), (3, 0)])
@pytest.mark.parametrize("width", [0, 8])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...], width: int) -> None:
    with pytest.raises(errors.ArgumentError, match="log_probs|labels"):
        Decoder(LABELS, options=DecoderOptions(beam_width=width)).feed(np.zeros(shape))


@pytest.mark.parametrize("width", [0, 8])
def test_after_finish_nothing_is_taken_and_the_result_stays(width: int) -> None:
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=width))
    decoder.feed(frames("ab"))
    first = decoder.finish().as_dict()
    with pytest.raises(errors.FinishedError):
        decoder.feed(frames("a"))
    assert first == decoder.finish().as_dict() == decoder.result().as_dict()


@pytest.mark.parametrize("labels, blank", [((), None), (("",), None), (("a", ""), 2), (("a", ""), -1)])
@pytest.mark.parametrize("width", [0, 8])
def test_too_few_labels_and_a_blank_that_is_none_are_refused(
    labels: tuple[str, ...], blank: int | None, width: int
) -> None:
    with pytest.raises(errors.ArgumentError):
        Decoder(labels, blank=blank, options=DecoderOptions(beam_width=width))


# ---- what a partial result costs -----------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 32])
def test_a_partial_result_costs_the_same_after_an_hour(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in labels spelled, tails and bytes, not in seconds: the committed part is never copied."""
    spelled: list[int] = []
    text = Spelling.text

    def counting(self: Spelling, tokens: Any) -> str:
        spelled.append(len(tokens))
        return text(self, tokens)

    monkeypatch.setattr(Spelling, "text", counting)
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=width))
    second = frames("aa_b_ ä__a_b_a_ _ab_b" + "_" * 29, 0.8)

    def partial() -> tuple[int, int, int]:
        """Labels spelled, tokens in the tails, bytes allocated at once when nothing is new."""
        spelled.clear()
        result = decoder.result()
        n_spelled = sum(spelled)
        assert result._committed is decoder.core.committed
        tracemalloc.start()
        decoder.result()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return n_spelled, sum(len(tail) for _, tail in result._tails), peak

    costs = []
    for minute in range(60):
        for _ in range(60 if minute in (1, 58) else 59):
            decoder.feed(second)
            if minute in (1, 58):
                costs.append(partial())
    early, late = (np.max(costs[part], axis=0) for part in (slice(1, 60), slice(61, None)))
    assert len(decoder.core.committed) > 30000
    assert (late[:2] <= 2 * early[:2]).all()  # a label or two hang on ties
    assert late[2] < 2 * early[2] < 36000


def test_labels_told_once_are_never_taken_back() -> None:
    decoder, texts = Decoder(LABELS, options=DecoderOptions(beam_width=8)), []
    for frame in random_frames(300, 9, sharpness=2.0):
        decoder.feed(frame[None])
        decoder.result()
        texts.append(decoder._committed_text)
    assert len(texts[-1]) > 20
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
