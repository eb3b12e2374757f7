# SPDX-License-Identifier: Apache-2.0
"""The network in plain NumPy, in float as DeepSpeech computes it, and what the comparisons of networks need.

Slow, short and independent of the C: the oracle of the tests, the float side of the mapping's report.

* `FloatNetwork`: the network as it was trained; `integer_network` has the mapped one.
* `greedy`, `log_softmax`, `edit_distance`, `character_errors`: what the comparisons need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pynna.distance import edit_distance
from pynna.mapping.front_end import Array

Trace = dict[str, Array]
Step = tuple[Array, Array, Array]  # log-probabilities, c, h


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


class ReferenceNetwork(ABC):
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

    @abstractmethod
    def _forward(self, x: Array, packed: Packed, c: Array, h: Array, trace: Trace | None) -> Step:
        """A step of all channels."""


# ---- the float network ---------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by tanh, which does not overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


class FloatNetwork(ReferenceNetwork):
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
