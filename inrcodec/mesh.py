"""Triangle meshes: the surface of a function, inside tests, samples of a surface, files.

A mesh is a pair (vertices (v, 3) float64, faces (f, 3) int64), corners counter-clockwise seen from outside.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, UsageError

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
Evaluate = Callable[[NDArray[np.float64]], NDArray[Any]]  # points (n, 3) float64 -> values (n,), negative inside

MESH_SUFFIXES = (".ply", ".stl", ".glb", ".obj", ".off")
_SMALLEST = 2  # cells along a side of the smallest block
_BATCH = 1 << 18  # points per call of `evaluate`
_SLAB = 1 << 23  # grid values marched at a time


def need(module: str, extra: str = "") -> Any:
    """The module of that name; raises BackendMissing naming what to install where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        what = f"inrcodec[{extra}]" if extra else {"mcubes": "PyMCubes"}.get(module, module)
        raise BackendMissing(f"meshes need {module}, which is not installed; install it with: pip install {what}") from error


def need_libigl() -> Any:
    return need("igl", "shape")


def winding_numbers(mesh: Mesh, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fast winding numbers (n,) of points (n, 3): about 1 inside, 0 outside, -1 inside a mesh turned inside out."""
    igl = need_libigl()
    vertices, faces = mesh
    if len(points) == 0 or len(faces) == 0:
        return np.zeros(len(points))
    # libigl reads C order only, and returns a scalar for one point
    numbers = igl.fast_winding_number(np.ascontiguousarray(vertices), np.ascontiguousarray(faces), np.ascontiguousarray(points))
    return np.asarray(numbers, dtype=np.float64).reshape(len(points))


def distances(mesh: Mesh, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance (n,) of points (n, 3) to the nearest face, and its index (n,)."""
    igl = need_libigl()
    vertices, faces = mesh
    if len(points) == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    order = _spatial_order(points)
    found = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points[order]), np.ascontiguousarray(vertices), np.ascontiguousarray(faces)
    )
    squares, nearest = np.empty(len(points)), np.empty(len(points), np.int64)
    squares[order], nearest[order] = np.asarray(found[0]).reshape(-1), np.asarray(found[1]).reshape(-1)
    return np.sqrt(squares), nearest


