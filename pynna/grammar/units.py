# SPDX-License-Identifier: Apache-2.0
"""Signs, units, money and times of the day in words."""

from __future__ import annotations

from .numbers import is_english, number_words

_SIGNS = {
    "en": {"%": "percent", "&": "and", "+": "plus", "@": "at", "°": "degrees", "minus": "minus", "number": "number",
           "=": "equals", "$": "dollars", "€": "euros", "£": "pounds", "¥": "yen", "celsius": "celsius"},
    "ca": {"%": "per cent", "&": "i", "+": "més", "@": "arrova", "°": "graus", "minus": "menys", "number": "número"},
    "cs": {"%": "procent", "&": "a", "+": "plus", "@": "zavináč", "°": "stupňů", "minus": "mínus", "number": "číslo"},
    "de": {"%": "prozent", "&": "und", "+": "plus", "@": "at", "°": "grad", "minus": "minus", "number": "nummer",
           "=": "gleich", "$": "dollar", "€": "euro", "£": "pfund", "¥": "yen"},
    "es": {"%": "por ciento", "&": "y", "+": "más", "@": "arroba", "°": "grados", "minus": "menos",
           "number": "número"},
    "fr": {"%": "pour cent", "&": "et", "+": "plus", "@": "arobase", "°": "degrés", "minus": "moins",
           "number": "numéro"},
    "it": {"%": "per cento", "&": "e", "+": "più", "@": "chiocciola", "°": "gradi", "minus": "meno",
           "number": "numero"},
    "ml": {"%": "ശതമാനം", "&": "ഉം", "+": "പ്ലസ്", "@": "അറ്റ്", "°": "ഡിഗ്രി", "minus": "മൈനസ്", "number": "നമ്പർ"},
    "nl": {"%": "procent", "&": "en", "+": "plus", "@": "at", "°": "graden", "minus": "min", "number": "nummer"},
    "pl": {"%": "procent", "&": "i", "+": "plus", "@": "małpa", "°": "stopni", "minus": "minus", "number": "numer"},
    "pt": {"%": "por cento", "&": "e", "+": "mais", "@": "arroba", "°": "graus", "minus": "menos",
           "number": "número"},
    "ru": {"%": "процентов", "&": "и", "+": "плюс", "@": "собака", "°": "градусов", "minus": "минус",
           "number": "номер"},
    "sk": {"%": "percent", "&": "a", "+": "plus", "@": "zavináč", "°": "stupňov", "minus": "mínus",
           "number": "číslo"},
    "sl": {"%": "odstotkov", "&": "in", "+": "plus", "@": "afna", "°": "stopinj", "minus": "minus",
           "number": "številka"},
}  # fmt: skip

_UNITS: dict[str, tuple[tuple[str, str], ...]] = {
    "°c": (("degree celsius", "degrees celsius"), ("degree", "degrees")),
    "°f": (("degree fahrenheit", "degrees fahrenheit"), ("degree", "degrees")),
    "°": (("degree", "degrees"),),
    "%": (("percent", "percent"),),
    "km/h": (("kilometer per hour", "kilometers per hour"), ("kilometre per hour", "kilometres per hour"),
             ("k m h", "k m h")),
    "kph": (("kilometer per hour", "kilometers per hour"), ("kilometre per hour", "kilometres per hour")),
    "mph": (("mile per hour", "miles per hour"), ("m p h", "m p h")),
    "m/s": (("meter per second", "meters per second"), ("metre per second", "metres per second")),
    "km": (("kilometer", "kilometers"), ("kilometre", "kilometres")),
    "cm": (("centimeter", "centimeters"), ("centimetre", "centimetres")),
    "mm": (("millimeter", "millimeters"), ("millimetre", "millimetres")),
    "m²": (("square meter", "square meters"), ("square metre", "square metres")),
    "kg": (("kilogram", "kilograms"), ("kilo", "kilos")),
    "mg": (("milligram", "milligrams"),),
    "ml": (("milliliter", "milliliters"), ("millilitre", "millilitres")),
    "lbs": (("pound", "pounds"),), "lb": (("pound", "pounds"),), "oz": (("ounce", "ounces"),),
    "kwh": (("kilowatt hour", "kilowatt hours"),), "kw": (("kilowatt", "kilowatts"),),
    "khz": (("kilohertz", "kilohertz"),), "mhz": (("megahertz", "megahertz"),), "ghz": (("gigahertz", "gigahertz"),),
    "hz": (("hertz", "hertz"),), "db": (("decibel", "decibels"),),
    "gb": (("gigabyte", "gigabytes"),), "mb": (("megabyte", "megabytes"),), "tb": (("terabyte", "terabytes"),),
    "hpa": (("hectopascal", "hectopascals"),), "ppm": (("part per million", "parts per million"),),
    "min": (("minute", "minutes"),), "mins": (("minute", "minutes"),), "hrs": (("hour", "hours"),),
    "hr": (("hour", "hours"),), "sec": (("second", "seconds"),), "secs": (("second", "seconds"),),
    "ms": (("millisecond", "milliseconds"),),
}  # fmt: skip
_LETTERED = "|".join(sorted((unit for unit in _UNITS if unit[-1].isalpha()), key=len, reverse=True))
PATTERN = rf"(?:{_LETTERED})(?![\w/]) | °(?!\s?[cf]\b) | % | m[²2](?!\w)"
"""A unit behind a number, for a verbose regular expression that ignores case."""

