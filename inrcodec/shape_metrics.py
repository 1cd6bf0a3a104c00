"""How far two shapes are apart. Meshes are pairs (vertices, faces), closed and the right way out, in the box [-0.5, 0.5]^3.

Published figures come from different protocols and must not be mixed: each has a function of its own name here.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.mesh import Evaluate, Mesh, distances, face_normals, sample_surface, winding_numbers

Solid = Mesh | Evaluate  # a mesh, or a function that is negative inside

_BATCH = 1 << 20  # grid points tested at a time
_FULL = 0.99  # voxels above this share of the largest value frame the crop of the WIRE protocol


@dataclass(frozen=True)
class Chamfer:
    """`distance`: sum of the two mean squared distances between samples of two surfaces, in squared box units.

    `floor` is what the same measure gives for two samplings of the truth: differences of that size say nothing.
    """

    distance: float
    floor: float


def chamfer(a: Mesh, b: Mesh, *, samples: int = 300_000, seed: int = 0) -> Chamfer:
    """The Chamfer distance of the FINER protocol of mesh `a` to the truth `b`, from `samples` points on each, even over the area."""
    tested, truth, again = (_samples(mesh, samples, seed, k)[0] for k, mesh in enumerate((a, b, b)))
    return Chamfer(_two_way(tested, truth), _two_way(truth, again))


def point_to_mesh_rms(points: NDArray[np.float64], mesh: Mesh) -> float:
    """Root of the mean squared distance of points (n, 3) to the nearest place on a mesh, in box units; it has no sampling floor.

    Raises UsageError where there are no points.
    """
    if len(points) == 0:
        raise UsageError("expected at least one point, got none")
    return float(np.sqrt((distances(mesh, points)[0] ** 2).mean()))


def normal_consistency(a: Mesh, b: Mesh, *, samples: int = 100_000, seed: int = 0) -> float:
    """Mean |cosine| between the normals of points on one mesh and of the nearest face of the other, both ways; 1 for equal surfaces."""
    means = []
    for k, (one, other) in enumerate(((a, b), (b, a))):
        points, faces = _samples(one, samples, seed, k)
        nearest = distances(other, points)[1]
        means.append(float(np.abs((face_normals(one)[0][faces] * face_normals(other)[0][nearest]).sum(axis=1)).mean()))
    return (means[0] + means[1]) / 2


def iou(inside_a: NDArray[np.bool_], inside_b: NDArray[np.bool_]) -> float:
    """Intersection over union of two boolean arrays of one shape; 1 where both are empty. Raises UsageError where shapes differ."""
    if inside_a.shape != inside_b.shape:
        raise UsageError(f"expected two arrays of one shape, got {inside_a.shape} and {inside_b.shape}")
    return _ratio(int((inside_a & inside_b).sum()), int((inside_a | inside_b).sum()))


def occupancy_iou(a: Solid, b: Solid, *, n: int = 256, lo: float = -0.5, hi: float = 0.5) -> float:
    """Intersection over union on n^3 points of the box [lo, hi]^3, both ends among them; inside is f < 0 or a winding number > 0.5."""
    both = either = 0
    for points in _grid_slabs(n, lo, hi):
        in_a, in_b = _inside(a, points), _inside(b, points)
        both += int((in_a & in_b).sum())
        either += int((in_a | in_b).sum())
    return _ratio(both, either)


def finer_iou(a: Solid, b: Solid) -> float:
    """Intersection over union of the FINER protocol: 128^3 points on [-1, 1]^3, both ends among them.

    A function counts as outside beyond [-0.5, 0.5]^3, where its mesh would end. The protocol tests with rays, here winding numbers do.
    """
    return occupancy_iou(_within_box(a), _within_box(b), n=128, lo=-1.0, hi=1.0)


def wire_iou(predicted: NDArray[Any], occupancy: NDArray[Any]) -> float:
    """Intersection over union of the WIRE and MSA protocol, over all voxels: predicted >= 0.5 against occupancy != 0."""
    return iou(np.asarray(predicted >= 0.5), np.asarray(occupancy != 0))


def wire_crop(volume: NDArray[Any]) -> NDArray[np.float32]:
    """The volume (h, w, t) that the WIRE protocol fits: divided by its largest value, cropped to the voxels above 0.99.

    The last full slice of each axis is left out, as there. Raises UsageError where no voxel is positive.
    """
    if volume.size == 0 or not volume.max() > 0:
        raise UsageError(f"volume: expected a positive voxel, got none in shape {volume.shape}")
    scaled: NDArray[np.float32] = (volume / volume.max()).astype(np.float32)
    crop = tuple(slice(int(at.min()), int(at.max())) for at in np.nonzero(scaled > _FULL))
    return np.asarray(scaled[crop])


def _samples(mesh: Mesh, n: int, seed: int, stream: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return sample_surface(mesh, n, np.random.default_rng([seed, stream]))


def _two_way(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    tree = importlib.import_module("scipy.spatial").cKDTree
    there, back = tree(b).query(a, workers=-1)[0], tree(a).query(b, workers=-1)[0]
    return float((there**2).mean() + (back**2).mean())


def _ratio(both: int, either: int) -> float:
    return both / either if either else 1.0


def _grid_slabs(n: int, lo: float, hi: float) -> Iterator[NDArray[np.float64]]:
    """The points of the grid, a few planes of the first axis at a time: (up to _BATCH, 3)."""
    if n < 2 or not lo < hi:
        raise UsageError(f"grid: expected n >= 2 and lo < hi, got {n}, {lo}, {hi}")
    axis = np.linspace(lo, hi, n)
    planes = max(1, _BATCH // n**2)
    for start in range(0, n, planes):
        yield np.stack(np.meshgrid(axis[start : start + planes], axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def _inside(solid: Solid, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    if callable(solid):
        return np.asarray(np.asarray(solid(points)).reshape(-1) < 0)
    result = np.zeros(len(points), bool)
    if len(solid[1]):
        corners = solid[0][solid[1]].reshape(-1, 3)
        near = np.flatnonzero(((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1))
        result[near] = winding_numbers(solid, points[near]) > 0.5
    return result


def _within_box(solid: Solid) -> Solid:
    if not callable(solid):
        return solid

    def evaluate(points: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.ones(len(points))
        near = np.flatnonzero((np.abs(points) <= 0.5).all(axis=1))
        values[near] = np.asarray(solid(points[near])).reshape(-1)
        return values

    return evaluate
