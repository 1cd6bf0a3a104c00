"""Shapes through the codec: fit at points, decode as a grid of distances or as a mesh, in the coordinates of the source."""

import json
import signal as signals
from pathlib import Path

import numpy as np
import pytest
import torch

import inrcodec
from inrcodec.cli.common import ProgressLine
from inrcodec.cli.mesh import mesh_progress
from inrcodec.codec import verify
from inrcodec.container import Container, dump, load
from inrcodec.errors import CorruptFile, InputError, Interrupted, UsageError, VerificationFailed
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.plan import Sampling
from inrcodec.fit.points import FINER_CYCLE, FinerPoints, PointPool, near_weights, point_parts, training_points
from inrcodec.fit.quantized import flat_layout
from inrcodec.fit.request import Request
from inrcodec.fit.shape_presets import shape_plan
from inrcodec.head import check_head
from inrcodec.mesh import write_mesh
from inrcodec.quality import Measured, check_stated
from inrcodec.shape_metrics import point_to_mesh_rms
from inrcodec.signals import read_signal
from inrcodec.signals.shape import read_shape
from inrcodec.signals.shape_signal import shape_signal
from tests.nets import lively_params
from tests.test_cli import assert_fails, run

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("igl")
pytest.importorskip("scipy")

CPU = torch.device("cpu")
ODD = Path(__file__).parents[2] / "shared" / "data" / "odd"
SMALL = {
    "nominal": 32, "steps": 300, "batch": 2048, "hidden_features": 32, "frequencies": 32, "band": 4, "low": 2, "bands": 2,
    "mask_features": 8, "softness": 0.03, "levels": 2, "coarsest": 4, "finest": 8, "warmup": 5,
}  # fmt: skip
TINY = {**SMALL, "steps": 12, "batch": 256}
CENTRE, RADIUS = np.array([5.0, -3.0, 100.0]), 20.0


def mesh_bytes(made, suffix=".ply"):
    return write_mesh(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64), None, suffix)


def ball():
    made = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    made.apply_translation(CENTRE)
    return made