def face_normals(mesh: Mesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (f, 3), zero where a face has no area, and areas (f,)."""
    vertices, faces = mesh
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1)
    return cross / np.where(length > 0, length, 1.0)[:, None], length / 2


def sample_surface(mesh: Mesh, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """n points (n, 3) spread evenly over the area, and the face of each (n,). Raises UsageError for a mesh without area."""
    areas = face_normals(mesh)[1]
    total = np.cumsum(areas)
    if len(areas) == 0 or not total[-1] > 0:
        raise UsageError(f"mesh: expected faces with an area, got {len(areas)} faces and none with one")
    chosen = np.minimum(np.searchsorted(total, rng.random(n) * total[-1], side="right"), len(areas) - 1).astype(np.int64)
    along = rng.random((n, 2))
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    corner = mesh[0][mesh[1][chosen]]
    edges = corner[:, 1:] - corner[:, :1]
    return corner[:, 0] + along[:, :1] * edges[:, 0] + along[:, 1:] * edges[:, 1], chosen


def write_mesh(vertices: NDArray[np.float64], faces: NDArray[np.int64], normals: NDArray[np.float64] | None, suffix: str) -> bytes:
    """The bytes of a mesh file; the same mesh gives the same bytes. `normals` (v, 3) go into .ply, .glb and .obj.

    Raises UsageError for a suffix (lower case, with the dot) that is not one of MESH_SUFFIXES.
    """
    if suffix not in MESH_SUFFIXES:
        raise UsageError(f"mesh: expected one of {' '.join(MESH_SUFFIXES)}, got {suffix or 'no suffix'}")
    trimesh = need("trimesh")
    mesh = trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False)
    options: dict[str, Any] = {}
    if suffix in (".ply", ".obj", ".glb"):
        options["vertex_normal" if suffix == ".ply" else "include_normals"] = normals is not None
    data = mesh.export(file_type=suffix[1:], **options)
    return data.encode() if isinstance(data, str) else bytes(data)


@dataclass(frozen=True)
class _Grid:
    """`n` points per axis from lo to hi, both ends among them."""

    n: int
    lo: float
    hi: float

    @property
    def step(self) -> float:
        return (self.hi - self.lo) / (self.n - 1)

    def places(self, index: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self.lo + index * self.step, np.float64)

    def keys(self, i: NDArray[np.int64], j: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.int64]:
        return (i * self.n + j) * self.n + k

    def indices(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        rows, k = np.divmod(keys, self.n)
        i, j = np.divmod(rows, self.n)
        return i, j, k


@dataclass
class _Known:
    """Values at grid points, by ascending key."""

    keys: NDArray[np.int64]
    values: NDArray[np.float64]

    def add(self, keys: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        keys, values = np.concatenate([self.keys, keys]), np.concatenate([self.values, values])
        order = np.argsort(keys, kind="stable")
        self.keys, self.values = keys[order], values[order]


def extract(
    evaluate: Evaluate,
    resolution: int,
    *,
    lo: float = -0.5,
    hi: float = 0.5,
    coarse: int = 32,
    safety: float = 1.5,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """The zero surface of `evaluate` (negative inside) on `resolution`^3 points of the box [lo, hi]^3, ends included.

    Blocks of `coarse` cells are halved while they may hold the surface: |f(centre)| <= safety * half the diagonal, so a function that
    grows by at most `safety` per unit loses nothing. Blocks whose neighbours contradict their sign are looked at again, so that a
    surface that was found is followed to its end whatever the function. Returns vertices (v, 3) in box coordinates, faces (f, 3)
    turned outward, and the number of points evaluated. `progress` is told (points done, points known to be needed).
    Raises UsageError for a resolution below 2, `coarse` other than a power of two from 2, or an empty box.
    """
    if resolution < 2 or coarse < _SMALLEST or coarse & (coarse - 1) or not lo < hi:
        raise UsageError(f"mesh: expected resolution >= 2, coarse a power of two >= 2, lo < hi, got {resolution}, {coarse}, {lo}, {hi}")
    grid = _Grid(resolution, lo, hi)
    count = 0

    def values_at(points: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal count
        values = np.empty(len(points))
        total = count + len(points)
        for start in range(0, len(points), _BATCH):
            part = points[start : start + _BATCH]
            values[start : start + _BATCH] = np.asarray(evaluate(part)).reshape(len(part))
            count += len(part)
            if progress is not None:
                progress(count, total)
        return values

    active, inside = _blocks(values_at, grid, coarse, safety)
    known = _Known(np.empty(0, np.int64), np.empty(0))
    fresh = active.copy()
    first = True
    while fresh.any():
        index = np.argwhere(fresh)
        keys = _block_keys(grid, index)
        missing = np.setdiff1d(keys, known.keys) if len(known.keys) else np.unique(keys)
        known.add(missing, values_at(grid.places(np.stack(grid.indices(missing), axis=1))))
        fresh = _contradicted(active, inside, index, _block_signs(grid, known, index))
        if first:
            fresh |= _opposite_neighbours(active, inside)
            first = False
        active |= fresh
    if not active.any():
        return np.empty((0, 3)), np.empty((0, 3), np.int64), count
    vertices, faces = _march(grid, known, active, inside)
    return grid.places(vertices), faces, count


def _blocks(evaluate: Evaluate, grid: _Grid, coarse: int, safety: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of the smallest blocks, which may hold the surface, and which of the others are inside."""
    cells, size = grid.n - 1, coarse
    active = np.ones((math.ceil(cells / size),) * 3, bool)
    inside = np.zeros_like(active)
    while True:
        index = np.argwhere(active)
        start, stop = index * size, np.minimum((index + 1) * size, cells)
        radius = 0.5 * grid.step * np.linalg.norm(stop - start, axis=1)
        values = evaluate(grid.places((start + stop) / 2))
        where = tuple(index.T)
        # a NaN counts as near: the grid points decide
        active[where] = ~(np.abs(values) > safety * radius)
        inside[where] = values < 0
        if size == _SMALLEST:
            return active, inside
        size //= 2
        n = math.ceil(cells / size)
        active, inside = (a.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:n, :n, :n] for a in (active, inside))


