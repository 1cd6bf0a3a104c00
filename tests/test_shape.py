import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from inrcodec.errors import BackendMissing, InputError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.mesh import MESH_SUFFIXES, write_mesh
from inrcodec.signals.shape import Shape, accepts, check_closed, edge_faults, finer_normalise, read_shape
from inrcodec.signals.shape_samples import SdfSampler

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("scipy")
pytest.importorskip("igl")

DATA = Path(__file__).parents[2] / "shared" / "data"
ODD = DATA / "odd"


def shared(path):
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path.read_bytes()


def solid(made):
    return np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64)


def ball(subdivisions=3, radius=1.0):
    return solid(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def read(mesh, suffix=".ply", **options):
    return read_shape(write_mesh(*mesh, None, suffix), "shape" + suffix, **options)


def cloud(n=4000, radius=0.45):
    vertices = ball(5)[0][:n]
    return "".join(" ".join(f"{x:.9f}" for x in (*(radius * v), *(3 * v))) + "\n" for v in vertices).encode()


def ply_points(names, rows):
    lines = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *(f"property float {name}" for name in names), "end_header"]
    return "\n".join([*lines, *(" ".join(map(str, row)) for row in rows)]).encode() + b"\n"


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_formats_and_normalisation(suffix):
    source = ball(2)[0] * (1, 2, 4) + (10, -5, 3), ball(2)[1]
    data = write_mesh(*source, None, suffix)
    shape = read_shape(data, "shape" + suffix)
    assert accepts(data[:64], suffix)
    np.testing.assert_allclose(shape.vertices[:, 2].min(), -0.45, atol=1e-6)
    np.testing.assert_allclose(np.abs(shape.vertices).max(axis=0), (0.1125, 0.225, 0.45), atol=3e-3)
    assert shape.scale == pytest.approx(0.9 / np.ptp(source[0][:, 2]), rel=1e-5)
    assert shape.normals is None and shape.faces.dtype == np.int64 and shape.notes == ()
    assert shape.digest == hashlib.sha256(data).hexdigest()
    if suffix != ".stl":
        np.testing.assert_allclose(shape.vertices, source[0] * shape.scale + shape.shift, atol=1e-6)
    check_closed(shape)


def test_content_decides_before_the_suffix():
    data = write_mesh(*ball(1), None, ".ply")
    assert len(read_shape(data, "shape.obj").faces) == 80
    assert accepts(data, ".txt") and accepts(b"", ".obj") and not accepts(b"\x89PNG", ".png")
    with pytest.raises(InputError, match=r"^a.png: shape: expected PLY, .* got an unknown format$"):
        read_shape(b"\x89PNG", "a.png")


def test_scenes_are_joined_in_their_frame():
    scene = trimesh.Scene()
    part = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(part, transform=trimesh.transformations.translation_matrix((-2, 0, 0)))
    scene.add_geometry(part, transform=np.diag([-1.0, 1, 1, 1]) + np.pad([[3.0], [0], [0]], ((0, 1), (3, 0))))
    shape = read_shape(scene.export(file_type="glb"), "scene.glb")
    assert len(shape.faces) == 24 and shape.notes == ()
    np.testing.assert_allclose(np.abs(shape.vertices).max(axis=0), (0.45, 0.075, 0.075), atol=1e-7)
    assert trimesh.Trimesh(*shape.mesh, process=False).volume == pytest.approx(2 * 0.15**3, rel=1e-5)


def test_finer_normalisation():
    vertices = np.array([[0.0, 0, 0], [4, 1, 0], [1, 2, 8], [3, 1, 4]])
    centred = vertices - vertices.mean(axis=0)
    expected = 0.9 * (centred - centred.min()) / (centred.max() - centred.min()) - 0.45
    scale, shift = finer_normalise(vertices)
    np.testing.assert_allclose(vertices * scale + shift, expected, atol=1e-15)
    shape = read(ball(2), normalise="finer")
    assert shape.vertices.min() == pytest.approx(-0.45) and shape.vertices.max() == pytest.approx(0.45)


def test_inside_out_is_turned():
    vertices, faces = ball(2)
    shape = read((vertices, faces[:, ::-1]))
    assert shape.notes == ("the faces were inside out and are turned",)
    assert trimesh.Trimesh(*shape.mesh, process=False).volume > 0
    half = faces[vertices[faces].mean(axis=1)[:, 2] > -0.3]
    turned = read((vertices, half[:, ::-1]))
    assert len(turned.notes) == 3 and "vertices that no face has" in turned.notes[0]


