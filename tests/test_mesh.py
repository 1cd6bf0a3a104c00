import sys

import numpy as np
import pytest

from inrcodec import mesh as meshes
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.mesh import MESH_SUFFIXES, distances, extract, face_normals, sample_surface, winding_numbers, write_mesh

trimesh = pytest.importorskip("trimesh")
mcubes = pytest.importorskip("mcubes")


def sphere(points):
    return np.linalg.norm(points, axis=1) - 0.3137


def torus(points):
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.27, points[:, 2]) - 0.0831


def slab(points):
    beyond = np.abs(points) - (0.4013, 0.3977, 0.0073)
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def two_spheres(points):
    return np.minimum(np.linalg.norm(points - 0.3, axis=1) - 0.0713, np.linalg.norm(points + 0.3, axis=1) - 0.0611)


def full_grid(evaluate, n, lo=-0.5, hi=0.5):
    axis = np.linspace(lo, hi, n)
    values = evaluate(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)).reshape(n, n, n)
    vertices, faces = mcubes.marching_cubes(values, 0.0)
    return lo + vertices * (hi - lo) / (n - 1), faces.astype(np.int64)[:, ::-1]


def as_set(vertices, faces):
    """Sorted triangles, each from its smallest corner on: independent of the numbering."""
    corners = np.round(vertices, 9)[faces]
    ordered = np.lexsort(np.round(vertices, 9).T)
    rank = np.empty(len(vertices), np.int64)
    rank[ordered] = np.arange(len(vertices))
    ranks = rank[faces]
    first = ranks.argmin(axis=1)
    turned = np.take_along_axis(ranks, (first[:, None] + np.arange(3)) % 3, axis=1)
    return corners.reshape(-1, 3)[np.lexsort(corners.reshape(-1, 3).T)], turned[np.lexsort(turned.T)]


@pytest.mark.parametrize("evaluate", [sphere, torus, slab, two_spheres])
@pytest.mark.parametrize("n", [96, 128])
def test_blocks_give_the_mesh_of_the_full_grid(evaluate, n, monkeypatch):
    monkeypatch.setattr(meshes, "_SLAB", 1 << 17)  # several slabs
    vertices, faces, evaluations = extract(evaluate, n)
    whole_vertices, whole_faces = full_grid(evaluate, n)
    assert len(vertices) == len(whole_vertices) and len(faces) == len(whole_faces)
    places, triangles = as_set(vertices, faces)
    whole_places, whole_triangles = as_set(whole_vertices, whole_faces)
    np.testing.assert_allclose(places, whole_places, atol=2e-9)
    np.testing.assert_array_equal(triangles, whole_triangles)
    solid = trimesh.Trimesh(vertices, faces, process=False)
    assert solid.is_watertight and solid.volume > 0
    assert evaluations < 0.11 * n**3


def test_512_evaluates_little():
    vertices, faces, evaluations = extract(torus, 512)
    assert evaluations < 0.02 * 512**3
    solid = trimesh.Trimesh(vertices, faces, process=False)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(2 * np.pi**2 * 0.27 * 0.0831**2, rel=1e-3)
    assert np.abs(torus(vertices)).max() < 1e-5


def test_a_surface_is_followed_where_the_function_is_steep():
    def steep(points):
        return 9 * torus(points)

    assert len(extract(steep, 96, coarse=8)[0]) == len(full_grid(steep, 96)[0])


def test_a_solid_cut_by_the_box_and_other_bounds():
    vertices, faces, _ = extract(sphere, 61, lo=-0.25, hi=0.5, coarse=16)
    whole = full_grid(sphere, 61, -0.25, 0.5)
    assert len(vertices) == len(whole[0]) and len(faces) == len(whole[1])


@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_no_surface(value):
    vertices, faces, evaluations = extract(lambda points: np.full(len(points), value), 40)
    assert vertices.shape == (0, 3) and faces.shape == (0, 3) and evaluations == 8


def test_progress_and_batches(monkeypatch):
    monkeypatch.setattr(meshes, "_BATCH", 1000)
    told, sizes = [], []

    def evaluate(points):
        sizes.append(len(points))
        return sphere(points)

    _, _, evaluations = extract(evaluate, 48, progress=lambda done, total: told.append((done, total)))
    assert max(sizes) == 1000 and sum(sizes) == evaluations
    assert told[-1] == (evaluations, evaluations) and all(done <= total for done, total in told)


@pytest.mark.parametrize(("resolution", "options"), [(1, {}), (32, {"coarse": 12}), (32, {"lo": 1.0, "hi": 1.0})])
def test_extract_refuses(resolution, options):
    with pytest.raises(UsageError, match="expected resolution"):
        extract(sphere, resolution, **options)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_files(suffix):
    import io

    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces, np.int64)
    data = write_mesh(vertices, faces, vertices.copy(), suffix)
    assert data == write_mesh(vertices, faces, vertices.copy(), suffix)
    back = trimesh.load(io.BytesIO(data), file_type=suffix[1:], process=False, force="mesh" if suffix != ".glb" else None)
    if isinstance(back, trimesh.Scene):
        back = next(iter(back.geometry.values()))
    assert back.volume == pytest.approx(ball.volume, rel=1e-5)
    assert len(back.faces) == len(faces)
    assert write_mesh(vertices, faces, None, suffix)


def test_files_refuse():
    with pytest.raises(UsageError, match=r"expected one of \.ply"):
        write_mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), None, ".png")


def test_surface_samples_are_even():
    box = trimesh.creation.box((0.9, 0.3, 0.1))
    mesh = np.asarray(box.vertices), np.asarray(box.faces, np.int64)
    points, chosen = sample_surface(mesh, 40_000, np.random.default_rng(0))
    areas = face_normals(mesh)[1]
    assert areas.sum() == pytest.approx(box.area)
    np.testing.assert_allclose(np.bincount(chosen, minlength=12) / 40_000, areas / areas.sum(), atol=0.01)
    assert np.abs(points[np.abs(points[:, 0]) < 0.44]).max(axis=0)[0] < 0.45
    outside = np.abs(points) - (0.45, 0.15, 0.05)
    np.testing.assert_allclose(outside.max(axis=1), 0, atol=1e-12)
    with pytest.raises(UsageError, match="faces with an area"):
        sample_surface((np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, np.random.default_rng(0))


def test_distances_and_winding_numbers():
    pytest.importorskip("igl")
    box = trimesh.creation.box((0.8, 0.6, 0.4))
    mesh = np.asarray(box.vertices), np.asarray(box.faces, np.int64)
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (5000, 3))
    beyond = np.abs(points) - (0.4, 0.3, 0.2)
    exact = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)
    np.testing.assert_allclose(distances(mesh, points)[0], np.abs(exact), atol=1e-12)
    np.testing.assert_array_equal(winding_numbers(mesh, points) > 0.5, exact < 0)
    assert winding_numbers(mesh, points[:1]).shape == (1,) and winding_numbers(mesh, points[:0]).shape == (0,)
    assert distances(mesh, points[:1])[0].shape == (1,) and distances(mesh, points[:0])[1].shape == (0,)


def test_missing_libigl_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(BackendMissing, match=r"pip install inrcodec\[shape\]"):
        winding_numbers((np.zeros((3, 3)), np.array([[0, 1, 2]])), np.zeros((1, 3)))
