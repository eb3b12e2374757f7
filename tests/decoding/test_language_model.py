# SPDX-License-Identifier: Apache-2.0
"""N-gram language models in the beam search, against sums over all paths and KenLM's own sentence scores."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pynna
from pynna import errors
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions

kenlm = pytest.importorskip("kenlm")

LABELS = (" ", "a", "b", "")
ARPA = r"""\data\
ngram 1=6
ngram 2=5
ngram 3=2

\1-grams:
-1.5	<unk>	0
-99	<s>	-0.4
-1.1	</s>
-0.5	a	-0.3
-0.9	ab	-0.2
-1.2	b	-0.1

\2-grams:
-0.3	<s> b	-0.2
-0.6	a ab	-0.1
-0.2	b a	-0.15
-0.7	ab b
-0.4	ab </s>

\3-grams:
-0.1	<s> b a
-0.05	b a ab

\end\
"""


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "three.arpa"
    path.write_text(ARPA)
    return path


def random_frames(n: int, seed: int) -> npt.NDArray[Any]:
    z = np.random.default_rng(seed).normal(0, 2, (n, len(LABELS)))
    return (z - np.log(np.exp(z).sum(1, keepdims=True))).astype(np.float32)


def texts_of(frames: npt.NDArray[Any]) -> dict[str, float]:
    blank, scores = len(LABELS) - 1, dict[str, float]()
    for path in itertools.product(range(len(LABELS)), repeat=len(frames)):
        text = "".join(LABELS[k] for k, _ in itertools.groupby(path) if k != blank)
        score = float(sum(frames[t, k] for t, k in enumerate(path)))
        scores[text] = np.logaddexp(scores.get(text, -math.inf), score)
    return scores


def decode(frames: npt.NDArray[Any], lm: pynna.LanguageModel, **options: Any) -> pynna.Result:
    decoder = Decoder(LABELS, options=DecoderOptions(beam_width=4096, language_model=lm, alternatives=100, **options))
    decoder.feed(frames)
    return decoder.finish()


def words_score(model: Any, text: str, alpha: float, beta: float, unknown: float = 0.0) -> float:
    """What a language model adds to a whole text, by KenLM's own walk through a sentence."""
    scores = list(model.full_scores(text, bos=True, eos=False)) if text else []
    return sum(alpha * math.log(10) * log10 + beta + (unknown if oov else 0.0) for log10, _, oov in scores)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 2), st.floats(-1, 2))
def test_scores_are_the_paths_and_the_words(arpa: Path, seed: int, alpha: float, beta: float) -> None:
    lm = pynna.LanguageModel(arpa, alpha=alpha, beta=beta)
    model, vocabulary = kenlm.Model(str(arpa)), {"a", "ab", "b"}
    frames = random_frames(6, seed)
    expected = dict[str, float]()
    for text, score in texts_of(frames).items():
        if text == "" or all(word in vocabulary for word in text.removesuffix(" ").split(" ")):
            total = score + words_score(model, text.strip(), alpha, beta)
            expected[text.strip()] = max(total, expected.get(text.strip(), -math.inf))
    found = [h for h in decode(frames, lm).alternatives if h.text in expected]
    best = max(expected, key=lambda text: expected[text])
    assert found[0].text == best
    assert found[0].score == pytest.approx(expected[best], abs=1e-3)


def test_words_outside_the_vocabulary(arpa: Path) -> None:
    frames = np.log(np.array([[0.01, 0.01, 0.97, 0.01], [0.01, 0.97, 0.01, 0.01]], np.float32))  # "ba"
    assert decode(frames, pynna.LanguageModel(arpa, alpha=0.1, beta=0)).text in ("a", "b")
    lm = pynna.LanguageModel(arpa, alpha=0.1, beta=0.5, unknown_score=-0.25)
    heard = decode(frames, lm)
    path = texts_of(frames)["ba"]
    assert heard.text == "ba"
    assert heard.score == pytest.approx(path + words_score(kenlm.Model(str(arpa)), "ba", 0.1, 0.5, -0.25), abs=1e-4)
    assert decode(frames, pynna.LanguageModel(arpa, vocabulary=["ab", "ba"], alpha=0.1)).text == "ba"


