# SPDX-License-Identifier: Apache-2.0
"""A trained network in float, as every importer gives it and as the mapping takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError
from pynna.mapping.front_end import DEEPSPEECH_051, MfccConfig
from pynna.mapping.reference import FloatNetwork

Array = NDArray[Any]

ENGLISH = (" ", *"abcdefghijklmnopqrstuvwxyz", "'")  # DeepSpeech's English alphabet
KERNEL, LSTM_BIAS = "lstm_fused_cell/kernel", "lstm_fused_cell/bias"
DENSE = ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")
NAMES = (*(f"{layer}/{part}" for layer in DENSE for part in ("weights", "bias")), KERNEL, LSTM_BIAS)
SPEECH = ("speech/weights", "speech/bias")  # what a network may have besides
MAX_WEIGHT = 1e6


@dataclass(frozen=True)
class QuantisedMatrix:
    """A matrix that came quantised: its real value is ``values * scale[:, None]``, transposed.

    Attributes
    ----------
    values : int8 [out, in]
        Within +-127.
    scale : float64 [out]
        Positive.
    """

    values: Array
    scale: Array


@dataclass(frozen=True)
class Weights:
    """A float network with everything that a mapping needs to know of it; checked when made.

    Attributes
    ----------
    arrays : dict of str to float32 array
        Under DeepSpeech's variable names: layer_{1,2,3,5,6}/weights [in, out] and bias [out], lstm_fused_cell/kernel
        [in + cell, 4 * cell] (rows: x, then h; columns: the gates i, g, f, o) and lstm_fused_cell/bias [4 * cell].
        Optional: speech/weights [in, 1] and speech/bias [1], which read from layer 5 whether someone speaks (a logit).
    alphabet : tuple of str
        The labels but the blank, which is the last output.
    features : MfccConfig
        The front end's parameters; lengths in samples.
    forget_bias : float
        Added to the forget gate at run time: 1 in DeepSpeech 0.5.1, 0 from 0.7 on.
    relu_clip : float
        Upper limit of the clipped ReLUs.
    label_priors : float32 [labels] or None
        Mean posterior of each label in training, the blank's last.
    feature_range : float32 [n_coefficients] or None
        Magnitude at which each coefficient was clipped in training, and is in the float network and the mapped one.
        None: it was not; the mapping measures where to.
    name, licence, source : str
        For the model's metadata.
    quantised : mapping of str to QuantisedMatrix
        Matrices that were int8 in their file: the mapping takes them over as they are.
    found : str
        What the importer found, for people.
    assumed : str
        What of the front end the file does not tell, for people; "" where it tells all.

    Raises
    ------
    MappingError
        Arrays missing, of wrong shapes, not finite or absurdly large; an alphabet or priors of another size; numbers
        out of their range. The message names the array and what would fit.
    """

    arrays: Mapping[str, Array]
    alphabet: tuple[str, ...] = ENGLISH
    features: MfccConfig = DEEPSPEECH_051
    forget_bias: float = 1.0
    relu_clip: float = 20.0
    label_priors: Array | None = None
    feature_range: Array | None = None
    name: str = ""
    licence: str = ""
    source: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    quantised: Mapping[str, QuantisedMatrix] = field(default_factory=dict)
    found: str = ""
    assumed: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "arrays",
            {name: _checked(self.arrays, name) for name in (*NAMES, *(SPEECH if SPEECH[0] in self.arrays else ()))},
        )
        object.__setattr__(self, "alphabet", tuple(self.alphabet))
        _check_shapes({name: array.shape for name, array in self.arrays.items()}, self.features.n_coefficients)
        _check_features(self.features)
        _check_alphabet(self.alphabet, self.n_labels)
        if not (np.isfinite(self.forget_bias) and abs(self.forget_bias) <= 100):
            raise MappingError(f"forget_bias is {self.forget_bias}; a number like 1 or 0 is needed")
        if not 0 < self.relu_clip <= 1e6:
            raise MappingError(f"relu_clip is {self.relu_clip}; a positive number like 20 is needed")
        if self.label_priors is not None:
            object.__setattr__(self, "label_priors", _checked_priors(self.label_priors, self.n_labels))
        if self.feature_range is not None:
            n = self.features.n_coefficients
            object.__setattr__(self, "feature_range", _checked_range(self.feature_range, n))

    @property
    def n_labels(self) -> int:
        """Outputs, the blank among them."""
        return len(self.arrays["layer_6/bias"])

    @property
    def tells_speech(self) -> bool:
        """Whether the network tells where speech is."""
        return SPEECH[0] in self.arrays

    def outputs(self) -> tuple[Array, Array]:
        """Weights [in, outputs] and bias [outputs] of the last layer: the labels', then the speech's where there is
        one."""
        parts = ("layer_6", "speech") if self.tells_speech else ("layer_6",)
        return (
            np.concatenate([self.arrays[f"{part}/weights"] for part in parts], axis=1),
            np.concatenate([self.arrays[f"{part}/bias"] for part in parts]),
        )

    @property
    def n_cell(self) -> int:
        """Width of the LSTM."""
        return len(self.arrays[LSTM_BIAS]) // 4

    @property
    def n_context(self) -> int:
        """Frames of context on each side."""
        return (len(self.arrays["layer_1/weights"]) // self.features.n_coefficients - 1) // 2

    @property
    def n_parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(array.size for array in self.arrays.values())

    @property
    def is_foreign(self) -> bool:
        """Whether it was trained without knowing of its mapping: its features were never clipped to a range."""
        return self.feature_range is None

    def describe(self) -> str:
        """One line of what it is: kind of file, size, labels, audio, mel band, forget bias."""
        f, labels = self.features, "".join(self.alphabet[:40])
        text = "bytes" if len(self.alphabet) == 255 and self.alphabet[0] == "\x01" else repr(labels)
        return (
            f"{self.found or 'network'}: {self.n_cell} cells, {self.n_parameters:,} parameters, "
            f"{len(self.alphabet)} labels ({text}) and the blank, {f.sample_rate} Hz, window {f.window} and step "
            f"{f.step} samples, {f.n_coefficients} coefficients of {f.n_mel} mel bands {f.lower_hz:g} to "
            f"{f.upper_hz:g} Hz, forget bias {self.forget_bias:g}, ReLUs clipped at {self.relu_clip:g}"
            + (f" ({self.assumed})" if self.assumed else "")
        )

    def network(self, dtype: type = np.float32) -> FloatNetwork:
        """The float reference of this network."""
        return FloatNetwork(
            self.arrays,
            forget_bias=self.forget_bias,
            relu_clip=self.relu_clip,
            n_coefficients=self.features.n_coefficients,
            feature_range=self.feature_range,
            dtype=dtype,
        )


def _checked(arrays: Mapping[str, Array], name: str) -> Array:
    """One array as finite float32."""
    if name not in arrays:
        raise MappingError(f"there is no {name}; a DeepSpeech network has {', '.join(NAMES)}")
    array = np.asarray(arrays[name])
    if array.dtype.kind not in "fiu":
        raise MappingError(f"{name} is {array.dtype}; floats are needed")
    if array.ndim != (2 if name.endswith(("weights", "kernel")) else 1) or 0 in array.shape:
        kind = "[inputs, outputs]" if name.endswith(("weights", "kernel")) else "[outputs]"
        raise MappingError(f"{name} has shape {list(array.shape)}; {kind} is needed")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    largest = np.abs(array).max()
    if not largest <= MAX_WEIGHT:  # NaN too
        raise MappingError(f"{name} holds a number that is not finite or beyond +-{MAX_WEIGHT:g}")
    return array


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], n_coefficients: int) -> None:
    """Each layer takes what the one before gives, and each bias fits its layer."""
    if not 1 <= n_coefficients <= 128:
        raise MappingError(f"{n_coefficients} coefficients a frame; 1 to 128 can be had, 26 is DeepSpeech's")
    inputs = shapes["layer_1/weights"][0]
    if inputs % n_coefficients or (inputs // n_coefficients) % 2 == 0 or inputs // n_coefficients > 129:
        raise MappingError(
            f"layer_1/weights has {inputs} inputs, which are no odd number of frames (129 at most) of "
            f"{n_coefficients} features; DeepSpeech's are 19 * 26 = 494"
        )
    outputs = {layer: shapes[f"{layer}/weights"][1] for layer in DENSE}
    gates = shapes[KERNEL][1]
    if gates % 4 or shapes[KERNEL][0] <= gates // 4:
        raise MappingError(f"{KERNEL} has shape {list(shapes[KERNEL])}; [inputs + cells, 4 * cells] is needed")
    cell = gates // 4
    want = {
        "layer_2/weights": outputs["layer_1"],
        "layer_3/weights": outputs["layer_2"],
        "layer_5/weights": cell,
        "layer_6/weights": outputs["layer_5"],
        KERNEL: outputs["layer_3"] + cell,
    }
    for name, size in want.items():
        if shapes[name][0] != size:
            raise MappingError(f"{name} has {shapes[name][0]} inputs; what goes before it gives {size}")
    if SPEECH[0] in shapes and (shapes[SPEECH[0]], shapes[SPEECH[1]]) != ((outputs["layer_5"], 1), (1,)):
        raise MappingError(
            f"{SPEECH[0]} and {SPEECH[1]} have shapes {list(shapes[SPEECH[0]])} and "
            f"{list(shapes[SPEECH[1]])}; [{outputs['layer_5']}, 1] and [1] are needed"
        )
    for name, size in [*((f"{layer}/bias", outputs[layer]) for layer in DENSE), (LSTM_BIAS, gates)]:
        if shapes[name] != (size,):
            raise MappingError(f"{name} has shape {list(shapes[name])}; [{size}] is needed")
    if max(cell, *outputs.values()) > 8192:
        raise MappingError(f"the network is {max(cell, *outputs.values())} wide; 8192 is the most")


def _check_features(f: MfccConfig) -> None:
    def need(condition: bool, message: str) -> None:
        if not condition:
            raise MappingError(message)

    need(1000 <= f.sample_rate <= 384000, f"sample rate {f.sample_rate}: 1000 to 384000 Hz is needed")
    need(
        64 <= f.window <= 4096 and f.window & (f.window - 1) == 0,
        f"window of {f.window} samples: a power of two from 64 to 4096 is needed (512 in DeepSpeech)",
    )
    need(
        1 <= f.step <= f.window, f"step of {f.step} samples: 1 to {f.window}, the window, is needed (320 in DeepSpeech)"
    )
    need(
        1 <= f.n_coefficients <= f.n_mel <= 128,
        f"{f.n_coefficients} coefficients of {f.n_mel} mel bands: at most as many as bands, and 128 bands, can be had",
    )
    need(
        0 <= f.lower_hz < f.upper_hz <= f.sample_rate / 2,
        f"mel band {f.lower_hz} to {f.upper_hz} Hz: it must lie between 0 and {f.sample_rate / 2:g} Hz",
    )


def _check_alphabet(alphabet: tuple[str, ...], n_labels: int) -> None:
    if len(alphabet) != n_labels - 1:
        raise MappingError(f"the alphabet has {len(alphabet)} labels; this network has {n_labels - 1} and the blank")
    if not all(isinstance(label, str) and label and "\0" not in label for label in alphabet):
        raise MappingError("the alphabet has an empty label, or one with a zero character")
    twice = [label for i, label in enumerate(alphabet) if label in alphabet[:i]]
    if twice:
        raise MappingError(f"the alphabet has {twice[0]!r} twice")


def _checked_priors(priors: Array, n_labels: int) -> Array:
    array = np.asarray(priors, np.float32)
    if array.shape != (n_labels,) or not ((array > 0) & (array <= 1)).all():
        raise MappingError(f"label priors {list(array.shape)}: {n_labels} numbers above 0 and up to 1 are needed")
    return array


def _checked_range(values: Array, n_coefficients: int) -> Array:
    array = np.asarray(values, np.float32)
    if array.shape != (n_coefficients,) or not (np.isfinite(array) & (array > 0)).all():
        raise MappingError(f"feature_range {list(array.shape)}: {n_coefficients} finite numbers above 0 are needed")
    return array


def read_alphabet(text: str) -> tuple[str, ...]:
    r"""Labels of a DeepSpeech alphabet file: one a line, ``#`` begins a comment, ``\#`` is the label #.

    Raises
    ------
    MappingError
        No label in it.
    """
    labels = []
    for line in text.removeprefix("\ufeff").splitlines():
        if line == "\\#":
            labels.append("#")
        elif line and not line.startswith("#"):
            labels.append(line)
    if not labels:
        raise MappingError("the alphabet file holds no label; one a line is needed")
    return tuple(labels)
