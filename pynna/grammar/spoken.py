"""Text as it is spoken: lower case, numbers as words, only letters, apostrophes and single spaces."""

from __future__ import annotations

import functools
import re
import unicodedata

from unicode_rbnf import RbnfEngine

_SIGNS = {"&": " and ", "%": " percent ", "+": " plus ", "@": " at ", "°": " degrees ", "’": "'"}
_PLAIN = re.compile(r" ?[a-z']+(?: [a-z']+)* ?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@functools.lru_cache(maxsize=1)
def _engine() -> RbnfEngine:
    return RbnfEngine.for_language("en")


def number_words(value: int | float) -> tuple[str, ...]:
    """How a number is spoken, the usual way first.

    >>> number_words(121.5)
    ('one hundred twenty one point five', 'one hundred and twenty one point five')
    """
    words = str(_engine().format_number(abs(value)).text).replace("-", " ")
    words = f"minus {words}" if value < 0 else words
    with_and = re.sub(r" hundred (?!point)", " hundred and ", words)
    return (words,) if with_and == words else (words, with_and)


def normalise(text: str) -> str:
    """Text as a network spells it; spaces at its ends and in a row are kept as one.

    >>> normalise("Café  No. 21, please!")
    'cafe no twenty one please '
    """
    if _PLAIN.fullmatch(text):
        return text
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    text = _NUMBER.sub(
        lambda m: f" {number_words(float(m.group()) if '.' in m.group() else int(m.group()))[0]} ", text
    )
    text = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.sub(r"[\s.,;:!?\"()\-_/]+", " ", text)
