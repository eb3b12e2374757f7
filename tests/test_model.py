# SPDX-License-Identifier: Apache-2.0
"""`pynna.Model`: loading, one step with states in and out, threads, processes, and transcribing."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from support.nna_models import load_random, noise, random_file, random_model

import pynna
from pynna import errors
from pynna.audio.pcm import from_array
from pynna.mapping.integer_network import IntegerNetwork
from pynna.mapping.nna import encode_nna

Array = npt.NDArray[Any]
WIDTH = 48


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pynna.Model:
    return load_random(tmp_path_factory.mktemp("model"), WIDTH)


def inputs(n: int, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(0, 10, (n, 19, 26)).astype(np.float32),
        rng.integers(-9999, 9999, (n, WIDTH), np.int16),
        rng.integers(-127, 128, (n, WIDTH), np.int8),
    )


def bits(outputs: tuple[Array, ...]) -> list[bytes]:
    return [a.tobytes() for a in outputs]


def python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, away from the repository."""
    env = {**{k: v for k, v in os.environ.items() if k != "PYNNA_ISA"}, **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env,
        cwd="/",
        timeout=120,
    )


# ---- one step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_a_step_gives_log_probabilities_and_states_of_every_channel(model: pynna.Model, n: int) -> None:
    p, c, h = model.step(*inputs(n))
    assert (p.shape, p.dtype) == ((n, 29), np.float32)
    assert (c.shape, c.dtype, h.shape, h.dtype) == ((n, WIDTH), np.int16, (n, WIDTH), np.int8)
    np.testing.assert_allclose(np.exp(p.astype(np.float64)).sum(1), 1, rtol=1e-5)


def test_a_step_is_that_of_the_numpy_model(model: pynna.Model) -> None:
    x, c, h = inputs(4)
    got, want = model.step(x, c, h), IntegerNetwork.open(model.path).step(x, c, h)
    np.testing.assert_allclose(got[0], want[0], rtol=3e-7, atol=1e-6)
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_array_equal(got[2], want[2])


def test_no_states_are_fresh_states_and_fresh_states_are_zeros(model: pynna.Model) -> None:
    x, c, h = inputs(3)
    zeros = model.step(x, np.zeros_like(c), np.zeros_like(h))
    assert bits(model.step(x)) == bits(model.step(x, None, None)) == bits(zeros)
    assert bits(model.step(x, c)) == bits(model.step(x, c, np.zeros_like(h)))
    assert bits(model.step(x, h=h)) == bits(model.step(x, np.zeros_like(c), h)) != bits(zeros)


def test_sixteen_channels_give_the_very_bits_that_each_gives_alone(model: pynna.Model) -> None:
    x, c, h = inputs(16)
    together = model.step(x, c, h)
    for j in range(16):
        alone = model.step(x[j : j + 1], c[j : j + 1], h[j : j + 1])
        assert bits(alone) == bits(tuple(a[j : j + 1] for a in together))


def test_inputs_are_left_as_they_are_and_outputs_are_new_arrays(model: pynna.Model) -> None:
    given = inputs(2)
    before = bits(given)
    first = model.step(*given)
    kept = bits(first)
    model.step(*given)
    model.step(given[0] + 1, first[1], first[2])
    assert bits(given) == before
    assert bits(first) == kept


def test_any_memory_layout_and_float_type_gives_the_same_bits(model: pynna.Model) -> None:
    x, c, h = inputs(4)
    want = bits(model.step(x, c, h))
    wide = np.full((8, 19, 26), np.nan, np.float32)
    wide[::2] = x
    for same in (wide[::2], np.asfortranarray(x), x.astype(np.float64), x.astype(">f4"), x.tolist(), x[::-1][::-1]):
        assert bits(model.step(same, c, h)) == want
    frozen = x.copy()
    frozen.setflags(write=False)
    assert bits(model.step(frozen, np.asfortranarray(c), np.asfortranarray(h))) == want
    assert bits(model.step(frozen, np.repeat(c, 2, 1)[:, ::2], np.repeat(h, 2, 1)[:, ::2])) == want