def _corners(grid: _Grid, index: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Indices (blocks, 3) along one axis of the grid points of the smallest blocks; the last repeats in a block cut by the border."""
    corners: NDArray[np.int64] = np.minimum(index[:, axis, None] * _SMALLEST + np.arange(_SMALLEST + 1), grid.n - 1)
    return corners


def _block_keys(grid: _Grid, index: NDArray[np.int64]) -> NDArray[np.int64]:
    i, j, k = (_corners(grid, index, axis) for axis in range(3))
    keys: NDArray[np.int64] = grid.keys(i[:, :, None, None], j[:, None, :, None], k[:, None, None, :])
    return keys.reshape(-1)


def _block_signs(grid: _Grid, known: _Known, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(blocks, 3, 3, 3): whether the grid points of blocks lie inside."""
    i, j, k = (_corners(grid, index, axis) for axis in range(3))
    # keys along the last axis are neighbours in the table too
    at = np.searchsorted(known.keys, grid.keys(i[:, :, None], j[:, None, :], k[:, None, :1]))
    negative: NDArray[np.bool_] = known.values < 0
    return negative[at[..., None] + (k - k[:, :1])[:, None, None, :]]


def _contradicted(
    active: NDArray[np.bool_], inside: NDArray[np.bool_], index: NDArray[np.int64], signs: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The inactive blocks that share a face with the blocks `index` and have another sign than a grid point of it."""
    wanted = np.zeros_like(active)
    for axis in range(3):
        for side in (0, _SMALLEST):
            face = np.take(signs, side, axis=1 + axis).reshape(len(index), -1)
            beside = index.copy()
            beside[:, axis] += 1 if side else -1
            valid = (beside[:, axis] >= 0) & (beside[:, axis] < active.shape[axis])
            other = tuple(beside[valid].T)
            wrong = ~active[other] & (face[valid] != inside[other][:, None]).any(axis=1)
            wanted[tuple(beside[valid][wrong].T)] = True
    return wanted


def _opposite_neighbours(active: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inactive blocks with an inactive neighbour of the other sign."""
    wanted = np.zeros_like(active)
    for axis in range(3):
        a, b = ((slice(None),) * axis + (part,) for part in (slice(1, None), slice(None, -1)))
        clash = ~active[a] & ~active[b] & (inside[a] != inside[b])
        wanted[a] |= clash
        wanted[b] |= clash
    return wanted


def _march(grid: _Grid, known: _Known, active: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Mesh:
    """Marching cubes over the box of the active blocks, slab by slab along the first axis; vertices in units of the grid."""
    mcubes = need("mcubes")
    spans = []
    for axis in range(3):
        used = np.flatnonzero(active.any(axis=tuple(other for other in range(3) if other != axis)))
        spans.append((int(used[0]) * _SMALLEST, min((int(used[-1]) + 1) * _SMALLEST, grid.n - 1)))
    (first, last), (j0, j1), (k0, k1) = spans
    thick = max(8, _SLAB // ((j1 - j0 + 1) * (k1 - k0 + 1)))
    block = [np.minimum(np.arange(a, b + 1) // _SMALLEST, n - 1) for (a, b), n in zip(spans, active.shape, strict=True)]
    all_vertices: list[NDArray[np.float64]] = []
    all_faces: list[NDArray[np.int64]] = []
    total = 0
    seam_edges, seam_ids = np.empty(0, np.int64), np.empty(0, np.int64)
    for i0 in range(first, last, thick):
        i1 = min(i0 + thick, last)
        dense = np.where(inside[np.ix_(block[0][i0 - first : i1 + 1 - first], block[1], block[2])], -1.0, 1.0)
        part = slice(*np.searchsorted(known.keys, [i0 * grid.n**2, (i1 + 1) * grid.n**2]))
        i, j, k = grid.indices(known.keys[part])
        dense[i - i0, j - j0, k - k0] = known.values[part]
        vertices, faces = mcubes.marching_cubes(dense, 0.0)
        vertices = np.asarray(vertices, np.float64).reshape(-1, 3) + np.array([i0, j0, k0])
        faces = np.asarray(faces).astype(np.int64).reshape(-1, 3)[:, ::-1]
        ids = _seam(vertices, seam_edges, seam_ids, i0)
        new = ids < 0
        ids[new] = total + np.arange(int(new.sum()))
        total += int(new.sum())
        all_vertices.append(vertices[new])
        all_faces.append(ids[faces])
        end = vertices[:, 0] == i1
        seam_edges, seam_ids = _edges(vertices[end]), ids[end]
    return np.concatenate(all_vertices), np.concatenate(all_faces)


def _seam(vertices: NDArray[np.float64], edges: NDArray[np.int64], ids: NDArray[np.int64], i: int) -> NDArray[np.int64]:
    """For vertices (v, 3) the id of the one on the same edge of plane i, among `edges` and their `ids`; -1 where there is none."""
    found = np.full(len(vertices), -1, np.int64)
    here = np.flatnonzero(vertices[:, 0] == i)
    if len(here) and len(edges):
        order = np.argsort(edges)
        keys = _edges(vertices[here])
        at = np.minimum(np.searchsorted(edges, keys, sorter=order), len(edges) - 1)
        found[here] = np.where(edges[order[at]] == keys, ids[order[at]], -1)
    return found


def _edges(vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for the edge of the grid, in the plane of the last two axes, that each vertex lies on.

    Coordinates themselves differ in the last bit between slabs: the end an edge is measured from is the marcher's choice.
    """
    place = vertices[:, 1:]
    along_k = np.abs(place - np.rint(place)).argmax(axis=1) == 1
    j = np.where(along_k, np.rint(place[:, 0]), np.floor(place[:, 0])).astype(np.int64)
    k = np.where(along_k, np.floor(place[:, 1]), np.rint(place[:, 1])).astype(np.int64)
    edges: NDArray[np.int64] = (j << 32) + (k << 1) + along_k
    return edges


def _spatial_order(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order in which neighbours in space are near each other (Morton order of 2^10 cells per axis): searches stay in cache."""
    low, high = points.min(axis=0), points.max(axis=0)
    cell = ((points - low) / np.where(high > low, high - low, 1.0) * 1023).astype(np.int64)
    for shift, mask in ((16, 0x30000FF), (8, 0x300F00F), (4, 0x30C30C3), (2, 0x9249249)):
        cell = (cell | (cell << shift)) & mask
    return np.argsort(cell[:, 0] << 2 | cell[:, 1] << 1 | cell[:, 2], kind="stable").astype(np.int64)
