import numpy as np
import pytest

from inrcodec.errors import UsageError
from inrcodec.mesh import sample_surface
from inrcodec.shape_metrics import chamfer, finer_iou, iou, normal_consistency, occupancy_iou, point_to_mesh_rms, wire_crop, wire_iou

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("scipy")
pytest.importorskip("igl")


def ball(radius, subdivisions=4):
    solid = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return np.asarray(solid.vertices), np.asarray(solid.faces, np.int64)


def box(*sides):
    solid = trimesh.creation.box(sides)
    return np.asarray(solid.vertices), np.asarray(solid.faces, np.int64)


def test_chamfer_of_concentric_spheres_and_its_floor():
    result = chamfer(ball(0.4), ball(0.3), samples=20_000)
    assert result.distance == pytest.approx(2 * 0.1**2, rel=0.02)
    assert result.floor == pytest.approx(2 * 4 * np.pi * 0.3**2 / (np.pi * 20_000), rel=0.05)
    same = chamfer(ball(0.3), ball(0.3), samples=20_000)
    assert same.distance == pytest.approx(same.floor, rel=0.05) and same.distance != same.floor
    assert chamfer(ball(0.4), ball(0.3), samples=1000, seed=3) == chamfer(ball(0.4), ball(0.3), samples=1000, seed=3)


def test_point_to_mesh_has_no_floor():
    mesh = box(0.8, 0.6, 0.4)
    points, _ = sample_surface(mesh, 2000, np.random.default_rng(0))
    assert point_to_mesh_rms(points, mesh) < 1e-12
    assert point_to_mesh_rms(points * (1, 1, 0) + (0, 0, 0.23), mesh) == pytest.approx(0.03)
    with pytest.raises(UsageError, match="at least one point"):
        point_to_mesh_rms(points[:0], mesh)


def test_normal_consistency():
    assert normal_consistency(ball(0.4), ball(0.4), samples=2000) == pytest.approx(1)
    assert normal_consistency(ball(0.4), ball(0.3), samples=2000) > 0.99
    assert normal_consistency(ball(0.4), box(0.5, 0.5, 0.5), samples=2000) < 0.95


def test_iou():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    assert iou(a, b) == 0.5 and iou(a, a) == 1 and iou(a & False, b & False) == 1
    with pytest.raises(UsageError, match="one shape"):
        iou(a, b[:2])


def test_occupancy_of_meshes_and_functions():
    def inner(points):
        return np.abs(points).max(axis=1) - 0.2503

    outer = box(0.8006, 0.8006, 0.8006)
    assert occupancy_iou(outer, inner, n=101) == pytest.approx(51**3 / 81**3)
    assert occupancy_iou(inner, inner, n=16) == 1
    assert occupancy_iou(outer, (np.zeros((0, 3)), np.zeros((0, 3), np.int64)), n=16) == 0
    with pytest.raises(UsageError, match="grid"):
        occupancy_iou(inner, inner, n=1)


def test_finer_iou_is_on_the_large_box():
    # 58 of 128 points of an axis lie in [-0.45, 0.45]
    whole = box(0.91, 0.91, 0.91)
    assert finer_iou(whole, whole) == 1
    assert finer_iou(whole, lambda points: np.where(np.abs(points[:, 0]) < 0.2, -1.0, 1.0)) == pytest.approx(
        26 * 58**2 / (58**3 + 26 * (64**2 - 58**2))
    )


def test_wire_protocol():
    volume = np.zeros((6, 7, 8))
    volume[1:5, 2:6, 3:8] = 4
    cropped = wire_crop(volume)
    assert cropped.shape == (3, 3, 4) and cropped.dtype == np.float32 and cropped.min() == 1
    predicted = np.full(cropped.shape, 0.5)
    predicted[0] = 0.4
    assert wire_iou(predicted, cropped) == pytest.approx(2 / 3)
    with pytest.raises(UsageError, match="positive voxel"):
        wire_crop(volume * 0)
