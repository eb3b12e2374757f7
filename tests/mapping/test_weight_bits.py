# SPDX-License-Identifier: Apache-2.0
"""Which layers get weights of 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.float_networks import random_weights, speechlike

from pynna.errors import MappingError
from pynna.mapping import Clip, calibrate, map_model, quantise, read_nna
from pynna.mapping.nna import encode_nna
from pynna.mapping.quantisation import Quantiser
from pynna.mapping.weight_bits import WIDE_LAYERS, fitting_layers, parse_size, saved_bytes, told_layers

CLIPS = [Clip(speechlike(1.0, seed)) for seed in (1, 2)]
PCM = [clip.pcm for clip in CLIPS]


@pytest.mark.parametrize(("text", "size"), [
    ("4MB", 4_000_000), ("4.5 mb", 4_500_000), ("4MiB", 4 << 20), ("3500k", 3_500_000), ("4000000", 4_000_000),
    (" 1GB ", 10**9), ("12b", 12),
])  # fmt: skip
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "4 apples", "-4MB", "0", "4i", "4TB"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(MappingError, match="a size must be like 4MB"):
        parse_size(text)


@pytest.mark.parametrize(("told", "message"), [
    ((6, (), None), "bits must be 4, 8 or 16, got 6"), ((8, (), 0), "size must be 1 byte or more, got 0"),
    ((4, ("layer_2",), None), "bits4 names layers"), ((8, ("layer_2",), 10**6), "bits4 names layers"),
])  # fmt: skip
def test_choices_that_contradict_each_other_are_refused(told: Any, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        told_layers(*told)


def test_the_cheapest_layers_come_first_and_none_for_nothing() -> None:
    saved = {"layer_1": 100, "layer_2": 50, "lstm_h": 400}
    costs = {"layer_1": 0.05, "layer_2": 0.001, "lstm_h": 0.02}
    assert fitting_layers(saved, costs, 40) == ("layer_2",)
    assert fitting_layers(saved, costs, 60) == ("lstm_h",)  # with it, layer_2 is not needed
    assert fitting_layers(saved, costs, 420) == ("layer_2", "lstm_h")
    assert fitting_layers(saved, costs, 460) == ("layer_1", "lstm_h")  # likewise


def test_what_4_bits_save_is_what_the_files_differ_by() -> None:
    weights = random_weights(40)
    quantiser = Quantiser(weights, calibrate(weights, CLIPS))
    eight = quantiser.model()
    saved = saved_bytes(eight)
    for name in ("layer_1", "lstm_x", "layer_6"):
        assert len(encode_nna(eight)) - len(encode_nna(quantiser.model([name]))) == saved[name]
    mixed = quantiser.model(["layer_2", "lstm_h"])
    assert encode_nna(mixed) == encode_nna(quantise(weights, calibrate(weights, CLIPS), bits4=["layer_2", "lstm_h"]))


def test_bits_4_are_for_all_but_the_first_and_the_last_layer(tmp_path: Path) -> None:
    report = map_model(random_weights(24), tmp_path / "a.nna", calibration=PCM, bits=4)
    bits = {layer.name: layer.weight_bits for layer in read_nna(tmp_path / "a.nna").layers}
    assert {name for name, n in bits.items() if n == 4} == set(WIDE_LAYERS)
    assert report.eight_bits is not None and not report.bit_costs


def test_a_size_is_kept_and_the_report_tells_what_each_layer_costs(tmp_path: Path) -> None:
    weights, path = random_weights(48), tmp_path / "a.nna"
    whole = map_model(weights, path, calibration=PCM, report=False, size=1 << 30)
    saved = saved_bytes(read_nna(path))
    assert not whole.bit_costs and [layer.weight_bits for layer in read_nna(path).layers] == [16, 8, 8, 8, 8, 8, 16]
    size = whole.file_bytes - 4000 + 4096
    stages: list[str] = []
    report = map_model(weights, path, calibration=PCM, size=size, progress=lambda stage, share: stages.append(stage))
    model = read_nna(path)
    four = [layer.name for layer in model.layers if layer.weight_bits == 4]
    assert four and len(four) < 7 and path.stat().st_size == report.file_bytes <= size
    assert set(report.bit_costs) == {layer.name for layer in model.layers}
    assert model.metadata["report"]["bit_costs"].keys() == report.bit_costs.keys()
    assert "that 4 bits in one layer alone cost" in str(report) and "choose" in stages
    left_out = [name for name in report.bit_costs if name not in four]
    assert min(report.bit_costs[name] / saved[name] for name in four) <= min(
        report.bit_costs[name] / saved[name] for name in left_out
    )


def test_a_size_that_cannot_be_is_refused_with_the_least_that_can(tmp_path: Path) -> None:
    weights = random_weights(24)
    with pytest.raises(MappingError, match=r"size must be at least (\d+) bytes for this network, got 9000") as refused:
        map_model(weights, tmp_path / "a.nna", calibration=PCM, size=9000)
    assert not list(tmp_path.iterdir())
    least = int(str(refused.value).split("at least ")[1].split()[0])
    map_model(weights, tmp_path / "a.nna", calibration=PCM, size=least, report=False)
    assert all(layer.weight_bits == 4 for layer in read_nna(tmp_path / "a.nna").layers)
