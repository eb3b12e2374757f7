# SPDX-License-Identifier: Apache-2.0
"""Model files of every generation and kind: recognised by content, read whole, and refused with a reason."""

from __future__ import annotations

import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.float_networks import random_arrays, random_weights
from support.model_files import (
    torch_tensors,
    write_checkpoint,
    write_onnx,
    write_pbmm,
    write_safetensors,
)

from pynna.errors import MappingError
from pynna.mapping import (
    Weights,
    calibrate,
    export_graph,
    export_npz,
    export_tflite,
    load_clips,
    load_weights,
    quantise,
    tell_front_end,
)
from pynna.mapping.front_end import MfccConfig, windows
from pynna.mapping.importers import importer_of
from pynna.mapping.memmapped import regions
from pynna.mapping.metadata import BYTE_LABELS, parse_alphabet, serialise_alphabet
from pynna.mapping.reference import greedy

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LATER = MfccConfig(upper_hz=8000.0)
CUDNN = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/"

Write = Callable[[Weights, Path], Path]


def later(width: int = 9) -> Weights:
    """A network of DeepSpeech 0.7 and later; its cell is one wider than its layers."""
    return random_weights(width, cell=width + 1, features=LATER, forget_bias=0.0)


def _pb(weights: Weights, folder: Path) -> Path:
    export_graph(weights, folder / "m")
    return folder / "m"


def _pbmm(weights: Weights, folder: Path) -> Path:
    write_pbmm(weights, folder / "m")
    return folder / "m"


def _old_pbmm(weights: Weights, folder: Path) -> Path:
    write_pbmm(weights, folder / "m", lengths=False)
    return folder / "m"


def _graph_06(weights: Weights, folder: Path) -> Path:
    export_graph(weights, folder / "m", release="0.6.1")
    return folder / "m"


def _graph_09(weights: Weights, folder: Path) -> Path:
    export_graph(weights, folder / "m", release="0.9")
    return folder / "m"


def _tflite(weights: Weights, folder: Path) -> Path:
    export_tflite(weights, folder / "m")
    return folder / "m"


def _int8(weights: Weights, folder: Path) -> Path:
    export_tflite(weights, folder / "m", int8=True)
    return folder / "m"


def _checkpoint(weights: Weights, folder: Path) -> Path:
    arrays = {name.replace("lstm_fused_cell/", CUDNN): array for name, array in weights.arrays.items()}
    return write_checkpoint({**arrays, "layer_1/weights/Adam": arrays["layer_1/weights"]}, folder / "best-7")


def _onnx(weights: Weights, folder: Path) -> Path:
    write_onnx(weights, folder / "m")
    return folder / "m"


def _safetensors(weights: Weights, folder: Path) -> Path:
    write_safetensors(torch_tensors(weights), folder / "m")
    return folder / "m"


def _npz(weights: Weights, folder: Path) -> Path:
    export_npz(weights, folder / "m.npz")
    return (folder / "m.npz").rename(folder / "m")


WRITERS = (_pb, _pbmm, _old_pbmm, _graph_06, _graph_09, _tflite, _int8, _checkpoint, _onnx, _safetensors, _npz)


@pytest.mark.parametrize("write", WRITERS)
def test_each_kind_is_recognised_by_its_content_and_read_whole(write: Write, tmp_path: Path) -> None:
    weights = later()
    again = load_weights(write(weights, tmp_path))
    assert (again.alphabet, again.features, again.relu_clip) == (weights.alphabet, weights.features, weights.relu_clip)
    for name, array in weights.arrays.items():
        step = np.abs(array).max() / 127 if name in again.quantised else 0.0
        np.testing.assert_allclose(again.arrays[name], array, rtol=0, atol=0.51 * step, err_msg=name)
    assert str(weights.n_cell) in again.describe() and "8000 Hz" in again.describe()


@pytest.mark.parametrize(
    ("release", "found"), [("0.5", "0.5"), ("0.6.1", "0.6"), ("0.7", "0.7"), ("0.9.3", "0.7 to 0.9")]
)
@pytest.mark.parametrize("suffix", ["pb", "pbmm"])
def test_graphs_go_out_in_the_layout_of_each_release(release: str, found: str, suffix: str, tmp_path: Path) -> None:
    weights = random_weights(60, cell=61, features=LATER, forget_bias=1.0)
    path = tmp_path / f"m.{suffix}"
    export_graph(weights, path, release=release, beam_width=77, language="de-DE")
    again = load_weights(path)
    assert f"DeepSpeech {found}" in again.found and ("memory-mapped" in again.found) == (suffix == "pbmm")
    assert again.features == weights.features and again.alphabet == weights.alphabet
    assert again.forget_bias == (1.0 if release == "0.5" else 0.0)
    x = np.random.default_rng(0).normal(0, 3, (7, 19, 26)).astype(np.float32)
    np.testing.assert_allclose(again.network().run(x), weights.network().run(x), rtol=0, atol=1e-5)
    if release != "0.5":
        assert again.metadata["language"] == "de-DE" and again.metadata.get("beam_width") == (
            None if found == "0.6" else 77
        )


