# SPDX-License-Identifier: Apache-2.0
"""Which importer reads which file: its content tells, and only where that tells nothing its suffix does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pynna.errors import MappingError
from pynna.mapping.checkpoint import import_checkpoint, index_of
from pynna.mapping.deepspeech import import_graph
from pynna.mapping.memmapped import is_memmapped_file
from pynna.mapping.nna import MAGIC
from pynna.mapping.npz import import_npz
from pynna.mapping.onnx_file import import_onnx, is_onnx
from pynna.mapping.packed import is_tar, unpacked, zip_names
from pynna.mapping.tflite import import_tflite, is_tflite
from pynna.mapping.torch_file import import_state_dict, is_safetensors, is_state_dict
from pynna.mapping.weights import Weights

Read = Callable[..., Weights]
_ZIP = b"PK\x03\x04"
_NODE = 0x0A  # a GraphDef begins with a node
_HEAD = 512  # bytes that are looked at


@dataclass(frozen=True)
class Importer:
    """A kind of file.

    Attributes
    ----------
    name : str
        For messages.
    suffixes : tuple of str
        Lower case, with the dot.
    read : callable (path, alphabet=None) -> Weights
    recognises : callable (head, path) -> bool, optional
        Whether a file with these first bytes is of this kind; None where only the suffix tells.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Read
    recognises: Callable[[bytes, Path], bool] | None = None


def _is_npz(head: bytes, path: Path) -> bool:
    names = zip_names(path) if head.startswith(_ZIP) else []
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_torch(head: bytes, path: Path) -> bool:
    return is_safetensors(head) or head.startswith(_ZIP) and is_state_dict(zip_names(path))


def _is_archive(head: bytes, path: Path) -> bool:
    return head.startswith(_ZIP) and bool(zip_names(path)) or is_tar(head, path)


def _is_checkpoint(head: bytes, path: Path) -> bool:
    return (path.suffix == ".index" or ".data-" in path.name) and index_of(path) is not None


def _is_graph(head: bytes, path: Path) -> bool:
    return len(head) > 2 and head[0] == _NODE or is_memmapped_file(path)


def _import_archive(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    with unpacked(Path(path)) as inner:
        try:
            weights = load_weights(inner, alphabet)
        except MappingError as error:
            raise MappingError(f"{os.fspath(path)}: {str(error).replace(f'{inner.parent}/', '')}") from None
    return replace(weights, source=f"{Path(path).name}/{weights.source}", found=f"{weights.found}, in an archive")


_IMPORTERS: list[Importer] = []


def register(importer: Importer) -> None:
    """Adds a kind of file; the latest is asked first."""
    _IMPORTERS.insert(0, importer)


register(Importer("archive of a release", (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"), _import_archive, _is_archive))
register(Importer("DeepSpeech graph", (".pb", ".pbmm"), import_graph, _is_graph))
register(Importer("ONNX", (".onnx",), import_onnx, lambda head, path: is_onnx(head)))
register(Importer("TensorFlow checkpoint", (".index",), import_checkpoint, _is_checkpoint))
register(Importer("PyTorch state dict", (".pt", ".pth", ".safetensors"), import_state_dict, _is_torch))
register(Importer("TensorFlow Lite", (".tflite",), import_tflite, lambda head, path: is_tflite(head)))
register(Importer("NumPy archive", (".npz",), import_npz, _is_npz))


def suffixes() -> tuple[str, ...]:
    """Of all the kinds of file that can be read."""
    return tuple(sorted({suffix for importer in _IMPORTERS for suffix in importer.suffixes}))


def importer_of(path: str | os.PathLike[str]) -> Importer:
    """The importer for a file, by its content; by its suffix where the content tells nothing.

    Raises
    ------
    MappingError
        A file of no known kind.
    OSError
        The file cannot be read.
    """
    here = Path(path)
    if here.is_dir() or not here.exists():
        if index_of(here) is not None:
            return next(importer for importer in _IMPORTERS if importer.read is import_checkpoint)
        if here.is_dir():
            raise MappingError(f"{here} is a folder without a checkpoint; a model file is needed")
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head.startswith(MAGIC):
        raise MappingError(f"{here} is mapped already; a trained model is needed")
    for importer in _IMPORTERS:
        if importer.recognises is not None and importer.recognises(head, here):
            return importer
    for importer in _IMPORTERS:
        if here.suffix.lower() in importer.suffixes:
            return importer
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise MappingError(
            f"{here} is a bare pickle; PyTorch's state dict in a zip (torch.save of 1.6 and later) is needed"
        )
    raise MappingError(f"{here}: no kind of model known here; {', '.join(suffixes())} files can be mapped")


def load_weights(path: str | os.PathLike[str], alphabet: tuple[str, ...] | None = None) -> Weights:
    """Reads a trained network from a file of any known kind.

    Parameters
    ----------
    path : path
    alphabet : tuple of str, optional
        The labels but the blank, where the file does not hold them or they shall be others.

    Raises
    ------
    MappingError
        A file of no known kind, or one that its importer refuses.
    OSError
        The file cannot be read.
    """
    return importer_of(path).read(path, alphabet)
