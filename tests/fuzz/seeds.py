# SPDX-License-Identifier: Apache-2.0
"""Small valid inputs of every format, from which the fuzzer starts."""

from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = TESTS / "golden"


def shipped_model() -> Path:
    """The model that ships."""
    return next((Path(str(resources.files("pynna"))) / "models").glob("*.nna"))


SENTENCES: dict[str, Any] = {
    "language": "en",
    "intents": {
        "Light": {
            "data": [
                {
                    "sentences": ["turn <the> {name} [lights] (on|off)", "set {name} to {level} [percent]"],
                    "slots": {"domain": "light"},
                    "requires_context": {"area": {"slot": True}, "domain": "light"},
                    "excludes_context": {"domain": ["fan", "cover"]},
                    "response": "done",
                    "expansion_rules": {"the": "[the|all]"},
                    "metadata": {"a": 1},
                }
            ]
        },
        "Say": {"data": [{"sentences": ["say {words} (please;now)"], "lists": {"words": {"wildcard": True}}}]},
    },
    "expansion_rules": {"the": "[the|a]"},
    "skip_words": ["please", "[can|could] you"],
    "lists": {
        "name": {"values": ["kitchen", {"in": "living room", "out": 1, "context": {"domain": "light"}}]},
        "level": {"range": {"from": 0, "to": 100, "step": 10, "multiplier": 2}},
    },
    "responses": {"intents": {"Light": {"done": "{{ slots.name }} is on", "default": "{name}"}}},
    "settings": {"filter_with_regex": False},
}
"""A sentence file with all that Home Assistant's have."""


def yaml() -> list[bytes]:
    return [json.dumps(SENTENCES, indent=1).encode(), b"""language: en
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


def _support() -> None:
    """Makes what tests share importable."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))


def nna() -> list[bytes]:
    """Weights of 8 bits, of 4 with scales and without, of 16."""
    _support()
    from support.nna_models import random_file

    all_layers = [*(f"layer_{i}" for i in (1, 2, 3, 5, 6)), "lstm_x", "lstm_h"]
    small: dict[str, Any] = {"alphabet": ["a", "b"], "n_context": 1, "n_coefficients": 3, "cell": 4}
    kinds: list[dict[str, Any]] = [
        {"feature_residual_bits": 0}, {"bits4": all_layers}, {"bits4": all_layers, "scaled": False, "speech_rows": 1},
        {"bits16": ["layer_1", "layer_6"]}, {"bits16": all_layers, "output_residuals": ["layer_1", "layer_5"]},
    ]  # fmt: skip
    return [random_file(8, **small, **kind) for kind in kinds]


@cache
def small_model(seed: int = 1) -> Path:
    """A network of 29 labels so small that a step takes no time; another one for another seed."""
    _support()
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


@cache
def small_weights() -> Any:
    """A float network of two cells, so that its files are small."""
    _support()
    from support.float_networks import random_weights

    return random_weights(2)


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write(path)
        return path.read_bytes()


def graph() -> list[bytes]:
    from pynna.mapping import export_graph

    return [_written(lambda path: export_graph(small_weights(), path)), _float().read_bytes()]


def memmapped() -> list[bytes]:
    _support()
    from support.model_files import write_pbmm

    return [_written(lambda path: write_pbmm(small_weights(), path)), b"memmapped_package://._" + bytes(32)]


def tflite() -> list[bytes]:
    from pynna.mapping import export_tflite

    small = _written(lambda path: export_tflite(small_weights(), path))
    return [small, small, (GOLDEN / "tiny_int8.tflite").read_bytes()]


def npz() -> list[bytes]:
    weights = small_weights()
    packed = io.BytesIO()
    np.savez(packed, **weights.arrays)
    return [packed.getvalue(), (GOLDEN / "tiny_graph.npz").read_bytes()]


def _tensors() -> dict[str, np.ndarray[Any, Any]]:
    _support()
    from support.model_files import torch_tensors

    return torch_tensors(small_weights())


def _counted(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _tensor(key: int, array: np.ndarray[Any, Any]) -> bytes:
    """A tensor of a storage of its own in a pickle, as torch.save writes it."""
    counts = [b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"
              for numbers in (array.shape, [n // array.itemsize for n in array.strides])]  # fmt: skip
    storage = b"(" + _counted("storage") + b"ctorch\nFloatStorage\n" + _counted(str(key)) + _counted("cpu")
    storage += b"J" + struct.pack("<i", array.size) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + b"".join(counts) + b"\x89Nt" + b"R"


def torch() -> list[bytes]:
    tensors = _tensors()
    made = b"\x80\x02}(" + b"".join(_counted(n) + _tensor(i, a) for i, (n, a) in enumerate(tensors.items())) + b"u."
    found = []
    for pickled in (made, b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("a/data.pkl", pickled)
            for i, array in enumerate(tensors.values()):
                file.writestr(f"a/data/{i}", array.tobytes())
            file.writestr("a/version", b"3\n")
        found.append(packed.getvalue())
    return found


def safetensors() -> list[bytes]:
    _support()
    from support.model_files import write_safetensors

    head = b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
    return [
        _written(lambda path: write_safetensors(_tensors(), path)),
        len(head).to_bytes(8, "little") + head + bytes(16),
    ]


def small_checkpoint(folder: Path) -> Path:
    """A whole checkpoint, ``best.index`` and its data, in a folder; the index."""
    _support()
    from support.model_files import write_checkpoint

    return Path(write_checkpoint(small_weights().arrays, folder / "best"))


def checkpoint() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        whole = small_checkpoint(Path(folder)).read_bytes()
    return [whole, bytes(64) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", bytes(8)]


def onnx() -> list[bytes]:
    _support()
    from support.model_files import write_onnx

    return [
        _written(lambda path: write_onnx(small_weights(), path)),
        b"\x08\x07\x12\x04test\x3a\x10\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu\x12\x00",
    ]


def archive() -> list[bytes]:
    whole, found = graph()[0], []
    for mode in ("w:gz", "w:", "w:xz"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=mode) as file:  # type: ignore[call-overload]
            for name, content in (("a/output_graph.pb", whole), ("a/alphabet.txt", b"a\n")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        found.append(packed.getvalue())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/output_graph.pb", whole)
        archive.writestr("b/alphabet.txt", b"a\n")
    return [*found, zipped.getvalue()]


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