def test_open_meshes():
    vertices, faces = ball(2)
    shape = read((vertices, faces[1:]))
    assert shape.notes == ("the mesh is not closed (3 open edges): inside is where its winding number exceeds 0.5",)
    assert edge_faults(shape.mesh).open == 3
    with pytest.raises(InputError, match=r"^shape.ply: mesh: expected a closed surface, got 3 open edges"):
        check_closed(shape)
    with pytest.raises(InputError, match="expected a closed surface"):
        read((vertices, faces[1:]), sign="error")
    assert SdfSampler(shape).signed_distance(np.zeros((1, 3)))[0] < -0.4
    one_turned = faces.copy()
    one_turned[0] = one_turned[0, ::-1]
    assert edge_faults((vertices, one_turned)).turned == 3 and edge_faults((vertices, np.concatenate([faces, faces[:1]]))).crowded == 3


def test_degenerate_faces_are_left_out():
    vertices, faces = ball(1)
    shape = read((vertices, np.concatenate([faces, [[0, 0, 1], [3, 3, 3]]])))
    assert len(shape.faces) == len(faces) and shape.notes == ("2 faces without area are left out",)


def test_point_clouds():
    shape = read_shape(cloud(), "ball.xyz")
    assert shape.faces is None and len(shape.vertices) == 4000
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=1), 1, atol=1e-7)
    check_closed(shape)
    with pytest.raises(UsageError, match="expected a mesh, got a point cloud"):
        _ = shape.mesh
    names = ("x", "y", "z", "nx", "ny", "nz")
    rows = [(0, 0, 0, 0, 0, -2), (1, 0, 0, 1, 0, 0), (0, 1, 0, 0, 0, 0)]
    points = read_shape(ply_points(names, rows), "points.ply")
    np.testing.assert_allclose(points.normals, [[0, 0, -1], [1, 0, 0], [0, 0, 0]])
    assert points.notes == ("1 points have a zero normal",)


def glb(accessor):
    text = (b'{"asset":{"version":"2.0"},"accessors":[' + accessor + b"]}").ljust(96)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.ply", "PLY: expected a mesh"),
        (b"", "a.xyz", "expected vertices, got none"),
        (b"", "a.obj", "expected vertices, got none"),
        (b"solid nothing", "a.stl", "expected"),
        (b"0 0 0\n1 1 1\n", "a.xyz", "XYZ: expected 6 columns .* got 3: no normals"),
        (b"0 0 0 1\n", "a.xyz", "XYZ: expected 6 columns .* got 4"),
        (b"0 0 0 1 0 0\n1 2\n", "a.xyz", "XYZ: expected rows of 6 numbers"),
        (b"0 0 0 1 0 0\n1 2 z 0 0 1\n", "a.xyz", "XYZ: expected rows of 6 numbers"),
        (b"0 0 0 1 0 0\n0 0 inf 0 0 1\n", "a.xyz", "vertex 1: expected finite numbers, got 0 0 inf"),
        (b"0 0 0 1 0 0\n0 1 0 0 nan 1\n", "a.xyz", "normal 1: expected finite numbers, got 0 nan 1"),
        (b"1 1 1 1 0 0\n1 1 1 0 0 1\n", "a.xyz", "expected vertices at different places, got all 2 at one"),
        (b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "a.obj", "expected faces with an area, got 1 without"),
        (ply_points("xyz", [(0, 0, 0), (1, 1, 1)]), "a.ply", "expected faces or normals, got 2 points"),
        (b"ply\nformat ascii 1.0\nelement vertex 99999999\nproperty float x\nend_header\n", "a.ply", "expected 99999999 elements"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "a.off", "expected"),
        (b"glTF" + b"\2\0\0\0\x20\0\0\0\x0c\0\0\0JSON{not json]  ", "a.glb", "GLB: expected a JSON chunk"),
    ],
)
def test_refused(data, name, message):
    with pytest.raises(InputError, match=f"^{name}: .*{message}") as caught:
        read_shape(data, name)
    assert "\n" not in str(caught.value)


def test_limits():
    with pytest.raises(LimitExceeded, match="expected at most 100 vertices and faces"):
        read(ball(2), ".off", limits=Limits(pixels=100))
    with pytest.raises(LimitExceeded, match="expected at most 300 elements, got 320"):
        read(ball(2), limits=Limits(pixels=100))
    with pytest.raises(LimitExceeded, match="got 99999999999"):
        read_shape(glb(b'{"componentType":5126,"count":99999999999,"type":"VEC3"}'), "a.glb")


