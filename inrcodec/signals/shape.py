"""Shapes: mesh and point files to triangles or oriented points in a unit box.

trimesh parses. Kept here is what makes a shape fit to learn: one frame for all of them, triangles that have an area, an outside.
"""

import hashlib
import io
import json
import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, InrError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.mesh import Mesh, face_normals, need, winding_numbers
from inrcodec.signals.polygons import read_binary_ply, read_off

__all__ = ["FORMATS", "EdgeFaults", "Shape", "accepts", "check_closed", "edge_faults", "finer_normalise", "read_shape"]

FORMATS = "PLY, OBJ, STL, GLB, OFF or XYZ (x y z nx ny nz)"
SIDE = 0.9  # longest side of a normalised shape; the box is [-0.5, 0.5]^3
_SUFFIXES = {".ply": "ply", ".obj": "obj", ".stl": "stl", ".glb": "glb", ".off": "off", ".xyz": "xyz"}
_SIGNATURES = ((b"ply\n", "ply"), (b"ply\r", "ply"), (b"glTF", "glb"), (b"OFF", "off"), (b"COFF", "off"))
_DEGENERATE = 1e-16  # area of a triangle, in normalised units, that counts as none
_PROBES, _OFFSET = 4096, 1e-4  # points beside the surface that tell in from out, and how far off they are


