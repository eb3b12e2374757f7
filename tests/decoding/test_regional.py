# SPDX-License-Identifier: Apache-2.0
"""British and American spelling of transcripts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import pynna
from pynna.cli.main import main
from pynna.decoding.decoder import Decoder
from pynna.decoding.options import DecoderOptions
from pynna.decoding.regional import AMBIGUOUS, SPELLINGS, respell, words_of
from pynna.errors import ArgumentError

LABELS = (*" abcdefghijklmnopqrstuvwxyz'", "")


@pytest.fixture(autouse=True)
def _lists():
    pytest.importorskip("breame")


def heard(text, **options):
    rows = np.full((2 * len(text), len(LABELS)), -20.0, np.float32)
    rows[1::2, -1] = 0.0
    rows[np.arange(0, len(rows), 2), [LABELS.index(c) for c in text]] = 0.0
    decoder = Decoder(LABELS, options=DecoderOptions(**options))
    decoder.feed(rows)
    return decoder.finish()


@pytest.mark.parametrize("width", [0, 16])
def test_text_and_words_are_spelled_as_asked(width):
    result = heard("the color of the theater", beam_width=width, spelling="british")
    assert result.text == "the colour of the theatre" == " ".join(word.text for word in result.words)
    assert result.alternatives[0].text == result.text
    assert heard("the colour of the theatre", beam_width=width, spelling="american").text == "the color of the theater"
    assert heard("the color of the theatre", beam_width=width).text == "the color of the theatre"


@pytest.mark.parametrize(
    ("text", "british", "american"),
    [
        ("the colour's grey", "the colour's grey", "the color's gray"),
        ("i tire of the parking meter", "i tire of the parking meter", "i tire of the parking meter"),
        ("a computer program on disk", "a computer program on disk", "a computer program on disk"),
        ("practice makes a license", "practice makes a license", "practice makes a license"),
        ("ten tonnes by airplane", "ten tonnes by airplane", "ten tonnes by airplane"),
        ("two metres of tyre", "two metres of tyre", "two meters of tire"),
        ("i'm traveling", "i'm travelling", "i'm traveling"),
        ("", "", ""),
    ],
)
def test_words_that_mean_several_things_stay(text, british, american):
    assert (respell(text, "british"), respell(text, "american"), respell(text, None)) == (british, american, text)


def test_no_word_is_changed_that_is_right_already():
    for spelling in SPELLINGS:
        words = words_of(spelling)
        assert len(words) > 1000 and not AMBIGUOUS & words.keys()
        assert [word for word in words.values() if respell(word, spelling) != word] == []


def test_what_is_wrong_is_told(monkeypatch):
    with pytest.raises(ArgumentError, match="spelling must be one of british, american, got 'scots'"):
        DecoderOptions(spelling="scots")
    with pytest.raises(ArgumentError, match="spelling and grammar exclude each other"):
        DecoderOptions(spelling="british", grammar=pynna.Grammar.from_sentences(["color"]))
    words_of.cache_clear()
    monkeypatch.setitem(sys.modules, "breame.data", None)
    with pytest.raises(ArgumentError, match=r'pip install "pynna\[spelling\]"'):
        DecoderOptions(spelling="british")


def test_the_command_takes_it(capsys):
    clip = Path(pynna.__file__).parent / "recordings" / "call_home.flac"
    assert main(["transcribe", "--spelling", "british", str(clip)]) == 0
    assert "call home" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["transcribe", "--spelling", "scots", str(clip)])
