# SPDX-License-Identifier: Apache-2.0
"""The MAC array of every instruction set here against NumPy's matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nna_models import with_scales

from pynna.mapping.nna import pack, packed_weights
from pynna.mapping.nna_model import Layer

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
WIDTHS = [1, 2, 3, 4, 5, 15, 16, 17, 29, 31, 64, 100, 494]


class Mac:
    """`pynna_mac` as a function of arrays."""

    def __init__(self, lib: Any, ffi: Any) -> None:
        self.lib, self.ffi = lib, ffi
        names = [ffi.string(lib.pynna_isa_name(i)).decode() for i in range(lib.pynna_isa_count())]
        self.isas = [name for i, name in enumerate(names) if lib.pynna_isa_available(i)]

    def __call__(
        self,
        isa: str,
        weights: Array,
        u: Array,
        *,
        extra_stride: int = 0,
        misalign: int = 0,
        bits: int = 8,
        scales: Array | None = None,
    ) -> Array:
        """int8 [rows, columns] times uint8 [n, columns], int32 [n, rows]; what stands between the columns is noise.

        Of scales [rows, spans], weights are multiples.
        """
        rows, columns = weights.shape
        blocks, groups, n = -(-rows // 16), -(-columns // (32 // bits)) * 8 // bits, len(u)
        padded = np.zeros((blocks * 16, groups * 4), np.int8)
        padded[:rows, :columns] = weights
        packed = pack(padded, bits) if scales is None else self._with_scales(padded, scales)
        sums = padded.sum(1, dtype=np.int32)
        stride = groups * 4 + extra_stride
        memory = np.full(n * stride + misalign + 64, 0xA5, np.uint8)
        for j in range(n):
            memory[misalign + j * stride :][:columns] = u[j]
            memory[misalign + j * stride + columns :][: groups * 4 - columns] = 255  # multiplied by zeros
        acc = np.full((blocks, n, 16), -12345, np.int32)
        status = self.lib.pynna_mac(
            isa.encode(),
            self._pointer("int8_t *", packed),
            bits,
            int(scales is not None),
            self._pointer("int32_t *", sums),
            blocks,
            groups,
            self._pointer("uint8_t *", memory[misalign:]),
            stride,
            n,
            self._pointer("int32_t *", acc),
        )
        assert status == 0
        return acc.swapaxes(0, 1).reshape(n, blocks * 16)[:, :rows]

    def _with_scales(self, padded: Array, scales: Array) -> Array:
        every = np.ones((len(padded), scales.shape[1]), np.int8)
        every[: len(scales)] = scales
        layer = Layer("layer_2", padded, np.zeros(len(padded), np.int32), 1, 1, 1, weight_bits=4, scales=every)
        return packed_weights(layer)

    def _pointer(self, kind: str, array: Array) -> Any:
        return self.ffi.cast(kind, array.ctypes.data)


@pytest.fixture(scope="module")
def mac(lib: Any, ffi: Any) -> Iterator[Mac]:
    return Mac(lib, ffi)


def product(weights: Array, u: Array) -> Array:
    """In float64, which holds every sum exactly, as int32."""
    exact = u.astype(np.float64) @ weights.T.astype(np.float64)
    assert np.abs(exact).max(initial=0) < 2**31
    return exact.astype(np.int32)


def check(mac: Mac, weights: Array, u: Array, **layout: int) -> None:
    want = product(weights, u)
    for isa in mac.isas:
        np.testing.assert_array_equal(mac(isa, weights, u, **layout), want, err_msg=isa)
    coarse = (weights / 16).astype(np.int8) * np.int8(16)  # what 4 bits hold
    want = product(coarse, u)
    for isa in mac.isas:
        np.testing.assert_array_equal(mac(isa, coarse, u, bits=4, **layout), want, err_msg=f"{isa}, 4 bits")
    some, scales = with_scales(np.random.default_rng(len(weights)), weights)
    want = product(some, u)
    for isa in mac.isas:
        got = mac(isa, some, u, bits=4, scales=scales, **layout)
        np.testing.assert_array_equal(got, want, err_msg=f"{isa}, 4 bits with scales")


def test_the_plainest_kernels_are_always_there_and_come_first(mac: Mac) -> None:
    assert mac.isas[0] == "ref"


@pytest.mark.parametrize("n", range(1, 17))
def test_random_sums_of_every_number_of_columns_are_numpys(mac: Mac, n: int) -> None:
    rng = np.random.default_rng(n)
    for rows, columns in zip(WIDTHS, reversed(WIDTHS), strict=True):
        weights = rng.integers(-127, 128, (rows, columns), np.int8)
        check(mac, weights, rng.integers(0, 256, (n, columns), np.uint8))


@pytest.mark.parametrize("rows, columns", [(2048, 2048), (1, 2048), (2048, 1), (31, 494), (29, 2048), (64, 8192)])
@pytest.mark.parametrize("n", [1, 16])
def test_random_sums_of_wide_layers_are_numpys(mac: Mac, rows: int, columns: int, n: int) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.integers(-127, 128, (rows, columns), np.int8)
    check(mac, weights, rng.integers(0, 256, (n, columns), np.uint8))


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 7, 31, 494, 2048, 32768])
@pytest.mark.parametrize("sign", ["+", "-", "+-", "++--", "-++-"])
def test_the_largest_sums_do_not_saturate(mac: Mac, columns: int, sign: str) -> None:
    """vpmaddubsw, tempting on AVX2, fails this one: 255 * 127 * 2 is more than an int16 holds."""
    signs = np.array([1 if s == "+" else -1 for s in sign], np.int8)
    weights = np.tile(np.resize(signs, columns) * np.int8(127), (17, 1))
    check(mac, weights, np.full((3, columns), 255, np.uint8))
    check(mac, weights, np.full((1, columns), 255, np.uint8))


def test_weights_with_scales_are_packed_and_multiplied_as_by_hand(mac: Mac) -> None:
    golden = np.load(GOLDEN / "scaled.npz")
    values, scales = golden["values"], golden["scales"]
    weights = values * np.repeat(scales, 64, axis=1)[:, : values.shape[1]]
    layer = Layer("layer_2", weights, np.zeros(len(weights), np.int32), 1, 1, 1, weight_bits=4, scales=scales)
    np.testing.assert_array_equal(packed_weights(layer).ravel(), golden["packed"])
    for isa in mac.isas:
        np.testing.assert_array_equal(mac(isa, weights, golden["u"], bits=4, scales=scales), golden["sums"], isa)


def test_zeros_give_zeros_whatever_stood_in_the_result(mac: Mac) -> None:
    rng = np.random.default_rng(0)
    check(mac, np.zeros((33, 31), np.int8), rng.integers(0, 256, (5, 31), np.uint8))
    check(mac, rng.integers(-127, 128, (33, 31), np.int8), np.zeros((5, 31), np.uint8))


@pytest.mark.parametrize("isa_index", range(3))
def test_each_weight_meets_its_own_activation(mac: Mac, isa_index: int) -> None:
    """One weight at a time, so that no two errors cancel out."""
    isa = mac.isas[min(isa_index, len(mac.isas) - 1)]
    u = np.arange(1, 12, dtype=np.uint8).reshape(1, 11) * np.array([[1], [20]], np.uint8)
    for r in range(18):
        for k in range(11):
            weights = np.zeros((18, 11), np.int8)
            weights[r, k] = -3
            np.testing.assert_array_equal(mac(isa, weights, u), product(weights, u))


def test_without_columns_every_sum_is_zero(mac: Mac) -> None:
    for isa in mac.isas:
        assert not mac(isa, np.zeros((20, 0), np.int8), np.zeros((4, 0), np.uint8)).any()


@settings(max_examples=150)
@given(
    data=st.data(),
    rows=st.integers(1, 90),
    columns=st.integers(1, 130),
    n=st.integers(1, 16),
    extra=st.integers(0, 67),
    misalign=st.integers(0, 63),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_stride_and_alignment_gives_numpys_sums(
    mac: Mac, data: Any, rows: int, columns: int, n: int, extra: int, misalign: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kind = data.draw(st.sampled_from(["random", "extreme", "sparse"]))
    weights = rng.integers(-127, 128, (rows, columns), np.int8)
    u = rng.integers(0, 256, (n, columns), np.uint8)
    if kind == "extreme":
        weights, u = np.where(weights < 0, np.int8(-127), np.int8(127)), np.where(u < 16, np.uint8(0), np.uint8(255))
    elif kind == "sparse":
        weights[rng.random(weights.shape) < 0.9] = 0
    check(mac, weights, u, extra_stride=extra, misalign=misalign)
