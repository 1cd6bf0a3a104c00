"""A decoded file against a source larger than memory: both are read in slabs along the first axis."""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import full_window
from inrcodec.decoder import Inr
from inrcodec.metrics import SSIM_WINDOW, ssim
from inrcodec.quality import Measured
from inrcodec.sampling import slab_rows, tile_shape
from inrcodec.signals.regions import Regions


def measure_regions(inr: Inr, regions: Regions) -> Measured:
    """PSNR; of pictures SSIM, of numbers the largest error. The figures that `quality.measure` finds of the whole, to rounding."""
    content = regions.content
    n, *others = inr.grid_shape
    row = len(inr.channels) * 8 * math.prod(others)
    rows = min(n, slab_rows(tile_shape(inr.grid_shape, (1,) * len(inr.grid_shape), len(inr.channels))[0], row))
    reach = min(*inr.grid_shape, SSIM_WINDOW) - 1 if content.kind == "image" else 0
    squares = weights = structure = largest = seconds = 0.0
    places = 0
    before: tuple[NDArray[Any], ...] | None = None
    for start in range(0, n, rows):
        window = ((start, min(n, start + rows)), *full_window(others))
        begin = time.monotonic()
        found = _values(inr, inr.decode(region=window))
        seconds += time.monotonic() - begin
        signal = regions.read(window)
        truth = signal.values
        weight = np.ones_like(truth) if signal.weights is None else signal.weights
        apart = np.subtract(found, truth, dtype=np.float64)
        squares += float((apart**2 * weight).sum())
        weights += float(weight.sum(dtype=np.float64))
        if content.dtype is not None:
            span = np.array([c.high - c.low for c in content.channels])
            largest = max(largest, float(np.abs(apart * weight * span).max()))
        if content.kind == "image":
            # Windows that reach over the border of slabs belong to the later one.
            pair = (truth, found)
            held = pair if before is None else tuple(np.concatenate(parts) for parts in zip(before, pair, strict=True))
            if len(held[0]) > reach:
                count = (len(held[0]) - reach) * math.prod(side - reach for side in others)
                structure += ssim(held[0], held[1]) * count
                places += count
            before = tuple(part[max(0, len(part) - reach) :] for part in held)
    error = squares / weights if weights else 0.0
    return Measured(
        psnr=10 * math.log10(1 / error) if error > 0 else math.inf,
        ssim=structure / places if places else None,
        max_error=None if content.dtype is None else largest,
        seconds=seconds,
    )


def _values(inr: Inr, decoded: NDArray[Any]) -> NDArray[Any]:
    """Samples as values in [0, 1]."""
    if "dtype" not in inr.head["out"]:
        return decoded.astype(np.float32) / np.float32(2**inr.bits - 1)
    low = np.array([c.low for c in inr.channels])
    span = np.array([c.high for c in inr.channels]) - low
    return np.asarray((decoded.astype(np.float64) - low) / span)
