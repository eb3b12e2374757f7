# SPDX-License-Identifier: Apache-2.0
"""Where commands write: never over what they read, and said at once where there is no such folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.float_networks import random_arrays

import pynna
from pynna.cli.main import main
from pynna.errors import ArgumentError, MissingFileError
from pynna.mapping import export_npz, load_weights
from pynna.saving import whole_file


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A small network that was never mapped."""
    np.savez(tmp_path / "trained.npz", **random_arrays())
    return tmp_path / "trained.npz"


def test_a_source_is_never_written_over(trained, tmp_path, capsys):
    text, link = tmp_path / "notes.txt", tmp_path / "link"
    text.write_text("turn on the light\n")
    link.symlink_to(trained)
    before = trained.read_bytes(), text.read_bytes()
    for command in (
        ["map", trained, "-o", trained],
        ["map", trained, "-o", link],
        ["export", trained, trained],
        ["lm", text, "-o", text],
    ):
        assert main([str(word) for word in command]) == 1
        assert "must be another file than what is read" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match="another file"):
        pynna.map_model(trained, trained)
    assert (trained.read_bytes(), text.read_bytes()) == before


def test_a_folder_that_is_not_there_is_told_before_the_work(trained, tmp_path, capsys):
    nowhere = tmp_path / "no" / "out.nna"
    assert main(["map", str(trained), "-o", str(nowhere)]) == 1
    told = capsys.readouterr().err
    assert f"no such folder as {nowhere.parent}" in told and "network:" not in told and told.count("\n") == 1
    with pytest.raises(MissingFileError, match="no such folder"):
        pynna.map_model(trained, nowhere)


def test_an_error_names_the_file_and_not_what_is_written_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError) as told, whole_file(tmp_path / "no" / "a.svg"):
        pass
    assert told.value.filename == str(tmp_path / "no" / "a.svg")


def test_four_bits_and_a_size_exclude_each_other(trained, tmp_path, capsys):
    assert main(["map", str(trained), "-o", str(tmp_path / "a.nna"), "--bits", "4", "--size", "1MB"]) == 1
    assert "bits=4 cannot be told with it" in capsys.readouterr().err


def test_an_npz_without_a_front_end_says_so_and_is_told_one(trained, tmp_path, capsys):
    assert main(["map", str(trained)]) == 0
    assert "this one is assumed" in capsys.readouterr().out
    assert main(["map", str(trained), "--mel-band", "20-8000"]) == 0
    told = capsys.readouterr().out
    assert "20 to 8000 Hz" in told and "assumed" not in told
    export_npz(load_weights(trained), tmp_path / "whole.npz")
    assert main(["map", str(tmp_path / "whole.npz")]) == 0
    assert "assumed" not in capsys.readouterr().out


def test_the_guides_table_of_an_npz_is_all_that_is_needed(tmp_path):
    """docs/mapping.md: names and shapes, each layer of another width, another number of frames."""
    rng = np.random.default_rng(0)
    shapes = {
        "layer_1": (26 * 11, 20),
        "layer_2": (20, 24),
        "layer_3": (24, 28),
        "layer_5": (16, 12),
        "layer_6": (12, 5),
    }
    arrays = {f"{name}/weights": rng.normal(0, 0.1, shape) for name, shape in shapes.items()}
    arrays |= {f"{name}/bias": np.zeros(shape[1]) for name, shape in shapes.items()}
    arrays |= {"lstm_fused_cell/kernel": rng.normal(0, 0.1, (28 + 16, 4 * 16)), "lstm_fused_cell/bias": np.zeros(64)}
    np.savez(tmp_path / "mine.npz", **arrays, alphabet=np.array([" ", "a", "ä", "ö"]), sample_rate=8000,
             feature_win_len=256, feature_win_step=160, mel_upper=4000.0, forget_bias=0.0, name="mine")  # fmt: skip
    pynna.map_model(tmp_path / "mine.npz", tmp_path / "mine.nna", report=False)
    model = pynna.load(tmp_path / "mine.nna")
    assert (model.labels[:-1], model.sample_rate, model.name) == ((" ", "a", "ä", "ö"), 8000, "mine")
