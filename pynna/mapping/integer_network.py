# SPDX-License-Identifier: Apache-2.0
"""The mapped network in the C core's integers, in plain NumPy: the arithmetic of csrc/doc/network.md.

To the bit, but for the last bit of the log-softmax. Slow, short and independent of the C: the oracle of the tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from pynna.mapping.front_end import Array
from pynna.mapping.nna import read_nna
from pynna.mapping.nna_model import NnaModel
from pynna.mapping.reference import Packed, ReferenceNetwork, Step, Trace, log_softmax, sigmoid

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


class IntegerNetwork(ReferenceNetwork):
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
        self.fine = {layer.name: ExactProduct(layer.fine) for layer in model.layers if layer.fine is not None}
        self.multipliers = {
            layer.name: layer.multiplier.astype(np.int64) for layer in model.layers if layer.multiplier is not None
        }
        self.logit_scale = np.asarray(model.layers[-1].logit_scale, np.float64)
        self.saturated: dict[str, list[int]] = {}
        self.speech: Array = np.zeros((0, model.geometry.speech_rows), np.float32)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> IntegerNetwork:
        """Reads and checks a .nna file; raises `pynna.errors.ModelFileError` for a bad one."""
        return cls(read_nna(path))

    def _clamp(self, name: str, v: Array, low: int, high: int) -> Array:
        count = self.saturated.setdefault(name, [0, 0])
        count[0] += int(np.count_nonzero(v > high)) + (int(np.count_nonzero(v < low)) if low < 0 else 0)
        count[1] += v.size
        return np.clip(v, low, high)

    def _product(self, name: str, u: Array, residual: Array | None = None) -> Array:
        """acc, int64 [n, rows]; `residual` is the inputs', int16 in 256ths."""
        acc = self.products[name](u).astype(np.int64)
        if residual is not None:
            sums = 128 * self.layers[name].row_sum.astype(np.int64)
            acc += _round_shift(self.products[name](residual + 128).astype(np.int64) - sums, 8)
        if (fine := self.layers[name].fine) is not None:
            zero_point = 128 * fine.sum(axis=1, dtype=np.int64) if self.layers[name].input_signed else 0
            acc += _round_shift(self.fine[name](u).astype(np.int64) - zero_point, 8)
        return acc

    def _sum(self, name: str, u: Array, residual: Array | None = None) -> Array:
        """acc + bias, int64 [n, rows]."""
        return self._product(name, u, residual) + self.layers[name].bias

    def _relu(self, name: str, u: Array, residual: Array | None = None) -> tuple[Array, Array | None]:
        """uint8 [n, rows], and where it counts the residual, int16 [n, rows] from -128 to 127."""
        layer, sums = self.layers[name], self._sum(name, u, residual)
        if not layer.output_residual_bits:
            out = requantise(sums, self.multipliers[name], layer.shift)
            return self._clamp(name, out, 0, 255).astype(np.uint8), None
        v = self._clamp(name, requantise(sums, self.multipliers[name], layer.shift - 8), 0, 255 * 256)
        steps = _round_shift(v, 8)
        return steps.astype(np.uint8), (v - 256 * steps).astype(np.int16)

    def quantise_features(self, x: Array) -> tuple[Array, Array]:
        """float32 [n, frames, k] to int8 [n, frames * k]: rint (half to even) in float32, clamped; and its residual in
        steps of a 256th, zeros where the model counts none."""
        with np.errstate(over="ignore"):
            scaled = np.asarray(x, np.float32) * self.model.feature_gain
        scaled = self._clamp("features", scaled, -127, 127).reshape(len(x), -1)
        q = np.rint(scaled)
        residual = np.clip(np.rint((scaled - q) * np.float32(256)), -127, 127)
        return q.astype(np.int8), (residual * (self.model.geometry.feature_residual_bits > 0)).astype(np.int8)

    def _forward(self, x: Array, packed: Packed, c: Array, h: Array, trace: Trace | None) -> Step:
        q, residual = self.quantise_features(x)
        a1 = self._relu("layer_1", q.astype(np.int16) + 128, residual.astype(np.int16))
        a2 = self._relu("layer_2", *a1)
        a3 = self._relu("layer_3", *a2)
        hs, cs, gates, c, h = self._lstm(self._product("lstm_x", *a3), packed, c, h)
        a5 = self._relu("layer_5", hs.astype(np.int16) + 128)
        z = self._sum("layer_6", *a5) * self.logit_scale
        n_labels = self.model.geometry.n_labels
        self.speech = sigmoid(z[:, n_labels:]).astype(np.float32)
        z = z[:, :n_labels]
        p = log_softmax(z).astype(np.float32)
        if trace is not None:
            scale = {name: np.float32(layer.output_scale) for name, layer in self.layers.items()}
            gain = np.tile(self.model.feature_gain, 2 * self.n_context + 1)
            g = self.model.geometry
            trace.update(
                features=(q + residual / np.float32(256)) / gain,
                layer_1=_steps(*a1) * scale["layer_1"],
                layer_2=_steps(*a2) * scale["layer_2"],
                layer_3=_steps(*a3) * scale["layer_3"],
                gates=gates * np.float32(1 / 4096),
                cell=cs * np.float32(2.0**-g.cell_fraction_bits),
                hidden=hs * np.float32(g.h_scale),
                layer_5=_steps(*a5) * scale["layer_5"],
                logits=z.astype(np.float32),
                log_probs=p,
            )
        return p, c, h

    def _lstm(self, sums: Array, packed: Packed, c: Array, h: Array) -> tuple[Array, Array, Array, Array, Array]:
        n_cell = self.n_cell
        gates = np.zeros((len(sums), 4 * n_cell), np.int16)
        hs, cs = np.zeros((len(sums), n_cell), np.int8), np.zeros((len(sums), n_cell), np.int16)
        c, h = np.array(c, np.int16), np.array(h, np.int8)
        for n, rows in packed.steps():
            gates[rows] = self._gates(sums[rows], h[:n])
            c[:n], h[:n] = self._cell(gates[rows], c[:n])
            hs[rows], cs[rows] = h[:n], c[:n]
        return hs, cs, gates, c, h

    def _gates(self, sums: Array, h: Array) -> Array:
        """The two halves meet in one rounding: Q3.12 [n, 4 * cell], in the order i, g, f, o."""
        x = self.layers["lstm_x"]
        total = (sums + x.bias) * self.multipliers["lstm_x"]
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


def _steps(whole: Array, residual: Array | None) -> Array:
    return whole if residual is None else whole + residual / np.float32(256)


def _round_shift(v: Array, bits: int) -> Array:
    return np.asarray((v + (1 << (bits - 1))) >> bits if bits else v)
