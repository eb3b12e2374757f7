# SPDX-License-Identifier: Apache-2.0
"""The front end against TensorFlow's ops (tests/golden/make_mfcc.py) and against hostile arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cffi import FFI
from numpy.typing import NDArray
from support.frontend import DEEPSPEECH, Mfcc

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SIGNALS = ["speech", "silence", "sine", "sine_on_bin", "impulse", "clipped_noise", "quiet_dither", "constant"]


def golden(name: str) -> tuple[NDArray[np.int16], dict[int, NDArray[np.float32]]]:
    with np.load(GOLDEN / "mfcc.npz") as arrays:
        features = {upper_hz: arrays[f"{name}_{upper_hz}"] for upper_hz in (4000, 8000)}
        if name == "speech":
            return soundfile.read(GOLDEN / "LJ001-0008.flac", dtype="int16")[0], features
        return arrays[f"{name}_pcm"], features


@pytest.mark.parametrize("upper_hz", [4000, 8000])
@pytest.mark.parametrize("name", SIGNALS)
def test_every_coefficient_is_that_of_tensorflow(
    name: str, upper_hz: int, lib: Any, ffi: FFI, allocate: Callable[[int], Any]
) -> None:
    pcm, features = golden(name)
    expected = features[upper_hz].astype(np.float64)
    actual = Mfcc(lib, ffi, allocate, upper_hz)(pcm)
    assert actual.shape == expected.shape
    error = np.abs(actual - expected)
    print(f"{name} to {upper_hz} Hz: at most {error.max():.2e} off, of at most {np.abs(expected).max():.1f}")
    assert np.all(error <= np.maximum(1e-3, 1e-4 * np.abs(expected)))


def test_the_worked_example_of_the_readme(lib: Any, ffi: FFI, allocate: Callable[[int], Any]) -> None:
    pcm = np.zeros(512, np.int16)
    pcm[256] = 16384
    np.testing.assert_allclose(
        Mfcc(lib, ffi, allocate)(pcm)[0, :4], [2.578935, -3.400331, -0.082930, -0.447797], rtol=0, atol=1e-6
    )


def double_mfcc(pcm: NDArray[np.int16], config: Any) -> NDArray[np.float64]:
    """[n_coefficients] of one frame, by NumPy from the formulas."""
    n, rate = config.window, config.sample_rate
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    power = (np.abs(np.fft.rfft(pcm / 32768 * hann)) ** 2).astype(np.float32).astype(np.float64)
    hz = np.arange(n // 2 + 1) * rate / n
    used = np.arange(int(1.5 + config.lower_hz * n / rate), int(config.upper_hz * n / rate) + 1)
    mel = 1127 * np.log1p(hz / 700)
    low, high = 1127 * np.log1p(config.lower_hz / 700), 1127 * np.log1p(config.upper_hz / 700)
    peaks = np.linspace(low, high, config.n_mel + 2)
    bands = np.zeros(config.n_mel)
    for b in range(config.n_mel):
        triangle = np.interp(mel[used], peaks[b : b + 3], [0, 1, 0])
        bands[b] = triangle @ np.sqrt(power[used])
    j = np.arange(config.n_mel)
    dct = np.cos(np.pi / config.n_mel * np.outer(np.arange(config.n_coefficients), j + 0.5))
    return np.sqrt(2 / config.n_mel) * dct @ np.log(np.maximum(bands, 1e-12))


@pytest.mark.parametrize("window", [64, 128, 256, 512, 1024, 2048, 4096])
@pytest.mark.parametrize("n_mel, n_coefficients", [(1, 1), (13, 13), (40, 26), (128, 101)])
def test_any_geometry_gives_what_the_formulas_give(
    window: int, n_mel: int, n_coefficients: int, lib: Any, ffi: FFI, allocate: Callable[[int], Any]
) -> None:
    sizes = {"window": window, "step": window // 2, "n_mel": n_mel, "n_coefficients": n_coefficients}
    mfcc = Mfcc(lib, ffi, allocate, 8000, lower_hz=0.0, **sizes)
    pcm = np.random.default_rng(window).integers(-32768, 32768, 2 * window).astype(np.int16)
    for row, start in zip(mfcc(pcm), range(0, 2 * window, window // 2), strict=False):
        expected = double_mfcc(pcm[start : start + window], mfcc.config)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "field, value",
    [
        *(("sample_rate", v) for v in (-16000, 0, 999, 384001, 2**31 - 1)),
        *(("window", v) for v in (-512, 0, 1, 32, 500, 511, 8192, -(2**31))),
        *(("step", v) for v in (-1, 0, 513)),
        *(("n_coefficients", v) for v in (-1, 0, 41)),
        *(("n_mel", v) for v in (-1, 0, 129, 2**31 - 1)),
        *(("lower_hz", v) for v in (-1.0, float("nan"), float("-inf"), float("inf"))),
        *(("upper_hz", v) for v in (-1.0, 0.0, 20.0, 8001.0, float("nan"), float("inf"))),
    ],
)
def test_a_wrong_configuration_is_named_and_refused(
    field: str, value: float, lib: Any, ffi: FFI, allocate: Callable[[int], Any]
) -> None:
    config = ffi.new("pynna_mfcc_config *", {**DEEPSPEECH, "upper_hz": 4000.0, field: value})
    assert field in ffi.string(lib.pynna_mfcc_config_error(config)).decode()
    assert lib.pynna_mfcc_size(config) == 0
    out = ffi.new("const pynna_mfcc **")
    assert lib.pynna_mfcc_init(allocate(1 << 16), 1 << 16, config, out) == lib.PYNNA_ERR_ARGUMENT
    assert out[0] == ffi.NULL


def test_small_or_unaligned_memory_is_refused(lib: Any, ffi: FFI, allocate: Callable[[int], Any]) -> None:
    mfcc = Mfcc(lib, ffi, allocate)
    size = lib.pynna_mfcc_size(mfcc.config)
    memory = allocate(size + 64)
    out = ffi.new("const pynna_mfcc **")
    assert lib.pynna_mfcc_init(memory, size - 1, mfcc.config, out) == lib.PYNNA_ERR_MEMORY
    assert lib.pynna_mfcc_init(memory + 8, size, mfcc.config, out) == lib.PYNNA_ERR_MEMORY
    assert out[0] == ffi.NULL
    pcm, row = ffi.new("int16_t[]", 512), ffi.new("float[]", 26)
    assert lib.pynna_mfcc_frame(mfcc.pointer, pcm, row, mfcc.scratch + 32) == lib.PYNNA_ERR_MEMORY
    assert lib.pynna_mfcc_frame(mfcc.pointer, pcm, row, ffi.NULL) == lib.PYNNA_ERR_ARGUMENT