@pytest.mark.parametrize(
    "shape", [(0, 19, 26), (17, 19, 26), (19, 26), (1, 18, 26), (1, 19, 27), (1, 26, 19), (494,), (), (1, 1, 19, 26)]
)
def test_features_of_another_shape_are_refused_with_the_right_one_told(
    model: pynna.Model, shape: tuple[int, ...]
) -> None:
    with pytest.raises(errors.ArgumentError, match=r"\(n, 19, 26\) with n from 1 to 16"):
        model.step(np.zeros(shape, np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(model: pynna.Model, bad: float) -> None:
    x, c, h = inputs(3)
    x[2, 18, 25] = bad
    with pytest.raises(errors.NotFiniteError, match="NaN or an infinity"):
        model.step(x, c, h)
    with pytest.raises(errors.NotFiniteError), np.errstate(over="ignore"):
        model.step(np.full((1, 19, 26), 1e300))  # an infinity in float32


@pytest.mark.parametrize("wrong", ["nonsense", [["a"]], [[1, 2], [3]], {}, object()])
def test_features_that_are_no_numbers_are_refused(model: pynna.Model, wrong: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        model.step(wrong)  # type: ignore[arg-type]


def test_states_of_another_shape_or_type_are_refused_with_the_right_ones_told(model: pynna.Model) -> None:
    x, c, h = inputs(2)
    for wrong in (c[:1], c[:, :-1], c.astype(np.int32), c.astype(np.float32), c.astype(">i2"), c.tolist(), c.T, c[0]):
        with pytest.raises(errors.StateError, match=rf"c is .*int16 \(2, {WIDTH}\) is right"):
            model.step(x, wrong, h)
    for wrong in (h[:1], h[:, :-1], h.astype(np.uint8), h.astype(np.int16), h[None], h.tolist()):
        with pytest.raises(errors.StateError, match=rf"h is .*int8 \(2, {WIDTH}\) is right"):
            model.step(x, c, wrong)
    with pytest.raises(errors.StateError):
        model.step(x, h, c)


# ---- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("million_weights", "cores", "threads"),
    [(0.1, 8, 1), (7, 8, 1), (15, 8, 1), (17, 8, 2), (47, 8, 4), (47, 2, 2), (47, 1, 1)],
)
def test_a_thread_is_there_by_default_only_if_it_has_work(
    million_weights: float, cores: int, threads: int, model: pynna.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pynna.Model, "n_weights", property(lambda _: round(million_weights * 1e6)))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert pynna.load(model.path).threads == threads
    assert pynna.load(model.path, threads=3).threads == 3


def test_every_number_of_threads_and_instruction_set_gives_the_same_bits(model: pynna.Model) -> None:
    given = inputs(5)
    want = bits(model.step(*given))
    for threads in (1, 2, 3, 8):
        assert bits(model.step(*given, threads=threads)) == want
    for isa in pynna.build_info()["isa_available"]:
        other = pynna.load(model.path, isa=isa, threads=2)
        assert (other.isa, other.threads) == (isa, 2)
        assert bits(other.step(*given)) == want


@pytest.mark.parametrize("threads", [0, -1, 65, 2**31, 2**40, -(2**70), "2", 1.5, True])
def test_a_wrong_number_of_threads_is_refused_with_the_right_ones_told(model: pynna.Model, threads: Any) -> None:
    with pytest.raises(errors.ArgumentError, match="1 to 64 is right"):
        model.step(inputs(1)[0], threads=threads)
    with pytest.raises(errors.ArgumentError, match="1 to 64 is right"):
        pynna.load(model.path, threads=threads)
    assert all(isinstance(n, int) and 1 <= n <= 64 for n in model._free)


def test_many_python_threads_on_one_model_get_what_each_gets_alone(model: pynna.Model) -> None:
    audio = [noise(0.4, seed) for seed in range(4)]
    want_steps = [bits(model.step(*inputs(1 + i % 16, i))) for i in range(16)]
    want_texts = [model.transcribe(pcm).as_dict() for pcm in audio]

    def work(i: int) -> bool:
        if i % 4 == 3:
            return model.transcribe(audio[i % len(audio)]).as_dict() == want_texts[i % len(audio)]
        k = i % 16
        return bits(model.step(*inputs(1 + k, k), threads=1 + i % 3)) == want_steps[k]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(160)))


# ---- processes -----------------------------------------------------------------------------------

