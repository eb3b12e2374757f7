# SPDX-License-Identifier: Apache-2.0
"""Which layers' weights get 4 bits: those told, the wide ones, or those that cost least where a file must fit."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from pynna.errors import MappingError
from pynna.mapping.calibration import Clip, Progress
from pynna.mapping.nna import PLAIN, SCALED, encode_nna, packed_lines
from pynna.mapping.nna_model import BLOCK, LAYER_NAMES, Layer, NnaModel, round_up
from pynna.mapping.quantisation import Quantiser
from pynna.mapping.report import label_differences

WIDE_LAYERS = ("layer_2", "layer_3", "lstm_x", "lstm_h", "layer_5")
"""What `bits=4` means: the first layer and the last cost far more accuracy, and are a twentieth of the weights."""
METADATA_ROOM = 4096  # bytes that a file's metadata may grow by once the report is known
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_size(text: str) -> int:
    """Bytes of "4MB", "4.5 MB", "4MiB", "3500k" or "4000000".

    Raises
    ------
    MappingError
        It is no such text, or below one byte.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", text.strip().lower())
    size = int(float(found[1]) * UNITS[found[2]]) if found and found[2] in UNITS else 0
    if size < 1:
        raise MappingError(f"a size must be like 4MB, 4MiB or 4000000, got {text!r}")
    return size


def told_layers(bits: int, bits4: Collection[str], size: int | None) -> tuple[str, ...]:
    """The layers of 4 bits that the caller asks for.

    Raises
    ------
    MappingError
        `bits` is none of 4, 8 and 16, `size` is below one byte, or two are told that choose the layers.
    """
    if bits not in (4, 8, 16):
        raise MappingError(f"bits must be 4, 8 or 16, got {bits!r}")
    if size is not None and size < 1:
        raise MappingError(f"size must be 1 byte or more, got {size!r}")
    if bits4 and (bits == 4 or size is not None):
        raise MappingError("bits4 names layers: neither bits=4 nor size can be told with it")
    if bits != 8 and size is not None:
        raise MappingError(f"size gives layers 4 bits: bits={bits} cannot be told with it")
    return WIDE_LAYERS if bits == 4 else tuple(bits4)


def saved_bytes(model: NnaModel) -> dict[str, int]:
    """Bytes of the file that each layer saves with 4 bits instead of those that it has."""
    return {layer.name: _weight_bytes(layer, layer.weight_bits) - _weight_bytes(layer, 4) for layer in model.layers}


def _weight_bytes(layer: Layer, bits: int) -> int:
    rows, columns = round_up(layer.n_rows, BLOCK), layer.weights.shape[1]
    sums = 4 * rows if bits == 16 else 0  # of the residuals, too
    return sums + rows * 4 * packed_lines(columns, bits, SCALED if bits == 4 else PLAIN)


def fitting_layers(saved: Mapping[str, int], costs: Mapping[str, float], needed: int) -> tuple[str, ...]:
    """Layers that together save `needed` bytes: the least cost for a byte first, and none that is not needed then."""
    taken: list[str] = []
    for name in sorted(saved, key=lambda name: costs[name] / max(saved[name], 1)):
        if sum(saved[other] for other in taken) < needed:
            taken.append(name)
    for name in sorted(taken, key=lambda name: -costs[name]):
        if sum(saved[other] for other in taken) - saved[name] >= needed:
            taken.remove(name)
    return tuple(name for name in LAYER_NAMES if name in taken)


def choose_layers(
    quantiser: Quantiser, metadata: Mapping[str, object], clips: Sequence[Clip], size: int, progress: Progress
) -> tuple[tuple[str, ...], dict[str, float]]:
    """The layers of 4 bits with which the file fits, and what each of the seven costs alone.

    Parameters
    ----------
    quantiser : Quantiser
    metadata : mapping
        The file's, but for the report.
    clips : sequence of Clip
        What the costs are measured on.
    size : int
        Bytes of the file, at most.
    progress : callable (stage, share)

    Returns
    -------
    layers : tuple of str
        None where all weights of 8 bits fit.
    costs : dict of str to float
        Share of the frames whose likeliest label is another than the float network's, with 4 bits in that layer alone,
        less the share with 8 bits everywhere; empty where nothing had to be chosen.

    Raises
    ------
    MappingError
        The file is larger even with 4 bits everywhere.
    """
    eight = quantiser.model()
    eight.metadata = dict(metadata)
    saved, room = saved_bytes(eight), size - METADATA_ROOM
    needed = len(encode_nna(eight)) - room
    if needed <= 0:
        return (), {}
    if needed > sum(saved.values()):
        least = needed - sum(saved.values()) + size
        raise MappingError(f"size must be at least {least} bytes for this network, got {size}")
    models = (quantiser.model(bits4) for bits4 in ((), *((name,) for name in LAYER_NAMES)))
    shares = label_differences(quantiser.weights, models, clips, progress=progress)
    costs = {name: share - shares[0] for name, share in zip(LAYER_NAMES, shares[1:], strict=True)}
    return fitting_layers(saved, costs, needed), costs
