# SPDX-License-Identifier: Apache-2.0
"""Free slots are spelled by the model's own language model, which needs no KenLM."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pynna
from pynna import errors
from pynna.decoding.decoder import Decoder
from pynna.decoding.ngram import Ngrams, write_arpa
from pynna.model import DEFAULT_MODEL
from pynna.streaming.rescoring import combine

CAR = pynna.Grammar.from_yaml(pynna.CAR_GRAMMAR)
NO_FREE_SLOT = pynna.Grammar.from_sentences(["open the window"])


@pytest.fixture(scope="module")
def model() -> pynna.Model:
    return pynna.load()


def spelled(text: str, faint: dict[int, str], labels: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Log-probabilities [n_frames, n_labels] of a network that spells a text, letters and blanks in turn; instead of
    the letters numbered in `faint`, it hears something else, and these a little less."""
    p = np.full((2 * len(text), len(labels)), 1e-4)
    for i, letter in enumerate(text):
        p[2 * i, labels.index(letter)], p[2 * i + 1, -1] = 1.0, 1.0
        if i in faint:
            p[2 * i, labels.index(faint[i]) if faint[i] else -1] = 2.0
    return np.asarray(np.log(p / p.sum(axis=1, keepdims=True)), np.float32)


def heard(model: pynna.Model, text: str, faint: dict[int, str], **options: Any) -> pynna.GrammarResult:
    decoder = Decoder(
        model.labels,
        label_priors=model.label_priors,
        options=model.decoder_options(grammar=CAR, passes=1, prior_scale=0.0, **options),
    )
    decoder.feed(spelled(text, faint, model.labels))
    result = decoder.finish()
    assert isinstance(result, pynna.GrammarResult)
    return result


def test_words_are_spelled_as_they_are_written(model: pynna.Model) -> None:
    text = "remind me to buy milk at six thirty"
    faint = {text.index("u"): "", text.index("k"): "c", text.index("x"): "k"}
    by_ear, result = heard(model, text, faint, language_model=None), heard(model, text, faint)
    assert (by_ear.intent, by_ear.slots) == ("Reminder", {"task": "by milc at sik thirty"})
    assert (result.intent, result.slots) == ("Reminder", {"task": "buy milk at six thirty"})
    assert result.confidence == pytest.approx(by_ear.confidence)
    assert heard(model, text, faint, beam_width=0).slots == by_ear.slots


def test_sentences_without_free_slots_are_as_before(model: pynna.Model) -> None:
    text = "lock the doors"
    assert heard(model, text, {}).text == heard(model, text, {}, language_model=None).text == text


def test_who_gets_it(model: pynna.Model) -> None:
    own = model.language_model
    assert own is not None and own is model.language_model
    assert model.decoder_options(grammar=CAR).language_model is own
    assert model.decoder_options(grammar=CAR, language_model=None).language_model is None
    assert model.decoder_options(grammar=CAR, beam_width=0).language_model is None
    assert model.decoder_options(grammar=NO_FREE_SLOT).language_model is None
    assert model.decoder_options().language_model is model.dictation_model  # of other weights
    streams = model.stream(grammar=CAR), model.group().stream(grammar=CAR)
    assert all(stream.decoder.options.language_model is own for stream in streams)
    assert model.listen(grammar=CAR).options.language_model is own


def test_a_model_without_one_does_without(tmp_path: Path) -> None:
    path = tmp_path / "mine.nna"
    shutil.copy(DEFAULT_MODEL, path)
    assert pynna.load(path).language_model is None
    assert pynna.load(path).decoder_options(grammar=CAR).language_model is None
    (tmp_path / "mine.arpa.gz").write_bytes(b"no such thing")
    with pytest.raises(errors.LanguageModelError, match=r"mine.arpa.gz: no ARPA file"):
        pynna.load(path).stream(grammar=CAR)


