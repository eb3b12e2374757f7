# SPDX-License-Identifier: Apache-2.0
"""Features packed and unpacked: what is heard of them stays, and they are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra train")
pytest.importorskip("tqdm")
soundfile = pytest.importorskip("soundfile")

import pynna  # noqa: E402
from pynna.train.corpora.corpora import save_features  # noqa: E402
from pynna.train.corpora.features import log_mel, spectrum  # noqa: E402
from pynna.train.corpora.pack import EDGES, QUALITY, ROWS, expand, pack, squeeze, unpack  # noqa: E402

RECORDINGS = sorted((Path(pynna.__file__).parent / "recordings").glob("*.flac"))
DECIBELS = 20 / np.log(10)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Spectra of the recordings that ship, digital silence between them."""
    parts = []
    for path in RECORDINGS:
        parts += [spectrum(soundfile.read(path, dtype="int16")[0]), np.zeros((7, 257))]
    return np.concatenate(parts).astype(np.float16)


def test_mel_channels_are_off_by_a_decibel_or_so(speech: np.ndarray) -> None:
    before, after = (log_mel(x.astype(np.float32)) for x in (speech, expand(squeeze(speech))))
    heard = before > before.max() - 60 / DECIBELS
    off = np.abs(before - after)[heard] * DECIBELS
    assert np.median(off) < 1.5
    assert np.percentile(off, 90) < 4.0
    assert abs((before - after)[heard].mean()) * DECIBELS < 0.3
    assert QUALITY < 100


def test_silence_stays_silent(speech: np.ndarray) -> None:
    silent = ~speech.any(axis=1)
    assert silent.any()
    after = expand(squeeze(speech))
    assert not after[silent].any()
    assert after[~silent].any(axis=1).all()


def test_they_are_small(speech: np.ndarray) -> None:
    size = sum(values.nbytes for values in squeeze(speech).values())
    assert size < speech.nbytes / 15


@pytest.mark.parametrize("frames", [1, ROWS - 1, ROWS, ROWS + 1])
def test_every_number_of_frames_comes_back(frames: int) -> None:
    spectra = np.abs(np.random.default_rng(1).normal(size=(frames, 257))).astype(np.float16)
    after = expand(squeeze(spectra))
    assert after.shape == spectra.shape
    assert after.dtype == np.float16
    # noise is flat: a band's mean is its amplitude, wherever it lies
    np.testing.assert_allclose(after.mean(), spectra.mean(), rtol=0.1)


def test_bands_cover_all_bins() -> None:
    assert EDGES[0] == 0
    assert EDGES[-1] == 257
    assert (np.diff(EDGES) > 0).all()


def test_a_folder_is_packed_and_unpacked_once(tmp_path: Path) -> None:
    features, packed, there = tmp_path / "features", tmp_path / "packed", tmp_path / "there"
    features.mkdir()
    clips = [(soundfile.read(path, dtype="int16")[0], path.stem.replace("_", " "), "someone") for path in RECORDINGS]
    save_features(features, "real-few", clips)
    noise = np.load(features / "real-few.npy")[:90]
    np.savez(features / "noise-n.npz", spectra=noise, offsets=np.array([0, 40, 90]))
    pack(features, packed, 1)
    assert sorted(path.name for path in packed.iterdir()) == ["noise-n.npz", "real-few.npz"]
    unpack(packed, there, 1)
    assert (there / "real-few.json").read_text() == (features / "real-few.json").read_text()
    before, after = (np.load(folder / "real-few.npy") for folder in (features, there))
    assert before.shape == after.shape
    with np.load(there / "noise-n.npz") as file:
        assert file["offsets"].tolist() == [0, 40, 90]
        assert file["spectra"].shape == noise.shape
    written = {path: path.stat().st_mtime_ns for folder in (packed, there) for path in folder.iterdir()}
    pack(features, packed, 1)
    unpack(packed, there, 1)
    assert {path: path.stat().st_mtime_ns for path in written} == written
