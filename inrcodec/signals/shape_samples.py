"""Points around a shape and their signed distances (negative inside), to fit a function to."""

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.mesh import distances, face_normals, need_libigl, sample_surface, winding_numbers
from inrcodec.signals.shape import Shape

_COARSE, _FINE = 0.1, 0.001  # scales of the Laplace offsets of FINER's samples
_COARSE_WEIGHT = 0.01
_NEAR_SIGMAS = (0.002, 0.02)  # of the Gaussian offsets of points near the surface
_NEIGHBOURS = 8  # of a point of a cloud, to tell the area it stands for


@dataclass(frozen=True, eq=False)
class SdfSampler:
    """Draws training points of one shape; what it needs to know of the shape is computed once."""

    shape: Shape

    @cached_property
    def tree(self) -> Any:
        """KD-tree (scipy) of the vertices."""
        return importlib.import_module("scipy.spatial").cKDTree(self.shape.vertices)

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """(v, 3): the cloud's own, or the unit sum of the normals of the faces at a vertex, weighted by area."""
        if self.shape.normals is not None:
            return self.shape.normals
        faces = self.shape.mesh[1]
        directions, areas = face_normals(self.shape.mesh)
        sums = np.zeros_like(self.shape.vertices)
        for corner in range(3):
            np.add.at(sums, faces[:, corner], directions * areas[:, None])
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        unit: NDArray[np.float64] = sums / np.where(length > 0, length, 1.0)
        return unit

    @cached_property
    def point_areas(self) -> NDArray[np.float64]:
        """(v,): the area that each vertex of a cloud stands for."""
        k = min(_NEIGHBOURS, len(self.shape.vertices) - 1)
        far = self.tree.query(self.shape.vertices, k + 1, workers=-1)[0][:, -1]
        areas: NDArray[np.float64] = np.pi * far**2 / (k + 0.5)
        return areas

    def finer_batch(
        self, rng: np.random.Generator, n: int = 10_000
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Points (n, 3), targets (n,) and weights (n,) of one step of the FINER and BACON protocol.

        Vertices plus Laplace noise of scale 0.1 (even places, weight 0.01) or 0.001 (odd places, weight 1), wrapped once into the box;
        the target is the offset from the nearest vertex along the mean, not unit, of the normals of the three nearest.
        Raises UsageError for an odd n.
        """
        if n < 2 or n % 2:
            raise UsageError(f"samples: expected a positive even number, got {n}")
        vertices = self.shape.vertices
        scale = np.where(np.arange(n) % 2 == 0, _COARSE, _FINE)
        points = vertices[rng.integers(0, len(vertices), n)] + rng.laplace(0.0, 1.0, (n, 3)) * scale[:, None]
        points = points - (points > 0.5) + (points < -0.5)
        return points, self._along_normals(points)[0], np.where(scale == _COARSE, _COARSE_WEIGHT, 1.0)

    def surface_pool(
        self, rng: np.random.Generator, *, near: int = 600_000, wide: int = 400_000
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points (near + wide, 3) in [-0.5, 0.5]^3 in random order and their signed distances (near + wide,).

        `near` points are even over the surface plus Gaussian noise, of sigma 0.002 and 0.02 in halves; `wide` are uniform in the box.
        Points that noise takes out of the box are drawn back to its border.
        """
        sigma = np.where(np.arange(near) % 2 == 0, *_NEAR_SIGMAS)
        if self.shape.faces is not None:
            surface = sample_surface(self.shape.mesh, near, rng)[0] if near else np.empty((0, 3))
        else:
            surface = self.shape.vertices[rng.choice(len(self.point_areas), near, p=self.point_areas / self.point_areas.sum())]
        close = np.clip(surface + rng.normal(0.0, 1.0, (near, 3)) * sigma[:, None], -0.5, 0.5)
        points = rng.permutation(np.concatenate([close, rng.uniform(-0.5, 0.5, (wide, 3))]))
        return points, self.signed_distance(points)

    def signed_distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distances (n,) of points (n, 3): exact for a mesh, to the spacing of its points for a cloud."""
        if self.shape.faces is not None:
            far = distances(self.shape.mesh, points)[0]
            return np.where(winding_numbers(self.shape.mesh, points) > 0.5, -far, far)
        return self._cloud_distance(points)

    def _along_normals(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """(n,) offset from the nearest vertex along the mean normal of the three nearest, distance to it, its index."""
        k = min(3, len(self.shape.vertices))
        far, nearest = self.tree.query(points, k, workers=-1)
        far, nearest = far.reshape(len(points), k), nearest.reshape(len(points), k)
        normal = self.normals[nearest].mean(axis=1)
        return ((points - self.shape.vertices[nearest[:, 0]]) * normal).sum(axis=1), far[:, 0], nearest[:, 0]

    def _cloud_distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Near a point, the distance to the plane through it; far off, the distance to the point less what its area accounts for."""
        igl = need_libigl()
        plane, far, nearest = self._along_normals(points)
        radius = np.sqrt(self.point_areas / np.pi)[nearest]
        beside = np.maximum(far**2 - plane**2 - radius**2, 0.0)
        size = np.sqrt(plane**2 + beside)
        winding = igl.fast_winding_number(self.shape.vertices, self.normals, self.point_areas, np.ascontiguousarray(points))
        # within its own spacing the winding number of a cloud is rough, the plane is not
        inside = np.where(far < 2 * radius, plane < 0, np.asarray(winding).reshape(-1) > 0.5)
        return np.asarray(np.where(inside, -size, size), np.float64)