@pytest.mark.parametrize("options", [{"sign": "rays"}, {"normalise": "sphere"}])
def test_unknown_options(options):
    with pytest.raises(UsageError, match="expected .* or .*, got"):
        read(ball(1), **options)


def test_missing_libigl_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(BackendMissing, match=r"pip install inrcodec\[shape\]"):
        read(ball(1))
    assert read_shape(cloud(100), "ball.xyz").faces is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mesh_empty.ply", "shape: expected vertices, got none"),
        ("mesh_index_out_of_range.obj", "OBJ: expected a mesh.*index 8 is out of bounds"),
        ("mesh_nan_vertex.ply", "vertex 10: expected finite numbers, got nan nan nan"),
        ("points_no_normals.xyz", "no normals"),
    ],
)
def test_odd_files_are_refused(name, message):
    with pytest.raises(InputError, match=f"^{name}: .*{message}"):
        read_shape(shared(ODD / name), name)


def test_odd_files_are_read():
    turned = read_shape(shared(ODD / "mesh_inverted_normals_fandisk.ply"), "fandisk.ply")
    assert turned.notes == ("the faces were inside out and are turned",)
    right = read_shape(shared(DATA / "sdf" / "fandisk.ply"), "fandisk.ply")
    volumes = [trimesh.Trimesh(*shape.mesh, process=False).volume for shape in (turned, right)]
    assert volumes[0] == pytest.approx(volumes[1]) and volumes[0] > 0
    cube = read_shape(shared(ODD / "mesh_quads_cube.obj"), "cube.obj", sign="error")
    assert len(cube.faces) == 12 and cube.scale == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("armadillo.ply", True),
        ("bunny_watertight.ply", True),
        ("fandisk.ply", True),
        ("rocker-arm.ply", True),
        ("ref_armadillo.xyz", True),
        ("stanford-bunny.ply", False),
        ("teapot_open_not_watertight.ply", False),
    ],
)
def test_real_files(name, closed):
    shape = read_shape(shared(DATA / "sdf" / name), name)
    assert np.ptp(shape.vertices, axis=0).max() == pytest.approx(0.9)
    assert len(shape.notes) == (not closed)
    _, sdf = SdfSampler(shape).surface_pool(np.random.default_rng(0), near=600, wide=400)
    assert np.isfinite(sdf).all() and 0.02 < (sdf < 0).mean() < 0.7


def test_a_cloud_gives_the_distances_of_its_mesh():
    mesh = SdfSampler(read_shape(shared(DATA / "sdf" / "armadillo.ply"), "a.ply"))
    points = SdfSampler(read_shape(shared(DATA / "sdf" / "ref_armadillo.xyz"), "a.xyz"))
    places, exact = mesh.surface_pool(np.random.default_rng(1), near=3000, wide=2000)
    error = np.abs(points.signed_distance(places) - exact)
    assert np.median(error) < 2e-4 and np.quantile(error, 0.99) < 4e-3


def test_pool_of_a_box_is_exact():
    shape = read(solid(trimesh.creation.box((1.0, 0.8, 0.6))))
    points, sdf = SdfSampler(shape).surface_pool(np.random.default_rng(0), near=6000, wide=4000)
    beyond = np.abs(points) - np.array([0.45, 0.36, 0.27])
    exact = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)
    np.testing.assert_allclose(sdf, exact, atol=1e-7)
    assert points.shape == (10_000, 3) and np.abs(points).max() <= 0.5
    assert (np.abs(sdf) < 0.006).mean() > 0.3 and (np.abs(sdf) < 0.06).mean() > 0.6
    again = SdfSampler(shape).surface_pool(np.random.default_rng(0), near=6000, wide=4000)
    np.testing.assert_array_equal(points, again[0])
    np.testing.assert_array_equal(sdf, again[1])
    only_wide = SdfSampler(shape).surface_pool(np.random.default_rng(0), near=0, wide=10)
    assert only_wide[1].shape == (10,)


def reference_batch(shape, rng, n):
    """The steps of the FINER loader, one point at a time."""
    chosen, noise = rng.integers(0, len(shape.vertices), n), rng.laplace(0.0, 1.0, (n, 3))
    points, targets = [], []
    for j in range(n):
        p = shape.vertices[chosen[j]] + noise[j] * (0.1 if j % 2 == 0 else 0.001)
        p = np.where(p > 0.5, p - 1, np.where(p < -0.5, p + 1, p))
        nearest = np.argsort(np.linalg.norm(shape.vertices - p, axis=1), kind="stable")[:3]
        points.append(p)
        targets.append((p - shape.vertices[nearest[0]]) @ shape.normals[nearest].mean(axis=0))
    return np.array(points), np.array(targets)


