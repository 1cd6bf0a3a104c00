"""Steps are exact, symbols are the nearest, values are one float32 product."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inrcodec import spec
from inrcodec.quantize import MAX_SYMBOL, dequantize, nearest_step_codes, quantize, steps

ALL_CODES = np.arange(spec.STEP_CODE_MIN, spec.STEP_CODE_MAX + 1)


def test_steps_are_the_exact_fractions_of_the_table() -> None:
    found = steps(ALL_CODES)
    assert found.dtype == np.float32
    for code, step in zip(ALL_CODES.tolist(), found.tolist(), strict=True):
        exact = Fraction(spec.STEP_MANTISSAS[code % 8], 1 << 23) * Fraction(2) ** (code // 8)
        assert Fraction(step) == exact, code
    assert steps(np.array([0, -8, 8], np.int8)).tolist() == [1.0, 0.5, 2.0]


def test_mantissas_are_the_rounded_roots() -> None:
    assert list(spec.STEP_MANTISSAS) == [round(2 ** (i / 8) * 2**23) for i in range(8)]


def test_every_step_is_nearest_to_itself_and_the_ends_are_kept() -> None:
    assert nearest_step_codes(steps(ALL_CODES)).tolist() == ALL_CODES.tolist()
    assert nearest_step_codes(np.array([0.0, 1e-30, 1e30, 1.04, 1.05])).tolist() == [-128, -128, 127, 0, 1]


def test_halves_go_to_even() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999998], np.float32)
    assert quantize(values, np.array([0]), -1).tolist() == [0, 2, 2, 0, -2, 2]


def test_symbols_are_clipped() -> None:
    values = np.array([1e30, -1e30, 2.0**24, 3.0], np.float32)
    assert quantize(values, np.array([0]), -1).tolist() == [MAX_SYMBOL, -MAX_SYMBOL, MAX_SYMBOL, 3]


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_one_code_per_index_of_the_axis(axis: int) -> None:
    rng = np.random.default_rng(axis + 1)
    shape = (3, 4, 5)
    values = rng.normal(size=shape).astype(np.float32)
    codes = rng.integers(-60, -20, shape[axis] if axis >= 0 else 1).astype(np.int8)
    symbols = quantize(values, codes, axis)
    found = dequantize(symbols, codes, axis)
    assert (symbols.shape, symbols.dtype, found.shape, found.dtype) == (shape, np.int32, shape, np.float32)
    for index in np.ndindex(shape):
        step = steps(codes)[index[axis] if axis >= 0 else 0]
        assert found[index] == np.float32(symbols[index]) * step
        assert abs(float(values[index]) - float(found[index])) <= float(step) * 0.500001


@given(
    st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20),
    st.integers(spec.STEP_CODE_MIN, spec.STEP_CODE_MAX),
)
def test_quantized_values_stay_where_they_are(values: list[float], code: int) -> None:
    codes = np.array([code], np.int8)
    once = dequantize(quantize(np.array(values, np.float32), codes, -1), codes, -1)
    again = dequantize(quantize(once, codes, -1), codes, -1)
    assert again.tobytes() == once.tobytes()


def test_symbols_beyond_float32_round_to_even() -> None:
    symbols = np.array([(1 << 24) + 1, (1 << 24) + 3, -(1 << 31)], np.int32)
    assert dequantize(symbols, np.array([0], np.int8), -1).tolist() == [float(1 << 24), float((1 << 24) + 4), -float(1 << 31)]


def test_golden_values() -> None:
    codes = np.array([-45, 3], np.int8)
    found = dequantize(np.array([[7, -1], [7, -1]], np.int32), codes, 0)
    assert found.astype("<f4").tobytes().hex() == "fc3e113ed7fea5bcfc3e1141d7fea5bf"
