# SPDX-License-Identifier: Apache-2.0
"""What a mapping cost: the integer network beside the float one, layer by layer and in the texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.mapping.calibration import Clip, Progress, batches
from pynna.mapping.front_end import windows
from pynna.mapping.integer_network import IntegerNetwork
from pynna.mapping.nna_model import NnaModel
from pynna.mapping.reference import ReferenceNetwork, Trace, character_errors, greedy
from pynna.mapping.weights import Weights

Array = NDArray[Any]

LAYERS = ("features", "layer_1", "layer_2", "layer_3", "gates", "cell", "hidden", "layer_5", "logits", "log_probs")
MATRICES = {
    "gates": ("lstm_x", "lstm_h"),
    "logits": ("layer_6",),
    **{name: (name,) for name in ("layer_1", "layer_2", "layer_3", "layer_5")},
}
SQNR_RANGE = (-20.0, 100.0)  # dB, of one frame


@dataclass(frozen=True)
class LayerReport:
    """One layer of the integer network beside the float one, each fed by its own layer before.

    Attributes
    ----------
    name : str
    sqnr_db : float
        Signal-to-quantisation-noise ratio: 10 log10 of the float values' energy over the differences', within each
        frame, then the mean of all frames (so that a second of digital silence counts as a second and no more). The
        gates are compared within +-8, where they are clamped; cells may be clamped too where h does not change by it.
    saturated : int
        Values that were clamped from above (or below, where negative ones exist).
    values : int
        Values computed; 0 where nothing is clamped.
    weight_bits : tuple of int
        Of its matrices: one, two for the gates (of lstm_x and lstm_h), none for what has none.
    """

    name: str
    sqnr_db: float
    saturated: int
    values: int
    weight_bits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """The result of a mapping.

    Attributes
    ----------
    layers : list of LayerReport
    label_agreement : float
        Share of frames whose likeliest label is the same.
    text_agreement : float
        Share of clips whose greedy texts are the same.
    cer_between : float
        Character error rate of the integer network's greedy texts against the float one's.
    cer_float, cer_int8 : float or None
        Of each against the true texts, over the clips that have one.
    n_clips, n_frames : int
        What it was measured on; 0 where it was not.
    seconds : dict of str to float
        What each stage took.
    file_bytes : int
    warnings : list of str
    eight_bits : Report or None
        The same network with all weights of 8 bits on the same clips, where some have 4.
    bit_costs : dict of str to float
        Where a size decided which layers get 4 bits: the share of frames with another label that 4 bits in each layer
        alone cost.
    """

    layers: list[LayerReport] = field(default_factory=list)
    label_agreement: float = 0.0
    text_agreement: float = 0.0
    cer_between: float = 0.0
    cer_float: float | None = None
    cer_int8: float | None = None
    n_clips: int = 0
    n_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    file_bytes: int = 0
    warnings: list[str] = field(default_factory=list)
    eight_bits: Report | None = None
    bit_costs: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """The few numbers that a model carries in its metadata."""
        numbers: dict[str, Any] = {
            "clips": self.n_clips,
            "frames": self.n_frames,
            "label_agreement": round(self.label_agreement, 5),
            "text_agreement": round(self.text_agreement, 4),
            "cer_between": round(self.cer_between, 5),
            "sqnr_db": {layer.name: round(layer.sqnr_db, 1) for layer in self.layers},
        }
        if self.cer_float is not None and self.cer_int8 is not None:
            numbers.update(cer_float=round(self.cer_float, 5), cer_int8=round(self.cer_int8, 5))
        if self.eight_bits:
            numbers["eight_bits"] = self.eight_bits.summary()
        if self.bit_costs:
            numbers["bit_costs"] = {name: round(cost, 5) for name, cost in self.bit_costs.items()}
        return numbers

    def __str__(self) -> str:
        if not self.n_frames:
            return "not measured"
        eight = self.eight_bits
        lines = [f"layer       SQNR dB{'  with 8 bits   weights' if eight else ''}   saturated"]
        for i, layer in enumerate(self.layers):
            share = f"{layer.saturated} of {layer.values}" if layer.values else ""
            bits = f"{eight.layers[i].sqnr_db:13.1f}{' and '.join(map(str, layer.weight_bits)):>10}" if eight else ""
            lines.append(f"{layer.name:<10}{layer.sqnr_db:9.1f}{bits}   {share}".rstrip())
        lines.append(f"{self.n_clips} clips, {self.n_frames} frames")
        lines += self._texts()
        if eight:
            lines += [f"with 8 bits: {line}" for line in eight._texts()]
        if self.bit_costs:
            lines.append("frames with another label that 4 bits in one layer alone cost:")
            lines.append(", ".join(f"{name} {cost:.2%}" for name, cost in self.bit_costs.items()))
        return "\n".join(lines + self.warnings)

    def _texts(self) -> list[str]:
        lines = [
            f"same label in {self.label_agreement:.2%} of the frames, same greedy text in "
            f"{self.text_agreement:.1%} of the clips",
            f"character error rate, integers against float: {self.cer_between:.2%}",
        ]
        if self.cer_float is not None and self.cer_int8 is not None:
            points = (self.cer_int8 - self.cer_float) * 100
            lines.append(
                f"character error rate against the truth: float {self.cer_float:.2%}, "
                f"integers {self.cer_int8:.2%}, difference {points:+.2f} points"
            )
        return lines


class _Noise:
    """Ratios of signal to error, frame by frame, added up."""

    def __init__(self) -> None:
        self.total = dict.fromkeys(LAYERS, 0.0)
        self.frames = dict.fromkeys(LAYERS, 0)

    def add(self, real: Trace, integer: Trace) -> None:
        # Beyond +-8 a gate is open or shut, and so it is clamped there.
        real = {**real, "gates": np.clip(real["gates"], -8, 8)}
        for name in LAYERS:
            a, b = (np.asarray(trace[name], np.float32) for trace in (real, integer))
            signal, error = (np.einsum("ij,ij->i", v, v, dtype=np.float64) for v in (a, b - a))
            heard = (signal > 0) | (error > 0)
            ratio = np.log10(np.maximum(signal[heard], 1e-30) / np.maximum(error[heard], 1e-30))
            self.total[name] += float(np.clip(10 * ratio, *SQNR_RANGE).sum())
            self.frames[name] += int(heard.sum())

    def sqnr_db(self, name: str) -> float:
        return self.total[name] / self.frames[name] if self.frames[name] else SQNR_RANGE[1]


def measure(weights: Weights, model: NnaModel, clips: Sequence[Clip], *, progress: Progress | None = None) -> Report:
    """Runs both networks over the clips and compares them.

    The CER against the truth counts lower-case texts as they are given.
    """
    real, integer = weights.network(), IntegerNetwork(model)
    features = [windows(clip.pcm, weights.features, weights.n_context) for clip in clips]
    noise, texts = _Noise(), [("", "")] * len(clips)
    same = n_frames = 0
    groups = batches([len(x) for x in features])
    for done, group in enumerate(groups, 1):
        xs = [features[i] for i in group]
        traces: tuple[Trace, Trace] = ({}, {})
        outputs = real.run_many(xs, traces[0]), integer.run_many(xs, traces[1])
        noise.add(*traces)
        for i, p, q in zip(group, *outputs, strict=True):
            same += int((p.argmax(axis=1) == q.argmax(axis=1)).sum())
            n_frames += len(p)
            texts[i] = greedy(p, weights.alphabet), greedy(q, weights.alphabet)
        if progress:
            progress("report", done / len(groups))
    bits = {layer.name: layer.weight_bits for layer in model.layers}
    layers = []
    for name in LAYERS:
        clamped, values = integer.saturated.get(name, (0, 0))
        matrices = tuple(bits[matrix] for matrix in MATRICES.get(name, ()))
        layers.append(LayerReport(name, noise.sqnr_db(name), clamped, values, matrices))
    true = [(text, clip.text) for text, clip in zip(texts, clips, strict=True) if clip.text is not None]
    truths = [text for _, text in true]
    cer = [character_errors([pair[k] for pair, _ in true], truths) if true else None for k in (0, 1)]
    between = character_errors([b for _, b in texts], [a for a, _ in texts])
    return Report(
        layers,
        same / max(n_frames, 1),
        sum(a == b for a, b in texts) / max(len(texts), 1),
        between,
        cer[0],
        cer[1],
        len(clips),
        n_frames,
        warnings=_warnings(layers),
    )


def label_differences(
    weights: Weights, models: Iterable[NnaModel], clips: Sequence[Clip], *, progress: Progress
) -> list[float]:
    """Of each model, the share of frames whose likeliest label is another than the float network's.

    `progress` is called with "choose" and the share that is done, of as many models as there are layers, and one.
    """
    features = [windows(clip.pcm, weights.features, weights.n_context) for clip in clips]
    groups = [[features[i] for i in group] for group in batches([len(x) for x in features])]

    def labels(network: ReferenceNetwork) -> Array:
        return np.concatenate([p.argmax(axis=1) for group in groups for p in network.run_many(group)])

    real, shares = labels(weights.network()), []
    for done, model in enumerate(models, 1):
        shares.append(float((labels(IntegerNetwork(model)) != real).mean()))
        progress("choose", min(1.0, done / (len(model.layers) + 1)))
    return shares


def _warnings(layers: Sequence[LayerReport]) -> list[str]:
    """What a reader of the report should not overlook."""
    out = []
    for layer in layers:
        if layer.name not in ("cell", "log_probs") and layer.sqnr_db < 10:
            out.append(f"warning: {layer.name} has a signal-to-noise ratio of {layer.sqnr_db:.1f} dB only")
        if layer.name not in ("cell", "gates") and layer.saturated > 0.01 * layer.values:
            out.append(f"warning: {layer.saturated / layer.values:.1%} of the values of {layer.name} are saturated")
    return out
