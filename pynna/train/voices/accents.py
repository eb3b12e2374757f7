# SPDX-License-Identifier: Apache-2.0
"""Accents as rules on phones: what people who grew up with another language, or in another place, make of English.

The phones are those of Kokoro and Hibari: IPA, but for A, I, O, Q, W and Y, the diphthongs of day, my, no (American,
British), now and boy. espeak-ng's mnemonics are turned into them and back. Which sounds become which is what J. C.
Wells, "Accents of English" (1982) and M. Swan and B. Smith, "Learner English" (2001) tell, much simplified: voices
shall differ, nobody is portrayed.
"""

from __future__ import annotations

import random
import re

ACCENTED = 0.35  # share of the sentences that an engine with phones speaks with an accent, for training

_END = r"(?=\W|$)"  # of a word
_UNVOICED = {"b": "p", "d": "t", "ɡ": "k", "z": "s", "v": "f", "ʒ": "ʃ", "ʤ": "ʧ", "ð": "θ"}
_DEVOICE = tuple((a + _END, b) for a, b in _UNVOICED.items())
_CARDINAL = (("ɪ", "i"), ("ʊ", "u"), ("æ", "a"), ("ʌ", "a"), ("ɜ", "ɛ"))  # five vowels or so for a dozen

ACCENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "german": (("θ", "s"), ("ð", "z"), ("w", "v"), ("æ", "ɛ"), ("ɹ", "ʁ"), *_DEVOICE),
    "french": (("θ", "s"), ("ð", "z"), ("h", ""), ("ɪ", "i"), ("ʊ", "u"), ("ɹ", "ʁ"), ("ʌ", "œ"), ("ʤ", "ʒ")),
    "spanish": (
        *_CARDINAL, ("z", "s"), ("v", "b"), ("ʤ", "ʝ"), ("h", "x"), ("ɹ", "ɾ"), ("ð", "d"), ("θ", "t"),
        (r"(?<!\w)(ˈ?)s(?=[ptkmnl])", r"ɛ\1s"), ("m" + _END, "n"),
    ),
    "italian": (
        *_CARDINAL, ("h", ""), ("θ", "t"), ("ð", "d"), ("ɹ", "r"), ("ŋ", "ŋɡ"), (r"([ptkbdɡsz])" + _END, r"\1ə"),
    ),
    "portuguese": (
        *_CARDINAL, ("θ", "t"), ("ð", "d"), ("h", "x"), ("ɹ" + _END, "x"), ("t(?=ˈ?[iɪ])", "ʧ"), ("d(?=ˈ?[iɪ])", "ʤ"),
    ),
    "indian": (
        ("t", "ʈ"), ("d", "ɖ"), ("θ", "t"), ("ð", "d"), ("[vw]", "ʋ"), ("ɹ", "ɾ"), ("A", "eː"), ("[OQ]", "oː"),
        ("ʌ", "ə"), ("ʒ", "ʤ"),
    ),
    "chinese": (
        ("θ", "s"), ("ð", "z"), ("ɪ", "i"), ("v", "w"), ("z", "s"), ("æ", "ɛ"), ("l" + _END, "ɹ"), ("[td]" + _END, ""),
        ("n" + _END, "ŋ"), *_DEVOICE,
    ),
    "japanese": (
        *_CARDINAL, ("[lɹ]", "ɾ"), ("θ", "s"), ("ð", "z"), ("v", "b"), ("s(?=ˈ?[iɪ])", "ʃ"), ("ə", "a"),
        (r"([ptkbɡsz])" + _END, r"\1ɯ"),
    ),
    "russian": (
        ("θ", "s"), ("ð", "z"), ("w", "v"), ("h", "x"), ("ɪ", "i"), ("æ", "ɛ"), ("ɹ", "r"), ("ŋ", "nɡ"), *_DEVOICE,
    ),
    "scandinavian": (("z", "s"), ("ʤ", "j"), ("ʒ", "ʃ"), ("w", "v"), ("θ", "t"), ("ð", "d"), ("ɹ", "ʁ"), ("ʌ", "ø")),
    "west african": (("θ", "t"), ("ð", "d"), ("ʌ", "ɔ"), ("ɜ", "ɛ"), ("ə", "a"), ("ɪ", "i"), ("[OQ]", "o"), ("A", "e")),
    "london": (("θ", "f"), (r"(?<=\w)ð", "v"), ("h", ""), (r"(?<=[aɛɪiʌɑɒæəAIO])t(?=[ˈˌ]?[əɪ]|\W|$)", "ʔ"), ("A", "I")),
    "irish": (("θ", "t"), ("ð", "d"), ("ʌ", "ʊ"), ("A", "eː"), ("[OQ]", "oː")),
    "southern": (("I", "aː"), ("ɛ(?=[mn])", "ɪ"), ("ɪŋ" + _END, "ɪn"), ("ɔ", "ɑ")),
    "new zealand": (("ɪ", "ə"), ("ɛ", "ɪ"), ("æ", "ɛ"), ("A", "I")),
}  # fmt: skip
"""For each accent pairs of a pattern of phones and what is said instead, in the order in which they are applied."""


