# SPDX-License-Identifier: Apache-2.0
"""British and American spelling of transcripts, by the word lists of the package `breame` (extra ``spelling``)."""

from __future__ import annotations

from functools import lru_cache

from pynna.errors import ArgumentError

SPELLINGS = ("british", "american")

AMBIGUOUS = frozenset(
    # what has one spelling on one side and two meanings, and two spellings, on the other
    "meter meters metered metering tire tires tired tiring program programs practice practices draft drafts drafted "
    "drafting disk disks disc discs license licenses ton tons tonne tonnes dialog dialogs dialogue dialogues analog "
    "analogs balk balks balked groin groins draughts draughtboard gage gages gaged gaging gauge gauges gauged "
    "gauging filet filets fillet fillets judgment judgments judgement judgements "
    # another word rather than another spelling
    "airplane airplanes aeroplane aeroplanes "
    # what either side writes today, whatever the lists say
    "install installs ax axe axes encyclopedia encyclopedias medieval gram grams yogurt yogurts aesthetic aesthetics "
    "aesthetically aesthete aesthetes archaeology archaeological archaeologist archaeologists glamour fetid".split()
)
"""Words that stay as they are."""


@lru_cache(maxsize=len(SPELLINGS))
def words_of(spelling: str) -> dict[str, str]:
    """Words that are spelled otherwise, and how.

    Raises
    ------
    ArgumentError
        No such spelling, or the package is not there.
    """
    if spelling not in SPELLINGS:
        raise ArgumentError(f"spelling must be one of {', '.join(SPELLINGS)}, got {spelling!r}")
    try:
        from breame.data import spelling_constants
    except ImportError:
        raise ArgumentError('spelling needs breame, which is not there: pip install "pynna[spelling]"') from None
    british = spelling == "british"
    words = spelling_constants.AMERICAN_ENGLISH_SPELLINGS if british else spelling_constants.BRITISH_ENGLISH_SPELLINGS
    return {word: other for word, other in words.items() if word not in AMBIGUOUS}


def respell(text: str, spelling: str | None) -> str:
    """A text of small letters with each word, or what is before its apostrophe, spelled so; None: as it is."""
    if spelling is None:
        return text
    words = words_of(spelling)
    parts = (word.partition("'") for word in text.split(" "))
    return " ".join(words.get(stem, stem) + apostrophe + rest for stem, apostrophe, rest in parts)
