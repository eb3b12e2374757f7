# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's dynamic int8: onnxruntime.quantization on the float graph, matrix products and the LSTM."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.peers import Array, Arrays, Function, Peer, onnx_graph


class Network:
    """See bench.peers.Network."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._models: dict[int | None, bytes] = {}
        self._sessions: dict[tuple[int | None, int], onnxruntime.InferenceSession] = {}

    def functions(self, peer: Peer) -> dict[str, Function]:
        """Which is faster depends on the way of use."""
        return {
            "LSTM operator": self._function(None, peer.threads),
            "unrolled": self._function(peer.steps, peer.threads),
        }

    def _function(self, unrolled: int | None, threads: int) -> Function:
        if (unrolled, threads) not in self._sessions:
            if unrolled not in self._models:
                self._models[unrolled] = quantised(onnx_graph.graph(self._arrays, unrolled))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._sessions[unrolled, threads] = onnxruntime.InferenceSession(
                self._models[unrolled], options, ["CPUExecutionProvider"]
            )
        session = self._sessions[unrolled, threads]

        def run(x: Array, c: Array, h: Array) -> list[Array]:
            return session.run(None, {"x": x, "c": c, "h": h})  # type: ignore[no-any-return]

        return run


def quantised(model: onnx.ModelProto) -> bytes:
    """The graph with int8 weights, as a file."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        logging.disable(logging.WARNING)  # it recommends preprocessing, which has nothing to do here
        try:
            quantize_dynamic(source, out, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)
        return out.read_bytes()
