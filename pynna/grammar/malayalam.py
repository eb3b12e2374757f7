# SPDX-License-Identifier: Apache-2.0
"""Numbers in Malayalam, which unicode_rbnf has no rules for yet: stems, and how they are joined.

The words are those of Unicode's locale data (CLDR, `common/rbnf/ml.xml` of 2026, Unicode licence). A number that is
followed ends in -ി, and a vowel that begins what follows is glided over with യ: ഇരുപത്, ഇരുപത്തിയഞ്ച്.
"""

from __future__ import annotations

VIRAMA, SILENT = "്", "ം"
MINUS, POINT = "മൈനസ്", "ദശാംശം"
ATTRIBUTIVE_ONE = "ഒരു"
LARGEST = 10**9 - 1
"""Beyond it numbers are told digit by digit."""

_DIGITS = "പൂജ്യം ഒന്ന് രണ്ട് മൂന്ന് നാല് അഞ്ച് ആറ് ഏഴ് എട്ട് ഒൻപത്".split()
_TEENS = "പത്ത് പതിനൊന്ന് പന്ത്രണ്ട് പതിമൂന്ന് പതിനാല് പതിനഞ്ച് പതിനാറ് പതിനേഴ് പതിനെട്ട് പത്തൊൻപത്".split()
_TENS = "ഇരുപത് മുപ്പത് നാൽപ്പത് അൻപത് അറുപത് എഴുപത് എൺപത് തൊണ്ണൂറ്".split()
_HUNDREDS = "നൂറ് ഇരുനൂറ് മുന്നൂറ് നാന്നൂറ് അഞ്ഞൂറ് അറുന്നൂറ് എഴുന്നൂറ് എണ്ണൂറ് തൊള്ളായിരം".split()
_THOUSANDS = {1: "ആയിരം", 9: "ഒൻപതിനായിരം", 10: "പതിനായിരം"}  # the others are made of the number's own stem
_SIGNS = dict(zip("അആഇഈഉഊഎഏഐഒഓ", ["", *"ാിീുൂെേൈൊോ"], strict=True))
"""Vowels as they begin a word, and as signs after a consonant."""


def cardinals(number: int) -> tuple[str, ...]:
    """How a number from 0 to `LARGEST` is spoken, the usual way first.

    >>> cardinals(25), cardinals(1)
    (('ഇരുപത്തിയഞ്ച്',), ('ഒന്ന്', 'ഒരു'))
    """
    if number == 1:
        return _DIGITS[1], ATTRIBUTIVE_ONE
    return tuple(dict.fromkeys((_cardinal(number, True), _cardinal(number, False))))


def ordinal(number: int) -> str:
    """A number from 0 to `LARGEST` as an ordinal.

    >>> ordinal(2), ordinal(1000)
    ('രണ്ടാം', 'ആയിരത്താം')
    """
    word = _cardinal(number, True)
    if number == 0:
        return word
    if word.endswith(SILENT):
        return word.removesuffix(SILENT) + "ത്താം"
    return word.removesuffix(VIRAMA) + "ാം" if word.endswith(VIRAMA) else word + "യാം"


def _cardinal(number: int, glides: bool) -> str:
    """`glides`: whether larger numbers are glided over to, too; digits and hundreds always are."""
    if number < 20:
        return (_DIGITS + _TEENS)[number]
    for unit, head in ((10**7, _crores), (10**5, _lakhs), (1000, _thousands), (100, _hundreds), (10, _tens)):
        if number >= unit:
            many, rest = divmod(number, unit)
            return _joined(head(many, glides), rest, glides)
    raise AssertionError("a number of 20 or more has a unit")


def _tens(many: int, _: bool) -> str:
    return _TENS[many - 2]


def _hundreds(many: int, _: bool) -> str:
    return _HUNDREDS[many - 1]


def _thousands(many: int, glides: bool) -> str:
    return _THOUSANDS.get(many) or _cardinal(many, glides).removesuffix(VIRAMA) + "ായിരം"


def _lakhs(many: int, glides: bool) -> str:
    return f"{ATTRIBUTIVE_ONE if many == 1 else _cardinal(many, glides)} ലക്ഷം"


def _crores(many: int, glides: bool) -> str:
    return f"{ATTRIBUTIVE_ONE if many == 1 else _cardinal(many, glides)} കോടി"


def _joined(head: str, rest: int, glides: bool) -> str:
    """A head and what follows it, as one word."""
    if rest == 0:
        return head
    if head.endswith(SILENT):
        head = head.removesuffix(SILENT) + "ത്തി"
    elif head.endswith(VIRAMA):
        head += "റി" if head.endswith("റ" + VIRAMA) else "തി"
    follows = _cardinal(rest, glides)
    if follows[0] in _SIGNS and (glides or rest < 10 or 500 <= rest < 900):
        follows = "യ" + _SIGNS[follows[0]] + follows[1:]
    return head + follows
