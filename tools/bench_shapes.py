"""Meshes through the codec, and beside it Draco of the mesh decimated to the same bytes.

Everything is measured in the box [-0.5, 0.5]^3 of the source's normalisation, on what was decoded from the bytes.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.bench.machine import versions
from tools.bench_common import DATA, Results

MESHES = ("armadillo", "rocker-arm", "fandisk")
BUDGETS = (50_000, 100_000, 150_000)
RESOLUTION = 512
BITS = range(9, 17)  # of Draco's positions
SAMPLES = 200_000  # on a surface, for its distance to another
SEARCH_SAMPLES = 30_000
CHECKED = "fandisk"  # the mesh whose whole grid is evaluated

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


def shapes_section(results: Results, *, effort: int) -> None:
    about = {"samples": SAMPLES, "iou_grid": 256, "box": "[-0.5, 0.5]^3, the shape's longest side 0.9"}
    packages = versions(("DracoPy", "fast-simplification", "trimesh", "libigl"))
    results.begin("shapes", options={"effort": effort, "resolution": RESOLUTION}, seed=0, versions=packages, **about)
    for name in MESHES:
        for budget in BUDGETS:
            for key, measure in (
                (f"{name}/inrcodec/{budget}", lambda n=name, b=budget: codec_row(n, b, effort=effort)),
                (f"{name}/draco/{budget}", lambda n=name, b=budget: draco_row(n, b)),
            ):
                if results.wanted("shapes", key):
                    results.put("shapes", key, measure())
        if results.wanted("shapes", f"{name}/draco/full"):
            results.put("shapes", f"{name}/draco/full", draco_full_row(name))
    if results.wanted("shapes", f"{CHECKED}/grid"):
        results.put("shapes", f"{CHECKED}/grid", grid_row(CHECKED, effort=effort))


def source(name: str) -> Any:
    """The Shape of one of MESHES."""
    from inrcodec.signals.shape import read_shape

    path = DATA / "sdf" / f"{name}.ply"
    return read_shape(path.read_bytes(), path.name)


def codec_row(name: str, size: int, *, effort: int) -> dict[str, Any]:
    import inrcodec

    shape = source(name)
    begin = time.monotonic()
    encoded = inrcodec.encode(DATA / "sdf" / f"{name}.ply", size=size, effort=effort)
    seconds = time.monotonic() - begin
    inr = inrcodec.open(encoded.data)
    begin = time.monotonic()
    surface = inr.mesh(resolution=RESOLUTION)
    mesh_seconds = time.monotonic() - begin
    decoded = (surface.vertices * shape.scale + shape.shift, surface.faces)
    return {
        "mesh": name,
        "codec": "inrcodec",
        "budget": size,
        "bytes": len(encoded.data),
        **measures(decoded, shape.mesh),
        "parameters": encoded.report.parameters,
        "steps": encoded.report.steps,
        "encode_seconds": round(seconds, 1),
        "mesh_seconds": round(mesh_seconds, 1),
    }


def measures(decoded: Mesh, truth: Mesh) -> dict[str, Any]:
    """Distances between two meshes of the box; `rms` is the larger of both ways."""
    from inrcodec.shape_metrics import chamfer, normal_consistency, occupancy_iou

    there, back = surface_rms(decoded, truth, SAMPLES), surface_rms(truth, decoded, SAMPLES)
    two_way = chamfer(decoded, truth)
    return {
        "vertices": len(decoded[0]),
        "faces": len(decoded[1]),
        "iou": round(occupancy_iou(decoded, truth), 6),
        "rms": float(f"{max(there, back):.4g}"),
        "rms_decoded_to_truth": float(f"{there:.4g}"),
        "rms_truth_to_decoded": float(f"{back:.4g}"),
        "chamfer": float(f"{two_way.distance:.4g}"),
        "chamfer_floor": float(f"{two_way.floor:.4g}"),
        "normal_consistency": round(normal_consistency(decoded, truth), 5),
    }


def surface_rms(one: Mesh, other: Mesh, samples: int) -> float:
    """Root mean squared distance of points even over one mesh to the nearest place on the other."""
    from inrcodec.mesh import sample_surface
    from inrcodec.shape_metrics import point_to_mesh_rms

    return point_to_mesh_rms(sample_surface(one, samples, np.random.default_rng(0))[0], other)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mesh that went through Draco."""

    data: bytes
    mesh: Mesh
    bits: int
    faces: int  # asked of the decimation
    seconds: float


def draco_row(name: str, budget: int) -> dict[str, Any]:
    """The decimated mesh and the number of bits with the least distance, both ways, of at most `budget` bytes."""
    truth: Mesh = source(name).mesh
    decimate = decimation(truth)
    candidates = []
    for bits in BITS:
        found = most_faces(lambda faces, bits=bits: draw(decimate(faces), bits, faces), len(truth[1]), budget)
        if found is not None:
            distance = max(surface_rms(found.mesh, truth, SEARCH_SAMPLES), surface_rms(truth, found.mesh, SEARCH_SAMPLES))
            candidates.append((distance, found))
    row = {"mesh": name, "codec": "draco", "budget": budget}
    if not candidates:
        return {**row, "error": f"no file of at most {budget} bytes"}
    best = min(candidates, key=lambda candidate: candidate[0])[1]
    return {
        **row,
        "bytes": len(best.data),
        "bits": best.bits,
        **measures(best.mesh, truth),
        "encode_seconds": round(best.seconds, 2),
    }


