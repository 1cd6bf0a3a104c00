"""Steps and symbols: exact on the decoding side."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inrcodec import spec
from inrcodec.quantize import MAX_SYMBOL, dequantize, nearest_step_codes, quantize, steps

CODES = np.arange(spec.STEP_CODE_MIN, spec.STEP_CODE_MAX + 1)


def test_steps_are_eighths_of_octaves() -> None:
    found = steps(CODES)
    assert found.dtype == np.float32 and (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, 2.0 ** (CODES / 8), rtol=1e-7)
    assert steps(np.array([0]))[0] == 1.0 and steps(np.array([-16]))[0] == 0.25
    assert steps(np.array([1]))[0] == np.float32(2 ** (1 / 8))


def test_nearest_codes_invert_steps_and_clip() -> None:
    assert (nearest_step_codes(steps(CODES)) == CODES).all()
    assert nearest_step_codes(np.array([0.0, 1e30])).tolist() == [spec.STEP_CODE_MIN, spec.STEP_CODE_MAX]


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), st.integers(-60, 20))
def test_error_is_at_most_half_a_step(values: list[float], code: int) -> None:
    array = np.array(values, np.float32)
    codes = np.array([code])
    step = float(steps(codes)[0])
    found = dequantize(quantize(array, codes, -1), codes, -1)
    assert found.dtype == np.float32
    assert (np.abs(found.astype(np.float64) - array) <= step / 2 * (1 + 1e-6) + 1e-5).all()


def test_halves_go_to_even_and_huge_values_are_clipped() -> None:
    codes = np.array([0])
    assert quantize(np.array([0.5, 1.5, -0.5, 2.5], np.float32), codes, -1).tolist() == [0, 2, 0, 2]
    assert quantize(np.array([1e12, -1e12], np.float32), codes, -1).tolist() == [MAX_SYMBOL, -MAX_SYMBOL]


def test_codes_follow_the_axis() -> None:
    symbols = np.ones((2, 3), np.int32)
    assert dequantize(symbols, np.array([0, 8]), 0).tolist() == [[1, 1, 1], [2, 2, 2]]
    assert dequantize(symbols, np.array([0, 8, 16]), 1).tolist() == [[1, 2, 4], [1, 2, 4]]
    assert dequantize(symbols, np.array([-8]), -1).tolist() == [[0.5] * 3] * 2


def test_golden_products() -> None:
    """One float32 product: the bits of value = symbol * step."""
    assert dequantize(np.array([1, -3, 7, 1000]), np.array([-37]), -1).tobytes().hex() == "d7fe253d42fef8bdfc3e913ede1a2242"