@dataclass(frozen=True, eq=False)
class Shape:
    """A surface in normalised coordinates.

    vertices  (v, 3) float64 = source * scale + shift
    faces     (f, 3) int64, counter-clockwise seen from outside; None for an oriented point cloud
    normals   (v, 3) float64, unit length (zero where the source has zero), outward, of a point cloud; None for a mesh
    scale     factor from source units, the same for all axes
    shift     (3,) float64
    digest    SHA-256 of the source's bytes, hex
    notes     one line for each conversion a user should know of
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64] | None
    normals: NDArray[np.float64] | None
    scale: float
    shift: NDArray[np.float64]
    name: str = ""
    digest: str = ""
    notes: tuple[str, ...] = ()

    @property
    def mesh(self) -> Mesh:
        """(vertices, faces); raises UsageError for a point cloud."""
        if self.faces is None:
            raise UsageError(f"{self.name}: expected a mesh, got a point cloud of {len(self.vertices)} points")
        return self.vertices, self.faces


@dataclass(frozen=True)
class EdgeFaults:
    """Edges that keep a mesh from bounding a solid: of one face only, of more than two, or run through twice in one direction."""

    open: int
    crowded: int
    turned: int

    @property
    def closed(self) -> bool:
        return self.open + self.crowded + self.turned == 0


def accepts(head: bytes, suffix: str) -> bool:
    """Whether `read_shape` knows a file with these first bytes and this suffix (lower case, with the dot)."""
    return _format_of(head, suffix) is not None


def read_shape(data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS, sign: str = "winding", normalise: str = "box") -> Shape:
    """The shape in a file of one of FORMATS; `name` tells the format where the bytes do not, and stands in messages.

    sign       "winding": open meshes are taken as they are, inside is where the winding number exceeds 0.5; "error": refuse them
    normalise  "box": centre of the bounding box at 0, longest side 0.9; "finer": as `finer_normalise`
    Raises InputError, LimitExceeded, UsageError, and BackendMissing where libigl is absent (meshes only).
    """
    if sign not in ("winding", "error"):
        raise UsageError(f"sign: expected winding or error, got {sign}")
    if normalise not in ("box", "finer"):
        raise UsageError(f"normalise: expected box or finer, got {normalise}")
    form = _format_of(data[:64], PurePath(name).suffix.lower())
    if form is None:
        raise InputError(f"{name}: shape: expected {FORMATS}, got an unknown format")
    _check_declared(data, form, name, limits)
    vertices, faces, normals = _read_xyz(data, name) if form == "xyz" else _read_trimesh(data, form, name)
    if len(vertices) > limits.pixels or (faces is not None and len(faces) > limits.pixels):
        raise LimitExceeded(f"{name}: shape: expected at most {limits.pixels} vertices and faces, got {len(vertices)} vertices")
    _check(vertices, faces, normals, name)
    notes: list[str] = []
    if faces is not None:
        vertices, faces = _used(vertices, faces, notes)
    if not np.ptp(vertices, axis=0).any():
        raise InputError(f"{name}: shape: expected vertices at different places, got all {len(vertices)} at one")
    with np.errstate(over="ignore", invalid="ignore"):
        scale, shift = finer_normalise(vertices) if normalise == "finer" else _box_normalise(vertices)
    if not (np.isfinite(shift).all() and 0 < scale < np.inf):
        raise InputError(f"{name}: shape: expected a size that float64 holds, got vertices {np.ptp(vertices, axis=0).max():g} apart")
    vertices = vertices * scale + shift
    if faces is not None:
        faces = _with_area(vertices, faces, name, notes)
        faces = _outward(vertices, faces, notes)
    elif normals is not None:
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        if not length.any():
            raise InputError(f"{name}: points: expected normals, got zeros at all {len(normals)}")
        normals = normals / np.where(length > 0, length, 1.0)
        if not length.all():
            notes.append(f"{int((length == 0).sum())} points have a zero normal")
    shape = Shape(vertices, faces, normals, scale, shift, name, hashlib.sha256(data).hexdigest(), tuple(notes))
    return _with_closedness(shape, sign)


def finer_normalise(vertices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """(scale, shift (3,)) of the FINER and BACON protocol: centred by the mean, then the extreme coordinates of all axes together go to
    -0.45 and 0.45. The vertices (v, 3) must not all be equal."""
    mean = vertices.mean(axis=0)
    high, low = float((vertices - mean).max()), float((vertices - mean).min())
    scale = SIDE / (high - low)
    return scale, -scale * (mean + low) - SIDE / 2


def edge_faults(mesh: Mesh) -> EdgeFaults:
    """What is wrong with the edges of a mesh, vertices at the same place counted as one."""
    vertices, faces = mesh
    place = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)
    corners = place[faces].astype(np.int64)
    start, stop = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    n = len(vertices)
    directed = np.unique(start * n + stop, return_counts=True)[1]
    shared = np.unique(np.minimum(start, stop) * n + np.maximum(start, stop), return_counts=True)[1]
    return EdgeFaults(int((shared == 1).sum()), int((shared > 2).sum()), int((directed > 1).sum()))


def check_closed(shape: Shape) -> None:
    """Raise InputError for a mesh that does not bound a solid; a point cloud passes."""
    if shape.faces is None:
        return
    faults = edge_faults(shape.mesh)
    if not faults.closed:
        raise InputError(
            f"{shape.name}: mesh: expected a closed surface, got {faults.open} open edges, "
            f"{faults.crowded} of more than two faces, {faults.turned} between faces of opposite direction"
        )


def _format_of(head: bytes, suffix: str) -> str | None:
    return next((form for signature, form in _SIGNATURES if head.startswith(signature)), None) or _SUFFIXES.get(suffix)


def _check_declared(data: bytes, form: str, name: str, limits: Limits) -> None:
    """Refuse counts that the file declares and cannot hold, before a parser allocates them."""
    declared: list[int] = []
    if form == "ply":
        header = data[: 1 << 16].partition(b"end_header")[0]
        declared = [int(count) for count in re.findall(rb"^element\s+\w+\s+(\d{1,30})", header, re.MULTILINE)]
        if max(declared, default=0) > len(data):
            raise InputError(f"{name}: PLY: expected {max(declared)} elements, got a file of {len(data)} bytes")
    elif form == "stl" and (b"\0" in data[:512] or data.lstrip()[:5].lower() != b"solid"):
        size = 84 + 50 * int.from_bytes(data[80:84], "little")
        if len(data) != size:
            raise InputError(f"{name}: binary STL: expected {size} bytes of {(size - 84) // 50} triangles, got {len(data)}")
    elif form == "glb" and len(data) >= 20:
        try:
            head = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
            declared = [int(accessor["count"]) for accessor in head.get("accessors", [])]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{name}: GLB: expected a JSON chunk with accessors, got: {_one_line(error)}") from error
    if max(declared, default=0) > 3 * limits.pixels:
        raise LimitExceeded(f"{name}: shape: expected at most {3 * limits.pixels} elements, got {max(declared)}")


def _read_xyz(data: bytes, name: str) -> tuple[NDArray[np.float64], None, NDArray[np.float64]]:
    lines = [line for line in data.decode("latin-1").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    columns = len(lines[0].split()) if lines else 6
    if columns == 3:
        raise InputError(f"{name}: XYZ: expected 6 columns (x y z nx ny nz), got 3: no normals")
    try:
        table = np.array([line.split() for line in lines], dtype=np.float64).reshape(len(lines), -1 if lines else 6)
    except ValueError as error:
        raise InputError(f"{name}: XYZ: expected rows of 6 numbers, got: {_one_line(error)}") from error
    if columns != 6:
        raise InputError(f"{name}: XYZ: expected 6 columns (x y z nx ny nz), got {columns}")
    return table[:, :3], None, table[:, 3:]


def _read_trimesh(data: bytes, form: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64] | None, NDArray[np.float64] | None]:
    """Vertices, faces and point normals as the file has them; a scene's meshes joined in its frame."""
    trimesh = need("trimesh")
    try:
        loaded = trimesh.load(io.BytesIO(data), file_type=form, process=False)
        if not isinstance(loaded, trimesh.Scene):
            return _geometry(loaded)
        parts = []
        for node in loaded.graph.nodes_geometry:
            transform, key = loaded.graph[node]
            vertices, faces, _ = _geometry(loaded.geometry[key])
            if faces is not None:
                # a mirroring transform turns faces inside out
                faces = faces[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else faces
                parts.append((vertices @ transform[:3, :3].T + transform[:3, 3], faces))
    except InrError:
        raise
    except Exception as error:  # trimesh does not read faces of more than four corners, or of different numbers of them, everywhere
        polygons = read_off(data, name) if form == "off" else read_binary_ply(data, name) if form == "ply" else None
        if polygons is not None:
            return *polygons, None
        raise InputError(f"{name}: {form.upper()}: expected a mesh or points with normals, got: {_one_line(error)}") from error
    if not parts:
        return np.empty((0, 3)), None, None
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    return (
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=False)]),
        None,
    )


