# SPDX-License-Identifier: Apache-2.0
"""Front end and networks in NumPy: against TensorFlow's outputs, brute force and the text of the C."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from support.nna_models import random_model

from pynna.distance import edit_distance
from pynna.errors import AudioError
from pynna.mapping.front_end import MfccConfig, context_windows, mfcc, mfcc_frames, windows
from pynna.mapping.integer_network import (
    SIGMOID_COEFFICIENTS,
    TANH_COEFFICIENTS,
    ExactProduct,
    IntegerNetwork,
    integer_sigmoid,
    integer_tanh,
    requantise,
)
from pynna.mapping.nna_model import NnaModel
from pynna.mapping.reference import FloatNetwork, character_errors, greedy, log_softmax

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ACTIVATION_C = Path(__file__).resolve().parents[2] / "csrc" / "activation.c"


# ---- front end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("upper_hz", [4000, 8000])
@pytest.mark.parametrize("name", ["speech", "silence", "sine", "impulse", "clipped_noise", "constant"])
def test_mfcc_equals_tensorflow(name: str, upper_hz: int) -> None:
    golden = np.load(GOLDEN / "mfcc.npz")
    pcm = soundfile.read(GOLDEN / "LJ001-0008.flac", dtype="int16")[0] if name == "speech" else golden[f"{name}_pcm"]
    got = mfcc(pcm, MfccConfig(upper_hz=upper_hz))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, golden[f"{name}_{upper_hz}"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n_samples", "frames"), [(0, 1), (1, 1), (511, 1), (512, 2), (831, 2), (832, 3), (16000, 50)])
def test_windows_of_a_recording_are_as_many_as_the_client_makes(n_samples: int, frames: int) -> None:
    pcm = np.random.default_rng(0).integers(-9999, 9999, n_samples).astype(np.int16)
    x = windows(pcm)
    assert x.shape == (frames, 19, 26)
    assert not x[0, :9].any() and not x[-1, 10:].any()
    np.testing.assert_array_equal(x[:-1, 10], x[1:, 9])


def test_the_rest_of_the_audio_is_padded_with_zeros() -> None:
    pcm = np.random.default_rng(1).integers(-9999, 9999, 1000).astype(np.int16)
    last = np.concatenate([pcm[640:], np.zeros(152, np.int16)])
    np.testing.assert_array_equal(windows(pcm)[-1, 9], mfcc(last)[0])


def test_floats_are_the_same_audio_as_their_int16() -> None:
    pcm = np.random.default_rng(2).integers(-32768, 32767, 2000).astype(np.int16)
    np.testing.assert_array_equal(mfcc(pcm / 32768.0), mfcc(pcm))


@pytest.mark.parametrize("pcm", [np.zeros((10, 2)), np.zeros(10, np.int32), np.array([np.nan]), np.array([np.inf])])
def test_what_is_no_pcm_is_named(pcm: np.ndarray) -> None:
    with pytest.raises(AudioError):
        windows(pcm)


# ---- the float network ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> tuple[FloatNetwork, dict[str, np.ndarray]]:
    """The network of tiny_graph.pb and what TensorFlow made of it."""
    from pynna.mapping import import_graph

    with np.load(GOLDEN / "tiny_graph.npz") as file:
        return import_graph(GOLDEN / "tiny_graph.pb").network(), dict(file)


def test_float_network_equals_tensorflow(tiny: tuple[FloatNetwork, dict[str, np.ndarray]]) -> None:
    network, golden = tiny
    np.testing.assert_allclose(np.exp(network.run(golden["features"])), golden["probabilities"], atol=1e-5)


def test_float_steps_and_states_equal_tensorflow(tiny: tuple[FloatNetwork, dict[str, np.ndarray]]) -> None:
    network, golden = tiny
    c, h = network.fresh()
    for x, want in zip(golden["features"], golden["probabilities"], strict=True):
        p, c, h = network.step(x[None], c, h)
        np.testing.assert_allclose(np.exp(p[0]), want, atol=1e-5)
    np.testing.assert_allclose(c, golden["c"], atol=1e-5)
    np.testing.assert_allclose(h, golden["h"], atol=1e-5)


def test_mfcc_frame_equals_the_graphs_own(tiny: tuple[FloatNetwork, dict[str, np.ndarray]]) -> None:
    np.testing.assert_allclose(mfcc_frames(tiny[1]["samples"][None]), tiny[1]["mfccs"], atol=1e-5)


# ---- both networks -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_running_many_gives_what_each_gives_alone(kind: str, tiny: tuple[FloatNetwork, dict[str, np.ndarray]]) -> None:
    network = tiny[0] if kind == "float" else IntegerNetwork(random_model(29))
    rng = np.random.default_rng(3)
    xs = [rng.normal(0, 10, (n, 19, 26)).astype(np.float32) for n in (5, 1, 12, 5)]
    trace: dict[str, np.ndarray] = {}
    for x, p in zip(xs, network.run_many(xs, trace), strict=True):
        np.testing.assert_allclose(p, network.run(x), atol=1e-5)
    assert {len(values) for values in trace.values()} == {23}
    assert network.run_many([]) == []


@pytest.mark.parametrize("x", [np.zeros((1, 26)), np.zeros((1, 18, 26)), np.full((1, 19, 26), np.nan)])
def test_features_of_a_wrong_shape_or_value_are_named(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        IntegerNetwork(random_model(16)).step(x)


# ---- the integer network -------------------------------------------------------------------------


def test_requantise_worked_example_of_the_readme() -> None:
    assert requantise(np.array([12345]), 1374389535, 37) == 123
    assert list(requantise(np.array([1, -1, 3, -3]), 1, 1)) == [1, 0, 2, -1]  # half up


def _plain_step(model: NnaModel, x: np.ndarray, c: list[int], h: list[int]) -> tuple[list[float], list[int], list[int]]:
    """csrc/doc/network.md once more, in Python's own unbounded integers, a number at a time."""
    layers = {layer.name: layer for layer in model.layers}
    g = model.geometry

    def sums(name: str, u: list[int]) -> list[int]:
        layer = layers[name]
        return [
            sum(int(w) * v for w, v in zip(row, u, strict=True)) + int(b)
            for row, b in zip(layer.weights, layer.bias, strict=True)
        ]

    def activations(name: str, sums: list[int]) -> list[int]:
        layer = layers[name]
        return [
            min(max((v * int(m) + (1 << layer.shift - 1)) >> layer.shift, 0), 255)
            for v, m in zip(sums, layer.multiplier, strict=True)
        ]

    def relu(name: str, u: list[int]) -> list[int]:
        return activations(name, sums(name, u))

    def clamp(v: int, most: int) -> int:
        return min(max(v, -most - (most > 127)), most)

    v1 = [max(min(float(v), 127.0), -127.0) for v in x.reshape(-1) * np.tile(model.feature_gain, len(x))]
    q = [round(v) for v in v1]
    residual = [clamp(round((v - n) * 256), 127) if g.feature_residual_bits else 0 for v, n in zip(v1, q, strict=True)]
    of_residual = [sum(int(w) * v for w, v in zip(row, residual, strict=True)) for row in layers["layer_1"].weights]
    a3 = relu(
        "layer_3",
        relu(
            "layer_2",
            activations(
                "layer_1",
                [v + (n + 128 >> 8) for v, n in zip(sums("layer_1", [v + 128 for v in q]), of_residual, strict=True)],
            ),
        ),
    )
    shift, e = layers["lstm_x"].shift, g.cell_fraction_bits
    gates = [
        clamp((vx * int(mx) + vh * int(mh) + (1 << shift - 1)) >> shift, 32767)
        for vx, mx, vh, mh in zip(
            sums("lstm_x", a3),
            layers["lstm_x"].multiplier,
            sums("lstm_h", [v + 128 for v in h]),
            layers["lstm_h"].multiplier,
            strict=True,
        )
    ]
    new_c, new_h = [], []
    for m in range(g.n_cell):
        i, f, o = (int(integer_sigmoid(np.array(gates[j * g.n_cell + m]))) for j in (0, 2, 3))
        candidate = int(integer_tanh(np.array(gates[g.n_cell + m])))
        new = i * candidate if e == 15 else (i * candidate + (1 << 14 - e)) >> 15 - e
        v = clamp((f * c[m] + new + (1 << 14)) >> 15, 32767)
        q12 = v * 2 ** (12 - e) if e <= 12 else (v + (1 << e - 13)) >> e - 12
        t = int(integer_tanh(np.array(clamp(q12, 32767))))
        y = (o * t + (1 << 14)) >> 15
        new_c.append(v)
        new_h.append(clamp((y * g.h_multiplier + (1 << g.h_shift - 1)) >> g.h_shift, 127))
    a5 = relu("layer_5", [v + 128 for v in new_h])
    z = np.array(sums("layer_6", a5)) * layers["layer_6"].logit_scale.astype(np.float64)
    return list(log_softmax(z)), new_c, new_h


