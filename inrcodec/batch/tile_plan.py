"""How a large signal is encoded in tiles: where it is cut, what the network is for, what bytes each tile may take."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from inrcodec.batch.options import EncodeOptions, digest
from inrcodec.cutting import LEAST_SIDE, Detail, cut, estimate, usual_overlap
from inrcodec.errors import UsageError
from inrcodec.signals.base import Metadata, Signal
from inrcodec.signals.regions import Regions
from inrcodec.tiling import Tiling, tiling

if TYPE_CHECKING:
    from inrcodec.fit.request import Part

SIZE_SHARE = 0.985  # of a target of bytes that tiles may take; the rest is for the index and what belongs to the whole


@dataclass(frozen=True, eq=False)
class TilePlan:
    """How a signal is cut, what the network is for, and the bytes of every tile where a target shares them out."""

    tiling: Tiling
    side: int
    part: "Part"
    sizes: tuple[int, ...] | None
    key: str

    @property
    def count(self) -> int:
        return len(self.tiling.boxes)


def check_options(options: EncodeOptions, side: int) -> None:
    """Raise UsageError for what cannot be asked of tiles."""
    if side < LEAST_SIDE:
        raise UsageError(f"--tile: expected at least {LEAST_SIDE} samples, got {side}")
    refused = {
        "max-error": options.max_error,
        "lossless": options.lossless,
        "start": options.start,
        "stop": options.stop,
        "protocol": options.protocol,
        "time-limit": options.time_limit,
    }
    for name, value in refused.items():
        if value not in (None, False):
            raise UsageError(f"--{name}: not with --tile")


def planned(regions: Regions, options: EncodeOptions, side: int) -> TilePlan:
    """The plan of an encode in tiles of about `side` samples, from one pass over the samples. Raises UsageError, InputError."""
    from inrcodec.fit.presets import DEFAULT_QUALITY, lam_of_quality
    from inrcodec.fit.request import Part
    from inrcodec.fit.spectrum import detail

    content = regions.content
    shape = tuple(axis.n for axis in content.axes)
    # The mean squared error at which a bit is worth what the rate says: D falls by 2 ln 2 D a bit.
    lam = lam_of_quality(DEFAULT_QUALITY if options.quality is None else options.quality)
    distortion = lam / (2 * math.log(2)) if options.psnr is None else 10 ** (-options.psnr / 10)
    found = estimate(shape, lambda box: regions.read(box).values, distortion)
    root = cut(found, side)
    overlap = tuple(usual_overlap(side) if n > side else 2 for n in shape)
    tiles = tiling(shape, [(axis.lo, axis.hi) for axis in content.axes], overlap, root)
    nominal = tuple(min(n, side) + v for n, v in zip(shape, overlap, strict=True))
    target = options.size if options.bpp is None else int(options.bpp * math.prod(shape) / 8)
    sizes = None if target is None else _shared_out(int(SIZE_SHARE * target), found, tiles)
    fine = None
    if content.kind in ("volume", "field"):
        richest = max(tiles.boxes, key=found.of)
        some = regions.read([(a, min(b, a + side)) for a, b in richest])
        fine = detail(some.values, some.weights, None if sizes is None else sum(sizes) // len(sizes))
    part = Part(shape=nominal, detail=fine, size=None if sizes is None else sum(sizes) // len(sizes))
    told = [content.digest, digest(options), [list(map(list, box)) for box in tiles.boxes], overlap, sizes]
    return TilePlan(tiles, side, part, sizes, hashlib.sha256(json.dumps(told).encode()).hexdigest())


def _shared_out(target: int, found: Detail, tiles: Tiling) -> tuple[int, ...]:
    """Bytes for every tile: what its samples are estimated to be worth, and some for its network."""
    worth = np.array([found.of(box) for box in tiles.boxes]) + 1e-9
    least = 0.1 * target / len(worth)
    return tuple(int(least + (target - least * len(worth)) * share) for share in worth / worth.sum())


def tile_signal(regions: Regions, tiles: Tiling, number: int) -> Signal:
    """What the network of a tile is fitted to: its box and half the overlap around it, beyond the signal mirrored."""
    box = tiles.boxes[number]
    wanted = [(a - v // 2, b + v // 2) for (a, b), v in zip(box, tiles.overlap, strict=True)]
    within = [(max(0, a), min(n, b)) for (a, b), n in zip(wanted, tiles.shape, strict=True)]
    found = regions.read(within)
    around = [(s - a, b - e) for (a, b), (s, e) in zip(wanted, within, strict=True)] + [(0, 0)]
    values = np.pad(found.values, around, mode="symmetric")
    weights = None if found.weights is None else np.pad(found.weights, around, mode="symmetric")
    axes = tuple(replace(axis, n=b - a, lo=-1.0, hi=1.0) for axis, (a, b) in zip(found.axes, wanted, strict=True))
    return replace(found, axes=axes, values=values, weights=weights, samples=None, space=None, metadata=Metadata(), notes=())