def test_finer_batch():
    shape = read_shape(cloud(1000), "ball.xyz", normalise="finer")
    points, targets, weights = SdfSampler(shape).finer_batch(np.random.default_rng(5), 400)
    expected_points, expected_targets = reference_batch(shape, np.random.default_rng(5), 400)
    np.testing.assert_allclose(points, expected_points, atol=1e-15)
    np.testing.assert_allclose(targets, expected_targets, atol=1e-12)
    np.testing.assert_array_equal(weights, np.tile([0.01, 1.0], 200))
    with pytest.raises(UsageError, match="even"):
        SdfSampler(shape).finer_batch(np.random.default_rng(0), 3)
    points, targets, _ = SdfSampler(read(ball(4))).finer_batch(np.random.default_rng(0))
    assert points.shape == (10_000, 3)
    fine = targets[1::2] - (np.linalg.norm(points[1::2], axis=1) - 0.45)
    assert np.sqrt((fine**2).mean()) < 1e-3


def test_a_shape_does_not_change():
    shape = read(ball(1))
    assert isinstance(shape, Shape)
    with pytest.raises(AttributeError):
        shape.scale = 2.0


def pyramid(sides=5):
    """A closed mesh of one polygon and triangles: its vertices, its faces."""
    turn = np.arange(sides) * 2 * np.pi / sides
    base = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    return np.vstack([base, [[0, 0, 1]]]), [list(range(sides))[::-1], *([k, (k + 1) % sides, sides] for k in range(sides))]


def off_of(vertices, faces, head="OFF\n"):
    lines = [" ".join(map(repr, map(float, v))) for v in vertices] + [" ".join(map(str, (len(f), *f))) + " 255 0 0" for f in faces]
    return (head + f"{len(vertices)} {len(faces)} 0 # counts\n\n" + "\n".join(lines)).encode()


def ply_of(vertices, faces, order="<"):
    name = {"<": "little", ">": "big"}[order]
    head = (
        f"ply\nformat binary_{name}_endian 1.0\nelement vertex {len(vertices)}\nproperty double x\nproperty double y\nproperty double z\n"
    )
    head += f"element face {len(faces)}\nproperty uchar flag\nproperty list uchar int vertex_indices\nend_header\n"
    body = b"".join(struct.pack(f"{order}BB{len(f)}i", 7, len(f), *f) for f in faces)
    return head.encode() + np.asarray(vertices, order + "f8").tobytes() + body


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (off_of, "p.off"),
        (lambda v, f: off_of(v, f, "OFF "), "p.off"),
        (ply_of, "p.ply"),
        (lambda v, f: ply_of(v, f, ">"), "p.ply"),
    ],
)
def test_polygons_of_different_numbers_of_corners(make, name):
    vertices, faces = pyramid()
    shape = read_shape(make(vertices, faces), name, sign="error")  # closed, or an error
    assert len(shape.faces) == 8 and shape.notes == ()
    np.testing.assert_allclose((shape.vertices - shape.shift) / shape.scale, vertices, atol=1e-12)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (off_of(*pyramid())[:-30], "p.off", "OFF"),
        (off_of(*pyramid()).replace(b"5 4 3 2 1 0 255 0 0", b"5 4 3"), "p.off", "face 0: expected 5 corners, got 2"),
        (b"OFF\n3 many\n", "p.off", "expected numbers"),
        (ply_of(*pyramid())[:-6], "p.ply", "truncated PLY: expected 6 of its element face"),
        (ply_of(*pyramid()).replace(b"list uchar int vertex", b"list uchar huge vertex"), "p.ply", "PLY"),
        (bytes(80) + struct.pack("<I", 9) + bytes(50), "p.stl", "binary STL: expected 534 bytes of 9 triangles, got 134"),
        (b"solid\0" + bytes(90), "p.stl", "binary STL: expected 84 bytes"),
        (off_of(pyramid()[0] * 1e-310, pyramid()[1]), "p.off", "expected a size that float64 holds"),
        (b"".join(b"%d %d 1 0 0 0\n" % (k, k * k) for k in range(9)), "p.xyz", "expected normals, got zeros at all 9"),
    ],
)
def test_faults_of_meshes_are_told(data, name, message):
    with pytest.raises(InputError, match=f"^{name}: ") as caught:
        read_shape(data, name)
    assert message in str(caught.value) and "\n" not in str(caught.value)
