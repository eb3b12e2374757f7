# SPDX-License-Identifier: Apache-2.0
"""Small valid inputs of every format, from which the fuzzer starts."""

from __future__ import annotations

import io
import tarfile
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = TESTS / "golden"


def shipped_model() -> Path:
    """The model that ships."""
    return next((Path(str(resources.files("pynna"))) / "models").glob("*.nna"))


def yaml() -> list[bytes]:
    return [b"""language: en
intents:
  Light:
    data:
      - sentences: ["turn <the> {room} [lights] (on|off)", "set {room} to {level} [percent]"]
        slots: {domain: light}
  Level:
    data: [{sentences: ["channel {n:number}"]}]
expansion_rules: {the: "[the|a]"}
lists:
  room: {values: [kitchen, {in: "living room", out: living}]}
  level: {range: {from: 0, to: 100, step: 10}}
  n: {range: {from: -3, to: 5, fractions: halves, multiplier: 2}}
"""]  # fmt: skip


def jsgf() -> list[bytes]:
    return [
        b"#JSGF V1.0;\ngrammar a;\npublic <c> = turn /2/ (on {1} | off) [please] <what>+;\n<what> = light | fan*;\n"
    ]


def ini() -> list[bytes]:
    return [
        b"[Light]\nname = (lamp:light.one | [the] bulb){name}\nturn <name> (on|off){s}\nset to (0..20,5){level!int}\n"
    ]


def rhino() -> list[bytes]:
    return [b"""context:
  expressions:
    turn: ["[turn, switch] (all) lights $state:state", "channel $pv.TwoDigitInteger:n", "@please go"]
  slots: {state: ["on", "off"]}
  macros: {please: ["please", "kindly"]}
"""]  # fmt: skip


def arpa() -> list[bytes]:
    return [b"\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\t<s>\t-0.3\n-1\tone\t-0.2\n-1\t</s>\n\n\\2-grams:\n"
            b"-0.5\t<s> one\n\n\\end\\\n"]  # fmt: skip


@cache
def _float() -> Path:
    return GOLDEN / "tiny_graph.pb"


def nna() -> list[bytes]:
    import sys

    sys.path.insert(0, str(TESTS))
    from support.nna_models import random_file

    return [random_file(8, alphabet=["a", "b"], n_context=1, n_coefficients=3, cell=4)]


@cache
def small_model(seed: int = 1) -> Path:
    """A network of 29 labels so small that a step takes no time; another one for another seed."""
    import sys
    import tempfile

    sys.path.insert(0, str(TESTS))
    from support.nna_models import random_file

    path = Path(tempfile.mkdtemp(prefix="pynna-fuzz-")) / "small.nna"
    path.write_bytes(random_file(8, cell=8, seed=seed))
    return path


def states() -> list[bytes]:
    """Streams and listeners in the middle of an utterance, by greedy decoding, a beam search and a grammar."""
    import pynna
    from tests.fuzz.targets import RESTORED, loud

    saved = []
    for seed in (1, 2):  # the other one's are refused
        model = pynna.load(small_model(seed), threads=1)
        for options in RESTORED:
            for made in (model.stream(**options), model.listen(**options)):
                made.feed(loud(0.5))
                saved.append(made.save())
    return saved


def graph() -> list[bytes]:
    return [_float().read_bytes()]


def memmapped() -> list[bytes]:
    return [_float().read_bytes() + b"\x00" * 8, b"memmapped_package://._" + bytes(32)]


def tflite() -> list[bytes]:
    return [(GOLDEN / name).read_bytes() for name in ("tiny_float.tflite", "tiny_int8.tflite")]


def npz() -> list[bytes]:
    return [(GOLDEN / "tiny_graph.npz").read_bytes()]


def torch() -> list[bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.")
        file.writestr("a/data/0", bytes(16))
        file.writestr("a/version", b"3\n")
    return [packed.getvalue()]


def safetensors() -> list[bytes]:
    head = b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
    return [len(head).to_bytes(8, "little") + head + bytes(16)]


def checkpoint() -> list[bytes]:
    return [bytes(64) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", bytes(8)]


def onnx() -> list[bytes]:
    return [b"\x08\x07\x12\x04test\x3a\x10\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu\x12\x00"]


def archive() -> list[bytes]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        info = tarfile.TarInfo("a/output_graph.pb")
        info.size = 100
        file.addfile(info, io.BytesIO(_float().read_bytes()[:100]))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("b/output_graph.pb", _float().read_bytes()[:200])
    return [packed.getvalue(), zipped.getvalue()]


def scorer() -> list[bytes]:
    return [(GOLDEN / name).read_bytes() for name in ("three.trie.binary", "three.probing.binary")]


def audio() -> list[bytes]:
    import soundfile

    found = []
    samples = (np.sin(np.arange(3000) / 9) * 9000).astype(np.int16)
    for kind, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", None),
        ("OGG", "VORBIS"),
        ("MP3", None),
        ("AIFF", None),
    ):
        packed = io.BytesIO()
        soundfile.write(packed, np.stack([samples, samples], 1), 16000, format=kind, subtype=subtype)
        found.append(packed.getvalue())
    return found
