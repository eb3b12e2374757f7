# SPDX-License-Identifier: Apache-2.0
"""OpenVINO in bf16, from the float graph; a compiled model for each way of use, whose shapes are then known."""

from __future__ import annotations

import io

import openvino

from bench.peers import Array, Arrays, Function, Peer, onnx_graph


class Network:
    """See bench.peers.Network."""

    def __init__(self, arrays: Arrays) -> None:
        self._core = openvino.Core()
        self._bytes = onnx_graph.graph(arrays).SerializeToString()

    def functions(self, peer: Peer) -> dict[str, Function]:
        model = self._core.read_model(io.BytesIO(self._bytes))
        shapes = {name: model.input(name).partial_shape for name in ("x", "c", "h")}
        given = {"x": [peer.steps, peer.channels], "c": [peer.channels], "h": [peer.channels]}
        model.reshape({name: [*sizes, shapes[name][len(sizes)].get_length()] for name, sizes in given.items()})
        request = self._core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16",
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": peer.threads,
            },
        ).create_infer_request()

        def run(x: Array, c: Array, h: Array) -> list[Array]:
            out = request.infer({"x": x, "c": c, "h": h}, share_inputs=True, share_outputs=True)
            return list(out.values())

        return {"": run}