def test_ngrams_back_off(tmp_path: Path) -> None:
    path = tmp_path / "three.arpa"
    path.write_text(
        "\n".join(
            [
                "\\data\\",
                "ngram 1=5",
                "ngram 2=3",
                "ngram 3=1",
                "",
                "\\1-grams:",
                "-2\t<unk>",
                "-99\t<s>\t-0.5",
                "-1\ta\t-0.25",
                "-1.5\tb\t-0.125",
                "-3\t</s>",
                "",
                "\\2-grams:",
                "-0.5\t<s> a\t-0.0625",
                "-0.75\ta b\t-0.03125",
                "-0.25\tb </s>",
                "",
                "\\3-grams:",
                "-0.1\t<s> a b",
                "",
                "\\end\\",
                "",
            ]
        )
    )
    lm = Ngrams(path)
    assert (lm.order, lm.words) == (3, ("a", "b"))
    assert lm.score(lm.start, "a") == (-0.5, "<s> a")
    assert lm.score("<s> a", "b") == (-0.1, "a b")
    assert lm.score("a b", "a") == (-0.03125 - 0.125 - 1, "a")  # neither "a b a" nor "b a"
    assert lm.score("<s> a", "a") == (-0.0625 - 0.25 - 1, "a")
    assert lm.score("<s> a", "zoo") == (-0.0625 - 0.25 - 2, "")
    assert lm.score("", "b") == (-1.5, "b")


@pytest.mark.parametrize(
    "change, message",
    [
        (("\ta b\n", "\ta b c d\n"), r":14: no line of an ARPA file: '-0.* has 4 words; 2 are right"),
        (("-99", "x"), r":10: no line of an ARPA file: could not convert"),
        (("ngram 2=6", "ngram 2=16"), r": no ARPA file, or not all of one: it holds 11 of 21 n-grams"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "wrong.arpa"
    write_arpa(["a b", "a b", "b a"], path, 2)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(errors.LanguageModelError, match=f"wrong.arpa{message}"):
        Ngrams(path)


def test_files_that_are_cut_short_are_told(tmp_path: Path) -> None:
    whole = tmp_path / "whole.arpa"
    n = write_arpa(["a b", "a c"], whole, 2)
    for name, data in (("text", whole.read_bytes()[:-40]), ("zip", gzip.compress(whole.read_bytes())[:-20])):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(errors.LanguageModelError, match=name):
            Ngrams(path)
    damaged = bytearray(gzip.compress(whole.read_bytes()))
    damaged[12:40] = bytes(28)
    path.write_bytes(damaged)
    with pytest.raises(errors.LanguageModelError, match=f"{path.name}.*no line of an ARPA file"):
        Ngrams(path)
    with pytest.raises(errors.LanguageModelError, match="none.arpa: no such file"):
        Ngrams(tmp_path / "none.arpa")
    assert len(Ngrams(whole)._log10) == n


def test_rare_ngrams_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "least.arpa"
    write_arpa(["a b", "a b", "b a"], path, 2, least=2)
    lm = Ngrams(path)
    assert lm.words == ("a", "b") and "a b" in lm._log10 and "b a" not in lm._log10
    total = sum(10 ** lm.score("a", word)[0] for word in ("a", "b", "</s>", "<unk>"))
    assert total == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(errors.ArgumentError, match="least is 0; 1 or more is right"):
        write_arpa(["a"], path, 2, least=0)


def test_what_is_heard_freely_votes_together(model: pynna.Model) -> None:
    each = [heard(model, f"remind me to buy {what}", {}, language_model=None) for what in ("silk", "milk", "milt")]
    doors = heard(model, "lock the doors", {})
    assert len({result.meaning for result in each}) == 1 and doors.meaning != each[0].meaning
    assert json.loads(doors.meaning) == [doors.intent, doors.slots]
    voted = combine([doors, *each])
    assert isinstance(voted, pynna.GrammarResult)
    assert (voted.intent, voted.slots) == ("Reminder", {"task": "buy milk"})  # one letter from either of the others
    assert voted.confidence == pytest.approx(sum(result.confidence for result in each) / 4) and voted.accepted
    assert heard(model, "lock the", {}).meaning == "lock the"  # no sentence yet
