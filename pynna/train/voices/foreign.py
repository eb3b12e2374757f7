# SPDX-License-Identifier: Apache-2.0
"""English by free voices of other languages: a speaker's own timbre, and an accent.

Festival finds the phones of an English sentence, their lengths and the fundamental (kal_diphone's lexicon and prosody),
or espeak-ng does the phones and the lengths in one of its accents, and each phone becomes one or two of the voice's.
So are festival's two American voices spoken by espeak-ng. Debian's packages, beside festival and festvox-kallpc16k:
festvox-itapc16k, -italp16k, -czech-ph, -czech-dita, -czech-krb, -czech-machac, -suopuhe-lj, -suopuhe-mv and -hi-nsk,
whose diphones festival joins without their language's rules; and libttspico-utils, which reads phones.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pynna.train.voices.base import Job, Pcm, read
from pynna.train.voices.espeak import espeak
from pynna.train.voices.pico import pico

GAP = 0.01  # seconds between phones that were not recorded together
FESTIVAL = Path("/usr/share/festival/voices")

_SAME = {p: p for p in "b d f g k l m n p r s t v z".split()}
_AMERICAN = _SAME | {"dx": "d|t"} | {
    p: p for p in "aa ae ah ao aw ax ay ch dh eh er ey hh ih iy jh ng ow oy pau sh th uh uw w y zh".split()
}  # fmt: skip
_ITALIAN = _SAME | {
    "aa": "a1|a", "ae": "E1|a1", "ah": "a|a1", "ao": "O1|o1", "aw": "a1 u|a u", "ax": "a|e|o", "ay": "a1 i|a i",
    "eh": "E1|e1", "er": "E1 r|e r|a r", "ey": "e1 i|e i", "ih": "i|i1", "iy": "i1|i", "ow": "o1 u|o1",
    "oy": "O1 i|o i", "uh": "u|u1", "uw": "u1|u", "ch": "tS", "jh": "dZ", "dh": "d|z", "dx": "d|r", "hh": "",
    "ng": "ng g|ng|n g", "sh": "S", "th": "t|f|s", "w": "w|u", "y": "j|i", "zh": "Z|S", "pau": "#",
}  # fmt: skip
_CZECH = _SAME | {
    "aa": "a:|o", "ae": "e|a", "ah": "a", "ao": "o:|o", "aw": "a u", "ax": "e|a", "ay": "a j", "eh": "e",
    "er": "e: r|e r", "ey": "e j|e:", "ih": "i", "iy": "i:|i", "ow": "o u|o:", "oy": "o j", "uh": "u", "uw": "u:|u",
    "ch": "c~", "jh": "dz~", "dh": "d|z", "dx": "d|r", "hh": "h|ch", "ng": "n* g|n g|n*", "sh": "s~", "th": "t|s|f",
    "w": "v|u", "y": "j", "zh": "z~", "pau": "#",
}  # fmt: skip
_FINNISH = _SAME | {
    "aa": "a:|a", "ae": "@|@:", "ah": "a", "ao": "o:|o", "aw": "a u", "ax": "7|e|a", "ay": "a i", "eh": "e",
    "er": "7: r|7 r", "ey": "e i", "ih": "i", "iy": "i:|i", "ow": "o u", "oy": "o i", "uh": "u", "uw": "u:|u",
    "ch": "t S|t s", "jh": "d S|d j", "dh": "d", "dx": "d|t", "hh": "h", "ng": "N", "sh": "S|s", "th": "T|t",
    "w": "w|v", "y": "j", "z": "s", "zh": "S|s", "pau": "#",
}  # fmt: skip
_HINDI = _SAME | {
    "aa": "aa|a", "ae": "eh|a", "ah": "a", "ao": "oo|oh|aa", "aw": "aw", "ax": "a", "ay": "ay", "eh": "eh",
    "er": "a r|eh r", "ey": "ee", "ih": "ih", "iy": "iy", "ow": "oo", "oy": "oo y|oh y", "uh": "uh", "uw": "uw",
    "ch": "ch", "d": "D", "jh": "j", "dh": "dh", "dx": "D|r", "hh": "h", "ng": "n g|N g", "sh": "sh", "t": "T",
    "th": "th|tth", "w": "v", "y": "y", "z": "s|j|zh", "zh": "zh|sh", "pau": "pau",
}  # fmt: skip
_PICO_GERMAN = _SAME | {
    "aa": "a:|a", "ae": "E|a", "ah": "a", "ao": "O|o:", "aw": "aU", "ax": "@|6", "ay": "aI", "eh": "E", "er": "9 6|E R",
    "ey": "e:|E I", "ih": "I", "iy": "i:", "ow": "o:|o U", "oy": "OY", "uh": "U", "uw": "u:", "ch": "tS", "jh": "dZ",
    "dh": "d|z", "dx": "d", "hh": "h", "ng": "N", "r": "R", "sh": "S", "th": "s|t|f", "w": "v", "y": "j", "zh": "Z",
    "pau": "",
}  # fmt: skip
_PICO_FRENCH = _SAME | {
    "aa": "a", "ae": "a|E", "ah": "9|a", "ao": "O", "aw": "a u", "ax": "@|9", "ay": "a j", "eh": "E", "er": "9 R",
    "ey": "e|E j", "ih": "i", "iy": "i", "ow": "o|o u", "oy": "O j", "uh": "u", "uw": "u", "ch": "t S", "jh": "d Z",
    "dh": "z|d", "dx": "d", "hh": "", "ng": "N|n g", "r": "R", "sh": "S", "th": "s|t|f", "w": "w", "y": "j", "zh": "Z",
    "pau": "",
}  # fmt: skip
_PICO_SPANISH = _SAME | {
    "aa": "a|o", "ae": "a|e", "ah": "a", "ao": "o", "aw": "a u", "ax": "a|e|o", "ay": "a i", "eh": "e",
    "er": "e 4|o 4", "ey": "e i", "ih": "i", "iy": "i", "ow": "o u|o", "oy": "o i", "uh": "u", "uw": "u", "ch": "tS",
    "jh": "j|tS", "dh": "D|d", "dx": "d|4", "hh": "x", "ng": "N", "r": "4|r", "sh": "tS|s", "th": "T|t", "v": "b|B",
    "w": "u", "y": "j", "z": "s", "zh": "j|s", "pau": "",
}  # fmt: skip
_PICO_ITALIAN = _SAME | {
    "aa": "a", "ae": "E|a", "ah": "a", "ao": "O:|o", "aw": "a u", "ax": "a|e|o", "ay": "a i", "eh": "E", "er": "E r",
    "ey": "e i", "ih": "i", "iy": "i", "ow": "o u|o", "oy": "o i", "uh": "u", "uw": "u", "ch": "tS", "jh": "dZ",
    "dh": "d|z", "dx": "d|4", "hh": "", "ng": "N g", "sh": "S", "th": "t|f|s", "w": "u", "y": "i", "zh": "dZ|S",
    "pau": "",
}  # fmt: skip
_OF_OTHERS = {  # phones that the tables lack, as ones that they have
    "el": "ax l", "em": "ax m", "en": "ax n", "axr": "er", "hv": "hh", "nx": "n", "ix": "ih",
}  # fmt: skip


_ESPEAK = _SAME | {  # mnemonics of espeak-ng's English; an r in brackets is said by those who say it everywhere
    "i:": "iy", "i": "iy", "I": "ih", "I2": "ih", "I#": "ih", "IR": "ih (r)", "E": "eh", "eI": "ey", "e@": "eh (r)",
    "a": "ae", "a#": "ax", "aa": "ae", "A:": "aa", "A@": "aa (r)", "A~": "aa", "0": "aa", "O": "ao", "O2": "ao",
    "O:": "ao", "O@": "ao (r)", "o@": "ao (r)", "oU": "ow", "OI": "oy", "aU": "aw", "aI": "ay", "aI2": "ay",
    "aI@": "ay ax", "aI3": "ay er", "V": "ah", "VR": "er", "U": "uh", "U@": "uh (r)", "u:": "uw", "i@": "iy ax",
    "i@3": "iy er", "3:": "er", "3": "er", "@": "ax", "@2": "ax", "@5": "ax", "@-": "ax", "@L": "ax l", "D": "dh",
    "T": "th", "S": "sh", "Z": "zh", "N": "ng", "n-": "ax n", "h": "hh", "j": "y", "w": "w", "w#": "w", "tS": "ch",
    "dZ": "jh", "t#": "dx", "t[": "t", "t2": "t", "r-": "r", ";": "", "?": "", "_": "pau", "_:": "pau", "_|": "pau",
    "_!": "pau", "x": "k",
}  # fmt: skip
_RHOTIC = ("en-us", "en-gb-scotland", "en-us-nyc")
_STOPS = "b ch d g jh k p t".split()
PAUSE, MIN_PHONE = 0.1, 0.015  # seconds
CLOSURE = 0.03  # seconds of a stop before espeak-ng's event of it, taken from what was said before


class Voice(NamedTuple):
    """What a voice says for each English phone: alternatives, each of any number of phones of its own.

    The file of its diphones below `FESTIVAL` and its usual f0 in Hz; of a voice of pico its language, and 100 %.
    """

    source: str
    says: dict[str, str]
    f0: float


VOICES = {
    "kal_diphone": Voice("english/kal_diphone/group/kallpc16k.group", _AMERICAN, 105.0),
    "ked_diphone": Voice("english/ked_diphone/group/kedlpc16k.group", _AMERICAN, 105.0),
    "pc_diphone": Voice("italian/pc_diphone/group/pc_diphone.group", _ITALIAN, 110.0),
    "lp_diphone": Voice("italian/lp_diphone/group/lp_diphone.group", _ITALIAN, 190.0),
    "czech_ph": Voice("czech/czech_ph/group/ph.group", _CZECH, 105.0),
    "czech_dita": Voice("czech/czech_dita/group/dita.group", _CZECH, 200.0),
    "czech_krb": Voice("czech/czech_krb/group/krb.group", _CZECH, 230.0),
    "czech_machac": Voice("czech/czech_machac/group/machac.group", _CZECH, 110.0),
    "suo_fi_lj_diphone": Voice("finnish/suo_fi_lj_diphone/group/ljlpc.group", _FINNISH, 190.0),
    "hy_fi_mv_diphone": Voice("finnish/hy_fi_mv_diphone/group/mvlpc.group", _FINNISH, 105.0),
    "hindi_NSK_diphone": Voice("hindi/hindi_NSK_diphone/group/NSKlpc.group", _HINDI, 120.0),
    "de-DE": Voice("de-DE", _PICO_GERMAN, 100.0),
    "fr-FR": Voice("fr-FR", _PICO_FRENCH, 100.0),
    "es-ES": Voice("es-ES", _PICO_SPANISH, 100.0),
    "it-IT": Voice("it-IT", _PICO_ITALIAN, 100.0),
}
AMERICAN = [voice for voice, (_, says, _) in VOICES.items() if says is _AMERICAN]
"""Voices that are no foreign ones; festival itself speaks with them, too."""
_PROSODY = """
(voice_kal_diphone)
(define (tell utterance)
  (mapcar (lambda (module) (apply module (list utterance)))
          (list Initialize Text Token_POS Token POS Phrasify Word Pauses Intonation PostLex Duration Int_Targets))
  (mapcar (lambda (s) (format t "segment %s %f %s %s %s\\n" (item.name s) (item.feat s 'segment_duration)
                              (item.feat s "R:SylStructure.p.name") (item.feat s "R:SylStructure.parent.p.name")
                              (item.feat s "R:SylStructure.parent.stress")))
          (utt.relation.items utterance 'Segment))
  (mapcar (lambda (s) (format t "target %f %f\\n" (item.feat s 'pos) (item.feat s 'f0)))
          (utt.relation.leafs utterance 'Target)))
"""
_UNISYN = """
(Parameter.set 'Synth_Method 'UniSyn)
(Parameter.set 'us_sigpr 'lpc)
(set! us_abs_offset 0.0) (set! us_rel_offset 0.0) (set! window_factor 1.0) (set! us_gain 0.9)
(set! after_synth_hooks nil)
"""


class Segment(NamedTuple):
    """A phone: its name, its length in seconds, f0 in Hz where it begins, and what begins with it.

    ``" "``: a word, ``'"'``: a stressed syllable, ``' "'``: both.
    """

    phone: str
    seconds: float
    f0: float
    mark: str = ""


def _festival(script: str) -> str:
    return subprocess.run(["festival", "--pipe"], input=script, capture_output=True, check=False, text=True).stdout


def prosody(texts: list[str]) -> list[list[Segment]]:
    """The segments of sentences as kal_diphone would say them; none where that failed."""
    script = _PROSODY + "".join(f'(format t "text {i}\\n")(tell (Utterance Text "{t}"))\n' for i, t in enumerate(texts))
    found: list[list[Segment]] = [[] for _ in texts]
    for part in re.split(r"(?m)^text (?=\d+$)", _festival(script))[1:]:
        number, *lines = part.splitlines()
        fields = [line.split() for line in lines]
        segments = [f for f in fields if f[:1] == ["segment"] and len(f) == 6]
        targets = [(float(f[1]), float(f[2])) for f in fields if f[:1] == ["target"] and len(f) == 3]
        if segments and targets:
            seconds = [float(f[2]) for f in segments]
            times, hertz = zip(*targets, strict=True)
            f0 = np.interp(np.cumsum([0.0, *seconds[:-1]]), times, hertz).tolist()
            for (_, phone, _, before, syllable_before, stress), s, f in zip(segments, seconds, f0, strict=True):
                begins = before == "0"  # nothing is before it in its syllable; nothing before that in its word:
                mark = " " * (begins and syllable_before == "0") + '"' * (begins and stress == "1")
                found[int(number)].append(Segment(phone, s, f, mark))
    return found


def has_diphones(voice: str) -> bool:
    """Whether a voice is of diphones, not one of pico's."""
    return VOICES[voice].source != voice


def in_accent(voice: str, accent: str) -> str:
    """A job's voice: one of diphones, spoken by espeak-ng in an accent of its, such as ``en-gb-scotland``."""
    return f"{voice}/{accent}"


def espeak_prosody(text: str, accent: str, rng: random.Random) -> list[Segment]:
    """The segments of a sentence as espeak-ng says them in an accent, and an f0 that falls unevenly.

    None where a word has a phoneme that is not English, as espeak-ng knows of some.

    Raises
    ------
    ValueError
        No such accent.
    """
    out = [Segment("pau", PAUSE, 0.0)]
    for mnemonic, seconds, begins in espeak().timed_phones(text, accent, 155):
        if mnemonic not in _ESPEAK:
            return []
        said = _ESPEAK[mnemonic].replace("(r)", "r" if accent in _RHOTIC else "").split()
        for phone in said:
            length = seconds / len(said)
            if phone in _STOPS and out[-1].seconds > 2 * CLOSURE:
                out[-1] = out[-1]._replace(seconds=out[-1].seconds - CLOSURE)
                length += CLOSURE
            if phone == out[-1].phone == "pau":
                out[-1] = out[-1]._replace(seconds=out[-1].seconds + length)
            else:  # UniSyn has been seen to write beyond its memory for phones of no length
                out.append(Segment(phone, max(MIN_PHONE, length), 0.0, " " * begins))
            begins = False
    out[-1] = out[-1]._replace(seconds=max(PAUSE, out[-1].seconds))
    total = sum(s.seconds for s in out)
    nodes = [rng.gauss(1.0, 0.08) * (1.12 - 0.07 * k) for k in range(5)]
    places = np.cumsum([0.0, *(s.seconds for s in out[:-1])]) / total
    f0 = 100 * np.interp(places, np.linspace(0, 1, 5), nodes)
    return [segment._replace(f0=float(f)) for segment, f in zip(out, f0, strict=True)]


@functools.lru_cache(maxsize=16)
def recorded(voice: str) -> frozenset[str]:
    """Names of the diphones that a voice has; none: any phones can be joined.

    Raises
    ------
    FileNotFoundError
        A voice that is not installed.
    """
    if not has_diphones(voice):
        return frozenset()
    path = FESTIVAL / VOICES[voice].source
    if not path.exists():
        raise FileNotFoundError(
            f"no {path}: the Debian packages that `pynna.train.voices.foreign` names, or foreign = 0 in the "
            "configuration's [synthesise.engines], are right"
        )
    return frozenset(re.findall(r"(?m)^(\S+-\S+) \d+", path.read_bytes()[: 1 << 17].decode("latin-1")))


def spoken(segments: list[Segment], voice: str, rng: random.Random) -> list[Segment]:
    """What a voice says for English segments: of each phone's alternatives one that its diphones join, if there is.

    Phones without a sound there are left out; the length of one that becomes two is shared. A little silence stands
    between phones that no diphone joins.
    """
    diphones, says = recorded(voice), VOICES[voice].says
    out: list[Segment] = []
    mark = ""
    for segment in segments:
        names = _OF_OTHERS.get(segment.phone, segment.phone).split()
        choices = [" ".join(c).split() for c in itertools.product(*(says[name].split("|") for name in names))]
        rng.shuffle(choices)
        before = [out[-1].phone] if out else []
        missing = [sum(f"{a}-{b}" not in diphones for a, b in itertools.pairwise(before + c)) for c in choices]
        chosen = choices[missing.index(min(missing))]
        mark += segment.mark
        for phone in chosen:
            if diphones and out and f"{out[-1].phone}-{phone}" not in diphones:
                out.append(Segment(says["pau"], GAP, segment.f0))
            out.append(Segment(phone, segment.seconds / len(chosen), segment.f0, mark))
            mark = ""
    return out


def foreign(jobs: list[Job]) -> list[Pcm | None]:
    """Speak many in one run; None where it failed.

    Raises
    ------
    FileNotFoundError
        A voice, festival or pico that is not installed.
    ValueError
        An accent that espeak-ng does not know.
    """
    out: list[Pcm | None] = [None] * len(jobs)
    script = [_select(voice) for voice in sorted({job[1].partition("/")[0] for job in jobs}) if recorded(voice)]
    with tempfile.TemporaryDirectory() as folder:
        by_festival = iter(prosody([text for text, voice, *_ in jobs if "/" not in voice]))
        for i, (text, spoken_as, stretch, f0) in enumerate(jobs):
            rng = random.Random(f"{text}/{stretch}/{f0}")
            voice, _, accent = spoken_as.partition("/")
            segments = espeak_prosody(text, accent, rng) if accent else next(by_festival)
            if not segments:
                continue
            said = spoken(segments, voice, rng)
            if not recorded(voice):
                phones = "".join(s.mark + s.phone for s in said).strip()
                out[i] = pico(f"<phoneme ph='{phones}'/>", voice, round(100 / stretch), 2 * round(f0 / 2))
                continue
            mean = float(np.mean([s.f0 for s in said]))
            forms = " ".join(f"({s.phone} {stretch * s.seconds:.4f} (0 {f0 * s.f0 / mean:.1f}))" for s in said)
            samples = f"(utt.wave.resample (utt.synth (Utterance Segments ({forms}))) 16000)"
            script += [f"(speak_as_{voice})", f'(utt.save.wave {samples} "{folder}/{i}.wav" \'riff)']
        _festival("\n".join(script))
        return [read(p) if (p := Path(folder, f"{i}.wav")).exists() else pcm for i, pcm in enumerate(out)]


def _select(voice: str) -> str:
    """Scheme that loads a voice's diphones and defines a function that changes to them."""
    file, silence = FESTIVAL / VOICES[voice].source, VOICES[voice].says["pau"]
    phones = sorted({phone for names in recorded(voice) for phone in names.split("-")})
    return f"""
(defPhoneSet {voice} ((vc + -)) ({" ".join(f"({phone} -)" for phone in phones)}))
(PhoneSet.silences '({silence}))
(us_diphone_init '((name "{voice}") (index_file "{file}") (grouped "true") (default_diphone "{silence}-{silence}")))
(define (speak_as_{voice}) {_UNISYN} (PhoneSet.select '{voice}) (Parameter.set 'PhoneSet '{voice})
  (us_db_select "{voice}"))"""
