# SPDX-License-Identifier: Apache-2.0
"""From a trained network to a .nna file: import, calibrate, quantise, write, and report."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pynna.errors import MappingError, reading
from pynna.mapping.calibration import Calibration, Clip, Progress, calibrate, load_clips
from pynna.mapping.importers import load_weights
from pynna.mapping.nna import encode_nna
from pynna.mapping.nna_model import LAYER_NAMES
from pynna.mapping.quantisation import Quantiser
from pynna.mapping.report import Report, measure
from pynna.mapping.speeds import at_other_speeds
from pynna.mapping.weight_bits import choose_layers, told_layers
from pynna.mapping.weights import Weights, read_alphabet
from pynna.saving import check_place, whole_file

Array = NDArray[Any]

CALIBRATION_SECONDS = 120.0  # more tells the ranges nothing new
REPORT_SECONDS = 60.0  # of the calibration audio, where no other is given to evaluate on
CHOICE_SECONDS = 30.0  # of the same, for what 4 bits cost in each layer
WIDE = 12_000_000  # parameters from which on both are cut, down to a third, to be done in half a minute


def map_model(
    source: str | os.PathLike[str] | Weights,
    out: str | os.PathLike[str],
    *,
    calibration: Iterable[Any] | None = None,
    evaluation: Iterable[Any] | None = None,
    alphabet: Sequence[str] | str | os.PathLike[str] | None = None,
    name: str | None = None,
    licence: str | None = None,
    priors: Array | Sequence[float] | Literal["measure"] | None = None,
    bits: Literal[4, 8, 16] = 8,
    bits4: Collection[str] = (),
    size: int | None = None,
    report: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Maps a trained network to a static int8 one.

    Parameters
    ----------
    source : path or Weights
        A file of any format that `pynna map` reads (docs/deepspeech.md), or a network in memory.
    out : path
        The .nna file to write; replaced whole or not at all.
    calibration : iterable, optional
        Recordings of the kind of speech to be recognised: paths, or arrays of PCM at the model's rate (int16, or float
        in [-1, 1]), each alone or in a pair with its text. Two minutes of it count, chosen evenly (less for
        wide networks). Default: the recordings that ship with the package.
    evaluation : iterable, optional
        The same, for the report alone, all of it; default: up to a minute of `calibration`.
    alphabet : labels or path, optional
        The labels but the blank, or a DeepSpeech alphabet file. Default: the source's own, or English.
    name, licence : str, optional
        For the model's metadata.
    priors : float [labels] or "measure", optional
        Mean posteriors of the labels in training ("measure": over `calibration`); the source's, or all alike.
    bits : 8, 4 or 16
        Of a weight, 16 of activations, too; 4 leaves out layer_1 and layer_6, of 16 in networks not trained for it.
    bits4 : collection of str
        Instead, the layers whose weights get 4 bits: layer_1, layer_2, layer_3, lstm_x, lstm_h, layer_5, layer_6.
    size : int, optional
        Instead, bytes that the file may take at most: layers get 4 bits until it fits, those first that cost the least
        accuracy for what they save (each is measured alone).
    report : bool
        Whether to measure what the mapping costs; without, the report holds times and sizes only.
    progress : callable (stage, share), optional
        Called with "read", "calibrate", "choose", "quantise", "report" or "write", and the share that is done.

    Raises
    ------
    MappingError
        The source, an option or the audio cannot be used; the message says why. Nothing is written.
    MissingFileError, FileReadError
        A file, or the folder of `out`, is not there, or cannot be read.
    ArgumentError, OSError
        `out` is the source itself; it cannot be written.
    """
    check_place(out, source)
    steps = _Steps(progress or _silent, told_layers(bits, bits4, size), bits == 16, size, report)
    return steps.map(*steps.read(source, alphabet, name, licence, calibration, evaluation), priors, out)


