# SPDX-License-Identifier: Apache-2.0
"""Numbers as they are spoken, in the language's own rules (Unicode's rule-based number format)."""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING

from pynna.errors import ArgumentError
from pynna.grammar import malayalam

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

MAX_NUMBER = 10**15 - 1
"""Beyond it a number is told digit by digit."""
BEYOND = 10**100
"""From here on a number is refused: it is of no use, and Python itself stops at some thousand digits."""

_SCRIPTS = {"zh-hk": "zh_Hant", "zh-mo": "zh_Hant", "zh-tw": "zh_Hant"}
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


@functools.lru_cache(maxsize=16)
def _engine(language: str) -> RbnfEngine:
    """The rules of a language, of its family, or English ones."""
    from unicode_rbnf import RbnfEngine

    wanted = language.replace("_", "-")
    for name in (_SCRIPTS.get(wanted.lower()), wanted.replace("-", "_"), wanted.split("-")[0], "en"):
        if name and re.fullmatch(r"\w{1,32}", name, re.ASCII):  # a file's name comes of it
            try:
                return RbnfEngine.for_language(name)
            except ValueError:
                continue
    raise AssertionError("English rules are always there")


def is_english(language: str) -> bool:
    """Whether a language code means English of some country."""
    return language.lower().replace("_", "-").split("-")[0] == "en"


@functools.lru_cache(maxsize=8192)
def number_words(value: int | float, language: str = "en") -> tuple[str, ...]:
    """How a number is spoken, the usual way first.

    >>> number_words(121)
    ('one hundred twenty one', 'one hundred and twenty one', 'a hundred twenty one', 'a hundred and twenty one')
    >>> number_words(-2.5)
    ('minus two point five', 'negative two point five', 'minus two and a half', 'negative two and a half')

    Raises
    ------
    ArgumentError
        It is no number, infinite, or of more than 100 digits.
    """
    if not math.isfinite(value) if isinstance(value, float) else abs(value) >= BEYOND:
        raise ArgumentError("a number to be spoken must be finite and of at most 100 digits")
    if abs(value) > MAX_NUMBER:
        digits = digit_words(str(abs(int(value))), language)
        return (f"{_minus(language)} {digits}" if value < 0 else digits,)
    if not is_english(language):
        return _by_rules(value, language)
    forms = _english(abs(value))
    if value < 0:
        forms = [f"{sign} {form}" for form in forms for sign in ("minus", "negative")]
    return tuple(dict.fromkeys(forms))


def _minus(language: str) -> str:
    """What stands before a number below zero."""
    return _by_rules(-1, language)[0].removesuffix(_by_rules(1, language)[0]).strip()


def _is_malayalam(language: str) -> bool:
    return language.lower().replace("_", "-").split("-")[0] == "ml"


def _malayalam(value: int | float) -> tuple[str, ...]:
    """All forms of a number in Malayalam."""
    whole = int(abs(value))
    forms = malayalam.cardinals(whole) if whole <= malayalam.LARGEST else (digit_words(str(whole), "ml"),)
    if whole != abs(value):
        decimals = f"{abs(value):f}".rstrip("0").partition(".")[2]
        forms = (f"{forms[0]} {malayalam.POINT} {digit_words(decimals, 'ml')}",)
    return tuple(f"{malayalam.MINUS} {form}" for form in forms) if value < 0 else forms


def _by_rules(value: int | float, language: str) -> tuple[str, ...]:
    """All forms that the language's rules know: of genders and cases, too."""
    if _is_malayalam(language):
        return _malayalam(value)
    result = _engine(language).format_number(value)
    forms = [result.text, *result.text_by_ruleset.values()]
    return tuple(dict.fromkeys(re.sub(r"[\s-]+", " ", form.lower()).strip() for form in forms))


def _english(value: int | float) -> list[str]:
    """A number that is not negative, in English."""
    plain = _by_rules(value, "en")[0]
    forms = [plain, re.sub(r" hundred (?!point|thousand|million)", " hundred and ", plain)]
    forms += [form.replace("one hundred", "a hundred", 1) for form in forms if form.startswith("one hundred")]
    whole = int(value)
    if whole != value:
        if value - whole == 0.5 and whole:
            forms += [f"{form} and a half" for form in _english(whole)]
        return forms
    if 1100 <= whole <= 9900 and whole % 100 == 0 and whole % 1000:
        forms.append(_by_rules(whole // 100, "en")[0] + " hundred")
    return forms


def year_words(year: int) -> tuple[str, ...]:
    """How a year of four digits is spoken in English, the usual way first.

    >>> year_words(1984)[0], year_words(1905)[0], year_words(2024)
    ('nineteen eighty four', 'nineteen oh five', ('twenty twenty four', 'two thousand twenty four', \
'two thousand and twenty four'))
    """
    century, rest = divmod(year, 100)
    if rest == 0 or year // 10 == 200:
        return number_words(year)[:2]
    last = number_words(rest)[0]
    pairs = f"{number_words(century)[0]} {'oh ' if rest < 10 else ''}{last}"
    whole = number_words(year)[0]
    return tuple(
        dict.fromkeys((pairs, whole, re.sub(r"(hundred|thousand) (?!.*(hundred|thousand))", r"\1 and ", whole)))
    )


@functools.lru_cache(maxsize=1024)
def ordinal_words(number: int, language: str = "en") -> tuple[str, ...]:
    """How an ordinal is spoken, the usual way first.

    >>> ordinal_words(21), ordinal_words(101)
    (('twenty first',), ('one hundred first', 'one hundred and first'))
    """
    if _is_malayalam(language) and 0 <= number <= malayalam.LARGEST:
        return (malayalam.ordinal(number),)
    from unicode_rbnf import FormatPurpose

    result = _engine(language).format_number(number, FormatPurpose.ORDINAL)
    words = re.sub(r"[\s-]+", " ", result.text.lower())
    return tuple(
        dict.fromkeys((words, re.sub(r" hundred ", " hundred and ", words) if is_english(language) else words))
    )


def digit_words(digits: str, language: str = "en") -> str:
    """Digits one by one.

    >>> digit_words("105")
    'one zero five'
    """
    words = {digit: _by_rules(int(digit), language)[0] for digit in set(digits)}
    return " ".join(words[digit] for digit in digits)


def fraction_words(numerator: int, denominator: int) -> tuple[str, ...]:
    """How a fraction is spoken in English, the usual way first.

    >>> fraction_words(1, 2), fraction_words(3, 4), fraction_words(2, 3)
    (('one half', 'a half', 'half'), ('three quarters',), ('two thirds',))
    """
    one, many = _DENOMINATORS.get(denominator) or ((form := ordinal_words(denominator)[0]), form + "s")
    if numerator != 1:
        return (f"{number_words(numerator)[0]} {many}",)
    return (f"one {one}", f"{'an' if one[0] in 'aeiou' else 'a'} {one}", *(("half",) if denominator == 2 else ()))
