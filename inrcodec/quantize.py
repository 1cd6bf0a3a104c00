"""Uniform quantization with steps from a fixed table: symbols and step codes <-> float32 (spec section "Quantization")."""

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec

MAX_SYMBOL = 1 << 24  # the largest integer whose neighbours float32 still tells apart


def steps(codes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Step of each code: STEP_MANTISSAS[code mod 8] * 2^(code div 8 - 23), exact in float32."""
    wide = np.asarray(codes, dtype=np.int64)
    mantissas = np.array(spec.STEP_MANTISSAS, dtype=np.float32)
    result: NDArray[np.float32] = np.ldexp(mantissas[wide & 7], ((wide >> 3) - 23).astype(np.int32)).astype(np.float32)
    return result


def nearest_step_codes(values: NDArray[np.floating]) -> NDArray[np.int8]:
    """The codes whose steps are nearest, in ratio, to positive `values`."""
    codes = np.rint(8 * np.log2(np.maximum(np.asarray(values, dtype=np.float64), 1e-30)))
    clipped: NDArray[np.int8] = np.clip(codes, spec.STEP_CODE_MIN, spec.STEP_CODE_MAX).astype(np.int8)
    return clipped


def quantize(values: NDArray[np.float32], codes: NDArray[np.integer], axis: int, *, inward: float = 0.0) -> NDArray[np.int32]:
    """Nearest symbols, halves to even; one code for the whole tensor (axis -1) or one per index of `axis`.

    inward: of the symbols that are not 0 the share that becomes smaller by one, those that hardly are as large as they are.
    """
    scaled = values.astype(np.float64) / _along(steps(codes), values.ndim, axis).astype(np.float64)
    symbols = np.clip(np.rint(scaled), -MAX_SYMBOL, MAX_SYMBOL).astype(np.int32)
    some = symbols != 0
    if inward > 0 and some.any():
        beyond = np.abs(scaled[some]) - np.abs(symbols[some])
        symbols[some] -= np.sign(symbols[some]) * (beyond < np.quantile(beyond, inward)).astype(np.int32)
    return symbols


def dequantize(symbols: NDArray[np.integer], codes: NDArray[np.integer], axis: int) -> NDArray[np.float32]:
    """f32(symbol) * f32(step), one float32 product: the same bits on every machine."""
    values = symbols.astype(np.float32)
    values *= _along(steps(codes), symbols.ndim, axis)
    return values


def _along(values: NDArray[np.float32], ndim: int, axis: int) -> NDArray[np.float32]:
    return values.reshape([-1 if k == axis else 1 for k in range(ndim)])
