"""Colours under alpha 0: they do not matter, and are replaced by the mean of the others."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def visible_counts(codes: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """How often each code of `bits` bits stands in each colour of codes (h, w, c), alpha last, where alpha is not 0: (c - 1, 2^bits)."""
    visible = codes[..., -1] != 0
    return np.stack([np.bincount(codes[..., k][visible], minlength=1 << bits) for k in range(codes.shape[-1] - 1)])


def mean_color(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The mean value (c - 1) of the colours counted by `visible_counts`, 0 where there are none; no order of samples changes it."""
    values = np.arange(counts.shape[1], dtype=np.float32) / np.float32(counts.shape[1] - 1)
    numbers = counts * values.astype(np.float64)
    return np.array([math.fsum(row) / max(1, int(n)) for row, n in zip(numbers, counts.sum(axis=1), strict=True)], np.float32)


def hide(values: NDArray[np.float32], color: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Give what lies under alpha 0 in values (h, w, c) this colour, in place; the weights, None where nothing does."""
    hidden = values[..., -1] == 0
    if not hidden.any():
        return None
    weights = np.ones_like(values)
    weights[hidden, :-1] = 0
    values[hidden, :-1] = color
    return weights
