# SPDX-License-Identifier: Apache-2.0
"""More of what people bring: texts with typographic signs, models of other languages, file names of any bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.nna_models import ENGLISH, random_model

import pynna
from pynna.assistant.wyoming import Programs
from pynna.audio.files import read
from pynna.cli.main import main
from pynna.errors import AudioError
from pynna.mapping.nna import encode_nna

PCM = np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)


def words_of(arpa: Path) -> set[str]:
    """The words of an ARPA file."""
    unigrams = arpa.read_text("utf-8").partition("\\1-grams:")[2].partition("\\2-grams:")[0]
    return set(re.findall(r"^\S+\t(\S+)", unigrams, re.MULTILINE)) - {"<s>", "</s>", "<unk>"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("open — the “door” – now", "open the door now"),
        ("‘yes’ … don’t « stop » ¡hola!", "yes don't stop hola"),
        ("(one) [two] {three} * • four / five", "one two three four five"),
        ("rock'n'roll - well-known ; \"quoted\" : end.", "rock'n'roll well known quoted end"),
        ("the 2nd door: 20% of 5 km/h", "the second door twenty percent of five kilometers per hour"),
        ("— … “ ”\nyes", "yes"),
    ],
)
def test_punctuation_is_no_word_of_a_language_model(line, words, tmp_path, capsys):
    (tmp_path / "a.txt").write_text(line + "\n", encoding="utf-8")
    assert main(["lm", str(tmp_path / "a.txt"), "-o", str(tmp_path / "a.arpa")]) == 0
    assert words_of(tmp_path / "a.arpa") == set(words.split()) and "n-grams" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("language", "letters", "text", "words", "command"),
    [
        ("de", "äöüß", "Küche an, Straße 3", "küche an straße drei", "küche an"),
        ("fr", "àâçéèêëîïôùû", "Été à 3 heures", "été à trois heures", "été à trois heures"),
        ("es", "áéíñóúü", "Señor, 3 años", "señor tres años", "tres años"),
        ("ru", "абвгдежзийклмнопрстуфхцчшщъыьэюя", "Свет 3", "свет три", "свет три"),
        ("cs", "áčďéěíňóřšťúůýž", "Žárovka č. 3", "žárovka č tři", "žárovka"),
    ],
)
def test_a_models_alphabet_and_language_are_followed(language, letters, text, words, command, tmp_path):
    made = random_model(alphabet=[*ENGLISH, *letters])
    made.metadata["language"] = language
    path = tmp_path / f"{language}.nna"
    path.write_bytes(encode_nna(made))
    model = pynna.load(path)
    (tmp_path / "a.txt").write_text(text + "\n", encoding="utf-8")
    assert main(["lm", "-m", str(path), str(tmp_path / "a.txt"), "-o", str(tmp_path / "a.arpa")]) == 0
    assert words_of(tmp_path / "a.arpa") == set(words.split())
    grammar = pynna.Grammar.from_sentences([text], language=language)
    assert grammar.graph(model.labels).n_states > len(words) and grammar.parse(words).text == words
    assert model.stream(hot_words={command.split()[0]: 3.0}).finish().text is not None
    assert Programs(model).info().asr[0].models[0].languages == [language]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes")
@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"\xff\xfe.wav", b"a\xc3.wav", b"\x80 b.wav", "küche ☎.wav".encode()])
def test_a_file_name_may_be_any_bytes(name, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", PCM, 16000)
    path = os.path.join(os.fsencode(tmp_path), name)
    Path(tmp_path / "a.wav").rename(os.fsdecode(path))
    assert len(read(os.fsdecode(path)).pcm) == 16000
    with pytest.raises(AudioError, match="no such file|cannot be read"):
        read(os.fsdecode(path + b".none"))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes")
def test_what_follows_a_file_name_of_any_bytes_is_read(tmp_path):
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in (b"caf\xe9.wav", b"none\xff.wav", b"b.wav")]
    for path in (paths[0], paths[2]):
        with open(path, "wb") as file:
            soundfile.write(file, PCM, 16000, format="WAV")
    done = subprocess.run(
        [sys.executable, "-m", "pynna", "transcribe", "--passes", "1", *paths], capture_output=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    told = [os.fsdecode(path).encode(errors="backslashreplace") for path in paths]
    assert [line.partition(b": ")[0] for line in done.stdout.splitlines()] == [told[0], told[2]]
    assert told[1] in done.stderr


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW", "ALAW", "PCM_24", "DOUBLE"])
def test_wavs_of_recorders_are_read(subtype, tmp_path):
    rate = 8000 if subtype == "GSM610" else 16000
    soundfile.write(tmp_path / "a.wav", 0.5 * PCM[:: 16000 // rate], rate, subtype=subtype)
    audio = read(tmp_path / "a.wav")
    assert len(audio.pcm) >= 16000 and np.corrcoef(audio.pcm[4000:15000], PCM[4000:15000])[0, 1] > 0.98


@pytest.mark.parametrize("scale", [500, 1000, 20000, 32767, 32768])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_in_the_range_of_int16_are_told(scale, dtype):
    with pytest.raises(AudioError, match=r"float samples must be in \[-1, 1\], got .*: for samples in int16's range"):
        pynna.load().transcribe((PCM * scale).astype(dtype))