def cloud(columns=6):
    made = ball()
    rows = np.column_stack([made.vertices, (made.vertices - CENTRE) / RADIUS])[:, :columns]
    return "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in rows).encode()


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Measures on fewer points."""
    monkeypatch.setattr("inrcodec.quality.MESH_GRID", 40)
    for name, value in (("IOU_GRID", 32), ("PROBES", 4000)):
        monkeypatch.setattr(f"inrcodec.signals.shape_signal.{name}", value)
    monkeypatch.setattr("inrcodec.quality.IOU_GRID", 32)


@pytest.fixture(scope="module")
def source():
    return mesh_bytes(ball())


@pytest.fixture(scope="module")
def fitted(source):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inrcodec.quality.MESH_GRID", 40)
        patch.setattr("inrcodec.quality.IOU_GRID", 32)
        patch.setattr("inrcodec.signals.shape_signal.IOU_GRID", 32)
        patch.setattr("inrcodec.signals.shape_signal.PROBES", 4000)
        return inrcodec.encode(source, settings=SMALL, device="cpu")


def quick(source, **options):
    return inrcodec.encode(source, device="cpu", **{"settings": TINY, **options})


def test_a_sphere_comes_back(fitted, source):
    report = fitted.report
    assert report.iou > 0.95 and report.surface_rms < 6e-3 and report.psnr > 20 and report.normal_consistency is None
    inr = inrcodec.open(fitted.data)
    assert inr.head["kind"] == "shape" and [a["name"] for a in inr.head["axes"]] == ["z", "y", "x"]
    assert inr.head["out"]["channels"][0]["role"] == "sdf" and inr.head["out"]["dtype"] == "float32"
    rows = {row["metric"]: row for row in inr.info["metrics"]}
    assert rows["iou"] == {"metric": "iou", "value": report.iou, "grid": 32} and rows["surface_rms"]["value"] == report.surface_rms
    checks = verify(inr, source=source)
    assert checks["iou"] == pytest.approx(report.iou, abs=1e-3) and checks["stated"]["iou"] == report.iou
    assert verify(inrcodec.open(fitted.data))["decoded_shape"] == [32, 32, 32, 1]


def test_the_mesh_is_closed_outward_and_in_place(fitted):
    surface = inrcodec.open(fitted.data).mesh(resolution=48)
    made = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert made.is_watertight and made.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    away = surface.vertices - CENTRE
    assert np.abs(np.linalg.norm(away, axis=1) - RADIUS).max() < 0.1 * RADIUS
    cosine = (surface.normals * away).sum(axis=1) / np.linalg.norm(away, axis=1)
    assert cosine.min() > 0.7 and np.allclose(np.linalg.norm(surface.normals, axis=1), 1)
    assert 0 < surface.evaluated < 48**3


def test_axes_are_not_mixed_up():
    """A box with three lengths, off centre: a swap or a flip of axes would show."""
    extents, middle = np.array([4.0, 2.0, 1.0]), np.array([1.0, 20.0, -7.0])
    made = trimesh.creation.box(extents=extents)
    made.apply_translation(middle)
    inr = inrcodec.open(inrcodec.encode(mesh_bytes(made), settings={**SMALL, "steps": 400}, device="cpu").data)
    surface = inr.mesh(resolution=40)
    np.testing.assert_allclose(surface.vertices.max(axis=0), middle + extents / 2, atol=0.2)
    np.testing.assert_allclose(surface.vertices.min(axis=0), middle - extents / 2, atol=0.2)
    source = np.asarray(made.vertices), np.asarray(made.faces)
    assert point_to_mesh_rms(surface.vertices, source) < 0.1
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).volume > 0


def world_of(samples):
    """Where each sample of a decoded grid lies: (*axes, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(m) for m in samples.codes.shape[:3]), indexing="ij"), axis=-1)
    affine = np.reshape(samples.space.affine, (4, 4))
    return index @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize(
    "options", [{}, {"scale": 1.5}, {"region": ((3, 9), (10, 30), (0, 12))}, {"scale": 2, "region": ((3, 9), (10, 30), (0, 12))}]
)
def test_the_grid_holds_distances_in_units_of_the_source(fitted, options):
    samples = inrcodec.open(fitted.data).samples(**options)
    assert samples.codes.dtype == np.float32
    expected = np.linalg.norm(world_of(samples) - CENTRE, axis=-1) - RADIUS
    error = np.abs(samples.codes[..., 0] - expected)
    assert error.mean() < 0.05 * RADIUS
    near = np.abs(expected) < 0.1 * RADIUS
    assert near.any() and error[near].mean() < 0.02 * RADIUS


def test_a_region_is_the_crop(fitted):
    inr = inrcodec.open(fitted.data)
    whole = inr.decode(scale=1.5)
    assert np.array_equal(inr.decode(scale=1.5, region=((8, 16), (0, 32), (4, 6))), whole[12:24, :, 6:9])


