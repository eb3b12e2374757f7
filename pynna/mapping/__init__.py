# SPDX-License-Identifier: Apache-2.0
"""Mapping a trained network to the static int8 network that the C core runs.

>>> report = pynna.mapping.map_model("output_graph.pb", "out.nna", calibration=["a.wav", "b.wav"])   # doctest: +SKIP
>>> print(report)                                                                                     # doctest: +SKIP

`map_model` is the whole road. Its stations: `load_weights` (importers by kind of file), `Weights` (the float network,
checked), `calibrate`, `quantise`, `write_nna` and `read_nna`, `measure` (the report); and back, `export_graph`.
"""

from __future__ import annotations

from pynna.errors import MappingError
from pynna.mapping.calibration import Calibration, Clip, calibrate, load_clips
from pynna.mapping.deepspeech import import_graph
from pynna.mapping.front_end_settings import tell_front_end
from pynna.mapping.graph_export import export_graph
from pynna.mapping.importers import Importer, load_weights, register, suffixes
from pynna.mapping.mapper import map_model
from pynna.mapping.nna import read_nna, write_nna
from pynna.mapping.nna_model import NnaModel
from pynna.mapping.npz import export_npz, import_npz
from pynna.mapping.quantisation import Ranges, choose_ranges, quantise
from pynna.mapping.report import LayerReport, Report, measure
from pynna.mapping.tflite import import_tflite
from pynna.mapping.tflite_export import export_tflite
from pynna.mapping.weights import QuantisedMatrix, Weights, read_alphabet

__all__ = [
    "Calibration",
    "Clip",
    "Importer",
    "LayerReport",
    "MappingError",
    "NnaModel",
    "QuantisedMatrix",
    "Ranges",
    "Report",
    "Weights",
    "calibrate",
    "choose_ranges",
    "export_graph",
    "export_npz",
    "export_tflite",
    "import_graph",
    "import_npz",
    "import_tflite",
    "load_clips",
    "load_weights",
    "map_model",
    "measure",
    "quantise",
    "read_alphabet",
    "read_nna",
    "register",
    "suffixes",
    "tell_front_end",
    "write_nna",
]