def draco_full_row(name: str) -> dict[str, Any]:
    """Bytes and distance of the mesh as it is, by the number of bits."""
    truth: Mesh = source(name).mesh
    rows = []
    for bits in BITS:
        drawn = draw(truth, bits, len(truth[1]))
        rows.append({"bits": bits, "bytes": len(drawn.data), "rms": float(f"{surface_rms(drawn.mesh, truth, SEARCH_SAMPLES):.4g}")})
    return {"mesh": name, "codec": "draco", "faces": len(truth[1]), "by_bits": rows}


def decimation(mesh: Mesh) -> Callable[[int], Mesh]:
    """faces wanted -> the mesh with about as many, by quadric error."""
    simplify = importlib.import_module("fast_simplification").simplify
    held: dict[int, Mesh] = {}

    def decimate(faces: int) -> Mesh:
        if faces >= len(mesh[1]):
            return mesh
        if faces not in held:
            vertices, triangles = simplify(mesh[0].astype(np.float32), mesh[1].astype(np.int32), target_count=faces)[:2]
            held[faces] = np.asarray(vertices, np.float64), np.asarray(triangles, np.int64)
        return held[faces]

    return decimate


def most_faces(make: Callable[[int], Drawn], full: int, budget: int) -> Drawn | None:
    """The result of the most faces whose file is within `budget` bytes, to about 1 %; None where not even 4 faces fit."""
    whole = make(full)
    if len(whole.data) <= budget:
        return whole
    low, high, best = 4, full, None
    while high > low * 1.01 + 1:
        faces = round((low * high) ** 0.5) if best is None else (low + high) // 2
        found = make(faces)
        if len(found.data) <= budget:
            low, best = faces, found
        else:
            high = faces
    return best


def draw(mesh: Mesh, bits: int, faces: int) -> Drawn:
    """The mesh through Draco with `bits` bits a coordinate, at its slowest."""
    draco = importlib.import_module("DracoPy")
    begin = time.monotonic()
    data = draco.encode(mesh[0].astype(np.float32), mesh[1].astype(np.uint32), quantization_bits=bits, compression_level=10)
    seconds = time.monotonic() - begin
    decoded = draco.decode(data)
    triangles = np.asarray(decoded.faces, np.int64).reshape(-1, 3)
    return Drawn(bytes(data), (np.asarray(decoded.points, np.float64).reshape(-1, 3), triangles), bits, faces, seconds)


def grid_row(name: str, *, effort: int) -> dict[str, Any]:
    """The share of a 512^3 grid that the extraction evaluates, and whether the whole grid gives the same mesh."""
    import inrcodec
    from inrcodec.mesh import extract

    inr = inrcodec.open(inrcodec.encode(DATA / "sdf" / f"{name}.ply", size=BUDGETS[-1], effort=effort).data)
    evaluate = box_distance(inr, source(name))
    begin = time.monotonic()
    vertices, faces, count = extract(evaluate, RESOLUTION)
    seconds = time.monotonic() - begin
    begin = time.monotonic()
    whole = whole_grid(evaluate, RESOLUTION)
    return {
        "mesh": name,
        "resolution": RESOLUTION,
        "evaluated": count,
        "share": round(count / RESOLUTION**3, 5),
        "faces": len(faces),
        "same_mesh": same_mesh((vertices, faces), whole),
        "seconds": round(seconds, 1),
        "whole_grid_seconds": round(time.monotonic() - begin, 1),
    }


def box_distance(inr: Any, shape: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The file's function at points of the box, in box units whatever the file's own are."""
    from inrcodec.signals.shape_samples import SdfSampler

    bounds = np.array(inr.bounds, np.float64)

    def raw(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(inr.at(bounds[:, 0] + (points + 0.5) * (bounds[:, 1] - bounds[:, 0])), np.float64)[:, 0]

    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4096, 3))
    found, truth = raw(points), SdfSampler(shape).signed_distance(points)
    unit = float(found @ truth / (found @ found))
    return lambda points: raw(points) * unit


def whole_grid(evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]], n: int) -> Mesh:
    """Marching cubes on every point of the box's grid, ends included."""
    axis = np.linspace(-0.5, 0.5, n)
    values = np.empty((n, n, n))
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    for i, x in enumerate(axis):
        values[i] = evaluate(np.column_stack([np.full(len(plane), x), plane])).reshape(n, n)
    vertices, faces = importlib.import_module("mcubes").marching_cubes(values, 0.0)
    return vertices / (n - 1) - 0.5, np.asarray(faces, np.int64)[:, ::-1]


def same_mesh(a: Mesh, b: Mesh, tolerance: float = 1e-6) -> bool:
    """Whether two meshes have the same triangles, in whatever order, to `tolerance` in every coordinate of their sorted centres."""
    if len(a[1]) != len(b[1]):
        return False
    if len(a[1]) == 0:
        return True
    tree = importlib.import_module("scipy.spatial").cKDTree(a[0][a[1]].mean(axis=1))
    far, nearest = tree.query(b[0][b[1]].mean(axis=1))
    return bool(far.max() <= tolerance and len(np.unique(nearest)) == len(nearest))