def test_zipped_and_plain_are_one(arpa: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "three.arpa.gz"
    zipped.write_bytes(gzip.compress(arpa.read_bytes()))
    lm = pynna.LanguageModel(zipped)
    assert (lm.order, sorted(lm.vocabulary.words)) == (3, ["a", "ab", "b"])
    frames = random_frames(20, 7)
    assert decode(frames, lm).score == decode(frames, pynna.LanguageModel(arpa)).score


@pytest.mark.parametrize("kind", ["probing", "trie"])
def test_binary_files_are_the_arpa_files(arpa: Path, kind: str) -> None:
    # KenLM's build_binary made it of the ARPA file
    binary = Path(__file__).parents[1] / "golden" / f"three.{kind}.binary"
    lm, text = pynna.LanguageModel(binary), pynna.LanguageModel(arpa)
    assert (lm.order, sorted(lm.vocabulary.words)) == (3, ["a", "ab", "b"])
    for seed in range(5):
        frames = random_frames(20, seed)
        found, expected = decode(frames, lm), decode(frames, text)
        assert (found.text, found.score) == (expected.text, pytest.approx(expected.score, abs=1e-4))


def test_contexts_forgotten_and_asked_again(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = random_frames(400, 3)
    lm = pynna.LanguageModel(arpa)
    expected = decode(
        frames,
        lm,
    )
    monkeypatch.setattr("pynna.decoding.language_model._CONTEXTS", 16)
    again = decode(frames, lm)
    assert (again.text, again.score) == (expected.text, pytest.approx(expected.score))


def test_hot_words_beside_a_language_model(arpa: Path) -> None:
    frames = np.log(np.array([[0.02, 0.48, 0.48, 0.02]], np.float32))
    lm = pynna.LanguageModel(arpa)
    assert decode(frames, lm).text == "b"  # it begins sentences
    assert decode(frames, lm, hot_words={"a": 3.0}).text == "a"


def test_wrong_language_models(arpa: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.LanguageModelError, match="no such file"):
        pynna.LanguageModel(tmp_path / "none.arpa")
    broken = tmp_path / "broken.arpa"
    for content in ("hello", ARPA[:200], ARPA.replace("ngram 1=6", "ngram 1=x"), ""):
        broken.write_text(content)
        with pytest.raises(errors.LanguageModelError, match="broken.arpa"):
            pynna.LanguageModel(broken)
    for right, wrong_text, message in (
        ("ngram 1=6", "ngram 1=-6", r":2: 'ngram 1=-6': there is no such number"),
        ("ngram 1=6", "ngram 1=99999999", ":2: 'ngram 1=99999999'"),
        ("-0.2\tb a", "x0.2\tb a", ":17: 'x0.2.*Could not parse"),
        ("-0.2\tb a\t", "-0.2\tb a\té", ":17: '-0.2.*b a.*é"),
        ("-0.2\tb a", "-0.2\tb go", ":17: '-0.2.*b go.*Word go was not seen"),
    ):
        assert right in ARPA
        broken.write_text(ARPA.replace(right, wrong_text), encoding="utf-8")
        with pytest.raises(errors.LanguageModelError, match=f"broken.arpa{message}"):
            pynna.LanguageModel(broken)
    for wrong in ({"alpha": -1.0}, {"beta": math.nan}, {"unknown_score": 1.0}, {"vocabulary": []}):
        with pytest.raises(errors.ArgumentError):
            pynna.LanguageModel(arpa, **wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match="exclude"):
        DecoderOptions(language_model=pynna.LanguageModel(arpa), vocabulary=pynna.Vocabulary(["a"]))


def test_free_slots_are_heard_with_the_language_model(arpa: Path) -> None:
    labels = (" ", "a", "b", "n", "o", "")
    grammar = pynna.Grammar.from_dict(
        {"intents": {"Note": {"sentences": ["no {text}"]}}, "lists": {"text": {"wildcard": True}}}
    )
    p = np.full((11, 6), 0.02, np.float32)
    for t, letter in enumerate("_n_o_ b_ba_"):
        p[t, 5 if letter == "_" else labels.index(letter)] = 0.9
    p[8] = [0.25, 0.02, 0.69, 0.02, 0.02, 0.02]  # "bba", or "b a"

    def heard(**options: Any) -> pynna.GrammarResult:
        decoder = Decoder(labels, options=DecoderOptions(grammar=grammar, prior_scale=0.0, **options))
        for row in np.log(p / p.sum(1, keepdims=True)):
            decoder.feed(row[None])
        result = decoder.finish()
        assert isinstance(result, pynna.GrammarResult)
        return result

    plain, mixed = heard(), heard(language_model=pynna.LanguageModel(arpa))
    assert (plain.intent, plain.slots) == ("Note", {"text": "bba"})
    assert (mixed.intent, mixed.slots) == ("Note", {"text": "b a"})
    assert mixed.confidence == pytest.approx(plain.confidence)
    assert [word.text for word in mixed.words] == ["no", "b", "a"]
    assert [word.start for word in mixed.words] == pytest.approx([0.02, 0.12, 0.18])
