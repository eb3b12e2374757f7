# SPDX-License-Identifier: Apache-2.0
"""The fixed-point network through the C API: against the NumPy model of its arithmetic, and against itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nna_models import random_model

from pynna.mapping.integer_network import IntegerNetwork
from pynna.mapping.nna import encode_nna
from pynna.mapping.nna_model import LAYER_NAMES, RELU_LAYERS, NnaModel

Array = npt.NDArray[Any]
WIDTHS = [1, 29, 31, 32, 100]
CHANNELS = [1, 2, 3, 5, 8, 11, 16]
OK, ARGUMENT, MEMORY, NOT_FINITE, ISA = 0, 1, 2, 3, 6


@dataclass
class Outputs:
    p: Array  # float32 [n, steps, labels]
    c: Array  # int16 [n, cell]
    h: Array  # int8 [n, cell]

    def bits(self, channel: int | slice = slice(None)) -> tuple[bytes, bytes, bytes]:
        return self.p[channel].tobytes(), self.c[channel].tobytes(), self.h[channel].tobytes()


class Core:
    """The C API with arrays; keeps what the C objects point to."""

    def __init__(self, lib: Any, ffi: Any, allocate: Callable[[int], Any]) -> None:
        self.lib, self.ffi, self.allocate = lib, ffi, allocate
        names = [ffi.string(lib.pynna_isa_name(i)).decode() for i in range(lib.pynna_isa_count())]
        self.isas = [name for i, name in enumerate(names) if lib.pynna_isa_available(i)]
        self.pools: dict[int, Any] = {1: ffi.NULL}
        self._kept: list[Any] = []

    def pool(self, threads: int) -> Any:
        if threads not in self.pools:
            size = self.lib.pynna_pool_size(threads)
            memory, out = self.allocate(size), self.ffi.new("pynna_pool **")
            assert self.lib.pynna_pool_init(memory, size, threads, out) == OK
            self._kept.append(memory)
            self.pools[threads] = out[0]
        return self.pools[threads]

    def close(self) -> None:
        for pool in self.pools.values():
            self.lib.pynna_pool_stop(pool)

    def model(self, model: NnaModel) -> tuple[Any, list[Any]]:
        data = encode_nna(model)
        file, memory, out = self.allocate(len(data)), self.allocate(self.lib.pynna_model_size()), None
        self.ffi.buffer(file)[:] = data
        out = self.ffi.new("const pynna_model **")
        assert self.lib.pynna_model_init(memory, len(memory), file, len(data), out) == OK
        return out[0], [file, memory]

    def workspace(self, model: Any, isa: str, max_columns: int = 16) -> tuple[Any, Any]:
        size = self.lib.pynna_workspace_size(model, max_columns)
        memory, out = self.allocate(size), self.ffi.new("pynna_workspace **")
        assert self.lib.pynna_workspace_init(memory, size, model, max_columns, isa.encode(), out) == OK
        assert self.ffi.string(self.lib.pynna_workspace_isa(out[0])).decode() == isa
        return out[0], memory


@pytest.fixture(scope="module")
def core(lib: Any, ffi: Any, allocate: Callable[[int], Any]) -> Iterator[Core]:
    core = Core(lib, ffi, allocate)
    yield core
    core.close()


class Net:
    """A model and a way to run it."""

    def __init__(self, core: Core, model: NnaModel) -> None:
        self.core, self.g = core, model.geometry
        self.model, self._kept = core.model(model)
        self._workspaces: dict[tuple[str, int], tuple[Any, Any]] = {}

    def status(
        self,
        x: Array,
        c: Array,
        h: Array,
        out: Outputs,
        *,
        isa: str = "ref",
        threads: int = 1,
        max_columns: int = 16,
        steps: int = 1,
        stride: int | None = None,
        speech: Array | None = None,
    ) -> int:
        """One call: float32 x [n, floats], windows `stride` floats apart (n_coefficients unless given)."""
        key = (isa, max_columns)
        if key not in self._workspaces:
            self._workspaces[key] = self.core.workspace(self.model, isa, max_columns)
        ffi = self.core.ffi
        channels = ffi.new("pynna_channel[16]")
        for j in range(len(x)):
            channels[j].x = ffi.cast("float *", x[j].ctypes.data)
            channels[j].x_stride = self.g.n_coefficients if stride is None else stride
            channels[j].c_in, channels[j].h_in = (ffi.cast("void *", a[j].ctypes.data) for a in (c, h))
            channels[j].c_out, channels[j].h_out = (ffi.cast("void *", a[j].ctypes.data) for a in (out.c, out.h))
            channels[j].log_probs = ffi.cast("void *", out.p[j].ctypes.data)
            if speech is not None:
                channels[j].speech = ffi.cast("void *", speech[j:].ctypes.data)
        return self.core.lib.pynna_step(self._workspaces[key][0], self.core.pool(threads), len(x), steps, channels)

    def empty(self, n: int, steps: int) -> Outputs:
        return Outputs(
            np.full((n, steps, self.g.n_labels), 7, np.float32),
            np.full((n, self.g.n_cell), 7, np.int16),
            np.full((n, self.g.n_cell), 7, np.int8),
        )

    def run(self, x: Array, c: Array, h: Array, *, steps_a_call: int | None = None, **how: Any) -> Outputs:
        """Overlapping windows [n, (steps + 2 context) * coefficients] through one or more calls."""
        k = self.g.n_coefficients
        steps = x.shape[1] // k - 2 * self.g.n_context
        c, h, p = c.copy(), h.copy(), np.zeros((len(x), steps, self.g.n_labels), np.float32)
        for done in range(0, steps, steps_a_call or steps):
            count = min(steps_a_call or steps, steps - done)
            out = self.empty(len(x), count)
            assert self.status(x[:, done * k :], c, h, out, steps=count, **how) == OK
            p[:, done : done + count], c, h = out.p, out.c, out.h
        return Outputs(p, c, h)


@cache
def small_model(
    width: int,
    extreme: bool = False,
    bits: int = 11,
    cell: int | None = None,
    scaled: bool = False,
    **more: tuple[str, ...],
) -> NnaModel:
    return random_model(width, seed=width, extreme=extreme, cell_fraction_bits=bits, cell=cell, scaled=scaled, **more)


def features(rng: np.random.Generator, n: int, model: NnaModel, steps: int, kind: str = "ordinary") -> Array:
    """float32 [n, (steps + 2 context) * coefficients]."""
    g = model.geometry
    frames = steps + 2 * g.n_context
    x = rng.normal(0, 15, (n, frames, g.n_coefficients)).astype(np.float32)
    if kind == "huge":
        x = np.where(rng.random(x.shape) < 0.5, x * np.float32(1e30), x)
        x.flat[:4] = [3.4e38, -3.4e38, 1e30, -1e30]
    elif kind == "tiny":
        x = (x * np.float32(1e-39)).astype(np.float32)  # denormal
        x.flat[::3] = [1e-45]
        x.flat[1::3] = [-0.0]
    elif kind == "ties":
        x = (rng.integers(-300, 300, x.shape) + 0.5).astype(np.float32) / model.feature_gain
    return np.ascontiguousarray(x.reshape(n, -1), np.float32)


def states(rng: np.random.Generator, n: int, cell: int, kind: str = "random") -> tuple[Array, Array]:
    if kind == "fresh":
        return np.zeros((n, cell), np.int16), np.zeros((n, cell), np.int8)
    c, h = rng.integers(-32768, 32768, (n, cell), np.int16), rng.integers(-128, 128, (n, cell), np.int8)
    if kind == "limits":
        c, h = np.where(c < 0, np.int16(-32768), np.int16(32767)), np.where(h < 0, np.int8(-128), np.int8(127))
    return c, h


def windows(model: NnaModel, x: Array) -> Array:
    """[n, floats] as [n, steps, 2 context + 1, coefficients]."""
    g = model.geometry
    frames = x.reshape(len(x), -1, g.n_coefficients)
    view = np.lib.stride_tricks.sliding_window_view(frames, 2 * g.n_context + 1, axis=1)
    return np.ascontiguousarray(view.swapaxes(2, 3))


# ---- against the NumPy model ---------------------------------------------------------------------


def check_against_numpy(core: Core, model: NnaModel, x: Array, c: Array, h: Array) -> Outputs:
    """All outputs of the last step; c and h exactly, after every step."""
    network, net, seen = IntegerNetwork(model), Net(core, model), windows(model, x)
    for s in range(seen.shape[1]):
        got = net.empty(len(x), 1)
        assert net.status(np.ascontiguousarray(seen[:, s]).reshape(len(x), -1), c, h, got) == OK
        p, c_want, h_want = network.step(seen[:, s], c, h)
        np.testing.assert_array_equal(got.c, c_want)
        np.testing.assert_array_equal(got.h, h_want)
        np.testing.assert_allclose(got.p[:, 0], p, rtol=3e-7, atol=1e-6)
        c, h = got.c, got.h
    return got


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("extreme", [False, True])
def test_steps_are_those_of_the_numpy_model(core: Core, width: int, extreme: bool) -> None:
    model, rng = small_model(width, extreme), np.random.default_rng(width)
    check_against_numpy(core, model, features(rng, 3, model, 8), *states(rng, 3, width, "fresh"))


@pytest.mark.parametrize("kind", ["ordinary", "huge", "tiny", "ties"])
@pytest.mark.parametrize("state", ["random", "limits"])
def test_features_and_states_of_any_size_are_handled_as_by_the_numpy_model(core: Core, kind: str, state: str) -> None:
    model, rng = small_model(31), np.random.default_rng(5)
    check_against_numpy(core, model, features(rng, 4, model, 3, kind), *states(rng, 4, 31, state))


@pytest.mark.parametrize("bits", range(1, 16))
def test_every_scale_of_the_cell_state_is_as_in_the_numpy_model(core: Core, bits: int) -> None:
    model, rng = small_model(20, bool(bits % 2), bits), np.random.default_rng(bits)
    for kind in ("random", "limits"):
        check_against_numpy(core, model, features(rng, 2, model, 4), *states(rng, 2, 20, kind))


@pytest.mark.parametrize("multiplier, shift", [(32767, 1), (32767, 20), (25000, 22), (32767, 30), (1, 8), (0, 1)])
def test_every_scale_of_the_hidden_state_is_as_in_the_numpy_model(core: Core, multiplier: int, shift: int) -> None:
    base, rng = small_model(20), np.random.default_rng(shift)
    model = replace(base, geometry=replace(base.geometry, h_multiplier=multiplier, h_shift=shift))
    last = check_against_numpy(core, model, features(rng, 2, model, 4), *states(rng, 2, 20))
    if (multiplier, shift) == (32767, 1):
        assert set(np.unique(last.h)) <= {-127, 0, 127}  # saturated, and never -128


@pytest.mark.parametrize(("residual_bits", "gain"), [(0, 2.0), (8, 64.0)])
def test_features_on_rounding_ties_go_to_the_even_step(core: Core, residual_bits: int, gain: float) -> None:
    """A model that tells its features by its cell states: one tie more or less is another state."""
    base = small_model(31)
    first = base.layers[0]
    if residual_bits:  # small features, and a layer that makes much of them
        first = replace(first, bias=-128 * first.row_sum, multiplier=first.multiplier * 20)
    model = replace(
        base,
        layers=[first, *base.layers[1:]],
        feature_gain=np.full(26, gain, np.float32),
        geometry=replace(base.geometry, feature_residual_bits=residual_bits),
    )
    rng, step = np.random.default_rng(0), 2.0**-residual_bits / gain
    x = ((rng.integers(-120, 120, (2, 19 * 26)) * 2 + 1) * step / 2).astype(np.float32)
    assert (np.abs(np.mod(x / step, 1)) == 0.5).all()
    got = check_against_numpy(core, model, x, *states(rng, 2, 31, "fresh"))
    assert got.bits() == outputs_of(core, model, np.rint(x / step) * step).bits()
    assert got.bits() != outputs_of(core, model, np.floor(x / step + 0.5) * step).bits()


@pytest.mark.parametrize("kind", ["ordinary", "huge", "ties"])
def test_a_file_without_the_features_lower_halves_is_as_in_the_numpy_model(core: Core, kind: str) -> None:
    model, rng = random_model(45, cell=33, seed=6, feature_residual_bits=0), np.random.default_rng(6)
    x, (c, h) = features(rng, 3, model, 4, kind), states(rng, 3, 33)
    check_against_numpy(core, model, x, c, h)
    net = Net(core, model)
    want = net.run(x, c, h).bits()
    for isa in core.isas:
        assert net.run(x, c, h, isa=isa, threads=2).bits() == want


@pytest.mark.parametrize(("bits", "scaled"), [("bits4", False), ("bits4", True), ("bits16", False)])
@pytest.mark.parametrize("layers", [("layer_1", "layer_3", "lstm_h"), ("layer_1", "layer_6"), LAYER_NAMES])
def test_weights_of_4_and_16_bits_are_as_in_the_numpy_model(
    core: Core, bits: str, scaled: bool, layers: tuple[str, ...]
) -> None:
    model, rng = small_model(70, cell=133, scaled=scaled, **{bits: layers}), np.random.default_rng(4)
    x, (c, h) = features(rng, 3, model, 4), states(rng, 3, 133)
    check_against_numpy(core, model, x, c, h)
    net = Net(core, model)
    want = net.run(x, c, h).bits()
    for isa in core.isas:
        assert net.run(x, c, h, isa=isa, threads=2).bits() == want


@pytest.mark.parametrize("residual_bits", [0, 8])
@pytest.mark.parametrize("bits16", [(), LAYER_NAMES])
@pytest.mark.parametrize("layers", [*((name,) for name in RELU_LAYERS), RELU_LAYERS])
def test_activations_of_16_bits_are_as_in_the_numpy_model_and_the_same_in_every_way_to_run(
    core: Core, layers: tuple[str, ...], bits16: tuple[str, ...], residual_bits: int
) -> None:
    how = {"seed": 7, "bits16": bits16, "feature_residual_bits": residual_bits}
    model, plain = random_model(70, cell=133, output_residuals=layers, **how), random_model(70, cell=133, **how)
    rng = np.random.default_rng(7)
    x, (c, h) = features(rng, 5, model, 6), states(rng, 5, 133)
    check_against_numpy(core, model, x, c, h)
    net = Net(core, model)
    want = net.run(x, c, h)
    assert want.p.tobytes() != Net(core, plain).run(x, c, h).p.tobytes()  # they count
    for isa in core.isas:
        assert net.run(x, c, h, isa=isa, threads=2, max_columns=100).bits() == want.bits()
        assert net.run(x[3:4], c[3:4], h[3:4], isa=isa, steps_a_call=1).bits(0) == want.bits(3)


def test_the_speech_probability_is_as_in_the_numpy_model_and_changes_no_other_bit(core: Core) -> None:
    model, rng = random_model(45, cell=33, seed=9, speech_rows=1), np.random.default_rng(9)
    last = model.layers[-1]
    mute = replace(
        model,
        geometry=replace(model.geometry, speech_rows=0),
        layers=[
            *model.layers[:-1],
            replace(last, weights=last.weights[:-1], bias=last.bias[:-1], logit_scale=last.logit_scale[:-1]),
        ],
    )
    x, (c, h) = features(rng, 3, model, 1), states(rng, 3, 33)
    net = Net(core, model)
    out, speech = net.empty(3, 1), np.full(3, 7, np.float32)
    assert net.status(x, c, h, out, speech=speech) == OK
    numpy_model = IntegerNetwork(model)
    numpy_model.step(x.reshape(3, 19, 26), c, h)
    assert np.array_equal(speech, numpy_model.speech[:, 0]) and 0 < speech.min() < speech.max() < 1
    assert out.bits() == Net(core, mute).run(x, c, h).bits()
    for isa in core.isas:
        again = np.zeros(3, np.float32)
        assert net.status(x, c, h, net.empty(3, 1), isa=isa, threads=2, speech=again) == OK
        assert np.array_equal(again, speech)
    assert Net(core, mute).status(x, c, h, net.empty(3, 1), speech=speech) == OK
    assert (speech == 1).all()  # a model that does not tell


def outputs_of(core: Core, model: NnaModel, x: Array) -> Outputs:
    """From fresh states."""
    c, h = states(np.random.default_rng(0), len(x), model.geometry.n_cell, "fresh")
    return Net(core, model).run(np.ascontiguousarray(x, np.float32), c, h)


def test_the_outputs_of_the_test_models_are_not_all_saturated(core: Core) -> None:
    """Or the tests in this file would prove little."""
    for extreme in (False, True):
        model, rng = small_model(100, extreme), np.random.default_rng(0)
        out = Net(core, model).run(features(rng, 4, model, 10), *states(rng, 4, 100, "fresh"))
        assert len(np.unique(out.c)) > 200
        assert len(np.unique(out.h)) > 60
        assert len(np.unique(out.p)) > 1000
        np.testing.assert_allclose(np.exp(out.p.astype(np.float64)).sum(-1), 1, rtol=1e-5)


# ---- against itself ------------------------------------------------------------------------------


@settings(max_examples=120)
@given(
    width=st.sampled_from(WIDTHS),
    cell=st.sampled_from([None, 1, 17, 48]),
    extreme=st.booleans(),
    n=st.sampled_from(CHANNELS),
    steps=st.integers(1, 9),
    steps_a_call=st.integers(1, 9),
    threads=st.integers(1, 3),
    max_columns=st.sampled_from([16, 17, 32, 100, 256]),
    isa=st.integers(0, 9),
    seed=st.integers(0, 2**16),
    kind=st.sampled_from(["ordinary", "huge", "tiny", "ties"]),
    state=st.sampled_from(["fresh", "random", "limits"]),
)
def test_every_way_to_run_a_channel_gives_the_bits_of_plain_c_and_one_channel(
    core: Core,
    width: int,
    cell: int | None,
    extreme: bool,
    n: int,
    steps: int,
    steps_a_call: int,
    threads: int,
    max_columns: int,
    isa: int,
    seed: int,
    kind: str,
    state: str,
) -> None:
    model, rng = small_model(width, extreme, 11, cell), np.random.default_rng(seed)
    net = Net(core, model)
    x, (c, h) = features(rng, n, model, steps, kind), states(rng, n, cell or width, state)
    got = net.run(
        x,
        c,
        h,
        isa=core.isas[isa % len(core.isas)],
        threads=threads,
        max_columns=max_columns,
        steps_a_call=steps_a_call,
    )
    for j in rng.permutation(n)[:3]:
        alone = net.run(x[j : j + 1], c[j : j + 1], h[j : j + 1], steps_a_call=1)
        assert got.bits(j) == alone.bits(0)


def test_sixteen_channels_give_the_very_bits_that_each_gives_alone(core: Core) -> None:
    model, rng = small_model(100), np.random.default_rng(16)
    net = Net(core, model)
    x, (c, h) = features(rng, 16, model, 12), states(rng, 16, 100)
    for isa in core.isas:
        together = net.run(x, c, h, isa=isa, threads=2)
        for j in range(16):
            assert together.bits(j) == net.run(x[j : j + 1], c[j : j + 1], h[j : j + 1], isa=isa).bits(0)
    assert len({together.bits(j) for j in range(16)}) == 16


def test_a_channel_may_change_its_slot_at_every_step(core: Core) -> None:
    model, rng = small_model(31), np.random.default_rng(3)
    net, steps, k = Net(core, model), 10, 26
    x, (c, h) = features(rng, 5, model, steps), states(rng, 5, 31)
    want = net.run(x, c, h)
    p = np.zeros_like(want.p)
    for s in range(steps):
        order = rng.permutation(5)
        out = net.run(np.ascontiguousarray(x[order, s * k :][:, : 19 * k]), c[order], h[order], isa=core.isas[-1])
        p[order, s] = out.p[:, 0]
        c[order], h[order] = out.c, out.h
    assert Outputs(p, c, h).bits() == want.bits()


def test_states_in_place_give_the_same_as_states_apart(core: Core) -> None:
    model, rng = small_model(29), np.random.default_rng(4)
    net = Net(core, model)
    x, (c, h) = features(rng, 3, model, 4), states(rng, 3, 29)
    want = net.run(x, c, h)
    in_place = Outputs(np.zeros((3, 4, 29), np.float32), c, h)
    assert net.status(x, c, h, in_place, steps=4) == OK
    assert in_place.bits() == want.bits()


def test_windows_apart_give_the_same_as_windows_that_overlap(core: Core) -> None:
    model, rng = small_model(29), np.random.default_rng(6)
    net, steps = Net(core, model), 7
    x, (c, h) = features(rng, 2, model, steps), states(rng, 2, 29)
    want = net.run(x, c, h)
    apart = windows(model, x).reshape(2, steps, -1)
    for gap in (0, 5):
        padded = np.ascontiguousarray(np.pad(apart, ((0, 0), (0, 0), (0, gap)), constant_values=np.nan).reshape(2, -1))
        out = net.empty(2, steps)
        assert net.status(padded, c, h, out, steps=steps, stride=19 * 26 + gap) == OK
        assert out.bits() == want.bits()
    still = net.empty(2, steps)  # a stride of 0: the same window at every step
    assert net.status(x, c, h, still, steps=steps, stride=0) == OK
    assert still.p[:, 0].tobytes() == want.p[:, 0].tobytes() != want.p[:, 1].tobytes()


def test_one_workspace_used_for_many_shapes_keeps_nothing_from_one_call_to_the_next(core: Core) -> None:
    model, rng = small_model(31, True), np.random.default_rng(8)
    net, fresh = Net(core, model), Net(core, model)
    for i in range(40):
        n, steps = int(rng.integers(1, 17)), int(rng.integers(1, 8))
        x, (c, h) = features(rng, n, model, steps, ["huge", "ordinary"][i % 2]), states(rng, n, 31)
        fresh._workspaces.clear()
        how = {"isa": core.isas[i % len(core.isas)], "max_columns": 40}
        assert net.run(x, c, h, **how).bits() == fresh.run(x, c, h, **how).bits()


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel, at", [(0, 0), (1, 493), (2, 494), (2, 19 * 26 + 2 * 26 - 1), (0, 600 - 1 - 54)])
def test_what_is_not_finite_is_refused_and_outputs_stay_as_they_are(
    core: Core, bad: float, channel: int, at: int
) -> None:
    model, rng = small_model(31), np.random.default_rng(1)
    net = Net(core, model)
    x, (c, h) = features(rng, 3, model, 3), states(rng, 3, 31)
    x[channel, at] = bad
    out, before = net.empty(3, 3), net.empty(3, 3).bits()
    for isa in core.isas:
        assert net.status(x, c, h, out, steps=3, isa=isa) == NOT_FINITE
        assert out.bits() == before
    x[channel, at] = 0
    assert net.status(x, c, h, out, steps=3) == OK


def test_what_lies_behind_the_last_window_is_not_looked_at(core: Core) -> None:
    model, rng = small_model(31), np.random.default_rng(1)
    net = Net(core, model)
    x, (c, h) = features(rng, 1, model, 3), states(rng, 1, 31)
    x[0, 19 * 26 + 26 :] = np.nan
    assert net.status(x, c, h, net.empty(1, 3), steps=2) == OK
    assert net.status(x, c, h, net.empty(1, 3), steps=3) == NOT_FINITE


@pytest.mark.parametrize("steps", [0, -1, -(2**31)])
def test_less_than_one_step_is_an_argument_error(core: Core, steps: int) -> None:
    model, rng = small_model(31), np.random.default_rng(1)
    net = Net(core, model)
    assert net.status(features(rng, 1, model, 1), *states(rng, 1, 31), net.empty(1, 1), steps=steps) == ARGUMENT


def test_no_and_seventeen_channels_are_argument_errors(core: Core) -> None:
    net = Net(core, small_model(31))
    channels = core.ffi.new("pynna_channel[17]")
    workspace, _memory = core.workspace(net.model, "ref")
    for n in (0, 17, -1):
        assert core.lib.pynna_step(workspace, core.ffi.NULL, n, 1, channels) == ARGUMENT
    assert core.lib.pynna_step(workspace, core.ffi.NULL, 1, 1, channels) == ARGUMENT  # its pointers are null
