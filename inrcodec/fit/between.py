"""What lies between the samples of a picture: targets that keep a fitted function smooth there.

Samples are taken for means over their cells. Along an axis the curve is the quadratic spline with these means: the derivative of the
cubic spline through the cumulative sums.
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
POLE = math.sqrt(3.0) - 2.0
TAPS = 12  # on each side: the pole to this power is below 2e-7


def doubled(values: Array) -> Array:
    """Means over the half cells of `values` (*axes, c): (2 * axes, c). Those of a cell have its sample as their mean."""
    for axis in range(values.ndim - 1):
        values = _doubled_along(values, axis)
    return values


def _doubled_along(values: Array, axis: int) -> Array:
    a = np.moveaxis(values, axis, 0)
    n = len(a)
    # Mirrored at the borders, as often as the filter reaches.
    reach = np.arange(-TAPS - 1, n + TAPS + 1) % (2 * n)
    mirrored = a[np.where(reach < n, reach, 2 * n - 1 - reach)]
    sums = 3 * (mirrored[1:] + mirrored[:-1])
    # The spline's values m at the borders of cells solve m[i - 1] + 4 m[i] + m[i + 1] = 3 (a[i - 1] + a[i]).
    kernel = [POLE ** abs(k) / (2 * math.sqrt(3.0)) for k in range(-TAPS, TAPS + 1)]
    m = np.sum([np.float32(weight) * sums[k : k + n + 1] for k, weight in enumerate(kernel)], axis=0)
    slope = (m[1:] - m[:-1]) * np.float32(0.25)
    both = np.stack([a - slope, a + slope], axis=1).reshape(2 * n, *a.shape[1:])
    return np.moveaxis(both, 0, axis)
