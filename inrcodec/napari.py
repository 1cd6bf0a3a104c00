"""What napari shows of an .inr file: grids of several scales that are evaluated where they are looked at, and surfaces of shapes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.decoder import Inr
from inrcodec.errors import InrError
from inrcodec.lazy import LazyGrid
from inrcodec.opening import open_inr

Layer = tuple[Any, dict[str, Any], str]
SCALES = (8, 4, 2, 1, 0.5, 0.25)
RESOLUTION = 128  # of surfaces


@dataclass(frozen=True, eq=False)
class Plane:
    """One channel of a grid, as an array over its axes."""

    grid: LazyGrid
    channel: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.grid.shape[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.grid.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.grid.size // self.grid.shape[-1]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        return self.grid[(*parts, *(() if Ellipsis in parts else (Ellipsis,)), self.channel)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.grid.__array__(dtype, copy)[..., self.channel]


def get_reader(path: Any) -> Callable[[str], list[Layer]] | None:
    """napari's reader of a path, or None for what is no readable .inr, a list of paths, or sound."""
    if not isinstance(path, str) or not path.lower().endswith(".inr"):
        return None
    try:
        return None if open_inr(path).head["kind"] == "audio" else read
    except InrError:
        return None


def read(path: str) -> list[Layer]:
    """Layers (data, options, type) of a file: an image of several scales, one per channel unless it has colours; a shape's surface."""
    inr, name = open_inr(path), os.path.splitext(os.path.basename(path))[0]
    if inr.head["kind"] == "shape":
        surface = inr.mesh(resolution=RESOLUTION)
        # napari's axes are z, y, x, in which the same order of corners turns the other way.
        return [((surface.vertices[:, ::-1], surface.faces[:, ::-1]), {"name": name}, "surface")]
    grids = [inr.grid(scale=scale) for scale in SCALES if scale <= 1 or inr.head["kind"] == "image"]
    options: dict[str, Any] = {"name": name, "multiscale": True, "scale": _steps(inr, grids[0].shape[:-1])}
    if grids[0].shape[-1] in (3, 4) and all(c.role in ("color", "alpha") for c in inr.channels) and grids[0].dtype == np.uint8:
        return [(grids, {**options, "rgb": True}, "image")]
    return [
        ([Plane(grid, k) for grid in grids], {**options, "name": name if len(inr.channels) == 1 else f"{name} {channel.name}"}, "image")
        for k, channel in enumerate(inr.channels)
    ]


def _steps(inr: Inr, shape: tuple[int, ...]) -> tuple[float, ...]:
    """Distance of neighbouring samples of a grid of `shape`, in the units of the file, 1 where it has none."""
    spacing = (0.0,) * len(shape) if inr.space is None else inr.space.spacing
    return tuple((step if step > 0 else 1.0) * n / m for step, n, m in zip(spacing, inr.grid_shape, shape, strict=True))
