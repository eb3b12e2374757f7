# SPDX-License-Identifier: Apache-2.0
"""libdeepspeech.so by itself: the functions of both headers, errors for what is no handle, streams of its own."""

from __future__ import annotations

import ctypes as C
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pynna.audio import load_audio

ROOT = Path(__file__).resolve().parents[2]
HEADERS = ROOT / "csrc" / "deepspeech"
OWN = ROOT / "pynna/models/pynna-en-car.nna"
CLIP = ROOT / "pynna/recordings/open_the_window.flac"

pytestmark = pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and a C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> C.CDLL:
    build = tmp_path_factory.mktemp("build")
    subprocess.run(["make", "-s", "-C", str(ROOT / "csrc"), "deepspeech", f"BUILD={build}", "OPT=-O1"], check=True)
    found = C.CDLL(str(build / "libdeepspeech.so"))
    for prefix in ("DS_", "STT_"):
        for name in ("SpeechToText", "FinishStream", "IntermediateDecode", "Version", "ErrorCodeToErrorMessage"):
            getattr(found, prefix + name).restype = C.c_void_p
        getattr(found, prefix + "SpeechToTextWithMetadata").restype = C.c_void_p
    return found


@pytest.fixture
def model(library: C.CDLL) -> Iterator[C.c_void_p]:
    handle = C.c_void_p()
    assert library.DS_CreateModel(str(OWN).encode(), C.byref(handle)) == 0
    yield handle
    library.DS_FreeModel(handle)


def _text(library: C.CDLL, pointer: int) -> str:
    text = C.string_at(pointer).decode()
    library.DS_FreeString(C.c_void_p(pointer))
    return text


def _pcm() -> np.ndarray:
    return np.ascontiguousarray(load_audio(CLIP).pcm, np.int16)


def test_all_functions_of_the_headers_are_exported(library: C.CDLL) -> None:
    for header, prefix in (("deepspeech.h", "DS_"), ("coqui-stt.h", "STT_")):
        names = set(re.findall(rf"\b({prefix}[A-Z]\w+)\(", (HEADERS / header).read_text()))
        assert len(names) > 20
        assert all(hasattr(library, name) for name in names)
    assert not hasattr(library, "pynna_version")


def test_a_recording_is_heard_through_both_faces(library: C.CDLL, model: C.c_void_p) -> None:
    pcm = _pcm()
    for prefix in ("DS_", "STT_"):
        found = getattr(library, prefix + "SpeechToText")(model, C.c_void_p(pcm.ctypes.data), C.c_uint(len(pcm)))
        assert _text(library, found) == "open the window"
    stream = C.c_void_p()
    assert library.DS_CreateStream(model, C.byref(stream)) == 0
    for start in range(0, len(pcm), 1000):
        part = pcm[start : start + 1000]
        library.DS_FeedAudioContent(stream, C.c_void_p(part.ctypes.data), C.c_uint(len(part)))
    assert _text(library, library.DS_FinishStream(stream)) == "open the window"


def test_what_is_no_handle_any_more_is_an_error_and_no_crash(library: C.CDLL) -> None:
    model, stream = C.c_void_p(), C.c_void_p()
    assert library.DS_CreateModel(str(OWN).encode(), C.byref(model)) == 0
    assert library.DS_CreateStream(model, C.byref(stream)) == 0
    told = library.DS_SpeechToTextWithMetadata(model, None, C.c_uint(0), C.c_uint(1))
    library.DS_FreeModel(model)
    library.DS_FreeModel(model)  # twice
    assert library.DS_CreateStream(model, C.byref(C.c_void_p())) == 0x1000
    assert library.DS_SetScorerAlphaBeta(model, C.c_float(1), C.c_float(1)) == 0x1000
    pcm = _pcm()
    library.DS_FeedAudioContent(stream, C.c_void_p(pcm.ctypes.data), C.c_uint(len(pcm)))  # the stream lives on
    assert _text(library, library.DS_FinishStream(stream)) == "open the window"
    assert library.DS_FinishStream(stream) is None  # used up
    library.DS_FreeStream(stream)
    library.DS_FeedAudioContent(stream, C.c_void_p(pcm.ctypes.data), C.c_uint(len(pcm)))
    for _ in range(2):
        library.DS_FreeMetadata(C.c_void_p(told))
    assert library.DS_CreateModel(None, C.byref(model)) == 0x1000 and not model.value


def test_models_are_found_beside_the_files_they_were_made_of(library: C.CDLL, tmp_path: Path) -> None:
    (tmp_path / "output_graph.pbmm").write_bytes(b"\x0a\x05hello")
    model = C.c_void_p()
    assert library.DS_CreateModel(bytes(tmp_path / "output_graph.pbmm"), C.byref(model)) == 0x3000
    shutil.copy(OWN, tmp_path / "output_graph.pbmm.nna")
    assert library.DS_CreateModel(bytes(tmp_path / "output_graph.pbmm"), C.byref(model)) == 0
    assert library.DS_GetModelSampleRate(model) == 16000 and library.DS_GetModelBeamWidth(model) == 500
    library.DS_FreeModel(model)
    message = library.DS_ErrorCodeToErrorMessage(0x2004)
    assert _text(library, message) == "External scorer is not enabled."
