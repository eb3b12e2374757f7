# SPDX-License-Identifier: Apache-2.0
"""The one text normalisation: written text as it is spoken, for grammars, language models, hot words and training.

`spoken_forms` gives all the ways in which a text may be said; `normalise` the usual one. Numbers, ordinals, signs,
fractions, times, money, units and abbreviations become words; camelCase and snake_case names come apart; typographic
signs count by what they mean. `fold` spells the result with the letters that a model has.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Collection

from . import units
from .numbers import digit_words, fraction_words, is_english, number_words, ordinal_words, year_words

ENGLISH = frozenset(" abcdefghijklmnopqrstuvwxyz'")
"""The letters of an English model."""

MAX_FORMS = 24
_PLAIN = re.compile(r" ?[a-z']+(?: [a-z']+)* ?")
_OTHER_LETTERS = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ł": "l",
    "ı": "i",
    "ħ": "h",
}
_QUOTES = dict.fromkeys(map(ord, "‘’‚‛ʼ´`′＇"), "'")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―"), " - ") | {ord("−"): "-", ord("‐"): "-", ord("‑"): "-"}
_SIGNS = {ord("№"): " No. ", ord("…"): " ", ord("⁄"): "/", ord("×"): " x "} | dict.fromkeys(map(ord, "™®©℠"), " ")
_TABLE = _QUOTES | _DASHES | _SIGNS

_MARKS = "".join(c for c in map(chr, range(0x300, 0x1B00)) if unicodedata.category(c)[0] == "M")
"""Vowels and other signs that belong to the letter before them, in the scripts of India and others."""

_TOKEN = re.compile(
    r"""
    (?P<money>[$€£¥]\s?(?P<amount>\d[\d,]*)(?:\.(?P<cents>\d\d))?(?![\d.]))
  | (?P<time>(?<![\d:])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?:\s?(?P<half>[ap])\.?m\b\.?)?(?![\d:]))
  | (?P<clock>(?<!\d)(?P<at>1[0-2]|[1-9])\s?(?P<day>[ap])\.?m\b\.?)
  | (?P<ordinal>(?<![\w.])(?P<nth>\d+)(?:st|nd|rd|th)\b)
  | (?P<decade>(?<![\w.])'?(?P<tens>(?:\d\d)?\d0)s\b)
  | (?P<fraction>(?<![\w/.])(?P<sign>-?)(?:(?P<whole>\d+)[\ +-]+)?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\w/]))
  | (?P<number>(?P<minus>(?:(?<=[\s(,:=])|^)-)?(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<decimals>\.\d+)?
      (?P<unit>\s?(?:UNITS))?)
  | (?P<initials>(?<!\w)(?:[^\W\d_]\.){2,}|(?<!\w)(?:[^\W\d_]\.)+[^\W\d_](?!\w))
  | (?P<abbreviation>\b(?:mr|mrs|ms|dr|st|no|nr|vs|approx|dept|apt|temp|min|max|mt|ft)\.(?=\s*[\w]|$))
  | (?P<word>'?(?:LETTER)+(?:'(?:LETTER)+)*'?)
  | (?P<sign_word>[%&+@°#=€$£¥])
  | (?P<gap>[\W_])
""".replace("UNITS", units.PATTERN).replace("LETTER", rf"[^\W\d_][{_MARKS}]*"),
    re.VERBOSE | re.IGNORECASE,
)
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miss", "dr": "doctor", "no": "number", "nr": "number", "vs": "versus",
    "approx": "approximately", "dept": "department", "apt": "apartment", "temp": "temperature", "min": "minimum",
    "max": "maximum", "mt": "mount", "ft": "fort", "st": "saint",
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])")
Forms = tuple[str, ...]


def normalise(text: str, language: str = "en", letters: Collection[str] | None = ENGLISH) -> str:
    """Text as it is usually said, in lower case; spaces at its ends and in a row are kept as one.

    >>> normalise("Café  No. 21, please!")
    'cafe number twenty one please '
    """
    if _PLAIN.fullmatch(text):
        return text
    form = spoken_forms(text, language)[0]
    return form if letters is None else fold(form, letters)


def fold(text: str, letters: Collection[str]) -> str:
    """Text in these letters: what they lack is told by its base letter, an apostrophe is left out.

    What has no base letter among them stays as it is.

    >>> fold("küche", ENGLISH), fold("küche", {*ENGLISH, "ü"}), fold("straße", ENGLISH)
    ('kuche', 'küche', 'strasse')
    """
    if text.isascii() and "'" in letters:
        return text
    return "".join(c if c in letters or c == " " else _base(c, letters) for c in unicodedata.normalize("NFC", text))


def _base(character: str, letters: Collection[str]) -> str:
    if character == "'" or unicodedata.combining(character):
        return ""
    base = _OTHER_LETTERS.get(character) or "".join(
        c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
    )
    return base if base and all(c in letters for c in base) else character


@functools.lru_cache(maxsize=8192)
def spoken_forms(text: str, language: str = "en") -> Forms:
    """All ways in which a text may be said, the usual one first, accents kept, 24 at most.

    >>> spoken_forms("CO₂ sensor, 1/2 full")[0]
    ' c o two sensor one half full'
    """
    if _PLAIN.fullmatch(text):
        return (text,)
    written = _by_meaning(text)
    parts = [_spoken(match, written, language) for match in _TOKEN.finditer(written)]
    forms = [_joined(form) for form in itertools.islice(_variants(parts), MAX_FORMS - 1)]
    forms.append(
        _joined(
            [
                part[-1] if match["word"] else part[0]
                for part, match in zip(parts, _TOKEN.finditer(written), strict=True)
            ]
        )
    )
    return tuple(dict.fromkeys(forms))


def _by_meaning(text: str) -> str:
    """Text whose signs are those that the rules know: quotes, dashes, raised and lowered digits, fractions."""
    out = []
    for c in unicodedata.normalize("NFC", text.translate(_TABLE)):
        kind, known = unicodedata.category(c), unicodedata.decomposition(c)
        if kind == "Cf":
            continue
        if known.startswith("<fraction>"):
            out.append(" " + unicodedata.normalize("NFKC", c).replace("⁄", "/"))
        elif known.startswith(("<sub>", "<super>")) and c.isdigit():
            out.append(unicodedata.normalize("NFKC", c))
        else:
            out.append(unicodedata.normalize("NFKC", c) if known.startswith("<") else c)
    return "".join(out)


def _variants(parts: list[Forms]) -> itertools.product[tuple[str, ...]]:
    """Every choice of forms; those that differ in few places from the usual ones early."""
    total = 1
    for i, forms in enumerate(parts):
        if total * len(forms) > MAX_FORMS:
            parts = [*parts[:i], *((forms[0],) for forms in parts[i:])]
            break
        total *= len(forms)
    return itertools.product(*parts)


def _joined(words: tuple[str, ...] | list[str]) -> str:
    return re.sub(r"\s+", " ", "".join(words))


def _spoken(match: re.Match[str], text: str, language: str) -> Forms:
    kind = match.lastgroup or ""
    kind = next(name for name in _RULES if match[name] is not None) if kind not in _RULES else kind
    return _RULES[kind](match, text, language)


def _gapped(forms: Forms) -> Forms:
    return tuple(f" {form} " for form in forms)


def _money(match: re.Match[str], text: str, language: str) -> Forms:
    return _gapped(units.money(match["money"][0], int(match["amount"].replace(",", "")), int(match["cents"] or 0)))


def _time(match: re.Match[str], text: str, language: str) -> Forms:
    hour, minute, half = int(match["hour"]), int(match["minute"]), match["half"]
    if not is_english(language):
        return _gapped((f"{number_words(hour, language)[0]} {number_words(minute, language)[0]}",))
    return _gapped(units.time_of_day(hour, minute, f" {half.lower()} m" if half else ""))


def _clock(match: re.Match[str], text: str, language: str) -> Forms:
    return _gapped(units.time_of_day(int(match["at"]), 0, f" {match['day'].lower()} m"))


def _ordinal(match: re.Match[str], text: str, language: str) -> Forms:
    number = int(match["nth"]) if len(match["nth"]) < 10 else 0
    return _gapped(ordinal_words(number, language)) if number else _gapped((digit_words(match["nth"], language),))


def _decade(match: re.Match[str], text: str, language: str) -> Forms:
    tens = match["tens"]
    form = (year_words(int(tens)) if len(tens) == 4 else number_words(int(tens)))[0]
    return _gapped((form[:-1] + "ies" if form.endswith("y") else form + "s",))


def _fraction(match: re.Match[str], text: str, language: str) -> Forms:
    top, bottom = int(match["top"]), int(match["bottom"])
    both = f"{number_words(top, language)[0]} {number_words(bottom, language)[0]}"
    if bottom < 2 or not is_english(language):
        return _gapped((both,))
    forms = fraction_words(top, bottom)
    if not match["whole"] and (top >= bottom or bottom > 20):  # as 24/7 and 50/50: no part of a whole
        forms = (both, *forms)
    if match["whole"]:
        forms = tuple(f"{number_words(int(match['whole'][:15]))[0]} and {form}" for form in forms[1:2] or forms)
    return _gapped(tuple(f"minus {form}" for form in forms) if match["sign"] else forms)


def _number(match: re.Match[str], text: str, language: str) -> Forms:
    digits, decimals = match["digits"].replace(",", ""), match["decimals"] or ""
    if len(digits) > 15 or len(decimals) > 15:
        forms: Forms = (digit_words(digits, language),)
    elif len(digits) > 1 and digits[0] == "0" and not decimals:
        forms = (digit_words(digits, language), digit_words(digits, language).replace("zero", "oh"))
    else:
        value = float(digits + decimals) if decimals and float(decimals) else int(digits)
        forms = number_words(value, language)
        if is_english(language) and len(digits) >= 3 and not decimals and "," not in match["digits"]:
            forms += year_words(int(digits)) if len(digits) == 4 and digits[0] in "12" else ()
            forms += (digit_words(digits),)
    if match["minus"]:
        forms = tuple(f"{_word('minus', language)} {form}" for form in forms)
    elif match.start("digits") > 1 and re.search(r"\d-$", text[: match.start("digits")]):
        forms = tuple(f"to {form}" for form in forms) if is_english(language) else forms
    unit = (match["unit"] or "").strip()
    if unit:
        one = digits == "1" and not decimals
        forms = tuple(f"{form} {name}" for form in forms for name in units.unit_words(unit, one, language))
    return _gapped(forms)


def _initials(match: re.Match[str], text: str, language: str) -> Forms:
    letters = match["initials"].replace(".", "").lower()
    return _gapped((" ".join(letters), letters))


def _abbreviation(match: re.Match[str], text: str, language: str) -> Forms:
    written = match["abbreviation"][:-1].lower()
    if written in ("no", "nr") and not re.match(r"\s*\d", text[match.end() :]):
        return (f"{written} ",)
    if written in ("min", "max", "temp", "ft", "mt") or not is_english(language):
        return (f"{written} ",)
    return _gapped((_ABBREVIATIONS[written], *(("street",) if written == "st" else ())))


def _one_word(match: re.Match[str], text: str, language: str) -> Forms:
    word = match["word"]
    if len(word) > 2 and word[0] == word[-1] == "'":
        word = word[1:-1]
    plain = word.lower()
    if _is_acronym(word.removesuffix("'s"), text):
        ending = "'s" if word.endswith("'s") else ""
        return (f" {' '.join(plain.removesuffix(ending))}{ending} ", plain)
    parts = _CAMEL.split(word)
    if len(parts) > 1 and not word.isupper():
        said = " ".join(" ".join(part.lower()) if _is_acronym(part, text) else part.lower() for part in parts)
        return (said, plain)
    return (plain,)


def _is_acronym(word: str, text: str) -> bool:
    """Whether a word in capitals is said letter by letter: a short one, in a text that is not all capitals."""
    if not word.isupper() or not 2 <= len(word) <= 4 or not word.isalpha():
        return False
    return any(c.islower() for c in text) or len(re.findall(r"[^\W\d_]{2,}", text)) == 1


def _sign(match: re.Match[str], text: str, language: str) -> Forms:
    sign = match["sign_word"]
    if sign == "#":
        if re.match(r"\s*\d", text[match.end() :]):
            return _gapped((_word("number", language),))
        return (" sharp ",) if match.start() and text[match.start() - 1] in "ACDFG" else (" ",)
    return _gapped((_word(sign, language),))


def _word(sign: str, language: str) -> str:
    return units.sign_word(sign, language)


def _gap(match: re.Match[str], text: str, language: str) -> Forms:
    return (" ",) if match["gap"] != "'" else ("'",)


_RULES: dict[str, Callable[[re.Match[str], str, str], Forms]] = {
    "money": _money, "time": _time, "clock": _clock, "ordinal": _ordinal, "decade": _decade, "fraction": _fraction,
    "number": _number, "initials": _initials, "abbreviation": _abbreviation, "word": _one_word, "sign_word": _sign,
    "gap": _gap,
}  # fmt: skip