def accented(phones: str, rng: random.Random) -> str:
    """The phones of a sentence with an accent drawn at random: some of its rules, and each of these not always.

    >>> accented("ðə wˈɛðəɹ ɪn ðə nˈɔɹθ", random.Random(5))
    'də vˈɛdəɹ ɪn də nˈɔʁθ'
    """
    rules = ACCENTS[rng.choice(list(ACCENTS))]
    strength = rng.uniform(0.4, 1.0)
    for pattern, instead in rules:
        if rng.random() < 0.8:
            parts, at = [], 0
            for match in re.finditer(pattern, phones):
                said = match.expand(instead) if rng.random() < strength else match.group()
                parts += [phones[at : match.start()], said]
                at = match.end()
            phones = "".join([*parts, phones[at:]])
    return phones


_OF_ESPEAK = {
    "tS": "ʧ", "dZ": "ʤ", "T": "θ", "D": "ð", "S": "ʃ", "Z": "ʒ", "N": "ŋ", "r": "ɹ", "r-": "ɹ", "g": "ɡ", "i:": "i",
    "i": "i", "I": "ɪ", "I2": "ɪ", "I#": "ɪ", "U": "ʊ", "u:": "u", "a": "æ", "V": "ʌ", "3:": "ɜ", "@": "ə", "@2": "ə",
    "eI": "A", "oU": "O", "aI": "I", "aU": "W", "OI": "Y", "E": "ɛ", "O:": "ɔ", "A:": "ɑ", "'": "ˈ", ",": "ˌ",
} | {c: c for c in "bdfhjklmnpstvwz "}  # fmt: skip
_TO_ESPEAK = {phone: mnemonic for mnemonic, phone in reversed(_OF_ESPEAK.items())} | {
    "ʁ": 'r"', "x": "x", "ɾ": "*", "r": "R", "ʈ": "t[", "ɖ": "d[", "ʋ": "v#", "ʔ": "?", "ʝ": "J^", "e": "e", "eː": "e:",
    "o": "o", "oː": "o:", "a": "A:", "aː": "A:", "œ": "3:", "ø": "3:", "ɯ": "U",
}  # fmt: skip
_OTHER = 0x4E00  # and on: letters that no rule knows stand for the mnemonics without a phone here


def espeak_accented(mnemonics: str, rng: random.Random) -> str:
    """`accented` for espeak-ng: phoneme mnemonics, as its library gives them for a text, to such as it speaks.

    >>> espeak_accented("w'O:t3 InD@2 n'O@T", random.Random(5))
    "v|'|O:|t|3| |I|n|d|@| |n|'|O@|T"
    """
    tokens = re.findall(r"tS|dZ|[td][#[]|_:|[rlmn]-|(?:[ae]I|[ao]U|OI|[aAeEiIoOuUV0@3])[:@#23;RL-]*|.", mnemonics)
    others = sorted(set(tokens) - set(_OF_ESPEAK))
    phones = "".join(_OF_ESPEAK.get(t) or chr(_OTHER + others.index(t)) for t in tokens)
    spoken = []
    for phone in re.findall("[eoa]ː|.", accented(phones, rng)):
        spoken.append(others[ord(phone) - _OTHER] if phone not in _TO_ESPEAK else _TO_ESPEAK[phone])
    return "|".join(spoken)