def test_a_file_without_a_front_end_says_what_is_assumed_and_is_told_another(tmp_path: Path) -> None:
    path = _checkpoint(later(), tmp_path)
    weights = load_weights(path)
    assert "assumed" in weights.describe() and weights.features == LATER
    told = tell_front_end(weights, 8000, (50.0, 3500.0))
    f = told.features
    assert (f.sample_rate, f.window, f.step, f.lower_hz, f.upper_hz) == (8000, 256, 160, 50.0, 3500.0)
    assert not told.assumed
    with pytest.raises(MappingError, match="the file tells its front end: 16000 Hz"):
        tell_front_end(load_weights(_graph_09(later(), tmp_path)), 8000)
    for flags in ("--audio_sample_rate=8000\n--train_files=a.csv\n", '{"audio_sample_rate": 8000, "epochs": 3}'):
        (tmp_path / "flags.txt").write_text(flags)
        weights = load_weights(path)
        assert (weights.features.sample_rate, weights.features.upper_hz, weights.assumed) == (8000, 4000.0, "")
    (tmp_path / "flags.txt").write_text('{"audio_sample_rate": "fast"}')
    with pytest.raises(MappingError, match="audio_sample_rate must be a number"):
        load_weights(path)


def test_numbers_beside_tensors_tell_the_front_end(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in torch_tensors(later()).items()}
    torch.save({"state_dict": tensors, "sample_rate": 8000, "mel_upper_hz": 3800.0}, tmp_path / "m.pt")
    features = load_weights(tmp_path / "m.pt").features
    assert (features.sample_rate, features.window, features.upper_hz) == (8000, 256, 3800.0)


def test_a_release_that_never_was_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"release must be one of 0\.5, .*, got '1\.4'"):
        export_graph(later(), tmp_path / "m.pb", release="1.4")


def test_pytorchs_own_file_is_read_without_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = later()
    tensors = {name: torch.from_numpy(array.copy()) for name, array in torch_tensors(weights).items()}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "m.pt")
    again = load_weights(tmp_path / "m.pt")
    for name, array in weights.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)


def test_a_pickle_that_wants_anything_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(MappingError, match=r"wants (os|posix)\.system"):
        load_weights(tmp_path / "m.pt")


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_release_is_opened_as_it_is_packed(suffix: str, tmp_path: Path) -> None:
    weights = random_weights(9, features=LATER)
    model, alphabet = _pb(weights, tmp_path), tmp_path / "alphabet.txt"
    alphabet.write_text("# labels\n" + "".join(f"{label}\n" for label in (" ", *"zyxwvutsrqponmlkjihgfedcba", "'")))
    path = tmp_path / f"release.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(model, "models/output_graph.pb")
            archive.write(alphabet, "models/alphabet.txt")
    else:
        with tarfile.open(path, f"w:{suffix.partition('.')[2]}") as packed:
            packed.add(model, "models/output_graph.pb")
            packed.add(alphabet, "models/alphabet.txt")
    again = load_weights(path)
    assert again.alphabet[1] == "z" and "archive" in again.describe()
    np.testing.assert_array_equal(again.arrays["layer_2/weights"], weights.arrays["layer_2/weights"])


def test_an_archive_without_a_model_names_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "nothing")
    with pytest.raises(MappingError, match=r"no model in the archive, which holds readme\.md"):
        load_weights(tmp_path / "a.zip")


def test_a_model_of_bytes_and_of_8_khz_keeps_its_labels_and_its_front_end(tmp_path: Path) -> None:
    features = MfccConfig(sample_rate=8000, window=256, step=160, upper_hz=4000.0)
    weights = Weights(random_arrays(9, labels=256), BYTE_LABELS, features, forget_bias=0.0)
    again = load_weights(_tflite(weights, tmp_path))
    assert again.alphabet == BYTE_LABELS and again.features == features
    assert parse_alphabet(serialise_alphabet(BYTE_LABELS)) == BYTE_LABELS


def test_alphabets_in_any_order_are_read_and_damaged_ones_named() -> None:
    data = serialise_alphabet((" ", "ä", "b"))
    assert parse_alphabet(b"\x03\x00" + data[7:13] + data[2:7] + data[13:]) == (" ", "ä", "b")
    for wrong, message in (
        (data[:-1], "cut short"),
        (b"\x04\x00" + data[2:], "cut short"),
        (b"", "empty"),
        (data[:-5] + b"\x01\x00" + data[-3:], "each once"),
    ):
        with pytest.raises(MappingError, match=message):
            parse_alphabet(wrong)


# ---- int8 weights ---------------------------------------------------------------------------------


