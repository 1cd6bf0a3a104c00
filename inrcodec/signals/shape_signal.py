"""A shape as something to encode: its box, and what the distances in it mean.

Distances are a function of the normalised box [-0.5, 0.5]^3; the axes are z, y, x, as those of a volume, so that a grid of decoded
distances is a volume in the world of the source.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.mesh import winding_numbers
from inrcodec.signals.base import Axis, Channel, Content, Space
from inrcodec.signals.shape import Shape, read_shape
from inrcodec.signals.shape_samples import SdfSampler

PROTOCOLS = ("default", "finer")
SAMPLES = 256  # nominal, per axis
_HALF_WIDTH = {"default": 1.0, "finer": 0.5}  # of the axes: FINER gives the network the normalised coordinates themselves
IOU_GRID = 128  # points per axis at which a decoded shape is compared with its source
PROBES = 1 << 16
_COARSE = 9  # points per axis that bound the largest distance


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeSignal(Content):
    """A shape to encode.

    protocol  "default": mesh distances of points near the surface and in the box; "finer": the sampling, targets and loss of FINER
    reach     no point of the box is farther from the surface, in sides of the box
    """

    shape: Shape
    protocol: str
    reach: float

    @cached_property
    def sampler(self) -> SdfSampler:
        return SdfSampler(self.shape)

    def coordinates(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network coordinates (n, 3), in the order of the axes, of normalised points (n, 3), x first."""
        return np.ascontiguousarray(points[:, ::-1]) * (self.axes[0].hi - self.axes[0].lo)

    @cached_property
    def probes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """PROBES points (n, 3) even in the box, normalised, the same for every shape, and their signed distances (n,)."""
        points = np.random.default_rng(0).uniform(-0.5, 0.5, (PROBES, 3))
        return points, self.sampler.signed_distance(points)

    @cached_property
    def inside_grid(self) -> NDArray[np.bool_]:
        """Which of IOU_GRID^3 points of the box, both ends among them and in the order of the axes, are inside the mesh."""
        axis = np.linspace(-0.5, 0.5, IOU_GRID)
        low, high = self.shape.vertices.min(axis=0)[::-1], self.shape.vertices.max(axis=0)[::-1]
        near = [slice(*np.searchsorted(axis, [a, b])) for a, b in zip(low, high, strict=True)]
        result = np.zeros((IOU_GRID,) * 3, bool)
        points = np.stack(np.meshgrid(*(axis[part] for part in near), indexing="ij"), axis=-1)
        numbers = winding_numbers(self.shape.mesh, points.reshape(-1, 3)[:, ::-1])
        result[tuple(near)] = (numbers > 0.5).reshape(points.shape[:3])
        return result

    def with_samples(self, n: int) -> "ShapeSignal":
        """The same with n nominal samples per axis. Raises UsageError below 2."""
        if not 2 <= n <= 1 << 16:
            raise UsageError(f"nominal: expected 2..65536 samples per axis, got {n}")
        units = "" if self.space is None else self.space.units
        return replace(self, axes=tuple(replace(axis, n=n) for axis in self.axes), space=_space(self.shape, n, units))


def read_shape_signal(
    data: bytes,
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    strip: bool = False,
    protocol: str = "default",
    sign: str = "winding",
) -> ShapeSignal:
    """The shape in a file, normalised as `protocol` wants; `sign` as in read_shape. Raises what read_shape raises."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol}")
    shape = read_shape(data, name, limits=limits, sign=sign, normalise="finer" if protocol == "finer" else "box")
    return shape_signal(shape, protocol=protocol, units="m" if data.startswith(b"glTF") else "")


def shape_signal(shape: Shape, *, protocol: str = "default", units: str = "") -> ShapeSignal:
    """The signal of a shape that is normalised as `protocol` wants."""
    reach = _reach(shape)
    side = _HALF_WIDTH[protocol]
    return ShapeSignal(
        kind="shape",
        axes=tuple(Axis(axis, SAMPLES, -side, side) for axis in "zyx"),
        channels=(Channel("distance", "sdf", -reach / shape.scale, reach / shape.scale),),
        bits=16,
        dtype="float32",
        space=_space(shape, SAMPLES, units),
        source=shape.name,
        digest=shape.digest,
        notes=shape.notes,
        shape=shape,
        protocol=protocol,
        reach=reach,
    )


def protocol_of(bounds: Sequence[tuple[float, float]]) -> str:
    """The protocol whose axes lie between `bounds` (lo, hi) per axis."""
    return next((name for name, side in _HALF_WIDTH.items() if bounds[0] == (-side, side)), PROTOCOLS[0])


def _space(shape: Shape, n: int, units: str) -> Space:
    """Sample i of n lies at (i + 0.5) / n - 0.5 of the box, and the box at (box - shift) / scale in the source."""
    step = 1 / (n * shape.scale)
    first = ((0.5 / n - 0.5) - shape.shift) / shape.scale
    affine = np.zeros((4, 4))
    affine[[0, 1, 2], [2, 1, 0]] = step
    affine[:3, 3] = first
    affine[3, 3] = 1.0
    return Space((step,) * 3, tuple(float(number) for number in affine.reshape(-1)), units)


def _reach(shape: Shape) -> float:
    """A bound of the distances in the box, from a few: they change by at most as much as the place does."""
    axis = np.linspace(-0.5, 0.5, _COARSE)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    largest = float(np.abs(SdfSampler(shape).signed_distance(points)).max())
    return largest + 0.5 * math.sqrt(3) / (_COARSE - 1)