class _Steps:
    """The mapping's stages, and how long each takes."""

    def __init__(self, tell: Progress, bits4: Collection[str], is_fine: bool, size: int | None, report: bool) -> None:
        self.tell, self.bits4, self.size, self.report = tell, bits4, size, report
        self.bits16: tuple[str, ...] = LAYER_NAMES if is_fine else ()
        self.activation_bits = 16 if is_fine else 8
        self.seconds: dict[str, float] = {}

    def read(
        self,
        source: str | os.PathLike[str] | Weights,
        alphabet: Sequence[str] | str | os.PathLike[str] | None,
        name: str | None,
        licence: str | None,
        calibration: Iterable[Any] | None,
        evaluation: Iterable[Any] | None,
    ) -> tuple[Weights, list[Clip], list[Clip] | None]:
        """The network, and what to calibrate and to report on."""
        with _timed("read", self.seconds, self.tell), reading(source):
            weights = _load(source, alphabet, name, licence)
            rate = weights.features.sample_rate
            clips = load_clips(calibration, rate)
            judged = None if evaluation is None else load_clips(evaluation, rate, "evaluation")
        return weights, clips, judged

    def map(
        self,
        weights: Weights,
        clips: list[Clip],
        judged: list[Clip] | None,
        priors: Array | Sequence[float] | Literal["measure"] | None,
        out: str | os.PathLike[str],
    ) -> Report:
        """Calibrate, quantise, measure and write."""
        tell, seconds, rate = self.tell, self.seconds, weights.features.sample_rate
        cut = float(np.clip(WIDE / weights.n_parameters, 1 / 3, 1))
        with _timed("calibrate", seconds, tell):
            sample = _calibrated(weights, clips, CALIBRATION_SECONDS * cut, tell)
        weights = _with_priors(weights, priors, sample)
        quantiser = Quantiser(weights, sample, None, self.bits16, self.activation_bits)
        bits4, costs = self.bits4, dict[str, float]()
        heard = judged or _up_to(clips, REPORT_SECONDS * cut, rate)
        if self.size is not None:
            with _timed("choose", seconds, tell):
                some = _up_to(heard, CHOICE_SECONDS * cut, rate)
                bits4, costs = choose_layers(quantiser, _metadata(weights, sample, None), some, self.size, tell)
        with _timed("quantise", seconds, tell):
            model = quantiser.model(bits4, tell)
        result = None
        if self.report:
            with _timed("report", seconds, tell):
                result = replace(measure(weights, model, heard, progress=tell), bit_costs=costs)
                if bits4:
                    result = replace(result, eight_bits=measure(weights, quantiser.model(), heard))
        model.metadata = _metadata(weights, sample, result)
        with _timed("write", seconds, tell):
            data = encode_nna(model)
            with whole_file(out, "wb") as file:
                file.write(data)
        return replace(result or Report(), seconds=seconds, file_bytes=len(data))


def _silent(stage: str, share: float) -> None:
    pass


@contextmanager
def _timed(stage: str, seconds: dict[str, float], tell: Progress) -> Iterator[None]:
    tell(stage, 0.0)
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)
    tell(stage, 1.0)


def read_labels(alphabet: Sequence[str] | str | os.PathLike[str] | None) -> tuple[str, ...] | None:
    """Labels as they are given, or those of an alphabet file; None for None.

    Raises
    ------
    MappingError
        The file is no UTF-8 text, or holds no label.
    OSError
        It cannot be read.
    """
    if alphabet is None:
        return None
    if not isinstance(alphabet, (str, os.PathLike)):
        return tuple(alphabet)
    try:
        return read_alphabet(Path(alphabet).read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise MappingError(f"{os.fspath(alphabet)}: no UTF-8 text ({error})") from None


def _load(
    source: str | os.PathLike[str] | Weights,
    alphabet: Sequence[str] | str | os.PathLike[str] | None,
    name: str | None,
    licence: str | None,
) -> Weights:
    labels = read_labels(alphabet)
    if isinstance(source, Weights):
        weights = source if labels is None else replace(source, alphabet=labels)
    else:
        weights = load_weights(source, labels)
    return replace(
        weights, name=weights.name if name is None else name, licence=weights.licence if licence is None else licence
    )


def _up_to(clips: Sequence[Clip], seconds: float, rate: int) -> list[Clip]:
    """Clips of so much audio in all, chosen evenly over the list."""
    total = sum(len(clip.pcm) for clip in clips)
    share = seconds * rate / max(total, 1)
    if share >= 1:
        return list(clips)
    taken = [clip for i, clip in enumerate(clips) if int((i + 1) * share) > int(i * share)]
    return taken or [replace(clips[0], pcm=clips[0].pcm[: int(seconds * rate)])]


def _calibrated(weights: Weights, clips: Sequence[Clip], seconds: float, tell: Progress) -> Calibration:
    """On so much audio; what a network was not trained for is told by the same recordings at other speeds, too."""
    rate = weights.features.sample_rate
    heard = _up_to(clips, seconds, rate)
    more = at_other_speeds(heard, seconds, rate) if weights.is_foreign else heard
    sample = calibrate(weights, more, progress=tell)
    return replace(sample, n_clips=len(heard), seconds=sum(len(clip.pcm) for clip in heard) / rate)


def _with_priors(weights: Weights, priors: Array | Sequence[float] | str | None, sample: Calibration) -> Weights:
    if priors is None:
        return weights
    if isinstance(priors, str):
        if priors != "measure":
            raise MappingError(f"priors are {priors!r}; numbers, or 'measure', are needed")
        return replace(weights, label_priors=np.clip(sample.posteriors, 1e-6, 1.0).astype(np.float32))
    return replace(weights, label_priors=np.asarray(priors, np.float32))


def _metadata(weights: Weights, sample: Calibration, result: Report | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": weights.name or Path(weights.source).stem or "unnamed",
        "licence": weights.licence,
        "source": weights.source,
        "parameters": weights.n_parameters,
    }
    metadata["calibration"] = {
        "clips": sample.n_clips,
        "seconds": round(sample.seconds, 1),
        "frames": len(sample.inputs),
    }
    if weights.label_priors is None:
        metadata["label_priors"] = "unknown"
    if result is not None:
        metadata["report"] = result.summary()
    return {**weights.metadata, **metadata}
