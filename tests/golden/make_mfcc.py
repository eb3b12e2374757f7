# SPDX-License-Identifier: Apache-2.0
"""Makes mfcc.npz: MFCCs computed by TensorFlow's own AudioSpectrogram and Mfcc ops, the ones that DeepSpeech runs.

    pip install tensorflow numpy soundfile
    python tests/golden/make_mfcc.py

TensorFlow is needed only to make the file, never to test against it. For each signal the file holds ``<name>_pcm``
[samples] int16 (but for the speech, which is in LJ001-0008.flac beside it) and, for the mel bands up to 4000 Hz
(DeepSpeech 0.5.1) and 8000 Hz (0.6 and later), ``<name>_4000`` and ``<name>_8000`` [frames, 26] float32.
"""

from pathlib import Path

import numpy as np
import soundfile
import tensorflow as tf
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
RATE, WINDOW, STEP, COEFFICIENTS = 16000, 512, 320, 26


def signals() -> dict[str, NDArray[np.int16]]:
    """The inputs by name, [samples] int16 at 16 kHz."""
    rng = np.random.default_rng(20)
    t = np.arange(8000) / RATE
    impulse = np.zeros(4000, np.int16)
    impulse[[700, 1500, 3000]] = 32767, -32768, 1
    speech, rate = soundfile.read(HERE / "LJ001-0008.flac", dtype="int16")
    assert rate == RATE and speech.ndim == 1
    return {
        "speech": speech,
        "silence": np.zeros(2000, np.int16),
        "sine": np.round(32767 * np.sin(2 * np.pi * 997 * t)).astype(np.int16),
        "sine_on_bin": np.round(32767 * np.sin(2 * np.pi * 1000 * t[:2000])).astype(np.int16),
        "impulse": impulse,
        "clipped_noise": np.clip(rng.normal(0, 40000, 8000), -32768, 32767).astype(np.int16),
        "quiet_dither": rng.integers(-1, 2, 8000).astype(np.int16),
        "constant": np.full(2000, -32768, np.int16),
    }


def mfcc(pcm: NDArray[np.int16], upper_hz: float) -> NDArray[np.float32]:
    """[frames, 26] float32 of the whole frames in pcm, by the TensorFlow ops."""
    samples = (pcm.astype(np.float32) / np.float32(32768))[:, np.newaxis]
    spectrogram = tf.raw_ops.AudioSpectrogram(input=samples, window_size=WINDOW, stride=STEP, magnitude_squared=True)
    features = tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=RATE,
        upper_frequency_limit=upper_hz,
        lower_frequency_limit=20,
        filterbank_channel_count=40,
        dct_coefficient_count=COEFFICIENTS,
    )
    return np.asarray(features)[0]


def main() -> None:
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, pcm in signals().items():
        if name != "speech":
            arrays[f"{name}_pcm"] = pcm
        for upper_hz in (4000, 8000):
            arrays[f"{name}_{upper_hz}"] = mfcc(pcm, upper_hz)
    np.savez_compressed(HERE / "mfcc.npz", **arrays)
    print(f"TensorFlow {tf.__version__}:", {name: array.shape for name, array in arrays.items()})


if __name__ == "__main__":
    main()
