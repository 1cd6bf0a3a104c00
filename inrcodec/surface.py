"""The surface of a decoded shape, as a mesh in the coordinates of its source."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.files import write_atomic
from inrcodec.head import borders
from inrcodec.mesh import extract, write_mesh

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles where a decoded distance is zero.

    vertices   (v, 3) float64, source coordinates x, y, z
    faces      (f, 3) int64, counter-clockwise seen from outside
    normals    (v, 3) float64, unit length, outward: the exact gradient of the distance
    evaluated  points of the function that were needed
    """

    vertices: Points
    faces: NDArray[np.int64]
    normals: Points
    evaluated: int

    def to_bytes(self, suffix: str) -> bytes:
        """The mesh file of that suffix (".ply", ".stl", ".glb", ".obj", ".off"); raises UsageError for another, or without faces."""
        if len(self.faces) == 0:
            raise UsageError("mesh: expected a surface, found none: the decoded distance has one sign in the whole box")
        return write_mesh(self.vertices, self.faces, self.normals, suffix)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write the file atomically, in the format of its suffix. Raises UsageError as `to_bytes`, and if it exists and is not to be
        overwritten."""
        write_atomic(path, self.to_bytes(Path(path).suffix.lower()), overwrite=overwrite)


def check_shape(head: Mapping[str, Any]) -> None:
    """Raise UsageError unless the file holds a shape."""
    if head["kind"] != "shape":
        raise UsageError(f"mesh: expected an .inr of a shape, got one of kind {head['kind']}")


@dataclass(frozen=True, eq=False)
class Box:
    """From the box [-0.5, 0.5]^3, in the order of a shape's axes, to its network coordinates and to the world."""

    lo: Points  # (3,)
    width: Points  # (3,)
    matrix: Points  # (3, 3), box to world
    origin: Points  # (3,)

    @property
    def side(self) -> float:
        """Of the box, in units of the world."""
        return float(np.cbrt(abs(np.linalg.det(self.matrix))))

    def coordinates(self, box: Points) -> Points:
        return np.asarray(self.lo + (box + 0.5) * self.width)


def box_of(head: Mapping[str, Any]) -> Box:
    """The box of a file; raises UsageError for one that is no shape."""
    check_shape(head)
    axes = head["axes"]
    lo, hi = np.array([borders(axis) for axis in axes]).T
    width = hi - lo
    n = np.array([a["n"] for a in axes], dtype=np.float64)
    affine = np.reshape(head["space"]["affine"], (4, 4))
    return Box(lo, width, affine[:3, :3] * n, affine[:3, :3] @ (0.5 * n - 0.5) + affine[:3, 3])


def zero_surface(
    box: Box, value: Callable[[Points], NDArray[np.float32]], resolution: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Points, NDArray[np.int64], int]:
    """The zero surface of `value` (coordinates (n, 3) -> (n, 1) in units of the world), on resolution^3 points of the box, both ends
    included: vertices (v, 3) in the box, faces (f, 3) turned outward in the world, number of points evaluated."""
    vertices, faces, evaluated = extract(lambda at: value(box.coordinates(at))[:, 0] / box.side, resolution, progress=progress)
    if np.linalg.det(box.matrix) < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    return vertices, faces, evaluated


def decoded_surface(
    head: Mapping[str, Any],
    value: Callable[[Points], NDArray[np.float32]],
    gradient: Callable[[Points], NDArray[np.float32]],
    *,
    resolution: int,
    progress: Callable[[int, int], None] | None = None,
) -> Surface:
    """The surface of the file with this HEAD, whose distance is `value` and its derivatives (n, 1, 3) `gradient`."""
    box = box_of(head)
    vertices, faces, evaluated = zero_surface(box, value, resolution, progress)
    slopes = gradient(box.coordinates(vertices))[:, 0].astype(np.float64) * box.width if len(vertices) else np.zeros((0, 3))
    normals = slopes @ np.linalg.inv(box.matrix)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface(vertices @ box.matrix.T + box.origin, faces, normals / np.where(length > 0, length, 1.0), evaluated)