@pytest.mark.parametrize("bits", [6, 9, 12, 13, 15])
def test_integer_network_equals_a_plain_transcription_of_the_readme(bits: int) -> None:
    model = random_model(5, cell=7, cell_fraction_bits=bits, n_context=1, seed=bits)
    network = IntegerNetwork(model)
    xs = np.random.default_rng(bits).normal(0, 20, (6, 3, 26)).astype(np.float32)
    c, h = network.fresh()
    plain_c, plain_h = [0] * 7, [0] * 7
    for x in xs:
        p, c, h = network.step(x[None], c, h)
        plain_p, plain_c, plain_h = _plain_step(model, x, plain_c, plain_h)
        assert list(c[0]) == plain_c and list(h[0]) == plain_h
        np.testing.assert_allclose(p[0], plain_p, atol=1e-5)
    assert np.abs(c).max() > 0 and np.abs(h).max() > 0


@given(st.integers(1, 700), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_exact_product_is_exact(columns: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.choice(np.array([-127, 127, 3], np.int8), (rows, columns))
    u = rng.choice(np.array([255, 254, 1]), (3, columns))
    np.testing.assert_array_equal(ExactProduct(weights)(u), u @ weights.astype(np.int64).T)


def test_exact_product_is_exact_where_one_float_sum_would_not_be() -> None:
    weights = np.full((2, 4096), 127, np.int8)
    u = np.full((1, 4096), 255)
    u[0, 0] = 254
    assert ExactProduct(weights)(u).tolist() == [[127 * (255 * 4096 - 1)] * 2]


# ---- sigmoid and tanh ----------------------------------------------------------------------------

ALL_Q12 = np.arange(-32768, 32768)


def test_integer_sigmoid_is_within_three_steps_and_tanh_within_four() -> None:
    x = ALL_Q12 / 4096
    assert np.abs(integer_sigmoid(ALL_Q12) - 32768 / (1 + np.exp(-x))).max() < 3
    error = np.abs(integer_tanh(ALL_Q12) - 32768 * np.tanh(x))
    assert error[np.abs(x) < 4].max() < 4
    assert error.max() < 23  # beyond 4 it stays at tanh(4)


def test_integer_sigmoid_and_tanh_keep_their_symmetries_and_order() -> None:
    sigmoid, tanh = integer_sigmoid(ALL_Q12), integer_tanh(ALL_Q12)
    assert sigmoid[32768] == 16384 and tanh[32768] == 0
    np.testing.assert_array_equal(sigmoid[1:32768] + sigmoid[:32768:-1], 32768)
    np.testing.assert_array_equal(tanh[1:32768], -tanh[:32768:-1])
    assert sigmoid.min() >= 0 and sigmoid.max() <= 32767 and np.abs(tanh).max() <= 32767
    assert np.diff(sigmoid).min() >= -1 and np.diff(tanh).min() >= -1
    for segment in range(1, 8):
        assert sigmoid[32768 + 4096 * segment] >= sigmoid[32767 + 4096 * segment]
        assert tanh[32768 + 2048 * segment] >= tanh[32767 + 2048 * segment]


@pytest.mark.skipif(not ACTIVATION_C.exists(), reason="the C sources are not here")
@pytest.mark.parametrize(("name", "want"), [("sigmoid", SIGMOID_COEFFICIENTS), ("tanh", TANH_COEFFICIENTS)])
def test_coefficients_are_those_of_the_c(name: str, want: np.ndarray) -> None:
    body = re.search(rf"pn_{name}_coefficients\[4\]\[8\] = {{(.*?)}};", ACTIVATION_C.read_text(), re.S)
    assert body is not None
    assert [int(v) for v in re.findall(r"-?\d+", body.group(1))] == want.ravel().tolist()


# ---- texts ---------------------------------------------------------------------------------------


def test_greedy_merges_repeats_and_drops_blanks() -> None:
    path = [2, 0, 0, 2, 0, 1, 1, 2]
    assert greedy(np.eye(3)[path], ["a", "b"]) == "aab"
    assert greedy(np.zeros((0, 3)), ["a", "b"]) == ""


def test_edit_distance_of_known_pairs() -> None:
    assert [edit_distance(a, b) for a, b in [("kitten", "sitting"), ("", "abc"), ("abc", ""), ("same", "same")]] == [
        3,
        3,
        3,
        0,
    ]


@given(st.text("ab", max_size=6), st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_edit_distance_is_a_distance(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@given(st.text("abc", max_size=80), st.text("abc", max_size=80))
def test_edit_distance_is_that_of_the_table(a: str, b: str) -> None:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
    assert edit_distance(a, b) == edit_distance(a.encode(), list(b.encode())) == table[-1, -1]


def test_character_errors_weigh_texts_by_length() -> None:
    assert character_errors(["abcd", "x"], ["abcc", "x"]) == pytest.approx(1 / 5)
    assert character_errors([""], [""]) == 0.0


def test_log_softmax_of_large_numbers_is_finite() -> None:
    np.testing.assert_allclose(log_softmax(np.array([[1e4, 1e4, -1e4]])), [[-np.log(2), -np.log(2), -2e4 - np.log(2)]])


def test_context_windows_centre_each_frame() -> None:
    frames = np.arange(10, dtype=np.float32).reshape(5, 2)
    x = context_windows(frames, 2)
    assert x.shape == (5, 5, 2)
    np.testing.assert_array_equal(x[:, 2], frames)
    np.testing.assert_array_equal(x[0, :2], 0)
