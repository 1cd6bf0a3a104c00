"""The learned masks of a network as grey pictures."""

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import sample_centres
from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded
from inrcodec.sampling import region_grid
from inrcodec.serve.planes import Box, Plane
from inrcodec.serve.problems import Refused

ROWS_OF = 1 << 16  # samples at a time


def mask_count(inr: Inr) -> int:
    return int(getattr(inr.function.config, "masks", 0))


def mask_codes(inr: Inr, plane: Plane, box: Box, size: tuple[int, int], k: int, *, work: int) -> NDArray[np.uint8]:
    """The k-th mask at the middles of the samples of a part at a size (width, height): (height, width, 1), 255 for 1.

    Raises Refused (404) where there is none, LimitExceeded for more than so much work.
    """
    if not 0 <= k < mask_count(inr):
        raise Refused(404, f"masks: expected one of the file's {mask_count(inr)}, got {k}")
    w, h = size
    if inr.function.work(w * h) > work:
        raise LimitExceeded(f"masks: {inr.function.work(w * h):.3g} multiply-accumulates: expected at most {work:.3g}")
    shape = tuple(plane.spread(h, w, 1))
    grid = region_grid(plane.region(box), shape, plane.shape, inr.bounds, 1)
    axes = [sample_centres(m, lo, hi) for m, (lo, hi) in zip(shape, grid.bounds, strict=True)]
    first = plane.cuts.index(None)
    rows = max(1, ROWS_OF // w)
    codes = np.empty((h, w, 1), np.uint8)
    for start, stop in ((at, min(h, at + rows)) for at in range(0, h, rows)):
        part = [axis[start:stop] if number == first else axis for number, axis in enumerate(axes)]
        values = inr.modulation(*part)
        assert values is not None
        codes[start:stop] = np.floor(values.reshape(stop - start, w, -1)[..., k : k + 1] * 255 + 0.5)
    return codes
