# SPDX-License-Identifier: Apache-2.0
"""The network and its front end in plain NumPy: in float as DeepSpeech computes them, and in the C core's integers.

Slow, short and independent of the C: the oracle of the tests, the float side of the mapping's report.

* `mfcc`, `windows`: audio to features, after TensorFlow's audio_spectrogram and mfcc ops and the framing of the
  DeepSpeech 0.5.1 client.
* `FloatNetwork`: the network as it was trained.
* `IntegerNetwork`: the arithmetic of csrc/doc/network.md, to the bit (but for the last bit of the log-softmax).
* `greedy`, `log_softmax`, `edit_distance`, `character_errors`: what the comparisons need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pynna.audio.pcm import as_pcm
from pynna.distance import edit_distance

if TYPE_CHECKING:
    import os

    from pynna.mapping.nna import NnaModel

Array = NDArray[Any]
Trace = dict[str, Array]
Step = tuple[Array, Array, Array]  # log-probabilities, c, h

# Coefficients of csrc/activation.c, [power][segment], Q0.15; made by tests/golden/make_activation.py.
SIGMOID_COEFFICIENTS = np.array(
    (
        (16384, 23955, 28862, 31213, 32178, 32548, 32687, 32738),
        (8219, 6469, 3435, 1476, 581, 215, 79, 30),
        (-138, -1638, -1296, -632, -267, -88, -34, -15),
        (-510, 75, 213, 121, 56, 11, 6, 4),
    ),
    dtype=np.int32,
)
TANH_COEFFICIENTS = np.array(
    (
        (0, 15141, 24956, 29661, 31589, 32330, 32606, 32708),
        (16430, 12940, 6874, 2946, 1154, 431, 157, 59),
        (-246, -3273, -2602, -1278, -525, -192, -65, -26),
        (-1044, 146, 432, 261, 111, 36, 10, 5),
    ),
    dtype=np.int32,
)


# ---- front end -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MfccConfig:
    """The front end's parameters; the defaults are DeepSpeech 0.5.1's (from 0.6 on, `upper_hz` is 8000).

    Attributes
    ----------
    sample_rate : int
        Hz.
    window, step : int
        Samples in a frame, and from a frame to the next.
    n_coefficients, n_mel : int
        Coefficients out of a frame (c0 included), and mel bands.
    lower_hz, upper_hz : float
        Edges of the mel bands, Hz.
    """

    sample_rate: int = 16000
    window: int = 512
    step: int = 320
    n_coefficients: int = 26
    n_mel: int = 40
    lower_hz: float = 20.0
    upper_hz: float = 4000.0


def _mel(hz: Array | float) -> Array:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


DEEPSPEECH_051 = MfccConfig()


@lru_cache(maxsize=8)
def _mel_matrix(config: MfccConfig) -> Array:
    """Share of each FFT bin in each mel band, float64 [bins, n_mel] (TensorFlow's mfcc_mel_filterbank.cc)."""
    fft = 1 << (config.window - 1).bit_length()
    bins = fft // 2 + 1
    hz_per_bin = 0.5 * config.sample_rate / (bins - 1)
    low, high = float(_mel(config.lower_hz)), float(_mel(config.upper_hz))
    # Edge 0 is the lower limit; edge k + 1 the centre of band k; one more edge closes the last band.
    edges = low + (high - low) / (config.n_mel + 1) * np.arange(config.n_mel + 2)
    matrix = np.zeros((bins, config.n_mel))
    first, last = int(1.5 + config.lower_hz / hz_per_bin), int(config.upper_hz / hz_per_bin)
    for i in range(first, min(last, bins - 1) + 1):
        m = float(_mel(i * hz_per_bin))
        right = min(int(np.searchsorted(edges[1:], m, side="left")), config.n_mel)  # the bin is on this band's rise
        share = (edges[right + 1] - m) / (edges[right + 1] - edges[right])
        if right >= 1:
            matrix[i, right - 1] += share
        if right < config.n_mel:
            matrix[i, right] += 1.0 - share
    return matrix


@lru_cache(maxsize=8)
def _dct_matrix(config: MfccConfig) -> Array:
    """float64 [n_mel, n_coefficients] (TensorFlow's mfcc_dct.cc)."""
    j, i = np.arange(config.n_mel)[:, None] + 0.5, np.arange(config.n_coefficients)[None, :]
    return np.asarray(np.sqrt(2.0 / config.n_mel) * np.cos(i * (np.pi / config.n_mel) * j))


def _samples(pcm: Array) -> Array:
    """int16 or float PCM [n] as float32 in [-1, 1), as the graph gets it: floats are rounded to 16 bits first."""
    return np.asarray(as_pcm(pcm).astype(np.float32) / np.float32(32768.0))


def mfcc_frames(frames: Array, config: MfccConfig = DEEPSPEECH_051) -> Array:
    """MFCCs of ready frames: float32 [n, window] to float32 [n, n_coefficients].

    After TensorFlow r1.13: spectrogram.cc (periodic Hann, double FFT, power rounded to float32), then mfcc.cc (square
    root, mel bands, natural logarithm floored at 1e-12, DCT, all in double, rounded to float32 at the end).
    """
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(config.window) / config.window)
    fft = 1 << (config.window - 1).bit_length()
    spectrum = np.fft.rfft(frames.astype(np.float64) * hann, n=fft, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = np.sqrt(power.astype(np.float64)) @ _mel_matrix(config)
    return np.asarray((np.log(np.maximum(mel, 1e-12)) @ _dct_matrix(config)).astype(np.float32))


def mfcc(pcm: Array, config: MfccConfig = DEEPSPEECH_051) -> Array:
    """MFCCs of the full frames in a recording, as TensorFlow's audio_spectrogram and mfcc ops give them.

    Parameters
    ----------
    pcm : int16 or float [n_samples]
        One channel at `config.sample_rate`.

    Returns
    -------
    float32 [max(0, (n_samples - window) // step + 1), n_coefficients]

    Raises
    ------
    AudioError
        Not one channel of int16 or finite floats.
    """
    samples = _samples(pcm)
    if len(samples) < config.window:
        return np.zeros((0, config.n_coefficients), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, config.window)[:: config.step]
    return mfcc_frames(frames, config)


def windows(pcm: Array, config: MfccConfig = DEEPSPEECH_051, n_context: int = 9) -> Array:
    """Context windows of a whole recording, framed and flushed as by the DeepSpeech 0.5.1 client.

    The rest of the audio is always padded with zeros to one more frame, even if nothing is left; `n_context` vectors of
    zeros stand before the first frame and after the last.

    Returns
    -------
    float32 [max(0, (n_samples - window) // step + 1) + 1, 2 * n_context + 1, n_coefficients]
    """
    samples = _samples(pcm)
    n_full = max(0, (len(samples) - config.window) // config.step + 1)
    padded = np.zeros(n_full * config.step + config.window, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.window)[:: config.step]
    return context_windows(mfcc_frames(frames, config), n_context)


def context_windows(features: Array, n_context: int = 9) -> Array:
    """Each frame with its neighbours, zeros beyond the ends: [n, k] to float32 [n, 2 * n_context + 1, k]."""
    features = np.asarray(features, np.float32)
    padded = np.pad(features, ((n_context, n_context), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, 2 * n_context + 1, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1))


# ---- texts ---------------------------------------------------------------------------------------


def log_softmax(z: Array) -> Array:
    """Natural log of the softmax over the last axis, in the input's precision."""
    shifted = z - z.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def greedy(log_probs: Array, alphabet: Sequence[str]) -> str:
    """Best path: the likeliest label of each step, repeats merged, blanks (the last label) dropped."""
    best = np.asarray(log_probs).argmax(axis=-1)
    keep = np.ones(len(best), bool)
    keep[1:] = best[1:] != best[:-1]
    return "".join(alphabet[i] for i in best[keep] if i < len(alphabet))


def character_errors(hypotheses: Iterable[str], truths: Iterable[str]) -> float:
    """Character error rate: edits over characters of the truth, all texts together; 0 where there is no text."""
    edits = total = 0
    for hypothesis, truth in zip(hypotheses, truths, strict=True):
        edits += edit_distance(hypothesis, truth)
        total += len(truth)
    return edits / total if total else float(edits > 0)


# ---- batches of unequal length -------------------------------------------------------------------


@dataclass(frozen=True)
class Packed:
    """Sequences laid end to end, longest first, so that the recurrent steps run over a shrinking prefix of them."""

    order: Array  # which sequence stands at each place
    starts: Array  # its first row
    lengths: Array

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Packed:
        sizes = np.asarray(lengths, np.int64)
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
        return cls(order, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64), sizes)

    def steps(self) -> Iterable[tuple[int, Array]]:
        """For each time: how many sequences are still running, and their rows."""
        for t in range(int(self.lengths[0]) if len(self.lengths) else 0):
            n = int(np.searchsorted(-self.lengths, -t, side="left"))
            yield n, self.starts[:n] + t

    def split(self, rows: Array) -> list[Array]:
        """Rows back to the sequences in their first order."""
        out: list[Array] = [rows[:0]] * len(self.order)
        for place, sequence in enumerate(self.order):
            start = self.starts[place]
            out[sequence] = rows[start : start + self.lengths[place]]
        return out


class _Network:
    """What both networks share: `run` and `run_many` over `_forward`."""

    n_context: int
    n_coefficients: int
    n_cell: int
    _c_type: type
    _h_type: type

    def fresh(self, n: int = 1) -> tuple[Array, Array]:
        """States (c, h) of `n` new channels: zeros [n, cell]."""
        return np.zeros((n, self.n_cell), self._c_type), np.zeros((n, self.n_cell), self._h_type)

    def step(self, x: Array, c: Array | None = None, h: Array | None = None) -> tuple[Array, Array, Array]:
        """One inference for each of n channels.

        Parameters
        ----------
        x : float32 [n, 2 * n_context + 1, n_coefficients]
        c, h : [n, cell]
            States; None for fresh ones.

        Returns
        -------
        (p, c, h) : float32 [n, labels] log-probabilities, and the new states
        """
        x = self._checked(x)
        fresh_c, fresh_h = self.fresh(len(x))
        packed = Packed.of([1] * len(x))
        return self._forward(x, packed, fresh_c if c is None else c, fresh_h if h is None else h, None)

    def run(self, x: Array, trace: Trace | None = None) -> Array:
        """A whole utterance from a fresh state: x [t, 19, 26] to float32 log-probabilities [t, labels].

        `trace`, an empty dict, receives the activations of each layer, [t, width] in real units.
        """
        x = self._checked(x)
        c, h = self.fresh(1)
        return self._forward(x, Packed.of([len(x)]), c, h, trace)[0]

    def run_many(self, xs: Sequence[Array], trace: Trace | None = None) -> list[Array]:
        """Utterances of any lengths side by side, each from a fresh state; far faster than one after another.

        `trace` receives the activations of all, those of the longest utterance first.
        """
        if not xs:
            return []
        packed = Packed.of([len(x) for x in xs])
        rows = np.concatenate([self._checked(xs[i]) for i in packed.order])
        c, h = self.fresh(len(xs))
        return packed.split(self._forward(rows, packed, c, h, trace)[0])

    def _checked(self, x: Array) -> Array:
        x = np.asarray(x, np.float32)
        want = (2 * self.n_context + 1, self.n_coefficients)
        if x.ndim != 3 or x.shape[1:] != want:
            raise ValueError(f"features have shape {x.shape}; [n, {want[0]}, {want[1]}] is needed")
        if not np.isfinite(x).all():
            raise ValueError("features hold a NaN or an infinity")
        return x

    def _forward(self, x: Array, packed: Packed, c: Array, h: Array, trace: Trace | None) -> Step:
        raise NotImplementedError


# ---- the float network ---------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by tanh, which does not overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


class FloatNetwork(_Network):
    """DeepSpeech's network in float: three clipped-ReLU layers, an LSTM, one more, and the labels.

    Parameters
    ----------
    weights : mapping of str to array
        Under DeepSpeech's variable names: layer_{1,2,3,5,6}/weights [in, out] and bias [out], lstm_fused_cell/kernel
        [in + cell, 4 * cell] (columns i, g, f, o) and lstm_fused_cell/bias [4 * cell].
    forget_bias : float
        Added to the forget gate at run time (BlockLSTM's attribute: 1 in DeepSpeech 0.5.1, 0 from 0.7 on).
    relu_clip : float
        Upper limit of the clipped ReLUs.
    n_coefficients : int
        Features of a frame; with layer_1's inputs it tells the context.
    feature_range : float [n_coefficients], optional
        Magnitude at which each feature is clipped.
    dtype : numpy float type
        Of all the arithmetic.
    """

    def __init__(
        self,
        weights: Mapping[str, Array],
        *,
        forget_bias: float = 1.0,
        relu_clip: float = 20.0,
        n_coefficients: int = 26,
        feature_range: Array | None = None,
        dtype: type = np.float32,
    ) -> None:
        def get(name: str) -> Array:
            return np.ascontiguousarray(weights[name], dtype)

        self.dense = {k: (get(f"layer_{k}/weights"), get(f"layer_{k}/bias")) for k in (1, 2, 3, 5, 6)}
        kernel = get("lstm_fused_cell/kernel")
        bias = get("lstm_fused_cell/bias").copy()
        self.n_cell = len(bias) // 4
        bias[2 * self.n_cell : 3 * self.n_cell] += dtype(forget_bias)
        n_in = len(kernel) - self.n_cell
        # The recurrent half lies transposed, [4 * cell, cell]: BLAS is faster so for few channels.
        self.kernel_x, self.kernel_h, self.lstm_bias = kernel[:n_in], np.ascontiguousarray(kernel[n_in:].T), bias
        self.relu_clip = dtype(relu_clip)
        self.n_coefficients = n_coefficients
        self.n_context = (len(self.dense[1][0]) // n_coefficients - 1) // 2
        self.n_labels = len(self.dense[6][1])
        self._limits: Array | None = None
        if feature_range is not None:
            self._limits = np.tile(feature_range, 2 * self.n_context + 1).astype(dtype)
        self._type = dtype
        self._c_type = self._h_type = dtype

    def _relu(self, layer: int, a: Array) -> Array:
        weights, bias = self.dense[layer]
        z = a @ weights
        z += bias
        return np.clip(z, 0, self.relu_clip, out=z)

    def _forward(self, x: Array, packed: Packed, c: Array, h: Array, trace: Trace | None) -> Step:
        x = x.reshape(len(x), -1).astype(self._type)
        if self._limits is not None:
            x = np.clip(x, -self._limits, self._limits)
        a1 = self._relu(1, x)
        a2 = self._relu(2, a1)
        a3 = self._relu(3, a2)
        hs, cs, gates, c, h = self._lstm(a3, packed, c, h)
        a5 = self._relu(5, hs)
        weights, bias = self.dense[6]
        z = a5 @ weights + bias
        p = log_softmax(z).astype(np.float32)
        if trace is not None:
            trace.update(
                features=x,
                layer_1=a1,
                layer_2=a2,
                layer_3=a3,
                gates=gates,
                cell=cs,
                hidden=hs,
                layer_5=a5,
                logits=z,
                log_probs=p,
            )
        return p, c, h

    def _lstm(self, a3: Array, packed: Packed, c: Array, h: Array) -> tuple[Array, Array, Array, Array, Array]:
        """BlockLSTM without peepholes or clipping: c' = tanh(g) i + c f, h' = tanh(c') o."""
        n_cell = self.n_cell
        gates = a3 @ self.kernel_x + self.lstm_bias
        hs: Array = np.zeros((len(a3), n_cell), self._type)
        cs: Array = np.zeros((len(a3), n_cell), self._type)
        c, h = np.array(c, self._type), np.array(h, self._type)
        for n, rows in packed.steps():
            gates[rows] += (self.kernel_h @ h[:n].T).T
            i, g, f, o = (gates[rows, k * n_cell : (k + 1) * n_cell] for k in range(4))
            c[:n] = np.tanh(g) * sigmoid(i) + c[:n] * sigmoid(f)
            h[:n] = np.tanh(c[:n]) * sigmoid(o)
            hs[rows], cs[rows] = h[:n], c[:n]
        return hs, cs, gates, c, h


# ---- the integer network -------------------------------------------------------------------------


def requantise(v: Array, multiplier: Array | int, shift: int) -> Array:
    """(v * m + 2^(s-1)) >> s in 64 bits: a real factor with one rounding, half up."""
    return np.asarray((np.asarray(v, np.int64) * multiplier + (1 << (shift - 1))) >> shift)


def mulhrs(a: Array, b: Array) -> Array:
    """Rounded product of two Q0.15 numbers."""
    return np.asarray((a * b + (1 << 14)) >> 15)


def _cubic(coefficients: Array, k: Array, t: Array) -> Array:
    c0, c1, c2, c3 = (coefficients[n][k] for n in range(4))
    return np.asarray(c0 + mulhrs(t, c1 + mulhrs(t, c2 + mulhrs(t, c3))))


def integer_sigmoid(q12: Array) -> Array:
    """Sigmoid of csrc/activation.c: int16 Q3.12 to int32 Q0.15 (0 to 32767)."""
    x = np.asarray(q12, np.int32)
    v = np.minimum(np.abs(x), 32767)
    y = _cubic(SIGMOID_COEFFICIENTS, v >> 12, (v & 4095) << 3)
    return np.where(x < 0, 32768 - y, y)


def integer_tanh(q12: Array) -> Array:
    """Tanh of csrc/activation.c: int16 Q3.12 to int32 Q0.15."""
    x = np.asarray(q12, np.int32)
    v = np.minimum(np.abs(x), 16383)
    y = _cubic(TANH_COEFFICIENTS, v >> 11, (v & 2047) << 4)
    return np.where(x < 0, -y, y)


def _table(function: Callable[[Array], Array]) -> Array:
    """All 65536 values; index with the input + 32768."""
    return function(np.arange(-32768, 32768)).astype(np.int16)


_SIGMOID = _table(integer_sigmoid)
_TANH = _table(integer_tanh)


class ExactProduct:
    """u [n, columns] in 0..255 times int8 weights, exactly, by float32 BLAS.

    float32 holds integers up to 2^24; the columns are cut where a row's sum of |weights| * 255 could pass that, so that
    every partial sum, in any order, is exact.
    """

    def __init__(self, weights: Array) -> None:
        self.cuts = [0]
        magnitude = np.abs(weights.astype(np.int16)).astype(np.int32)
        total = np.zeros(len(weights), np.int64)
        for k in range(0, weights.shape[1], 64):
            part = magnitude[:, k : k + 64].sum(axis=1)
            if k and int((total + part).max()) * 255 >= 1 << 24:
                self.cuts.append(k)
                total[:] = 0
            total += part
        self.cuts.append(weights.shape[1])
        self.parts = [
            np.ascontiguousarray(weights[:, a:b], np.float32)
            for a, b in zip(self.cuts[:-1], self.cuts[1:], strict=True)
        ]

    def __call__(self, u: Array) -> Array:
        """int32 [n, rows]."""
        u = u.astype(np.float32)
        out: Array | None = None
        for start, weights in zip(self.cuts, self.parts, strict=False):
            part = (weights @ u[:, start : start + weights.shape[1]].T).T.astype(np.int32, order="C")
            out = part if out is None else np.add(out, part, out=out)
        assert out is not None
        return out


class IntegerNetwork(_Network):
    """The mapped network, computed as csrc/doc/network.md defines it.

    Parameters
    ----------
    model : NnaModel
        As `pynna.mapping.nna.read_nna` gives it; `IntegerNetwork.open(path)` reads it too.

    Attributes
    ----------
    saturated : dict of str to [int, int]
        Since the beginning: values clamped above (and below, where negative ones exist) and values computed, by layer.
    speech : float32 [n, speech_rows]
        Probability of speech in the last step's rows.
    """

    def __init__(self, model: NnaModel) -> None:
        self.model = model
        g = model.geometry
        self.n_context, self.n_coefficients, self.n_cell = g.n_context, g.n_coefficients, g.n_cell
        self._c_type, self._h_type = np.int16, np.int8
        self.layers = {layer.name: layer for layer in model.layers}
        self.products = {layer.name: ExactProduct(layer.weights) for layer in model.layers}
        self.multipliers = {
            layer.name: layer.multiplier.astype(np.int64) for layer in model.layers if layer.multiplier is not None
        }
        self.logit_scale = np.asarray(model.layers[-1].logit_scale, np.float64)
        self.saturated: dict[str, list[int]] = {}
        self.speech: Array = np.zeros((0, model.geometry.speech_rows), np.float32)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> IntegerNetwork:
        """Reads and checks a .nna file; raises `pynna.errors.ModelFileError` for a bad one."""
        from pynna.mapping.nna import read_nna

        return cls(read_nna(path))

    def _clamp(self, name: str, v: Array, low: int, high: int) -> Array:
        count = self.saturated.setdefault(name, [0, 0])
        count[0] += int(np.count_nonzero(v > high)) + (int(np.count_nonzero(v < low)) if low < 0 else 0)
        count[1] += v.size
        return np.clip(v, low, high)

    def _sum(self, name: str, u: Array) -> Array:
        """acc + bias, int64 [n, rows]."""
        return self.products[name](u).astype(np.int64) + self.layers[name].bias

    def _relu(self, name: str, u: Array) -> Array:
        return self._activation(name, self._sum(name, u))

    def _activation(self, name: str, sums: Array) -> Array:
        out = requantise(sums, self.multipliers[name], self.layers[name].shift)
        return self._clamp(name, out, 0, 255).astype(np.uint8)

    def quantise_features(self, x: Array) -> tuple[Array, Array]:
        """float32 [n, frames, k] to int8 [n, frames * k]: rint (half to even) in float32, clamped; and what that leaves
        over in steps of a 256th, zeros where the model counts none."""
        with np.errstate(over="ignore"):
            scaled = np.asarray(x, np.float32) * self.model.feature_gain
        scaled = self._clamp("features", scaled, -127, 127).reshape(len(x), -1)
        q = np.rint(scaled)
        low = np.clip(np.rint((scaled - q) * np.float32(256)), -127, 127)
        return q.astype(np.int8), (low * (self.model.geometry.feature_low_bits > 0)).astype(np.int8)

    def _layer_1(self, q: Array, low: Array) -> Array:
        layer, product = self.layers["layer_1"], self.products["layer_1"]
        left = product(low.astype(np.int16) + 128).astype(np.int64) - 128 * layer.row_sum.astype(np.int64)
        sums = self._sum("layer_1", q.astype(np.int16) + 128) + _round_shift(left, 8)
        return self._activation("layer_1", sums)

    def _forward(self, x: Array, packed: Packed, c: Array, h: Array, trace: Trace | None) -> Step:
        q, low = self.quantise_features(x)
        a1 = self._layer_1(q, low)
        a2 = self._relu("layer_2", a1)
        a3 = self._relu("layer_3", a2)
        hs, cs, gates, c, h = self._lstm(a3, packed, c, h)
        a5 = self._relu("layer_5", hs.astype(np.int16) + 128)
        z = self._sum("layer_6", a5) * self.logit_scale
        n_labels = self.model.geometry.n_labels
        self.speech = sigmoid(z[:, n_labels:]).astype(np.float32)
        z = z[:, :n_labels]
        p = log_softmax(z).astype(np.float32)
        if trace is not None:
            scale = {name: np.float32(layer.output_scale) for name, layer in self.layers.items()}
            gain = np.tile(self.model.feature_gain, 2 * self.n_context + 1)
            g = self.model.geometry
            trace.update(
                features=(q + low / np.float32(256)) / gain,
                layer_1=a1 * scale["layer_1"],
                layer_2=a2 * scale["layer_2"],
                layer_3=a3 * scale["layer_3"],
                gates=gates * np.float32(1 / 4096),
                cell=cs * np.float32(2.0**-g.cell_fraction_bits),
                hidden=hs * np.float32(g.h_scale),
                layer_5=a5 * scale["layer_5"],
                logits=z.astype(np.float32),
                log_probs=p,
            )
        return p, c, h

    def _lstm(self, a3: Array, packed: Packed, c: Array, h: Array) -> tuple[Array, Array, Array, Array, Array]:
        n_cell = self.n_cell
        sums = self.products["lstm_x"](a3)
        gates = np.zeros((len(a3), 4 * n_cell), np.int16)
        hs, cs = np.zeros((len(a3), n_cell), np.int8), np.zeros((len(a3), n_cell), np.int16)
        c, h = np.array(c, np.int16), np.array(h, np.int8)
        for n, rows in packed.steps():
            gates[rows] = self._gates(sums[rows], h[:n])
            c[:n], h[:n] = self._cell(gates[rows], c[:n])
            hs[rows], cs[rows] = h[:n], c[:n]
        return hs, cs, gates, c, h

    def _gates(self, sums: Array, h: Array) -> Array:
        """The two halves meet in one rounding: Q3.12 [n, 4 * cell], in the order i, g, f, o."""
        x = self.layers["lstm_x"]
        total = (sums.astype(np.int64) + x.bias) * self.multipliers["lstm_x"]
        total += self._sum("lstm_h", h.astype(np.int16) + 128) * self.multipliers["lstm_h"]
        return self._clamp("gates", (total + (1 << (x.shift - 1))) >> x.shift, -32768, 32767).astype(np.int16)

    def _cell(self, gates: Array, c: Array) -> tuple[Array, Array]:
        n_cell, geometry = self.n_cell, self.model.geometry
        i, g, f, o = (gates[:, k * n_cell : (k + 1) * n_cell].astype(np.int32) + 32768 for k in range(4))
        bits = geometry.cell_fraction_bits
        new = _round_shift(_SIGMOID[i].astype(np.int32) * _TANH[g], 15 - bits)
        v = (_SIGMOID[f].astype(np.int64) * c + new + (1 << 14)) >> 15
        c = self._clamp("cell", v, -32768, 32767).astype(np.int16)
        q12 = c.astype(np.int64) << (12 - bits) if bits <= 12 else _round_shift(c.astype(np.int64), bits - 12)
        t = _TANH[np.clip(q12, -32768, 32767) + 32768].astype(np.int32)
        y = (_SIGMOID[o].astype(np.int32) * t + (1 << 14)) >> 15
        h = (y * geometry.h_multiplier + (1 << (geometry.h_shift - 1))) >> geometry.h_shift
        return c, self._clamp("hidden", h, -127, 127).astype(np.int8)


def _round_shift(v: Array, bits: int) -> Array:
    return np.asarray((v + (1 << (bits - 1))) >> bits if bits else v)
