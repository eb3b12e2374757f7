# SPDX-License-Identifier: Apache-2.0
"""Trees of words for scorers, and scorers out of a language model: what DeepSpeech's tools make, made here.

A tree is an OpenFst automaton of the kind "const" over labels (alphabet index + 1); a word ends in the space's label.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pynna.deepspeech.cache import user_cache
from pynna.errors import LanguageModelError
from pynna.saving import whole_file

_TRIE, _FST = b"EIRT", 2125659606
_PROPERTIES = 0xA5AA5A950001  # of a deterministic acceptor, its arcs sorted
_HAS_WORDS = 100  # the byte of a KenLM file that tells whether its words' texts follow
_MARKS = ("<s>", "</s>", "<unk>", "<UNK>")


def tree(words: Iterable[str], labels: Sequence[bytes], at: int) -> bytes:
    """The automaton of words, those that the labels cannot spell left out, to stand `at` so many bytes into a file.

    Raises
    ------
    LanguageModelError
        Not one of the words can be spelled, or the labels have no space.
    """
    index = {label.decode("utf-8", "replace"): i + 1 for i, label in enumerate(labels)}
    if " " not in index:
        raise LanguageModelError("the labels have no space, which ends words")
    children: list[dict[int, int]] = [{}]
    end = -1
    for word in sorted(set(words)):
        spelled = [index.get(letter, 0) for letter in word]
        if not word or 0 in spelled or word in _MARKS:
            continue
        node = 0
        for label in spelled:
            node = children[node].setdefault(label, len(children))
            if node == len(children):
                children.append({})
        children[node][index[" "]] = end
    if len(children) == 1:
        raise LanguageModelError("the labels can spell no word of the language model")
    last = len(children)
    states = np.zeros(
        last + 1, np.dtype([("final", "<f4"), ("first", "<u4"), ("n", "<u4"), ("in", "<u4"), ("out", "<u4")])
    )
    states["final"] = np.inf
    states["final"][last] = 0.0
    states["n"][:last] = [len(below) for below in children]
    states["first"][1:] = np.cumsum(states["n"])[:-1]
    arcs = np.array(
        [
            (label, label, 0.0, last if node == end else node)
            for below in children
            for label, node in sorted(below.items())
        ],
        np.dtype([("in", "<i4"), ("out", "<i4"), ("weight", "<f4"), ("next", "<i4")]),
    )
    head = (
        struct.pack("<ii", _FST, 5)
        + b"const"
        + struct.pack("<i", 8)
        + b"standard"
        + struct.pack("<iiQqqq", 1, 4, _PROPERTIES, 0, len(states), len(arcs))
    )
    out = head + bytes(-(at + len(head)) % 16) + states.tobytes()
    return out + bytes(-(at + len(out)) % 16) + arcs.tobytes()


def words_of(path: Path) -> list[str]:
    """The words at the end of a KenLM binary file.

    Raises
    ------
    LanguageModelError
        It does not hold them.
    """
    data = path.read_bytes()
    start = data.rfind(b"<unk>\0")
    if start < 0:
        raise LanguageModelError(f"{path}: this language model does not hold its words")
    return data[start:].decode("utf-8", "replace").split("\0")[:-1]


def made_trie(lm: Path, labels: Sequence[bytes]) -> Path:
    """A tree of a language model's words, in the form of DeepSpeech 0.6, in the user's cache.

    Raises
    ------
    LanguageModelError
        The file does not hold its words, or the labels can spell none of them.
    OSError
        A file cannot be read or written.
    """
    about = lm.stat()
    key = hashlib.sha256(
        repr((str(lm.absolute()), about.st_size, about.st_mtime_ns, list(labels))).encode()
    ).hexdigest()
    path = user_cache() / f"{key}.trie"
    if not path.is_file():
        head = _TRIE + struct.pack("<i?", 5, False)
        data = head + tree(words_of(lm), labels, len(head))
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, "wb") as out:
            out.write(data)
    return path


def write_scorer(
    lm: Path, words: Iterable[str], labels: Sequence[bytes], path: Path, *, alpha: float, beta: float
) -> None:
    """Writes a .scorer: a KenLM binary file without its words, the tree of `words`, alpha and beta.

    Raises
    ------
    LanguageModelError
        The labels can spell none of the words.
    OSError
        A file cannot be read or written.
    """
    data = bytearray(lm.read_bytes())
    if len(data) > _HAS_WORDS and data[_HAS_WORDS] and (texts := data.rfind(b"<unk>\0")) > 0:
        del data[texts:]  # a scorer has the tree in their place
        data[_HAS_WORDS] = 0
    head = _TRIE + struct.pack("<i?dd", 6, False, alpha, beta)
    with whole_file(path, "wb") as out:
        out.write(data + head + tree(words, labels, len(data) + len(head)))
