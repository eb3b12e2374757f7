# SPDX-License-Identifier: Apache-2.0
"""Calibration, quantisation, the report, and map_model over all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from support.float_networks import random_arrays, random_weights, speechlike

import pynna
from pynna.errors import MappingError
from pynna.mapping import (
    Calibration,
    Clip,
    Weights,
    calibrate,
    export_graph,
    load_clips,
    map_model,
    measure,
    quantise,
    read_nna,
)
from pynna.mapping import calibration as calibration_module
from pynna.mapping.calibration import batches, best_clip, cell_errors, feature_ranges
from pynna.mapping.front_end import MfccConfig, windows
from pynna.mapping.integer_network import IntegerNetwork
from pynna.mapping.nna import encode_nna
from pynna.mapping.quantisation import choose_cell_bits, hidden_multiplier, multipliers
from pynna.mapping.reference import FloatNetwork
from pynna.mapping.rounding import quantise_rows, row_scales

CLIPS = [Clip(speechlike(1.0 + 0.3 * seed, seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(40, cell=33, seed=5)


@pytest.fixture(scope="module")
def calibration(weights: Weights) -> Calibration:
    return calibrate(weights, CLIPS)


# ---- the whole -----------------------------------------------------------------------------------


def test_each_layer_of_the_integer_network_is_near_the_float_one(weights: Weights, calibration: Calibration) -> None:
    report = measure(weights, quantise(weights, calibration), [Clip(speechlike(2.0, 9))])
    sqnr = {layer.name: layer.sqnr_db for layer in report.layers}
    assert min(sqnr.values()) > 28, sqnr
    assert sqnr["features"] > 35
    assert report.label_agreement > 0.9 and not report.warnings


def test_features_of_16_bits_bring_the_integers_nearer(weights: Weights, calibration: Calibration) -> None:
    model, sqnr = quantise(weights, calibration), {}
    for bits in (0, 8):
        model.geometry = replace(model.geometry, feature_residual_bits=bits)
        report = measure(weights, model, [Clip(speechlike(2.0, 9))])
        sqnr[bits] = {layer.name: layer.sqnr_db for layer in report.layers}
    assert sqnr[8]["features"] > sqnr[0]["features"] + 30
    assert sqnr[8]["layer_1"] > sqnr[0]["layer_1"] + 0.2, sqnr  # its own output has 8 bits in either


def test_map_model_writes_what_it_reports(weights: Weights, tmp_path: Path) -> None:
    out, stages = tmp_path / "out.nna", []
    clips = [(clip.pcm, "some text") for clip in CLIPS]
    report = map_model(
        replace(weights, metadata={"trained_on": "noise"}),
        out,
        calibration=clips,
        name="tiny",
        licence="CC0-1.0",
        progress=lambda stage, share: stages.append((stage, share)),
    )
    model = read_nna(out)
    assert report.file_bytes == out.stat().st_size and report.n_clips == 4
    assert report.n_frames == sum(len(windows(clip.pcm)) for clip in CLIPS)
    assert report.cer_float is not None and report.cer_int8 is not None
    metadata = model.metadata
    assert (metadata["name"], metadata["licence"], metadata["trained_on"]) == ("tiny", "CC0-1.0", "noise")
    assert metadata["calibration"]["clips"] == 4 and metadata["report"]["frames"] == report.n_frames
    json.dumps(report.as_dict(), allow_nan=False)
    assert "same label" in str(report) and "gates" in str(report)
    assert [name for name, share in stages if share == 0] == ["read", "calibrate", "quantise", "report", "write"]
    assert all(0 <= share <= 1 for _, share in stages) and set(report.seconds) == {name for name, _ in stages}
    again = measure(weights, model, CLIPS)
    assert again.layers == report.layers and again.label_agreement == report.label_agreement


def test_4_bits_are_reported_beside_8_and_run_to_the_same_bits(weights: Weights, tmp_path: Path) -> None:
    clips, bits4 = [clip.pcm for clip in CLIPS], ["layer_2", "lstm_h"]
    report = map_model(weights, tmp_path / "four.nna", calibration=clips, bits4=bits4)
    eight = map_model(weights, tmp_path / "eight.nna", calibration=clips)
    assert report.file_bytes < eight.file_bytes and eight.eight_bits is None
    assert report.eight_bits is not None and report.eight_bits.layers == eight.layers
    bits = {layer.name: layer.weight_bits for layer in report.layers}
    assert (bits["layer_1"], bits["layer_2"], bits["gates"], bits["cell"]) == ((16,), (4,), (8, 4), ())
    sqnr = [{layer.name: layer.sqnr_db for layer in each.layers} for each in (report, eight)]
    assert sqnr[0]["layer_1"] == sqnr[1]["layer_1"] and 12 < sqnr[0]["layer_2"] < sqnr[1]["layer_2"] - 3
    assert "8 and 4" in str(report) and "with 8 bits: same label" in str(report)
    json.dumps(report.as_dict(), allow_nan=False)
    core, reference = pynna.load(tmp_path / "four.nna"), IntegerNetwork.open(tmp_path / "four.nna")
    assert [layer["weight_bits"] for layer in core.describe()["layers"]] == [16, 4, 8, 8, 4, 8, 16]
    c, h = reference.fresh()
    for x in windows(speechlike(1.0, 30)):
        _, core_c, core_h = core.step(x[None], c, h)
        _, c, h = reference.step(x[None], c, h)
        np.testing.assert_array_equal(core_c, c)
        np.testing.assert_array_equal(core_h, h)


def test_a_graph_file_and_wav_files_are_mapped(weights: Weights, tmp_path: Path) -> None:
    export_graph(weights, tmp_path / "output_graph.pb")
    soundfile.write(tmp_path / "a.wav", CLIPS[0].pcm, 16000)
    soundfile.write(tmp_path / "b.flac", np.stack([CLIPS[1].pcm] * 2, axis=1), 16000)
    files = [tmp_path / "a.wav", tmp_path / "b.flac"]
    map_model(tmp_path / "output_graph.pb", tmp_path / "file.nna", calibration=files)
    map_model(weights, tmp_path / "memory.nna", calibration=[clip.pcm for clip in CLIPS[:2]])
    one, other = read_nna(tmp_path / "file.nna"), read_nna(tmp_path / "memory.nna")
    for a, b in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.bias, b.bias)
    assert one.metadata["source"] == "output_graph.pb" and one.metadata["name"] == "output_graph"


def test_the_c_core_runs_the_mapped_file_to_the_same_bits(weights: Weights, tmp_path: Path) -> None:
    map_model(weights, tmp_path / "a.nna", calibration=[clip.pcm for clip in CLIPS], report=False)
    core, reference = pynna.load(tmp_path / "a.nna"), IntegerNetwork.open(tmp_path / "a.nna")
    c, h = reference.fresh()
    core_c, core_h = c, h
    for x in windows(speechlike(1.0, 30)):
        p, c, h = reference.step(x[None], c, h)
        core_p, core_c, core_h = core.step(x[None], core_c, core_h)
        np.testing.assert_array_equal(core_c, c)
        np.testing.assert_array_equal(core_h, h)
        np.testing.assert_allclose(core_p, p, rtol=1e-6, atol=1e-6)


def test_the_same_input_gives_the_same_file(weights: Weights, calibration: Calibration) -> None:
    assert encode_nna(quantise(weights, calibration)) == encode_nna(quantise(weights, calibrate(weights, CLIPS)))


def test_without_a_report_the_file_is_the_same_but_for_the_metadata(weights: Weights, tmp_path: Path) -> None:
    calibration = [clip.pcm for clip in CLIPS]
    report = map_model(weights, tmp_path / "a.nna", calibration=calibration, report=False)
    assert report.n_frames == 0 and str(report) == "not measured" and report.file_bytes
    assert "report" not in read_nna(tmp_path / "a.nna").metadata


def test_the_evaluation_audio_is_what_the_report_is_about(weights: Weights, tmp_path: Path) -> None:
    report = map_model(weights, tmp_path / "a.nna", calibration=[CLIPS[0].pcm], evaluation=[(CLIPS[3].pcm, "x")])
    assert (report.n_clips, report.n_frames) == (1, len(windows(CLIPS[3].pcm)))


def test_alphabet_and_priors_are_the_callers(tmp_path: Path) -> None:
    weights = random_weights(16)
    (tmp_path / "alphabet.txt").write_text("# letters\n" + "\n".join(chr(0x430 + i) for i in range(28)) + "\n", "utf-8")
    priors = np.linspace(0.01, 0.05, 29)
    alphabet = tmp_path / "alphabet.txt"
    map_model(weights, tmp_path / "a.nna", calibration=[CLIPS[0].pcm], alphabet=alphabet, priors=priors)
    model = read_nna(tmp_path / "a.nna")
    assert model.alphabet[:3] == ["а", "б", "в"]
    np.testing.assert_array_equal(model.label_priors, priors.astype(np.float32))


def test_priors_are_measured_or_all_alike(tmp_path: Path) -> None:
    weights = random_weights(16)
    map_model(weights, tmp_path / "a.nna", calibration=[CLIPS[0].pcm], priors="measure")
    measured = read_nna(tmp_path / "a.nna").label_priors
    assert measured.sum() == pytest.approx(1, abs=1e-4) and measured.std() > 0
    map_model(weights, tmp_path / "a.nna", calibration=[CLIPS[0].pcm])
    model = read_nna(tmp_path / "a.nna")
    np.testing.assert_array_equal(model.label_priors, np.full(29, 1 / 29, np.float32))
    assert model.metadata["label_priors"] == "unknown"


@pytest.mark.parametrize(("options", "message"), [
    ({"calibration": []}, "no calibration audio"), ({"calibration": [np.zeros(0, np.int16)]}, "no calibration audio"),
    ({"calibration": [np.zeros(10, np.int32)]}, "calibration: .*int32"),
    ({"calibration": ["missing.wav"]}, "missing.wav"),
    ({"evaluation": []}, "no evaluation audio"), ({"alphabet": ["a", "b"]}, "alphabet has 2 labels"),
    ({"bits4": ["layer_4"]}, "no layer 'layer_4'"), ({"priors": [0.5]}, "priors"), ({"priors": "guess"}, "guess"),
])  # fmt: skip
def test_bad_options_are_named_and_nothing_is_written(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    arguments = {"calibration": [CLIPS[0].pcm], **options}
    with pytest.raises(MappingError, match=message):
        map_model(random_weights(8), tmp_path / "a.nna", **arguments)
    assert not list(tmp_path.iterdir())


def test_without_shipped_recordings_audio_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration_module, "DEFAULT_RECORDINGS", tmp_path / "none")
    with pytest.raises(MappingError, match="no calibration audio"):
        load_clips(None, 16000)


# ---- odd networks --------------------------------------------------------------------------------


def _mapped(arrays: dict[str, np.ndarray], **options: Any) -> tuple[FloatNetwork, IntegerNetwork]:
    weights = Weights(arrays, **options)
    model = quantise(weights, calibrate(weights, CLIPS[:2]))
    encode_nna(model)
    return weights.network(), IntegerNetwork(model)


def _agree(pair: tuple[FloatNetwork, IntegerNetwork], name: str, db: float) -> None:
    x = windows(speechlike(1.0, 20))
    traces: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    for network, trace in zip(pair, traces, strict=True):
        network.run(x, trace)
    a, b = (trace[name].astype(np.float64) for trace in traces)
    assert 10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()) > db


def test_rows_of_zeros_keep_their_biases() -> None:
    arrays = random_arrays(24, seed=1)
    arrays["layer_2/weights"][:, :5] = 0
    arrays["layer_2/bias"][:5] = [0, 3, -2, 1e-3, 15]
    pair = _mapped(arrays)
    trace: dict[str, np.ndarray] = {}
    pair[1].run(windows(CLIPS[0].pcm), trace)
    step = pair[1].layers["layer_2"].output_scale
    np.testing.assert_allclose(trace["layer_2"][:, :5], [[0, 3, 0, 1e-3, 15]] * len(trace["layer_2"]), atol=step)


def test_a_network_of_zeros_is_mapped() -> None:
    arrays = {name: np.zeros_like(array) for name, array in random_arrays(16).items()}
    p = _mapped(arrays)[1].run(windows(CLIPS[0].pcm))
    np.testing.assert_allclose(p, -np.log(29), rtol=1e-6)


def test_huge_biases_beside_tiny_weights_are_kept() -> None:
    arrays = random_arrays(24, seed=2)
    arrays["layer_3/weights"] *= np.float32(1e-9)
    arrays["layer_3/bias"][:] = np.linspace(0.5, 19, 24)
    _agree(_mapped(arrays), "layer_3", 35)


def test_huge_weights_are_clipped_as_the_relus_clip_them() -> None:
    arrays = random_arrays(24, seed=3)
    arrays["layer_2/weights"][:, 3] *= np.float32(1e4)
    _agree(_mapped(arrays), "layer_2", 20)


def test_gates_beyond_all_bounds_are_refused() -> None:
    arrays = random_arrays(16, seed=4)
    arrays["lstm_fused_cell/kernel"][:, 3] = 9e5
    with pytest.raises(MappingError, match="gate"):
        _mapped(arrays)


def test_silence_and_constants_calibrate() -> None:
    weights = random_weights(16)
    model = quantise(weights, calibrate(weights, [Clip(np.zeros(8000, np.int16))]))
    encode_nna(model)
    assert np.isfinite(model.feature_gain).all()
    assert np.isfinite(IntegerNetwork(model).run(windows(CLIPS[0].pcm))).all()


@pytest.mark.parametrize(("count", "least"), [(10, 7), (100, 6), (1000, 1), (10000, 1)])
def test_cells_get_the_range_that_they_count_to(count: int, least: int) -> None:
    # A cell that counts up in steps of 0.7, down again, and on below zero: what it counted must not have been clipped.
    g = np.where(np.arange(2 * count) < count, 1.0, -1.01) * np.arctanh(0.7)
    gates = np.full((2 * count, 4), 30.0, np.float32)
    gates[:, 1] = g
    cell = np.cumsum(np.tanh(g))
    errors = cell_errors(gates, np.tanh(cell)[:, None].astype(np.float32), [2 * count]) / (2 * count)
    chosen = choose_cell_bits(errors, 1 / 127)
    assert chosen >= least
    assert 32767 / 2**chosen > 0.7 * count


def test_small_cells_get_nearly_all_bits() -> None:
    gates = np.full((20, 4), 30.0, np.float32)
    gates[:, 1] = np.random.default_rng(0).normal(0, 1e-4, 20)
    cell = np.cumsum(np.tanh(gates[:, 1]))
    errors = cell_errors(gates, np.tanh(cell)[:, None].astype(np.float32), [20]) / 20
    assert choose_cell_bits(errors, float(np.abs(cell).max()) / 127) >= 14


@pytest.mark.parametrize("options", [
    {"features": MfccConfig(upper_hz=8000.0)}, {"forget_bias": 0.0}, {"relu_clip": 2.0},
    {"features": MfccConfig(sample_rate=8000, window=256, step=160)},
])  # fmt: skip
def test_other_front_ends_and_constants_are_mapped(options: dict[str, Any]) -> None:
    pair = _mapped(random_arrays(20, seed=6), **options)
    _agree(pair, "layer_5", 25)
    geometry = pair[1].model.geometry
    features = options.get("features", MfccConfig())
    assert (geometry.sample_rate, geometry.mel_upper_hz) == (features.sample_rate, features.upper_hz)


# ---- the parts -----------------------------------------------------------------------------------


def test_calibration_keeps_an_even_sample_in_step(weights: Weights) -> None:
    full, part = calibrate(weights, CLIPS), calibrate(weights, CLIPS, max_frames=100)
    assert 80 <= len(part.inputs) <= 100 < len(full.inputs)
    assert {len(values) for values in part.layers.values()} == {len(part.inputs), len(part.previous_hidden)}
    np.testing.assert_allclose(part.posteriors, full.posteriors)
    np.testing.assert_array_equal(part.feature_range, full.feature_range)
    network = weights.network()
    trace: dict[str, np.ndarray] = {}
    network.run(part.inputs.reshape(-1, 19, 26)[:1], trace)
    np.testing.assert_allclose(trace["layer_3"], part.layers["layer_3"][:1], atol=1e-5)


def test_the_state_before_a_step_is_the_one_after_the_last(weights: Weights) -> None:
    sample = calibrate(weights, CLIPS[:1])
    np.testing.assert_array_equal(sample.previous_hidden[1:], sample.layers["hidden"][:-1])
    assert not sample.previous_hidden[0].any()


@given(st.lists(st.integers(1, 500), max_size=40), st.integers(1, 600))
def test_batches_hold_every_clip_once_and_not_too_many_frames(sizes: list[int], most: int) -> None:
    groups = batches(sizes, most)
    assert sorted(i for group in groups for i in group) == list(range(len(sizes)))
    assert all(len(group) == 1 or sum(sizes[i] for i in group) <= most for group in groups)


def test_digital_silence_does_not_widen_the_features_range() -> None:
    speech = np.random.default_rng(1).normal(-20, 15, (3000, 2)).astype(np.float32)
    silence = np.tile(np.array([[-247.0, 0.0]], np.float32), (40, 1))
    with_silence = feature_ranges(np.concatenate([speech, silence]))
    np.testing.assert_allclose(with_silence, feature_ranges(speech), rtol=0.25)
    assert with_silence[0] > np.quantile(np.abs(speech[:, 0]), 0.99)
    assert feature_ranges(np.zeros((5, 1), np.float32)) == 1


def test_the_range_that_a_network_was_trained_with_is_taken(weights: Weights) -> None:
    limits = np.linspace(60, 2, 26).astype(np.float32)
    clipped = replace(weights, feature_range=limits)
    sample = calibrate(clipped, CLIPS)
    np.testing.assert_array_equal(sample.feature_range, limits)
    assert (np.abs(sample.inputs) <= np.tile(limits, 19)).all()
    loud = np.random.default_rng(2).normal(0, 100, (9, 19, 26)).astype(np.float32)
    np.testing.assert_array_equal(clipped.network().run(loud), weights.network().run(np.clip(loud, -limits, limits)))


def test_a_range_clips_rare_outliers_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 20000)
    assert best_clip(x, 255) == pytest.approx(1, abs=2e-3)
    assert best_clip(np.append(x, 1.3), 7) < 1.1
    assert best_clip(np.zeros(5), 255) == 1 and best_clip(np.zeros(5), 255, 0.5) == 0.5
    assert best_clip(x * 50, 255, 20.0) <= 20
    assert best_clip(np.array([-3.0]), 127) == 3


@given(st.integers(1, 40), st.integers(1, 60), st.floats(1e-6, 1e4), st.integers(0, 2**32 - 1))
def test_rows_are_rounded_to_within_half_a_step_unless_clipped(rows: int, columns: int, size: float, seed: int) -> None:
    w = (np.random.default_rng(seed).normal(0, 1, (rows, columns)) * size).astype(np.float32)
    scale = row_scales(w, np.ones(columns))
    q = quantise_rows(w, np.where(scale > 0, scale, 1))
    inside = np.abs(w) <= 127 * scale[:, None]
    error = np.abs(q * scale[:, None] - w)
    assert (error[inside] <= 0.5001 * np.broadcast_to(scale[:, None], w.shape)[inside]).all()
    assert (q[~inside] == 127 * np.sign(w[~inside])).all()


def test_rows_that_matter_little_are_clipped() -> None:
    w = np.array([[1.0, 1.0, 1.0, 9.0] * 16], np.float32) * np.linspace(0.5, 1, 64, dtype=np.float32)
    spiky = np.ones(64)
    spiky[3::4] = 1e-6
    assert row_scales(w, spiky)[0] < row_scales(w, np.ones(64))[0]


@given(st.floats(1e-12, 1e6))
def test_multipliers_keep_31_bits_of_the_largest_factor(factor: float) -> None:
    (m,), shift = multipliers([np.array([factor, factor / 1000, 0.0])])
    assert 1 <= shift <= 62 and m[2] == 0 and m[0] < 2**31
    assert m[0] / 2.0**shift == pytest.approx(factor, rel=1e-8 if shift < 62 else 1e-5)


@given(st.floats(1e-6, 1 / 127))
def test_hidden_multiplier_is_precise_and_fits(h_scale: float) -> None:
    m, shift = hidden_multiplier(h_scale)
    assert 0 < m < 2**15 and 1 <= shift <= 30
    assert m / 2.0**shift == pytest.approx(1 / (32768 * h_scale), rel=1e-4)
