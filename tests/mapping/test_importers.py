# SPDX-License-Identifier: Apache-2.0
"""Importers and exporters of float networks: what they read, and what they say about what they cannot read."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.float_networks import random_arrays, random_weights

from pynna.errors import MappingError
from pynna.mapping import (
    Importer,
    Weights,
    export_graph,
    export_npz,
    import_graph,
    import_npz,
    load_weights,
    read_alphabet,
    register,
    suffixes,
)
from pynna.mapping import importers as importers_module
from pynna.mapping.front_end import MfccConfig
from pynna.mapping.graph_schema import graph_class
from pynna.mapping.wire import as_float

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
TINY = GOLDEN / "tiny_graph.pb"
CUDNN = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/"


def _same(a: Weights, b: Weights) -> None:
    assert (a.alphabet, a.features, a.forget_bias, a.relu_clip) == (b.alphabet, b.features, b.forget_bias, b.relu_clip)
    for name, array in a.arrays.items():
        np.testing.assert_array_equal(array, b.arrays[name], err_msg=name)


# ---- graphs --------------------------------------------------------------------------------------


def test_a_graph_by_tensorflow_is_read() -> None:
    weights = import_graph(TINY)
    assert weights.features == MfccConfig() and weights.n_context == 9
    assert (weights.n_cell, weights.n_labels, weights.forget_bias, weights.relu_clip) == (16, 29, 1.0, 20.0)
    assert weights.alphabet[0] == " " and weights.alphabet[27] == "'"
    assert weights.arrays["lstm_fused_cell/kernel"].shape == (32, 64)


@pytest.mark.parametrize("options", [
    {}, {"features": MfccConfig(upper_hz=8000.0)}, {"forget_bias": 0.0, "relu_clip": 6.5},
    {"features": MfccConfig(sample_rate=8000, window=256, step=160, upper_hz=3900.0, lower_hz=50.0, n_mel=30)},
])  # fmt: skip
def test_a_graph_that_is_written_is_read_back(options: dict[str, Any], tmp_path: Path) -> None:
    weights = random_weights(13, cell=11, **options)
    export_graph(weights, tmp_path / "a.pb")
    _same(import_graph(tmp_path / "a.pb"), weights)


def test_a_tensorflow_graph_written_again_is_the_same_network(tmp_path: Path) -> None:
    weights = import_graph(TINY)
    export_graph(weights, tmp_path / "a.pb")
    _same(import_graph(tmp_path / "a.pb"), weights)


def test_a_graph_of_another_alphabet_needs_it_named(tmp_path: Path) -> None:
    weights = Weights(random_arrays(8, labels=4), ("x", "y", "z"))
    export_graph(weights, tmp_path / "a.pb")
    with pytest.raises(MappingError, match="3 labels"):
        import_graph(tmp_path / "a.pb")
    assert import_graph(tmp_path / "a.pb", ("x", "y", "z")).alphabet == ("x", "y", "z")


def test_windows_that_are_no_whole_milliseconds_cannot_be_written(tmp_path: Path) -> None:
    weights = random_weights(8, features=MfccConfig(sample_rate=44100, window=1024, step=441))
    with pytest.raises(MappingError, match="milliseconds"):
        export_graph(weights, tmp_path / "a.pb")


@pytest.mark.parametrize("data", [b"", b"RIFF....WAVE", bytes(100), TINY.read_bytes()[:3000], b"\n\xff\xff\xff\x7f"])
def test_what_is_no_graph_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pb"
    path.write_bytes(data)
    with pytest.raises(MappingError, match=r"a\.pb: "):
        import_graph(path)


@given(st.integers(0, 54000), st.integers(0, 255))
def test_a_damaged_graph_is_a_network_or_a_named_error(at: int, value: int) -> None:
    from pynna.mapping.deepspeech import _Graph

    data = bytearray(TINY.read_bytes())
    data[at] = value
    with suppress(MappingError):
        _Graph(bytes(data)).weights(None, Path("damaged"))


def _edited(tmp_path: Path, edit: Any) -> Path:
    graph = graph_class().FromString(TINY.read_bytes())
    edit({node.name: node for node in graph.node}, graph)
    path = tmp_path / "edited.pb"
    path.write_bytes(graph.SerializeToString())
    return path


def _set_peephole(nodes: Any, graph: Any) -> None:
    nodes["BlockLSTM"].attr["use_peephole"].b = True


def _strip_cell_clip(nodes: Any, graph: Any) -> None:
    del nodes["BlockLSTM"].attr["cell_clip"]


def _unfreeze(nodes: Any, graph: Any) -> None:
    nodes["layer_2/weights"].op = "VariableV2"


def _memory_map(nodes: Any, graph: Any) -> None:
    nodes["layer_2/weights"].op = "ImmutableConst"


def _rename(nodes: Any, graph: Any) -> None:
    nodes["layer_5/bias"].name = "b5"


def _cut_tensor(nodes: Any, graph: Any) -> None:
    tensor = nodes["layer_2/weights"].attr["value"].tensor
    tensor.tensor_content = tensor.tensor_content[:-4]


def _huge_shape(nodes: Any, graph: Any) -> None:
    nodes["layer_2/weights"].attr["value"].tensor.tensor_shape.dim[0].size = 1 << 40


def _negative_shape(nodes: Any, graph: Any) -> None:
    nodes["layer_2/weights"].attr["value"].tensor.tensor_shape.dim[0].size = -1


def _string_tensor(nodes: Any, graph: Any) -> None:
    nodes["layer_2/weights"].attr["value"].tensor.dtype = 7


def _nan(nodes: Any, graph: Any) -> None:
    tensor = nodes["layer_2/weights"].attr["value"].tensor
    tensor.tensor_content = np.full(256, np.nan, "<f4").tobytes()


def _two_clips(nodes: Any, graph: Any) -> None:
    value = nodes["Minimum_1/y"].attr["value"].tensor
    value.float_val[0] = 30.0


def _no_clip(nodes: Any, graph: Any) -> None:
    for node in graph.node:
        if node.op == "Minimum":
            node.op = "Identity"


@pytest.mark.parametrize(("edit", "message"), [
    (_set_peephole, "peepholes"), (_strip_cell_clip, "clips its cell at 3"), (_unfreeze, "not frozen"),
    (_memory_map, "memory-mapped"), (_rename, "no node layer_5/bias"), (_cut_tensor, "1020 bytes; 1024"),
    (_huge_shape, "cannot be"), (_negative_shape, "cannot be"), (_string_tensor, "type 7"), (_nan, "not finite"),
    (_two_clips, r"different values \(\[20.0, 30.0\]\)"), (_no_clip, "not clipped"),
])  # fmt: skip
def test_a_graph_that_is_not_deepspeechs_is_refused_with_the_reason(edit: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=message):
        import_graph(_edited(tmp_path, edit))


def test_a_graph_under_a_scope_is_read(tmp_path: Path) -> None:
    def scope(nodes: Any, graph: Any) -> None:
        for node in graph.node:
            node.name = "import/" + node.name
            node.input[:] = [("^import/" + i[1:]) if i.startswith("^") else "import/" + i for i in node.input]

    _same(import_graph(_edited(tmp_path, scope)), import_graph(TINY))


def test_one_value_stands_for_a_whole_tensor(tmp_path: Path) -> None:
    def fill(nodes: Any, graph: Any) -> None:
        tensor = nodes["layer_1/bias"].attr["value"].tensor
        tensor.tensor_content = b""
        tensor.float_val.append(0.25)

    assert set(import_graph(_edited(tmp_path, fill)).arrays["layer_1/bias"]) == {0.25}


def test_the_lstm_of_later_versions_has_no_forget_bias(tmp_path: Path) -> None:
    def later(nodes: Any, graph: Any) -> None:
        for part in ("kernel", "bias"):
            nodes[f"lstm_fused_cell/{part}"].name = CUDNN + part
        nodes["BlockLSTM"].op = "Unrolled"

    weights = import_graph(_edited(tmp_path, later))
    assert weights.forget_bias == 0.0
    np.testing.assert_array_equal(
        weights.arrays["lstm_fused_cell/kernel"], import_graph(TINY).arrays["lstm_fused_cell/kernel"]
    )


def test_without_protobuf_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    graph_class.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(MappingError, match=r"pip install 'pynna\[map\]'"):
        import_graph(TINY)
    monkeypatch.undo()
    graph_class.cache_clear()
    import_graph(TINY)


# ---- npz -----------------------------------------------------------------------------------------


def test_an_npz_that_is_written_is_read_back(tmp_path: Path) -> None:
    weights = random_weights(
        9,
        cell=7,
        features=MfccConfig(upper_hz=8000.0),
        forget_bias=0.0,
        relu_clip=15.0,
        label_priors=np.linspace(0.01, 0.2, 29),
        feature_range=np.linspace(90.0, 1.0, 26),
        name="a name",
        licence="CC0-1.0",
        metadata={"trained_on": ["x"]},
    )
    export_npz(weights, tmp_path / "a.npz")
    again = import_npz(tmp_path / "a.npz")
    _same(again, weights)
    assert (again.name, again.licence, again.source) == ("a name", "CC0-1.0", "a.npz")
    assert again.metadata == {"trained_on": ["x"]}
    np.testing.assert_array_equal(again.label_priors, weights.label_priors)
    np.testing.assert_array_equal(again.feature_range, weights.feature_range)


def test_bare_arrays_are_a_deepspeech_051_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **random_arrays(8))
    _same(import_npz(tmp_path / "a.npz"), Weights(random_arrays(8)))


def test_an_npz_with_the_lstm_of_later_versions_is_read(tmp_path: Path) -> None:
    arrays = random_arrays(8)
    later = {name.replace("lstm_fused_cell/", CUDNN): array for name, array in arrays.items()}
    np.savez(tmp_path / "a.npz", **later)
    _same(import_npz(tmp_path / "a.npz"), Weights(arrays, forget_bias=0.0))


@pytest.mark.parametrize(("changes", "message"), [
    ({"layer_2/weights": None}, "there is no layer_2/weights"),
    ({"layer_2/weights": np.zeros((8, 9), np.float32)}, "layer_3/weights has 8 inputs; what goes before it gives 9"),
    ({"layer_3/weights": np.zeros((7, 8), np.float32)}, "layer_3/weights has 7 inputs"),
    ({"layer_5/bias": np.zeros((8, 1), np.float32)}, r"layer_5/bias has shape \[8, 1\]"),
    ({"layer_1/weights": np.zeros((495, 8), np.float32)}, "19 \\* 26 = 494"),
    ({"lstm_fused_cell/kernel": np.zeros((16, 33), np.float32)}, "4 \\* cells"),
    ({"layer_1/bias": np.full(8, np.inf, np.float32)}, "not finite"),
    ({"layer_1/bias": np.full(8, 1e9, np.float32)}, "beyond"),
    ({"layer_1/bias": np.array(["a"] * 8)}, "floats are needed"),
    ({"sample_rate": np.array([1, 2])}, "one finite number"),
    ({"feature_win_len": np.array(32)}, "32 samples"),
    ({"feature_win_step": np.array(1000)}, "1000 samples"),
    ({"mel_upper": np.array(9000.0)}, "mel band"),
    ({"n_context": np.array(5)}, "n_context is 5"),
    ({"relu_clip": np.array(0.0)}, "relu_clip"), ({"forget_bias": np.array(np.nan)}, "forget_bias"),
    ({"alphabet": np.array(["a", "b"])}, "alphabet has 2 labels"),
    ({"alphabet": np.array(["a"] * 28)}, "'a' twice"),
    ({"alphabet": np.arange(28)}, "strings are needed"),
    ({"label_priors": np.zeros(29)}, "priors"), ({"label_priors": np.ones(28) / 28}, "priors"),
    ({"feature_range": np.ones(25)}, r"feature_range \[25\]: 26 finite numbers above 0"),
    ({"feature_range": np.full(26, np.inf)}, "feature_range"), ({"feature_range": np.zeros(26)}, "feature_range"),
    ({"card": np.array("[")}, "no JSON"),
])  # fmt: skip
def test_a_wrong_npz_is_refused_with_the_reason(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {**random_arrays(8), **changes}
    np.savez(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(MappingError, match=message):
        import_npz(tmp_path / "a.npz")


def test_objects_in_an_npz_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **random_arrays(8), name=np.array([{"a": 1}], dtype=object))
    with pytest.raises(MappingError, match="no .npz file of plain arrays"):
        import_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00" + bytes(20), b"PK\x05\x06" + bytes(18)])
def test_what_is_no_npz_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(MappingError, match=r"a\.npz: "):
        import_npz(tmp_path / "a.npz")


def test_a_damaged_npz_is_a_network_or_a_named_error(tmp_path: Path) -> None:
    export_npz(random_weights(4), tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) - 2500, len(data), 60):  # the archive's directory and the last headers
        damaged = bytearray(data)
        damaged[at] = rng.integers(256)
        (tmp_path / "b.npz").write_bytes(damaged)
        with suppress(MappingError):
            import_npz(tmp_path / "b.npz")


# ---- which importer ------------------------------------------------------------------------------


def test_a_file_is_read_by_suffix_and_else_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.PB").write_bytes(TINY.read_bytes())
    export_npz(random_weights(8), tmp_path / "a.npz")
    (tmp_path / "a.npz").rename(tmp_path / "weights")
    assert load_weights(tmp_path / "a.PB").n_cell == 16
    assert load_weights(tmp_path / "weights").n_cell == 8


@pytest.mark.parametrize("name", ["a.wav", "a.npz", "a.pb", "a"])
def test_files_of_no_known_kind_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"RIFF\x24\0\0\0WAVE")
    with pytest.raises(MappingError, match=name):
        load_weights(tmp_path / name)


def test_another_importer_plugs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importers_module, "_IMPORTERS", list(importers_module._IMPORTERS))
    register(Importer("test", (".tst",), lambda path, alphabet=None: random_weights(8)))
    (tmp_path / "a.tst").write_bytes(b"?")
    assert load_weights(tmp_path / "a.tst").n_cell == 8
    assert ".tst" in suffixes()


def test_alphabet_files_as_deepspeech_writes_them() -> None:
    assert read_alphabet("# comment\n \na\n\\#\né\n# end\n") == (" ", "a", "#", "é")
    with pytest.raises(MappingError, match="no label"):
        read_alphabet("# nothing\n")


def test_a_float_of_more_than_32_bits_in_a_damaged_file_is_its_lower_ones() -> None:
    assert as_float(1 << 40 | 0x3F800000) == 1.0
