"""What lies between the samples of a picture: targets that keep a fitted function smooth there.

A sample is the mean over its cell, and the value at its centre. Splines can have one or the other: along an axis, the quadratic one that
has these means (the derivative of the cubic spline through the cumulative sums) gives the means of half cells, the cubic one through
the samples gives values a quarter of a cell from the centre. The first is the sharper and nearer to finer pictures, the second is what
a smooth function through the samples can follow. Targets are nearer to the first: all but a trace of what it gains (0.4 dB over the
second, on photographs), and too little that the samples would have to give up for it to show.
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
POLE = math.sqrt(3.0) - 2.0
SHARP = np.float32(0.8)  # part of the half cells' means in the targets
TAPS = 12  # on each side: the pole to this power is below 2e-7


def doubled(values: Array) -> Array:
    """Targets at the centres of the half cells of `values` (*axes, c): (2 * axes, c)."""
    for axis in range(values.ndim - 1):
        along = np.moveaxis(values, axis, 0)
        values = np.moveaxis(SHARP * half_means(along) + (1 - SHARP) * quarter_values(along), 0, axis)
    return values


def half_means(a: Array) -> Array:
    """Means over the half cells of the quadratic spline with the means a (n, ...): (2 n, ...)."""
    n = len(a)
    mirrored = _mirrored(a, TAPS + 1)
    # The spline's values m at the borders of cells solve m[i - 1] + 4 m[i] + m[i + 1] = 3 (a[i - 1] + a[i]).
    m = _solved(3 * (mirrored[1:] + mirrored[:-1]), n + 1)
    slope = (m[1:] - m[:-1]) * np.float32(0.25)
    return _interleaved(a - slope, a + slope)


def quarter_values(a: Array) -> Array:
    """Values of the cubic spline through a (n, ...), a quarter of a cell before and after each: (2 n, ...)."""
    n, t = len(a), 0.25
    # The spline's coefficients s solve s[i - 1] + 4 s[i] + s[i + 1] = 6 a[i].
    s = _solved(6 * _mirrored(a, TAPS + 2), n + 4)
    weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3, t**3)
    after = np.sum([np.float32(w / 6) * s[1 + k : 1 + k + n] for k, w in enumerate(weights)], axis=0)
    before = np.sum([np.float32(w / 6) * s[3 - k : 3 - k + n] for k, w in enumerate(weights)], axis=0)
    return _interleaved(before, after)


def _mirrored(a: Array, reach: int) -> Array:
    """`a` (n, ...) mirrored at its borders, as often as needed: (n + 2 reach, ...)."""
    n = len(a)
    index = np.arange(-reach, n + reach) % (2 * n)
    return a[np.where(index < n, index, 2 * n - 1 - index)]


def _solved(b: Array, n: int) -> Array:
    """x (n, ...) with x[i - 1] + 4 x[i] + x[i + 1] = b[i + TAPS], by the inverse as a filter."""
    kernel = [POLE ** abs(k) / (2 * math.sqrt(3.0)) for k in range(-TAPS, TAPS + 1)]
    result: Array = np.sum([np.float32(weight) * b[k : k + n] for k, weight in enumerate(kernel)], axis=0)
    return result


def _interleaved(before: Array, after: Array) -> Array:
    return np.stack([before, after], axis=1).reshape(2 * len(before), *before.shape[1:])
