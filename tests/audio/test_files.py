# SPDX-License-Identifier: Apache-2.0
"""pynna.audio through real files and arrays."""

from __future__ import annotations

import io
import math
import os
import struct
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal

from pynna import audio
from pynna.audio.pcm import resample
from pynna.errors import AudioError, PynnaError

INT16 = hnp.arrays(np.int16, st.integers(0, 300))
FLOAT_DTYPES = st.sampled_from([np.float32, np.float64])


def tone(hertz: float, rate: int, seconds: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
    """A sine, float64 [n_samples] in [-1, 1]."""
    return amplitude * np.sin(2 * np.pi * hertz / rate * np.arange(int(rate * seconds)))


def level(pcm: np.ndarray, hertz: float, rate: int = 16000) -> float:
    """Amplitude of one frequency in int16 PCM, 1.0 for full scale."""
    n = np.arange(len(pcm))
    return float(2 * abs(np.mean(pcm / 32768 * np.hanning(len(pcm)) * 2 * np.exp(-2j * np.pi * hertz / rate * n))))


# ---- arrays --------------------------------------------------------------------------------------


@given(INT16)
def test_int16_is_taken_as_it_is(x: np.ndarray) -> None:
    result = audio.load_audio(x)
    np.testing.assert_array_equal(result.pcm, x)
    assert (result.pcm.dtype, result.sample_rate, result.notes) == (np.int16, 16000, ())


@given(INT16, FLOAT_DTYPES)
def test_int16_goes_through_floats_and_back_to_the_bit(x: np.ndarray, dtype: Any) -> None:
    np.testing.assert_array_equal(audio.as_pcm(x.astype(dtype) / dtype(32768)), x)


@given(
    FLOAT_DTYPES.flatmap(lambda d: hnp.arrays(d, st.integers(0, 50), elements={"min_value": -256, "max_value": 256}))
)
def test_any_finite_floats_are_rounded_and_saturated(x: np.ndarray) -> None:
    expected = np.clip(np.rint(np.clip(x.astype(np.float64), -2, 2) * 32768), -32768, 32767)
    np.testing.assert_array_equal(audio.as_pcm(x), expected)


@given(hnp.arrays(np.float32, st.integers(1, 50)))
def test_floats_that_are_not_finite_are_refused_with_their_index(x: np.ndarray) -> None:
    if np.isfinite(x).all():
        if np.abs(x).max() <= 256:
            assert len(audio.as_pcm(x)) == len(x)
            return
        with pytest.raises(AudioError, match="must be in"):
            audio.as_pcm(x)
        return
    with pytest.raises(AudioError, match=rf"index {np.flatnonzero(~np.isfinite(x))[0]} "):
        audio.as_pcm(x)


@given(
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)), st.integers() | st.floats()
)
def test_any_array_and_rate_gives_pcm_or_a_named_error(x: np.ndarray, rate: Any) -> None:
    try:
        result = audio.load_audio(x, rate)
    except AudioError as error:
        assert str(error)
    else:
        assert result.pcm.dtype == np.int16
        assert result.pcm.ndim == 1


def test_float_beyond_full_scale_is_saturated_and_told() -> None:
    result = audio.from_array(np.array([1.5, -7.0, 0.0]))
    np.testing.assert_array_equal(result.pcm, [32767, -32768, 0])
    assert result.notes == ("2 samples beyond [-1, 1] saturated",)


@pytest.mark.parametrize(
    "dtype", [np.int32, np.int64, np.uint8, np.int8, np.uint16, np.float16, bool, np.complex64, object]
)
def test_other_dtypes_are_refused_by_name_with_what_would_be_right(dtype: Any) -> None:
    with pytest.raises(AudioError, match=rf"samples are {np.dtype(dtype).name}: int16 PCM or float32"):
        audio.load_audio(np.zeros(10, dtype))


def test_bytes_are_refused_with_what_would_be_right() -> None:
    with pytest.raises(AudioError, match=r"np\.frombuffer\(x, np\.int16\)"):
        audio.load_audio(b"\0\0")


def test_big_endian_and_strided_samples_keep_their_values() -> None:
    x = np.arange(-50, 50, dtype=np.int16)
    np.testing.assert_array_equal(audio.as_pcm(x.astype(">i2")), x)
    np.testing.assert_array_equal(audio.as_pcm(x[::-2]), x[::-2])


def test_one_column_is_one_channel() -> None:
    np.testing.assert_array_equal(audio.as_pcm(np.array([[1], [2]], np.int16)), [1, 2])