def _geometry(geometry: Any) -> tuple[NDArray[np.float64], NDArray[np.int64] | None, NDArray[np.float64] | None]:
    vertices = np.array(getattr(geometry, "vertices", ()), dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        vertices = np.empty((0, 3))
    faces = np.array(getattr(geometry, "faces", ()), dtype=np.int64)
    if len(faces):
        return vertices, faces, None
    stored = geometry.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    names = stored if isinstance(stored, dict) else getattr(getattr(stored, "dtype", None), "names", None) or ()
    if stored is None or not {"nx", "ny", "nz"} <= set(names):
        return vertices, None, None
    return vertices, None, np.column_stack([np.asarray(stored[axis], np.float64).reshape(-1) for axis in ("nx", "ny", "nz")])


def _check(vertices: NDArray[np.float64], faces: NDArray[np.int64] | None, normals: NDArray[np.float64] | None, name: str) -> None:
    if len(vertices) == 0:
        raise InputError(f"{name}: shape: expected vertices, got none")
    for what, rows in (("vertex", vertices), ("normal", normals)):
        if rows is not None and not np.isfinite(rows).all():
            first = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise InputError(f"{name}: {what} {first}: expected finite numbers, got {' '.join(f'{x:g}' for x in rows[first])}")
    if faces is None and normals is None:
        raise InputError(f"{name}: shape: expected faces or normals, got {len(vertices)} points without either")
    if faces is not None and (int(faces.min()) < 0 or int(faces.max()) >= len(vertices)):
        wrong = int(np.flatnonzero(((faces < 0) | (faces >= len(vertices))).any(axis=1))[0])
        raise InputError(f"{name}: face {wrong}: expected indices from 0 to {len(vertices) - 1}, got {' '.join(map(str, faces[wrong]))}")


def _used(vertices: NDArray[np.float64], faces: NDArray[np.int64], notes: list[str]) -> Mesh:
    """The mesh without the vertices that no face has: they would count in the bounding box."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    if used.all():
        return vertices, faces
    notes.append(f"{int((~used).sum())} vertices that no face has are left out")
    return vertices[used], (np.cumsum(used) - 1)[faces]


def _box_normalise(vertices: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    scale = SIDE / float((high - low).max())
    return scale, -scale * (low + high) / 2


def _with_area(vertices: NDArray[np.float64], faces: NDArray[np.int64], name: str, notes: list[str]) -> NDArray[np.int64]:
    good = face_normals((vertices, faces))[1] > _DEGENERATE
    if not good.any():
        raise InputError(f"{name}: mesh: expected faces with an area, got {len(faces)} without")
    if not good.all():
        notes.append(f"{int((~good).sum())} faces without area are left out")
    return faces[good]


def _outward(vertices: NDArray[np.float64], faces: NDArray[np.int64], notes: list[str]) -> NDArray[np.int64]:
    """Faces turned so that the solid is where the winding number is positive.

    Beside a surface that is the right way out the winding number is 1 on one side and 0 on the other; beside one that is inside out,
    0 and -1. The mean over both sides has the sign wanted, however thin or open the surface is.
    """
    normals, areas = face_normals((vertices, faces))
    total = np.cumsum(areas)
    chosen = np.searchsorted(total, (np.arange(_PROBES) + 0.5) / _PROBES * total[-1])
    centres, offset = vertices[faces[chosen]].mean(axis=1), _OFFSET * normals[chosen]
    if winding_numbers((vertices, faces), np.concatenate([centres + offset, centres - offset])).mean() >= 0:
        return faces
    notes.append("the faces were inside out and are turned")
    return np.ascontiguousarray(faces[:, ::-1])


def _with_closedness(shape: Shape, sign: str) -> Shape:
    """The shape, with a note where its mesh is open and `sign` allows that."""
    if sign == "error":
        check_closed(shape)
    faults = None if shape.faces is None else edge_faults(shape.mesh)
    if faults is None or faults.closed:
        return shape
    note = f"the mesh is not closed ({faults.open} open edges): inside is where its winding number exceeds 0.5"
    return replace(shape, notes=(*shape.notes, note))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
