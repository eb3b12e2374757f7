# SPDX-License-Identifier: Apache-2.0
"""The libraries with the interfaces of DeepSpeech 0.5 and 0.6, called as bindings of those releases call them."""

from __future__ import annotations

import ctypes as C
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nna_models import ENGLISH

from pynna.audio import load_audio
from pynna.deepspeech import Model
from pynna.deepspeech.scorers import made_trie

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "csrc/deepspeech/old"
OWN = ROOT / "pynna/models/pynna-en-car.nna"
LM = ROOT / "tests/golden/three.trie.binary"

pytestmark = pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and a C compiler")


class Item(C.Structure):
    _fields_ = [("character", C.c_char_p), ("timestep", C.c_int), ("start_time", C.c_float)]


class Metadata(C.Structure):
    _fields_ = [("items", C.POINTER(Item)), ("num_items", C.c_int), ("number", C.c_double)]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, C.CDLL]:
    build = tmp_path_factory.mktemp("build")
    goals = ["deepspeech-0.5", "deepspeech-0.6", f"BUILD={build}", "OPT=-O1"]
    subprocess.run(["make", "-s", "-C", str(ROOT / "csrc"), *goals], check=True)
    found = {release: C.CDLL(str(build / release / "libdeepspeech.so")) for release in ("0.5", "0.6")}
    for library in found.values():
        for name in ("SpeechToText", "FinishStream", "IntermediateDecode"):
            getattr(library, f"DS_{name}").restype = C.c_void_p
        for name in ("SpeechToTextWithMetadata", "FinishStreamWithMetadata"):
            getattr(library, f"DS_{name}").restype = C.POINTER(Metadata)
    return found


def _text(library: C.CDLL, pointer: int) -> str:
    text = C.string_at(pointer).decode()
    library.DS_FreeString(C.c_void_p(pointer))
    return text


def _told(library: C.CDLL, told: Any) -> tuple[str, list[int], float]:
    md = told.contents
    items = [md.items[i] for i in range(md.num_items)]
    assert all(abs(item.start_time - item.timestep * 0.02) < 1e-5 for item in items)
    heard = b"".join(item.character for item in items).decode(), [item.timestep for item in items], md.number
    library.DS_FreeMetadata(told)
    library.DS_FreeMetadata(told)  # twice: nothing
    return heard


def _expected(model: Model, pcm: np.ndarray) -> tuple[str, list[int], float]:
    told = model.sttWithMetadata(pcm, 16000) if model._rate else model.sttWithMetadata(pcm)
    return "".join(i.character for i in told.items), [i.timestep for i in told.items], told.confidence


def _pcm() -> tuple[np.ndarray, C.c_void_p, C.c_uint]:
    pcm = np.ascontiguousarray(load_audio(ROOT / "pynna/recordings/open_the_window.flac").pcm, np.int16)
    return pcm, C.c_void_p(pcm.ctypes.data), C.c_uint(len(pcm))


@pytest.mark.parametrize("release", ["0.5", "0.6"])
def test_the_functions_of_the_header_are_exported_and_no_others(libraries: dict[str, C.CDLL], release: str) -> None:
    header = OLD / "deepspeech-old.h"
    command = ["cc", "-E", "-P", f"-DDS_RELEASE={release[-1]}", str(header)]
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"\b(DS_[A-Z]\w+)\(", plain))
    assert len(names) == {"0.5": 14, "0.6": 15}[release]
    assert all(hasattr(libraries[release], name) for name in names)
    later = {"DS_AddHotWord", "DS_EnableExternalScorer", "STT_CreateModel", "ds_create_model"}
    later |= {"DS_CreateStream"} if release == "0.5" else {"DS_SetupStream"}
    if "version-script" in (ROOT / "csrc/Makefile").read_text() and shutil.which("nm"):
        shown = subprocess.run(["nm", "-D", libraries[release]._name], capture_output=True, text=True).stdout
        assert not later & set(re.findall(r" T (\w+)", shown))


def test_a_program_of_0_5(libraries: dict[str, C.CDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, (pcm, audio, n) = libraries["0.5"], _pcm()
    alphabet, model, stream = b"alphabet.txt", C.c_void_p(), C.c_void_p()
    assert library.DS_CreateModel(b"none.pbmm", 26, 9, alphabet, 500, C.byref(model)) == 0x3000
    assert library.DS_CreateModel(str(OWN).encode(), 26, 9, alphabet, 500, C.byref(model)) == 0
    assert _text(library, library.DS_SpeechToText(model, audio, n, 16000)) == "open the window"
    assert library.DS_SpeechToText(model, audio, n, 8000) is None
    told = _told(library, library.DS_SpeechToTextWithMetadata(model, audio, n, 16000))
    labels = tmp_path / "alphabet.txt"
    labels.write_text("".join(f"{c}\n" for c in ENGLISH))
    assert told == _expected(Model(str(OWN), 26, 9, str(labels), 500), pcm) and told[2] > 0
    assert library.DS_SetupStream(model, 150, 16000, C.byref(stream)) == 0
    for start in range(0, len(pcm), 1024):
        part = pcm[start : start + 1024]
        library.DS_FeedAudioContent(stream, C.c_void_p(part.ctypes.data), C.c_uint(len(part)))
    assert _text(library, library.DS_IntermediateDecode(stream)).startswith("open")
    assert _told(library, library.DS_FinishStreamWithMetadata(stream)) == told
    assert library.DS_SetupStream(model, 0, 16000, C.byref(stream)) == 0
    library.DS_DiscardStream(stream)
    assert library.DS_FinishStream(stream) is None
    monkeypatch.setenv("PYNNA_CACHE", str(tmp_path))
    trie = made_trie(LM, [c.encode() for c in ENGLISH])
    weights = C.c_float(0.75), C.c_float(1.85)
    assert library.DS_EnableDecoderWithLM(model, alphabet, b"none", bytes(trie), *weights) == 0x2002
    assert library.DS_EnableDecoderWithLM(model, alphabet, bytes(LM), bytes(trie), *weights) == 0
    assert _told(library, library.DS_SpeechToTextWithMetadata(model, audio, n, 16000)) != told
    library.DS_DestroyModel(model)
    library.DS_DestroyModel(model)
    assert library.DS_SpeechToText(model, audio, n, 16000) is None


def test_a_program_of_0_6(libraries: dict[str, C.CDLL]) -> None:
    library, (pcm, audio, n) = libraries["0.6"], _pcm()
    model, stream = C.c_void_p(), C.c_void_p()
    assert library.DS_CreateModel(str(OWN).encode(), 100, C.byref(model)) == 0
    assert library.DS_GetModelSampleRate(model) == 16000
    assert _text(library, library.DS_SpeechToText(model, audio, n)) == "open the window"
    told = _told(library, library.DS_SpeechToTextWithMetadata(model, audio, n))
    assert told == _expected(Model(str(OWN), 100), pcm)
    assert library.DS_CreateStream(model, C.byref(stream)) == 0
    library.DS_FeedAudioContent(stream, audio, n)
    assert _told(library, library.DS_FinishStreamWithMetadata(stream)) == told
    assert library.DS_CreateStream(model, C.byref(stream)) == 0
    library.DS_FreeStream(stream)
    assert not library.DS_FinishStreamWithMetadata(stream)
    empty = _told(library, library.DS_SpeechToTextWithMetadata(model, audio, C.c_uint(0)))
    assert empty[:2] == ("", [])
    library.DS_FreeModel(model)