@pytest.mark.parametrize("shape", [(10, 2), (2, 10), (0, 2)])
def test_two_channels_are_refused_with_how_to_mix_down(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"shape \(.*\): \[n_samples\] is needed.*mix down"):
        audio.load_audio(np.zeros(shape, np.int16))


@pytest.mark.parametrize("shape", [(), (2, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"\[n_samples\] is needed"):
        audio.load_audio(np.zeros(shape, np.int16))


@pytest.mark.parametrize("empty", [[], np.zeros(0, np.int16), np.zeros(0), np.zeros((0, 1), np.float32)])
@pytest.mark.parametrize("rate", [16000, 44100, 8000])
def test_nothing_stays_nothing(empty: Any, rate: int) -> None:
    result = audio.load_audio(empty, rate)
    assert result.pcm.shape == (0,)
    assert result.duration == 0


@pytest.mark.parametrize("rate", [0, -1, 999, 384001, 10**9, 16000.0, "16000", True, math.nan])
def test_wrong_rates_are_refused(rate: Any) -> None:
    with pytest.raises(AudioError, match="sample rate .* an int from 1000 to 384000 Hz is needed"):
        audio.load_audio(np.zeros(10, np.int16), rate)


def test_numpy_integers_are_rates() -> None:
    assert len(audio.load_audio(np.zeros(8, np.int16), np.int32(8000)).pcm) == 16


# ---- resampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 15999, 22050, 44100, 48000, 96000, 384000])
def test_resampling_in_pieces_is_resampling_in_one(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynna.audio.pcm.BLOCK_SAMPLES", 4 * 1000)
    x = np.random.default_rng(rate).integers(-9000, 9000, min(5 * rate, 100_000)).astype(np.int16)
    divisor = math.gcd(rate, 16000)
    expected = np.rint(signal.resample_poly(x.astype(np.float64), 16000 // divisor, rate // divisor))
    result = audio.from_array(x, rate)
    np.testing.assert_array_equal(result.pcm, np.clip(expected, -32768, 32767))
    assert result.notes == (f"resampled from {rate} Hz to 16000 Hz",)


@pytest.mark.parametrize(
    "rates", [(1000, 48000), (14400, 16000), (17600, 16000), (44100, 8000), (16001, 12000), (9, 7)]
)
def test_resampling_is_scipy_s(rates: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynna.audio.pcm.BLOCK_SAMPLES", 4 * 700)
    for n in (0, 1, 5, 700, 3001):
        x = np.random.default_rng(n).normal(0, 3000, n)
        found = np.concatenate(list(resample([x[: n // 3], x[n // 3 :]], *rates)))
        expected = signal.resample_poly(x, rates[1], rates[0]) if n else x
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@given(INT16, st.integers(1000, 384000), st.integers(1000, 48000))
def test_length_follows_the_rates(x: np.ndarray, rate: int, target_rate: int) -> None:
    assert len(audio.from_array(x, rate, sample_rate=target_rate).pcm) == -(-len(x) * target_rate // rate)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_level(rate: int) -> None:
    pcm = audio.from_array(tone(1000, rate), rate).pcm
    assert level(pcm, 1000) == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(("hertz", "alias"), [(12000, 4000), (15000, 1000), (20000, 4000)])
def test_what_is_above_the_new_band_does_not_fold_into_it(hertz: int, alias: int) -> None:
    pcm = audio.from_array(tone(hertz, 48000), 48000).pcm
    assert level(pcm, alias) < 0.002


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_lossless_16_bit_files_are_read_to_the_bit(tmp_path: Path, name: str) -> None:
    x = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / name, x, 16000)
    result = audio.load_audio(tmp_path / name)
    np.testing.assert_array_equal(result.pcm, x)
    assert (result.sample_rate, result.source_rate, result.n_channels, result.notes) == (16000, 16000, 1, ())
    assert result.duration == pytest.approx(5000 / 16000)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_lossy_files_keep_a_tone(tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / name, tone(700, rate, 1.0), rate)
    result = audio.read(tmp_path / name)
    assert level(result.pcm, 700) == pytest.approx(0.5, abs=0.03)
    assert result.duration == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_other_sample_formats_are_rounded_to_16_bits(tmp_path: Path, subtype: str) -> None:
    x = tone(300, 16000)
    soundfile.write(tmp_path / "a.wav", x, 16000, subtype=subtype)
    tolerance = {"PCM_U8": 1 / 128, "ULAW": 1 / 32}.get(subtype, 1 / 32768)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav").pcm / 32768, x, atol=tolerance)


def test_channels_are_mixed_down_and_told(tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(-32768, 32768, (4000, 3)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", x, 16000)
    result = audio.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(result.pcm, np.rint(x.mean(axis=1)))
    assert result.n_channels == 3
    assert result.notes == ("3 channels mixed down to one",)


def test_stereo_at_another_rate_is_mixed_down_and_resampled_and_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.stack([tone(500, 44100), 0 * tone(500, 44100)], axis=1), 44100)
    result = audio.read(tmp_path / "a.flac")
    assert level(result.pcm, 500) == pytest.approx(0.25, abs=0.005)
    assert (result.source_rate, result.n_channels) == (44100, 2)
    assert result.notes == ("2 channels mixed down to one", "resampled from 44100 Hz to 16000 Hz")


def test_a_file_is_read_from_memory_and_from_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(500, 16000), 16000)
    expected = audio.read(path).pcm
    np.testing.assert_array_equal(audio.read(io.BytesIO(path.read_bytes())).pcm, expected)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(path.read_bytes()))
    writer.start()
    np.testing.assert_array_equal(audio.read(tmp_path / "pipe").pcm, expected)
    writer.join()


def test_a_long_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path, block = tmp_path / "long.wav", np.zeros((48000, 2), np.int16)
    with soundfile.SoundFile(path, "w", 48000, 2) as file:
        for _ in range(600):
            file.write(block)
    tracemalloc.start()
    result = audio.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.duration == 600
    assert peak < 90e6  # the result takes 19 MB, the file as float64 would take 460 MB


def test_wav_of_unknown_length_from_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    x = np.arange(1000, dtype=np.int16)
    for size in (0xFFFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000):
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
        header = (
            b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + b"WAVE" + fmt + b"data" + struct.pack("<I", size)
        )
        (tmp_path / "a.wav").write_bytes(header + x.tobytes())
        np.testing.assert_array_equal(audio.read(tmp_path / "a.wav").pcm, x)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff"])
def test_a_file_cut_anywhere_is_strictly_refused_by_name(tmp_path: Path, name: str) -> None:
    whole, cut = tmp_path / name, tmp_path / f"cut_{name}"
    soundfile.write(whole, tone(300, 16000, 2.0), 16000)
    content = whole.read_bytes()
    for size in [*range(0, 200, 7), *np.linspace(200, len(content) - 2, 40).astype(int)]:
        cut.write_bytes(content[:size])
        with pytest.raises(AudioError, match=f"cut_{name}"):
            audio.read(cut, strict=True)


def test_an_mp3_cut_in_half_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(300, 16000, 3.0), 16000)
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"a\.mp3: cut short"):
        audio.read(tmp_path / "a.mp3", strict=True)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff", "a.w64", "a.caf"])
def test_a_file_with_flipped_bits_is_read_or_refused(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, tone(300, 16000, 0.3), 16000)
    content, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        flipped = bytearray(content)
        flipped[rng.integers(min(len(content), 120))] ^= 1 << rng.integers(8)
        (tmp_path / name).write_bytes(flipped)
        try:
            assert audio.read(tmp_path / name).pcm.dtype == np.int16
        except AudioError as error:
            assert name in str(error)


def test_what_is_no_audio_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("increase the volume\n" * 100)
    (tmp_path / "headerless.raw").write_bytes(bytes(3200))
    (tmp_path / "headerless.au").write_bytes(bytes(3200))
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    for path in (*tmp_path.iterdir(), tmp_path / "missing.wav"):
        with pytest.raises(AudioError, match=path.name):
            audio.load_audio(path)
    with pytest.raises(AudioError, match="missing.wav: no such file"):
        audio.load_audio(str(tmp_path / "missing.wav"))


def test_nan_in_a_file_is_refused_with_its_index(tmp_path: Path) -> None:
    x = np.zeros((100, 2), np.float32)
    x[17, 1] = np.nan
    soundfile.write(tmp_path / "a.wav", x, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: the sample at index 17 is not finite"):
        audio.read(tmp_path / "a.wav")


def test_an_unbelievable_rate_in_a_file_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10, np.int16), 500)
    with pytest.raises(AudioError, match=r"a\.wav: its sample rate of 500 Hz"):
        audio.read(tmp_path / "a.wav")


def test_errors_are_what_one_would_catch() -> None:
    assert issubclass(AudioError, PynnaError)
    assert issubclass(AudioError, ValueError)