_CENTS = {"$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
          "£": ("pound", "pounds", "penny", "pence"), "¥": ("yen", "yen", "sen", "sen")}  # fmt: skip


def sign_word(sign: str, language: str) -> str:
    """A sign's word in a language; in English where there is none."""
    words = _SIGNS.get(language.lower().replace("_", "-").split("-")[0], {})
    return words.get(sign) or _SIGNS["en"][sign]


def unit_words(unit: str, is_one: bool, language: str) -> tuple[str, ...]:
    """A unit's words, the usual ones first.

    >>> unit_words("km/h", False, "en")
    ('kilometers per hour', 'kilometres per hour', 'k m h')
    """
    unit = {"m2": "m²"}.get(unit.lower(), unit.lower())
    if not is_english(language):
        known = {"%": "%", "°": "°", "°c": "°", "°f": "°"}.get(unit)
        return (sign_word(known, language),) if known else (unit,)
    return tuple(dict.fromkeys(one if is_one else many for one, many in _UNITS[unit]))


def money(sign: str, amount: int, cents: int) -> tuple[str, ...]:
    """An amount of money, the usual way first.

    >>> money("$", 5, 50), money("£", 1, 0)
    (('five dollars fifty', 'five dollars and fifty cents', 'five fifty'), ('one pound',))
    """
    one, many, cent, pence = _CENTS[sign]
    whole = f"{number_words(amount)[0]} {one if amount == 1 else many}"
    if not cents:
        return (whole,)
    rest = number_words(cents)[0]
    return (
        f"{whole} {rest}",
        f"{whole} and {rest} {cent if cents == 1 else pence}",
        f"{number_words(amount)[0]} {rest}",
    )


def time_of_day(hour: int, minute: int, half: str) -> tuple[str, ...]:
    """A time of the day in English, the usual way first; `half` is " a m", " p m" or nothing.

    >>> time_of_day(5, 30, "")
    ('five thirty', 'half past five')
    >>> time_of_day(7, 0, " a m")
    ('seven a m', "seven o'clock")
    """
    h = number_words(hour)[0]
    if minute == 0:
        if half:
            return h + half, f"{h} o'clock"
        return (
            (f"{h} o'clock", h)
            if hour <= 12
            else (f"{h} o'clock", f"{h} hundred", f"{number_words(hour - 12)[0]} o'clock")
        )
    m = number_words(minute)[0]
    forms: tuple[str, ...] = (f"{h} {'oh ' if minute < 10 else ''}{m}{half}",)
    base, following = (hour - 1) % 12 + 1, hour % 12 + 1
    near, far = number_words(base)[0], number_words(following)[0]
    told = {15: f"quarter past {near}", 30: f"half past {near}", 45: f"quarter to {far}"}.get(minute)
    if told is None and minute % 5 == 0:
        told = f"{m} past {near}" if minute < 30 else f"{number_words(60 - minute)[0]} to {far}"
    if hour > 12:
        forms += (f"{near} {'oh ' if minute < 10 else ''}{m}",)
    return (*forms, told) if told else forms
