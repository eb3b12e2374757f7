# SPDX-License-Identifier: Apache-2.0
"""Subtitles, read back by parsers that are not ours."""

from __future__ import annotations

import io

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from pynna.decoding import subtitles
from pynna.decoding.results import Word

gaps = st.tuples(st.text("abcdefghij'", min_size=1, max_size=60), st.integers(0, 3000), st.integers(20, 2500))


def words_of(spoken):
    words, at = [], 0
    for text, gap, length in spoken:
        words.append(Word(text, (at + gap) / 1000, (at + gap + length) / 1000, 0.9))
        at += gap + length
    return words


def check(cues, spoken):
    """(start s, end s, text) in order, readable, and all of it there."""
    assert " ".join(" ".join(text.split()) for _, _, text in cues) == " ".join(w.text for w in spoken)
    for start, end, text in cues:
        lines = text.split("\n")
        assert len(lines) <= 2
        assert all(len(line) <= 42 or " " not in line for line in lines)
        assert start < end
    assert all(a[1] <= b[0] + 1e-9 for a, b in zip(cues, cues[1:], strict=False))


@given(st.lists(gaps, min_size=1, max_size=40))
def test_subrip(spoken):
    words = words_of(spoken)
    parsed = list(srt.parse("".join(subtitles.srt(words))))
    assert [p.index for p in parsed] == list(range(1, len(parsed) + 1))
    check([(p.start.total_seconds(), p.end.total_seconds(), p.content) for p in parsed], words)
    assert parsed[0].start.total_seconds() == pytest.approx(words[0].start, abs=6e-4)


@given(st.lists(gaps, min_size=1, max_size=40))
def test_webvtt(spoken):
    words = words_of(spoken)
    parsed = webvtt.from_buffer(io.StringIO("".join(subtitles.vtt(words))))
    check([(seconds(p.start), seconds(p.end), p.text) for p in parsed], words)


def seconds(stamp):
    hours, minutes, seconds = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_a_pause_ends_a_cue_and_a_short_one_stays_to_be_read():
    words = [Word("one", 0.0, 0.2, 1), Word("two", 0.3, 0.4, 1), Word("three", 2.0, 2.1, 1), Word("four", 2.2, 10.0, 1)]
    assert list(subtitles.cues(words)) == [
        subtitles.Cue(0.0, 1.0, "one two"),
        subtitles.Cue(2.0, 2.2, "three"),
        subtitles.Cue(2.2, 10.0, "four"),
    ]


def test_times_beyond_an_hour_and_no_words():
    assert "".join(subtitles.srt([Word("late", 3725.5, 3727.0, 1)])) == "1\n01:02:05,500 --> 01:02:07,000\nlate\n\n"
    assert "".join(subtitles.srt([])) == ""
    assert "".join(subtitles.vtt([])) == "WEBVTT\n\n"
    assert "&lt;b&gt; &amp;" in "".join(subtitles.vtt([Word("<b>", 0, 1, 1), Word("&", 1, 2, 1)]))


def test_times_that_are_none_and_texts_that_are_no_lines_make_files_all_the_same():
    words = [
        Word("late", 3600.0, 3601.0, 1), Word("early", 0.0, 0.04, 1), Word("\0\n\n", 1, 2, 1),
        Word("never", float("inf"), 4, 1),
        Word("a\n\n7\n00:00:01,000 --> 00:00:02,000\nb", float("nan"), -1.0, float("nan")), Word("\ud800c", 7, 6, 2),
    ]  # fmt: skip
    text = "".join(subtitles.srt(words))
    read = list(srt.parse(text.encode().decode()))
    assert [cue.index for cue in read] == list(range(1, len(read) + 1)) and all(cue.start <= cue.end for cue in read)
    said = " ".join(" ".join(cue.content for cue in read).split())
    assert said == "late early never a 7 00:00:01,000 --> 00:00:02,000 b c"
    assert len(webvtt.from_buffer(io.StringIO("".join(subtitles.vtt(words))))) == len(read)
