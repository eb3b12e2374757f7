# SPDX-License-Identifier: Apache-2.0
"""DeepSpeech's Python interface, of 0.5 to 0.9.3, over pynna; `pynna.deepspeech.stt` is Coqui STT's.

>>> from pynna.deepspeech import Model                        # instead of: from deepspeech import Model
>>> model = Model("output_graph.pbmm")                        # doctest: +SKIP
>>> model.enableExternalScorer("kenlm.scorer")                # doctest: +SKIP
>>> model.stt(pcm)                                            # doctest: +SKIP

A model file of DeepSpeech's or Coqui's is mapped the first time it is opened; what comes of it is kept beside it (or
in the user's cache). Programs that say ``import deepspeech`` or ``import stt`` run as they are after `install`.
"""

from __future__ import annotations

import sys

from pynna.deepspeech.api import (
    CandidateTranscript,
    Metadata,
    MetadataItem,
    Model,
    Stream,
    TokenMetadata,
    freeStream,
    printVersions,
    version,
)

__version__ = "0.9.3"
"""The version of the interface."""

__all__ = [
    "CandidateTranscript",
    "Metadata",
    "MetadataItem",
    "Model",
    "Stream",
    "TokenMetadata",
    "freeStream",
    "install",
    "printVersions",
    "version",
]


def install() -> None:
    """Puts this package under the names ``deepspeech`` and ``stt``: programs which import those run as they are.

    So do those that import from ``deepspeech.client``, ``deepspeech.impl`` or ``stt``'s.

    >>> import pynna.deepspeech
    >>> pynna.deepspeech.install()
    >>> from deepspeech import Model
    """
    from pynna.deepspeech import client, impl, stt

    sys.modules["deepspeech"] = sys.modules[__name__]
    sys.modules["stt"] = stt
    for package in ("deepspeech", "stt"):
        sys.modules[f"{package}.client"], sys.modules[f"{package}.impl"] = client, impl
    stt.__dict__.update(client=client, impl=impl)