FORKS = """
import os, sys, threading
import numpy as np, pynna
model = pynna.load(sys.argv[1], threads=2)
x = np.random.default_rng(0).normal(0, 10, (3, 19, 26)).astype(np.float32)
stream = model.stream()
pcm = (np.random.default_rng(1).normal(0, 3000, 16000)).astype(np.int16)
alone = model.transcribe(pcm).as_dict()
stream.feed(pcm[:7000])
want = [a.tobytes() for a in model.step(x)]

def good():
    return [a.tobytes() for a in model.step(x)] == want

running = True
def busy():
    while running:
        assert good()
threads = [threading.Thread(target=busy) for _ in range(1)]
for thread in threads:
    thread.start()
for depth in range(2):
    child = os.fork()
    if child == 0:  # and its child, and so on: threads do not come along
        stream.feed(pcm[7000:])
        code = 0 if good() and good() and stream.finish().as_dict() == alone else 1
        if code == 0 and depth == 0:
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if good() else 1)
            code = os.waitpid(grandchild, 0)[1]
        del model, stream
        os._exit(1 if code else 0)
    assert os.waitpid(child, 0)[1] == 0, depth
    assert good()
running = False
for thread in threads:
    thread.join()
stream.feed(pcm[7000:])
assert stream.finish().as_dict() == alone
print("good")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_the_middle_of_steps_and_streams_goes_on_in_both_processes(model: pynna.Model) -> None:
    ran = python(FORKS, model.path)
    assert (ran.returncode, ran.stdout) == (0, "good\n"), ran.stderr


MOVED = """
import pickle, sys
import pynna
with open(sys.argv[2], "rb") as file:
    x, c, h = pickle.load(file)
model = pynna.load(sys.argv[1], threads=2)
with open(sys.argv[3], "wb") as file:
    pickle.dump(model.step(x, c, h), file)
