"""Units in which points of a file are given: where they are on its axes.

domain  coordinates of the axes, [-1, 1] unless the file says otherwise
pixel   nominal samples: i is the middle of sample i, so that an axis of n samples reaches from -1/2 to n - 1/2
world   what the file's affine maps nominal samples to, in its order and units

Points have their axes in array order, slowest first; those of the world have the order of the affine's rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Points, points_of
from inrcodec.described import Described
from inrcodec.errors import UsageError

Floats = NDArray[np.float64]
UNITS = ("domain", "pixel", "world")


@dataclass(frozen=True, eq=False)
class Place:
    """From points p in some units to coordinates: x = matrix p + offset; None is the identity."""

    d: int
    linear: tuple[Floats, Floats] | None = None  # (d, d), (d,)

    def points(self, points: Any) -> Points:
        """Coordinates of points (n, d) or (d,). Raises UsageError for other shapes and what is not finite."""
        given = points_of(points, self.d)
        return given if self.linear is None else Points(given.values @ self.linear[0].T + self.linear[1])

    def slopes(self, slopes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Derivatives (n, c, d) by these units from those by coordinates."""
        if self.linear is None:
            return slopes
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(slopes.astype(np.float64) @ self.linear[0], dtype=np.float32)


def place_of(described: Described, units: str) -> Place:
    """How a file's points are given in `units`. Raises UsageError for unknown ones, and for world where the file states none."""
    d = len(described.grid_shape)
    if units == "domain":
        return Place(d)
    if units not in UNITS:
        raise UsageError(f"units: expected one of {', '.join(UNITS)}, got {units!r}")
    n = np.array(described.grid_shape, dtype=np.float64)
    lo, hi = np.array(described.bounds, dtype=np.float64).T
    step = (hi - lo) / n
    if units == "pixel":
        return Place(d, (np.diag(step), lo + 0.5 * step))
    space = described.space
    if space is None or space.affine is None or len(space.affine) != (d + 1) ** 2:
        raise UsageError(f"units: world needs a file with an affine over its {d} axes, got {described.head['kind']} without")
    affine = np.reshape(space.affine, (d + 1, d + 1))
    try:
        matrix = step[:, None] * np.linalg.inv(affine[:d, :d])
    except np.linalg.LinAlgError as error:
        raise UsageError("units: world needs an affine that can be inverted, got a singular one") from error
    return Place(d, (matrix, lo + 0.5 * step - matrix @ affine[:d, d]))


def place_names(described: Described, units: str) -> tuple[str, ...]:
    """What the components of points in `units` are called."""
    names = tuple(axis.name for axis in described.axes)
    if units != "world" or described.head["kind"] == "field":
        return names
    return ("x", "y", "z")[: len(names)]


def outside(points: Points, bounds: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Which points (n, d) lie beyond the borders (lo, hi) of their axes, by more than rounding: (n,)."""
    lo, hi = np.array(bounds, dtype=np.float64).T
    slack = 1e-9 * (hi - lo)
    return np.asarray(((points.values < lo - slack) | (points.values > hi + slack)).any(axis=1))