def test_int8_weights_are_taken_over_without_a_second_rounding(tmp_path: Path) -> None:
    weights = load_weights(_int8(later(24), tmp_path))
    noise = np.random.default_rng(0).normal(0, 3000, 32000).astype(np.int16)
    model = quantise(weights, calibrate(weights, load_clips([noise], 16000)))
    layers = {layer.name: layer.weights for layer in model.layers}
    for name in ("layer_1", "layer_2", "layer_3"):
        whole = weights.quantised.get(f"{name}/weights")
        if whole is not None:
            np.testing.assert_array_equal(layers[name], whole.values)
    kernel = weights.quantised["lstm_fused_cell/kernel"].values
    np.testing.assert_array_equal(np.hstack([layers["lstm_x"], layers["lstm_h"]]), kernel)
    assert len(set(model.feature_gain)) == 1


# ---- against TensorFlow Lite itself, tests/golden/make_litert.py -----------------------------------


@pytest.mark.parametrize("name", ["tiny_float", "tiny_int8"])
def test_features_and_posteriors_are_litert_s(name: str) -> None:
    golden = np.load(GOLDEN / "litert.npz")
    weights = load_weights(GOLDEN / f"{name}.tflite")
    x = windows(golden["pcm"], weights.features, weights.n_context)
    np.testing.assert_allclose(x[:, weights.n_context], golden["mfcc"], rtol=1e-4, atol=1e-3)
    p = np.exp(weights.network().run(x))
    tolerance = 1e-4 if name == "tiny_float" else 0.02  # LiteRT rounds activations, too
    np.testing.assert_allclose(p, golden[name], rtol=0, atol=tolerance)
    assert greedy(np.log(p), weights.alphabet) == greedy(np.log(golden["tiny_float"]), weights.alphabet)


# ---- what is refused -------------------------------------------------------------------------------


def test_refusals_tell_the_reason(tmp_path: Path) -> None:
    arrays = {**later().arrays, "layer_1/LayerNorm/gamma": np.ones(9, np.float32)}
    with pytest.raises(MappingError, match="layer normalisation"):
        load_weights(write_checkpoint(arrays, tmp_path / "c"))
    (tmp_path / "c.data-00000-of-00001").unlink()
    write_safetensors({"a": np.zeros((2, 2), np.float32)}, tmp_path / "s")
    with pytest.raises(MappingError, match="1 matrices and 0 parts of an LSTM"):
        load_weights(tmp_path / "s")
    (tmp_path / "bare.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(MappingError, match=r"no state dict in a zip"):
        load_weights(tmp_path / "bare.pt")
    (tmp_path / "empty.tflite").write_bytes(b"")
    with pytest.raises(MappingError, match="empty"):
        load_weights(tmp_path / "empty.tflite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MappingError, match="without a checkpoint"):
        load_weights(tmp_path / "folder")
    (tmp_path / "m.nna").write_bytes(b"\x89NNA\r\n\x1a\n")
    with pytest.raises(MappingError, match="mapped already"):
        importer_of(tmp_path / "m.nna")


@pytest.mark.parametrize("write", WRITERS)
def test_damaged_files_are_networks_or_named_errors(write: Write, tmp_path: Path) -> None:
    path = write(later(4), tmp_path)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for end in [len(data) * i // 6 for i in range(6)] + [len(data) - k for k in (1, 8, 48)]:
        path.write_bytes(data[:end])
        with pytest.raises(MappingError):
            load_weights(path)
    for at in np.concatenate(
        [rng.integers(0, min(len(data), 600), 12), rng.integers(max(0, len(data) - 3000), len(data), 25)]
    ):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load_weights(path)
        except MappingError as error:
            assert path.name in str(error)


@pytest.mark.parametrize("write", [_pbmm, _tflite, _checkpoint, _safetensors, _onnx])
def test_lengths_of_a_gigabyte_allocate_nothing(write: Write, tmp_path: Path) -> None:
    path = write(later(4), tmp_path)
    data = path.read_bytes()
    tracemalloc.start()
    for at in (8, 40, len(data) - 400, len(data) - 60):
        path.write_bytes(data[:at] + b"\xff\xff\xff\x3f" + data[at + 4 :])
        with suppress(MappingError):
            load_weights(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_directory_without_regions_is_told() -> None:
    """Found by fuzzing."""
    data = bytes(24) + b"\x10\x01" + (24).to_bytes(8, "little")  # its one field is none of a region
    with pytest.raises(MappingError, match="must name regions, got none"):
        regions(memoryview(data))


@pytest.mark.parametrize("name", ["a.pb", "a.pbmm", "old.pb", "a.tflite", "int8.tflite"])
def test_where_features_were_clipped_comes_back_from_every_format(tmp_path: Path, name: str) -> None:
    weights = replace(random_weights(16), feature_range=np.linspace(90.0, 1.0, 26).astype(np.float32))
    path = tmp_path / name
    for given in (weights, replace(weights, feature_range=None)):
        if path.suffix == ".tflite":
            export_tflite(given, path, int8=name.startswith("int8"))
        else:
            export_graph(given, path, release="0.5" if name.startswith("old") else "0.9")
        found = load_weights(path).feature_range
        assert (found is None) == given.is_foreign
        np.testing.assert_array_equal(found, given.feature_range)