def test_values_on_a_lattice_are_those_at_its_points(fitted):
    inr = inrcodec.open(fitted.data)
    axes = [np.linspace(-0.9, 0.7, m) for m in (3, 4, 5)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    found = inr.on(*axes)
    assert found.shape == (3, 4, 5, 1)
    np.testing.assert_allclose(found.reshape(-1, 1), inr.at(points), atol=1e-4 * RADIUS)
    with pytest.raises(UsageError, match="3 vectors"):
        inr.on(*axes[:2])


@pytest.mark.parametrize("suffix", [".npy", ".nrrd", ".nii.gz"])
def test_the_grid_is_written_as_a_volume(fitted, tmp_path, suffix):
    inr = inrcodec.open(fitted.data)
    path = tmp_path / f"grid{suffix}"
    inr.export(path)
    if suffix == ".npy":
        assert np.array_equal(np.load(path), inr.decode()[..., 0])
        return
    pytest.importorskip("nrrd" if suffix == ".nrrd" else "nibabel")
    volume = read_signal(path)
    np.testing.assert_allclose(volume.space.affine, inr.space.affine, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("protocol", ["default", "finer"])
def test_same_seed_same_bytes_and_resume(source, tmp_path, protocol):
    whole = quick(source, protocol=protocol)
    assert quick(source, protocol=protocol).data == whole.data and quick(source, protocol=protocol, seed=1).data != whole.data
    path = tmp_path / "run"
    calls = 0

    def stop(progress):
        nonlocal calls
        calls += 1
        if calls == 1:
            signals.raise_signal(signals.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inrcodec.fit.trainer.REPORT_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            quick(source, protocol=protocol, checkpoint=path, progress=stop)
    assert path.exists()
    assert quick(source, protocol=protocol, checkpoint=path, resume=True).data == whole.data
    with pytest.raises(UsageError, match="belongs to another input"):
        quick(mesh_bytes(trimesh.creation.box()), protocol=protocol, checkpoint=path, resume=True)


def test_finer_gives_the_network_its_coordinates(source):
    encoded = quick(source, protocol="finer")
    inr = inrcodec.open(encoded.data)
    assert inr.bounds == [(-0.5, 0.5)] * 3 and inr.info["provenance"]["options"]["protocol"] == "finer"
    assert verify(inr, source=source)["psnr"] == pytest.approx(encoded.report.psnr, abs=0.02)
    shape = read_signal(source, protocol="finer")
    points, targets, weights = shape.sampler.finer_batch(np.random.default_rng([7, 2, 3]), 100)
    data = training_points(shape, Sampling(batch=100, pool=100, softness=1.0), seed=7, device=CPU, parts=2)
    assert isinstance(data, FinerPoints)
    batch = data.batch((0,), 3)
    np.testing.assert_array_equal(batch.parts[0].coords.values, points[:, ::-1])
    np.testing.assert_allclose(batch.targets[0], targets, rtol=1e-6)
    np.testing.assert_allclose(batch.weights[0], weights)
    assert not np.array_equal(data.batch((0,), 4).targets, batch.targets) and len(data.phase_indices()) == FINER_CYCLE


def test_a_cycle_of_the_pool_sees_every_point_once(source):
    shape = read_signal(source)
    data = training_points(shape, Sampling(batch=300, pool=1000, softness=0.01), seed=0, device=CPU, parts=1)
    assert isinstance(data, PointPool)
    batches = [data.batch(phase, 0) for phase in data.phase_indices()]
    assert [b.targets.shape[1] for b in batches] == [300, 300, 400]
    seen = np.concatenate([part.coords.values for b in batches for part in b.parts])
    assert np.array_equal(seen, data.coords) and data.samples == 1000
    expected = shape.sampler.signed_distance(seen[:, ::-1] / 2)
    np.testing.assert_allclose(np.concatenate([b.targets[0] for b in batches]), expected, atol=1e-6)
    assert float(data.weights.mean()) == pytest.approx(1, rel=1e-5)


def test_weights_make_errors_count_relative_to_the_distance():
    weights = near_weights(np.array([0.0, 0.01, -0.5]), 0.01)
    np.testing.assert_allclose(weights[0] / weights, [1, 4, 51**2])


def test_parts_and_pieces_of_points_have_the_gradients_of_the_whole(source, monkeypatch):
    monkeypatch.setattr("inrcodec.fit.points.PIECE", 50)
    shape = read_signal(source)
    request = Request(shape=(32,) * 3, channels=1, settings={k: v for k, v in TINY.items() if k != "nominal"})
    plan = shape_plan(request, protocol="default", width=2.0)
    network, config = plan.network, plan.config
    data = training_points(shape, Sampling(batch=320, pool=320, softness=0.01), seed=0, device=CPU, parts=3)
    batch = data.batch((0,), 0)
    assert [part.samples for part in batch.parts] == [slice(0, 106), slice(106, 213), slice(213, 320)]
    assert [piece.stop for _, piece in batch.parts[0].pieces()] == [50, 100, 106]
    layout = flat_layout(network.params(config), CPU)
    initial = lively_params(network, config)
    values = torch.cat([torch.tensor(initial[p.name]).reshape(-1) for p in layout.params])
    frozen = {p.name: initial[p.name] for p in network.params(config) if not p.trainable}
    from inrcodec.backends.threads import team

    results = []
    for parts in (batch.parts, point_parts(data.coords, 1, CPU)):
        grads = torch.zeros_like(values)
        with team(len(parts)) as threads:
            lanes = make_lanes(layout, values, grads, frozen, CPU, len(parts))
            whole = type(batch)(batch.targets, batch.weights, parts, batch.count)
            error = float(batch_gradients(lanes, threads, network, config, whole, scale=data.scale, mask_sparsity=0.0))
        results.append((error, grads))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    largest = float(results[1][1].abs().max())
    assert largest > 0 and float((results[0][1] - results[1][1]).abs().max()) <= 1e-4 * largest


def test_the_paper_preset_has_the_papers_parameters():
    plan = shape_plan(Request(shape=(256,) * 3, channels=1, preset="paper", settings={}), protocol="finer", width=1.0)
    assert sum(p.size for p in plan.network.params(plan.config) if p.trainable) == 130_917
    assert (plan.schedule.learning_rate, plan.schedule.table_learning_rate, plan.target.lam) == (1e-4, 5e-4, 0.0)
    assert plan.sampling is not None and plan.sampling.batch == 10_000


def test_size_is_a_cap(source):
    report = quick(source, size=3500, settings={**SMALL, "steps": 60}).report
    assert 2000 < report.bytes <= 3500 and report.target_met
    hopeless = quick(source, size=300).report
    assert hopeless.bytes > 300 and not hopeless.target_met


def test_a_cloud_is_measured_at_its_points():
    encoded = inrcodec.encode(shape_signal(read_shape(cloud(), "cloud.xyz")), settings=SMALL, device="cpu")
    report = encoded.report
    assert report.iou is None and report.surface_rms < 5e-3 and report.normal_consistency > 0.95
    assert {row["metric"] for row in inrcodec.open(encoded.data).info["metrics"]} == {
        "psnr",
        "max_error",
        "surface_rms",
        "normal_consistency",
    }


def test_another_source_is_told_from_the_files_own(fitted, source):
    inr = inrcodec.open(fitted.data)
    moved = ball()
    moved.apply_translation((1.0, 0, 0))
    with pytest.raises(VerificationFailed, match="space"):
        verify(inr, source=mesh_bytes(moved))
    cube = trimesh.creation.box(extents=(2 * RADIUS,) * 3)
    cube.apply_translation(CENTRE)
    with pytest.raises(VerificationFailed, match="psnr"):
        verify(inr, source=mesh_bytes(cube))
    found = Measured(psnr=30.0, iou=0.9, surface_rms=2e-3, seconds=0.0)
    check_stated({"psnr": 30.01, "iou": 0.9, "surface_rms": 2e-3}, found)
    for stated in ({"iou": 0.95}, {"surface_rms": 1e-3}, {"normal_consistency": 0.5}, {"psnr": 31.0}):
        with pytest.raises(VerificationFailed, match=next(iter(stated))):
            check_stated(stated, found)


def test_what_a_shape_does_not_have_is_refused(source):
    for options, message in (
        ({"psnr": 30.0}, r"expected quality \(--quality\) or size"),
        ({"bpp": 1.0}, "expected quality"),
        ({"protocol": "best"}, "protocol: expected one of default, finer"),
        ({"sign": "rays"}, "sign: expected winding or error"),
        ({"settings": {"nominal": "many"}}, "--set nominal"),
        ({"settings": {"nominal": 1}}, "nominal: expected 2"),
        ({"settings": {"pool": 10}}, "pool"),
        ({"settings": {"softness": 0}}, "softness"),
        ({"settings": {"colour": 1}}, "unknown setting; known: .*softness"),
    ):
        with pytest.raises(UsageError, match=message):
            quick(source, **options)
    with pytest.raises(UsageError, match="protocol: expected a shape"):
        inrcodec.encode(np.zeros((4, 4), np.uint8), protocol="finer")
    picture = inrcodec.encode(np.zeros((4, 4), np.uint8), settings={"steps": 1}, device="cpu").data
    with pytest.raises(UsageError, match="expected an .inr of a shape, got one of kind image"):
        inrcodec.open(picture).mesh()


def test_open_meshes_are_told_or_refused():
    made = ball()
    made.update_faces(made.triangles_center[:, 2] < CENTRE[2] + 0.6 * RADIUS)
    encoded = quick(mesh_bytes(made))
    assert any("not closed" in note for note in encoded.report.notes)
    with pytest.raises(InputError, match="expected a closed surface"):
        quick(mesh_bytes(made), sign="error")


def test_no_surface_is_told(fitted):
    container = load(fitted.data)
    channel = {**container.head["out"]["channels"][0], "offset": 10.0}
    head = {**container.head, "out": {**container.head["out"], "channels": [channel]}}
    surface = inrcodec.open(dump(Container(head, container.data))).mesh(resolution=16)
    assert len(surface.faces) == 0 and len(surface.vertices) == 0
    with pytest.raises(UsageError, match="expected a surface, found none"):
        surface.to_bytes(".ply")


def test_a_head_that_is_no_shape_is_refused(fitted):
    head = load(fitted.data).head
    for change in (
        {"space": {"spacing": [1.0] * 3}},
        {"space": {"spacing": [1.0] * 3, "affine": [0.0] * 16}},
        {"axes": head["axes"][:2]},
        {"out": {**head["out"], "channels": [{**head["out"]["channels"][0], "role": "value"}]}},
    ):
        with pytest.raises(CorruptFile):
            check_head({**head, **change})


def test_the_command_line(fitted, tmp_path):
    (tmp_path / "a.stl").write_bytes(mesh_bytes(trimesh.creation.torus(2.0, 0.7), ".stl"))
    # A measured surface that is still noise is a large one.
    settings = [part for key, value in {**SMALL, "steps": 120}.items() for part in ("--set", f"{key}={value}")]
    done = run("encode", "a.stl", *settings, "--protocol", "finer", "--json", cwd=tmp_path)
    assert done.returncode == 0 and b"IoU" in done.stderr and json.loads(done.stdout)["iou"] is not None
    (tmp_path / "ball.inr").write_bytes(fitted.data)
    done = run("info", "ball.inr", cwd=tmp_path)
    assert b"iou " in done.stdout and b"surface_rms" in done.stdout and done.stdout.startswith(b"shape  32 x 32 x 32 (z x y x x)")
    for suffix in ("ply", "glb", "stl", "obj", "off"):
        assert run("mesh", "ball.inr", "-o", f"m.{suffix}", "--resolution", "24", cwd=tmp_path).returncode == 0
        made = trimesh.load(tmp_path / f"m.{suffix}", force="mesh")
        np.testing.assert_allclose((made.bounds[0] + made.bounds[1]) / 2, CENTRE, atol=1.5)
    assert run("mesh", "ball.inr", "-o", "m.ply", "--resolution", "24", "--no-progress", cwd=tmp_path).stderr == b""
    done = run("-v", "mesh", "ball.inr", "--resolution", "24", cwd=tmp_path)
    assert done.returncode == 0 and b"points evaluated" in done.stderr and (tmp_path / "ball.ply").exists()
    assert_fails(run("mesh", "ball.inr", cwd=tmp_path), 2, "exists")
    assert_fails(run("mesh", "ball.inr", "-o", "m.ply", "--no-overwrite", cwd=tmp_path), 2, "exists")
    assert_fails(run("mesh", "ball.inr", "-o", "m.txt", cwd=tmp_path), 2, ".glb")
    assert run("decode", "ball.inr", "-o", "grid.npy", cwd=tmp_path).returncode == 0
    assert np.load(tmp_path / "grid.npy").shape == (32, 32, 32)
    assert_fails(run("encode", "a.stl", "-o", "o.inr", "--psnr", "30", cwd=tmp_path), 2, "quality")


ODD_SHAPES = {
    "mesh_empty.ply": (3, "mesh_empty.ply"),
    "mesh_index_out_of_range.obj": (3, "out of bounds"),
    "mesh_nan_vertex.ply": (3, "finite"),
    "points_no_normals.xyz": (3, "no normals"),
    "mesh_inverted_normals_fandisk.ply": (0, "inside out"),
    "mesh_quads_cube.obj": (0, ""),
}


def test_every_odd_shape_is_tried():
    if not ODD.is_dir():
        pytest.skip(f"{ODD} is absent")
    assert {p.name for p in ODD.iterdir() if p.name.startswith(("mesh_", "points_"))} == set(ODD_SHAPES)


@pytest.mark.parametrize("name", ODD_SHAPES)
def test_odd_shapes(tmp_path, name):
    if not (ODD / name).exists():
        pytest.skip(f"{ODD / name} is absent")
    code, words = ODD_SHAPES[name]
    # A measured surface that is still noise is a large one.
    settings = [part for key, value in {**SMALL, "steps": 120}.items() for part in ("--set", f"{key}={value}")]
    done = run("encode", str(ODD / name), "-o", "o.inr", *settings, "--no-progress", cwd=tmp_path)
    if code:
        assert_fails(done, code, words)
    else:
        assert done.returncode == 0 and words in done.stderr.decode() and "IoU" in done.stderr.decode()


def test_extraction_tells_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    told = mesh_progress(ProgressLine(enabled=True, verbose=False))
    told(500, 1000)
    assert "mesh   500/1000" in capsys.readouterr().err