print(model.isa)
"""


def test_states_pickled_to_another_process_go_on_there_with_the_same_bits(model: pynna.Model, tmp_path: Path) -> None:
    _, c, h = model.step(inputs(3)[0])
    there = (inputs(2, 5)[0], c[1:], h[1:])  # two of the three, in other slots
    (tmp_path / "in").write_bytes(pickle.dumps(there))
    ran = python(MOVED, model.path, tmp_path / "in", tmp_path / "out", PYNNA_ISA="ref")
    assert (ran.returncode, ran.stdout) == (0, "ref\n"), ran.stderr
    assert bits(pickle.loads((tmp_path / "out").read_bytes())) == bits(model.step(*there))


def test_a_file_deleted_or_replaced_after_loading_is_still_the_model(tmp_path: Path) -> None:
    model = load_random(tmp_path, 31)
    other = load_random(tmp_path / "..", 32)
    want, text = bits(model.step(inputs(2)[0])), model.transcribe(noise(0.5)).as_dict()
    other.path.replace(model.path)
    assert bits(model.step(inputs(2)[0], threads=2)) == want
    model.path.unlink()
    assert model.transcribe(noise(0.5)).as_dict() == text
    assert (model.describe()["size"], model.geometry["n_cell"]) == (len(random_file(31)), 31)


LATE = """
import builtins, sys
import numpy as np, pynna
builtins.model = pynna.load(sys.argv[1], threads=3)
builtins.model.step(np.zeros((1, 19, 26), np.float32))
class Cycle: pass
cycle = Cycle()
cycle.me, cycle.model = cycle, builtins.model
import os, posix
del os, posix
"""


def test_a_model_that_lives_until_the_interpreter_ends_leaves_quietly(model: pynna.Model) -> None:
    ran = python(LATE, model.path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# ---- instruction sets ----------------------------------------------------------------------------


@pytest.mark.parametrize("isa", pynna.build_info()["isa_available"])
def test_the_environment_chooses_the_instruction_set(
    model: pynna.Model, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYNNA_ISA", isa)
    assert (pynna.load(model.path).isa, pynna.build_info()["isa"]) == (isa, isa)


def test_an_empty_environment_variable_chooses_nothing(model: pynna.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYNNA_ISA", raising=False)
    want = pynna.build_info()["isa"]
    monkeypatch.setenv("PYNNA_ISA", "")
    assert pynna.load(model.path).isa == pynna.build_info()["isa"] == want == pynna.build_info()["isa_available"][-1]


def test_an_unknown_instruction_set_in_the_environment_is_told_with_those_that_are_there(
    model: pynna.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYNNA_ISA", "z80")
    assert pynna.build_info()["isa"] is None
    with pytest.raises(errors.IsaError, match="instruction set 'z80' is not to be had; .*ref"):
        pynna.load(model.path)
    assert pynna.load(model.path, isa="ref").isa == "ref"  # an argument goes first


@pytest.mark.parametrize("isa", ["", "z80", "AVX2", "ref ", "ref\0", "é"])
def test_an_unknown_instruction_set_is_refused(model: pynna.Model, isa: str) -> None:
    with pytest.raises(errors.IsaError, match="is not to be had; this build and processor have .*ref"):
        pynna.load(model.path, isa=isa)


# ---- what it is ----------------------------------------------------------------------------------


def test_the_build_tells_its_version_and_instruction_sets() -> None:
    info = pynna.build_info()
    assert info["version"] == pynna.__version__
    assert set(info["isa_available"]) <= set(info["isa_built"])
    assert info["isa_built"][0] == info["isa_available"][0] == "ref"
    assert info["isa"] in info["isa_available"]
    assert json.loads(json.dumps(info)) == info


def test_a_models_metadata_say_what_the_file_holds(tmp_path: Path) -> None:
    labels = ["ä", "€", "𐍈", " "]
    model = random_model(20, alphabet=labels, n_context=2, n_coefficients=13, cell=17)
    model.metadata = {"name": "Größe", "licence": "CC0"}
    path = tmp_path / "x.nna"
    path.write_bytes(encode_nna(model))
    loaded = pynna.load(path)
    info = loaded.describe()
    assert (loaded.name, info["name"], info["alphabet"]) == ("Größe", "Größe", labels)
    assert loaded.labels == (*labels, "")
    assert (info["size"], info["path"]) == (path.stat().st_size, str(path))
    sizes = [layer["n_rows"] * layer["n_columns"] for layer in info["layers"]]
    assert info["n_weights"] == loaded.n_weights == sum(sizes)
    assert [layer["name"] for layer in info["layers"]] == [layer.name for layer in model.layers]
    assert (info["geometry"]["n_context"], info["geometry"]["n_cell"], info["geometry"]["n_labels"]) == (2, 17, 5)
    assert (loaded.sample_rate, loaded.seconds_per_step) == (16000, 0.02)
    assert json.loads(json.dumps(info)) == info
    np.testing.assert_array_equal(loaded.label_priors, model.label_priors)
    assert "Größe" in repr(loaded)


def test_a_model_without_a_name_goes_by_its_files_name(tmp_path: Path) -> None:
    model = random_model(8)
    model.metadata = {}
    (tmp_path / "front_door.nna").write_bytes(encode_nna(model))
    assert pynna.load(str(tmp_path / "front_door.nna")).name == "front_door"


# ---- files that are no models --------------------------------------------------------------------


def section(data: bytes, index: int) -> int:
    return int(struct.unpack_from("<Q", data, 32 + 48 * index + 32)[0])


def damaged(kind: str) -> bytes:
    data = bytearray(random_file(8))
    if kind == "value":
        data[section(data, 0) : section(data, 0) + 4] = b"\0\0\0\0"
    elif kind == "window":
        struct.pack_into("<i", data, section(data, 0) + 4, 500)  # of which no FFT is made
    elif kind == "label":
        data[section(data, 2)] = 0xFF
    elif kind == "layout":
        data[32] ^= 1
    elif kind in ("old", "new"):
        data[8] = 0 if kind == "old" else 2
    struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    if kind == "checksum":
        data[-1] ^= 1
    others = {"empty": b"", "foreign": b"RIFF" + bytes(1000), "short": data[:-1], "header": data[:20]}
    return bytes(others.get(kind, data))


@pytest.mark.parametrize(
    "kind, error",
    [
        ("empty", "ForeignFileError"),
        ("foreign", "ForeignFileError"),
        ("old", "OldFileError"),
        ("new", "NewFileError"),
        ("short", "ShortFileError"),
        ("header", "ShortFileError"),
        ("checksum", "ChecksumError"),
        ("layout", "LayoutError"),
        ("value", "FileValueError"),
        ("label", "FileValueError"),
        ("window", "FileValueError"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_its_own_error_and_its_path(
    kind: str, error: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{kind} file.nna"
    path.write_bytes(damaged(kind))
    with pytest.raises(getattr(errors, error), match=f"{kind} file.nna: ") as caught:
        pynna.load(path)
    assert isinstance(caught.value, (errors.ModelFileError, ValueError))


@pytest.mark.parametrize(
    "text",
    [b"", b"not JSON", b"\xff\xfe", b"[1]", b"7", b'{"name":', b"[" * 200000, b'{"a": ' * 100000],
    ids=lambda text: text[:9].decode("latin-1"),
)
def test_metadata_that_is_no_json_object_is_told(text: bytes, tmp_path: Path) -> None:
    data = bytearray(encode_nna(random_model(8)))
    at, entry = section(data, 5), 32 + 48 * 5 + 40
    room = -(-struct.unpack_from("<Q", data, entry)[0] // 64) * 64
    if len(text) > room:  # move everything behind it
        more = -(-(len(text) - room) // 64) * 64
        data[at + room : at + room] = bytes(more)
        for i in range(6, 34):
            struct.pack_into("<Q", data, 32 + 48 * i + 32, section(data, i) + more)
        struct.pack_into("<Q", data, 16, len(data))
    data[at : at + len(text)] = text
    struct.pack_into("<Q", data, entry, len(text))
    struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    (tmp_path / "m.nna").write_bytes(data)
    if not text:  # nothing is known about it, then
        assert pynna.load(tmp_path / "m.nna").metadata == {}
        return
    with pytest.raises(errors.ModelFileError, match="m.nna: its metadata"):
        pynna.load(tmp_path / "m.nna")


def test_a_path_without_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.nna"):
        pynna.load(tmp_path / "nowhere.nna")
    with pytest.raises(OSError):
        pynna.load(tmp_path)


# ---- transcribing --------------------------------------------------------------------------------


def test_a_path_and_its_samples_give_the_same_result(model: pynna.Model, tmp_path: Path) -> None:
    pcm = noise(1.3)
    want = model.transcribe(pcm).as_dict()
    assert len(want["text"]) > 3
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, pcm, 16000, subtype="PCM_16")
        assert model.transcribe(tmp_path / name).as_dict() == want
        assert model.transcribe(str(tmp_path / name)).as_dict() == want
    for same in (pcm.astype(np.float32) / 32768, pcm.astype(np.float64) / 32768, pcm[:, None], pcm.astype(">i2")):
        assert model.transcribe(same).as_dict() == want
    assert model.transcribe(pcm, sample_rate=16000).as_dict() == want


def test_audio_of_another_rate_is_resampled(model: pynna.Model, tmp_path: Path) -> None:
    pcm = noise(1.0)
    for rate in (8000, 22050, 44100, 48000):
        want = model.transcribe(from_array(pcm, rate, sample_rate=16000).pcm).as_dict()
        assert model.transcribe(pcm, sample_rate=rate).as_dict() == want
        soundfile.write(tmp_path / "a.wav", pcm, rate, subtype="PCM_16")
        assert model.transcribe(tmp_path / "a.wav").as_dict() == want
    assert model.transcribe(pcm, sample_rate=8000).as_dict() != model.transcribe(pcm).as_dict()


@pytest.mark.parametrize("pcm", [[], np.zeros(0, np.int16), np.zeros(0, np.float32), np.zeros((0, 1), np.int16)])
def test_no_audio_is_one_window_of_silence(model: pynna.Model, pcm: Any) -> None:
    assert model.transcribe(pcm).as_dict() == model.transcribe(np.zeros(1, np.int16)).as_dict()


@pytest.mark.parametrize("rate", [0, -16000, 999, 384001, 16000.0, "16000", True, np.nan])
def test_a_rate_that_is_none_is_refused(model: pynna.Model, rate: Any) -> None:
    with pytest.raises(errors.AudioError, match="sample rate"):
        model.transcribe(np.zeros(100, np.int16), sample_rate=rate)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(100, np.int32),
        np.zeros(100, np.uint8),
        np.zeros(100, np.int64),
        np.zeros((100, 2), np.int16),
        np.zeros((2, 100), np.float32),
        np.zeros((3, 4, 5), np.int16),
        np.full(100, np.nan),
        np.full(100, np.inf, np.float32),
        np.zeros(100, np.complex64),
        np.zeros(100, bool),
        np.int16(7),
        b"\0\0",
        ["a", "b"],
        [[1, 2], [3]],
        None,
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_audio_is_refused(model: pynna.Model, pcm: Any) -> None:
    with pytest.raises(errors.AudioError):
        model.transcribe(pcm)


@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": -1},
        {"beam_width": 4097},
        {"beam_width": 1.5},
        {"beam_width": True},
        {"beam_width": None},
        {"alternatives": 0},
        {"alternatives": 101},
        {"cutoff_prob": 0.0},
        {"cutoff_prob": 1.1},
        {"cutoff_prob": float("nan")},
        {"cutoff_top_n": 0},
        {"prior_scale": -0.1},
        {"prior_scale": 11},
        {"prior_scale": float("nan")},
        {"prior_scale": 0.5, "beam_width": 0},
    ],
)
def test_an_option_out_of_its_range_is_refused(model: pynna.Model, options: dict[str, Any]) -> None:
    with pytest.raises(errors.ArgumentError, match=next(iter(options))):
        model.transcribe(np.zeros(100, np.int16), **options)
    with pytest.raises(errors.ArgumentError):
        model.group().stream(**options)


def test_an_unknown_option_is_refused(model: pynna.Model) -> None:
    with pytest.raises(errors.ArgumentError, match="beam_width"):
        model.stream(beam=7)
